//! The orders that are sent, and what an answer says became of them.

use std::borrow::Cow;
use std::io::Write;

use hyper::StatusCode;
use serde::Deserialize;
use uuid::{Builder, Uuid};

use super::client::Reply;
use crate::clock;

/// Random numbers, good enough to pick SKUs and cheap enough to do so a hundred thousand times a second (splitmix64).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Self {
        Self(Uuid::new_v4().as_u64_pair().1)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `bound` − 1.
    pub fn below(&mut self, bound: usize) -> usize {
        // The high bits of the product: without the division, and without its bias at these sizes.
        let scaled = (u128::from(self.roll()) * bound as u128) >> 64;
        usize::try_from(scaled).expect("it is below a usize")
    }

    /// UUIDv7: the order's id, made by the client, so that a lost answer can be asked for.
    fn id(&mut self) -> Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.roll().to_le_bytes());
        random[8..].copy_from_slice(&self.roll().to_le_bytes()[..2]);
        let millis = u64::try_from(clock::now().0 / 1000).unwrap_or_default();
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// What orders are made of.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// SKUs to choose from: the first of the shop's.
    pub skus: usize,
    /// Lines an order, of one unit each.
    pub lines: usize,
}

/// An order that was sent: its id, and the SKUs of its lines (one unit each).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub id: Uuid,
    pub picks: Vec<u32>,
}

/// The orders of one request, in buffers that are used again.
#[derive(Debug)]
pub struct Basket {
    wish: Wish,
    ids: Vec<Uuid>,
    picks: Vec<u32>,
}

impl Basket {
    pub fn new(wish: Wish) -> Self {
        Self { wish, ids: Vec::new(), picks: Vec::new() }
    }

    /// New orders in place of the old ones.
    pub fn fill(&mut self, dice: &mut Dice, orders: usize) {
        self.ids.clear();
        self.picks.clear();
        for _ in 0..orders {
            self.ids.push(dice.id());
            for _ in 0..self.wish.lines {
                self.picks
                    .push(u32::try_from(dice.below(self.wish.skus)).expect("SKUs are counted in 32 bits"));
            }
        }
    }

    pub fn ids(&self) -> &[Uuid] {
        &self.ids
    }

    pub fn picks(&self, order: usize) -> &[u32] {
        &self.picks[order * self.wish.lines..(order + 1) * self.wish.lines]
    }

    pub fn sent(&self, order: usize) -> Sent {
        Sent { id: self.ids[order], picks: self.picks(order).to_vec() }
    }

    /// The body of `POST /v1/orders` with the first order.
    pub fn single(&self, skus: &[String]) -> Vec<u8> {
        let mut body = Vec::with_capacity(64 + self.wish.lines * 48);
        write_order(&mut body, self.ids[0], self.picks(0), skus);
        body
    }

    /// The body of `POST /v1/orders/batch` with all of them.
    pub fn batch(&self, skus: &[String]) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.ids.len() * (64 + self.wish.lines * 48));
        body.extend_from_slice(b"{\"orders\":[");
        for (index, id) in self.ids.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            write_order(&mut body, *id, self.picks(index), skus);
        }
        body.extend_from_slice(b"]}");
        body
    }
}

/// One order as JSON. SKUs are plain letters, digits and hyphens: nothing to escape.
pub fn write_order(body: &mut Vec<u8>, id: Uuid, picks: &[u32], skus: &[String]) {
    let written = write!(body, "{{\"id\":\"{}\",\"lines\":[", id.as_hyphenated());
    written.expect("a vector takes every write");
    for (index, pick) in picks.iter().enumerate() {
        body.extend_from_slice(if index > 0 { b",{\"sku\":\"" } else { b"{\"sku\":\"" });
        body.extend_from_slice(skus[*pick as usize].as_bytes());
        body.extend_from_slice(b"\",\"quantity\":1}");
    }
    body.extend_from_slice(b"]}");
}

/// What became of an order, as far as its answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Accepted,
    /// Decided: no. With the machine word.
    Rejected(String),
    /// Surely not taken (503, 429).
    Refused(String),
    /// A mistake of ours or of the server's; surely not taken (4xx).
    Failed(String),
    /// 202: it was taken and will be decided.
    Pending,
    /// Nobody knows: 504, an error of the server, an answer that cannot be read.
    Unknown(String),
}

#[derive(Deserialize)]
struct Decided<'a> {
    id: Uuid,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    code: Option<Cow<'a, str>>,
}

impl Decided<'_> {
    fn fate(&self, id: Uuid) -> Fate {
        let code = || self.code.as_deref().unwrap_or("no_code").to_owned();
        match self.status.as_ref() {
            _ if self.id != id => Fate::Unknown("answer_of_another_order".to_owned()),
            "accepted" => Fate::Accepted,
            "rejected" => Fate::Rejected(code()),
            "invalid" => Fate::Failed(code()),
            "pending" => Fate::Pending,
            other => Fate::Unknown(format!("status_{other}")),
        }
    }
}

/// The answer to `POST /v1/orders`.
pub fn fate(id: Uuid, reply: &Reply) -> Fate {
    match reply.status {
        StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED => {
            match serde_json::from_slice::<Decided<'_>>(&reply.body) {
                Ok(decided) => decided.fate(id),
                Err(_unreadable) => Fate::Unknown("unreadable_answer".to_owned()),
            }
        }
        _ => refusal(reply),
    }
}

/// The answer to `POST /v1/orders/batch`: one fate for each id, in their order.
pub fn fates(ids: &[Uuid], reply: &Reply) -> Vec<Fate> {
    #[derive(Deserialize)]
    struct Results<'a> {
        #[serde(borrow)]
        results: Vec<Decided<'a>>,
    }
    if reply.status != StatusCode::OK {
        return vec![refusal(reply); ids.len()];
    }
    match serde_json::from_slice::<Results<'_>>(&reply.body) {
        Ok(Results { results }) if results.len() == ids.len() => {
            results.iter().zip(ids).map(|(decided, id)| decided.fate(*id)).collect()
        }
        Ok(_) | Err(_) => vec![Fate::Unknown("unreadable_answer".to_owned()); ids.len()],
    }
}

fn refusal(reply: &Reply) -> Fate {
    let code = reply.code();
    match reply.status {
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => Fate::Rejected(code),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Fate::Refused(code),
        status if status.is_client_error() => Fate::Failed(code),
        _ => Fate::Unknown(code),
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::{Basket, Dice, Fate, Reply, Wish, fate, fates};

    fn reply(status: u16, body: &Value) -> Reply {
        let status = StatusCode::from_u16(status).expect("a status");
        Reply { status, position: None, body: body.to_string().into() }
    }

    #[test]
    fn answers_are_read_as_what_they_say_and_no_more() {
        let id = Uuid::from_u128(7);
        let other = Uuid::from_u128(8);
        let cases = [
            (201, json!({"id": id, "status": "accepted", "lines": []}), Fate::Accepted),
            (
                201,
                json!({"id": other, "status": "accepted"}),
                Fate::Unknown("answer_of_another_order".into()),
            ),
            (201, json!({"status": "accepted"}), Fate::Unknown("unreadable_answer".into())),
            (202, json!({"id": id, "status": "pending"}), Fate::Pending),
            (409, json!({"code": "insufficient_stock"}), Fate::Rejected("insufficient_stock".into())),
            (422, json!({"code": "unknown_sku"}), Fate::Rejected("unknown_sku".into())),
            (503, json!({"code": "overloaded"}), Fate::Refused("overloaded".into())),
            (429, json!({"code": "too_many"}), Fate::Refused("too_many".into())),
            (403, json!({"code": "forbidden"}), Fate::Failed("forbidden".into())),
            (500, json!({"code": "internal_error"}), Fate::Unknown("internal_error".into())),
            (504, json!({"code": "outcome_unknown"}), Fate::Unknown("outcome_unknown".into())),
        ];
        for (status, body, expected) in cases {
            assert_eq!(fate(id, &reply(status, &body)), expected, "{status} {body}");
        }
    }

    #[test]
    fn every_order_of_a_batch_has_a_fate_of_its_own() {
        let ids = [1, 2, 3, 4].map(Uuid::from_u128);
        let body = json!({"results": [
            {"id": ids[0], "status": "accepted"},
            {"id": ids[1], "status": "rejected", "code": "insufficient_stock"},
            {"id": ids[2], "status": "invalid", "code": "invalid_request"},
            {"id": ids[3], "status": "pending"},
        ]});
        let expected = [
            Fate::Accepted,
            Fate::Rejected("insufficient_stock".into()),
            Fate::Failed("invalid_request".into()),
            Fate::Pending,
        ];
        assert_eq!(fates(&ids, &reply(200, &body)), expected);
    }

    #[test]
    fn a_batch_answered_with_too_few_results_is_in_doubt_as_a_whole() {
        let ids = [1, 2].map(Uuid::from_u128);
        let body = json!({"results": [{"id": ids[0], "status": "accepted"}]});
        assert!(fates(&ids, &reply(200, &body)).iter().all(|fate| matches!(fate, Fate::Unknown(_))));
    }

    #[test]
    fn a_basket_is_written_as_json_with_its_own_ids_and_skus() {
        let skus: Vec<String> = (0..5).map(|n| format!("bench-{n}")).collect();
        let mut basket = Basket::new(Wish { skus: 5, lines: 2 });
        basket.fill(&mut Dice::new(), 3);
        let body: Value = serde_json::from_slice(&basket.batch(&skus)).expect("JSON");
        let orders = body["orders"].as_array().expect("orders");
        assert_eq!(orders.len(), 3);
        for (index, order) in orders.iter().enumerate() {
            assert_eq!(order["id"], json!(basket.ids()[index]));
            for (line, pick) in order["lines"].as_array().expect("lines").iter().zip(basket.picks(index)) {
                assert_eq!(line, &json!({"sku": skus[*pick as usize], "quantity": 1}));
            }
        }
        let single: Value = serde_json::from_slice(&basket.single(&skus)).expect("JSON");
        assert_eq!(single, orders[0]);
        assert_eq!(basket.ids()[0].get_version_num(), 7);
    }

    #[test]
    fn dice_reach_every_side_and_nothing_beyond() {
        let mut dice = Dice::new();
        let mut seen = [0_u32; 6];
        for _ in 0..6_000 {
            seen[dice.below(6)] += 1;
        }
        assert!(seen.iter().all(|times| (500..2_000).contains(times)), "{seen:?}");
    }
}
