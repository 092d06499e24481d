//! The body of a message: ONE command object, or an array of up to 1,000. CONTRACT section 4. And who speaks in it.

use std::fmt;

use holdfast_domain::command::{Lines, PlaceOrder};
use holdfast_domain::wire::{FieldError, Malformed, from_value, parse_command};
use holdfast_domain::{Actor, Command, CommandBody, Customer, GeoPoint, Outcome, Timestamp};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::ENVELOPE_COMMANDS_MAX;

/// Room for so many orders before a list of them has to grow.
const ORDERS_EXPECTED: usize = 128;
/// The size of most outcomes is below.
const OUTCOME_BYTES: usize = 512;

/// Who speaks in a message, as far as the broker vouches for it.
#[derive(Debug, Clone)]
pub(super) struct Speaker {
    pub actor: Actor,
    /// The gateways' own user: may say in `actor` for whom it speaks.
    pub is_gateway: bool,
}

/// What a message carries.
#[derive(Debug)]
pub(super) struct Envelope {
    /// Those that can be read, in their order.
    pub commands: Vec<Command>,
    /// One for each command that was sent, in their order.
    pub slots: Vec<Slot>,
    /// It was one object, not an array: so will its reply be.
    pub is_single: bool,
}

/// What became of one command of a message before anybody decided.
#[derive(Debug)]
pub(super) enum Slot {
    Command,
    Bad(BadCommand),
}

/// A command that cannot be read.
#[derive(Debug)]
pub(super) struct BadCommand {
    pub body: Vec<u8>,
    pub why: Malformed,
    /// What stands in where it has no `id`.
    pub fallback_id: Option<Uuid>,
}

impl BadCommand {
    /// What its sender is told in its place.
    pub fn reply(&self) -> Value {
        let mut reply = json!({"ok": false, "code": self.why.code, "detail": self.why.error.to_string()});
        if let (Some(id), Some(members)) = (self.why.id, reply.as_object_mut()) {
            members.insert("id".to_owned(), json!(id));
        }
        reply
    }
}

/// The form in which gateways send commands: with `actor` and `key`, which only they may.
#[derive(Serialize)]
struct Outgoing<'a> {
    id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Uuid>,
    actor: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_at: Option<Timestamp>,
    #[serde(flatten)]
    body: &'a CommandBody,
}

#[derive(Deserialize)]
struct Incoming {
    id: Uuid,
    #[serde(default)]
    key: Option<Uuid>,
    actor: Actor,
    #[serde(default)]
    requested_at: Option<Timestamp>,
    #[serde(flatten)]
    body: CommandBody,
}

/// `order.place`, of which nearly everything consists: its fields by name, where flattened and tagged parts would first be
/// read into a tree.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IncomingOrder {
    id: Uuid,
    #[serde(default)]
    key: Option<Uuid>,
    actor: Actor,
    #[serde(default)]
    requested_at: Option<Timestamp>,
    #[expect(dead_code, reason = "only this kind can be read")]
    kind: OrderPlace,
    #[serde(default)]
    customer: Option<Customer>,
    lines: Lines,
    #[serde(default)]
    ship_to: Option<GeoPoint>,
    #[serde(default)]
    allow_partial: bool,
}

#[derive(Deserialize)]
enum OrderPlace {
    #[serde(rename = "order.place")]
    Only,
}

impl From<IncomingOrder> for Command {
    fn from(order: IncomingOrder) -> Self {
        let IncomingOrder { id, key, actor, requested_at, kind: _, customer, lines, ship_to, allow_partial } =
            order;
        let body = CommandBody::PlaceOrder(PlaceOrder { customer, lines, ship_to, allow_partial });
        Command { id, key, actor, requested_at, body }
    }
}

/// An array of orders, made commands one by one: a list of orders first would be copied as it grows.
struct Orders(Vec<Command>);

impl<'de> Deserialize<'de> for Orders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(OrdersVisitor)
    }
}

struct OrdersVisitor;

impl<'de> Visitor<'de> for OrdersVisitor {
    type Value = Orders;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("orders")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Orders, A::Error> {
        let mut commands = Vec::with_capacity(ORDERS_EXPECTED);
        while let Some(order) = seq.next_element::<IncomingOrder>()? {
            commands.push(order.into());
        }
        Ok(Orders(commands))
    }
}

/// One command as gateways send it.
pub(super) fn write_command(command: &Command) -> Vec<u8> {
    let Command { id, key, actor, requested_at, body } = command;
    let outgoing = Outgoing { id: *id, key: *key, actor, requested_at: *requested_at, body };
    serde_json::to_vec(&outgoing).expect("a command is plain data and always serialises")
}

/// Commands with commas between them: whoever adds the brackets has an envelope.
pub(super) fn write_commands(commands: &[Command]) -> Vec<u8> {
    let mut text = Vec::with_capacity(commands.len() * 256);
    for command in commands {
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(&write_command(command));
    }
    text
}

/// Reads a message. `message_id` stands in for a missing `id`.
pub(super) fn read(body: &[u8], message_id: Option<&str>, speaker: &Speaker) -> Envelope {
    if speaker.is_gateway
        && let Some(commands) = read_own(body)
    {
        let slots = commands.iter().map(|_| Slot::Command).collect();
        return Envelope { commands, slots, is_single: false };
    }
    let message_id = message_id.and_then(|id| Uuid::try_parse(id).ok());
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Array(values)) if values.len() <= ENVELOPE_COMMANDS_MAX => {
            read_array(values, body, message_id, speaker)
        }
        Ok(Value::Array(values)) => {
            let message = format!(
                "an envelope has at most {ENVELOPE_COMMANDS_MAX} commands, this one has {}",
                values.len()
            );
            wholly_bad(body, message, message_id)
        }
        Ok(value) => {
            let mut envelope = Envelope { commands: Vec::new(), slots: Vec::new(), is_single: true };
            match read_command(value, message_id, speaker) {
                Ok(command) => envelope.accept(command),
                Err(why) => envelope.refuse(BadCommand { body: body.to_vec(), why, fallback_id: message_id }),
            }
            envelope
        }
        Err(error) => wholly_bad(body, format!("it is not JSON: {error}"), message_id),
    }
}

impl Envelope {
    fn accept(&mut self, command: Command) {
        self.commands.push(command);
        self.slots.push(Slot::Command);
    }

    fn refuse(&mut self, bad: BadCommand) {
        self.slots.push(Slot::Bad(bad));
    }

    pub fn bad(&self) -> impl Iterator<Item = (usize, &BadCommand)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| match slot {
            Slot::Command => None,
            Slot::Bad(bad) => Some((index, bad)),
        })
    }
}

/// An envelope of a gateway, read without the detour over single fields; `None` if it is not quite that.
fn read_own(body: &[u8]) -> Option<Vec<Command>> {
    if let Ok(Orders(commands)) = serde_json::from_slice(body)
        && commands.len() <= ENVELOPE_COMMANDS_MAX
    {
        return Some(commands);
    }
    let incoming: Vec<Incoming> = serde_json::from_slice(body).ok()?;
    let sweeps = incoming.iter().any(|command| matches!(command.body, CommandBody::Sweep));
    if sweeps || incoming.len() > ENVELOPE_COMMANDS_MAX {
        return None;
    }
    let command =
        |Incoming { id, key, actor, requested_at, body }| Command { id, key, actor, requested_at, body };
    Some(incoming.into_iter().map(command).collect())
}

fn read_array(values: Vec<Value>, body: &[u8], message_id: Option<Uuid>, speaker: &Speaker) -> Envelope {
    let mut envelope =
        Envelope { commands: Vec::with_capacity(values.len()), slots: Vec::new(), is_single: false };
    // Read again for what is bad only: keeping a copy of all for it would cost the good ones.
    let mut originals = None;
    for (index, value) in values.into_iter().enumerate() {
        let fallback_id = message_id.map(|id| Uuid::new_v5(&id, index.to_string().as_bytes()));
        match read_command(value, fallback_id, speaker) {
            Ok(command) => envelope.accept(command),
            Err(why) => {
                let originals = originals.get_or_insert_with(|| {
                    serde_json::from_slice::<Vec<Value>>(body).expect("it was read a moment ago")
                });
                let body = serde_json::to_vec(&originals[index]).expect("JSON stays JSON");
                envelope.refuse(BadCommand { body, why, fallback_id });
            }
        }
    }
    envelope
}

fn wholly_bad(body: &[u8], message: String, message_id: Option<Uuid>) -> Envelope {
    let why = Malformed { code: "malformed", error: FieldError::new("", message), id: message_id };
    let bad = BadCommand { body: body.to_vec(), why, fallback_id: message_id };
    Envelope { commands: Vec::new(), slots: vec![Slot::Bad(bad)], is_single: true }
}

fn read_command(
    mut value: Value,
    fallback_id: Option<Uuid>,
    speaker: &Speaker,
) -> Result<Command, Malformed> {
    let id = value.get("id").and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok()).or(fallback_id);
    let malformed = |error: FieldError| Malformed { code: "malformed", error, id };
    let (mut actor, mut key) = (speaker.actor.clone(), None);
    if let Value::Object(fields) = &mut value {
        for name in ["actor", "key"] {
            if fields.contains_key(name) && !speaker.is_gateway {
                let message = "only the gateways' own user may speak for somebody else";
                return Err(malformed(FieldError::new(name, message)));
            }
        }
        if let Some(given) = take::<Actor>(fields, "actor").map_err(malformed)? {
            actor = given;
        }
        key = take::<Uuid>(fields, "key").map_err(malformed)?;
    }
    let wire = parse_command(value, fallback_id)?;
    Ok(Command { id: wire.id, key, actor, requested_at: wire.requested_at, body: wire.body })
}

fn take<T: serde::de::DeserializeOwned>(
    fields: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<T>, FieldError> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => from_value(value)
            .map(Some)
            .map_err(|error| FieldError::new(format!("{name}{}", dotted(&error.field)), error.message)),
    }
}

fn dotted(field: &str) -> SmolStr {
    if field.is_empty() { SmolStr::default() } else { SmolStr::new(format!(".{field}")) }
}

/// The reply to an envelope: an outcome for each command that was sent, in their order.
pub(super) fn write_reply(slots: &[SlotReply], is_single: bool, outcomes: Vec<Outcome>) -> Vec<u8> {
    let mut outcomes = outcomes.into_iter();
    let mut text = Vec::with_capacity(2 + slots.len() * OUTCOME_BYTES);
    text.push(b'[');
    for slot in slots {
        if text.len() > 1 {
            text.push(b',');
        }
        let written = match slot {
            SlotReply::Decided => {
                let outcome = outcomes.next().expect("each command has an outcome");
                serde_json::to_writer(&mut text, &outcome)
            }
            SlotReply::Said(reply) => serde_json::to_writer(&mut text, reply),
        };
        written.expect("an outcome is plain data and always serialises");
    }
    if is_single {
        text.remove(0);
    } else {
        text.push(b']');
    }
    text
}

/// What a reply says about one command.
#[derive(Debug)]
pub(super) enum SlotReply {
    Decided,
    Said(Value),
}

impl From<&Slot> for SlotReply {
    fn from(slot: &Slot) -> Self {
        match slot {
            Slot::Command => SlotReply::Decided,
            Slot::Bad(bad) => SlotReply::Said(bad.reply()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(id: u128, body: Value) -> Command {
        let body: CommandBody = serde_json::from_value(body).expect("a command of a known form");
        let actor = Actor::new("somebody", holdfast_domain::Role::Customer);
        Command { id: Uuid::from_u128(id), key: None, actor, requested_at: None, body }
    }

    fn envelope(commands: &[Command]) -> Vec<u8> {
        [b"[".as_slice(), &write_commands(commands), b"]"].concat()
    }

    #[test]
    fn orders_are_read_as_they_were_written_with_every_field_and_with_none() {
        let line = json!({"sku": "WATCH", "quantity": 2});
        let bare = command(1, json!({"kind": "order.place", "lines": [line]}));
        let ship_to = json!({"latitude": 52.5, "longitude": 13.4});
        let mut full = command(
            2,
            json!({"kind": "order.place", "lines": [line], "customer": "c-1", "ship_to": ship_to, "allow_partial": true}),
        );
        (full.key, full.requested_at) = (Some(Uuid::from_u128(3)), Some(Timestamp(1_700_000_000_000_000)));
        let commands = vec![bare, full];
        let body = envelope(&commands);
        let Orders(quickly) = serde_json::from_slice(&body).expect("orders alone are read without a tree");
        assert_eq!(quickly, commands);
        assert_eq!(read_own(&body), Some(commands));
    }

    #[test]
    fn orders_among_others_are_read_too_and_a_sweep_never_is() {
        let line = json!({"sku": "WATCH", "quantity": 2});
        let order = command(1, json!({"kind": "order.place", "lines": [line]}));
        let cancel = command(2, json!({"kind": "order.cancel", "order_id": Uuid::from_u128(1)}));
        let mixed = vec![order.clone(), cancel];
        assert_eq!(read_own(&envelope(&mixed)), Some(mixed));
        assert_eq!(read_own(&envelope(&[order, command(3, json!({"kind": "sweep"}))])), None);
    }
}
