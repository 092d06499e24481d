//! After the load: every doubt is settled, and what was accepted is read back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use hyper::header::HeaderValue;
use hyper::{StatusCode, Uri};
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::client::{Ask, Connection, Target};
use super::load::Plan;
use super::orders::{Fate, Sent, fate, write_order};
use super::shop::at_least;

/// How long doubts may last after the load.
const DECIDED_WITHIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// What became of the doubts.
#[derive(Debug, Default)]
pub struct Settled {
    pub accepted: u64,
    pub rejected: u64,
    /// Orders that were taken, and of which the server knows nothing, or still has no decision.
    pub lost: Vec<(Uuid, String)>,
}

/// Finds out what became of the orders in doubt, and counts those that were accepted.
pub async fn doubts(
    target: &Arc<Target>,
    plan: &Arc<Plan>,
    doubts: Vec<(Sent, Fate)>,
    connections: usize,
) -> anyhow::Result<Settled> {
    let end = Instant::now() + DECIDED_WITHIN;
    let connections = connections.min(doubts.len());
    let queue = Arc::new(Mutex::new(VecDeque::from(doubts)));
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (plan, queue) = (plan.clone(), queue.clone());
        let mut connection = Connection::new(target.clone());
        tasks.spawn(async move {
            let mut settled = Settled::default();
            loop {
                let next = queue.lock().expect("nobody panics with the queue").pop_front();
                let Some((sent, told)) = next else { return settled };
                match decision(&mut connection, &plan, &sent, &told, end).await {
                    Ok(true) => {
                        plan.live.take(&sent.picks);
                        settled.accepted += 1;
                    }
                    Ok(false) => settled.rejected += 1,
                    Err(trouble) => settled.lost.push((sent.id, trouble)),
                }
            }
        });
    }
    let mut sum = Settled::default();
    while let Some(ended) = tasks.join_next().await {
        let settled = ended.context("settling doubts")?;
        sum.accepted += settled.accepted;
        sum.rejected += settled.rejected;
        sum.lost.extend(settled.lost);
    }
    Ok(sum)
}

/// Whether an order was accepted, in the end. One that was answered 202 must be readable; one without an answer, of
/// which the server knows nothing, is sent again: by its id it is taken once at most.
async fn decision(
    connection: &mut Connection,
    plan: &Plan,
    sent: &Sent,
    told: &Fate,
    end: Instant,
) -> Result<bool, String> {
    loop {
        let trouble = match read(connection, sent.id, None).await {
            Ok(Some(status)) => match standing(&status) {
                Some(accepted) => return Ok(accepted),
                None => format!("still {status}"),
            },
            Ok(None) if *told == Fate::Pending => "it was answered 202 and cannot be read".to_owned(),
            Ok(None) => match place_again(connection, plan, sent).await {
                Fate::Accepted => return Ok(true),
                Fate::Rejected(_) => return Ok(false),
                Fate::Failed(code) => return Err(format!("sent again, it failed: {code}")),
                Fate::Pending => "sent again, it is pending".to_owned(),
                Fate::Refused(code) | Fate::Unknown(code) => format!("sent again: {code}"),
            },
            Err(trouble) => trouble,
        };
        if Instant::now() >= end {
            return Err(trouble);
        }
        sleep(PAUSE).await;
    }
}

async fn place_again(connection: &mut Connection, plan: &Plan, sent: &Sent) -> Fate {
    let mut body = Vec::new();
    write_order(&mut body, sent.id, &sent.picks, &plan.shop.skus);
    match connection.send(Ask::post(Uri::from_static("/v1/orders"), body)).await {
        Ok(reply) => fate(sent.id, &reply),
        Err(broken) => Fate::Unknown(broken.code().to_owned()),
    }
}

/// Whether a status says that the order was accepted; `None` while it is pending.
fn standing(status: &str) -> Option<bool> {
    match status {
        "pending" => None,
        "rejected" => Some(false),
        // Accepted, and whatever may follow.
        _ => Some(true),
    }
}

/// The status of an order; `None` if the server knows no such order.
async fn read(
    connection: &mut Connection,
    id: Uuid,
    position: Option<&HeaderValue>,
) -> Result<Option<String>, String> {
    #[derive(Deserialize)]
    struct Read {
        id: Uuid,
        status: String,
    }
    let path: Uri = format!("/v1/orders/{id}").parse().expect("an order's path is a URI");
    let reply =
        connection.send(at_least(Ask::get(path), position)).await.map_err(|broken| broken.to_string())?;
    match reply.status {
        StatusCode::OK => match serde_json::from_slice::<Read>(&reply.body) {
            Ok(order) if order.id == id => Ok(Some(order.status)),
            Ok(order) => Err(format!("the server answered with order {}", order.id)),
            Err(error) => Err(format!("the answer cannot be read: {error}")),
        },
        StatusCode::NOT_FOUND => Ok(None),
        status => Err(format!("reading it was answered {status} {}", reply.code())),
    }
}

/// One last order, counted like the others: its position is after all that was answered before, so what is read with it
/// is not older than any answer.
pub async fn marker(target: &Arc<Target>, plan: &Plan) -> anyhow::Result<Option<HeaderValue>> {
    let end = Instant::now() + DECIDED_WITHIN;
    let mut connection = Connection::new(target.clone());
    let sent = Sent { id: Uuid::now_v7(), picks: vec![0] };
    let mut body = Vec::new();
    write_order(&mut body, sent.id, &sent.picks, &plan.shop.skus);
    loop {
        // Repeated with its id it is one order, whatever became of the first try.
        let reply = connection.send(Ask::post(Uri::from_static("/v1/orders"), body.clone())).await;
        let trouble = match reply {
            Ok(reply) => match fate(sent.id, &reply) {
                Fate::Accepted => {
                    plan.live.take(&sent.picks);
                    return Ok(reply.position);
                }
                Fate::Rejected(_) => return Ok(reply.position),
                Fate::Pending => "it is pending".to_owned(),
                Fate::Failed(code) => anyhow::bail!("the last order failed: {} {code}", reply.status),
                Fate::Refused(code) | Fate::Unknown(code) => format!("{} {code}", reply.status),
            },
            Err(broken) => broken.to_string(),
        };
        anyhow::ensure!(Instant::now() < end, "the last order is not decided: {trouble}");
        sleep(PAUSE).await;
    }
}

/// Reads accepted orders back, and answers with those that are not what they were said to be.
pub async fn read_back(
    target: &Arc<Target>,
    sample: &[Sent],
    position: Option<&HeaderValue>,
) -> Vec<(Uuid, String)> {
    let mut connection = Connection::new(target.clone());
    let mut lost = Vec::new();
    for sent in sample {
        let mut answer = read(&mut connection, sent.id, position).await;
        if answer.is_err() {
            // A connection that was idle during the settling may have been closed.
            answer = read(&mut connection, sent.id, position).await;
        }
        match answer {
            Ok(Some(status)) if status == "accepted" => {}
            Ok(Some(status)) => lost.push((sent.id, format!("it was accepted and is {status}"))),
            Ok(None) => lost.push((sent.id, "it was accepted and cannot be found".to_owned())),
            Err(trouble) => lost.push((sent.id, trouble)),
        }
    }
    lost
}
