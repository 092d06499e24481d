//! A private Prometheus: scrapes what the configuration says, and answers queries about it.

use std::fs;
use std::ops::Deref;

use serde_json::Value;

use crate::error::{Doing, Result, Trouble};
use crate::folder::Folder;
use crate::http::{encode, http_get};
use crate::port::{Port, free_port};
use crate::process::{Process, Ready};
use crate::program::find_program;

pub struct Prometheus {
    process: Process,
    port: Port,
}

impl Prometheus {
    /// Starts it with this `prometheus.yml`; `{folder}` in it stands for its private folder.
    ///
    /// # Errors
    /// When it is not installed, or refuses the configuration (its words are in the error).
    pub async fn start(config: &str) -> Result<Self> {
        let program = find_program("prometheus", "prometheus")?;
        let port = free_port()?;
        let folder = Folder::new("prometheus")?;
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config.replace("{folder}", &folder.path().to_string_lossy()))
            .doing(|| format!("writing {}", file.display()))?;
        let process = Process::build("prometheus", program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=warn")
            .ready(Ready::Http { port: port.number(), path: "/-/ready".to_owned() })
            .start_in(folder)
            .await?;
        Ok(Self { process, port })
    }

    /// Starts it scraping `/metrics` of these loopback ports twice a second, as job `test`.
    ///
    /// # Errors
    /// As [`Prometheus::start`].
    pub async fn scraping(ports: &[u16]) -> Result<Self> {
        let targets: Vec<String> = ports.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
        Self::start(&format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}\nscrape_configs:\n  - job_name: test\n    static_configs: [{{targets: [{}]}}]\n",
            targets.join(", ")
        ))
        .await
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The `data.result` of an instant query.
    ///
    /// # Errors
    /// When Prometheus refuses the expression or does not answer.
    pub async fn query(&self, expression: &str) -> Result<Value> {
        let path = format!("/api/v1/query?query={}", encode(expression));
        let answer = http_get(self.port(), &path).await?;
        if !answer.is_success() {
            return Err(Trouble::Http { request: path, status: answer.status, body: answer.body });
        }
        let mut body: Value = serde_json::from_str(&answer.body)
            .map_err(|trouble| Trouble::Other(format!("prometheus answered no JSON: {trouble}")))?;
        Ok(body["data"]["result"].take())
    }
}

impl Deref for Prometheus {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}
