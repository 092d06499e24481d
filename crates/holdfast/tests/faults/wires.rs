//! Wires between roles and their servers, cut (closed, and refused) and half open (silent).

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_testbed::FaultProxy;

use crate::scene::Scene;
use crate::shop::{Shop, Wires};
use crate::table::Row;

/// How long a wire is broken at least.
const BROKEN_FOR: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
pub enum End {
    ActiveOrders,
    /// One of two.
    Gateway,
}

#[derive(Clone, Copy)]
pub enum Server {
    Broker,
    Database,
}

#[derive(Clone, Copy)]
pub enum Break {
    Cut,
    HalfOpen,
}

/// From when on the service has to be back, and in what time.
#[derive(Clone, Copy)]
pub enum Back {
    /// Somebody else takes over.
    AfterTheBreak(Duration),
    /// Nobody can.
    AfterTheHealing(Duration),
}

pub async fn is_broken(shop: Arc<Shop>, end: End, server: Server, broken: Break, back: Back) -> Row {
    let part = match server {
        Server::Broker => "broker",
        Server::Database => "database",
    };
    let (who, what) = match (end, broken) {
        (End::ActiveOrders, Break::Cut) => ("active orders worker", "cut off from"),
        (End::ActiveOrders, Break::HalfOpen) => ("active orders worker", "on a silent wire to"),
        (End::Gateway, Break::Cut) => ("one gateway of two", "cut off from"),
        (End::Gateway, Break::HalfOpen) => ("one gateway of two", "on a silent wire to"),
    };
    let mut scene = Scene::begin(&shop, &format!("{who} {what} the {part}")).await;
    let name = match end {
        End::ActiveOrders => shop.active_and_standby().await.0,
        End::Gateway => "gateway-1",
    };
    let Wires { broker, database } = shop.role(name).wires.as_ref().expect("this shop has wires");
    let wire: &FaultProxy = match server {
        Server::Broker => broker,
        Server::Database => database,
    };
    match broken {
        Break::Cut => wire.cut().await,
        Break::HalfOpen => wire.half_open().await,
    }
    let began = Instant::now();
    if let Back::AfterTheBreak(max) = back {
        scene.serves_again(began, "the break", max).await;
    }
    shop.is_ready(name, Some(part)).await;
    tokio::time::sleep_until((began + BROKEN_FOR).into()).await;
    wire.heal().await;
    if let Back::AfterTheHealing(max) = back {
        scene.serves_again(Instant::now(), "healing", max).await;
    }
    shop.is_ready(name, None).await;
    shop.shows(name, "up").await;
    scene.end().await
}
