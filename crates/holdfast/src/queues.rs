//! The command queues as the monitor sees them: in this process, or through RabbitMQ's management API.

use std::time::{Duration, Instant};

use anyhow::Context;
use holdfast_bus::topology;
use holdfast_domain::CommandQueue;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::gateway::dispatcher::Publishers;

/// How long the management API may take.
const ASK_MAX: Duration = Duration::from_secs(3);

/// One queue; rates are messages a second, `None` where nobody counts them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    pub name: String,
    pub consumers: u64,
    pub ready: u64,
    pub unacked: u64,
    pub publish_rate: Option<f64>,
    pub deliver_rate: Option<f64>,
}

impl Queue {
    /// Dead letters wait for people, not for consumers.
    pub fn is_dead(&self) -> bool {
        self.name == topology::DEAD
    }

    /// All messages in it; those that somebody looks at are for that moment not ready.
    pub fn messages(&self) -> u64 {
        self.ready + self.unacked
    }

    /// Whether somebody works on it.
    pub fn is_served(&self) -> bool {
        self.is_dead() || self.consumers > 0
    }
}

/// What one look found.
pub struct Look {
    pub queues: Vec<Queue>,
    /// `None`: commands travel in this process.
    pub broker: Option<BrokerLook>,
}

/// How the broker itself is.
pub struct BrokerLook {
    pub latency: Duration,
    /// What keeps it from taking or keeping messages, such as `memory alarm on rabbit@host`.
    pub troubles: Vec<String>,
}

/// Where queues can be looked at.
#[derive(Clone)]
pub enum Queues {
    Local(Publishers),
    Management(Management),
}

/// RabbitMQ's management API; the user needs the tag `monitoring`.
#[derive(Clone)]
pub struct Management {
    client: reqwest::Client,
    /// Such as `http://127.0.0.1:15672`.
    url: String,
    user: String,
    password: String,
    vhost: String,
}

/// Where the management API is when nobody says so: the broker's host, this port.
const MANAGEMENT_PORT: u16 = 15_672;

impl Queues {
    /// Errors: why the broker could not be asked, in a few words.
    pub async fn look(&self) -> Result<Look, String> {
        let publishers = match self {
            Queues::Local(publishers) => publishers,
            Queues::Management(management) => return management.look().await,
        };
        let queue = |queue| {
            let publisher = publishers.of(queue);
            Queue {
                name: topology::queue_name(queue).to_owned(),
                consumers: u64::from(publisher.has_consumer()),
                ready: publisher.waiting() as u64,
                unacked: 0,
                publish_rate: None,
                deliver_rate: None,
            }
        };
        Ok(Look { queues: CommandQueue::ALL.into_iter().map(queue).collect(), broker: None })
    }
}

impl Management {
    /// Of the broker at `broker` (an `amqp://` URL), with its user; at `url`, or on the broker's host.
    pub fn new(broker: &str, url: Option<&str>) -> anyhow::Result<Self> {
        let parsed = reqwest::Url::parse(broker).context("broker: the URL cannot be read")?;
        let decoded = |text: &str| percent_decoded(text);
        let host = parsed.host_str().unwrap_or("localhost");
        let vhost = decoded(parsed.path().trim_start_matches('/'));
        let user = decoded(parsed.username());
        Ok(Self {
            client: reqwest::Client::new(),
            url: url.map_or_else(|| format!("http://{host}:{MANAGEMENT_PORT}"), str::to_owned),
            user: if user.is_empty() { "guest".to_owned() } else { user },
            password: decoded(parsed.password().unwrap_or("guest")),
            vhost: if vhost.is_empty() { "/".to_owned() } else { vhost },
        })
    }

    async fn look(&self) -> Result<Look, String> {
        let vhost: String = self.vhost.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let started = Instant::now();
        let queues = self.ask(&format!("queues/{vhost}")).await?;
        let latency = started.elapsed();
        let consumers = self.ask(&format!("consumers/{vhost}")).await?;
        let nodes = self.ask("nodes").await?;
        let alarms = self.alarms().await?;
        let ours = |queue: &Value| queue["name"].as_str().is_some_and(is_ours);
        Ok(Look {
            queues: queues.iter().filter(|queue| ours(queue)).map(|queue| read(queue, &consumers)).collect(),
            broker: Some(BrokerLook { latency, troubles: troubles(&alarms, &nodes) }),
        })
    }

    async fn ask(&self, what: &str) -> Result<Vec<Value>, String> {
        let answer = self.get(what).await?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status()));
        }
        answer.json().await.map_err(|error| error.without_url().to_string())
    }

    /// The alarms of all nodes as they are now: 200 without any, else 503 and which. What a node says of itself in the list of
    /// nodes is some seconds old.
    async fn alarms(&self) -> Result<Value, String> {
        let answer = self.get("health/checks/alarms").await?;
        match answer.status() {
            StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => {
                answer.json().await.map_err(|error| error.without_url().to_string())
            }
            other => Err(format!("it answers {other}")),
        }
    }

    async fn get(&self, what: &str) -> Result<reqwest::Response, String> {
        let request = self
            .client
            .get(format!("{}/api/{what}", self.url.trim_end_matches('/')))
            .basic_auth(&self.user, Some(&self.password))
            .timeout(ASK_MAX);
        request.send().await.map_err(|error| error.without_url().to_string())
    }
}

fn is_ours(name: &str) -> bool {
    name == topology::DEAD || CommandQueue::ALL.into_iter().any(|queue| topology::queue_name(queue) == name)
}

/// A queue counts its consumers every few seconds and its figures are gathered every few seconds; the list of consumers is
/// only gathered.
fn read(queue: &Value, consumers: &[Value]) -> Queue {
    let count = |name: &str| queue[name].as_u64().unwrap_or_default();
    let rate = |name: &str| queue["message_stats"][name]["rate"].as_f64();
    Queue {
        name: queue["name"].as_str().unwrap_or_default().to_owned(),
        consumers: consumers.iter().filter(|one| one["queue"]["name"] == queue["name"]).count() as u64,
        ready: count("messages_ready"),
        unacked: count("messages_unacknowledged"),
        publish_rate: rate("publish_details").or(Some(0.0)),
        deliver_rate: rate("deliver_get_details").or(Some(0.0)),
    }
}

/// What is wrong with the broker's nodes.
fn troubles(alarms: &Value, nodes: &[Value]) -> Vec<String> {
    let word = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let alarms = alarms["alarms"].as_array().into_iter().flatten();
    let alarms = alarms.map(|alarm| format!("{} alarm on {}", word(alarm, "resource"), word(alarm, "node")));
    let gone = nodes.iter().filter(|node| node["running"] == false);
    alarms.chain(gone.map(|node| format!("not running: {}", word(node, "name")))).collect()
}

/// Undoes `%41`; what is no such escape stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        let escaped = escaped.and_then(|digits| str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn alarms_and_nodes_that_are_gone_are_named() {
        let alarms = json!({"status": "failed", "alarms": [{"node": "rabbit@one", "resource": "memory"}]});
        let nodes =
            [json!({"name": "rabbit@one", "running": true}), json!({"name": "rabbit@two", "running": false})];
        assert_eq!(troubles(&alarms, &nodes), ["memory alarm on rabbit@one", "not running: rabbit@two"]);
        assert!(troubles(&json!({"status": "ok"}), &nodes[..1]).is_empty());
    }

    #[test]
    fn the_management_api_is_on_the_brokers_host_with_its_user() {
        let management =
            Management::new("amqp://me:p%40ss@rabbit:5672/shop%2Fone", None).expect("a good URL");
        assert_eq!(management.url, "http://rabbit:15672");
        assert_eq!((management.user.as_str(), management.password.as_str()), ("me", "p@ss"));
        assert_eq!(management.vhost, "shop/one");
        let other = Management::new("amqp://rabbit", Some("http://elsewhere:1")).expect("a good URL");
        assert_eq!(
            (other.url.as_str(), other.user.as_str(), other.vhost.as_str()),
            ("http://elsewhere:1", "guest", "/")
        );
        assert_eq!(percent_decoded("100%"), "100%");
    }
}
