//! Every event of the log comes to `holdfast.events`, at least once and in its order, and stays in the stream.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_testbed::{BrokerUser, eventually};
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, ShortString};
use serde_json::{Value, json};

use crate::broker::{Program, next};
use crate::stand::{HERE, Stand, alone, lines, shared};

/// What the broker brought: the event, checked against its own message.
fn event(message: &Delivery) -> (u64, Value) {
    let event: Value = serde_json::from_slice(&message.data).expect("an event is JSON");
    let properties = &message.properties;
    let sequence = event["sequence"].as_str().expect("a sequence");
    let header = properties.headers().as_ref().and_then(|headers| headers.inner().get("sequence"));
    assert_eq!(header, Some(&AMQPValue::LongString(sequence.into())), "{event}");
    assert_eq!(properties.message_id().as_ref().map(ShortString::as_str), event["id"].as_str());
    let kind = event["type"].as_str().and_then(|kind| kind.strip_prefix("holdfast.")).expect("our type");
    if !message.exchange.as_str().is_empty() {
        assert_eq!(message.routing_key.as_str(), kind);
    }
    for member in ["specversion", "id", "source", "subject", "time", "dataschema", "data"] {
        assert!(!event[member].is_null(), "no {member}: {event}");
    }
    (sequence.parse().expect("a number, today"), event)
}

/// Events until the one at `last`, in the order in which they came.
async fn until(consumer: &mut Consumer, last: u64) -> Vec<(u64, Value)> {
    let mut came = Vec::new();
    while came.last().is_none_or(|(sequence, _)| *sequence < last) {
        came.push(event(&next(consumer).await));
    }
    came
}

async fn head(stand: &Stand) -> u64 {
    stand.position().await.parse().expect("a number, today")
}

async fn log(stand: &Stand, after: u64) -> Vec<Value> {
    let path = format!("/v1/events?limit=200&after={after}");
    let page = stand.service(HERE).get(&path).send().await.expect(200);
    page["items"].as_array().expect("a page").clone()
}

#[tokio::test]
async fn events_come_in_log_order_just_as_the_api_shows_them() {
    // Alone, so that the log holds what this test writes.
    let stand = alone().await;
    let listener = Program::connect(&stand.broker_url(BrokerUser::Listener)).await;
    let mut events = listener.listen().await;
    let before = head(&stand).await;
    let sku = stand.item(20).await;
    for _ in 0..20 {
        stand.service(HERE).post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
    }
    let refused = stand.service(HERE).post("/v1/orders").json(&lines(&sku, 1)).send().await;
    refused.problem(409, "insufficient_stock");
    let last = head(&stand).await;
    let came = until(&mut events, last).await;
    let new: Vec<&(u64, Value)> = came.iter().filter(|(sequence, _)| *sequence > before).collect();
    assert!(new.is_sorted_by(|one, other| one.0 < other.0), "each once, in its order");
    let told: Vec<&Value> = new.iter().map(|(_, event)| event).collect();
    let logged = log(&stand, before).await;
    assert_eq!(told, logged.iter().collect::<Vec<_>>());
    let kinds: BTreeSet<&str> = told.iter().filter_map(|event| event["type"].as_str()).collect();
    for kind in ["holdfast.item.added", "holdfast.order.accepted", "holdfast.order.rejected"] {
        assert!(kinds.contains(kind), "{kind} is missing: {kinds:?}");
    }
}

#[tokio::test]
async fn the_stream_keeps_what_nobody_listened_to() {
    let stand = shared().await;
    let sku = stand.item(3).await;
    let at = stand.service(HERE).post("/v1/orders").json(&lines(&sku, 3)).send().await.position();
    let at: u64 = at.parse().expect("a number, today");
    let listener = Program::connect(&stand.broker_url(BrokerUser::Listener)).await;
    let mut replayed = listener.replay().await;
    let came = until(&mut replayed, at).await;
    assert_eq!(came.first().map(|(sequence, _)| *sequence), Some(1), "from the first event on");
    let found = came.iter().find(|(sequence, _)| *sequence == at).expect("it is there");
    assert_eq!(found.1["type"], "holdfast.order.accepted");
}

#[tokio::test]
async fn a_relay_that_is_killed_before_it_saves_its_place_says_some_events_again_and_none_never() {
    let stand = alone().await;
    let listener = Program::connect(&stand.broker_url(BrokerUser::Listener)).await;
    let mut events = listener.listen().await;
    let sku = stand.item(100).await;
    let start = head(&stand).await;
    let caught_up = || async {
        let cursor = "SELECT position FROM cursors WHERE name = 'relay'";
        let at = stand.cluster.postgres().sql(&stand.cluster.database_url(), cursor).await.expect("a row");
        at.parse::<u64>().is_ok_and(|at| at >= start)
    };
    eventually("the relay is at the head", Duration::from_secs(10), caught_up).await.expect("it is");

    // Nobody can move the cursor: the relay publishes, and hangs before it saves.
    let postgres = stand.cluster.postgres();
    let url = stand.cluster.database_url();
    let hold = "BEGIN; SELECT position FROM cursors WHERE name = 'relay' FOR UPDATE; SELECT pg_sleep(600)";
    let counts = |condition: &'static str| {
        let url = url.clone();
        let asked =
            format!("SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {condition}");
        async move { postgres.sql(&url, &asked).await.is_ok_and(|count| count == "1") }
    };
    let killed = async {
        let held = || counts("wait_event = 'PgSleep'");
        eventually("the cursor is held", Duration::from_secs(5), held).await.expect("it is");
        let order = || stand.service(HERE).post("/v1/orders").json(&lines(&sku, 1));
        let published = order().send().await.position();
        for _ in 0..9 {
            order().send().await.written(201);
        }
        let published: u64 = published.parse().expect("a number, today");
        let hangs = || counts("wait_event_type = 'Lock' AND query LIKE '%cursors%'");
        eventually("the relay hangs", Duration::from_secs(5), hangs).await.expect("it does");
        stand.cluster.process("relay").kill().expect("it dies");
        // Its last words to the database die with it.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'; \
                   SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        postgres.sql(&url, end).await.expect("both are ended");
        published
    };
    let (held, published) = tokio::join!(postgres.sql(&url, hold), killed);
    assert!(held.is_err(), "the cursor was held all the time");
    // Written while no relay runs.
    let at = stand.service(HERE).post("/v1/orders").json(&lines(&sku, 1)).send().await.position();
    let last: u64 = at.parse().expect("a number, today");
    stand.mend().await;
    let came = until(&mut events, last).await;

    let mut times: BTreeMap<u64, usize> = BTreeMap::new();
    for (sequence, _) in &came {
        *times.entry(*sequence).or_default() += 1;
    }
    let missed: Vec<u64> = (start + 1..=last).filter(|sequence| !times.contains_key(sequence)).collect();
    assert!(missed.is_empty(), "never said: {missed:?}");
    assert!(times[&published] >= 2, "it was published before the kill, and is said again: {times:?}");
    // Said again from an earlier place on, but never with a gap forward: order holds for whoever drops what is known.
    let mut known = came[0].0;
    for (sequence, _) in &came {
        assert!(*sequence <= known + 1, "{sequence} came before {}", known + 1);
        known = known.max(*sequence);
    }
    // The same event in the same words.
    let words: BTreeSet<String> =
        came.iter().filter(|(at, _)| *at == published).map(|(_, event)| json!(event).to_string()).collect();
    assert_eq!(words.len(), 1);
}
