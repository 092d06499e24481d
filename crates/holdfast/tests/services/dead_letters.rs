//! What cannot be read is put aside alone, and a person decides over it, one by one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use holdfast_testbed::{BrokerUser, eventually};
use serde_json::{Value, json};

use crate::broker::Program;
use crate::client::{new_id, text};
use crate::stand::{HERE, Stand, THERE, shared};

/// The dead letters whose body holds this text, through either gateway.
pub async fn letters(stand: &Stand, mark: &str) -> Vec<Value> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let gateway = [HERE, THERE][NEXT.fetch_add(1, Ordering::Relaxed) % 2];
    let page = stand.admin(gateway).get("/v1/dead-letters?limit=200").send().await.expect(200);
    let all = page["items"].as_array().expect("a page");
    all.iter()
        .filter(|letter| letter["body"].as_str().is_some_and(|body| body.contains(mark)))
        .cloned()
        .collect()
}

async fn wait_for(stand: &Stand, mark: &str, count: usize) -> Vec<Value> {
    let seen = std::cell::RefCell::new(Vec::new());
    let there = || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        *seen.borrow_mut() = letters(stand, mark).await;
        seen.borrow().len() == count
    };
    let what = format!("{count} dead letters with {mark}");
    if let Err(trouble) = eventually(&what, Duration::from_secs(15), there).await {
        panic!("{trouble}; there are {:#?}", seen.into_inner());
    }
    seen.into_inner()
}

#[tokio::test]
async fn dead_letters_are_listed_retried_and_dropped_one_by_one() {
    let stand = shared().await;
    let sku = stand.item(10).await;
    let producer = Program::connect(&stand.broker_url(BrokerUser::Producer)).await;
    let mark = new_id();

    // Rubbish alone, and a command that nobody knows among good ones.
    producer.send("order.place", &format!("rubbish {mark}")).await;
    let order =
        |id: &str| json!({ "id": id, "kind": "order.place", "lines": [{ "sku": sku, "quantity": 1 }] });
    let (first, bad, last) = (new_id(), new_id(), new_id());
    let envelope = json!([order(&first), { "id": bad, "kind": "order.eat", "note": mark }, order(&last)]);
    let answers = producer.ask("order.place", &envelope.to_string()).await;
    let oks: Vec<&Value> = answers.as_array().expect("an array").iter().map(|answer| &answer["ok"]).collect();
    assert_eq!(oks, [&json!(true), &json!(false), &json!(true)], "{answers}");
    assert_eq!((&answers[0]["id"], &answers[1]["id"]), (&json!(first), &json!(bad)));
    assert_eq!(stand.stock(&sku).await["allocated"], 2);

    let dead = wait_for(&stand, &mark, 2).await;
    let of = |word: &str| {
        let found =
            dead.iter().find(|letter| letter["body"].as_str().is_some_and(|body| body.contains(word)));
        found.unwrap_or_else(|| panic!("no {word} in {dead:?}")).clone()
    };
    let (rubbish, unknown) = (of("rubbish"), of("order.eat"));
    assert_eq!(
        (&rubbish["routing_key"], &unknown["routing_key"]),
        (&json!("order.place"), &json!("order.place"))
    );
    assert_eq!((&unknown["kind"], &rubbish["kind"]), (&json!("order.eat"), &Value::Null));
    for letter in [&rubbish, &unknown] {
        assert!(text(letter, "error").len() > 5 && text(letter, "at").starts_with("20"), "{letter}");
    }
    let counted = |board: &Value| board["dead_letters"].as_u64().is_some_and(|count| count >= 2);
    stand.shows("the board counts the dead letters", Duration::from_secs(15), counted).await;

    // Only an administrator, and only those that there are.
    let path = |letter: &Value| format!("/v1/dead-letters/{}", text(letter, "id"));
    stand.staff(HERE).get("/v1/dead-letters").send().await.problem(403, "forbidden");
    stand.staff(HERE).delete(&path(&rubbish)).send().await.problem(403, "forbidden");
    let nobody = format!("/v1/dead-letters/{}", new_id());
    stand.admin(HERE).delete(&nobody).send().await.problem(404, "not_found");
    stand.admin(HERE).post(&format!("{nobody}/retry")).send().await.problem(404, "not_found");

    // Tried again it is as bad as before; its neighbour stays where it is.
    let key = new_id();
    for gateway in [HERE, THERE] {
        let call = stand.admin(gateway).post(&format!("{}/retry", path(&unknown)));
        let retried = call.key(&key).send().await;
        retried.written(204);
        assert_eq!(retried.replayed(), gateway == THERE, "{retried:?}");
    }
    let dead = wait_for(&stand, &mark, 2).await;
    assert!(dead.iter().any(|letter| letter["kind"] == "order.eat"), "{dead:?}");
    for gateway in [HERE, THERE] {
        let dropped = stand.admin(gateway).delete(&path(&rubbish)).key(&key).send().await;
        dropped.written(204);
        assert_eq!(dropped.replayed(), gateway == THERE, "{dropped:?}");
    }
    // Under another key it is another call, and so is what that was answered.
    let key = new_id();
    for is_again in [false, true] {
        let refused = stand.admin(HERE).delete(&path(&rubbish)).key(&key).send().await;
        refused.problem(404, "not_found");
        assert_eq!(refused.replayed(), is_again, "{refused:?}");
    }
    let left = wait_for(&stand, &mark, 1).await;
    assert_eq!(left[0]["kind"], "order.eat");
    stand.admin(HERE).delete(&path(&left[0])).send().await.written(204);
    wait_for(&stand, &mark, 0).await;
}
