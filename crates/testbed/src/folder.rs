//! One folder per test process under the system's temporary folder, one folder per server inside it, and the watchdog that
//! cleans up when the test process can no longer do it itself (kill -9, or a server kept in a `static`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::{Doing, Result};
use crate::tree::MARK;

/// Set this variable to anything to keep folders and logs for a look after a failure.
pub const KEEP: &str = "HOLDFAST_TESTBED_KEEP";

const WATCHDOG: &str = include_str!("watchdog.sh");

struct Run {
    folder: PathBuf,
    mark: String,
    /// Its standard input is the lifeline: the kernel closes it when this process ends in whatever way.
    _watchdog: Child,
}

static RUN: Mutex<Option<Run>> = Mutex::new(None);

/// A server's private folder; removed with everything in it when dropped.
pub(crate) struct Folder {
    path: PathBuf,
    mark: String,
}

impl Folder {
    pub fn new(name: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut run = RUN.lock().unwrap_or_else(PoisonError::into_inner);
        let run = match &mut *run {
            Some(run) => run,
            none => none.insert(Run::begin()?),
        };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = run.folder.join(format!("{name}-{number}"));
        fs::create_dir(&path).doing(|| format!("creating {}", path.display()))?;
        Ok(Self { path, mark: format!("{}.{number}", run.mark) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the processes that live here carry in their environment; unique on this machine.
    pub fn mark(&self) -> &str {
        &self.mark
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::env::var_os(KEEP).is_some() {
            eprintln!("kept: {}", self.path.display());
        } else {
            // What cannot be removed now (a file just being written) is left to the watchdog.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Run {
    fn begin() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("holdfast-testbed-")
            .tempdir()
            .doing(|| "creating a folder for the servers".to_owned())?
            .keep();
        // PostgreSQL refuses to run as root, so that another user must be able to walk through.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))
            .doing(|| format!("opening {}", folder.display()))?;
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mark = format!("{}-{name}", std::process::id());
        // `setsid --fork` gives it to init: neither Ctrl-C nor a kill of our own process tree may take it along.
        let mut watchdog = Command::new("setsid")
            .args(["--fork", "sh", "-c", WATCHDOG, "holdfast-testbed-watchdog"])
            .arg(&folder)
            .arg(&mark)
            .arg(if std::env::var_os(KEEP).is_some() { "keep" } else { "remove" })
            .env_remove(MARK)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing(|| "starting the watchdog with setsid (package util-linux)".to_owned())?;
        // `wait` would close the lifeline, so that is taken out first and put back.
        let lifeline = watchdog.stdin.take();
        watchdog.wait().doing(|| "starting the watchdog".to_owned())?;
        watchdog.stdin = lifeline;
        Ok(Self { folder, mark, _watchdog: watchdog })
    }
}
