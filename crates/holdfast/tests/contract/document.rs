//! Holds answers against the API's own description: what the server sends must be what the document promises, field by
//! field. The pages are built against the same file, and a unit test says that the code still makes it.

use std::sync::LazyLock;

use serde_json::{Map, Value};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../../web/openapi.json")).expect("the document is JSON")
});

/// Checks one answer. What the document does not describe (pages, unknown paths) is not its business.
pub fn check(method: &str, path: &str, status: u16, kind: Option<&str>, text: &str) {
    let path = path.split('?').next().unwrap_or_default();
    let Some(operation) = operation(&method.to_lowercase(), path) else { return };
    let responses = &operation["responses"];
    let described = responses.get(status.to_string()).unwrap_or(&responses["default"]);
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default());
    let name = format!("{method} {path} {status}");
    // Answers that any write may have, whatever else it answers with.
    let pending = status == 202 && responses.get("202").is_none();
    let schema = match (kind, described["content"].as_object()) {
        (_, _) if pending => &DOCUMENT["components"]["schemas"]["Pending"],
        // From an address that is not the API's: there every refusal has a body.
        (None, _) if status == 404 => return,
        (None, _) => {
            assert!(described.get("content").is_none() && text.is_empty(), "{name}: no body, but promised");
            return;
        }
        (Some(kind), Some(content)) => {
            let found = content.get(kind).unwrap_or_else(|| panic!("{name}: {kind} is not in the document"));
            &found["schema"]
        }
        (Some(kind), None) => panic!("{name}: {kind}, but no body is promised"),
    };
    if kind.is_some_and(|kind| kind.ends_with("json")) {
        let value: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
        if let Err(why) = fits(&value, schema) {
            panic!("{name} is not what the document says: {why}\n{text}");
        }
    }
}

fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let pieces: Vec<&str> = path.split('/').collect();
    let matches = |template: &str| {
        let template: Vec<&str> = template.split('/').collect();
        template.len() == pieces.len()
            && template.iter().zip(&pieces).all(|(want, have)| want.starts_with('{') || want == have)
    };
    let exact = paths.get(path).and_then(|operations| operations.get(method));
    exact.or_else(|| {
        paths.iter().filter(|(template, _)| matches(template)).find_map(|(_, all)| all.get(method))
    })
}

/// The part of JSON Schema that answers use. Fields that a schema does not name must not be there, unless it says so.
fn fits(value: &Value, schema: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = DOCUMENT.pointer(reference.trim_start_matches('#')).expect("references lead somewhere");
        return fits(value, schema)
            .map_err(|why| format!("{}: {why}", reference.rsplit('/').next().unwrap_or("")));
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let mut whys = choices.iter().filter_map(|choice| fits(value, choice).err());
        let refused: Vec<String> = whys.by_ref().collect();
        return if refused.len() < choices.len() { Ok(()) } else { Err(refused.join("; or ")) };
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => vec![kind.as_str().ok_or_else(|| format!("no type in {schema}"))?],
    };
    if !kinds.iter().any(|kind| is(value, kind)) {
        return Err(format!("{value} is not {}", kinds.join(" or ")));
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        return Err(format!("{value} is none of {values:?}"));
    }
    let (low, high) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    if let Some(number) = value.as_f64()
        && (low.is_some_and(|low| number < low) || high.is_some_and(|high| number > high))
    {
        return Err(format!("{number} is out of bounds"));
    }
    match value {
        Value::Array(items) if schema.get("items").is_some() => {
            items.iter().try_for_each(|item| fits(item, &schema["items"]))
        }
        Value::Object(members) => object_fits(members, schema),
        _ => Ok(()),
    }
}

fn object_fits(members: &Map<String, Value>, schema: &Value) -> Result<(), String> {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            return Err(format!("{name} is missing"));
        }
    }
    let others = &schema["additionalProperties"];
    let Some(properties) = schema["properties"].as_object() else {
        return match others {
            Value::Object(_) => members.values().try_for_each(|member| fits(member, others)),
            _ => Ok(()),
        };
    };
    for (name, member) in members {
        match properties.get(name) {
            Some(property) => fits(member, property).map_err(|why| format!("{name}: {why}"))?,
            None if *others == Value::Bool(true) => {}
            None => return Err(format!("{name} is not in the document")),
        }
    }
    Ok(())
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}

#[test]
fn what_does_not_fit_is_noticed() {
    let kind = Some("application/json");
    let refused =
        |body: &str| std::panic::catch_unwind(|| check("GET", "/v1/locations/BLR", 200, kind, body)).is_err();
    let good = r#"{"code": "BLR", "name": "Bengaluru", "priority": 1, "version": 3}"#;
    assert!(!refused(good));
    assert!(
        refused(&good.replace("version", "revision")),
        "a field that is missing, and one that is not known"
    );
    assert!(refused(&good.replace("3", "\"3\"")), "a wrong type");
    assert!(refused(&good.replace("3", "3, \"colour\": 1")), "one too many");
    assert!(
        std::panic::catch_unwind(|| check("GET", "/v1/locations/BLR", 200, Some("text/html"), "")).is_err()
    );
}
