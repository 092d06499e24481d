//! The demo shop: watches of eight invented brands over three Indian cities, and two accounts that everybody knows.
//!
//! `demo/watches.csv` is an ordinary import file (`holdfast import` takes it too). Loading has ids made from names, and
//! adds only what is not there: a shop that has been worked in is left as it is.

mod digital;
mod look;
mod picture;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use anyhow::bail;
use holdfast_domain::command::{AddItem, Name, PutLocation};
use holdfast_domain::{Actor, Command, CommandBody, LocationCode, Rejection, Role};
use holdfast_store::Database;
use holdfast_store::accounts::{Account, Change};
use uuid::{Uuid, uuid};

use crate::gateway::auth;
use crate::{clock, import};

const WATCHES: &str = include_str!("demo/watches.csv");
/// The namespace of the demo's command ids.
const NAMESPACE: Uuid = uuid!("5f0a7a3e-6f0c-4d0e-9b43-0c7f8f4c2a11");

/// Bengaluru, Delhi, Mumbai; taken from in this order where no customer's place says otherwise.
pub fn locations() -> Vec<PutLocation> {
    let place = |code, name, priority, latitude, longitude| PutLocation {
        code: LocationCode::new(code).expect("the demo's codes are valid"),
        name: Name::new(name).expect("the demo's names are valid"),
        priority,
        latitude: Some(latitude),
        longitude: Some(longitude),
        if_match: None,
        // A location that somebody changed stays as it is.
        create: true,
    };
    vec![
        place("BLR", "Bengaluru warehouse", 1, 12.9716, 77.5946),
        place("DEL", "Delhi warehouse", 2, 28.6139, 77.2090),
        place("BOM", "Mumbai store", 3, 19.0760, 72.8777),
    ]
}

/// The watches with their first stock, in the order of the file.
pub fn items() -> Vec<AddItem> {
    static ITEMS: LazyLock<Vec<AddItem>> = LazyLock::new(|| {
        import::items_of(WATCHES).expect("the demo's file is a valid import; a test reads it")
    });
    ITEMS.clone()
}

/// Username, password, role. Known to everybody, so only ever made by `--demo`.
pub fn accounts() -> [(&'static str, &'static str, Role); 2] {
    [("admin", "keep-the-stock", Role::Admin), ("customer", "buy-some-time", Role::Customer)]
}

/// Locations, then items. The same ids each time, and nothing here replaces anything: loading twice changes nothing.
pub fn commands() -> Vec<Command> {
    let command =
        |name: String, body| Command::new(Uuid::new_v5(&NAMESPACE, name.as_bytes()), Actor::system(), body);
    let locations = locations()
        .into_iter()
        .map(|location| command(format!("location/{}", location.code), CommandBody::PutLocation(location)));
    let items = items().into_iter().map(|item| {
        let sku = item.sku.as_ref().expect("the demo's items have SKUs");
        command(format!("item/{sku}"), CommandBody::AddItem(item))
    });
    locations.chain(items).collect()
}

/// The picture of a demo watch as a self-contained SVG, without scripts; `None` for any other SKU.
pub fn picture(sku: &str) -> Option<String> {
    static WATCHES_BY_SKU: LazyLock<HashMap<String, AddItem>> = LazyLock::new(|| {
        let by_sku = |item: AddItem| Some((item.sku.as_ref()?.to_string(), item));
        items().into_iter().filter_map(by_sku).collect()
    });
    WATCHES_BY_SKU.get(sku).map(picture::draw)
}

/// Makes the demo shop in a database, or completes it.
pub async fn load(database: &Database) -> anyhow::Result<()> {
    let executed = database.store.execute(clock::now(), Arc::new(commands())).await?;
    for outcome in executed.outcomes {
        match outcome.result {
            Ok(_) | Err(Rejection::LocationExists { .. } | Rejection::SkuExists { .. }) => {}
            // Another version's demo under the same id: what is there stays.
            Err(Rejection::CommandIdReused) => {}
            Err(rejection) => bail!("the demo shop cannot be loaded: {}", rejection.detail()),
        }
    }
    for (username, password, role) in accounts() {
        if database.accounts.account_by_name(username).await?.is_some() {
            continue;
        }
        let account = Account {
            id: Uuid::new_v5(&NAMESPACE, format!("account/{username}").as_bytes()),
            username: username.to_owned(),
            role,
            disabled: false,
            password_hash: auth::hash_password(password.to_owned()).await?,
            created_at: clock::now(),
        };
        match database.accounts.add_account(account, None).await? {
            // Taken: by another process that starts at the same moment.
            Change::Done(()) | Change::NameTaken => {}
            Change::NotFound | Change::Replayed(_) => {
                unreachable!("a new account without a key is added or taken")
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use holdfast_domain::{SkuState, StockRow};

    use super::*;

    async fn database(folder: &tempfile::TempDir) -> Database {
        Database::open_sqlite(&folder.path().join("holdfast.db")).await.expect("a new database")
    }

    #[test]
    fn there_are_sixty_watches_of_eight_brands_and_each_has_a_picture_of_its_own() {
        let items = items();
        assert!(items.len() >= 60);
        assert_eq!(items.iter().map(|item| item.brand.as_str()).collect::<BTreeSet<_>>().len(), 8);
        let mut pictures = BTreeSet::new();
        for item in &items {
            let sku = item.sku.as_ref().expect("a SKU").as_str();
            let url = item.image_url.as_ref().expect("a picture").as_str();
            assert_eq!(url, format!("/demo/pictures/{sku}.svg"));
            assert!(item.description.as_str().len() > 60, "{sku} is described");
            assert_eq!(item.attributes.iter().count(), 6, "{sku}");
            assert!(item.price.0.amount > 0 && item.price.0.amount % 100 == 0, "{sku}");
            assert!(pictures.insert(picture(sku).expect(sku)), "{sku} looks like another watch");
        }
        assert_eq!(picture("NO-SUCH-WATCH"), None);
    }

    #[test]
    fn passwords_are_as_long_as_the_contract_asks() {
        for (username, password, _) in accounts() {
            assert!((12..=128).contains(&password.chars().count()) && password != username);
        }
    }

    #[tokio::test]
    async fn loading_twice_changes_nothing_and_keeps_what_was_changed_since() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(&folder).await;
        load(&database).await.expect("the demo loads");
        let first = database.store.head().await.expect("a head");
        let changed = PutLocation {
            name: Name::new("Bengaluru, moved").expect("a name"),
            create: false,
            ..locations().remove(0)
        };
        let body = CommandBody::PutLocation(changed);
        let change = Command::new(Uuid::new_v5(&NAMESPACE, b"change"), Actor::system(), body);
        database.store.execute(clock::now(), Arc::new(vec![change])).await.expect("the change");
        load(&database).await.expect("the demo loads again");
        let snapshot = database.reads.snapshot().await.expect("a snapshot");
        assert_eq!(snapshot.position, first.position.plus(1));
        assert_eq!(snapshot.locations.len(), 3);
        let names: Vec<&str> = snapshot.locations.iter().map(|location| location.name.as_str()).collect();
        assert!(names.contains(&"Bengaluru, moved"), "{names:?}");
        assert_eq!(database.accounts.accounts(None, 10).await.expect("accounts").len(), 2);
    }

    #[tokio::test]
    async fn some_watches_are_low_some_sold_out_and_some_limited() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(&folder).await;
        load(&database).await.expect("the demo loads");
        let skus = database.reads.snapshot().await.expect("a snapshot").skus;
        let count = |holds: fn(&SkuState) -> bool| skus.iter().filter(|state| holds(state)).count();
        assert_eq!(skus.len(), items().len());
        assert!(count(|state| state.stock.len() == 3) == skus.len());
        assert!((3..=8).contains(&count(|state| state.available() == 0)));
        assert!((5..=30).contains(&count(|state| state.stock.iter().any(StockRow::is_low))));
        assert!(count(|state| state.item.max_per_order.is_some()) > 10);
        assert!(count(|state| state.stock.iter().any(|row| row.safety_stock > 0)) > 10);
    }
}
