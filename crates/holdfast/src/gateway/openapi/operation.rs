//! One operation of the API as the document describes it. A route is registered with its operation and in no other
//! way, so neither can be there without the other; what follows from the path, the method and who is let in is not
//! said again.

use axum::http::StatusCode;
use axum::routing::MethodFilter;
use serde_json::{Map, Value, json};

use super::shapes::{CODE, about, between, boolean, known, pattern, text, uuid};
use crate::gateway::caller::Access;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// What a request brings.
#[derive(Debug, Clone)]
struct Body {
    kind: &'static str,
    schema: Value,
    required: bool,
}

/// A good answer: its status, and its body unless it has none.
#[derive(Debug, Clone)]
struct Success {
    status: u16,
    kind: &'static str,
    schema: Option<Value>,
    about: String,
}

#[derive(Debug, Clone)]
pub struct Operation {
    method: Method,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    note: &'static str,
    parameters: Vec<Value>,
    body: Option<Body>,
    successes: Vec<Success>,
    refusals: Vec<u16>,
    /// Whether a read takes `Holdfast-At-Least`, or a write `Idempotency-Key`.
    common_header: bool,
    /// A POST that only asks.
    reads: bool,
    id_is_text: bool,
}

impl Operation {
    pub fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::Get, path, id, summary)
    }

    pub fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::Post, path, id, summary)
    }

    pub fn put(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::Put, path, id, summary)
    }

    pub fn patch(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::Patch, path, id, summary)
    }

    pub fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::Delete, path, id, summary)
    }

    fn new(method: Method, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            note: "",
            parameters: Vec::new(),
            body: None,
            successes: Vec::new(),
            refusals: Vec::new(),
            common_header: path.starts_with("/v1/"),
            reads: method == Method::Get,
            id_is_text: false,
        }
    }

    /// Said after who is allowed.
    pub fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    /// A parameter of the query string; its schema's description is its own.
    pub fn query(mut self, name: &str, schema: Value) -> Self {
        let mut parameter = json!({ "name": name, "in": "query", "required": false });
        if let Some(words) = schema.get("description") {
            parameter["description"] = words.clone();
        }
        parameter["schema"] = schema;
        self.parameters.push(parameter);
        self
    }

    /// A flag of the query string.
    pub fn flag(self, name: &str, words: &str) -> Self {
        self.query(name, about(words, boolean()))
    }

    /// `limit` and `cursor`.
    pub fn paged(self) -> Self {
        let mut limit = between(1, 200);
        limit["default"] = 50.into();
        self.query("limit", limit).query("cursor", text())
    }

    /// A header that may be sent.
    pub fn header(mut self, name: &str, words: &str) -> Self {
        let schema = about(words, text());
        self.parameters.push(json!({ "name": name, "in": "header", "required": false, "schema": schema }));
        self
    }

    pub fn if_match(self) -> Self {
        self.shared("IfMatch")
    }

    /// `Prefer: respond-async`; every write answers 202 when it is not decided in time.
    pub fn decided(self) -> Self {
        self.shared("Prefer").answers_as(202, known("Pending"), "Taken; not decided yet")
    }

    /// Takes neither `Holdfast-At-Least` nor `Idempotency-Key`.
    pub fn plain(mut self) -> Self {
        self.common_header = false;
        self
    }

    /// A POST that changes nothing.
    pub fn asks(mut self) -> Self {
        self.reads = true;
        self
    }

    /// `{id}` is no UUID.
    pub fn text_id(mut self) -> Self {
        self.id_is_text = true;
        self
    }

    fn shared(mut self, name: &str) -> Self {
        self.parameters.push(json!({ "$ref": format!("#/components/parameters/{name}") }));
        self
    }

    pub fn body(self, schema: &str) -> Self {
        self.brings("application/json", known(schema), true)
    }

    /// A body that may be left out.
    pub fn optional_body(self, schema: &str) -> Self {
        self.brings("application/json", known(schema), false)
    }

    pub fn brings(mut self, kind: &'static str, schema: Value, required: bool) -> Self {
        self.body = Some(Body { kind, schema, required });
        self
    }

    pub fn answers(self, status: u16, schema: &str) -> Self {
        self.answers_as(status, known(schema), schema)
    }

    fn answers_as(self, status: u16, schema: Value, words: &str) -> Self {
        self.sends(status, "application/json", schema, words)
    }

    pub fn sends(mut self, status: u16, kind: &'static str, schema: Value, words: &str) -> Self {
        self.successes.push(Success { status, kind, schema: Some(schema), about: words.to_owned() });
        self
    }

    /// 204.
    pub fn done(mut self) -> Self {
        let about = "Done".to_owned();
        self.successes.push(Success { status: 204, kind: "", schema: None, about });
        self
    }

    /// Statuses of refusals that this operation has and not every one.
    pub fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend(statuses);
        self
    }

    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Its name in the document.
    #[cfg(test)]
    pub fn id(&self) -> &'static str {
        self.id
    }

    pub fn filter(&self) -> MethodFilter {
        match self.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Put => MethodFilter::PUT,
            Method::Patch => MethodFilter::PATCH,
            Method::Delete => MethodFilter::DELETE,
        }
    }

    /// The method as the document spells it.
    pub fn method(&self) -> &'static str {
        match self.method {
            Method::Get => "get",
            Method::Post => "post",
            Method::Put => "put",
            Method::Patch => "patch",
            Method::Delete => "delete",
        }
    }

    fn tag(&self) -> String {
        let mut pieces = self.path.split('/').skip(1);
        let first = pieces.next().unwrap_or_default();
        match if first == "v1" { pieces.next().unwrap_or_default() } else { first } {
            "me" => "sessions".to_owned(),
            "stats" => "health".to_owned(),
            "stream" => "events".to_owned(),
            other => other.replace('-', " "),
        }
    }

    fn path_parameters(&self) -> impl Iterator<Item = Value> + '_ {
        let names = self.path.split('/').filter_map(|piece| piece.strip_prefix('{')?.strip_suffix('}'));
        names.map(|name| {
            let schema = match name {
                "sku" => about("Stock keeping unit", pattern(CODE)),
                "code" | "location" => about("Location code", pattern(CODE)),
                _ if self.id_is_text => text(),
                _ => uuid(),
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
    }

    /// What the document says about it.
    pub fn describe(self, access: Access) -> Value {
        let mut parameters: Vec<Value> = self.path_parameters().collect();
        let mut described = json!({
            "operationId": self.id,
            "tags": [self.tag()],
            "summary": self.summary,
        });
        let allowed = allowed(access);
        let sentences: Vec<&str> =
            [allowed, self.note].into_iter().filter(|words| !words.is_empty()).collect();
        if !sentences.is_empty() {
            described["description"] = sentences.join(" ").into();
        }
        let public = matches!(access, Access::Public);
        described["security"] = if public { json!([]) } else { json!([{ "bearer": [] }, { "cookie": [] }]) };
        let mut refusals = self.refusals;
        if !public {
            refusals.extend([401, 403]);
        }
        parameters.extend(self.parameters);
        if self.common_header {
            let name = if self.reads { "AtLeast" } else { "IdempotencyKey" };
            parameters.push(json!({ "$ref": format!("#/components/parameters/{name}") }));
            if self.reads {
                refusals.push(503);
            }
        }
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        if let Some(body) = self.body {
            described["requestBody"] =
                json!({ "required": body.required, "content": { body.kind: { "schema": body.schema } } });
        }
        let mut responses = Map::new();
        for success in self.successes {
            let mut response = json!({ "description": success.about });
            if let Some(schema) = success.schema {
                response["content"] = json!({ success.kind: { "schema": schema } });
            }
            if !self.reads {
                response["headers"] =
                    json!({ "Holdfast-Position": { "$ref": "#/components/headers/Position" } });
            }
            responses.insert(success.status.to_string(), response);
        }
        refusals.sort_unstable();
        refusals.dedup();
        for status in refusals {
            let words = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
            responses.insert(status.to_string(), refusal(words.unwrap_or("Refused")));
        }
        responses.insert("default".to_owned(), refusal("Refused"));
        described["responses"] = Value::Object(responses);
        described
    }
}

fn refusal(words: &str) -> Value {
    json!({
        "description": format!("{words}; `code` says why"),
        "content": { "application/problem+json": { "schema": known("Problem") } },
    })
}

fn allowed(access: Access) -> &'static str {
    match access {
        Access::Public => "",
        Access::SignedIn => "Allowed: every signed-in account.",
        Access::Staff => "Allowed: staff, admin.",
        Access::StaffOrService => "Allowed: staff, admin, service.",
        Access::Buyer => "Allowed: customer, service, admin.",
        Access::Service => "Allowed: service, admin.",
        Access::Admin => "Allowed: admin.",
    }
}
