//! `/v1/imports`: a CSV file of items with stock. The upload is answered when it has arrived whole; then a job works
//! it off through the same queues as everybody else's commands, and tells how far it is.
//!
//! Jobs are in memory: a restart forgets them. Nothing is lost by that: a file that is sent again under the same
//! `Idempotency-Key` makes the same commands, and what was done stays done.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Seek, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::Json as JsonAnswer;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use holdfast_bus::ENVELOPE_COMMANDS_MAX;
use holdfast_domain::{Actor, Command, Outcome, Position, Sku, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use uuid::Uuid;

use super::alarm::Alarm;
use super::answer::{REPLAYED, with_position};
use super::caller::{Access, Caller, header_text};
use super::dispatcher::Dispatcher;
use super::items::flag;
use super::openapi::operation::Operation;
use super::openapi::shapes::about;
use super::problem::{Answer, Problem};
use super::request::{AtLeast, Query, Write, path_value};
use super::{AppState, Routes};
use crate::clock;
use crate::import::{Options, Progress, import};

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// How long an upload may pause.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Bytes that are gathered before they go to the disk.
const WRITE_BYTES: usize = 1 << 20;
/// Files that arrive or are worked off at the same time.
const RUNNING_MAX: usize = 4;
/// Envelopes that an import has under way: while one is decided the next ones wait for their turn.
const ENVELOPES_AT_ONCE: usize = 4;
/// Jobs that are remembered, running ones included.
const JOBS_MAX: usize = 100;
/// How long a job tries to get the same commands decided.
const PATIENCE: Duration = Duration::from_secs(600);
/// Pauses between two tries.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

pub fn routes(routes: Routes) -> Routes {
    let csv = about("CSV with a header line", json!({ "type": "string", "minLength": 1 }));
    let started = Operation::post("/v1/imports", "create_import", "Import items with stock from CSV")
        .flag("dry_run", "Only checks the file")
        .brings("text/csv", csv, true)
        .answers(202, "ImportJob")
        .refuses(&[413, 422, 503]);
    let shown = Operation::get("/v1/imports/{id}", "get_import", "Progress and the bad rows")
        .answers(200, "ImportJob")
        .refuses(&[404]);
    routes.on(Access::Staff, started, start).on(Access::Staff, shown, one)
}

/// The jobs of this process, oldest first.
pub struct Imports {
    jobs: Mutex<VecDeque<Arc<Job>>>,
    places: Arc<tokio::sync::Semaphore>,
}

/// What an `Idempotency-Key` stands for: the key, and a hash of the file and how it was to be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim {
    key: Uuid,
    content: [u8; 32],
}

struct Job {
    id: Uuid,
    claim: Option<Claim>,
    dry_run: bool,
    started_at: Timestamp,
    progress: watch::Sender<Progress>,
    /// Of the last command that was decided; 0: none yet.
    position: AtomicU64,
    end: Mutex<Option<End>>,
}

#[derive(Debug, Clone)]
struct End {
    at: Timestamp,
    /// Why it failed.
    trouble: Option<String>,
}

/// What became of a claim.
enum Registered {
    New,
    /// The same key came with the same file before.
    Before(Arc<Job>),
}

impl Default for Imports {
    fn default() -> Self {
        Self::new()
    }
}

impl Imports {
    pub fn new() -> Self {
        Self { jobs: Mutex::default(), places: Arc::new(tokio::sync::Semaphore::new(RUNNING_MAX)) }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn job(&self, id: Uuid) -> Option<Arc<Job>> {
        self.lock().iter().find(|job| job.id == id).cloned()
    }

    /// Remembers a job, unless its key is known already.
    fn register(&self, job: &Arc<Job>) -> Result<Registered, Problem> {
        let mut jobs = self.lock();
        if let Some(claim) = job.claim
            && let Some(before) = jobs.iter().find(|known| known.claim.is_some_and(|c| c.key == claim.key))
        {
            return if before.claim == Some(claim) {
                Ok(Registered::Before(before.clone()))
            } else {
                Err(Problem::from(&holdfast_domain::Rejection::CommandIdReused))
            };
        }
        // At most RUNNING_MAX of them run, so there is always one that does not.
        if jobs.len() >= JOBS_MAX
            && let Some(oldest) = jobs.iter().position(|job| job.end().is_some())
        {
            jobs.remove(oldest);
        }
        jobs.push_back(job.clone());
        Ok(Registered::New)
    }
}

/// An import as the API shows it. Rows are those below the header.
#[derive(Debug, Serialize)]
struct JobBody {
    id: Uuid,
    status: &'static str,
    dry_run: bool,
    #[serde(flatten)]
    progress: Progress,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The last change that it made: a read with `Holdfast-At-Least` of this sees all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
}

impl Job {
    fn new(claim: Option<Claim>, dry_run: bool) -> Arc<Self> {
        Arc::new(Self {
            id: Uuid::now_v7(),
            claim,
            dry_run,
            started_at: clock::now(),
            progress: watch::Sender::new(Progress::default()),
            position: AtomicU64::new(0),
            end: Mutex::default(),
        })
    }

    /// Names the import for its commands: repeated under the same key, it makes the same ones.
    fn import_id(&self) -> Uuid {
        self.claim.map_or(self.id, |claim| claim.key)
    }

    fn end(&self) -> Option<End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn finish(&self, trouble: Option<String>) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.get_or_insert(End { at: clock::now(), trouble });
    }

    fn first_answer(&self) -> JobBody {
        JobBody {
            id: self.id,
            status: "running",
            dry_run: self.dry_run,
            progress: Progress::default(),
            started_at: self.started_at,
            finished_at: None,
            detail: None,
            position: None,
        }
    }

    fn body(&self) -> JobBody {
        // The end first: what is read after it is the last of the progress.
        let end = self.end();
        let progress = self.progress.borrow().clone();
        let position = Some(Position(self.position.load(Ordering::Relaxed))).filter(|at| at.0 > 0);
        let Some(End { at, trouble }) = end else {
            return JobBody { progress, position, ..self.first_answer() };
        };
        // A file that could not be read to its end failed, even if the rows before that are in.
        let stopped = progress.errors.last().filter(|_| progress.stopped).map(ToString::to_string);
        let detail = trouble.or(stopped);
        let status = if detail.is_some() || progress.stopped { "failed" } else { "done" };
        JobBody { status, progress, position, finished_at: Some(at), detail, ..self.first_answer() }
    }
}

/// Ends a job whichever way its task goes, by panic too.
struct Finish(Arc<Job>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0
            .finish(Some("The import ended unexpectedly; what is counted as applied is applied.".to_owned()));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StartQuery {
    dry_run: Option<String>,
}

async fn start(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Query(query): Query<StartQuery>,
    request: Request,
) -> Answer {
    let actor = caller.actor()?;
    let dry_run = flag("dry_run", query.dry_run.as_ref())?;
    check_kind(request.headers())?;
    let place = state.imports.places.clone().try_acquire_owned().map_err(|_| {
        Problem::unavailable(
            "overloaded",
            format!("{RUNNING_MAX} imports are running already; it was not taken."),
        )
    })?;
    let (file, hash) = spool(request.into_body(), FILE_BYTES_MAX).await?;
    let claim = write.key.map(|key| Claim { key, content: content(hash, dry_run) });
    let job = Job::new(claim, dry_run);
    let job = match state.imports.register(&job)? {
        Registered::Before(before) => return Ok(accepted(&state, &before, true)),
        Registered::New => job,
    };
    let response = accepted(&state, &job, false);
    tokio::spawn(async move {
        run(state, job, file, actor).await;
        drop(place);
    });
    Ok(response)
}

/// What a key stands for: the file and whether it is only to be checked.
fn content(file: Sha256, dry_run: bool) -> [u8; 32] {
    file.chain_update([u8::from(dry_run)]).finalize().into()
}

fn accepted(state: &AppState, job: &Job, replayed: bool) -> Response {
    let mut response = with_position(StatusCode::ACCEPTED, state.model.position(), &job.first_answer());
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/imports/{}", job.id)) {
        headers.insert(header::LOCATION, location);
    }
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

fn check_kind(headers: &HeaderMap) -> Result<(), Problem> {
    let kind =
        header_text(headers, "content-type").map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let known =
        ["text/csv", "application/csv", "application/vnd.ms-excel", "text/plain", "application/octet-stream"];
    if kind.is_none_or(|kind| known.iter().any(|known| kind.eq_ignore_ascii_case(known))) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "The body must be text/csv.",
    ))
}

/// Puts a body into a file without a name, which goes away with the last handle to it, and hashes it on the way.
async fn spool(body: Body, bytes_max: u64) -> Result<(File, Sha256), Problem> {
    let unreadable =
        || Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", "The body did not arrive whole.");
    let mut parts = body.into_data_stream();
    let mut spool = on_disk(|| Ok(Spool { file: tempfile::tempfile()?, hash: Sha256::new() })).await?;
    let mut gathered: Vec<Bytes> = Vec::new();
    let (mut bytes, mut waiting) = (0_u64, 0);
    loop {
        let part = tokio::time::timeout(IDLE_MAX, parts.next()).await.map_err(|_elapsed| unreadable())?;
        let Some(part) = part else { break };
        let part = part.map_err(|_| unreadable())?;
        bytes += part.len() as u64;
        if bytes > bytes_max {
            let detail = format!("The file is larger than {bytes_max} bytes.");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail));
        }
        waiting += part.len();
        gathered.push(part);
        if waiting >= WRITE_BYTES {
            let parts = std::mem::take(&mut gathered);
            waiting = 0;
            spool = on_disk(move || spool.write(&parts)).await?;
        }
    }
    if bytes == 0 {
        return Err(Problem::invalid("", "the body must be a CSV file"));
    }
    let spool = on_disk(move || {
        let mut spool = spool.write(&gathered)?;
        spool.file.rewind()?;
        Ok(spool)
    })
    .await?;
    Ok((spool.file, spool.hash))
}

struct Spool {
    file: File,
    hash: Sha256,
}

impl Spool {
    fn write(mut self, parts: &[Bytes]) -> std::io::Result<Self> {
        for part in parts {
            self.file.write_all(part)?;
            self.hash.update(part);
        }
        Ok(self)
    }
}

/// Runs what waits for the disk where it may wait.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    let done =
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    done.map_err(|error| {
        tracing::error!(%error, "an uploaded file could not be kept");
        Problem::unavailable("unavailable", "The server has no room for the file now; it was not taken.")
    })
}

/// Works a file off and says how it ended.
async fn run(state: AppState, job: Arc<Job>, file: File, actor: Actor) {
    let finish = Finish(job.clone());
    let options = Options {
        dry_run: job.dry_run,
        actor,
        import_id: job.import_id(),
        locations: state.model.locations().into_iter().map(|location| location.code).collect(),
        rows_at_once: ENVELOPES_AT_ONCE * ENVELOPE_COMMANDS_MAX,
    };
    let stopping = state.stopping.clone();
    let execute = |commands: Vec<Command>| {
        let (dispatcher, job, stopping) = (state.dispatcher.clone(), job.clone(), stopping.clone());
        async move {
            let envelopes = commands.chunks(ENVELOPE_COMMANDS_MAX);
            let all = envelopes.map(|some| decided(&dispatcher, some.to_vec(), stopping.clone()));
            let outcomes = try_join_all(all).await?.concat();
            let last = outcomes.iter().map(|outcome| outcome.position.0).max().unwrap_or_default();
            job.position.fetch_max(last, Ordering::Relaxed);
            Ok(outcomes)
        }
    };
    let known = |sku: &Sku| state.model.stock(sku).map(|(stock, _)| stock);
    let result = import(file, options, execute, known, &job.progress).await;
    match result {
        Ok(progress) => {
            let (read, applied, failed) = (progress.rows_read, progress.rows_applied, progress.rows_failed);
            tracing::info!(job = %job.id, dry_run = job.dry_run, read, applied, failed, "an import ended");
            job.finish(None);
        }
        Err(error) => {
            tracing::warn!(job = %job.id, error = format!("{error:#}"), "an import failed");
            job.finish(Some(format!("{error:#}; what is counted as applied is applied")));
        }
    }
    drop(finish);
}

/// Gets commands decided, however busy the queue is: those that were not taken, or not decided in time, are sent
/// again. Their ids make that safe.
async fn decided(
    dispatcher: &Dispatcher,
    commands: Vec<Command>,
    mut stopping: watch::Receiver<bool>,
) -> anyhow::Result<Vec<Outcome>> {
    let until = Instant::now() + PATIENCE;
    let mut pause = RETRY_FIRST;
    let alarm = Alarm::new();
    loop {
        let trouble = match dispatcher.submit_envelope(commands.clone(), false, &alarm).await {
            Ok(Some(outcomes)) => return Ok(outcomes),
            Ok(None) => "it was not decided in time".to_owned(),
            Err(problem)
                if matches!(
                    problem.status,
                    StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
                ) =>
            {
                problem.detail
            }
            Err(problem) => bail!("{}", problem.detail),
        };
        if Instant::now() + pause > until {
            bail!("it was tried for {} s: {trouble}", PATIENCE.as_secs());
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_MAX),
            stop = stopping.wait_for(|stop| *stop) => {
                stop.context("the server ended")?;
                bail!("the server is stopping: send the file again under the same Idempotency-Key to go on");
            }
        }
    }
}

async fn one(State(state): State<AppState>, _at_least: AtLeast, Path(id): Path<String>) -> Answer {
    let id: Uuid = path_value(&id, "import")?;
    let job = state.imports.job(id).ok_or_else(|| Problem::not_found("import"))?;
    Ok(JsonAnswer(job.body()).into_response())
}

#[cfg(test)]
#[path = "imports_tests.rs"]
mod tests;
