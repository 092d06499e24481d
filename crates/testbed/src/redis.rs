//! A private Redis with its append-only file on, so that it keeps its data over a restart.

use std::ops::Deref;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::error::{Doing, Result, Trouble};
use crate::port::{Port, free_port};
use crate::process::{Process, Ready};
use crate::program::find_program;

const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

pub struct Redis {
    process: Process,
    port: Port,
}

impl Redis {
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start() -> Result<Self> {
        let program = find_program("redis-server", "redis-server")?;
        let port = free_port()?;
        let process = Process::build("redis", program)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""])
            .args(["--dir", ".", "--daemonize", "no"])
            .ready(Ready::Line("Ready to accept connections".to_owned()))
            .start()
            .await?;
        Ok(Self { process, port })
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// `redis://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends one command in Redis's inline form (`SET key value`); gives a bulk or simple answer as text, `None` for nil.
    ///
    /// # Errors
    /// When there is no answer in 10 s, or Redis answers an error.
    pub async fn command(&self, line: &str) -> Result<Option<String>> {
        let exchange = async {
            let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port())).await?);
            stream.write_all(format!("{line}\r\n").as_bytes()).await?;
            let mut head = String::new();
            stream.read_line(&mut head).await?;
            let length = head.strip_prefix('$').and_then(|length| length.trim().parse::<usize>().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            stream.read_exact(&mut body).await?;
            std::io::Result::Ok((head, length.map(|_| body)))
        };
        let (head, body) = tokio::time::timeout(ANSWER_WAIT_MAX, exchange)
            .await
            .map_err(|_| Trouble::TimedOut {
                what: format!("redis to answer {line}"),
                after: ANSWER_WAIT_MAX,
            })?
            .doing(|| format!("asking redis {line}"))?;
        match (body, head.split_at_checked(1)) {
            (Some(body), _) => Ok(Some(String::from_utf8_lossy(&body).into_owned())),
            (None, Some(("$", _))) => Ok(None),
            (None, Some(("+" | ":", rest))) => Ok(Some(rest.trim().to_owned())),
            (None, _) => Err(Trouble::Other(format!("redis answered {line} with {head:?}"))),
        }
    }
}

impl Deref for Redis {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}
