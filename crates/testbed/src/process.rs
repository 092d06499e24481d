//! One program as a test sees it: started with a log of its own, ready when it says so, and then killed, stopped, paused,
//! resumed and restarted at will. Every server of the testbed is one of these with a protocol on top; the Holdfast roles are
//! plain ones.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::error::{Doing, Result, Trouble};
use crate::folder::Folder;
use crate::http::http_get;
use crate::tree::{self, MARK};

const POLL_PERIOD: Duration = Duration::from_millis(10);
const REAP_WAIT_MAX: Duration = Duration::from_secs(10);
const TAIL_LINES: usize = 40;
/// As much of a log's end as is searched for its last lines.
const TAIL_BYTES_MAX: u64 = 64 * 1024;

/// How a program shows that it takes work.
#[derive(Debug, Clone)]
pub enum Ready {
    /// As soon as it runs.
    AtOnce,
    /// When its log, since this start, has this text.
    Line(String),
    /// When something accepts on this loopback port.
    Port(u16),
    /// When `GET http://127.0.0.1:PORT/PATH` answers 2xx.
    Http { port: u16, path: String },
}

/// What to start and how; [`ProcessBuilder::start`] starts it.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before `start`"]
pub struct ProcessBuilder {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    user: Option<User>,
    current_dir: Option<PathBuf>,
    log: Option<PathBuf>,
    ready: Ready,
    stop_signal: Signal,
    drop_signal: Option<Signal>,
    start_wait_max: Duration,
    stop_wait_max: Duration,
    piped_stdin: bool,
}

/// A system account by number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub uid: u32,
    pub gid: u32,
}

impl ProcessBuilder {
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// The environment starts almost empty (PATH, HOME and TMPDIR in the private folder, C.UTF-8, UTC), so that whatever
    /// the developer's shell has set cannot change a test.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Default: the process's private folder.
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(folder.into());
        self
    }

    /// Where standard output and error go (appended). Default: `log` in the private folder.
    pub fn log_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.log = Some(file.into());
        self
    }

    /// Default: [`Ready::AtOnce`].
    pub fn ready(mut self, ready: Ready) -> Self {
        self.ready = ready;
        self
    }

    /// What asks it to end well. Default: SIGTERM.
    pub fn stop_signal(mut self, signal: Signal) -> Self {
        self.stop_signal = signal;
        self
    }

    /// How long a start may take. Default: 30 s.
    pub fn start_within(mut self, wait_max: Duration) -> Self {
        self.start_wait_max = wait_max;
        self
    }

    /// How long a graceful stop may take. Default: 30 s.
    pub fn stop_within(mut self, wait_max: Duration) -> Self {
        self.stop_wait_max = wait_max;
        self
    }

    /// Keeps standard input open until [`Process::close_stdin`]; otherwise it is empty.
    pub fn piped_stdin(mut self) -> Self {
        self.piped_stdin = true;
        self
    }

    pub(crate) fn user(mut self, user: Option<User>) -> Self {
        self.user = user;
        self
    }

    /// Sent, with a moment to react, before the kill at the end: for servers that leave traces outside their folder.
    pub(crate) fn drop_signal(mut self, signal: Signal) -> Self {
        self.drop_signal = Some(signal);
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started, ends, or is not ready in time; with the tail of its log.
    pub async fn start(self) -> Result<Process> {
        let folder = Folder::new(&self.name)?;
        self.start_in(folder).await
    }

    pub(crate) async fn start_in(self, folder: Folder) -> Result<Process> {
        let log = self.log.clone().unwrap_or_else(|| folder.path().join("log"));
        let process = Process {
            builder: self,
            log,
            state: Mutex::new(State { child: None, exit: None, log_from: 0 }),
            folder,
        };
        process.launch().await?;
        Ok(process)
    }
}

struct State {
    child: Option<Child>,
    /// How the last run ended.
    exit: Option<ExitStatus>,
    /// The log's length when the present run began.
    log_from: u64,
}

/// A started program. All methods take `&self`, so that one task can kill what others are using.
///
/// Dropping it kills it with all its descendants and removes its folder.
pub struct Process {
    builder: ProcessBuilder,
    log: PathBuf,
    state: Mutex<State>,
    /// Last: removed when everything in it is dead.
    folder: Folder,
}

impl Process {
    /// Describes a process called `name` (in folder names and errors) that runs `program`.
    pub fn build(name: &str, program: impl Into<PathBuf>) -> ProcessBuilder {
        ProcessBuilder {
            name: name.to_owned(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            user: None,
            current_dir: None,
            log: None,
            ready: Ready::AtOnce,
            stop_signal: Signal::SIGTERM,
            drop_signal: None,
            start_wait_max: Duration::from_secs(30),
            stop_wait_max: Duration::from_secs(30),
            piped_stdin: false,
        }
    }

    pub fn name(&self) -> &str {
        &self.builder.name
    }

    /// The private folder; removed on drop.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What the present run (or the last one) has logged so far.
    pub fn log_text(&self) -> String {
        let from = self.state().log_from;
        read_from(&self.log, from)
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    pub fn pid(&self) -> Option<u32> {
        self.reap();
        self.state().child.as_ref().map(Child::id)
    }

    pub fn is_running(&self) -> bool {
        self.pid().is_some()
    }

    /// Sends one signal to the program itself, not to its children.
    pub fn signal(&self, signal: Signal) {
        self.reap();
        if let Some(root) = root(&self.state()) {
            let _ = nix::sys::signal::kill(Pid::from_raw(root), signal);
        }
    }

    /// SIGKILL to it and to everything it has started; returns when it is gone. It can be [`Process::restart`]ed.
    ///
    /// # Errors
    /// When the kernel has not let go of it after 10 s.
    pub fn kill(&self) -> Result<()> {
        let mut state = self.state();
        tree::kill_family(root(&state), self.folder.mark());
        if let Some(child) = &mut state.child {
            let deadline = Instant::now() + REAP_WAIT_MAX;
            loop {
                if let Some(exit) = child.try_wait().doing(|| format!("waiting for {}", self.name()))? {
                    state.exit = Some(exit);
                    break;
                }
                if Instant::now() > deadline {
                    return Err(Trouble::TimedOut {
                        what: format!("the end of {}", self.name()),
                        after: REAP_WAIT_MAX,
                    });
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            state.child = None;
        }
        let _ = fs::remove_file(self.pid_file());
        Ok(())
    }

    /// SIGSTOP to it and to everything it has started: it keeps its connections and answers nothing.
    pub fn pause(&self) {
        self.reap();
        let state = self.state();
        tree::signal_all(&tree::family(root(&state), self.folder.mark()), Signal::SIGSTOP);
    }

    /// SIGCONT after [`Process::pause`].
    pub fn resume(&self) {
        self.reap();
        let state = self.state();
        tree::signal_all(&tree::family(root(&state), self.folder.mark()), Signal::SIGCONT);
    }

    /// Asks it to end, waits for that, and says how it ended; at once when it has ended already.
    ///
    /// # Errors
    /// When it does not end in time; it is then killed.
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.resume();
        self.signal(self.builder.stop_signal);
        let ended = self.wait_exit(self.builder.stop_wait_max).await;
        // Children that outlive it are killed, and it is too when it would not end.
        self.kill()?;
        ended.map_err(|trouble| Trouble::Other(format!("{trouble}\n{}", self.log_tail())))
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// When it still runs after `wait_max`.
    pub async fn wait_exit(&self, wait_max: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + wait_max;
        loop {
            self.reap();
            {
                let state = self.state();
                if let (None, Some(exit)) = (&state.child, state.exit) {
                    return Ok(exit);
                }
            }
            if Instant::now() > deadline {
                return Err(Trouble::TimedOut { what: format!("{} to end", self.name()), after: wait_max });
            }
            tokio::time::sleep(POLL_PERIOD).await;
        }
    }

    /// Starts it again with the same arguments, ports and data, after stopping it well if it still runs.
    ///
    /// # Errors
    /// As [`ProcessBuilder::start`] and [`Process::stop`].
    pub async fn restart(&self) -> Result<()> {
        if self.is_running() {
            self.stop().await?;
        }
        self.launch().await
    }

    /// Waits until the log of the present run has `text`.
    ///
    /// # Errors
    /// When it ends before, or the text has not come after `wait_max`.
    pub async fn wait_for_line(&self, text: &str, wait_max: Duration) -> Result<()> {
        self.wait_ready(&Ready::Line(text.to_owned()), wait_max).await
    }

    /// Closes the standard input that [`ProcessBuilder::piped_stdin`] kept open.
    pub fn close_stdin(&self) {
        if let Some(child) = &mut self.state().child {
            drop(child.stdin.take());
        }
    }

    async fn launch(&self) -> Result<()> {
        self.spawn()?;
        self.wait_ready(&self.builder.ready, self.builder.start_wait_max).await.inspect_err(|_| {
            // The first trouble is the one to report; the kill is tried again on drop.
            let _ = self.kill();
        })
    }

    fn spawn(&self) -> Result<()> {
        let builder = &self.builder;
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .doing(|| format!("opening the log {}", self.log.display()))?;
        let log_from = log.metadata().doing(|| format!("reading {}", self.log.display()))?.len();
        let errors = log.try_clone().doing(|| "sharing the log".to_owned())?;
        let folder = self.folder.path();
        let mut command = Command::new(&builder.program);
        command
            .args(&builder.args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("HOME", folder)
            .env("TMPDIR", folder)
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env(MARK, self.folder.mark())
            .envs(builder.env.iter().map(|(key, value)| (key, value)))
            .current_dir(builder.current_dir.as_deref().unwrap_or(folder))
            // Ctrl-C in the terminal is for the test process, which then decides.
            .process_group(0)
            .stdin(if builder.piped_stdin { Stdio::piped() } else { Stdio::null() })
            .stdout(log)
            .stderr(errors);
        // Coverage runs collect their data from child processes through this variable.
        if let Some(profile) = std::env::var_os("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", profile);
        }
        if let Some(user) = builder.user {
            command.uid(user.uid).gid(user.gid);
        }
        let mut state = self.state();
        let child = command.spawn().doing(|| format!("starting {}", builder.program.display()))?;
        let pid = i32::try_from(child.id()).expect("Linux pids fit i32");
        if let Some(stat) = tree::stat(pid) {
            let file = self.pid_file();
            fs::write(&file, format!("{pid} {}\n", stat.started))
                .doing(|| format!("writing {}", file.display()))?;
        }
        *state = State { child: Some(child), exit: None, log_from };
        Ok(())
    }

    async fn wait_ready(&self, ready: &Ready, wait_max: Duration) -> Result<()> {
        let deadline = Instant::now() + wait_max;
        loop {
            self.reap();
            let met = match ready {
                Ready::AtOnce => true,
                Ready::Line(text) => self.log_text().contains(text),
                Ready::Port(port) => tokio::net::TcpStream::connect(("127.0.0.1", *port)).await.is_ok(),
                Ready::Http { port, path } => {
                    http_get(*port, path).await.is_ok_and(|answer| answer.is_success())
                }
            };
            // A stranger on its port could answer for a process that is dead.
            let exit = self.state().exit;
            match exit {
                None if met => return Ok(()),
                Some(exit) if !matches!(ready, Ready::AtOnce) => {
                    return Err(self.not_ready(format!("it ended ({exit})")));
                }
                Some(_) => return Ok(()),
                None if Instant::now() > deadline => {
                    return Err(self.not_ready(format!("not ready after {wait_max:?} ({ready:?})")));
                }
                None => tokio::time::sleep(POLL_PERIOD).await,
            }
        }
    }

    fn not_ready(&self, why: String) -> Trouble {
        let what = format!("{} ({})", self.name(), self.builder.program.display());
        Trouble::Start { what, why, log: self.log.clone(), tail: self.log_tail() }
    }

    /// Takes note of an end that happened by itself.
    fn reap(&self) {
        let mut state = self.state();
        if let Some(child) = &mut state.child
            && let Ok(Some(exit)) = child.try_wait()
        {
            state.exit = Some(exit);
            state.child = None;
            let _ = fs::remove_file(self.pid_file());
        }
    }

    fn pid_file(&self) -> PathBuf {
        // The name is known to watchdog.sh.
        self.folder.path().join("testbed.pid")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(signal) = self.builder.drop_signal
            && self.is_running()
        {
            self.resume();
            self.signal(signal);
            let deadline = Instant::now() + Duration::from_secs(2);
            while self.is_running() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        if let Err(trouble) = self.kill() {
            eprintln!("{}: {trouble}", self.name());
        }
    }
}

fn root(state: &State) -> Option<i32> {
    state.child.as_ref().map(|child| i32::try_from(child.id()).expect("Linux pids fit i32"))
}

fn read_from(file: &Path, from: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(file)
        && file.seek(SeekFrom::Start(from)).is_ok()
    {
        // A log that cannot be read to its end is judged by what there is.
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn tail(file: &Path) -> String {
    let length = fs::metadata(file).map_or(0, |metadata| metadata.len());
    let text = read_from(file, length.saturating_sub(TAIL_BYTES_MAX));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
