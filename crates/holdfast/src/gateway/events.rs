//! `/v1/events`: the log as CloudEvents 1.0.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use holdfast_domain::{Event, Position, Recorded, Sku, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::caller::Access;
use super::openapi::operation::Operation;
use super::openapi::shapes::{about, sku, text};
use super::problem::{Answer, Problem};
use super::request::{AtLeast, Query, cursor, page_limit, parse_cursor};
use super::{AppState, Routes};

/// Bytes of the log that one request looks through; where they end, the next page goes on.
const SCAN_BYTES_MAX: usize = 4 << 20;
/// Bytes that are read at once.
const READ_BYTES_MAX: usize = 256 << 10;

/// Every kind of event: the CloudEvents type without its prefix.
pub const KINDS: [&str; 15] = [
    "item.added",
    "item.updated",
    "item.archived",
    "location.put",
    "stock.changed",
    "order.accepted",
    "order.rejected",
    "order.cancelled",
    "order.fulfilled",
    "order.returned",
    "hold.placed",
    "hold.extended",
    "hold.confirmed",
    "hold.released",
    "hold.expired",
];

pub fn routes(routes: Routes) -> Routes {
    let operation = Operation::get("/v1/events", "list_events", "The event log")
        .query("after", about("Position", text()))
        .query("kind", text())
        .query("sku", sku())
        .paged()
        .answers(200, "EventPage");
    routes.on(Access::StaffOrService, operation, list)
}

/// An event as everybody outside sees it. `position` is its id and its `sequence`.
pub fn cloud_event(recorded: &Recorded, position: Position, at: Timestamp) -> Value {
    let kind = recorded.event.kind();
    json!({
        "specversion": "1.0",
        "id": position,
        "source": "holdfast",
        "type": format!("holdfast.{kind}"),
        "subject": recorded.event.subject(),
        "time": at,
        "sequence": position,
        "datacontenttype": "application/json",
        "dataschema": format!("urn:holdfast:schema:{kind}:1"),
        "data": data(&recorded.event),
    })
}

/// The fields of an event. What the log keeps for itself stays there.
pub fn data(event: &Event) -> Value {
    let value = serde_json::to_value(event).expect("an event is plain data");
    // Recorded as {"order.accepted": {…}}.
    let Value::Object(tagged) = value else { return Value::Null };
    let Some((tag, Value::Object(mut fields))) = tagged.into_iter().next() else { return Value::Null };
    fields.remove("fingerprint");
    if event.kind() == "stock.changed" {
        let what = tag.strip_prefix("stock.").unwrap_or(&tag).to_owned();
        fields.insert("kind".to_owned(), Value::String(what));
    }
    Value::Object(fields)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventQuery {
    after: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
    kind: Option<String>,
    sku: Option<String>,
}

/// Where a scan goes on.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    after: Position,
}

async fn list(State(state): State<AppState>, _at_least: AtLeast, Query(query): Query<EventQuery>) -> Answer {
    let limit = page_limit(query.limit.as_deref())?;
    let kind = query.kind.as_deref().map(wanted_kind).transpose()?;
    let sku = query.sku.as_deref().map(Sku::new).transpose();
    let sku = sku.map_err(|error| Problem::invalid("sku", error.0))?;
    let after = query.after.as_deref().map(str::parse::<Position>).transpose();
    let after = after.map_err(|error| Problem::invalid("after", error.0))?;
    let place = parse_cursor::<Place>(query.cursor.as_deref())?;
    let start = place.map(|place| place.after).or(after).unwrap_or_default();

    let mut items = Vec::new();
    let mut position = start;
    let mut scanned = 0;
    // Whether the log surely ends at `position`.
    let mut ended = false;
    'scan: while scanned < SCAN_BYTES_MAX {
        let batches = state.database.reads.log(position, READ_BYTES_MAX).await?;
        ended = batches.is_empty();
        if ended {
            break;
        }
        for batch in batches {
            scanned += batch.payload.len();
            for (index, recorded) in batch.events()?.iter().enumerate() {
                let at = Position(batch.first.0 + index as u64);
                if at <= position {
                    continue;
                }
                if items.len() == limit {
                    break 'scan;
                }
                position = at;
                if matches(&recorded.event, kind, sku.as_ref()) {
                    items.push(cloud_event(recorded, at, batch.decided_at));
                }
            }
        }
    }
    let next_cursor = (!ended).then(|| cursor(&Place { after: position }));
    // `position` is where a follower goes on that has read all there is.
    Ok(Json(json!({ "items": items, "next_cursor": next_cursor, "position": position })).into_response())
}

fn wanted_kind(text: &str) -> Result<&'static str, Problem> {
    let bare = text.strip_prefix("holdfast.").unwrap_or(text);
    KINDS
        .into_iter()
        .find(|kind| *kind == bare)
        .ok_or_else(|| Problem::invalid("kind", format!("must be one of {}", KINDS.join(", "))))
}

fn matches(event: &Event, kind: Option<&str>, sku: Option<&Sku>) -> bool {
    let names = |wanted: &Sku| {
        let mut named = false;
        event.each_sku(|sku| named |= sku == wanted);
        named
    };
    kind.is_none_or(|kind| event.kind() == kind) && sku.is_none_or(names)
}
