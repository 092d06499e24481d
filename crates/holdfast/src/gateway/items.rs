//! `/v1/items`: the catalogue. Reading needs no account and no database: a GET is answered from the read model.

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_domain::command::{AddItem, Attributes, ImageUrl, Name, Price, RemoveItem, Text, UpdateItem};
use holdfast_domain::item::ItemStatus;
use holdfast_domain::{Answer as Decided, CommandBody, Item, Outcome, Quantity, Sku};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::{json_answer, with_position};
use super::caller::{Access, Caller};
use super::openapi::operation::Operation;
use super::openapi::shapes::{about, boolean, count, one_of, text};
use super::problem::{Answer, Problem};
use super::request::{AtLeast, IfMatch, Json, Query, Write, command_body, page_limit, path_value};
use super::{AppState, Routes};
use crate::follow::read_model::{ItemResults, ItemView};
use crate::follow::search::{Facets, ItemQuery, is_cursor};

/// What a list can be sorted by.
const SORTS: [&str; 10] =
    ["price", "-price", "brand", "-brand", "model", "-model", "available", "-available", "sku", "-sku"];

pub fn routes(routes: Routes) -> Routes {
    let listed =
        Operation::get("/v1/items", "list_items", "Search the catalogue; sold-out last unless sorted")
            .query("query", text())
            .query("brand", about("One brand, or several separated by commas", text()))
            .query("min_price", about("Minor units", count()))
            .query(
                "max_price",
                about(
                    "Minor units, inclusive; where both ends are those of a price facet, as its range ends",
                    count(),
                ),
            )
            .query("in_stock", boolean())
            .query("sort", one_of(&SORTS))
            .paged()
            .answers(200, "ItemPage");
    routes
        .on(Access::Public, listed, list)
        .on(
            Access::Staff,
            Operation::post("/v1/items", "create_item", "Add an item, with stock")
                .body("NewItem")
                .answers(201, "Item")
                .refuses(&[409, 422]),
            add,
        )
        .on(
            Access::Public,
            Operation::get("/v1/items/{sku}", "get_item", "One item").answers(200, "Item").refuses(&[404]),
            one,
        )
        .on(
            Access::Staff,
            Operation::put("/v1/items/{sku}", "replace_item", "Replace an item")
                .note("Optional fields that are left out are taken away.")
                .if_match()
                .body("ItemUpdate")
                .answers(200, "Item")
                .refuses(&[404, 409, 412, 422]),
            replace,
        )
        .on(
            Access::Staff,
            Operation::patch("/v1/items/{sku}", "update_item", "Change some fields of an item")
                .note("A JSON merge patch (RFC 7396): null takes an optional field away.")
                .if_match()
                .body("ItemPatch")
                .answers(200, "Item")
                .refuses(&[404, 409, 412, 422]),
            change,
        )
        .on(
            Access::Staff,
            Operation::delete("/v1/items/{sku}", "archive_item", "Archive an item")
                .if_match()
                .done()
                .refuses(&[404, 409, 412]),
            remove,
        )
}

/// An item as the API shows it: the catalogue entry, borrowed, and what there is of it.
#[derive(Serialize)]
pub(super) struct ItemBody<'a> {
    sku: &'a Sku,
    brand: &'a Name,
    model: &'a Name,
    description: &'a Text,
    image_url: Option<&'a ImageUrl>,
    price: Price,
    attributes: &'a Attributes,
    status: ItemStatus,
    /// Units, over all locations.
    available: i64,
    in_stock: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_per_order: Option<Quantity>,
    version: u64,
}

impl<'a> ItemBody<'a> {
    pub(super) fn new(item: &'a Item, available: i64) -> Self {
        Self {
            sku: &item.sku,
            brand: &item.brand,
            model: &item.model,
            description: &item.description,
            image_url: item.image_url.as_ref(),
            price: item.price,
            attributes: &item.attributes,
            status: item.status,
            available,
            in_stock: item.status == ItemStatus::Active && available > 0,
            max_per_order: item.max_per_order,
            version: item.version,
        }
    }
}

impl<'a> From<&'a ItemView> for ItemBody<'a> {
    fn from(view: &'a ItemView) -> Self {
        Self::new(&view.item, view.available)
    }
}

/// The `ETag` of a version.
pub(super) fn etag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits in quotes are a header value")
}

// Reading.

/// There is no 304 here: the tag is the catalogue entry's version, and what is available changes without it.
async fn one(State(state): State<AppState>, _at_least: AtLeast, Path(sku): Path<String>) -> Answer {
    let sku: Sku = path_value(&sku, "item")?;
    let view = state.model.item(&sku).ok_or_else(|| Problem::not_found("item"))?;
    let body = state.item_texts.write(&view).expect("an item is plain data");
    let mut response = json_answer(StatusCode::OK, body);
    response.headers_mut().insert(header::ETAG, etag(view.item.version));
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    query: Option<String>,
    brand: Option<String>,
    min_price: Option<String>,
    max_price: Option<String>,
    in_stock: Option<String>,
    sort: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// A parameter without a value (`?brand=`) asks for nothing.
fn given(parameter: Option<&String>) -> Option<&str> {
    parameter.map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// `true` or `false`; absent: `false`.
pub(super) fn flag(name: &str, parameter: Option<&String>) -> Result<bool, Problem> {
    match given(parameter) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Problem::invalid(name, "must be true or false")),
    }
}

fn price(name: &str, parameter: Option<&String>) -> Result<Option<i64>, Problem> {
    let Some(text) = given(parameter) else { return Ok(None) };
    match text.parse() {
        Ok(amount) if amount >= 0 => Ok(Some(amount)),
        _ => Err(Problem::invalid(name, "must be a whole number of minor units, not negative")),
    }
}

impl ListQuery {
    fn parse(&self) -> Result<ItemQuery, Problem> {
        let brands = given(self.brand.as_ref()).map(|brands| brands.split(',').map(str::trim));
        let sort = given(self.sort.as_ref()).map(str::parse).transpose();
        if self.cursor.as_deref().is_some_and(|cursor| !is_cursor(cursor)) {
            return Err(Problem::invalid("cursor", "must be a next_cursor of this list"));
        }
        Ok(ItemQuery {
            query: given(self.query.as_ref()).map(str::to_owned),
            brands: brands
                .into_iter()
                .flatten()
                .filter(|brand| !brand.is_empty())
                .map(str::to_owned)
                .collect(),
            min_price: price("min_price", self.min_price.as_ref())?,
            max_price: price("max_price", self.max_price.as_ref())?,
            in_stock: flag("in_stock", self.in_stock.as_ref())?,
            sort: sort.map_err(|error: holdfast_domain::ValueError| Problem::invalid("sort", error.0))?,
            limit: page_limit(self.limit.as_deref())?,
            cursor: self.cursor.clone(),
        })
    }
}

#[derive(Serialize)]
struct ItemPage<'a> {
    items: Vec<ItemBody<'a>>,
    next_cursor: Option<&'a str>,
    facets: &'a Facets,
    /// Items that match, over all pages.
    total: usize,
}

impl<'a> From<&'a ItemResults> for ItemPage<'a> {
    fn from(found: &'a ItemResults) -> Self {
        Self {
            items: found.items.iter().map(ItemBody::from).collect(),
            next_cursor: found.next_cursor.as_deref(),
            facets: &found.facets,
            total: found.total,
        }
    }
}

async fn list(State(state): State<AppState>, _at_least: AtLeast, Query(query): Query<ListQuery>) -> Answer {
    let found = state.model.find(query.parse()?).await;
    Ok(JsonAnswer(ItemPage::from(&found)).into_response())
}

// Writing.

/// The item that a command answered with, with its `ETag`.
fn item_answer(status: StatusCode, outcome: &Outcome, decided: &Decided) -> Response {
    match decided {
        Decided::Item { item, available } => {
            let mut response = with_position(status, outcome.position, &ItemBody::new(item, *available));
            response.headers_mut().insert(header::ETAG, etag(item.version));
            response
        }
        // A key that was used for something else is refused before this.
        Decided::Order(_)
        | Decided::OrderText(_)
        | Decided::Hold(_)
        | Decided::Removed
        | Decided::Location(_)
        | Decided::Movements(_)
        | Decided::Levels(_)
        | Decided::Swept => with_position(status, outcome.position, outcome),
    }
}

async fn add(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Json(item): Json<AddItem>,
) -> Answer {
    let command = write.command(&caller, None, CommandBody::AddItem(item))?;
    state
        .decide(&write, command, |outcome, decided| {
            let mut response = item_answer(StatusCode::CREATED, outcome, decided);
            if let Decided::Item { item, .. } = decided
                && let Ok(location) = HeaderValue::from_str(&format!("/v1/items/{}", item.sku))
            {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        })
        .await
}

/// The body of a PUT: the whole entry. Optional parts that are absent are taken away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeItem {
    /// May repeat the path's.
    #[serde(default)]
    sku: Option<Sku>,
    brand: Name,
    model: Name,
    description: Text,
    price: Price,
    #[serde(default)]
    image_url: Option<ImageUrl>,
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    max_per_order: Option<Quantity>,
    /// Absent: it stays active or archived, as it is.
    #[serde(default)]
    status: Option<ItemStatus>,
}

impl WholeItem {
    fn update(self, sku: Sku, if_match: Option<u64>) -> UpdateItem {
        UpdateItem {
            sku,
            if_match,
            brand: Some(self.brand),
            model: Some(self.model),
            description: Some(self.description),
            price: Some(self.price),
            image_url: Some(self.image_url),
            attributes: Some(self.attributes),
            max_per_order: Some(self.max_per_order),
            status: self.status,
        }
    }
}

async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(sku): Path<String>,
    Json(item): Json<WholeItem>,
) -> Answer {
    let sku: Sku = path_value(&sku, "item")?;
    if item.sku.as_ref().is_some_and(|named| *named != sku) {
        return Err(other_sku());
    }
    let update = item.update(sku, write.if_match.and_then(IfMatch::version));
    let command = write.command(&caller, None, CommandBody::UpdateItem(update))?;
    state.decide(&write, command, |outcome, decided| item_answer(StatusCode::OK, outcome, decided)).await
}

fn other_sku() -> Problem {
    Problem::invalid("sku", "must be that of the path: an item keeps its SKU")
}

/// A PATCH's changes (RFC 7396): `null` takes away what is optional, and is an error elsewhere.
fn merge_patch(
    sku: &Sku,
    if_match: Option<u64>,
    mut changes: Map<String, Value>,
) -> Result<CommandBody, Problem> {
    match changes.remove("sku") {
        Some(named) if named != json!(sku) => return Err(other_sku()),
        Some(_) | None => {}
    }
    if changes.contains_key("if_match") {
        return Err(Problem::invalid(
            "if_match",
            "unknown field: the version is named by the header If-Match",
        ));
    }
    for (name, value) in &mut changes {
        if value.is_null() {
            match name.as_str() {
                "image_url" | "max_per_order" => {}
                "description" => *value = json!(""),
                "attributes" => *value = json!({}),
                required => return Err(Problem::invalid(required, "cannot be taken away")),
            }
        }
    }
    let if_match = if_match.map(|version| ("if_match", json!(version)));
    let path: Vec<(&str, Value)> = [("sku", json!(sku))].into_iter().chain(if_match).collect();
    command_body("item.update", Value::Object(changes), &path)
}

async fn change(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(sku): Path<String>,
    Json(changes): Json<Map<String, Value>>,
) -> Answer {
    let sku: Sku = path_value(&sku, "item")?;
    let body = merge_patch(&sku, write.if_match.and_then(IfMatch::version), changes)?;
    let command = write.command(&caller, None, body)?;
    state.decide(&write, command, |outcome, decided| item_answer(StatusCode::OK, outcome, decided)).await
}

async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(sku): Path<String>,
) -> Answer {
    let sku: Sku = path_value(&sku, "item")?;
    let body = RemoveItem { sku, if_match: write.if_match.and_then(IfMatch::version) };
    let command = write.command(&caller, None, CommandBody::RemoveItem(body))?;
    state.decide(&write, command, |_, _| StatusCode::NO_CONTENT.into_response()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sku() -> Sku {
        Sku::new("TITAN-1").expect("a SKU")
    }

    fn patch(changes: Value) -> Result<UpdateItem, Problem> {
        let Value::Object(changes) = changes else { panic!("not an object: {changes}") };
        match merge_patch(&sku(), Some(3), changes)? {
            CommandBody::UpdateItem(update) => Ok(update),
            other => panic!("not an update: {other:?}"),
        }
    }

    #[test]
    fn a_patch_tells_absent_from_taken_away() {
        let update =
            patch(json!({"image_url": null, "description": null, "brand": "Titan"})).expect("a good patch");
        assert_eq!((update.sku, update.if_match), (sku(), Some(3)));
        assert_eq!(update.image_url, Some(None));
        assert_eq!(update.max_per_order, None);
        assert_eq!(update.description, Some(Text::default()));
        assert_eq!(update.brand, Some(Name::new("Titan").expect("a name")));
        assert!(patch(json!({"sku": "TITAN-1"})).is_ok());
    }

    #[test]
    fn a_patch_that_cannot_be_meant_is_refused_by_its_field() {
        for changes in [
            json!({"brand": null}),
            json!({"price": null}),
            json!({"sku": "OTHER"}),
            json!({"if_match": 1}),
            json!({"colour": "red"}),
            json!({"price": {"amount": -1, "currency": "INR"}}),
        ] {
            let problem = patch(changes.clone()).expect_err(&changes.to_string());
            assert_eq!(
                (problem.status, problem.code),
                (StatusCode::BAD_REQUEST, "invalid_request"),
                "{changes}"
            );
        }
    }

    #[test]
    fn a_put_takes_away_what_it_does_not_name() {
        let body =
            json!({"brand": "T", "model": "M", "description": "", "price": {"amount": 1, "currency": "INR"}});
        let whole: WholeItem = serde_json::from_value(body).expect("a whole item");
        let update = whole.update(sku(), None);
        assert_eq!((update.image_url, update.max_per_order), (Some(None), Some(None)));
        assert_eq!(update.attributes, Some(Attributes::default()));
        assert_eq!(update.status, None);
    }

    fn list_query(text: &str) -> Result<ItemQuery, Problem> {
        let fields = text.split('&').map(|pair| pair.split_once('=').expect("a pair"));
        let fields: Map<String, Value> =
            fields.map(|(name, value)| (name.to_owned(), json!(value))).collect();
        serde_json::from_value::<ListQuery>(Value::Object(fields)).expect("known parameters").parse()
    }

    #[test]
    fn parameters_without_a_value_ask_for_nothing() {
        let query = list_query("query=&brand=&min_price=&max_price=&in_stock=true&sort=")
            .expect("the contract's line");
        assert_eq!((query.query, query.brands.len(), query.min_price, query.in_stock), (None, 0, None, true));
        let query = list_query("brand=Taraka, Meru,&max_price=5").expect("two brands");
        assert_eq!((query.brands, query.max_price), (vec!["Taraka".to_owned(), "Meru".to_owned()], Some(5)));
    }

    #[test]
    fn a_parameter_that_does_not_fit_is_refused() {
        for text in [
            "in_stock=yes",
            "min_price=-1",
            "max_price=1.5",
            "sort=colour",
            "limit=0",
            "limit=201",
            "cursor=x",
        ] {
            assert!(list_query(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_archived_item_is_not_in_stock_whatever_is_there() {
        let item = Item {
            sku: sku(),
            brand: Name::new("Titan").expect("a name"),
            model: Name::new("Edge").expect("a name"),
            description: Text::default(),
            image_url: None,
            price: serde_json::from_value(json!({"amount": 129900, "currency": "INR"})).expect("a price"),
            attributes: Attributes::default(),
            status: ItemStatus::Archived,
            max_per_order: None,
            version: 7,
        };
        let shown = serde_json::to_value(ItemBody::new(&item, 4)).expect("plain data");
        let expected = json!({
            "sku": "TITAN-1", "brand": "Titan", "model": "Edge", "description": "", "image_url": null,
            "price": {"amount": 129900, "currency": "INR"}, "attributes": {}, "status": "archived",
            "available": 4, "in_stock": false, "version": 7,
        });
        assert_eq!(shown, expected);
        assert_eq!(etag(7), "\"7\"");
    }
}
