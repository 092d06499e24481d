-- Holdfast's first schema for PostgreSQL: the same tables as for SQLite. The log is the truth; every other table in the
-- first half is derived from it in the transaction that appends to it. Times are microseconds since 1970 UTC, money and
-- quantities are integers, keys sort by code point (COLLATE "C"). Released migrations never change.

-- Where the log ends: one row, which every deciding transaction locks first. Position 0 is before the first event.
CREATE TABLE log_head (
    id smallint PRIMARY KEY CHECK (id = 1),
    position bigint NOT NULL CHECK (position >= 0),
    decided_at bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);
INSERT INTO log_head (id, position, decided_at, hash) VALUES (1, 0, 0, decode(repeat('00', 32), 'hex'));

-- One row per batch. payload is {"v":1,"events":[...]}; hash chains it to the batch before.
CREATE TABLE log (
    last_position bigint PRIMARY KEY,
    first_position bigint NOT NULL CHECK (first_position BETWEEN 1 AND last_position),
    decided_at bigint NOT NULL,
    payload bytea NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);
-- Payloads are large, written once while others wait for the head, and read in whole: not worth compressing then.
ALTER TABLE log ALTER COLUMN payload SET STORAGE EXTERNAL;

-- The catalogue. body is the item as JSON.
CREATE TABLE items (
    sku text COLLATE "C" PRIMARY KEY,
    body text NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    archived boolean NOT NULL
);

-- Counters per SKU and location. The checks are the second line of defence behind the rules. Half of each page is left
-- for new versions of its rows, so that a sale changes no index.
CREATE TABLE stock (
    sku text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    on_hand bigint NOT NULL CHECK (on_hand >= 0),
    held bigint NOT NULL CHECK (held >= 0),
    allocated bigint NOT NULL CHECK (allocated >= 0),
    unavailable bigint NOT NULL CHECK (unavailable >= 0),
    safety_stock bigint NOT NULL CHECK (safety_stock >= 0),
    incoming bigint NOT NULL CHECK (incoming >= 0),
    reorder_point bigint NOT NULL CHECK (reorder_point >= 0),
    PRIMARY KEY (sku, location)
) WITH (fillfactor = 50);

CREATE TABLE locations (
    code text COLLATE "C" PRIMARY KEY,
    body text NOT NULL
);

-- position: where the order was decided; newest first is the primary key, backwards. body is the order as JSON;
-- fingerprint is that of the command that placed it.
CREATE TABLE orders (
    position bigint PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    status text NOT NULL CHECK (status IN ('accepted', 'rejected', 'fulfilled', 'cancelled', 'returned')),
    customer text COLLATE "C",
    body text NOT NULL,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 16)
);
CREATE INDEX orders_of_customer ON orders (customer, position) WHERE customer IS NOT NULL;

CREATE TABLE holds (
    position bigint PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    status text NOT NULL CHECK (status IN ('held', 'confirmed', 'released', 'expired')),
    customer text COLLATE "C",
    expires_at bigint NOT NULL,
    body text NOT NULL,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 16)
);
CREATE INDEX holds_of_customer ON holds (customer, position) WHERE customer IS NOT NULL;
CREATE INDEX holds_due ON holds (expires_at) WHERE status = 'held';

-- What became of commands that have no order or hold of their own, by command id and by Idempotency-Key.
-- at: when it was decided; pruned after 24 hours.
CREATE TABLE outcomes (
    key uuid PRIMARY KEY,
    command uuid NOT NULL,
    actor text NOT NULL,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 16),
    outcome text NOT NULL,
    at bigint NOT NULL
);
CREATE INDEX outcomes_by_age ON outcomes (at);

-- Commands that were answered 202 and are not decided yet. customer is set for orders that have one.
CREATE TABLE pending (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    since bigint NOT NULL,
    is_order boolean NOT NULL,
    customer text COLLATE "C",
    command text NOT NULL
);
CREATE INDEX pending_by_age ON pending (since);

-- A projection of the log, kept by a follower: what changed per SKU. number counts within one position.
CREATE TABLE movements (
    sku text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    number bigint NOT NULL,
    at bigint NOT NULL,
    kind text NOT NULL,
    location text NOT NULL,
    delta bigint NOT NULL,
    quantity bigint NOT NULL,
    on_hand_after bigint NOT NULL,
    actor text NOT NULL,
    reason text,
    order_id uuid,
    PRIMARY KEY (sku, position, number)
);

-- On hand as the movements last recorded it.
CREATE TABLE movement_ends (
    sku text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    on_hand bigint NOT NULL,
    PRIMARY KEY (sku, location)
) WITH (fillfactor = 50);

-- How far each follower has come.
CREATE TABLE cursors (
    name text COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL CHECK (position >= 0)
) WITH (fillfactor = 50);

-- Who may speak. Passwords as Argon2id strings, tokens and keys as SHA-256. Usernames are unique without regard to the
-- case of ASCII letters, whatever the database's locale.
CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    username text COLLATE "C" NOT NULL,
    role text NOT NULL CHECK (role IN ('admin', 'staff', 'customer', 'service')),
    disabled boolean NOT NULL,
    password_hash text NOT NULL,
    created_at bigint NOT NULL
);
CREATE UNIQUE INDEX accounts_by_name ON accounts (lower(username));

CREATE TABLE sessions (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    account uuid NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX sessions_of_account ON sessions (account);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    role text NOT NULL CHECK (role IN ('admin', 'staff', 'customer', 'service')),
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    created_at bigint NOT NULL
);

-- Answers to idempotent calls on the tables above, without secrets.
CREATE TABLE answered (
    key uuid PRIMARY KEY,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 16),
    status integer NOT NULL,
    body text NOT NULL,
    at bigint NOT NULL
);
CREATE INDEX answered_by_age ON answered (at);

-- What processes tell each other outside the log; JSON bodies. Rewritten every few seconds: half of each page is left for
-- new versions.
CREATE TABLE notes (
    name text COLLATE "C" PRIMARY KEY,
    body text NOT NULL,
    at bigint NOT NULL
) WITH (fillfactor = 50);
