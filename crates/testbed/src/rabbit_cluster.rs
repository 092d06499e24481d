//! Several RabbitMQ nodes that form one cluster, each of which can be killed and come back.

use std::time::Duration;

use serde_json::Value;

use crate::error::{Result, Trouble};
use crate::eventually;
use crate::rabbit::{PortMapper, Rabbit};

/// Nodes find each other within seconds of starting.
const FORM_WAIT_MAX: Duration = Duration::from_secs(60);

pub struct RabbitCluster {
    nodes: Vec<Rabbit>,
}

impl RabbitCluster {
    /// Starts `count` nodes at once and returns when all of them see all.
    ///
    /// # Errors
    /// When a node does not start, or they do not find each other.
    pub async fn start(count: usize) -> Result<Self> {
        let mapper = PortMapper::start().await?;
        let names: Vec<String> = (1..=count).map(|number| format!("rabbit{number}")).collect();
        let mut config = "cluster_formation.peer_discovery_backend = classic_config\n".to_owned();
        for (index, name) in names.iter().enumerate() {
            config += &format!(
                "cluster_formation.classic_config.nodes.{} = {}\n",
                index + 1,
                Rabbit::node_name(name)
            );
        }
        let mut starting = tokio::task::JoinSet::new();
        for name in names {
            let (mapper, config) = (mapper.clone(), config.clone());
            starting.spawn(async move { Rabbit::start_node(&name, mapper, &config).await });
        }
        let mut nodes = Vec::with_capacity(count);
        while let Some(node) = starting.join_next().await {
            nodes.push(node.map_err(|panic| Trouble::Other(format!("starting a node: {panic}")))??);
        }
        nodes.sort_by(|one, other| one.node().cmp(other.node()));
        let cluster = Self { nodes };
        cluster.wait_running(count, FORM_WAIT_MAX).await?;
        Ok(cluster)
    }

    pub fn nodes(&self) -> &[Rabbit] {
        &self.nodes
    }

    pub fn node(&self, index: usize) -> &Rabbit {
        &self.nodes[index]
    }

    /// The AMQP ports, for a balancer in front of the nodes.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(Rabbit::port).collect()
    }

    /// Waits until each living node sees exactly `count` nodes running.
    ///
    /// # Errors
    /// When that has not come true after `wait_max`.
    pub async fn wait_running(&self, count: usize, wait_max: Duration) -> Result<()> {
        eventually(&format!("{count} RabbitMQ nodes to see each other"), wait_max, || async {
            for node in self.nodes.iter().filter(|node| node.is_running()) {
                if running(node).await != Some(count) {
                    return false;
                }
            }
            true
        })
        .await
    }
}

async fn running(node: &Rabbit) -> Option<usize> {
    let nodes = node.api("GET", "/api/nodes?columns=name,running", None).await.ok()?;
    let is_running = |node: &&Value| node["running"] == true;
    Some(nodes.as_array()?.iter().filter(is_running).count())
}
