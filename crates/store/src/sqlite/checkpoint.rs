//! Copies the write-ahead log into the database, beside the writer: a little at a time, so that no commit waits long for the
//! disk. Once the log is long, the writer itself copies what came in between, and begins it anew.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::hooks::Wal;
use rusqlite::{Connection, TransactionBehavior};

use super::{READER_CACHE_KIB, WRITER_CACHE_KIB, cannot_open, prepare};
use crate::{Result, StoreError};

/// Pages (of 4 KiB) in the write-ahead log with which it is to begin anew.
const PAGES: i32 = 4_000;
/// Pages more that are worth copying.
const STEP_PAGES: i32 = 1_000;

/// Pages that the write-ahead log may get to have before it begins anew: some come while the others are copied.
const ROOM_PAGES: i64 = PAGES as i64 + 1_000;
const PAGE_BYTES: i64 = 4_096;

/// Nothing is being copied.
const IDLE: u8 = 0;
const COPYING: u8 = 1;
/// What was there is copied; what came since is not.
const COPIED: u8 = 2;

/// A thread with a connection of its own. It ends after the hook that orders its work.
pub(super) struct Checkpoints {
    thread: JoinHandle<()>,
}

impl Checkpoints {
    /// Lets the commits of `writer` start checkpoints of the database at `path`.
    pub(super) fn start(path: &Path, writer: &mut Connection) -> Result<Self> {
        let connection = Connection::open(path).map_err(|error| cannot_open(path, error))?;
        prepare(&connection, READER_CACHE_KIB)?;
        let (orders, taken) = sync_channel::<()>(1);
        let mut turn = Turn { state: Arc::new(AtomicU8::new(IDLE)), orders, pages: 0, next: STEP_PAGES };
        let state = Arc::clone(&turn.state);
        // Never closed: with any handle of a file that it closes a process loses all locks that it has on it, SQLite's too.
        let file = ManuallyDrop::new(File::open(path).map_err(|error| {
            StoreError::Other(format!("{} cannot be opened for checkpoints: {error}", path.display()))
        })?);
        let body = move || {
            while taken.recv().is_ok() {
                // What cannot be copied now, for a full disk or a busy reader, is copied another time.
                if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
                    tracing::debug!(%error, "the write-ahead log could not be copied");
                }
                // SQLite leaves this to a checkpoint that comes to the end of the log, which is the writer's, and would take
                // as long as all pages before it.
                if let Err(error) = file.sync_data() {
                    // A disk says so once, and may have lost what it was given. The state stays as it is: nobody copies any more.
                    tracing::error!(%error, "the database did not get onto the disk; until this process ends its write-ahead log is not begun anew");
                    break;
                }
                state.store(COPIED, Ordering::Release);
            }
        };
        let thread = thread::Builder::new().name("sqlite-checkpoint".to_owned()).spawn(body);
        let thread =
            thread.map_err(|error| StoreError::Other(format!("no thread for the database: {error}")))?;
        writer.wal_hook(Some(move |wal: &mut Wal, pages| {
            turn.committed(wal, pages);
            Ok(())
        }))?;
        Ok(Self { thread })
    }

    /// Waits until no checkpoint is under way, and lets `writer` start no more.
    pub(super) fn stop(self, writer: &mut Connection) {
        let gone = writer.wal_hook(None::<fn(&mut Wal, i32) -> rusqlite::Result<()>>);
        if gone.is_ok() {
            drop(self.thread.join());
        }
    }
}

/// Makes the file of the write-ahead log as long as it gets before it begins anew. A commit that lengthens a file waits
/// for the file system's own journal too; one that writes where something was before does not.
pub(super) fn make_room(connection: &mut Connection) -> Result<()> {
    // Pages for which there is no room in the cache go to the write-ahead log before their transaction ends, which this
    // one does without a trace.
    connection.pragma_update(None, "cache_size", 1)?;
    let filled = fill(connection);
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    filled?;
    // The first commit would wait for all of it to get to the disk.
    Ok(connection.execute("UPDATE schema_version SET version = version", []).map(drop)?)
}

fn fill(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch("CREATE TABLE room (bytes BLOB) STRICT")?;
    transaction.execute("INSERT INTO room VALUES (zeroblob(?1))", [ROOM_PAGES * PAGE_BYTES])?;
    Ok(transaction.rollback()?)
}

/// Whose turn it is: the thread copies what is there; of a long log, the commit after it copies the little that came since,
/// so that the next one begins anew.
struct Turn {
    state: Arc<AtomicU8>,
    orders: SyncSender<()>,
    /// Pages in the write-ahead log after the last commit, and from how many on they are copied.
    pages: i32,
    next: i32,
}

impl Turn {
    fn committed(&mut self, wal: &mut Wal, pages: i32) {
        if pages < self.pages {
            self.next = STEP_PAGES;
        }
        self.pages = pages;
        match self.state.load(Ordering::Acquire) {
            IDLE if pages >= self.next => {
                self.state.store(COPYING, Ordering::Release);
                if self.orders.try_send(()).is_err() {
                    self.state.store(IDLE, Ordering::Release);
                }
            }
            COPIED => {
                if pages >= PAGES {
                    // The commit itself is done: whatever becomes of this.
                    if let Err(error) = wal.checkpoint() {
                        tracing::debug!(%error, "the write-ahead log could not be copied");
                    }
                }
                let next = pages + STEP_PAGES;
                self.next = if pages < PAGES { next.min(PAGES) } else { next };
                self.state.store(IDLE, Ordering::Release);
            }
            _idle_or_copying => {}
        }
    }
}
