//! Small words for JSON Schemas.

use holdfast_domain::command::HOLD_TTL_SECONDS;
use holdfast_domain::values::{LINES_MAX, QUANTITY_MAX, UNITS_MAX};
use serde_json::{Map, Value, json};

/// What SKUs, location codes and usernames look like.
pub const CODE: &str = "^[A-Za-z0-9._-]{1,64}$";
/// Not blank, no control characters.
const NAME: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
const NO_NUL: &str = r"^[^\x00]*$";

/// One of the document's named schemas.
pub fn known(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An object that an answer shows. A name that ends in `?` may be missing.
pub fn answer<const N: usize>(fields: [(&str, Value); N]) -> Value {
    object(fields)
}

/// An object that a request brings: as an answer's, and nothing else is in it.
pub fn request<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let mut schema = object(fields);
    schema["additionalProperties"] = false.into();
    schema
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let required: Vec<&str> =
        fields.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('?')).collect();
    let mut schema = json!({ "type": "object" });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let properties: Map<String, Value> =
        fields.into_iter().map(|(name, schema)| (name.trim_end_matches('?').to_owned(), schema)).collect();
    schema["properties"] = Value::Object(properties);
    schema
}

/// An answer's object that may show more than is named here.
pub fn open(schema: Value) -> Value {
    with(schema, "additionalProperties", true)
}

/// A page of a list.
pub fn page(of: &str) -> Value {
    answer([("items", list(known(of))), ("next_cursor", nullable(text()))])
}

/// An object with at least one of its fields.
pub fn not_empty(schema: Value) -> Value {
    with(schema, "minProperties", 1)
}

pub fn about(words: &str, schema: Value) -> Value {
    with(schema, "description", words)
}

fn with(mut schema: Value, name: &str, value: impl Into<Value>) -> Value {
    schema[name] = value.into();
    schema
}

/// This, or `null`.
pub fn nullable(mut schema: Value) -> Value {
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
        if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            values.push(Value::Null);
        }
        return schema;
    }
    json!({ "anyOf": [schema, { "type": "null" }] })
}

pub fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

pub fn list_between(low: usize, high: usize, of: Value) -> Value {
    json!({ "type": "array", "items": of, "minItems": low, "maxItems": high })
}

/// The lines of an order or hold.
pub fn lines(of: &str) -> Value {
    list_between(1, LINES_MAX, known(of))
}

pub fn text() -> Value {
    json!({ "type": "string" })
}

pub fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

pub fn one_of(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

pub fn boolean() -> Value {
    json!({ "type": "boolean" })
}

pub fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

pub fn time() -> Value {
    json!({ "type": "string", "format": "date-time", "description": "RFC 3339, UTC" })
}

pub fn position() -> Value {
    about("Place in the event log; opaque", text())
}

pub fn sku() -> Value {
    about("Stock keeping unit", pattern(CODE))
}

pub fn location() -> Value {
    about("Location code", pattern(CODE))
}

/// A brand, a model, a name.
pub fn name() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 200, "pattern": NAME })
}

/// A description, a note.
pub fn long_text() -> Value {
    json!({ "type": "string", "maxLength": 5_000, "pattern": NO_NUL })
}

pub fn password() -> Value {
    json!({ "type": "string", "minLength": 12, "maxLength": 128 })
}

pub fn customer() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[ -~]+$" })
}

pub fn image_url() -> Value {
    let pattern = r"^(https?://|data:image/|/[^/\s])[!-~]*$";
    let words = "An http(s) address, a path on this server, or a data:image";
    about(words, json!({ "type": "string", "maxLength": 20_000, "pattern": pattern }))
}

pub fn attributes() -> Value {
    json!({
        "type": "object",
        "maxProperties": 50,
        "propertyNames": { "minLength": 1, "maxLength": 200, "pattern": NO_NUL },
        "additionalProperties": { "type": "string", "maxLength": 200, "pattern": NO_NUL },
    })
}

pub fn number() -> Value {
    json!({ "type": "number" })
}

pub fn degrees(high: u32) -> Value {
    json!({ "type": "number", "minimum": -i64::from(high), "maximum": high })
}

/// Any whole number.
pub fn whole() -> Value {
    json!({ "type": "integer", "format": "int64" })
}

pub fn between(low: i64, high: i64) -> Value {
    json!({ "type": "integer", "format": "int64", "minimum": low, "maximum": high })
}

/// A whole number that is not negative.
pub fn count() -> Value {
    json!({ "type": "integer", "format": "int64", "minimum": 0 })
}

/// Units that an answer shows.
pub fn units() -> Value {
    about("Units", count())
}

/// Units that a request brings.
pub fn units_in() -> Value {
    about("Units", between(0, UNITS_MAX))
}

/// Units of one line.
pub fn quantity() -> Value {
    about("Units", between(1, QUANTITY_MAX.into()))
}

/// A change of units.
pub fn delta() -> Value {
    let schema = with(between(-UNITS_MAX, UNITS_MAX), "not", json!({ "const": 0 }));
    about("Units, not 0", schema)
}

pub fn ttl_seconds() -> Value {
    about("Seconds", between(*HOLD_TTL_SECONDS.start(), *HOLD_TTL_SECONDS.end()))
}
