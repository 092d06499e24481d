use std::collections::BTreeSet;

use super::*;

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                found.insert(reference);
            }
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn only_what_is_no_operation_of_its_own_is_left_out() {
    let undescribed: BTreeSet<String> = described().undescribed.into_iter().collect();
    let stock = crate::gateway::stock::OPERATIONS.map(|name| format!("/v1/stock/{name}"));
    let others = ["/openapi.json", "/docs", "/docs/docs.js", "/docs/docs.css", "/metrics"];
    let expected: BTreeSet<String> = others.map(str::to_owned).into_iter().chain(stock).collect();
    let files = ["/demo/pictures/{file}".to_owned()].into();
    assert_eq!(undescribed, &expected | &files);
}

#[test]
fn operations_have_names_of_their_own_and_say_what_they_answer() {
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for (access, operation) in described().described {
        assert!(ids.insert(operation.id()), "{} twice", operation.id());
        assert!(places.insert((operation.path(), operation.method())), "{} twice", operation.path());
        let (id, described) = (operation.id(), operation.describe(access));
        let answers = described["responses"].as_object().expect("answers");
        let good = answers.keys().any(|status| status.starts_with('2'));
        assert!(good, "{id} never succeeds");
    }
    assert!(ids.len() > 50);
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = assembled();
    let mut used = BTreeSet::new();
    references(&document, &mut used);
    for reference in &used {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(used.contains(format!("#/components/schemas/{name}").as_str()), "{name} is used nowhere");
    }
}

#[test]
fn the_pages_are_built_against_this_document() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/openapi.json");
    let kept = std::fs::read_to_string(path).expect("the snapshot");
    assert!(
        kept.trim_end() == document(),
        "web/openapi.json is not this document: run `holdfast openapi > web/openapi.json`, then `npm run api` in web/"
    );
}
