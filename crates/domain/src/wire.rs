//! The JSON form of commands in messages: `{"id": UUID, "kind": "order.place", "requested_at": TIME, …fields}`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::command::{CommandBody, KINDS};
use crate::objects::Objects;
use crate::values::Timestamp;

/// Where a JSON document is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if field.is_empty() { String::new() } else { format!("{field}: ") })]
pub struct FieldError {
    /// The path of the field, such as `lines[0].quantity`; empty for the whole.
    pub field: String,
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Reads a value and names the field where it does not fit.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(Objects(value)).map_err(|error| {
        let field = error.path().to_string();
        let field = if field == "." { String::new() } else { field };
        FieldError { field, message: error.into_inner().to_string() }
    })
}

/// A command as a message carries it, before it is known who speaks.
#[derive(Debug, Clone, PartialEq)]
pub struct WireCommand {
    pub id: Uuid,
    pub requested_at: Option<Timestamp>,
    pub body: CommandBody,
}

/// Why a command cannot be read; `code` is `missing_id` or `malformed`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {error}")]
pub struct Malformed {
    pub code: &'static str,
    pub error: FieldError,
    /// Its id, where that much could be read.
    pub id: Option<Uuid>,
}

/// Reads one command object; `fallback_id` stands in where it has no `id`.
pub fn parse_command(value: Value, fallback_id: Option<Uuid>) -> Result<WireCommand, Malformed> {
    let Value::Object(mut fields) = value else {
        return Err(malformed(None, FieldError::new("", "a command must be a JSON object")));
    };
    let id = match fields.remove("id") {
        None | Some(Value::Null) => fallback_id,
        Some(value) => Some(from_value::<Uuid>(value).map_err(|error| malformed(None, within("id", error)))?),
    };
    let Some(id) = id else {
        let error =
            FieldError::new("id", "a command needs an id, or its message a message_id that is a UUID");
        return Err(Malformed { code: "missing_id", error, id: None });
    };
    let requested_at = match fields.remove("requested_at") {
        None | Some(Value::Null) => None,
        Some(value) => {
            Some(from_value(value).map_err(|error| malformed(Some(id), within("requested_at", error)))?)
        }
    };
    let kind = match fields.remove("kind") {
        Some(Value::String(kind)) => kind,
        Some(_) | None => {
            return Err(malformed(
                Some(id),
                FieldError::new("kind", "a command needs a kind, such as order.place"),
            ));
        }
    };
    let body = parse_body(&kind, fields).map_err(|error| malformed(Some(id), error))?;
    Ok(WireCommand { id, requested_at, body })
}

fn malformed(id: Option<Uuid>, error: FieldError) -> Malformed {
    Malformed { code: "malformed", error, id }
}

fn within(field: &str, error: FieldError) -> FieldError {
    FieldError::new(field, error.message)
}

/// Reads the fields of a command of a known kind.
pub fn parse_body(kind: &str, fields: Map<String, Value>) -> Result<CommandBody, FieldError> {
    let value = Value::Object(fields);
    Ok(match kind {
        "order.place" => CommandBody::PlaceOrder(from_value(value)?),
        "order.cancel" => CommandBody::CancelOrder(from_value(value)?),
        "order.fulfil" => CommandBody::FulfilOrder(from_value(value)?),
        "order.return" => CommandBody::ReturnOrder(from_value(value)?),
        "hold.place" => CommandBody::PlaceHold(from_value(value)?),
        "hold.confirm" => CommandBody::ConfirmHold(from_value(value)?),
        "hold.extend" => CommandBody::ExtendHold(from_value(value)?),
        "hold.release" => CommandBody::ReleaseHold(from_value(value)?),
        "item.add" => CommandBody::AddItem(from_value(value)?),
        "item.update" => CommandBody::UpdateItem(from_value(value)?),
        "item.remove" => CommandBody::RemoveItem(from_value(value)?),
        "location.put" => CommandBody::PutLocation(from_value(value)?),
        "stock.receive" => CommandBody::ReceiveStock(from_value(value)?),
        "stock.adjust" => CommandBody::AdjustStock(from_value(value)?),
        "stock.count" => CommandBody::CountStock(from_value(value)?),
        "stock.transfer" => CommandBody::TransferStock(from_value(value)?),
        "stock.unavailable" => CommandBody::MoveUnavailable(from_value(value)?),
        "stock.incoming" => CommandBody::ChangeIncoming(from_value(value)?),
        "stock.levels" => CommandBody::SetLevels(from_value(value)?),
        other => {
            let message = format!("{other:?} is not a kind of command; known are {}", KINDS.join(", "));
            return Err(FieldError::new("kind", message));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<WireCommand, Malformed> {
        parse_command(serde_json::from_str(text).expect("the test's JSON is JSON"), None)
    }

    #[test]
    fn an_order_is_read_with_its_repeated_skus_summed() {
        let command = parse(
            r#"{"id": "0190163d-8694-739b-aea5-966c26f8ad91", "kind": "order.place", "customer": "c1",
                "lines": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}, {"sku": "A", "quantity": 3}]}"#,
        )
        .expect("a good order");
        let CommandBody::PlaceOrder(order) = command.body else { panic!("not an order") };
        let lines: Vec<_> = order.lines.iter().map(|line| (line.sku.as_str(), line.quantity.get())).collect();
        assert_eq!(lines, [("A", 5), ("B", 1)]);
    }

    #[test]
    fn what_does_not_fit_is_named_by_field() {
        let id = r#""id": "0190163d-8694-739b-aea5-966c26f8ad91""#;
        for (text, field) in [
            (r#"[1]"#.to_owned(), ""),
            (r#"{"kind": "order.place"}"#.to_owned(), "id"),
            (r#"{"id": "x", "kind": "order.place"}"#.to_owned(), "id"),
            (format!(r#"{{{id}}}"#), "kind"),
            (format!(r#"{{{id}, "kind": "order.eat"}}"#), "kind"),
            (format!(r#"{{{id}, "kind": "sweep"}}"#), "kind"),
            (format!(r#"{{{id}, "kind": "order.place", "lines": []}}"#), "lines"),
            (
                format!(r#"{{{id}, "kind": "order.place", "lines": [{{"sku": "A", "quantity": 0}}]}}"#),
                "lines[0].quantity",
            ),
            (format!(r#"{{{id}, "kind": "order.cancel", "order_id": 7}}"#), "order_id"),
            (
                format!(
                    r#"{{{id}, "kind": "hold.confirm", "hold_id": "0190163d-8694-739b-aea5-966c26f8ad91", "x": 1}}"#
                ),
                "x",
            ),
        ] {
            let error = parse(&text).expect_err(&text);
            assert_eq!(error.error.field, field, "{text}: {error}");
        }
    }
}
