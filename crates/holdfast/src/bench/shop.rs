//! The bench's own shop inside the server under load: a location, items with stock, and what the server says of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use hyper::header::HeaderValue;
use hyper::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::books::Shelf;
use super::client::{AT_LEAST, Ask, Connection, IDEMPOTENCY_KEY, Reply, Target};

/// Most SKUs that one `POST /v1/stock/query` may ask for.
const QUERY_SKUS_MAX: usize = 500;
/// How long a request of the set-up is repeated while the server refuses it.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// The items of this run.
#[derive(Debug)]
pub struct Shop {
    pub skus: Vec<String>,
    /// The address of every item, for the reads.
    pub paths: Vec<Uri>,
}

impl Shop {
    /// Items called PREFIX-0000000 and so on.
    pub fn named(prefix: &str, skus: usize) -> anyhow::Result<Self> {
        let skus: Vec<String> = (0..skus).map(|n| format!("{prefix}-{n:07}")).collect();
        let paths: Result<Vec<Uri>, _> = skus.iter().map(|sku| format!("/v1/items/{sku}").parse()).collect();
        Ok(Self { skus, paths: paths.context("an item's path")? })
    }

    /// No items, but paths to read: one a line.
    pub fn of_paths(text: &str) -> anyhow::Result<Self> {
        let path = |line: &str| line.parse().with_context(|| format!("{line:?} is not a path"));
        let paths: Vec<Uri> = text.lines().map(path).collect::<anyhow::Result<_>>()?;
        ensure!(!paths.is_empty(), "there is no path to read");
        Ok(Self { skus: Vec::new(), paths })
    }

    /// Things to choose from.
    pub fn choices(&self) -> usize {
        self.paths.len()
    }
}

/// Creates the items, `connections` at a time, and waits until the stock of all of them is readable. Answers with the
/// shop and its first stock.
pub async fn set_up(
    target: &Arc<Target>,
    skus: usize,
    units: u64,
    connections: usize,
) -> anyhow::Result<(Arc<Shop>, Vec<Shelf>)> {
    let run = Uuid::new_v4().simple().to_string();
    let shop = Arc::new(Shop::named(&format!("bench-{}", &run[..12]), skus)?);

    let mut first = Connection::new(target.clone());
    let location = Arc::new(location(&mut first).await?);
    let (last, others) = shop.skus.split_last().context("--skus must be at least 1")?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for _ in 0..connections.min(others.len()) {
        let (shop, location, next) = (shop.clone(), location.clone(), next.clone());
        let mut connection = Connection::new(target.clone());
        tasks.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index + 1 >= shop.skus.len() {
                    return Ok(());
                }
                create(&mut connection, &shop.skus[index], &location, units).await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("creating items")??;
    }
    // Created after all the others were answered, its position is after theirs.
    let position = create(&mut first, last, &location, units).await?;
    let item = shop.paths[shop.paths.len() - 1].clone();
    patiently(&mut first, &at_least(Ask::public(item), position.as_ref()), StatusCode::OK).await?;
    let shelves = stock(target, &shop, position.as_ref()).await?;
    if let Some((shelf, sku)) = shelves.iter().zip(&shop.skus).find(|(shelf, sku)| shelf.sku != **sku) {
        bail!("asked for the stock of {sku}, the server answered with {:?}", shelf.sku);
    }
    ensure!(shelves.len() == shop.skus.len(), "the stock of the new items cannot be read");
    Ok((shop, shelves))
}

/// The stock of all the shop's SKUs, in their order (a SKU that the server does not list is left out, and everything
/// behind it with it), not older than `position`.
pub async fn stock(
    target: &Arc<Target>,
    shop: &Shop,
    position: Option<&HeaderValue>,
) -> anyhow::Result<Vec<Shelf>> {
    #[derive(Deserialize)]
    struct Page {
        items: Vec<Shelf>,
    }
    let mut connection = Connection::new(target.clone());
    let mut shelves = Vec::with_capacity(shop.skus.len());
    for skus in shop.skus.chunks(QUERY_SKUS_MAX) {
        let path = Uri::from_static("/v1/stock/query");
        let ask = at_least(Ask::post(path, json!({ "skus": skus }).to_string()), position);
        let reply = patiently(&mut connection, &ask, StatusCode::OK).await?;
        let page: Page = serde_json::from_slice(&reply.body).context("the answer of POST /v1/stock/query")?;
        let mut found: HashMap<String, Shelf> =
            page.items.into_iter().map(|shelf| (shelf.sku.clone(), shelf)).collect();
        for sku in skus {
            match found.remove(sku) {
                Some(shelf) => shelves.push(shelf),
                None => return Ok(shelves),
            }
        }
    }
    Ok(shelves)
}

pub fn at_least(ask: Ask, position: Option<&HeaderValue>) -> Ask {
    match position {
        Some(position) => ask.with(AT_LEAST, position.clone()),
        None => ask,
    }
}

/// Repeats a request until the wanted status comes; refusals and lost answers pass, anything else is an error.
pub async fn patiently(connection: &mut Connection, ask: &Ask, wanted: StatusCode) -> anyhow::Result<Reply> {
    let end = Instant::now() + PATIENCE;
    loop {
        let trouble = match connection.send(ask.clone()).await {
            Ok(reply) if reply.status == wanted => return Ok(reply),
            Ok(reply) => {
                let text = String::from_utf8_lossy(&reply.body).into_owned();
                match reply.status {
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                        bail!(
                            "--api-key: it must be the key of an admin; the server answered {} {text}",
                            reply.status
                        )
                    }
                    // 202 and 404: not there yet.
                    status if status.is_server_error() => {}
                    StatusCode::ACCEPTED | StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS => {}
                    _ => bail!("{ask}: the server answered {} {text}", reply.status),
                }
                format!("the server answers {} {text}", reply.status)
            }
            Err(broken @ super::client::Broken::Unreachable(_)) => bail!("--url: {broken}"),
            Err(broken) => broken.to_string(),
        };
        if Instant::now() >= end {
            bail!("{ask}: after {} s {trouble}", PATIENCE.as_secs());
        }
        sleep(PAUSE).await;
    }
}

/// The first location, or a new one in a shop that has none.
async fn location(connection: &mut Connection) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Page {
        items: Vec<Location>,
    }
    #[derive(Deserialize)]
    struct Location {
        code: String,
    }
    let path = Uri::from_static("/v1/locations?limit=1");
    let reply = patiently(connection, &Ask::get(path), StatusCode::OK).await?;
    let page: Page = serde_json::from_slice(&reply.body).context("the answer of GET /v1/locations")?;
    if let Some(location) = page.items.into_iter().next() {
        return Ok(location.code);
    }
    let code = "bench";
    let body = json!({"code": code, "name": "Bench", "priority": 1}).to_string();
    let ask = Ask::post(Uri::from_static("/v1/locations"), body)
        .with(IDEMPOTENCY_KEY, HeaderValue::from_static("holdfast-bench-location"));
    patiently(connection, &ask, StatusCode::CREATED).await?;
    Ok(code.to_owned())
}

/// One item with stock; the key makes it safe to repeat. Answers with its position.
async fn create(
    connection: &mut Connection,
    sku: &str,
    location: &str,
    units: u64,
) -> anyhow::Result<Option<HeaderValue>> {
    let body = json!({
        "sku": sku, "brand": "Bench", "model": sku, "description": "Made by holdfast bench.",
        "price": {"amount": 129_900, "currency": "INR"},
        "stock": [{"location": location, "quantity": units}],
    });
    let key = HeaderValue::from_str(sku).context("a SKU is a header value")?;
    let ask = Ask::post(Uri::from_static("/v1/items"), body.to_string()).with(IDEMPOTENCY_KEY, key);
    Ok(patiently(connection, &ask, StatusCode::CREATED).await?.position)
}

#[cfg(test)]
mod tests {
    use super::Shop;

    #[test]
    fn existing_items_are_called_by_their_prefix_and_seven_digits() {
        let shop = Shop::named("item", 11).expect("a shop");
        assert_eq!((shop.skus[0].as_str(), shop.skus[10].as_str()), ("item-0000000", "item-0000010"));
        assert_eq!(shop.paths[10].path(), "/v1/items/item-0000010");
        assert_eq!(shop.choices(), 11);
    }

    #[test]
    fn paths_to_read_stand_one_a_line_and_there_must_be_one() {
        let shop = Shop::of_paths("/v1/items?query=a\n/v1/items?query=b%20c\n").expect("paths");
        assert_eq!((shop.choices(), shop.paths[1].query()), (2, Some("query=b%20c")));
        for bad in ["", "/v1/items?query=b c\n"] {
            assert!(Shop::of_paths(bad).is_err(), "{bad:?}");
        }
    }
}
