//! `/v1/locations`: the places that hold stock.

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_domain::command::PutLocation;
use holdfast_domain::{Answer as Decided, CommandBody, Location, LocationCode, Outcome, Rejection};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::{self, with_position};
use super::caller::{Access, Caller};
use super::items::etag;
use super::openapi::operation::Operation;
use super::problem::{Answer, Problem};
use super::request::{
    AtLeast, IfMatch, Json, Query, Write, command_body, cursor, page_limit, parse_cursor, path_value,
};
use super::{AppState, Routes};

pub fn routes(routes: Routes) -> Routes {
    routes
        .on(
            Access::Staff,
            Operation::get("/v1/locations", "list_locations", "Locations")
                .paged()
                .answers(200, "LocationPage"),
            list,
        )
        .on(
            Access::Staff,
            Operation::post("/v1/locations", "create_location", "Add a location")
                .body("NewLocation")
                .answers(201, "Location")
                .refuses(&[409, 422]),
            add,
        )
        .on(
            Access::Staff,
            Operation::get("/v1/locations/{code}", "get_location", "One location")
                .answers(200, "Location")
                .refuses(&[404]),
            one,
        )
        .on(
            Access::Staff,
            Operation::put("/v1/locations/{code}", "put_location", "Replace a location, or add it")
                .if_match()
                .body("LocationUpdate")
                .answers(200, "Location")
                .refuses(&[404, 412, 422]),
            replace,
        )
}

// Reading.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

/// Where the list goes on.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    after: LocationCode,
}

/// Cuts a page out of all locations, which are sorted by code.
fn page(all: Vec<Location>, after: Option<&LocationCode>, limit: usize) -> (Vec<Location>, Option<String>) {
    let mut items: Vec<Location> = all
        .into_iter()
        .skip_while(|location| after.is_some_and(|after| location.code <= *after))
        .take(limit + 1)
        .collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more);
    let next = last.map(|location| cursor(&Place { after: location.code.clone() }));
    (items, next)
}

async fn list(State(state): State<AppState>, _at_least: AtLeast, Query(query): Query<ListQuery>) -> Answer {
    let after = parse_cursor::<Place>(query.cursor.as_deref())?.map(|place| place.after);
    let limit = page_limit(query.limit.as_deref())?;
    let (items, next_cursor) = page(state.model.locations(), after.as_ref(), limit);
    Ok(answer::page(&items, next_cursor.as_deref()))
}

async fn one(State(state): State<AppState>, _at_least: AtLeast, Path(code): Path<String>) -> Answer {
    let code: LocationCode = path_value(&code, "location")?;
    let location = state.model.location(&code).ok_or_else(|| Problem::not_found("location"))?;
    Ok(([(header::ETAG, etag(location.version))], JsonAnswer(location)).into_response())
}

// Writing.

/// The location that a command answered with, with its `ETag`.
fn location_answer(status: StatusCode, outcome: &Outcome, decided: &Decided) -> Response {
    match decided {
        Decided::Location(location) => {
            let mut response = with_position(status, outcome.position, location);
            response.headers_mut().insert(header::ETAG, etag(location.version));
            response
        }
        // A key that was used for something else is refused before this.
        Decided::Order(_)
        | Decided::OrderText(_)
        | Decided::Hold(_)
        | Decided::Item { .. }
        | Decided::Removed
        | Decided::Movements(_)
        | Decided::Levels(_)
        | Decided::Swept => with_position(status, outcome.position, outcome),
    }
}

/// Reads a body; `code` is the path's, which the body may repeat.
fn put_location(mut body: Map<String, Value>, code: Option<&LocationCode>) -> Result<PutLocation, Problem> {
    for name in ["if_match", "create"] {
        if body.contains_key(name) {
            return Err(Problem::invalid(name, "unknown field"));
        }
    }
    if let Some(code) = code {
        match body.insert("code".to_owned(), json!(code)) {
            Some(named) if named != json!(code) => {
                return Err(Problem::invalid("code", "must be that of the path: a location keeps its code"));
            }
            Some(_) | None => {}
        }
    }
    match command_body("location.put", Value::Object(body), &[])? {
        CommandBody::PutLocation(location) => Ok(location),
        other => unreachable!("location.put was read as {}", other.kind()),
    }
}

async fn add(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Json(body): Json<Map<String, Value>>,
) -> Answer {
    let location = PutLocation { create: true, ..put_location(body, None)? };
    let path = format!("/v1/locations/{}", location.code);
    let command = write.command(&caller, None, CommandBody::PutLocation(location))?;
    state
        .decide(&write, command, |outcome, decided| {
            let mut response = location_answer(StatusCode::CREATED, outcome, decided);
            if let Ok(path) = HeaderValue::from_str(&path) {
                response.headers_mut().insert(header::LOCATION, path);
            }
            response
        })
        .await
}

/// Creates it where it is not there yet, unless `If-Match` says that it must be.
async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(code): Path<String>,
    Json(body): Json<Map<String, Value>>,
) -> Answer {
    let code: LocationCode = path_value(&code, "location")?;
    let mut location = put_location(body, Some(&code))?;
    match write.if_match {
        Some(IfMatch::Any) if state.model.location(&code).is_none() => {
            return Err(Problem::from(&Rejection::StaleVersion { current: 0 }));
        }
        Some(if_match) => location.if_match = if_match.version(),
        None => {}
    }
    let command = write.command(&caller, None, CommandBody::PutLocation(location))?;
    state.decide(&write, command, |outcome, decided| location_answer(StatusCode::OK, outcome, decided)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("not an object: {other}"),
        }
    }

    fn code(text: &str) -> LocationCode {
        LocationCode::new(text).expect("a code")
    }

    fn location(text: &str) -> Location {
        let name = holdfast_domain::command::Name::new(text).expect("a name");
        Location { code: code(text), name, priority: 1, latitude: None, longitude: None, version: 1 }
    }

    #[test]
    fn the_path_names_the_location_and_the_body_may_repeat_it() {
        let body = json!({"name": "Bengaluru", "priority": 1});
        assert_eq!(put_location(object(body.clone()), Some(&code("BLR"))).expect("a body").code, code("BLR"));
        assert!(put_location(object(body), None).is_err(), "a POST has to name it");
        let same = json!({"code": "BLR", "name": "Bengaluru", "priority": 1});
        assert!(put_location(object(same.clone()), Some(&code("BLR"))).is_ok());
        assert!(put_location(object(same), Some(&code("DEL"))).is_err());
        for field in ["create", "if_match", "colour"] {
            let body = json!({"name": "Bengaluru", "priority": 1, field: true});
            assert!(put_location(object(body), Some(&code("BLR"))).is_err(), "{field}");
        }
    }

    #[test]
    fn pages_follow_each_other_without_gaps_or_repeats() {
        let all = || ["A", "B", "C", "D"].map(location).to_vec();
        let codes = |page: &[Location]| page.iter().map(|l| l.code.to_string()).collect::<Vec<_>>();
        let (first, next) = page(all(), None, 3);
        assert_eq!(codes(&first), ["A", "B", "C"]);
        let place = parse_cursor::<Place>(next.as_deref()).expect("its own cursor").expect("more to come");
        let (second, next) = page(all(), Some(&place.after), 3);
        assert_eq!((codes(&second), next), (vec!["D".to_owned()], None));
        assert_eq!(page(all(), None, 4).1, None);
    }
}
