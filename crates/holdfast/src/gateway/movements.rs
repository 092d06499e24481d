//! `/v1/stock/{sku}/movements`: the history of a SKU, newest first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use holdfast_domain::{LocationCode, Movement, MovementKind, Position, Sku, Timestamp};
use holdfast_store::{Database, StoreError};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

use super::problem::{Answer, Problem};
use super::request::{
    AHEAD_MAX, AT_LEAST_WAIT, OWN_WRITES_WAIT, Query, at_least, cursor, page_limit, parse_cursor, path_value,
};
use super::{AppState, answer};
use crate::follow::movements::wait_for;

/// Movements that one page looks at for a location before it says that there may be more.
const LOOKED_AT_MAX: usize = 2_000;
/// Names that are kept.
const NAMES_MAX: usize = 10_000;
/// API keys that are looked at in one go while searching for one by its id.
const KEYS_PER_LOOK: usize = 200;

/// A movement as the API shows it.
#[derive(Debug, Serialize)]
pub(super) struct MovementBody<'a> {
    position: Position,
    at: Timestamp,
    kind: MovementKind,
    sku: &'a Sku,
    location: &'a LocationCode,
    delta: i64,
    quantity: i64,
    on_hand_after: i64,
    /// Who, for people: the username of an account, the name of an API key.
    actor: &'a str,
    actor_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// What was written beside an adjustment's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<Uuid>,
}

impl<'a> MovementBody<'a> {
    pub fn new(movement: &'a Movement, actor: &'a str) -> Self {
        let (reason, note) = match (movement.kind, movement.reason.as_deref()) {
            // Recorded as `damage: dropped`; no adjustment's reason has a colon in it.
            (MovementKind::Adjustment, Some(text)) => match text.split_once(": ") {
                Some((reason, note)) => (Some(reason), Some(note)),
                None => (Some(text), None),
            },
            (_other_kinds, reason) => (reason, None),
        };
        Self {
            position: movement.position,
            at: movement.at,
            kind: movement.kind,
            sku: &movement.sku,
            location: &movement.location,
            delta: movement.delta,
            quantity: movement.quantity,
            on_hand_after: movement.on_hand_after,
            actor,
            actor_id: &movement.actor,
            reason,
            note,
            order_id: movement.order_id,
        }
    }
}

/// The names behind actors' ids. Accounts keep their names and ids are never used again, so what was found stays
/// true.
#[derive(Clone)]
pub(super) struct ActorNames(Arc<Mutex<HashMap<SmolStr, SmolStr>>>);

impl ActorNames {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// The name to show for an actor; what is no account and no API key (`system`, `amqp:…`, a deleted key) is its
    /// own name.
    async fn name(&self, database: &Database, actor: &SmolStr) -> Result<SmolStr, StoreError> {
        let Ok(id) = actor.parse::<Uuid>() else { return Ok(actor.clone()) };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(actor).cloned();
        if let Some(name) = known {
            return Ok(name);
        }
        let name = match database.accounts.account(id).await? {
            Some(account) => SmolStr::new(account.username),
            None => key_name(database, id).await?.unwrap_or_else(|| actor.clone()),
        };
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(actor.clone(), name.clone());
        Ok(name)
    }
}

async fn key_name(database: &Database, id: Uuid) -> Result<Option<SmolStr>, StoreError> {
    let mut after: Option<String> = None;
    loop {
        let keys = database.accounts.api_keys(after.as_deref(), KEYS_PER_LOOK).await?;
        if let Some(key) = keys.iter().find(|key| key.id == id) {
            return Ok(Some(SmolStr::new(&key.name)));
        }
        match keys.into_iter().last() {
            Some(last) => after = Some(last.name),
            None => return Ok(None),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    location: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// A `?location=` to filter by; without a value it filters nothing.
pub(super) fn location(text: Option<&str>) -> Result<Option<LocationCode>, Problem> {
    let code = text.filter(|text| !text.is_empty()).map(LocationCode::new).transpose();
    code.map_err(|error| Problem::invalid("location", error.0))
}

/// Where the list goes on: before this movement, the `number`th of its position.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    position: Position,
    number: u32,
}

/// Movements are a projection of their own, which may be behind the read model: a read that asks for a position
/// waits for both.
async fn wait(state: &AppState, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(position) = at_least(headers)? else {
        // As in `AtLeast`: what this gateway has answered is shown, unless that takes long.
        wait_for(&*state.database.reads, state.dispatcher.answered(), OWN_WRITES_WAIT).await?;
        return Ok(());
    };
    let until = Instant::now() + AT_LEAST_WAIT;
    let reachable = position <= state.model.position().plus(AHEAD_MAX);
    if reachable && state.model.wait_for(position, AT_LEAST_WAIT).await {
        let left = until.saturating_duration_since(Instant::now());
        if wait_for(&*state.database.reads, position, left).await? {
            return Ok(());
        }
    }
    Err(Problem::unavailable("not_yet", format!("This server cannot show position {position} yet.")))
}

pub(super) async fn list(
    State(state): State<AppState>,
    Extension(names): Extension<ActorNames>,
    Path(sku): Path<String>,
    headers: HeaderMap,
    Query(query): Query<ListQuery>,
) -> Answer {
    let sku: Sku = path_value(&sku, "item")?;
    let limit = page_limit(query.limit.as_deref())?;
    let location = location(query.location.as_deref())?;
    let after = parse_cursor::<Place>(query.cursor.as_deref())?;
    wait(&state, &headers).await?;
    if state.model.item(&sku).is_none() {
        return Err(Problem::not_found("item"));
    }
    let (page, next) = page(&state.database, &sku, location.as_ref(), after, limit).await?;
    let mut named = Vec::with_capacity(page.len());
    for movement in page {
        let name = names.name(&state.database, &movement.actor).await?;
        named.push((movement, name));
    }
    let items: Vec<MovementBody<'_>> =
        named.iter().map(|(movement, name)| MovementBody::new(movement, name)).collect();
    let next_cursor = next.map(|place| cursor(&place));
    Ok(answer::page(&items, next_cursor.as_deref()))
}

/// A page, and where the next one begins. A page of a location may be short and still have a next one: the search
/// stops after [`LOOKED_AT_MAX`] movements.
async fn page(
    database: &Database,
    sku: &Sku,
    location: Option<&LocationCode>,
    after: Option<Place>,
    limit: usize,
) -> Result<(Vec<Movement>, Option<Place>), StoreError> {
    let mut page = Vec::with_capacity(limit);
    let mut last = after;
    let mut looked_at = 0;
    loop {
        // One more than the page holds tells whether there is a next one.
        let before = last.map(|place| (place.position, place.number));
        let rows = database.reads.movements(sku, before, limit + 1).await?;
        let all = rows.len() <= limit;
        for (number, movement) in rows {
            if page.len() == limit {
                return Ok((page, last));
            }
            last = Some(Place { position: movement.position, number });
            looked_at += 1;
            if location.is_none_or(|location| movement.location == *location) {
                page.push(movement);
            }
        }
        if all {
            return Ok((page, None));
        }
        if looked_at >= LOOKED_AT_MAX {
            return Ok((page, last));
        }
    }
}

#[cfg(test)]
#[path = "movements_tests.rs"]
mod tests;
