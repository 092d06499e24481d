//! The contract, and what only SQLite can be asked: files, locks and full disks.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use holdfast_domain::{Position, Sku, SkuState};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use super::Sqlite;
use crate::contract::books::check_books;
use crate::contract::planning::{Planning, PlanningLab};
use crate::contract::settling::check_upgrade;
use crate::contract::{
    Lab, answer, at, command, furnish, furnish_many, place, rejection, run, run_one, staff,
};
use crate::{Database, Image, Snapshot, Store, StoreError};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("inner/holdfast.db")
    }

    /// The database with its inside in reach.
    async fn open_inside(&self) -> (Arc<Sqlite>, Database) {
        let sqlite = Arc::new(Sqlite::open(&self.file()).await.expect("it opens"));
        let database = Database {
            store: sqlite.clone(),
            reads: sqlite.clone(),
            accounts: sqlite.clone(),
            notes: sqlite.clone(),
            name: "sqlite",
        };
        (sqlite, database)
    }
}

#[async_trait]
impl Lab for Folder {
    async fn open(&self) -> Database {
        Database::open_sqlite(&self.file()).await.expect("it opens")
    }

    async fn sql(&self, statement: &str) -> Result<(), String> {
        let connection = Connection::open(self.file()).map_err(|error| error.to_string())?;
        connection.execute_batch(statement).map_err(|error| error.to_string())
    }
}

#[async_trait]
impl PlanningLab for Folder {
    type Inside = Sqlite;

    async fn inside(&self) -> (Arc<Sqlite>, Database) {
        let (sqlite, database) = self.open_inside().await;
        sqlite.mind.lock().await.ahead_min = 1;
        (sqlite, database)
    }

    async fn pieces(&self) -> i64 {
        let connection = Connection::open(self.file()).expect("opened");
        connection.query_row("SELECT count(*) FROM stock_recent", [], |row| row.get(0)).expect("read")
    }
}

#[async_trait]
impl Planning for Sqlite {
    async fn has_foreseen(&self) -> bool {
        self.mind.lock().await.planner.has_foreseen()
    }

    async fn cache_at_most(&self, items: usize) {
        self.mind.lock().await.planner.cached_max = items;
    }

    async fn look_around(&self, database: &Database) {
        let snapshot = database.reads.snapshot().await.expect("read");
        self.look_up_in(Arc::new(Counted::new(snapshot))).await.expect("told");
    }
}

crate::contract_tests!(Folder::new());
crate::planning_tests!(Folder::new());

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let folder = Folder::new();
    folder.open().await.store.close().await;
    folder.sql("INSERT INTO schema_version (version) VALUES (99)").await.expect("written");
    let refused = Sqlite::open(&folder.file()).await.err();
    assert!(
        matches!(refused, Some(StoreError::Newer { found: 99, known: super::SCHEMA_VERSION })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn whoever_is_not_to_bring_a_database_to_this_version_is_told_that_it_is_older() {
    let folder = Folder::new();
    Database::check_sqlite(&folder.file()).expect("a new one is of this version");
    folder.open().await.store.close().await;
    Database::check_sqlite(&folder.file()).expect("it is of this version");
    let needed = super::SCHEMA_VERSION;
    folder.sql(&format!("DELETE FROM schema_version WHERE version = {needed}")).await.expect("deleted");
    let refused = Database::check_sqlite(&folder.file()).expect_err("it is older");
    assert!(
        matches!(refused, StoreError::Older { found, needed: n } if (found, n) == (needed - 1, needed)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_called_damaged() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.file().parent().expect("a parent")).expect("made");
    std::fs::write(folder.file(), "This is a letter, and no database. ".repeat(200)).expect("written");
    let refused = Sqlite::open(&folder.file()).await.err();
    assert!(matches!(refused, Some(StoreError::Damaged(_))), "{refused:?}");
}

#[tokio::test]
async fn commits_are_on_the_disk_and_the_log_is_written_ahead() {
    let folder = Folder::new();
    let (sqlite, _database) = folder.open_inside().await;
    let settings = sqlite.write(|writer| {
        let read = |name: &str| {
            writer.connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
        };
        Ok((read("journal_mode")?, read("synchronous")?))
    });
    let full = 2;
    assert_eq!(settings.await.expect("read"), ("wal".to_owned().into(), full.into()));
}

#[tokio::test]
async fn a_full_disk_fails_writes_whole_and_lets_reads_go_on() {
    let folder = Folder::new();
    let (sqlite, database) = folder.open_inside().await;
    furnish(&database).await;
    let limit = |pages: i64| {
        sqlite.write(move |writer| {
            let used: i64 = writer.connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let sql = format!("PRAGMA max_page_count = {}", used + pages);
            Ok(writer.connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?)
        })
    };
    limit(20).await.expect("set");
    let mut failure = None;
    for second in 0..1_000 {
        let batch = (0..20).map(|_| place("STRAP", 1)).collect();
        if let Err(error) = sqlite.execute(at(second), Arc::new(batch)).await {
            failure = Some(error);
            break;
        }
    }
    assert!(matches!(failure, Some(StoreError::Full(_))), "{failure:?}");
    check_books(&database).await;
    limit(100_000).await.expect("set");
    answer(&run_one(&database, 2_000, &place("WATCH", 1)).await);
    check_books(&database).await;
}

#[tokio::test]
async fn a_thread_to_spare_decides_by_itself_unless_somebody_writes_or_all_is_closed() {
    let folder = Folder::new();
    let (sqlite, database) = folder.open_inside().await;
    furnish(&database).await;
    let order = place("WATCH", 1);
    let here = |order: &holdfast_domain::Command| sqlite.execute_here(at(1), std::slice::from_ref(order));
    // Whoever has just written is answered a moment before the turn is given back.
    let surely = |order: &holdfast_domain::Command| {
        std::iter::repeat_with(|| here(order)).take(1_000_000).flatten().next().expect("nobody writes")
    };
    let executed = surely(&order).expect("it is executed");
    answer(&executed.outcomes[0]);
    assert!(executed.committed.is_some());
    assert!(run_one(&database, 1, &order).await.replayed, "the thread of the database knows of it");
    assert!(surely(&order).expect("it is executed").outcomes[0].replayed);

    let (begun, has_begun) = std::sync::mpsc::channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let other = sqlite.write(move |_writer| {
        begun.send(()).expect("somebody waits");
        wait.recv().expect("somebody goes on");
        Ok(())
    });
    let meanwhile = async {
        has_begun.recv().expect("it begins");
        let refused = here(&place("WATCH", 1)).is_none();
        go_on.send(()).expect("it waits");
        refused
    };
    let (written, refused) = tokio::join!(other, meanwhile);
    written.expect("it is written");
    assert!(refused, "somebody writes");
    check_books(&database).await;

    sqlite.close().await;
    assert!(here(&place("WATCH", 1)).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_borrows_the_writer_again_and_again_does_not_keep_its_own_thread_waiting() {
    let folder = Folder::new();
    let (sqlite, _database) = folder.open_inside().await;
    let (borrowed, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let borrower = {
        let (sqlite, borrowed, enough) = (sqlite.clone(), borrowed.clone(), enough.clone());
        tokio::task::spawn_blocking(move || {
            while !enough.load(Ordering::Relaxed) {
                let pause = |_: &mut _| std::thread::sleep(std::time::Duration::from_millis(1));
                if sqlite.write_here(pause).is_some() {
                    borrowed.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    for round in 0..20 {
        let before = borrowed.load(Ordering::Relaxed);
        let seen = borrowed.clone();
        let after = sqlite.write(move |_writer| Ok(seen.load(Ordering::Relaxed))).await.expect("written");
        // The one that was at work, and those that began while this was on its way.
        let meanwhile = after - before;
        assert!(meanwhile < 20, "round {round}: it was borrowed {meanwhile} times meanwhile");
    }
    enough.store(true, Ordering::Relaxed);
    borrower.await.expect("it ended");
    sqlite.close().await;
}

#[tokio::test]
async fn a_lock_of_another_process_is_waited_for_and_then_transient() {
    let folder = Folder::new();
    let (sqlite, database) = folder.open_inside().await;
    furnish(&database).await;
    sqlite
        .write(|writer| Ok(writer.connection.busy_timeout(std::time::Duration::from_millis(20))?))
        .await
        .expect("set");
    let other = Connection::open(folder.file()).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let refused = sqlite.execute(at(1), Arc::new(vec![place("WATCH", 1)])).await.err();
    assert!(refused.as_ref().is_some_and(StoreError::is_transient), "{refused:?}");
    other.execute_batch("ROLLBACK").expect("unlocked");
    answer(&run_one(&database, 1, &place("WATCH", 1)).await);
    check_books(&database).await;
}

#[tokio::test]
async fn a_backup_beside_writers_is_whole_and_overwrites_nothing() {
    let folder = Folder::new();
    let database = folder.open().await;
    furnish(&database).await;
    let writing = tokio::spawn({
        let database = database.clone();
        async move {
            for second in 0..50 {
                run(&database, second, (0..10).map(|_| place("STRAP", 1)).collect()).await;
            }
        }
    });
    let target = folder.0.path().join("copy.db");
    database.store.backup(&target).await.expect("copied");
    writing.await.expect("written");
    let size = std::fs::metadata(&target).expect("it is there").len();
    let refused = database.store.backup(&target).await.expect_err("it exists already");
    assert!(refused.to_string().contains("exists already"), "{refused}");
    assert_eq!(std::fs::metadata(&target).expect("it is there").len(), size);
    let files: Vec<_> = std::fs::read_dir(folder.0.path())
        .expect("read")
        .map(|entry| entry.expect("read").file_name())
        .collect();
    assert_eq!(files.len(), 2, "nothing half done is left: {files:?}");

    let copy = Database::open_sqlite(&target).await.expect("it opens");
    check_books(&copy).await;
    answer(&run_one(&copy, 100, &place("WATCH", 1)).await);
    check_books(&database).await;
}

#[tokio::test]
async fn closing_leaves_one_file() {
    let folder = Folder::new();
    let database = folder.open().await;
    furnish(&database).await;
    database.store.close().await;
    database.store.close().await;
    let files: Vec<_> = std::fs::read_dir(folder.file().parent().expect("a parent"))
        .expect("read")
        .map(|entry| entry.expect("read").file_name())
        .collect();
    assert_eq!(files, ["holdfast.db"], "the write-ahead log is empty and gone");
}

#[tokio::test]
async fn what_is_recent_is_in_one_view_and_after_closing_in_the_table() {
    let folder = Folder::new();
    let (sqlite, database) = folder.open_inside().await;
    furnish(&database).await;
    furnish_many(&database, 200).await;
    for turn in 0..30 {
        run(&database, turn, (0..200).map(|number| place(&format!("SKU-{number}"), 1)).collect()).await;
    }
    let count = |sql: &'static str| {
        sqlite.read(move |connection| Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?))
    };
    const IN_TABLE: &str = "SELECT sum(allocated) FROM stock";
    assert_eq!(count("SELECT sum(allocated) FROM stock_now").await.expect("read"), 30 * 200);
    let behind = count(IN_TABLE).await.expect("read");
    assert!(behind < 30 * 200, "not every row is written with its batch: {behind}");
    assert!(behind > 0, "some are");
    let pieces = count("SELECT count(*) FROM stock_recent").await.expect("read");
    assert!((1..30).contains(&pieces), "those that are of no use any more are gone: {pieces}");
    check_books(&database).await;
    database.store.close().await;

    let connection = Connection::open(folder.file()).expect("opened");
    let one = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("read");
    assert_eq!(one(IN_TABLE), 30 * 200);
    assert_eq!(one("SELECT count(*) FROM stock_recent"), 0);
}

/// An image that counts how often it is looked at.
struct Counted {
    snapshot: Mutex<Snapshot>,
    found: AtomicUsize,
}

impl Counted {
    fn new(snapshot: Snapshot) -> Self {
        Self { snapshot: Mutex::new(snapshot), found: AtomicUsize::new(0) }
    }
}

impl Image for Counted {
    fn position(&self) -> Position {
        self.snapshot.lock().expect("whole").position
    }

    fn sku(&self, sku: &Sku) -> Option<SkuState> {
        let snapshot = self.snapshot.lock().expect("whole");
        let state = snapshot.skus.iter().find(|state| state.item.sku == *sku)?;
        self.found.fetch_add(1, Ordering::Relaxed);
        Some(state.clone())
    }
}

#[tokio::test]
async fn an_image_is_looked_at_only_while_it_is_surely_true() {
    let folder = Folder::new();
    let database = folder.open().await;
    furnish(&database).await;
    database.store.close().await;

    let (database, other) = (folder.open().await, folder.open().await);
    let snapshot = database.reads.snapshot().await.expect("read");
    let image = Arc::new(Counted::new(snapshot));
    database.store.look_up_in(image.clone()).await.expect("told");
    let found = || image.found.load(Ordering::Relaxed);
    for turn in 0..2 {
        answer(&run_one(&database, turn, &place("WATCH", 1)).await);
        assert_eq!(found(), 1, "the second time it is at hand");
    }

    answer(&run_one(&other, 2, &place("STRAP", 1_000)).await);
    rejection(&run_one(&database, 3, &place("STRAP", 1)).await);
    answer(&run_one(&database, 4, &place("WATCH", 1)).await);
    assert_eq!(found(), 1, "it does not know what another process did");

    answer(&run_one(&other, 5, &place("WATCH", 11)).await);
    *image.snapshot.lock().expect("whole") = database.reads.snapshot().await.expect("read");
    answer(&run_one(&database, 6, &place("WATCH", 1)).await);
    assert_eq!(found(), 2, "it has seen all of that");
    rejection(&run_one(&database, 7, &place("WATCH", 1)).await);
    check_books(&database).await;
}

#[tokio::test]
async fn an_image_that_knows_more_locations_than_the_writer_is_not_planned_with() {
    let folder = Folder::new();
    let (sqlite, database) = folder.inside().await;
    furnish(&database).await;
    answer(&run_one(&database, 1, &place("WATCH", 1)).await);
    let other = folder.open().await;
    let opened = json!({"kind": "location.put", "code": "NORTH", "name": "North", "priority": 0});
    answer(&run_one(&other, 2, &command(staff(), opened)).await);
    let received = json!({"kind": "stock.receive", "sku": "STRAP", "location": "NORTH", "quantity": 1});
    answer(&run_one(&other, 2, &command(staff(), received)).await);
    sqlite.look_around(&database).await;
    answer(&run_one(&database, 3, &place("STRAP", 1)).await);
    check_books(&database).await;
}

#[tokio::test]
async fn the_write_ahead_log_is_copied_while_commits_go_on() {
    const COMMITS: usize = 200;
    const BYTES: usize = 1 << 20;
    let folder = Folder::new();
    let (sqlite, _database) = folder.open_inside().await;
    let ahead = folder.file().with_extension("db-wal");
    let mut longest = 0;
    for commit in 0..COMMITS {
        // SQLite does not write what is already there.
        let body = ["x", "y"][commit % 2].repeat(BYTES);
        let put = sqlite.write(move |writer| {
            let sql = "INSERT INTO notes (name, body, at) VALUES ('large', ?1, 0) \
                       ON CONFLICT (name) DO UPDATE SET body = excluded.body";
            Ok(writer.connection.execute(sql, [body])?)
        });
        assert_eq!(put.await.expect("written"), 1);
        longest = longest.max(std::fs::metadata(&ahead).expect("it is there").len());
    }
    assert!(longest < (COMMITS * BYTES / 2) as u64, "it begins anew, and does not keep it all: {longest}");
}

#[tokio::test]
async fn commits_find_room_in_the_file_of_the_write_ahead_log() {
    const PAGES: u64 = 4_000;
    let folder = Folder::new();
    let (_sqlite, database) = folder.open_inside().await;
    furnish(&database).await;
    let bytes = |file: PathBuf| std::fs::metadata(file).expect("it is there").len();
    let ahead = || bytes(folder.file().with_extension("db-wal"));
    let (short, main) = (ahead(), bytes(folder.file()));
    database.store.make_room().await.expect("made");
    let room = ahead();
    assert!(short < room && room >= PAGES * 4_096, "it had {short} bytes and has {room}");
    for second in 0..100 {
        answer(&run_one(&database, second, &place("STRAP", 1)).await);
    }
    assert_eq!(ahead(), room, "no commit lengthens it");
    assert_eq!(bytes(folder.file()), main, "the database is no larger for it");
    check_books(&database).await;
    database.store.close().await;
    assert!(bytes(folder.file()) < main + PAGES * 4_096 / 2, "nothing of it stays in the database");
    check_books(&folder.open().await).await;
}

#[tokio::test]
async fn without_room_on_the_disk_nothing_is_made_and_orders_are_taken() {
    let folder = Folder::new();
    let (sqlite, database) = folder.open_inside().await;
    furnish(&database).await;
    let limited = sqlite.write(|writer| {
        let used: i64 = writer.connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let sql = format!("PRAGMA max_page_count = {}", used + 200);
        Ok(writer.connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?)
    });
    limited.await.expect("set");
    let refused = database.store.make_room().await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    let cache = sqlite.write(|writer| {
        Ok(writer.connection.pragma_query_value(None, "cache_size", |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(cache.await.expect("read"), -super::WRITER_CACHE_KIB, "the cache is as large as before");
    answer(&run_one(&database, 1, &place("STRAP", 1)).await);
    check_books(&database).await;
}

#[tokio::test]
async fn a_database_of_the_first_version_is_brought_to_this_one() {
    let back = [
        "DROP VIEW stock_now",
        "DROP TABLE stock_recent",
        "DROP INDEX movements_of_sku",
        "CREATE UNIQUE INDEX movements_of_sku ON movements (sku, position, number)",
        "DELETE FROM schema_version WHERE version > 1",
    ];
    check_upgrade(&Folder::new(), &back).await;
}
