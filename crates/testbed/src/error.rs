//! What can go wrong, worded for the person who reads a failed test: what was being done, and the server's own last words.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub type Result<T, E = Trouble> = std::result::Result<T, E>;

/// `Debug` prints the same text as `Display`: tests fail through `unwrap`, and a log tail with escaped line ends helps nobody.
#[derive(thiserror::Error)]
pub enum Trouble {
    #[error(
        "`{program}` is not installed: run `apt-get install -y --no-install-recommends {package}` (or crates/testbed/ensure-servers.sh, which keeps Debian from starting the service)"
    )]
    MissingProgram { program: String, package: String },

    #[error("{what} did not start: {why}\n--- last lines of {} ---\n{tail}", log.display())]
    Start { what: String, why: String, log: PathBuf, tail: String },

    #[error("gave up after {after:?} waiting for {what}")]
    TimedOut { what: String, after: Duration },

    #[error("{doing}: {source}")]
    Io { doing: String, source: std::io::Error },

    #[error("`{command}` failed ({status}):\n{output}")]
    Command { command: String, status: String, output: String },

    #[error("{request} answered {status}: {body}")]
    Http { request: String, status: u16, body: String },

    #[error("{0}")]
    Other(String),
}

impl fmt::Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Says what was being done when an input/output error came up.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Trouble::Io { doing: what(), source })
    }
}
