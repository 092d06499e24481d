//! The JSON of items that were read lately, but for what there is of them: a shop reads the same items again and again,
//! and their catalogue entries seldom change. What is available goes into the text at each answer.

use std::io::Write;
use std::sync::{Arc, PoisonError, RwLock};

use holdfast_domain::Item;
use serde::Serialize;

use super::items::ItemBody;
use crate::follow::read_model::ItemView;

/// A power of two. An item has one place; whoever else has the same one takes it.
const PLACES: usize = 16_384;
/// Bytes of a text that is kept at most, so that all of them have a bound.
const TEXT_BYTES_MAX: usize = 2_048;
/// No item has so few: it stands for what is available in a text that is taken apart.
const NOWHERE: i64 = i64::MIN;
/// Not within a name or a description, whose quotes are escaped; and the values of attributes are texts.
const PARTING: &str = "-9223372036854775808,\"in_stock\":false";
/// Room for what goes in between.
const BETWEEN: usize = 48;

/// Texts by the place of their item in memory, which is as good as a hash as long as the text keeps the item there.
pub struct ItemTexts {
    places: Box<[RwLock<Option<ItemText>>]>,
}

/// The text of one version of an item, before and after what there is of it.
struct ItemText {
    item: Arc<Item>,
    before: Box<str>,
    after: Box<str>,
}

impl Default for ItemTexts {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| RwLock::default()).collect() }
    }
}

impl ItemTexts {
    /// What [`ItemBody`] is as JSON.
    pub fn write(&self, view: &ItemView) -> serde_json::Result<Vec<u8>> {
        let place = &self.places[place_of(&view.item)];
        if let Some(text) = &*place.read().unwrap_or_else(PoisonError::into_inner)
            && Arc::ptr_eq(&text.item, &view.item)
        {
            return text.with(view);
        }
        let Some(text) = ItemText::new(&view.item)? else {
            return serde_json::to_vec(&ItemBody::from(view));
        };
        let written = text.with(view);
        if text.len() <= TEXT_BYTES_MAX {
            *place.write().unwrap_or_else(PoisonError::into_inner) = Some(text);
        }
        written
    }
}

fn place_of(item: &Arc<Item>) -> usize {
    // Neighbours in memory are a whole item apart; the upper bits of the product depend on all of the address.
    let mixed = (Arc::as_ptr(item).addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - PLACES.trailing_zeros())) as usize
}

impl ItemText {
    /// `None` if it cannot be taken apart.
    fn new(item: &Arc<Item>) -> serde_json::Result<Option<Self>> {
        let text = serde_json::to_string(&ItemBody::new(item, NOWHERE))?;
        Ok(text.split_once(PARTING).map(|(before, after)| Self {
            item: item.clone(),
            before: before.into(),
            after: after.into(),
        }))
    }

    /// Bytes.
    fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }

    fn with(&self, view: &ItemView) -> serde_json::Result<Vec<u8>> {
        let mut body = Vec::with_capacity(self.len() + BETWEEN);
        body.extend_from_slice(self.before.as_bytes());
        view.available.serialize(&mut serde_json::Serializer::new(&mut body))?;
        write!(body, ",\"in_stock\":{}", view.in_stock()).map_err(serde_json::Error::io)?;
        body.extend_from_slice(self.after.as_bytes());
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_domain::{ItemStatus, Quantity};
    use serde_json::json;

    fn item(sku: &str, description: &str, attributes: serde_json::Value) -> Item {
        let item = json!({
            "sku": sku, "brand": "Titan", "model": "Edge \"9\"", "description": description,
            "image_url": null, "price": {"amount": 129900, "currency": "INR"}, "attributes": attributes,
            "status": "active", "max_per_order": null, "version": 7,
        });
        serde_json::from_value(item).expect("an item")
    }

    fn written(texts: &ItemTexts, item: &Arc<Item>, available: i64) -> String {
        let view = ItemView { item: item.clone(), available };
        let body = String::from_utf8(texts.write(&view).expect("plain data")).expect("text");
        let expected = serde_json::to_string(&ItemBody::from(&view)).expect("plain data");
        assert_eq!(body, expected);
        body
    }

    #[test]
    fn a_text_that_is_kept_is_what_the_item_is_now() {
        let texts = ItemTexts::default();
        let plain = Arc::new(item("A", "", json!({})));
        let limited =
            Item { max_per_order: Some(Quantity::new(3).expect("a quantity")), ..item("B", "", json!({})) };
        let limited = Arc::new(limited);
        let archived = Arc::new(Item { status: ItemStatus::Archived, ..item("C", "", json!({})) });
        for item in [&plain, &limited, &archived] {
            for available in [0, 1, 0, 1_000_000_000] {
                written(&texts, item, available);
            }
        }
        // Nothing else is at the place of the last one.
        let place = texts.places[place_of(&archived)].read().expect("not poisoned");
        assert!(place.as_ref().is_some_and(|text| Arc::ptr_eq(&text.item, &archived)));
    }

    #[test]
    fn no_text_of_a_seller_is_taken_for_the_place_of_what_is_available() {
        let texts = ItemTexts::default();
        let trap = format!("\"available\":{PARTING}");
        for (description, attributes) in [
            (trap.as_str(), json!({})),
            ("", json!({"available": PARTING, trap.clone(): trap.clone()})),
            ("", json!({"available": NOWHERE.to_string(), "in_stock": "false"})),
        ] {
            let item = Arc::new(item("A", description, attributes));
            for available in [5, 0, 5] {
                written(&texts, &item, available);
            }
        }
    }

    #[test]
    fn another_version_has_a_text_of_its_own_and_a_long_one_is_not_kept() {
        let texts = ItemTexts::default();
        let before = Arc::new(item("A", "before", json!({})));
        let after = Arc::new(item("A", "after", json!({})));
        assert!(written(&texts, &before, 1).contains("\"before\""));
        assert!(written(&texts, &after, 1).contains("\"after\""));
        assert!(written(&texts, &before, 2).contains("\"before\""));
        let long = Arc::new(item("A", &"x".repeat(TEXT_BYTES_MAX), json!({})));
        written(&texts, &long, 1);
        let place = texts.places[place_of(&long)].read().expect("not poisoned");
        assert!(place.as_ref().is_none_or(|text| !Arc::ptr_eq(&text.item, &long)));
    }
}
