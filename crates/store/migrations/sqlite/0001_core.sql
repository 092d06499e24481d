-- Holdfast's first schema for SQLite. The log is the truth; every other table in the first half is derived from it
-- in the transaction that appends to it. Times are microseconds since 1970 UTC, ids are 16 bytes, money and
-- quantities are integers. Released migrations never change.

-- Where the log ends: one row. Position 0 is before the first event.
CREATE TABLE log_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL CHECK (position >= 0),
    decided_at INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO log_head (id, position, decided_at, hash) VALUES (1, 0, 0, zeroblob(32));

-- One row per batch. payload is {"v":1,"events":[...]}; hash chains it to the batch before.
CREATE TABLE log (
    last_position INTEGER PRIMARY KEY,
    first_position INTEGER NOT NULL CHECK (first_position BETWEEN 1 AND last_position),
    decided_at INTEGER NOT NULL,
    payload BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- The catalogue. body is the item as JSON.
CREATE TABLE items (
    sku TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    archived INTEGER NOT NULL CHECK (archived IN (0, 1))
) STRICT;

-- Counters per SKU and location. The checks are the second line of defence behind the rules.
CREATE TABLE stock (
    sku TEXT NOT NULL,
    location TEXT NOT NULL,
    on_hand INTEGER NOT NULL CHECK (on_hand >= 0),
    held INTEGER NOT NULL CHECK (held >= 0),
    allocated INTEGER NOT NULL CHECK (allocated >= 0),
    unavailable INTEGER NOT NULL CHECK (unavailable >= 0),
    safety_stock INTEGER NOT NULL CHECK (safety_stock >= 0),
    incoming INTEGER NOT NULL CHECK (incoming >= 0),
    reorder_point INTEGER NOT NULL CHECK (reorder_point >= 0),
    PRIMARY KEY (sku, location)
) STRICT, WITHOUT ROWID;

CREATE TABLE locations (
    code TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- position: where the order was decided; newest first is the table's own order, backwards. body is the order as
-- JSON; fingerprint is that of the command that placed it.
CREATE TABLE orders (
    position INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    -- Not IN (…): SQLite would build a table of the words for each row.
    status TEXT NOT NULL CHECK (status = 'accepted' OR status = 'rejected' OR status = 'fulfilled'
        OR status = 'cancelled' OR status = 'returned'),
    customer TEXT,
    body TEXT NOT NULL,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 16)
) STRICT;
CREATE INDEX orders_of_customer ON orders (customer, position) WHERE customer IS NOT NULL;

CREATE TABLE holds (
    position INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    status TEXT NOT NULL CHECK (status = 'held' OR status = 'confirmed' OR status = 'released' OR status = 'expired'),
    customer TEXT,
    expires_at INTEGER NOT NULL,
    body TEXT NOT NULL,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 16)
) STRICT;
CREATE INDEX holds_of_customer ON holds (customer, position) WHERE customer IS NOT NULL;
CREATE INDEX holds_due ON holds (expires_at) WHERE status = 'held';

-- What became of commands that have no order or hold of their own, by command id and by Idempotency-Key.
-- at: when it was decided; pruned after 24 hours.
CREATE TABLE outcomes (
    key BLOB PRIMARY KEY CHECK (length(key) = 16),
    command BLOB NOT NULL,
    actor TEXT NOT NULL,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 16),
    outcome TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outcomes_by_age ON outcomes (at);

-- Commands that were answered 202 and are not decided yet. customer is set for orders that have one.
CREATE TABLE pending (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    since INTEGER NOT NULL,
    is_order INTEGER NOT NULL CHECK (is_order IN (0, 1)),
    customer TEXT,
    command TEXT NOT NULL
) STRICT;
CREATE INDEX pending_by_age ON pending (since);

-- A projection of the log, kept by a follower: what changed per SKU. number counts within one position.
CREATE TABLE movements (
    sku TEXT NOT NULL,
    position INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    location TEXT NOT NULL,
    delta INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    on_hand_after INTEGER NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT,
    order_id BLOB
) STRICT;
-- The rows lie in the order of the log and only this lies in that of the SKUs: a row is written next to the last one,
-- and of the pages that are written all over the place there are few.
CREATE UNIQUE INDEX movements_of_sku ON movements (sku, position, number);

-- On hand as the movements last recorded it.
CREATE TABLE movement_ends (
    sku TEXT NOT NULL,
    location TEXT NOT NULL,
    on_hand INTEGER NOT NULL,
    PRIMARY KEY (sku, location)
) STRICT, WITHOUT ROWID;

-- How far each follower has come.
CREATE TABLE cursors (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL CHECK (position >= 0)
) STRICT, WITHOUT ROWID;

-- Who may speak. Passwords as Argon2id strings, tokens and keys as SHA-256.
CREATE TABLE accounts (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    username TEXT NOT NULL COLLATE NOCASE UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('admin', 'staff', 'customer', 'service')),
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    account BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_account ON sessions (account);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE api_keys (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('admin', 'staff', 'customer', 'service')),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL
) STRICT;

-- Answers to idempotent calls on the tables above, without secrets.
CREATE TABLE answered (
    key BLOB PRIMARY KEY CHECK (length(key) = 16),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 16),
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX answered_by_age ON answered (at);

-- What processes tell each other outside the log; JSON bodies.
CREATE TABLE notes (
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
