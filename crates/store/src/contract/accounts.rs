//! Accounts, sessions, API keys, and answers that are given once.

use holdfast_domain::Role;
use uuid::Uuid;

use super::{Lab, at};
use crate::accounts::{Account, Answered, ApiKey, Change, Principal, PrincipalKind, Session};
use crate::{Database, OUTCOME_HOURS};

fn account(username: &str) -> Account {
    Account {
        id: Uuid::now_v7(),
        username: username.to_owned(),
        role: Role::Customer,
        disabled: false,
        password_hash: format!("$argon2id$ of {username}"),
        created_at: at(0),
    }
}

async fn added(database: &Database, username: &str) -> Account {
    let account = account(username);
    let change = database.accounts.add_account(account.clone(), None).await.expect("the account is added");
    assert_eq!(change, Change::Done(()));
    account
}

async fn session(database: &Database, account: &Account, number: u8, seconds: i64) -> [u8; 32] {
    let hash = [number; 32];
    let session = Session { hash, account: account.id, created_at: at(0), expires_at: at(seconds) };
    database.accounts.add_session(session).await.expect("the session is added");
    hash
}

async fn principal(database: &Database, hash: [u8; 32], seconds: i64) -> Option<Principal> {
    database.accounts.principal(hash, at(seconds)).await.expect("the principal is read")
}

fn answered(status: u16, seconds: i64) -> Answered {
    let body = r#"{"some": "thing"}"#.to_owned();
    Answered { key: Uuid::now_v7(), fingerprint: [3; 16], status, body, at: at(seconds) }
}

pub async fn usernames_are_unique_without_regard_to_case(lab: &dyn Lab) {
    let database = lab.open().await;
    let anna = added(&database, "Anna").await;
    let taken = database.accounts.add_account(account("aNNA"), None).await.expect("answered");
    assert_eq!(taken, Change::NameTaken);
    for name in ["Anna", "anna", "ANNA"] {
        let found = database.accounts.account_by_name(name).await.expect("read");
        assert_eq!(found.as_ref(), Some(&anna), "found by any spelling, shown as it was chosen");
    }
    assert_eq!(database.accounts.account(anna.id).await.expect("read"), Some(anna));
    assert_eq!(database.accounts.account_by_name("ann").await.expect("read"), None);
    assert_eq!(database.accounts.account(Uuid::now_v7()).await.expect("read"), None);
}

pub async fn accounts_are_listed_by_name(lab: &dyn Lab) {
    let database = lab.open().await;
    for name in ["dora", "Bert", "anna", "Carl"] {
        added(&database, name).await;
    }
    let mut names = Vec::new();
    loop {
        let after = names.last().map(String::as_str);
        let page = database.accounts.accounts(after, 3).await.expect("the page is read");
        if page.is_empty() {
            break;
        }
        names.extend(page.into_iter().map(|account| account.username));
    }
    assert_eq!(names, ["anna", "Bert", "Carl", "dora"]);
}

pub async fn a_session_stands_for_its_account_until_it_ends(lab: &dyn Lab) {
    let database = lab.open().await;
    let anna = added(&database, "anna").await;
    let (short, long) = (session(&database, &anna, 1, 60).await, session(&database, &anna, 2, 600).await);
    let kind = PrincipalKind::Session { expires_at: at(60) };
    let expected = Principal { id: anna.id, name: "anna".to_owned(), role: Role::Customer, kind };
    assert_eq!(principal(&database, short, 59).await, Some(expected));
    assert_eq!(principal(&database, short, 60).await, None, "its time is over");
    assert_eq!(principal(&database, [9; 32], 0).await, None);
    let change =
        database.accounts.update_account(anna.id, Some(Role::Staff), None, None).await.expect("changed");
    assert!(matches!(change, Change::Done(account) if account.role == Role::Staff && !account.disabled));
    let now_staff = principal(&database, long, 59).await.expect("it goes on");
    assert_eq!(now_staff.role, Role::Staff, "a role changes at once");
    database.accounts.end_session(long).await.expect("ended");
    assert_eq!(principal(&database, long, 59).await, None);
}

pub async fn disabling_an_account_ends_its_sessions(lab: &dyn Lab) {
    let database = lab.open().await;
    let (anna, bert) = (added(&database, "anna").await, added(&database, "bert").await);
    let (hers, his) = (session(&database, &anna, 1, 60).await, session(&database, &bert, 2, 60).await);
    let update = |disabled| database.accounts.update_account(anna.id, None, Some(disabled), None);
    assert!(matches!(update(true).await.expect("changed"), Change::Done(account) if account.disabled));
    assert_eq!(principal(&database, hers, 1).await, None);
    assert!(matches!(update(false).await.expect("changed"), Change::Done(account) if !account.disabled));
    assert_eq!(principal(&database, hers, 1).await, None, "what has ended stays so");
    assert!(principal(&database, his, 1).await.is_some(), "others are not concerned");
    let nobody = database.accounts.update_account(Uuid::now_v7(), Some(Role::Admin), None, None).await;
    assert_eq!(nobody.expect("answered"), Change::NotFound);
}

pub async fn a_new_password_ends_the_other_sessions(lab: &dyn Lab) {
    let database = lab.open().await;
    let (anna, bert) = (added(&database, "anna").await, added(&database, "bert").await);
    let (this, other) = (session(&database, &anna, 1, 60).await, session(&database, &anna, 2, 60).await);
    let his = session(&database, &bert, 3, 60).await;
    let set = |keep| database.accounts.set_password(anna.id, "new".to_owned(), keep, None);
    assert_eq!(set(Some(this)).await.expect("changed"), Change::Done(()));
    assert!(principal(&database, this, 1).await.is_some());
    assert_eq!(principal(&database, other, 1).await, None);
    assert_eq!(set(None).await.expect("changed"), Change::Done(()));
    assert_eq!(principal(&database, this, 1).await, None);
    assert!(principal(&database, his, 1).await.is_some(), "others are not concerned");
    let found = database.accounts.account(anna.id).await.expect("read").expect("it is there");
    assert_eq!(found.password_hash, "new");
    let nobody = database.accounts.set_password(Uuid::now_v7(), "new".to_owned(), None, None).await;
    assert_eq!(nobody.expect("answered"), Change::NotFound);
}

pub async fn api_keys_are_added_listed_and_revoked(lab: &dyn Lab) {
    let database = lab.open().await;
    let key = |name: &str, number: u8| ApiKey {
        id: Uuid::now_v7(),
        name: name.to_owned(),
        role: Role::Service,
        hash: [number; 32],
        created_at: at(0),
    };
    let (shop, till) = (key("shop", 1), key("till", 2));
    for key in [&till, &shop] {
        let change = database.accounts.add_api_key(key.clone(), None).await.expect("added");
        assert_eq!(change, Change::Done(()));
    }
    let taken = database.accounts.add_api_key(key("shop", 3), None).await.expect("answered");
    assert_eq!(taken, Change::NameTaken);
    assert_eq!(database.accounts.api_keys(None, 1).await.expect("read"), std::slice::from_ref(&shop));
    assert_eq!(database.accounts.api_keys(Some("shop"), 9).await.expect("read"), [till]);
    let expected =
        Principal { id: shop.id, name: "shop".to_owned(), role: Role::Service, kind: PrincipalKind::ApiKey };
    assert_eq!(principal(&database, shop.hash, 1_000_000).await, Some(expected));
    let delete = || database.accounts.delete_api_key(shop.id, None);
    assert_eq!(delete().await.expect("revoked"), Change::Done(()));
    assert_eq!(principal(&database, shop.hash, 1).await, None);
    assert_eq!(delete().await.expect("answered"), Change::NotFound);
}

pub async fn an_idempotent_change_is_answered_once(lab: &dyn Lab) {
    let database = lab.open().await;
    let (anna, first) = (account("anna"), answered(201, 0));
    let add = |account: Account, answered: &Answered| {
        database.accounts.add_account(account, Some(answered.clone()))
    };
    assert_eq!(add(anna.clone(), &first).await.expect("added"), Change::Done(()));
    let again = Answered { fingerprint: [4; 16], status: 500, ..first.clone() };
    assert_eq!(add(account("bert"), &again).await.expect("answered"), Change::Replayed(first.clone()));
    assert_eq!(database.accounts.account_by_name("bert").await.expect("read"), None, "nothing else happened");
    assert_eq!(database.accounts.answered(first.key).await.expect("read"), Some(first.clone()));

    let refused = answered(201, 0);
    assert_eq!(add(account("ANNA"), &refused).await.expect("answered"), Change::NameTaken);
    assert_eq!(database.accounts.answered(refused.key).await.expect("read"), None, "no change, no answer");

    let update = answered(200, 0);
    let disable =
        |disabled| database.accounts.update_account(anna.id, None, Some(disabled), Some(update.clone()));
    assert!(matches!(disable(true).await.expect("changed"), Change::Done(_)));
    assert_eq!(disable(false).await.expect("answered"), Change::Replayed(update.clone()));
    assert!(database.accounts.account(anna.id).await.expect("read").expect("there").disabled);
}

pub async fn an_answer_without_a_change_is_recorded_once(lab: &dyn Lab) {
    let database = lab.open().await;
    let refusal = answered(409, 0);
    let record = |answered: &Answered| database.accounts.record(answered.clone());
    assert_eq!(record(&refusal).await.expect("recorded"), None);
    assert_eq!(database.accounts.answered(refusal.key).await.expect("read"), Some(refusal.clone()));
    let other = Answered { fingerprint: [4; 16], status: 404, ..refusal.clone() };
    assert_eq!(record(&other).await.expect("answered"), Some(refusal.clone()));

    // What stands under a key counts for changes too, and the other way round.
    let add = |name: &str, answered: &Answered| {
        database.accounts.add_account(account(name), Some(answered.clone()))
    };
    assert_eq!(add("anna", &other).await.expect("answered"), Change::Replayed(refusal));
    assert_eq!(database.accounts.account_by_name("anna").await.expect("read"), None);
    let made = answered(201, 0);
    assert_eq!(add("anna", &made).await.expect("added"), Change::Done(()));
    let late = Answered { status: 409, ..made.clone() };
    assert_eq!(record(&late).await.expect("answered"), Some(made));
}

pub async fn what_is_over_is_pruned(lab: &dyn Lab) {
    let database = lab.open().await;
    let anna = added(&database, "anna").await;
    let day = OUTCOME_HOURS * 3_600;
    for number in 1..=200 {
        session(&database, &anna, number, 60).await;
    }
    let alive = session(&database, &anna, 201, 100 * day).await;
    let (old, new) = (answered(200, 0), answered(200, 10));
    for answer in [&old, &new] {
        let change =
            database.accounts.set_password(anna.id, "x".to_owned(), Some(alive), Some(answer.clone())).await;
        assert_eq!(change.expect("changed"), Change::Done(()));
    }
    let late = session(&database, &anna, 202, 60).await;
    database.accounts.prune_accounts(at(day + 5)).await.expect("pruned");
    assert_eq!(database.accounts.answered(old.key).await.expect("read"), None);
    assert_eq!(database.accounts.answered(new.key).await.expect("read"), Some(new));
    assert!(principal(&database, alive, day).await.is_some());
    assert_eq!(principal(&database, late, 1).await, None, "it is gone, whatever time is asked for");
}
