//! Items with stock as CSV that import reads back unchanged.

use std::io::Write;

use holdfast_domain::{ItemStatus, SkuState, StockRow};

use super::row::{Column, with_guard};

/// Writes one row per item and location (one with a blank location for an item that is nowhere), catalogue fields in
/// each item's first row only; says how many rows there are. Cells that a spreadsheet would take for formulas begin
/// with an apostrophe, which import takes off again.
///
/// Left out: archived items, because an import would bring them back into the shop, and what belongs to orders and
/// other programs (held, allocated, unavailable, incoming).
pub fn export(out: impl Write, states: impl Iterator<Item = SkuState>) -> anyhow::Result<usize> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(Column::ALL.map(Column::name))?;
    let mut rows = 0;
    for state in states {
        match state.item.status {
            ItemStatus::Archived => continue,
            ItemStatus::Active => {}
        }
        let places = state.stock.iter().map(Some);
        let nowhere = state.stock.is_empty().then_some(None);
        for (index, place) in places.chain(nowhere).enumerate() {
            for column in Column::ALL {
                let cell = cell(&state, place, index == 0, column)?;
                writer.write_field(with_guard(&cell).as_bytes())?;
            }
            writer.write_record(None::<&[u8]>)?;
            rows += 1;
        }
    }
    writer.flush()?;
    Ok(rows)
}

fn cell(state: &SkuState, place: Option<&StockRow>, first: bool, column: Column) -> anyhow::Result<String> {
    let item = &state.item;
    let once = |text: &dyn Fn() -> String| if first { text() } else { String::new() };
    Ok(match column {
        Column::Sku => item.sku.to_string(),
        Column::Brand => once(&|| item.brand.as_str().to_owned()),
        Column::Model => once(&|| item.model.as_str().to_owned()),
        Column::Description => once(&|| item.description.as_str().to_owned()),
        Column::Price => once(&|| item.price.0.to_major()),
        Column::Currency => once(&|| item.price.0.currency.to_string()),
        Column::ImageUrl => {
            once(&|| item.image_url.as_ref().map_or_else(String::new, |url| url.as_str().to_owned()))
        }
        Column::MaxPerOrder => {
            once(&|| item.max_per_order.map_or_else(String::new, |most| most.get().to_string()))
        }
        Column::Attributes if first && !item.attributes.is_empty() => {
            serde_json::to_string(&item.attributes)?
        }
        Column::Attributes => String::new(),
        Column::Location => place.map_or_else(String::new, |row| row.location.to_string()),
        Column::Quantity => place.map_or_else(String::new, |row| row.on_hand.to_string()),
        Column::SafetyStock => place.map_or_else(String::new, |row| row.safety_stock.to_string()),
        Column::ReorderPoint => place.map_or_else(String::new, |row| row.reorder_point.to_string()),
    })
}
