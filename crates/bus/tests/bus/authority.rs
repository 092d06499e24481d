//! Who speaks: only what the broker vouches for counts.

use std::collections::BTreeMap;

use holdfast_bus::amqp::Bus;
use holdfast_domain::{Actor, CommandQueue, Role};
use holdfast_testbed::{Rabbit, Vhost};
use serde_json::json;
use uuid::Uuid;

use crate::stand::{Producer, TestWorker, order_body, settings, shared};

const PASSWORD: &str = "secret";

async fn user(rabbit: &Rabbit, vhost: &Vhost, name: &str) -> Producer {
    rabbit.add_user(name, PASSWORD, &[]).await.expect("a user");
    rabbit.set_permissions(&vhost.name, name, ".*", ".*", ".*").await.expect("its permissions");
    Producer::connect(&rabbit.amqp_url_for(name, PASSWORD, &vhost.name), name).await
}

/// A worker whose bus knows the gateways' user by name.
async fn worker(vhost: &Vhost, gateway: &str, roles: &[(&str, Role)]) -> (Bus, TestWorker) {
    let roles: BTreeMap<String, Role> =
        roles.iter().map(|(user, role)| ((*user).to_owned(), *role)).collect();
    let settings = settings(&vhost.url).with_gateway_user(Some(gateway.to_owned())).with_amqp_roles(roles);
    let bus = Bus::connect(settings).await.expect("the broker is there");
    let worker = TestWorker::start(bus.consumer(CommandQueue::Orders));
    (bus, worker)
}

#[tokio::test]
async fn only_the_gateways_user_speaks_for_others() {
    let (rabbit, vhost) = shared().await;
    let (_bus, worker) = worker(&vhost, "front", &[]).await;
    let (front, webshop) = (user(rabbit, &vhost, "front").await, user(rabbit, &vhost, "webshop").await);
    let mut body = order_body("A");
    body["actor"] = json!({"name": "somebody", "role": "admin"});

    let reply = webshop.ask("order.place", body.to_string()).await;
    assert_eq!((&reply["ok"], &reply["code"]), (&json!(false), &json!("malformed")));
    assert!(reply["detail"].as_str().is_some_and(|detail| detail.starts_with("actor")), "{reply}");
    let mut keyed = order_body("A");
    keyed["key"] = json!(Uuid::now_v7());
    assert_eq!(webshop.ask("order.place", keyed.to_string()).await["code"], "malformed");
    assert!(worker.ids().is_empty());

    assert_eq!(front.ask("order.place", body.to_string()).await["id"], body["id"]);
    assert_eq!(worker.commands()[0].actor, Actor::new("somebody", Role::Admin));
}

#[tokio::test]
async fn a_program_acts_under_its_own_name_with_the_role_that_the_settings_grant() {
    let (rabbit, vhost) = shared().await;
    let (_bus, worker) = worker(&vhost, "front", &[("warehouse", Role::Staff)]).await;
    for name in ["warehouse", "webshop-2", "front"] {
        user(rabbit, &vhost, name).await.ask("order.place", order_body("A").to_string()).await;
    }
    let anonymous = Producer::admin(&vhost).await;
    let nameless = lapin::BasicProperties::default();
    anonymous
        .send_with("order.place", order_body("A").to_string(), |_| nameless.clone())
        .await
        .expect("it is sent");
    holdfast_testbed::eventually("all came", crate::stand::PATIENCE, || async { worker.ids().len() == 4 })
        .await
        .expect("they did");
    let actors: Vec<Actor> = worker.commands().into_iter().map(|command| command.actor).collect();
    assert_eq!(
        actors,
        [
            Actor::new("amqp:warehouse", Role::Staff),
            Actor::new("amqp:webshop-2", Role::Service),
            Actor::new("amqp:front", Role::Service),
            Actor::new("amqp:anonymous", Role::Service),
        ]
    );
}

#[tokio::test]
async fn nobody_borrows_the_name_of_another_by_the_headers_of_a_dead_letter() {
    let (rabbit, vhost) = shared().await;
    let (_bus, worker) = worker(&vhost, "front", &[("warehouse", Role::Staff)]).await;
    let webshop = user(rabbit, &vhost, "webshop-3").await;
    let mut headers = lapin::types::FieldTable::default();
    for (name, value) in [("x-holdfast-routing-key", "order.place"), ("x-holdfast-user", "warehouse")] {
        headers.insert(name.into(), lapin::types::AMQPValue::LongString(value.into()));
    }
    let body = order_body("A");
    webshop
        .send_with("order.place", body.to_string(), |properties| properties.with_headers(headers.clone()))
        .await
        .expect("it is sent");
    worker.has_seen(body["id"].as_str().expect("text").parse().expect("a UUID")).await;
    assert_eq!(worker.commands()[0].actor, Actor::new("amqp:webshop-3", Role::Service));
}

#[tokio::test]
async fn the_broker_refuses_a_message_under_the_name_of_another_user() {
    let (rabbit, vhost) = shared().await;
    let (_bus, worker) = worker(&vhost, "front", &[]).await;
    let webshop = user(rabbit, &vhost, "webshop-4").await;
    let forged = webshop
        .send_with("order.place", order_body("A").to_string(), |properties| {
            properties.with_user_id("front".into())
        })
        .await;
    assert!(forged.is_err(), "{forged:?}");
    assert!(worker.ids().is_empty());
}
