//! Tests of movements: pages, and names instead of ids.

use holdfast_domain::Role;
use holdfast_store::accounts::{Account, ApiKey, Change};
use serde_json::{Value, json};

use super::*;
use crate::clock;

async fn database(folder: &tempfile::TempDir) -> Database {
    Database::open_sqlite(&folder.path().join("holdfast.db")).await.expect("a new database")
}

fn sku() -> Sku {
    Sku::new("A").expect("a SKU")
}

fn code(text: &str) -> LocationCode {
    LocationCode::new(text).expect("a code")
}

fn movement(position: u64, location: &str) -> Movement {
    Movement {
        position: Position(position),
        at: clock::now(),
        kind: MovementKind::Receipt,
        sku: sku(),
        location: code(location),
        delta: 1,
        quantity: 1,
        on_hand_after: 1,
        actor: SmolStr::new_static("system"),
        reason: None,
        order_id: None,
    }
}

/// The positions of all pages, one list a page.
async fn pages(database: &Database, location: Option<&LocationCode>, limit: usize) -> Vec<Vec<u64>> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (movements, next) =
            page(database, &sku(), location, after, limit).await.expect("a sound database");
        found.push(movements.iter().map(|movement| movement.position.0).collect());
        let Some(place) = next else { return found };
        let text = cursor(&place);
        after = parse_cursor::<Place>(Some(&text)).expect("its own cursor");
    }
}

#[tokio::test]
async fn pages_hold_every_movement_once_newest_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(&folder).await;
    // A transfer makes two movements at one position: a page may end between them.
    let places = [(1, "BLR"), (2, "BLR"), (2, "DEL"), (3, "BLR"), (4, "DEL")];
    let movements = places.iter().map(|(position, location)| movement(*position, location)).collect();
    database.store.apply_movements(movements, Position(4)).await.expect("a sound database");
    assert_eq!(pages(&database, None, 3).await, [vec![4, 3, 2], vec![2, 1]]);
    assert_eq!(pages(&database, None, 5).await, [vec![4, 3, 2, 2, 1]]);
    assert_eq!(pages(&database, Some(&code("DEL")), 5).await, [vec![4, 2]]);
    let one_by_one = pages(&database, Some(&code("BLR")), 1).await;
    assert_eq!(one_by_one.concat(), [3, 2, 1]);
    assert_eq!(pages(&database, Some(&code("MAA")), 2).await.concat(), [0_u64; 0]);
    database.store.close().await;
}

#[tokio::test]
async fn people_and_keys_are_called_by_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(&folder).await;
    let (account, key, gone) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let added = Account {
        id: account,
        username: "asha".to_owned(),
        role: Role::Staff,
        disabled: false,
        password_hash: "$argon2id$".to_owned(),
        created_at: clock::now(),
    };
    assert_eq!(database.accounts.add_account(added, None).await.expect("a sound database"), Change::Done(()));
    let added = ApiKey {
        id: key,
        name: "till".to_owned(),
        role: Role::Service,
        hash: [1; 32],
        created_at: clock::now(),
    };
    assert_eq!(database.accounts.add_api_key(added, None).await.expect("a sound database"), Change::Done(()));
    let names = ActorNames::new();
    for (actor, name) in [
        (account.to_string(), "asha".to_owned()),
        (key.to_string(), "till".to_owned()),
        (gone.to_string(), gone.to_string()),
        ("amqp:shop".to_owned(), "amqp:shop".to_owned()),
        ("system".to_owned(), "system".to_owned()),
    ] {
        let actor = SmolStr::new(actor);
        // The second time from memory.
        for _ in 0..2 {
            assert_eq!(names.name(&database, &actor).await.expect("a sound database"), name);
        }
    }
    assert_eq!(names.0.lock().expect("nobody panicked").len(), 3);
    database.store.close().await;
}

#[test]
fn an_adjustment_shows_its_reason_and_its_note_apart() {
    let shown = |kind, reason: &str| {
        let movement = Movement { kind, reason: Some(reason.to_owned()), ..movement(1, "BLR") };
        let body = serde_json::to_value(MovementBody::new(&movement, "asha")).expect("plain data");
        (body["reason"].clone(), body.get("note").cloned())
    };
    assert_eq!(
        shown(MovementKind::Adjustment, "damage: fell: twice"),
        (json!("damage"), Some(json!("fell: twice")))
    );
    assert_eq!(shown(MovementKind::Adjustment, "loss"), (json!("loss"), None::<Value>));
    assert_eq!(shown(MovementKind::Receipt, "PO: 7"), (json!("PO: 7"), None::<Value>));
}
