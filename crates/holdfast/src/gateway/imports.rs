//! `/v1/imports`: a CSV file of items with stock. The upload is answered when it has arrived whole; then a job works
//! it off through the same queues as everybody else's commands, and tells how far it is.
//!
//! A job runs in one process, which writes down how it stands: a note in the database every two seconds and at the end.
//! Every gateway shows that, and after a restart this one does. A job of which nothing was heard for half a minute has
//! broken off.
//!
//! What an `Idempotency-Key` was answered is recorded before anything is executed. The same file under the same key gets
//! that answer again; if its job broke off, it goes on: it makes the same commands, and what was decided stays decided.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{Seek, Write as _};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use axum::Json as JsonAnswer;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use holdfast_bus::ENVELOPE_COMMANDS_MAX;
use holdfast_domain::{Actor, Command, Outcome, Position, Sku, Timestamp};
use holdfast_store::accounts::Answered;
use holdfast_store::notes::Note;
use holdfast_store::{Database, OUTCOME_HOURS, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, watch};
use uuid::Uuid;

use super::accounts::{answered, earlier, replay, shortened};
use super::alarm::Alarm;
use super::answer::with_position;
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
use crate::lifecycle::told;

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
/// Jobs that are in memory, running ones included.
const JOBS_MAX: usize = 100;
/// The note of a job is `import/ID`.
const NOTES: &str = "import/";
/// How often a job writes down how it stands.
const NOTE_EVERY: Duration = Duration::from_secs(2);
/// A job that runs and has written nothing for this long has broken off.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// A job that broke off may go on for this long after its beginning: as long as its outcomes are surely remembered.
const GOES_ON_MAX: Duration = Duration::from_secs((OUTCOME_HOURS as u64 - 1) * 3_600);
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

struct Job {
    id: Uuid,
    /// It came with an `Idempotency-Key`.
    keyed: bool,
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
    /// Why it broke off.
    trouble: Option<String>,
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

    /// Remembers a job, in place of one that broke off under its id; `false` if that one still runs.
    fn register(&self, job: &Arc<Job>) -> bool {
        let mut jobs = self.lock();
        let same = jobs.iter().position(|known| known.id == job.id);
        if same.is_some_and(|same| jobs[same].end().is_none()) {
            return false;
        }
        // At most RUNNING_MAX of them run, so there is always one that does not.
        let oldest = || jobs.iter().position(|job| job.end().is_some()).filter(|_| jobs.len() >= JOBS_MAX);
        if let Some(over) = same.or_else(oldest) {
            jobs.remove(over);
        }
        jobs.push_back(job.clone());
        true
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Running,
    Done,
    Failed,
}

/// An import as the API shows it. Rows are those below the header.
#[derive(Debug, Serialize, Deserialize)]
struct JobBody {
    id: Uuid,
    status: Status,
    dry_run: bool,
    #[serde(flatten)]
    progress: Progress,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The last change that it made: a read with `Holdfast-At-Least` of this sees all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
}

/// How a job stands, as its note has it.
#[derive(Debug, Serialize, Deserialize)]
struct Standing {
    keyed: bool,
    /// It ended before its file did.
    broke_off: bool,
    job: JobBody,
}

impl Standing {
    /// From its note; `None` if that is nothing that this version can read.
    fn read(note: &Note) -> Option<Self> {
        let mut standing: Self = match serde_json::from_str(&note.body) {
            Ok(standing) => standing,
            Err(error) => {
                tracing::warn!(name = note.name, %error, "the note of an import cannot be read");
                return None;
            }
        };
        if standing.job.status == Status::Running && clock::since(note.at) > SILENT_MAX {
            standing.broke_off = true;
            standing.job.status = Status::Failed;
            standing.job.finished_at = Some(note.at);
            standing.job.detail = Some(broken_off("the server that ran it is gone", standing.keyed));
        }
        Some(standing)
    }
}

/// What to tell about a job that broke off.
fn broken_off(why: &str, keyed: bool) -> String {
    let advice = if keyed {
        "send the file again under the same Idempotency-Key to go on, nothing is done twice"
    } else {
        "send the file again, its quantities are then set once more"
    };
    let why = why.trim_end_matches('.');
    format!("It broke off: {why}. What is counted as applied is applied; {advice}.")
}

fn note_name(id: Uuid) -> String {
    format!("{NOTES}{id}")
}

impl Job {
    fn new(keyed: bool, dry_run: bool) -> Arc<Self> {
        Self::begun(Uuid::now_v7(), keyed, dry_run, clock::now())
    }

    fn begun(id: Uuid, keyed: bool, dry_run: bool, started_at: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            id,
            keyed,
            dry_run,
            started_at,
            progress: watch::Sender::new(Progress::default()),
            position: AtomicU64::new(0),
            end: Mutex::default(),
        })
    }

    fn end(&self) -> Option<End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first end counts.
    fn finish(&self, trouble: Option<String>) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.get_or_insert(End { at: clock::now(), trouble });
    }

    fn break_off(&self, why: &str) {
        self.finish(Some(broken_off(why, self.keyed)));
    }

    fn first_answer(&self) -> JobBody {
        JobBody {
            id: self.id,
            status: Status::Running,
            dry_run: self.dry_run,
            progress: Progress::default(),
            started_at: self.started_at,
            finished_at: None,
            detail: None,
            position: None,
        }
    }

    fn standing(&self) -> Standing {
        // The end first: what is read after it is the last of the progress.
        let end = self.end();
        let progress = self.progress.borrow().clone();
        let position = Some(Position(self.position.load(Ordering::Relaxed))).filter(|at| at.0 > 0);
        let broke_off = end.as_ref().is_some_and(|end| end.trouble.is_some());
        let job = match end {
            None => JobBody { progress, position, ..self.first_answer() },
            Some(End { at, trouble }) => {
                // A file that could not be read to its end failed, even if the rows before that are in.
                let stopped = progress.errors.last().filter(|_| progress.stopped).map(ToString::to_string);
                let detail = trouble.or(stopped);
                let failed = detail.is_some() || progress.stopped;
                let status = if failed { Status::Failed } else { Status::Done };
                JobBody { status, progress, position, finished_at: Some(at), detail, ..self.first_answer() }
            }
        };
        Standing { keyed: self.keyed, broke_off, job }
    }

    /// Writes down how it stands.
    async fn note(&self, database: &Database) -> Result<(), StoreError> {
        let body = serde_json::to_string(&self.standing()).expect("how a job stands is plain data");
        database.notes.put_notes(vec![Note { name: note_name(self.id), body, at: clock::now() }]).await
    }

    /// Writes down how it ended, also when the database is away for a while: without that it would have broken off.
    async fn note_end(&self, database: &Database) {
        let until = Instant::now() + PATIENCE;
        while let Err(error) = self.note(database).await {
            if Instant::now() > until {
                tracing::warn!(job = %self.id, %error, "how an import ended could not be written down");
                return;
            }
            tokio::time::sleep(RETRY_MAX).await;
        }
    }
}

/// Ends a job whichever way its task goes, by panic too.
struct Finish(Arc<Job>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.break_off("it ended unexpectedly");
    }
}

/// How a job stands, wherever it runs or ran; `None`: there is none with this id, or it is forgotten.
async fn standing(imports: &Imports, database: &Database, id: Uuid) -> Result<Option<Standing>, StoreError> {
    let here = imports.job(id).map(|job| job.standing());
    if here.as_ref().is_some_and(|here| !here.broke_off) {
        return Ok(here);
    }
    // What broke off here may have gone on elsewhere.
    let note = database.notes.note(&note_name(id)).await?;
    Ok(note.as_ref().and_then(Standing::read).or(here))
}

/// A file that has arrived, in whose name, and its place among those that are worked off.
struct Upload {
    file: File,
    actor: Actor,
    place: OwnedSemaphorePermit,
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
    let upload = Upload { file, actor, place };
    let fingerprint = fingerprint(hash, dry_run);
    if let Some(earlier) = earlier(&state, &write).await? {
        return again(state, earlier, fingerprint, upload).await;
    }
    let job = Job::new(write.key.is_some(), dry_run);
    let first = serde_json::to_value(job.first_answer()).expect("a job is plain data");
    // Before its key is taken: whoever finds the key finds how the job stands.
    job.note(&state.database).await?;
    if let Some(answered) = answered(&write, fingerprint, StatusCode::ACCEPTED, &first)
        && let Some(earlier) = state.database.accounts.record(answered).await?
    {
        // The same key came at the same time, and was first.
        state.database.notes.delete_note(&note_name(job.id)).await?;
        return again(state, earlier, fingerprint, upload).await;
    }
    let response = with_position(StatusCode::ACCEPTED, state.model.position(), &first);
    let response = located(response, job.id);
    begin(state, job, upload);
    Ok(response)
}

/// The first answer under a key again. If its job broke off, it goes on with the same file.
async fn again(state: AppState, earlier: Answered, fingerprint: [u8; 16], upload: Upload) -> Answer {
    let first: JobBody = serde_json::from_str(&earlier.body).map_err(|error| {
        tracing::error!(%error, "what an import was answered cannot be read");
        Problem::internal()
    })?;
    // Another file goes no further than here.
    let response = replay(&state, earlier, fingerprint).await?;
    if clock::since(first.started_at) < GOES_ON_MAX {
        let before = standing(&state.imports, &state.database, first.id).await?;
        if before.is_none_or(|before| before.broke_off) {
            let job = Job::begun(first.id, true, first.dry_run, first.started_at);
            job.note(&state.database).await?;
            begin(state, job, upload);
        }
    }
    Ok(located(response, first.id))
}

/// What a key stands for: the file and whether it is only to be checked.
fn fingerprint(file: Sha256, dry_run: bool) -> [u8; 16] {
    shortened(file.chain_update([u8::from(dry_run)]).finalize().into())
}

/// Works a file off, unless somebody has just begun with the same job.
fn begin(state: AppState, job: Arc<Job>, upload: Upload) {
    if state.imports.register(&job) {
        tokio::spawn(run(state, job, upload));
    }
}

/// Says where the job is found.
fn located(mut response: Response, id: Uuid) -> Response {
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/imports/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
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
async fn run(state: AppState, job: Arc<Job>, upload: Upload) {
    let finish = Finish(job.clone());
    let Upload { file, actor, place } = upload;
    forget_old(&state.database).await;
    let result = worked_off(&state, &job, file, actor).await;
    match result {
        Ok(progress) => {
            let (read, applied, failed) = (progress.rows_read, progress.rows_applied, progress.rows_failed);
            tracing::info!(job = %job.id, dry_run = job.dry_run, read, applied, failed, "an import ended");
            job.finish(None);
        }
        Err(error) => {
            tracing::warn!(job = %job.id, error = format!("{error:#}"), "an import broke off");
            job.break_off(&format!("{error:#}"));
        }
    }
    drop((finish, place));
    job.note_end(&state.database).await;
}

/// Deletes the notes of jobs that have been over for as long as their keys are remembered.
async fn forget_old(database: &Database) {
    let before = clock::now().plus_seconds(-OUTCOME_HOURS * 3_600);
    if let Err(error) = database.notes.prune_notes(NOTES, before).await {
        tracing::warn!(%error, "the notes of old imports could not be deleted");
    }
}

/// Executes a file's rows and writes down meanwhile how the job stands.
async fn worked_off(state: &AppState, job: &Arc<Job>, file: File, actor: Actor) -> anyhow::Result<Progress> {
    let options = Options {
        dry_run: job.dry_run,
        actor,
        import_id: job.id,
        locations: state.model.locations().into_iter().map(|location| location.code).collect(),
        rows_at_once: ENVELOPES_AT_ONCE * ENVELOPE_COMMANDS_MAX,
    };
    let mut stopping = state.stopping.clone();
    let execute = |commands: Vec<Command>| {
        let (dispatcher, job, stopping) = (state.dispatcher.clone(), job.clone(), state.stopping.clone());
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
    let decided_before = |commands: Vec<Uuid>| {
        let (reads, keyed) = (state.database.reads.clone(), job.keyed);
        async move {
            let mut found: HashSet<Uuid> = HashSet::new();
            // Without a key it cannot come again. With one, it may even run elsewhere, if it was silent for too long.
            if keyed {
                found.extend(reads.decided(commands).await?);
            }
            Ok(found)
        }
    };
    let mut importing = pin!(import(file, options, execute, known, decided_before, &job.progress));
    loop {
        tokio::select! {
            result = &mut importing => return result,
            () = told(&mut stopping) => return Err(anyhow!("the server is stopping")),
            () = tokio::time::sleep(NOTE_EVERY) => {
                if let Err(error) = job.note(&state.database).await {
                    tracing::warn!(job = %job.id, %error, "how an import stands could not be written down");
                }
            }
        }
    }
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
                bail!("the server is stopping");
            }
        }
    }
}

async fn one(State(state): State<AppState>, _at_least: AtLeast, Path(id): Path<String>) -> Answer {
    let id: Uuid = path_value(&id, "import")?;
    let found = standing(&state.imports, &state.database, id).await?;
    let Standing { job, .. } = found.ok_or_else(|| Problem::not_found("import"))?;
    Ok(JsonAnswer(job).into_response())
}

#[cfg(test)]
#[path = "imports_tests.rs"]
mod tests;
