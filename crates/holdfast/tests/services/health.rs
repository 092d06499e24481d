//! The board tells the truth about processes that are killed and come back.

use std::time::Duration;

use holdfast_testbed::eventually;
use serde_json::{Value, json};

use crate::stand::{HERE, Stand, THERE, alone, lines, shared, unique};

/// What the contract promises.
const SHOWN_MAX: Duration = Duration::from_secs(10);
/// Until the whole cluster has settled after the test before.
const SETTLE_MAX: Duration = Duration::from_secs(30);

const ROLES: [(&str, usize); 6] =
    [("gateway", 2), ("items", 1), ("monitor", 1), ("orders", 2), ("relay", 1), ("stock", 1)];

fn instances<'a>(board: &'a Value, role: &str) -> Vec<&'a Value> {
    let roles = board["roles"].as_array().expect("roles");
    let role = roles.iter().filter(|one| one["role"] == role);
    role.flat_map(|role| role["instances"].as_array().expect("instances")).collect()
}

/// Instances of a role that are up.
fn up(board: &Value, role: &str) -> usize {
    instances(board, role).into_iter().filter(|instance| instance["status"] == "up").count()
}

fn down(board: &Value, role: &str) -> usize {
    instances(board, role).into_iter().filter(|instance| instance["status"] == "down").count()
}

fn queue<'a>(board: &'a Value, name: &str) -> &'a Value {
    let queues = board["queues"].as_array().expect("queues");
    queues.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name}: {board}"))
}

fn consumers(board: &Value, name: &str) -> u64 {
    queue(board, name)["consumers"].as_u64().expect("a number")
}

fn all_up(board: &Value) -> bool {
    board["status"] == "up" && ROLES.iter().all(|(role, count)| up(board, role) == *count)
}

async fn settled(stand: &Stand) {
    stand.shows("everything is up", SETTLE_MAX, all_up).await;
}

#[tokio::test]
async fn the_board_shows_every_process_queue_and_store() {
    let stand = shared().await;
    settled(&stand).await;
    for gateway in [HERE, THERE] {
        let board = stand.board(gateway).await;
        for (role, count) in ROLES {
            let ids: std::collections::BTreeSet<&str> =
                instances(&board, role).iter().filter_map(|instance| instance["id"].as_str()).collect();
            assert_eq!(ids.len(), count, "{role}: {ids:?}");
        }
        for (queue, count) in [("holdfast.orders", 2), ("holdfast.items", 1), ("holdfast.stock", 1)] {
            assert_eq!(consumers(&board, queue), count, "{queue}");
        }
        let stores: Vec<&Value> = board["stores"].as_array().expect("stores").iter().collect();
        let is_up = |name: &str| stores.iter().any(|store| store["name"] == name && store["status"] == "up");
        assert!(is_up("postgres") && is_up("broker"), "{stores:?}");
        for store in &stores {
            assert!(store["latency_ms"].as_f64().is_some_and(|latency| latency > 0.0), "{stores:?}");
        }
        assert!(board["lag"]["relay_events"].is_u64() && board["lag"]["read_model_events"].is_u64());
        assert_eq!(board["audit"]["oversold"], 0);
    }
}

#[tokio::test]
async fn the_board_shows_how_fast_a_queue_moves() {
    let stand = shared().await;
    let sku = stand.item(1_000_000).await;
    let orders = async {
        loop {
            stand.service(HERE).post("/v1/orders").json(&lines(&sku, 1)).send().await.written(201);
        }
    };
    let moves = |board: &Value| {
        let rate = |name: &str| queue(board, "holdfast.orders")[name].as_f64().is_some_and(|rate| rate > 0.5);
        rate("publish_rate") && rate("deliver_rate")
    };
    // The broker reckons its rates every five seconds.
    tokio::select! {
        _ = stand.shows("the rates of the orders' queue", SETTLE_MAX, moves) => {}
        () = orders => {}
    }
}

#[tokio::test]
async fn killed_roles_are_shown_within_ten_seconds_and_so_is_their_return() {
    let stand = alone().await;
    settled(&stand).await;
    let wanted = stand.item(1).await;
    let victims = [
        ("orders-2", "orders"),
        ("items", "items"),
        ("stock", "stock"),
        ("relay", "relay"),
        ("gateway-2", "gateway"),
    ];
    for (name, _) in victims {
        stand.cluster.process(name).kill().expect("it dies");
    }
    let took = stand
        .shows("the killed are down", SHOWN_MAX, |board| {
            victims.iter().all(|(_, role)| down(board, role) == 1)
        })
        .await;
    eprintln!("five kills were shown after {took:?}");
    let board = stand.board(HERE).await;
    assert_eq!(board["status"], "degraded");
    // Those that live are not slandered.
    assert_eq!((up(&board, "orders"), up(&board, "gateway"), up(&board, "monitor")), (1, 1, 1), "{board}");
    for role in ["items", "relay", "stock"] {
        let open = open_incidents(&board);
        assert!(open.iter().any(|what| what.starts_with(role) && what.contains("down")), "{role}: {open:?}");
    }
    let unserved = |board: &Value| {
        consumers(board, "holdfast.stock") == 0
            && consumers(board, "holdfast.items") == 0
            && consumers(board, "holdfast.orders") == 1
    };
    stand.shows("the queues have lost their consumers", SHOWN_MAX, unserved).await;
    let told = |board: &Value| open_incidents(board).iter().any(|what| what.contains("holdfast.stock"));
    stand.shows("a queue without consumers is an incident", SHOWN_MAX, told).await;

    // What waits for them is counted.
    let sku = unique("LATE");
    let item =
        json!({ "sku": sku, "brand": "Acme", "model": "Late", "price": { "amount": 1, "currency": "INR" } });
    let promised = stand.staff(HERE).post("/v1/items").header("Prefer", "respond-async").json(&item);
    promised.send().await.written(202);
    stand.service(HERE).post("/v1/orders").json(&lines(&wanted, 1)).send().await.written(201);
    let waits = |board: &Value| {
        queue(board, "holdfast.items")["ready"].as_u64().is_some_and(|ready| ready >= 1)
            && board["lag"]["relay_events"].as_u64().is_some_and(|lag| lag >= 1)
    };
    stand.shows("what waits for the killed", SETTLE_MAX, waits).await;

    stand.mend().await;
    let took = stand.shows("all are back", SHOWN_MAX, all_up).await;
    eprintln!("their return was shown after {took:?}");
    let caught_up =
        |board: &Value| queue(board, "holdfast.items")["ready"] == 0 && board["lag"]["relay_events"] == 0;
    stand.shows("nothing waits any more", SETTLE_MAX, caught_up).await;
    let path = format!("/v1/items/{sku}");
    let added = || async { stand.with(THERE, None).get(&path).send().await.status == 200 };
    eventually("the promised item is there", SETTLE_MAX, added).await.expect("it is");
    stand.shows("the incidents end", SHOWN_MAX, |board| open_incidents(board).is_empty()).await;
    let board = stand.board(HERE).await;
    let incidents = board["incidents"].as_array().expect("incidents");
    let over = |word: &str| {
        incidents
            .iter()
            .any(|one| one["what"].as_str().is_some_and(|what| what.contains(word)) && one["to"].is_string())
    };
    assert!(over("relay") && over("holdfast.stock"), "they stay in the list, with their end: {incidents:?}");
}

fn open_incidents(board: &Value) -> Vec<String> {
    let incidents = board["incidents"].as_array().expect("incidents").iter();
    let open = incidents.filter(|incident| incident["to"].is_null());
    open.filter_map(|incident| incident["what"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_killed_monitor_is_shown_down_too() {
    let stand = alone().await;
    settled(&stand).await;
    stand.cluster.process("monitor").kill().expect("it dies");
    let took = stand
        .shows("the monitor is down", SHOWN_MAX, |board| {
            down(board, "monitor") == 1 && board["status"] == "degraded"
        })
        .await;
    eprintln!("the monitor's death was shown after {took:?}");
    stand.mend().await;
    stand.shows("the monitor is back", SHOWN_MAX, all_up).await;
}

#[tokio::test]
async fn a_role_that_is_stopped_well_leaves_the_list() {
    let stand = alone().await;
    settled(&stand).await;
    let exit = stand.cluster.process("orders-2").stop().await.expect("it stops within its time");
    assert!(exit.success(), "{exit}");
    stand.shows("one instance is left", SHOWN_MAX, |board| instances(board, "orders").len() == 1).await;
    let board = stand.board(HERE).await;
    assert_eq!((up(&board, "orders"), &board["status"]), (1, &Value::from("up")), "{board}");
    stand.mend().await;
    stand.shows("there are two again", SHOWN_MAX, all_up).await;
}
