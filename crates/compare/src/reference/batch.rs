//! What the bare batch transactions have in common: orders of one unit of one SKU, and the rows that they become.

use holdfast_compare::fixture::Dice;
use uuid::Uuid;

/// Orders in one transaction.
pub const BATCH: usize = 500;

/// Orders to decide in one transaction.
pub struct Batch {
    pub ids: Vec<Uuid>,
    pub skus: Vec<String>,
}

impl Batch {
    /// New orders, spread over `skus` SKUs.
    pub fn new(dice: &mut Dice, skus: usize) -> Self {
        Self {
            ids: (0..BATCH).map(|_| Uuid::now_v7()).collect(),
            skus: (0..BATCH).map(|_| sku(dice.below(skus))).collect(),
        }
    }
}

pub fn sku(number: usize) -> String {
    format!("item-{number:07}")
}

/// The row of an order: about as long as a real one's.
pub fn order_row(id: Uuid, sku: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"status\":\"accepted\",\"lines\":[{{\"sku\":\"{sku}\",\"quantity\":1,\"unit_price\":{{\"amount\":\
         129900,\"currency\":\"INR\"}},\"allocations\":[{{\"location\":\"main\",\"quantity\":1}}]}}],\"placed_at\":\
         1800000000000000}}"
    )
}

/// Its event: likewise.
pub fn event_row(id: Uuid, sku: &str) -> String {
    format!(
        "{{\"type\":\"order.accepted\",\"order_id\":\"{id}\",\"lines\":[{{\"sku\":\"{sku}\",\"quantity\":1,\"location\":\
         \"main\"}}],\"total\":{{\"amount\":129900,\"currency\":\"INR\"}}}}"
    )
}
