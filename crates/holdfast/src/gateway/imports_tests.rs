//! Tests of imports: uploads, the register of jobs and their notes, and patience with a busy queue.

use std::io::Read;

use holdfast_bus::{NotTaken, local};
use holdfast_domain::CommandBody;
use holdfast_domain::command::PutLocation;
use serde_json::{Value, json};

use super::*;
use crate::gateway::dispatcher::Publishers;
use crate::import::RowError;

fn job() -> Arc<Job> {
    Job::new(true, false)
}

async fn database(folder: &tempfile::TempDir) -> Database {
    Database::open_sqlite(&folder.path().join("holdfast.db")).await.expect("a new database")
}

async fn found(imports: &Imports, database: &Database, id: Uuid) -> Option<Standing> {
    standing(imports, database, id).await.expect("a sound database")
}

#[tokio::test]
async fn a_body_arrives_whole_and_hashed_or_not_at_all() {
    let text = "sku,brand\nA,Taraka\n".repeat(200_000);
    let (mut file, hash) = spool(Body::from(text.clone()), 10_000_000).await.expect("small enough");
    let mut read = String::new();
    file.read_to_string(&mut read).expect("from its beginning");
    assert!(read == text);
    assert_eq!(hash.finalize(), Sha256::digest(&text));

    let refused = spool(Body::from(text), 1_000).await.expect_err("too large");
    assert_eq!((refused.status, refused.code), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
    let refused = spool(Body::empty(), 1_000).await.expect_err("empty");
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let parts: [Result<&str, std::io::Error>; 2] = [Ok("sku\n"), Err(std::io::Error::other("reset"))];
    let broken = Body::from_stream(futures_util::stream::iter(parts));
    assert_eq!(spool(broken, 1_000).await.expect_err("broken off").code, "unreadable_body");
}

#[test]
fn a_key_stands_for_a_file_and_what_was_to_be_done_with_it() {
    let of = |file: &[u8], dry_run| fingerprint(Sha256::new_with_prefix(file), dry_run);
    assert_eq!(of(b"sku\nA", false), of(b"sku\nA", false));
    assert_ne!(of(b"sku\nA", false), of(b"sku\nB", false));
    assert_ne!(of(b"sku\nA", false), of(b"sku\nA", true));
}

#[test]
fn a_job_takes_the_place_of_one_that_broke_off_and_not_of_one_that_runs() {
    let imports = Imports::new();
    let first = job();
    let second = Job::begun(first.id, true, false, first.started_at);
    assert!(imports.register(&first));
    assert!(!imports.register(&second));
    first.break_off("the database is away");
    assert!(imports.register(&second));
    assert_eq!(imports.lock().len(), 1);
    assert!(Arc::ptr_eq(&imports.job(first.id).expect("it is known"), &second));
}

#[test]
fn the_oldest_finished_job_is_forgotten_first_and_a_running_one_never() {
    let imports = Imports::new();
    let (running, finished) = (job(), job());
    finished.finish(None);
    for job in [&running, &finished] {
        assert!(imports.register(job));
    }
    for _ in 2..=JOBS_MAX {
        let further = job();
        further.finish(None);
        assert!(imports.register(&further));
    }
    assert_eq!(imports.lock().len(), JOBS_MAX);
    assert!(imports.job(running.id).is_some());
    assert!(imports.job(finished.id).is_none());
}

#[test]
fn a_job_says_how_it_stands() {
    let job = job();
    let shown = |job: &Job| serde_json::to_value(job.standing().job).expect("plain data");
    job.progress.send_modify(|progress| {
        progress.rows_read = 3;
        progress.rows_applied = 2;
    });
    let running = shown(&job);
    assert_eq!(
        (&running["status"], &running["rows_read"], &running["finished_at"]),
        (&json!("running"), &json!(3), &Value::Null)
    );
    assert_eq!(serde_json::to_value(job.first_answer()).expect("plain data")["rows_read"], json!(0));
    job.position.store(17, Ordering::Relaxed);
    job.finish(None);
    let done = shown(&job);
    assert_eq!(
        (&done["status"], &done["position"], done.get("detail")),
        (&json!("done"), &json!("17"), None)
    );
    job.progress.send_modify(|progress| progress.stopped = true);
    assert_eq!(shown(&job)["status"], json!("failed"), "the file was not read to its end");
    assert!(!job.standing().broke_off, "and will not be another time");
}

#[test]
fn a_job_whose_task_breaks_off_is_failed_and_does_not_run_for_ever() {
    let job = job();
    drop(Finish(job.clone()));
    let Standing { job, broke_off, .. } = job.standing();
    assert_eq!((job.status, broke_off), (Status::Failed, true));
    assert!(job.detail.is_some());
}

#[tokio::test]
async fn other_gateways_know_from_its_note_how_a_job_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(&folder).await;
    let (here, elsewhere) = (Imports::new(), Imports::new());
    let job = job();
    assert!(here.register(&job));
    assert!(found(&elsewhere, &database, job.id).await.is_none());
    job.progress.send_modify(|progress| {
        progress.rows_read = 3;
        progress.rows_failed = 1;
        progress.errors.push(RowError::new(2, None, "it is bad"));
    });
    job.position.store(17, Ordering::Relaxed);
    job.note(&database).await.expect("a sound database");
    let noted = found(&elsewhere, &database, job.id).await.expect("it is known");
    assert!(noted.keyed && !noted.broke_off);
    let shown = |body: &JobBody| serde_json::to_value(body).expect("plain data");
    assert_eq!(shown(&noted.job), shown(&job.standing().job));

    job.finish(None);
    let status = |standing: Option<Standing>| standing.expect("it is known").job.status;
    assert_eq!(status(found(&here, &database, job.id).await), Status::Done);
    assert_eq!(status(found(&elsewhere, &database, job.id).await), Status::Running);
    job.note_end(&database).await;
    assert_eq!(status(found(&elsewhere, &database, job.id).await), Status::Done);
    database.store.close().await;
}

#[tokio::test]
async fn what_broke_off_here_may_go_on_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(&folder).await;
    let (here, elsewhere) = (Imports::new(), Imports::new());
    let first = job();
    assert!(here.register(&first));
    first.break_off("the server is stopping");
    first.note_end(&database).await;
    for imports in [&here, &elsewhere] {
        let standing = found(imports, &database, first.id).await.expect("it is known");
        assert_eq!((standing.job.status, standing.broke_off), (Status::Failed, true));
    }
    let second = Job::begun(first.id, true, false, first.started_at);
    assert!(elsewhere.register(&second));
    second.note(&database).await.expect("a sound database");
    let standing = found(&here, &database, first.id).await.expect("it is known");
    assert_eq!((standing.job.status, standing.broke_off), (Status::Running, false));
    database.store.close().await;
}

#[test]
fn a_job_of_which_nothing_is_heard_has_broken_off() {
    for keyed in [true, false] {
        let job = Job::new(keyed, false);
        let noted = |seconds_ago: i64| {
            let body = serde_json::to_string(&job.standing()).expect("plain data");
            let at = clock::now().plus_seconds(-seconds_ago);
            Standing::read(&Note { name: note_name(job.id), body, at }).expect("it is readable")
        };
        let fresh = noted(20);
        assert_eq!((fresh.job.status, fresh.broke_off), (Status::Running, false));
        let silent = noted(31);
        assert_eq!((silent.job.status, silent.broke_off), (Status::Failed, true));
        assert!(silent.job.finished_at.is_some());
        let detail = silent.job.detail.expect("it says why");
        assert_eq!(detail.contains("Idempotency-Key"), keyed, "{detail}");
        job.finish(None);
        let done = noted(3_600);
        assert_eq!((done.job.status, done.broke_off), (Status::Done, false));
    }
    let unreadable = Note { name: note_name(Uuid::nil()), body: "{}".to_owned(), at: clock::now() };
    assert!(Standing::read(&unreadable).is_none());
}

#[tokio::test]
async fn notes_are_forgotten_after_a_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(&folder).await;
    let (old, new) = (job(), job());
    for job in [&old, &new] {
        job.note(&database).await.expect("a sound database");
    }
    let mut note = database.notes.note(&note_name(old.id)).await.expect("read").expect("it is there");
    note.at = clock::now().plus_seconds(-OUTCOME_HOURS * 3_600 - 1);
    database.notes.put_notes(vec![note]).await.expect("written");
    forget_old(&database).await;
    let imports = Imports::new();
    assert!(found(&imports, &database, old.id).await.is_none());
    assert!(found(&imports, &database, new.id).await.is_some());
    database.store.close().await;
}

#[test]
fn what_is_surely_no_csv_is_refused() {
    let kind = |text: &'static str| {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(text))]);
        check_kind(&headers).map_err(|problem| problem.status.as_u16())
    };
    assert_eq!(kind("text/csv; charset=utf-8"), Ok(()));
    assert_eq!(kind("Text/CSV"), Ok(()));
    assert_eq!(kind("application/json"), Err(415));
    assert!(check_kind(&HeaderMap::new()).is_ok());
}

fn put_location(id: Uuid) -> Command {
    let body: PutLocation =
        serde_json::from_value(json!({"code": "BLR", "name": "Bengaluru", "priority": 1}))
            .expect("a location");
    Command::new(id, Actor::system(), CommandBody::PutLocation(body))
}

#[tokio::test]
async fn commands_that_a_full_queue_refuses_are_sent_again_under_the_same_ids() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(&folder).await;
    let ((orders, _orders), (items, _items), (stock, mut end)) = (local(), local(), local());
    let dispatcher = Dispatcher::new(Publishers { orders, items, stock }, database.clone());
    let store = database.store.clone();
    let worker = tokio::spawn(async move {
        let mut seen = Vec::new();
        // Refused, lost by a worker that goes away, then decided.
        for round in 0..3 {
            let batch = end.batch(10).await.expect("the publisher is there");
            for delivery in batch {
                seen.push(delivery.commands[0].id);
                match round {
                    0 => delivery.settle(Err(NotTaken::Overloaded.into())),
                    1 => drop(delivery),
                    _ => {
                        let executed = store.execute(clock::now(), delivery.commands.clone()).await;
                        delivery.settle(Ok(executed.expect("a sound database").outcomes));
                    }
                }
            }
        }
        seen
    });
    let id = Uuid::now_v7();
    let (_stop, stopping) = watch::channel(false);
    let outcomes =
        decided(&dispatcher, vec![put_location(id)], stopping).await.expect("in the end it is decided");
    assert!(outcomes[0].result.is_ok());
    assert_eq!(worker.await.expect("no panic"), [id, id, id]);
    database.store.close().await;
}

#[tokio::test]
async fn an_import_gives_up_when_the_server_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(&folder).await;
    let ((orders, _), (items, _), (stock, end)) = (local(), local(), local());
    drop(end);
    let dispatcher = Dispatcher::new(Publishers { orders, items, stock }, database.clone());
    let (stop, stopping) = watch::channel(false);
    stop.send_replace(true);
    let error = decided(&dispatcher, vec![put_location(Uuid::now_v7())], stopping)
        .await
        .expect_err("nobody is there");
    assert!(error.to_string().contains("stopping"), "{error}");
    database.store.close().await;
}
