//! HAProxy in front of anything, from a configuration of the caller's or a ready one for HTTP back ends.

use std::fmt::Write;
use std::fs;
use std::ops::Deref;

use crate::error::{Doing, Result};
use crate::folder::Folder;
use crate::port::{Port, free_port};
use crate::process::{Process, Ready};
use crate::program::find_program;

pub struct Haproxy {
    process: Process,
    port: Port,
}

impl Haproxy {
    /// `{port}` in the configuration stands for the port to bind.
    ///
    /// # Errors
    /// When it is not installed, or refuses the configuration (its words are in the error).
    pub async fn start(config: &str) -> Result<Self> {
        Self::start_on(free_port()?, config).await
    }

    /// As [`Haproxy::start`], on a port of the caller's choice.
    ///
    /// # Errors
    /// As [`Haproxy::start`].
    pub async fn start_on(port: Port, config: &str) -> Result<Self> {
        let program = find_program("haproxy", "haproxy")?;
        let folder = Folder::new("haproxy")?;
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, config.replace("{port}", &port.to_string()))
            .doing(|| format!("writing {}", file.display()))?;
        let process = Process::build("haproxy", program)
            .args(["-db", "-f"])
            .arg(&file)
            .ready(Ready::Port(port.number()))
            .start_in(folder)
            .await?;
        Ok(Self { process, port })
    }

    /// Balances HTTP over these loopback ports: a back end that fails `GET check_path` is left out within a second, and a
    /// request that found its back end dead goes to another.
    ///
    /// # Errors
    /// As [`Haproxy::start`].
    pub async fn over_http(backends: &[u16], check_path: &str) -> Result<Self> {
        Self::start(&Self::http_config(backends, check_path)).await
    }

    /// The configuration that [`Haproxy::over_http`] uses.
    pub fn http_config(backends: &[u16], check_path: &str) -> String {
        let mut config = format!(
            "global
    maxconn 8192
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    # Server-sent events: long, and silent for a while.
    timeout tunnel 1h
    option redispatch 1
    retries 2
    # Only what cannot have reached a back end is sent again.
    retry-on conn-failure
frontend public
    bind 127.0.0.1:{{port}}
    default_backend gateways
backend gateways
    balance leastconn
    option httpchk
    http-check send meth GET uri {check_path}
    default-server check inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
"
        );
        for (index, port) in backends.iter().enumerate() {
            writeln!(config, "    server gateway{} 127.0.0.1:{port}", index + 1)
                .expect("a string takes any text");
        }
        config
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Deref for Haproxy {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}
