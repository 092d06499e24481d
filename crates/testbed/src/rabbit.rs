//! One private RabbitMQ node: own home, cookie, data, log, ports and Erlang port mapper, so that it neither sees nor
//! disturbs any other broker of this machine. With the management and prometheus plugins, everything bound to loopback.

use std::fs;
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::error::{Doing, Result, Trouble};
use crate::folder::Folder;
use crate::http::{HttpRequest, encode};
use crate::port::{Port, free_port};
use crate::process::{Process, Ready};
use crate::program::{find_program, find_versioned};

/// Seconds on an idle machine; a minute when two cores also compile.
const START_WAIT_MAX: Duration = Duration::from_secs(180);
const STOP_WAIT_MAX: Duration = Duration::from_secs(90);
const CTL_WAIT_MAX: Duration = Duration::from_secs(60);
const MEMORY_LIMIT: &str = "1GB";
const PACKAGE: &str = "rabbitmq-server";

pub(crate) const ADMIN: &str = "admin";
pub(crate) const ADMIN_PASSWORD: &str = "testbed";

/// A RabbitMQ node; dereferences to its [`Process`]. Users of it are `admin` (everything) and those that a test adds.
pub struct Rabbit {
    process: Process,
    node: String,
    amqp: Port,
    management: Port,
    prometheus: Port,
    _distribution: Port,
    /// After the node: it outlives every node that is registered with it.
    mapper: Arc<PortMapper>,
}

/// A vhost of one test's own.
#[derive(Debug, Clone)]
pub struct Vhost {
    pub name: String,
    /// `amqp://` URL of the vhost for the administrator.
    pub url: String,
}

/// The Erlang port mapper of one node or one cluster. Erlang would start a daemon that outlives everybody; this one is ours.
pub(crate) struct PortMapper {
    _process: Process,
    port: Port,
    cookie: String,
}

impl PortMapper {
    pub async fn start() -> Result<Arc<Self>> {
        let program = find_program("epmd", PACKAGE)?;
        let port = free_port()?;
        let process = Process::build("epmd", program)
            .args(["-address", "127.0.0.1", "-port", &port.to_string()])
            .ready(Ready::Port(port.number()))
            .start()
            .await?;
        let cookie = format!("HOLDFASTTESTBED{port}");
        Ok(Arc::new(Self { _process: process, port, cookie }))
    }
}

impl Rabbit {
    /// Starts a single node; about 8 s.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start() -> Result<Self> {
        Self::start_node("rabbit", PortMapper::start().await?, "").await
    }

    /// The one node that all tests of a test binary may share, each in a [`Rabbit::fresh_vhost`] of its own. Do not kill it.
    ///
    /// # Errors
    /// As [`Rabbit::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Rabbit> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    pub(crate) fn node_name(name: &str) -> String {
        format!("{name}@localhost")
    }

    pub(crate) async fn start_node(name: &str, mapper: Arc<PortMapper>, more_config: &str) -> Result<Self> {
        // Debian's wrapper in /usr/sbin changes the user; the real script runs as whoever calls it.
        let program = server_script("rabbitmq-server")?;
        let (amqp, management, prometheus, distribution) =
            (free_port()?, free_port()?, free_port()?, free_port()?);
        let node = Self::node_name(name);
        let folder = Folder::new(name)?;
        let path = |file: &str| folder.path().join(file);
        let write = |file: &str, text: &str| {
            fs::write(path(file), text).doing(|| format!("writing {}", path(file).display()))
        };
        write(
            "rabbitmq.conf",
            &format!(
                "listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {prometheus}
default_user = {ADMIN}
default_pass = {ADMIN_PASSWORD}
vm_memory_high_watermark.absolute = {MEMORY_LIMIT}
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 67108864
log.console = true
log.console.level = info
log.file = false
{more_config}"
            ),
        )?;
        write("enabled_plugins", "[rabbitmq_management,rabbitmq_prometheus].\n")?;
        // Named explicitly, or the one in /etc/rabbitmq would be read.
        write("rabbitmq-env.conf", "")?;
        write(".erlang.cookie", &mapper.cookie)?;
        fs::set_permissions(path(".erlang.cookie"), fs::Permissions::from_mode(0o400))
            .doing(|| "protecting the cookie".to_owned())?;

        let process = Process::build(name, program)
            .env("ERL_EPMD_PORT", mapper.port.to_string())
            .env("ERL_EPMD_ADDRESS", Ipv4Addr::LOCALHOST.to_string())
            .env("RABBITMQ_NODENAME", &node)
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", path("rabbitmq-env.conf"))
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", path("mnesia"))
            .env("RABBITMQ_LOG_BASE", path("logs"))
            .env("RABBITMQ_LOGS", "-")
            // The script then becomes the Erlang machine instead of staying its parent, so that signals reach the broker.
            .env("RABBITMQ_ALLOW_INPUT", "1")
            // Several nodes bound to the same first core would wait for each other.
            .env("RABBITMQ_SCHEDULER_BIND_TYPE", "u")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-noinput -start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +A 4",
            )
            .ready(Ready::Line("Server startup complete".to_owned()))
            .start_within(START_WAIT_MAX)
            .stop_within(STOP_WAIT_MAX)
            .start_in(folder)
            .await?;
        Ok(Self { process, node, amqp, management, prometheus, _distribution: distribution, mapper })
    }

    pub fn port(&self) -> u16 {
        self.amqp.number()
    }

    pub fn management_port(&self) -> u16 {
        self.management.number()
    }

    /// Where Prometheus finds `/metrics`.
    pub fn prometheus_port(&self) -> u16 {
        self.prometheus.number()
    }

    /// The Erlang name, `rabbit@localhost`.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// `amqp://admin:…@127.0.0.1:PORT/VHOST`
    pub fn amqp_url(&self, vhost: &str) -> String {
        self.amqp_url_for(ADMIN, ADMIN_PASSWORD, vhost)
    }

    /// `amqp://USER:PASSWORD@127.0.0.1:PORT/VHOST`
    pub fn amqp_url_for(&self, user: &str, password: &str, vhost: &str) -> String {
        format!("amqp://{}:{}@127.0.0.1:{}/{}", encode(user), encode(password), self.amqp, encode(vhost))
    }

    /// `http://127.0.0.1:PORT`; the management API takes the broker's users.
    pub fn management_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.management)
    }

    /// Creates a vhost that no other test uses.
    ///
    /// # Errors
    /// When the management API refuses.
    pub async fn fresh_vhost(&self) -> Result<Vhost> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.add_vhost(&name).await?;
        Ok(Vhost { url: self.amqp_url(&name), name })
    }

    /// Creates a vhost; the administrator may do everything in it, other users nothing yet.
    ///
    /// # Errors
    /// When the management API refuses.
    pub async fn add_vhost(&self, vhost: &str) -> Result<()> {
        self.api("PUT", &format!("/api/vhosts/{}", encode(vhost)), Some(json!({}))).await.map(drop)
    }

    /// Creates a user, or replaces its password and tags (`monitoring`, `management`, `administrator`).
    ///
    /// # Errors
    /// When the management API refuses.
    pub async fn add_user(&self, user: &str, password: &str, tags: &[&str]) -> Result<()> {
        let body = json!({"password": password, "tags": tags.join(",")});
        self.api("PUT", &format!("/api/users/{}", encode(user)), Some(body)).await.map(drop)
    }

    /// Three regular expressions over the names of exchanges and queues.
    ///
    /// # Errors
    /// When the management API refuses.
    pub async fn set_permissions(
        &self,
        vhost: &str,
        user: &str,
        configure: &str,
        write: &str,
        read: &str,
    ) -> Result<()> {
        let body = json!({"configure": configure, "write": write, "read": read});
        let path = format!("/api/permissions/{}/{}", encode(vhost), encode(user));
        self.api("PUT", &path, Some(body)).await.map(drop)
    }

    /// Two regular expressions over the routing keys of one topic exchange.
    ///
    /// # Errors
    /// When the management API refuses.
    pub async fn set_topic_permissions(
        &self,
        vhost: &str,
        user: &str,
        exchange: &str,
        write: &str,
        read: &str,
    ) -> Result<()> {
        let body = json!({"exchange": exchange, "write": write, "read": read});
        let path = format!("/api/topic-permissions/{}/{}", encode(vhost), encode(user));
        self.api("PUT", &path, Some(body)).await.map(drop)
    }

    /// One queue as the management API shows it; its figures are up to 5 s old.
    ///
    /// # Errors
    /// When there is no such queue (404).
    pub async fn queue(&self, vhost: &str, queue: &str) -> Result<Value> {
        self.api("GET", &format!("/api/queues/{}/{}", encode(vhost), encode(queue)), None).await
    }

    /// Publishes a persistent message, and returns when the broker has confirmed it: whether any queue took it.
    ///
    /// # Errors
    /// When the exchange does not exist.
    pub async fn publish(&self, vhost: &str, exchange: &str, routing_key: &str, body: &str) -> Result<bool> {
        let request = json!({
            "properties": {"delivery_mode": 2, "content_type": "application/json"},
            "routing_key": routing_key, "payload": body, "payload_encoding": "string",
        });
        let path = format!("/api/exchanges/{}/{}/publish", encode(vhost), encode(exchange));
        let answer = self.api("POST", &path, Some(request)).await?;
        Ok(answer["routed"] == true)
    }

    /// Takes at most `count` messages out of a queue: objects with `payload`, `routing_key`, `properties`, …
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn take(&self, vhost: &str, queue: &str, count: u32) -> Result<Vec<Value>> {
        let request = json!({"count": count, "ackmode": "ack_requeue_false", "encoding": "auto"});
        let path = format!("/api/queues/{}/{}/get", encode(vhost), encode(queue));
        match self.api("POST", &path, Some(request)).await? {
            Value::Array(messages) => Ok(messages),
            other => Err(Trouble::Other(format!("{path} answered {other}"))),
        }
    }

    /// Raises the memory alarm, which blocks every publisher of the cluster, or ends it.
    ///
    /// # Errors
    /// When `rabbitmqctl` fails.
    pub async fn memory_alarm(&self, raised: bool) -> Result<()> {
        // Relative 0 blocks at once; an absolute limit of 0 would mean none.
        let limit: &[&str] = if raised { &["0"] } else { &["absolute", MEMORY_LIMIT] };
        self.ctl(&[&["set_vm_memory_high_watermark"], limit].concat()).await.map(drop)
    }

    /// Returns when everything declared so far survives a kill -9.
    ///
    /// RabbitMQ 3.10 writes its registry of quorum queues (`names.dets`) up to 3 s late. A node that is killed before comes
    /// back with such a queue for ever without a leader, and without the messages that it had confirmed; so a test that
    /// declares queues and kills the node calls this in between.
    ///
    /// # Errors
    /// When `rabbitmqctl` fails.
    pub async fn settle(&self) -> Result<()> {
        self.ctl(&["eval", "[ok = dets:sync(Table) || Table <- dets:all()]."]).await.map(drop)
    }

    /// Any call of the management HTTP API as the administrator; `Null` where the answer has no body.
    ///
    /// # Errors
    /// Any status but 2xx.
    pub async fn api(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        let answer = HttpRequest {
            method,
            port: self.management_port(),
            path,
            login: Some((ADMIN, ADMIN_PASSWORD)),
            json: body.map(|body| body.to_string()),
        }
        .send()
        .await?;
        if !answer.is_success() {
            return Err(Trouble::Http {
                request: format!("{method} {path}"),
                status: answer.status,
                body: answer.body,
            });
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer.body)
            .map_err(|trouble| Trouble::Other(format!("{method} {path} answered no JSON: {trouble}")))
    }

    /// Runs `rabbitmqctl` on this node and gives its output; takes seconds, so prefer [`Rabbit::api`] where it can do it.
    ///
    /// # Errors
    /// When it fails, with its output, or takes over a minute.
    pub async fn ctl(&self, args: &[&str]) -> Result<String> {
        let home = self.process.folder();
        let command = tokio::process::Command::new(server_script("rabbitmqctl")?)
            .args(["--quiet", "--node", &self.node])
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("LANG", "C.UTF-8")
            .env("HOME", home)
            .env("RABBITMQ_CONF_ENV_FILE", home.join("rabbitmq-env.conf"))
            .env("ERL_EPMD_PORT", self.mapper.port.to_string())
            .env(
                "RABBITMQ_CTL_ERL_ARGS",
                "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
            )
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let name = format!("rabbitmqctl {}", args.join(" "));
        let output = tokio::time::timeout(CTL_WAIT_MAX, command)
            .await
            .map_err(|_| Trouble::TimedOut { what: name.clone(), after: CTL_WAIT_MAX })?
            .doing(|| name.clone())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let output_text = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
        Err(Trouble::Command { command: name, status: output.status.to_string(), output: output_text })
    }
}

impl Deref for Rabbit {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

fn server_script(name: &str) -> Result<PathBuf> {
    find_versioned("/usr/lib/rabbitmq/lib", "rabbitmq_server-", &format!("sbin/{name}"), PACKAGE)
}
