//! A private PostgreSQL: own data, own socket folder, a free port on loopback, trusted without a password there. It refuses
//! to run as root, so that then another account runs it.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::error::{Doing, Result, Trouble};
use crate::folder::Folder;
use crate::port::{Port, free_port};
use crate::process::{Process, Ready, Signal, User};
use crate::program::find_versioned;

const TOOL_WAIT_MAX: Duration = Duration::from_secs(120);
const START_WAIT_MAX: Duration = Duration::from_secs(60);
const STOP_WAIT_MAX: Duration = Duration::from_secs(60);
const PACKAGE: &str = "postgresql";

/// The database user, who may do everything.
pub(crate) const OWNER: &str = "holdfast";

/// A PostgreSQL server; dereferences to its [`Process`].
pub struct Postgres {
    process: Process,
    port: Port,
}

/// What to start; [`PostgresBuilder::start`] starts it.
#[derive(Debug, Clone, Default)]
#[must_use = "nothing runs before `start`"]
pub struct PostgresBuilder {
    fsync_off: bool,
    settings: Vec<(String, String)>,
}

impl PostgresBuilder {
    /// Default: on, as in production. Off is faster and loses data with the machine (not with a killed process).
    pub fn fsync(mut self, on: bool) -> Self {
        self.fsync_off = !on;
        self
    }

    /// Any line of `postgresql.conf`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes a new data folder and starts a server on it; about 3 s.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start(self) -> Result<Postgres> {
        let site = Site::new("postgres")?;
        let mut args = vec!["--username", OWNER, "--auth", "trust", "--encoding", "UTF8", "--no-locale"];
        // Nothing of value is in there yet, and the server itself syncs what it writes.
        args.push("--no-sync");
        let data = site.data();
        args.extend(["--pgdata", &data]);
        site.run("initdb", &args).await?;
        self.start_on(site, "ready to accept connections").await
    }

    pub(crate) async fn start_on(self, site: Site, ready_line: &str) -> Result<Postgres> {
        let Site { folder, user } = site;
        let port = free_port()?;
        let sockets = folder.path().join("sockets");
        let mut config = format!(
            "listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{}'
fsync = {}
max_connections = 200
max_wal_senders = 10
wal_keep_size = 256MB
hot_standby = on
# Anonymous and file-backed memory end with the process and the folder; POSIX segments would stay in /dev/shm.
dynamic_shared_memory_type = mmap
logging_collector = off
log_line_prefix = '%m [%p] '
lc_messages = 'C'
",
            sockets.display(),
            if self.fsync_off { "off" } else { "on" },
        );
        for (name, value) in &self.settings {
            config += &format!("{name} = '{}'\n", value.replace('\'', "''"));
        }
        let file = folder.path().join("testbed.conf");
        fs::write(&file, config).doing(|| format!("writing {}", file.display()))?;
        let data = folder.path().join("data");
        // Included, so that a standby made from a base backup is not confused by its primary's lines.
        let main = data.join("postgresql.conf");
        let text = fs::read_to_string(&main).doing(|| format!("reading {}", main.display()))?;
        let own: String =
            text.lines().filter(|line| !line.starts_with("include =")).map(|l| format!("{l}\n")).collect();
        fs::write(&main, format!("{own}include = '{}'\n", file.display()))
            .doing(|| format!("writing {}", main.display()))?;
        let process = Process::build("postgres", tool("postgres")?)
            .arg("-D")
            .arg(&data)
            .user(user)
            .ready(Ready::Line(ready_line.to_owned()))
            // "Fast": ends the sessions, writes a checkpoint. SIGTERM would wait for clients to leave.
            .stop_signal(Signal::SIGINT)
            // "Immediate": no checkpoint, but its System V segment is removed.
            .drop_signal(Signal::SIGQUIT)
            .start_within(START_WAIT_MAX)
            .stop_within(STOP_WAIT_MAX)
            .start_in(folder)
            .await?;
        Ok(Postgres { process, port })
    }
}

impl Postgres {
    /// A server that syncs what it promises, with default settings.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    /// The one server that all tests of a test binary may share, each in a [`Postgres::fresh_database`] of its own.
    /// Do not kill it.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// `postgres://holdfast@127.0.0.1:PORT/DATABASE`; the database `postgres` is there from the start.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{OWNER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The folder of its Unix socket.
    pub fn socket_folder(&self) -> PathBuf {
        self.process.folder().join("sockets")
    }

    pub fn data_folder(&self) -> PathBuf {
        self.process.folder().join("data")
    }

    /// Creates a database that no other test uses, and gives its URL.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn fresh_database(&self) -> Result<String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.add_database(&name).await?;
        Ok(self.url(&name))
    }

    /// # Errors
    /// When the server refuses.
    pub async fn add_database(&self, name: &str) -> Result<()> {
        self.sql("postgres", &format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""))).await.map(drop)
    }

    /// Runs statements with psql and gives the rows as lines, columns separated by `|`. The name or URL of the database.
    ///
    /// # Errors
    /// At the first statement that fails.
    pub async fn sql(&self, database: &str, statements: &str) -> Result<String> {
        let url = if database.contains("://") { database.to_owned() } else { self.url(database) };
        run_tool(
            "psql",
            &["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &url, "-c", statements],
            self.process.folder(),
            None,
        )
        .await
        .map(|rows| rows.trim_end().to_owned())
    }
}

impl Deref for Postgres {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // After kill -9 its System V interlock segment stays; a living server removes its own when it is dropped.
        if !self.process.is_running() {
            remove_segment(&self.data_folder());
        }
    }
}

fn remove_segment(data: &Path) {
    let segment = fs::read_to_string(data.join("postmaster.pid"))
        .ok()
        .and_then(|text| text.lines().nth(6)?.split_whitespace().nth(1).map(str::to_owned));
    if let Some(segment) = segment {
        // Gone already is fine.
        let _ = std::process::Command::new("ipcrm")
            .args(["-m", &segment])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// Where a server will live, prepared for the account that will run it.
pub(crate) struct Site {
    folder: Folder,
    user: Option<User>,
}

impl Site {
    pub fn new(name: &str) -> Result<Self> {
        let user = server_user()?;
        let folder = Folder::new(name)?;
        for part in ["data", "sockets"] {
            let path = folder.path().join(part);
            fs::create_dir(&path).doing(|| format!("creating {}", path.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
                .doing(|| format!("protecting {}", path.display()))?;
            give_to_server(&path)?;
        }
        Ok(Self { folder, user })
    }

    pub fn data(&self) -> String {
        self.folder.path().join("data").to_string_lossy().into_owned()
    }

    /// Runs one of PostgreSQL's tools as the server's account.
    pub async fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        run_tool(program, args, self.folder.path(), self.user).await
    }
}

async fn run_tool(program: &str, args: &[&str], folder: &Path, user: Option<User>) -> Result<String> {
    let mut command = tokio::process::Command::new(tool(program)?);
    command
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
        .env("LANG", "C.UTF-8")
        .env("HOME", folder)
        .env("PGCONNECT_TIMEOUT", "10")
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(User { uid, gid }) = user {
        command.uid(uid).gid(gid);
    }
    let output = tokio::time::timeout(TOOL_WAIT_MAX, command.output())
        .await
        .map_err(|_| Trouble::TimedOut { what: program.to_owned(), after: TOOL_WAIT_MAX })?
        .doing(|| format!("running {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(Trouble::Command {
        command: format!("{program} {}", args.join(" ")),
        status: output.status.to_string(),
        output: format!("{text}{}", String::from_utf8_lossy(&output.stderr)),
    })
}

fn tool(program: &str) -> Result<PathBuf> {
    find_versioned("/usr/lib/postgresql", "", &format!("bin/{program}"), PACKAGE)
}

/// Makes the account that runs servers the owner of a folder.
pub(crate) fn give_to_server(path: &Path) -> Result<()> {
    let Some(User { uid, gid }) = server_user()? else { return Ok(()) };
    chown(path, Some(uid), Some(gid)).doing(|| format!("giving away {}", path.display()))
}

/// `None` runs it as whoever we are; root has to be somebody else.
fn server_user() -> Result<Option<User>> {
    let own = fs::metadata("/proc/self").doing(|| "asking who we are".to_owned())?.uid();
    if own != 0 {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd").doing(|| "reading /etc/passwd".to_owned())?;
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| {
            let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut numbers = line.split(':').skip(2);
            Some(User { uid: numbers.next()?.parse().ok()?, gid: numbers.next()?.parse().ok()? })
        })
        .map(Some)
        .ok_or_else(|| {
            Trouble::Other("PostgreSQL refuses root, and there is no account postgres or nobody".to_owned())
        })
}
