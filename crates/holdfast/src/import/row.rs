//! The header and rows of an import: from cells to values, or to one clear line about what is wrong.

use std::fmt;

use holdfast_domain::command::{Attributes, ImageUrl, Name, Text};
use holdfast_domain::{Currency, LocationCode, Quantity, Sku, Units, ValueError};
use serde::{Deserialize, Serialize};

use super::records::Record;

/// What is wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowError {
    /// The line that the row starts on, from 1; the header is a row too.
    pub line: u64,
    /// The column as the contract spells it; as the file does, where it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    pub message: String,
}

impl RowError {
    pub fn new(line: u64, column: Option<Column>, message: impl fmt::Display) -> Self {
        Self { line, column: column.map(|column| column.name().to_owned()), message: message.to_string() }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "line {}, {column}: {}", self.line, self.message),
            None => write!(f, "line {}: {}", self.line, self.message),
        }
    }
}

/// The columns of import and export, in the order of export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Sku,
    Brand,
    Model,
    Description,
    Price,
    Currency,
    ImageUrl,
    MaxPerOrder,
    Attributes,
    Location,
    Quantity,
    SafetyStock,
    ReorderPoint,
}

impl Column {
    pub const ALL: [Column; 13] = [
        Column::Sku,
        Column::Brand,
        Column::Model,
        Column::Description,
        Column::Price,
        Column::Currency,
        Column::ImageUrl,
        Column::MaxPerOrder,
        Column::Attributes,
        Column::Location,
        Column::Quantity,
        Column::SafetyStock,
        Column::ReorderPoint,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Column::Sku => "sku",
            Column::Brand => "brand",
            Column::Model => "model",
            Column::Description => "description",
            Column::Price => "price",
            Column::Currency => "currency",
            Column::ImageUrl => "image_url",
            Column::MaxPerOrder => "max_per_order",
            Column::Attributes => "attributes",
            Column::Location => "location",
            Column::Quantity => "quantity",
            Column::SafetyStock => "safety_stock",
            Column::ReorderPoint => "reorder_point",
        }
    }
}

/// Which column each cell of a row belongs to.
#[derive(Debug, PartialEq)]
pub struct Header(Vec<Column>);

impl Header {
    /// Any order, any case; unknown and repeated columns are errors, and so is a file without `sku`.
    pub fn parse(record: &Record) -> Result<Self, Vec<RowError>> {
        let mut columns = Vec::with_capacity(record.len());
        let mut errors = Vec::new();
        for index in 0..record.len() {
            let shown =
                String::from_utf8_lossy(record.cell(index)).trim().chars().take(80).collect::<String>();
            let found = Column::ALL.into_iter().find(|column| shown.eq_ignore_ascii_case(column.name()));
            let message = match found {
                Some(column) if columns.contains(&column) => "this column is there twice".to_owned(),
                Some(column) => {
                    columns.push(column);
                    continue;
                }
                None if shown.contains(';') || shown.contains('\t') => {
                    "this column is unknown; cells must be separated by commas".to_owned()
                }
                None => {
                    let names = Column::ALL.map(Column::name).join(", ");
                    format!("this column is unknown; known are {names}")
                }
            };
            errors.push(RowError { line: record.line, column: Some(shown), message });
        }
        if errors.is_empty() && !columns.contains(&Column::Sku) {
            errors.push(RowError::new(record.line, Some(Column::Sku), "this column is missing"));
        }
        if errors.is_empty() { Ok(Self(columns)) } else { Err(errors) }
    }
}

/// One item at one location, as far as a row alone can tell. `None`: the cell is blank, or the column is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub line: u64,
    pub sku: Sku,
    pub brand: Option<Name>,
    pub model: Option<Name>,
    pub description: Option<Text>,
    /// Major units; how many digits there may be depends on the currency, which a known item may tell.
    pub price: Option<String>,
    pub currency: Option<Currency>,
    pub image_url: Option<ImageUrl>,
    pub max_per_order: Option<Quantity>,
    pub attributes: Option<Attributes>,
    pub location: Option<LocationCode>,
    pub quantity: Option<Units>,
    pub safety_stock: Option<Units>,
    pub reorder_point: Option<Units>,
}

impl Row {
    pub fn parse(header: &Header, record: &Record) -> Result<Self, RowError> {
        let line = record.line;
        let columns = &header.0;
        if let Some(index) = record.broken_cell {
            let message =
                "this cell goes on after its closing quote; a quote inside a quoted cell is written twice";
            return Err(RowError::new(line, columns.get(index).copied(), message));
        }
        if record.len() != columns.len() {
            let message = format!("this row has {} cells, the header has {}", record.len(), columns.len());
            return Err(RowError::new(line, None, message));
        }
        let mut sku = None;
        let mut row = Self {
            line,
            // Replaced below, or the row is refused.
            sku: Sku::new("-").expect("a dash is an allowed character"),
            brand: None,
            model: None,
            description: None,
            price: None,
            currency: None,
            image_url: None,
            max_per_order: None,
            attributes: None,
            location: None,
            quantity: None,
            safety_stock: None,
            reorder_point: None,
        };
        for (index, column) in columns.iter().copied().enumerate() {
            let refused = |message: String| RowError::new(line, Some(column), message);
            let text = str::from_utf8(record.cell(index))
                .map_err(|_| refused("this is not valid UTF-8".to_owned()))?;
            let text = without_guard(text);
            if text.is_empty() {
                continue;
            }
            // What people read keeps its spaces; codes and numbers never have any.
            let word = text.trim();
            let parsed = match column {
                Column::Sku => Sku::new(word).map(|parsed| sku = Some(parsed)),
                Column::Brand => Name::new(text).map(|brand| row.brand = Some(brand)),
                Column::Model => Name::new(text).map(|model| row.model = Some(model)),
                Column::Description => Text::new(text).map(|description| row.description = Some(description)),
                Column::Price => {
                    row.price = (!word.is_empty()).then(|| word.to_owned());
                    Ok(())
                }
                Column::Currency => Currency::new(word).map(|currency| row.currency = Some(currency)),
                Column::ImageUrl => ImageUrl::new(word).map(|url| row.image_url = Some(url)),
                Column::MaxPerOrder => {
                    whole(word).and_then(Quantity::new).map(|most| row.max_per_order = Some(most))
                }
                Column::Attributes => attributes(word).map(|attributes| row.attributes = Some(attributes)),
                Column::Location => LocationCode::new(word).map(|location| row.location = Some(location)),
                Column::Quantity => units(word).map(|units| row.quantity = Some(units)),
                Column::SafetyStock => units(word).map(|units| row.safety_stock = Some(units)),
                Column::ReorderPoint => units(word).map(|units| row.reorder_point = Some(units)),
            };
            parsed.map_err(|ValueError(message)| refused(message))?;
        }
        row.sku = sku.ok_or_else(|| RowError::new(line, Some(Column::Sku), "this cell is blank"))?;
        if row.location.is_none() {
            let stock = [
                (Column::Quantity, row.quantity),
                (Column::SafetyStock, row.safety_stock),
                (Column::ReorderPoint, row.reorder_point),
            ];
            if let Some((column, _)) = stock.into_iter().find(|(_, units)| units.is_some()) {
                let message = format!("this cell is blank, but {} says how much is there", column.name());
                return Err(RowError::new(line, Some(Column::Location), message));
            }
        }
        Ok(row)
    }
}

/// Digits and nothing else. What is longer than any bound comes out as the largest number, and is refused by it.
fn whole(text: &str) -> Result<i64, ValueError> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.parse().unwrap_or(i64::MAX))
    } else {
        Err(ValueError("must be a whole number".to_owned()))
    }
}

fn units(text: &str) -> Result<Units, ValueError> {
    whole(text).and_then(Units::new)
}

fn attributes(text: &str) -> Result<Attributes, ValueError> {
    serde_json::from_str(text).map_err(|error| {
        ValueError(format!(
            "must be a JSON object with texts in it, such as {{\"strap\":\"leather\"}}: {error}"
        ))
    })
}

/// Characters that make a spreadsheet take a cell for a formula (OWASP, "CSV Injection").
fn looks_like_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

/// A cell of an export: with an apostrophe before it where a spreadsheet would otherwise run it as a formula. One
/// that has apostrophes there already gets one more, so that [`without_guard`] gives back exactly what was there.
pub fn with_guard(text: &str) -> std::borrow::Cow<'_, str> {
    if looks_like_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// The text that [`with_guard`] was given. Formulas without an apostrophe are text like any other.
pub fn without_guard(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if looks_like_formula(rest) => rest,
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::Records;
    use super::*;

    /// The rows of a file, one result each; the header must be in order.
    fn rows(text: &[u8]) -> Vec<Result<Row, String>> {
        let mut records = Records::new(text).expect("a readable file");
        let mut record = Record::default();
        assert!(records.read(&mut record).expect("a header"));
        let header = Header::parse(&record).expect("a good header");
        let mut rows = Vec::new();
        while records.read(&mut record).expect("a framed record") {
            rows.push(Row::parse(&header, &record).map_err(|error| error.to_string()));
        }
        rows
    }

    fn header_errors(text: &str) -> Vec<String> {
        let mut record = Record::default();
        Records::new(text.as_bytes()).expect("text").read(&mut record).expect("a header");
        Header::parse(&record).expect_err("a bad header").iter().map(RowError::to_string).collect()
    }

    #[test]
    fn columns_come_in_any_order_and_case() {
        let rows = rows(b"Price, SKU ,BRAND\n1299.00, A-1 ,Taraka\n");
        let row = rows[0].as_ref().expect("a good row");
        assert_eq!((row.sku.as_str(), row.price.as_deref(), row.line), ("A-1", Some("1299.00"), 2));
        assert_eq!(row.brand.as_ref().map(Name::as_str), Some("Taraka"));
        assert_eq!(row.quantity, None);
    }

    #[test]
    fn headers_that_cannot_be_meant_are_named() {
        for (text, expected) in [
            ("sku,colour", "line 1, colour: this column is unknown; known are sku, brand,"),
            ("sku,price,SKU", "line 1, SKU: this column is there twice"),
            ("brand,model", "line 1, sku: this column is missing"),
            (
                "sku;brand;model",
                "line 1, sku;brand;model: this column is unknown; cells must be separated by commas",
            ),
            ("sku,", "line 1, : this column is unknown"),
        ] {
            let errors = header_errors(text);
            assert!(errors[0].starts_with(expected), "{text}: {errors:?}");
        }
        assert_eq!(header_errors("a,sku,b").len(), 2);
    }

    #[test]
    fn a_bad_cell_is_named_by_line_and_column() {
        let header = "sku,brand,currency,image_url,max_per_order,attributes,location,quantity,safety_stock\n";
        for (row, expected) in [
            (",Taraka,,,,,,,", "line 2, sku: this cell is blank"),
            ("a b,,,,,,,,", "line 2, sku: sku must be 1 to 64 characters"),
            ("A,,,,,,,", "line 2: this row has 8 cells, the header has 9"),
            ("A,   ,,,,,,,", "line 2, brand: must be 1 to 200 characters"),
            ("A,,rupees,,,,,,", "line 2, currency: currency must be an ISO 4217 code"),
            ("A,,,javascript:alert(1),,,,,", "line 2, image_url: image_url must be"),
            ("A,,,,0,,,,", "line 2, max_per_order: quantity must be a whole number from 1 to 1000000"),
            ("A,,,,,[],,,", "line 2, attributes: must be a JSON object"),
            ("A,,,,,\"{\"\"case_mm\"\":40}\",,,", "line 2, attributes: must be a JSON object"),
            ("A,,,,,,B R,,", "line 2, location: location must be"),
            ("A,,,,,,BLR,-1,", "line 2, quantity: must be a whole number"),
            ("A,,,,,,BLR,1.0,", "line 2, quantity: must be a whole number"),
            (
                "A,,,,,,BLR,9223372036854775808,",
                "line 2, quantity: must be a whole number from 0 to 1000000000000",
            ),
            ("A,,,,,,,5,", "line 2, location: this cell is blank, but quantity says how much is there"),
            ("A,,,,,,,,5", "line 2, location: this cell is blank, but safety_stock says"),
            ("A,\"Tar\"aka,,,,,,,", "line 2, brand: this cell goes on after its closing quote"),
        ] {
            let rows = rows(format!("{header}{row}\n").as_bytes());
            let error = rows[0].as_ref().expect_err(row);
            assert!(error.starts_with(expected), "{row}: {error}");
        }
    }

    #[test]
    fn text_that_is_not_utf_8_is_named_by_line_and_the_next_row_is_fine() {
        let rows = rows(b"sku,description\nA,\"two\nlines\"\nB,\xff\xfe\nC,Taraka\n");
        assert!(rows[0].is_ok() && rows[2].is_ok());
        assert_eq!(rows[1], Err("line 4, description: this is not valid UTF-8".to_owned()));
    }

    #[test]
    fn guards_against_formulas_come_off_again() {
        for (text, guarded) in [
            ("=1+1", "'=1+1"),
            ("+91 80", "'+91 80"),
            ("-X", "'-X"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\nx", "'\nx"),
            ("'=x", "''=x"),
            ("'quoted'", "'quoted'"),
            ("'", "'"),
            ("", ""),
            ("plain =1", "plain =1"),
        ] {
            assert_eq!(with_guard(text), guarded, "{text:?}");
            assert_eq!(without_guard(guarded), text, "{guarded:?}");
        }
        assert_eq!(without_guard("=1+1"), "=1+1");
    }
}
