//! kill -9 keeps the page cache, a power cut does not: here each write that was not synced is taken back after the kill,
//! and every answered order must still be there.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_testbed::{Process, Ready};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

const BINARY: &str = env!("CARGO_BIN_EXE_holdfast");
const READY: &str = "listening on http://";
const ROUNDS: usize = 8;
const BUYERS: usize = 8;
const LOAD: Duration = Duration::from_millis(400);

/// Compiles the shim.
fn shim(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power_loss/forget.c");
    let library = folder.join("forget.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-pthread", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .output()
        .expect("cc compiles C: install a C compiler (Debian: apt-get install gcc libc6-dev)");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    library
}

struct Shop {
    folder: TempDir,
    shim: PathBuf,
    lies: bool,
    key: String,
}

impl Shop {
    fn new(lies: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let shim = shim(folder.path());
        fs::create_dir(folder.path().join("undo")).expect("a folder");
        let mut shop = Self { folder, shim, lies, key: String::new() };
        shop.key = shop.tool(&["api-keys", "add", "buyer", "--role", "admin"]);
        shop
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs a command of the binary, without the shim; panics with what it says when it fails.
    fn tool(&self, arguments: &[&str]) -> String {
        let output = Command::new(BINARY)
            .args(arguments)
            .env("HOLDFAST_DATA", self.data())
            .output()
            .expect("the binary runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "holdfast {}: {errors}", arguments.join(" "));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    async fn serve(&self) -> (Process, String) {
        let mut builder = Process::build("holdfast", BINARY)
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn"])
            .env("HOLDFAST_DATA", self.data())
            .env("LD_PRELOAD", &self.shim)
            .env("FORGET_FOLDER", self.data())
            .env("FORGET_UNDO", self.folder.path().join("undo"))
            .ready(Ready::Line(READY.to_owned()))
            .start_within(Duration::from_secs(60));
        if self.lies {
            builder = builder.env("FORGET_LIES", "1");
        }
        let server = builder.start().await.expect("the server starts");
        let log = server.log_text();
        let address = log.split(READY).nth(1).and_then(|rest| rest.split_whitespace().next());
        let url = format!("http://{}", address.expect("it has said where it listens"));
        (server, url)
    }

    /// Takes back what was not synced; says how many writes that were.
    fn lose_power(&self) -> usize {
        let mut undone = 0;
        for entry in fs::read_dir(self.folder.path().join("undo")).expect("the undo files") {
            let undo = entry.expect("an undo file").path();
            let name = undo.file_name().expect("it has a name");
            let records = records(&fs::read(&undo).expect("an undo file"));
            let file = fs::OpenOptions::new().write(true).open(self.data().join(name)).expect("its file");
            for (offset, size, bytes) in records.iter().rev() {
                file.write_all_at(bytes, *offset).expect("put back");
                file.set_len(*size).expect("cut back");
            }
            undone += records.len();
            fs::remove_file(&undo).expect("the undo file goes");
        }
        // Shared memory is none of the data: after a power cut it is not there.
        drop(fs::remove_file(self.data().join("holdfast.db-shm")));
        undone
    }
}

/// (offset, size of the file before, bytes that were there), oldest first.
fn records(mut bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
    let mut records = Vec::new();
    let number = |bytes: &[u8], at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    while bytes.len() >= 24 {
        let length = usize::try_from(number(bytes, 8)).expect("a length");
        // The kill may have come in the middle of a record: then its write was not made.
        let Some(there) = bytes.get(24..24 + length) else { break };
        records.push((number(bytes, 0), number(bytes, 16), there.to_vec()));
        bytes = &bytes[24 + length..];
    }
    records
}

struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Client {
    async fn post(&self, path: &str, body: Value) -> reqwest::Result<(u16, Value)> {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.key).json(&body);
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    async fn order(&self, id: Uuid) -> Option<Value> {
        let request = self.http.get(format!("{}/v1/orders/{id}", self.url)).bearer_auth(&self.key);
        let answer = request.send().await.expect("an answer");
        if answer.status() == 404 { None } else { Some(answer.json().await.expect("an order")) }
    }
}

/// Buys until the server is killed; the ids of the orders that were answered 201.
async fn buy(client: Arc<Client>, stop: Arc<AtomicBool>) -> Vec<Uuid> {
    let mut answered = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let id = Uuid::now_v7();
        let order = json!({"id": id, "lines": [{"sku": "WATCH", "quantity": 1}]});
        match client.post("/v1/orders", order).await {
            Ok((201, _)) => answered.push(id),
            Ok((status, body)) => panic!("{status}: {body}"),
            // The kill.
            Err(_) => break,
        }
    }
    answered
}

/// Loads, kills, loses power and starts again, several times; answered orders, those of them that are lost, and the
/// writes that were taken back.
async fn rounds(shop: &Shop, rounds: usize) -> (usize, usize, usize) {
    let (mut all, mut undone, mut lost) = (Vec::new(), 0, 0);
    for round in 0..=rounds {
        let (server, url) = shop.serve().await;
        let client = Arc::new(Client { http: reqwest::Client::new(), url, key: shop.key.clone() });
        if round == 0 {
            let place = json!({"code": "HERE", "name": "Here", "priority": 1});
            assert_eq!(client.post("/v1/locations", place).await.expect("an answer").0, 201);
            let item = json!({"sku": "WATCH", "brand": "B", "model": "M", "price": {"amount": 1, "currency": "INR"},
                "description": "", "stock": [{"location": "HERE", "quantity": 1_000_000}]});
            assert_eq!(client.post("/v1/items", item).await.expect("an answer").0, 201);
        }
        for id in &all {
            match client.order(*id).await {
                Some(order) => assert_eq!(order["status"], "accepted", "{order}"),
                None => lost += 1,
            }
        }
        if round == rounds {
            server.stop().await.expect("it stops");
            break;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let buyers: Vec<_> = (0..BUYERS).map(|_| tokio::spawn(buy(client.clone(), stop.clone()))).collect();
        tokio::time::sleep(LOAD).await;
        server.kill().expect("killed");
        stop.store(true, Ordering::Relaxed);
        for buyer in buyers {
            all.extend(buyer.await.expect("a buyer"));
        }
        drop(server);
        undone += shop.lose_power();
        if lost > 0 {
            break;
        }
    }
    (all.len(), lost, undone)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_no_answered_order() {
    let shop = Shop::new(false);
    let (answered, lost, undone) = rounds(&shop, ROUNDS).await;
    println!(
        "{answered} orders answered, {undone} writes taken back in {ROUNDS} power cuts, {lost} orders lost"
    );
    assert!(answered > 0, "nothing was ordered");
    assert!(undone > 0, "nothing was ever unsynced: this test cannot fail");
    assert_eq!(lost, 0, "answered orders were lost");
    println!("{}", shop.tool(&["verify"]));
}

/// The test above can fail: on a disk that only says that it has synced, answered orders are gone after the power cut.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_lies_is_found_out() {
    let shop = Shop::new(true);
    // Everything since the start of the server is taken back, the item and all: there may be no shop to return to.
    let (server, url) = shop.serve().await;
    let client = Arc::new(Client { http: reqwest::Client::new(), url, key: shop.key.clone() });
    let place = json!({"code": "HERE", "name": "Here", "priority": 1});
    assert_eq!(client.post("/v1/locations", place).await.expect("an answer").0, 201);
    server.kill().expect("killed");
    drop((server, client));
    assert!(shop.lose_power() > 0, "the shim keeps nothing");
    let (server, url) = shop.serve().await;
    let client = Client { http: reqwest::Client::new(), url, key: shop.key.clone() };
    let again = json!({"code": "HERE", "name": "Here", "priority": 1});
    assert_eq!(client.post("/v1/locations", again).await.expect("an answer").0, 201, "it was not lost");
    server.stop().await.expect("it stops");
}
