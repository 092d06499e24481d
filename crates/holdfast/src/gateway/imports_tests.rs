//! Tests of imports: uploads, the register of jobs, and patience with a busy queue.

use std::io::Read;

use holdfast_bus::{NotTaken, local};
use holdfast_domain::CommandBody;
use holdfast_domain::command::PutLocation;
use holdfast_store::Database;
use serde_json::{Value, json};

use super::*;
use crate::gateway::dispatcher::Publishers;

fn claim(key: u128, file: &[u8], dry_run: bool) -> Claim {
    Claim { key: Uuid::from_u128(key), content: content(Sha256::new_with_prefix(file), dry_run) }
}

fn job(claim: Option<Claim>) -> Arc<Job> {
    Job::new(claim, false)
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
fn the_same_key_and_file_is_the_same_job_and_another_file_is_refused() {
    let imports = Imports::new();
    let first = job(Some(claim(1, b"sku\nA", false)));
    assert!(matches!(imports.register(&first), Ok(Registered::New)));
    let Ok(Registered::Before(before)) = imports.register(&job(Some(claim(1, b"sku\nA", false)))) else {
        panic!("the key is known");
    };
    assert_eq!(before.id, first.id);
    for other in [claim(1, b"sku\nB", false), claim(1, b"sku\nA", true)] {
        let problem = imports.register(&job(Some(other))).err().expect("another content");
        assert_eq!(
            (problem.status, problem.code),
            (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused")
        );
    }
    assert!(matches!(imports.register(&job(Some(claim(2, b"sku\nA", false)))), Ok(Registered::New)));
    assert_eq!(first.import_id(), Uuid::from_u128(1), "its commands are those of the key");
}

#[test]
fn the_oldest_finished_job_is_forgotten_first_and_a_running_one_never() {
    let imports = Imports::new();
    let (running, finished) = (job(None), job(None));
    finished.finish(None);
    for job in [&running, &finished] {
        assert!(imports.register(job).is_ok());
    }
    for _ in 2..=JOBS_MAX {
        let further = job(None);
        further.finish(None);
        assert!(imports.register(&further).is_ok());
    }
    assert_eq!(imports.lock().len(), JOBS_MAX);
    assert!(imports.job(running.id).is_some());
    assert!(imports.job(finished.id).is_none());
}

#[test]
fn a_job_says_how_it_stands() {
    let job = job(None);
    let shown = |job: &Job| serde_json::to_value(job.body()).expect("plain data");
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
}

#[test]
fn a_job_whose_task_breaks_off_is_failed_and_does_not_run_for_ever() {
    let job = job(None);
    drop(Finish(job.clone()));
    let body = job.body();
    assert_eq!(body.status, "failed");
    assert!(body.detail.is_some());
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
    let database = Database::open_sqlite(&folder.path().join("holdfast.db")).await.expect("a new database");
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
                    0 => delivery.settle(Err(NotTaken::Overloaded)),
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
    let database = Database::open_sqlite(&folder.path().join("holdfast.db")).await.expect("a new database");
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
