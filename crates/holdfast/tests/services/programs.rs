//! The programs in `examples/`, as somebody in another language would run them: real Python, real `pika`, the users of
//! the broker that are shipped for them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use holdfast_testbed::{BrokerUser, Process, Ready};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::binary::said;
use crate::client::text;
use crate::dead_letters::letters;
use crate::stand::{HERE, Stand, THERE, shared};

const PIKA_VERSION: &str = "1.4.4";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate lies in crates/").to_path_buf()
}

/// A Python that has `pika`, made once in `.tools/`.
async fn python() -> &'static Path {
    static PYTHON: OnceCell<PathBuf> = OnceCell::const_new();
    PYTHON
        .get_or_init(|| async {
            let tools = root().join(".tools").join("pika");
            let python = tools.join("bin/python");
            let has_it = || {
                let asked =
                    Command::new(&python).args(["-c", "import pika; print(pika.__version__)"]).output();
                asked.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).trim() == PIKA_VERSION)
            };
            if !has_it() {
                let run = |command: &mut Command, hint: &str| {
                    let output = command
                        .stdin(Stdio::null())
                        .output()
                        .unwrap_or_else(|error| panic!("{hint}: {error}"));
                    assert!(output.status.success(), "{hint}\n{}", said(&output));
                };
                let hint = "python3 with venv is missing (Debian: apt-get install python3-venv)";
                run(Command::new("python3").args(["-m", "venv"]).arg(&tools), hint);
                let pika = format!("pika=={PIKA_VERSION}");
                let pip = ["install", "--quiet", "--disable-pip-version-check", &pika];
                run(Command::new(tools.join("bin/pip")).args(pip), "pika cannot be installed");
                assert!(has_it(), "pika {PIKA_VERSION} is installed");
            }
            python
        })
        .await
}

async fn example(stand: &Stand, name: &str, user: BrokerUser, arguments: &[&str], ready: Ready) -> Process {
    Process::build(name, python().await)
        .arg(root().join("examples").join(name))
        .args(arguments)
        .env("HOLDFAST_BROKER", stand.broker_url(user))
        // What it says is read while it runs.
        .env("PYTHONUNBUFFERED", "1")
        .ready(ready)
        .start()
        .await
        .expect("the example runs")
}

async fn ended(program: &Process) -> Vec<Value> {
    let exit = program.wait_exit(Duration::from_secs(60)).await.expect("it ends");
    assert!(exit.success(), "{exit}: {}", program.log_tail());
    let log = program.log_text();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test]
async fn a_producer_in_python_gets_its_answers() {
    let stand = shared().await;
    let sku = stand.item(400).await;
    let program = example(&stand, "producer.py", BrokerUser::Producer, &[&sku], Ready::AtOnce).await;
    let said = ended(&program).await;
    let of = |step: &str| {
        let found = said.iter().find(|line| line["step"] == step);
        found.unwrap_or_else(|| panic!("no {step}: {}", program.log_text()))["answer"].clone()
    };

    let single = of("single");
    assert_eq!(single["ok"], true, "{single}");
    let path = format!("/v1/orders/{}", text(&single, "id"));
    let at = single["position"].as_str().expect("a position");
    let order = stand.service(THERE).get(&path).at_least(at).send().await.expect(200);
    assert_eq!((&order["status"], &order["lines"][0]["sku"]), (&json!("accepted"), &json!(sku)));

    // The same command again: the same answer, and nothing more.
    let duplicate = of("duplicate");
    assert_eq!(
        (&duplicate["id"], &duplicate["ok"], &duplicate["position"]),
        (&single["id"], &json!(true), &single["position"])
    );

    // 500 in one message: each answered in its place, accepted as long as there were units.
    let envelope = of("envelope");
    let answers = envelope.as_array().expect("an array");
    let ok: Vec<bool> = answers.iter().map(|answer| answer["ok"] == true).collect();
    assert_eq!(ok.len(), 500);
    assert!(ok.iter().take(399).all(|ok| *ok) && !ok.iter().skip(399).any(|ok| *ok), "{ok:?}");
    assert!(answers[399..].iter().all(|answer| answer["code"] == "insufficient_stock"), "{}", answers[499]);
    let stock = stand.stock(&sku).await;
    assert_eq!((&stock["allocated"], &stock["available"]), (&json!(400), &json!(0)));

    // Rubbish is answered, and put aside for a person.
    let rubbish = of("rubbish");
    assert_eq!(rubbish["ok"], false, "{rubbish}");
    assert!(rubbish["code"].is_string() && rubbish["detail"].is_string(), "{rubbish}");
    let dead = letters(&stand, &format!("no JSON, from the producer of {sku}")).await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    let path = format!("/v1/dead-letters/{}", text(&dead[0], "id"));
    stand.admin(HERE).delete(&path).send().await.written(204);

    // Its user may not touch the stock: the broker refuses.
    let refused = of("forbidden");
    assert!(
        refused.as_str().is_some_and(|why| why.contains("ACCESS_REFUSED") || why.contains("403")),
        "{refused}"
    );
    stand.verify();
}

#[tokio::test]
async fn a_listener_in_python_hears_the_events() {
    let stand = shared().await;
    let sku = stand.item(5).await;
    let arguments = ["--key", "order.accepted", "--sku", &sku, "--count", "3"];
    let ready = Ready::Line("listening".to_owned());
    let program = example(&stand, "listener.py", BrokerUser::Listener, &arguments, ready).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let order = stand.service(HERE).post("/v1/orders").json(&crate::stand::lines(&sku, 1)).send().await;
        ids.push(json!(text(&order.written(201), "id")));
    }
    let heard = ended(&program).await;
    let subjects: Vec<Value> = heard.iter().map(|event| event["subject"].clone()).collect();
    assert_eq!(subjects, ids, "{heard:?}");
    assert!(heard.iter().all(|event| event["type"] == "holdfast.order.accepted"));

    // The same, later, from the stream.
    let arguments = ["--replay", "--key", "order.accepted", "--sku", &sku, "--count", "3"];
    let program = example(&stand, "listener.py", BrokerUser::Listener, &arguments, Ready::AtOnce).await;
    assert_eq!(ended(&program).await, heard);
}
