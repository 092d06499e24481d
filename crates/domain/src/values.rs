//! The small values that cannot be built invalid: parse at the edge, then trust the type.

use std::{borrow::Borrow, fmt, str::FromStr, sync::LazyLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use smol_str::SmolStr;

/// Lines in one order or hold, before repeated SKUs are summed.
pub const LINES_MAX: usize = 200;
/// Units in one line, and in one receipt, transfer or count step.
pub const QUANTITY_MAX: u32 = 1_000_000;
/// Units that one counter may reach: far below where sums could overflow.
pub const UNITS_MAX: i64 = 1_000_000_000_000;
/// Minor units in one price.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000;
/// Characters of a customer reference.
pub const CUSTOMER_CHARS_MAX: usize = 64;

/// Why a value was refused; says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub String);

fn code(text: &str, what: &str) -> Result<SmolStr, ValueError> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if fits {
        Ok(SmolStr::new(text))
    } else {
        Err(ValueError(format!("{what} must be 1 to 64 characters out of A-Z a-z 0-9 . _ -")))
    }
}

macro_rules! code_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(SmolStr);

        impl $name {
            /// Parses `[A-Za-z0-9._-]{1,64}`.
            pub fn new(text: impl AsRef<str>) -> Result<Self, ValueError> {
                code(text.as_ref(), $what).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ValueError;
            fn from_str(text: &str) -> Result<Self, ValueError> {
                Self::new(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = SmolStr::deserialize(deserializer)?;
                Self::new(&text).map_err(D::Error::custom)
            }
        }
    };
}

code_type!(
    /// A stock keeping unit: what is sold. `[A-Za-z0-9._-]{1,64}`, compared byte by byte.
    Sku,
    "sku"
);
code_type!(
    /// The code of a place that holds stock. `[A-Za-z0-9._-]{1,64}`.
    LocationCode,
    "location"
);

/// Who an order or hold is for: an opaque string of 1 to 64 characters without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Customer(SmolStr);

impl Customer {
    pub fn new(text: impl AsRef<str>) -> Result<Self, ValueError> {
        let text = text.as_ref();
        let chars = text.chars().count();
        if (1..=CUSTOMER_CHARS_MAX).contains(&chars) && !text.chars().any(char::is_control) {
            Ok(Self(SmolStr::new(text)))
        } else {
            Err(ValueError(format!(
                "customer must be 1 to {CUSTOMER_CHARS_MAX} characters, none of them a control character"
            )))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Customer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SmolStr::deserialize(deserializer)?;
        Self::new(&text).map_err(D::Error::custom)
    }
}

/// Deserialises a whole number within bounds, saying the bounds when it is not one.
fn bounded<'de, D: Deserializer<'de>>(
    deserializer: D,
    what: &str,
    low: i64,
    high: i64,
) -> Result<i64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)
        .map_err(|_| D::Error::custom(format!("{what} must be a whole number from {low} to {high}")))?;
    match number.as_i64() {
        Some(n) if (low..=high).contains(&n) => Ok(n),
        _ => Err(D::Error::custom(format!("{what} must be a whole number from {low} to {high}"))),
    }
}

/// Units asked for: 1 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Quantity(u32);

impl Quantity {
    pub const ONE: Quantity = Quantity(1);

    pub fn new(units: i64) -> Result<Self, ValueError> {
        match u32::try_from(units) {
            Ok(n) if (1..=QUANTITY_MAX).contains(&n) => Ok(Self(n)),
            _ => Err(ValueError(format!("quantity must be a whole number from 1 to {QUANTITY_MAX}"))),
        }
    }

    pub fn get(self) -> i64 {
        i64::from(self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let n = bounded(deserializer, "quantity", 1, i64::from(QUANTITY_MAX))?;
        Self::new(n).map_err(D::Error::custom)
    }
}

/// A count of units that may be zero: 0 to 10^12 (a cycle count, safety stock, a reorder point).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize)]
#[serde(transparent)]
pub struct Units(i64);

impl Units {
    pub fn new(units: i64) -> Result<Self, ValueError> {
        if (0..=UNITS_MAX).contains(&units) {
            Ok(Self(units))
        } else {
            Err(ValueError(format!("must be a whole number from 0 to {UNITS_MAX}")))
        }
    }

    pub fn get(self) -> i64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bounded(deserializer, "it", 0, UNITS_MAX).map(Self)
    }
}

/// A signed change of units: not zero, at most 10^12 either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Delta(i64);

impl Delta {
    pub fn new(units: i64) -> Result<Self, ValueError> {
        if units != 0 && (-UNITS_MAX..=UNITS_MAX).contains(&units) {
            Ok(Self(units))
        } else {
            Err(ValueError(format!("delta must be a whole number, not 0, from -{UNITS_MAX} to {UNITS_MAX}")))
        }
    }

    pub fn get(self) -> i64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Delta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let n = bounded(deserializer, "delta", -UNITS_MAX, UNITS_MAX)?;
        Self::new(n).map_err(D::Error::custom)
    }
}

/// An ISO 4217 code in use: three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

/// ISO 4217's active codes for money (not metals, funds or tests), with the digits after the decimal point
/// where they are not two.
const CURRENCIES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD3 BIF0 BMD BND BOB BRL BSD BTN BWP BYN \
BZD CAD CDF CHF CLP0 CNY COP CRC CUP CVE CZK DJF0 DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF0 GTQ GYD \
HKD HNL HTG HUF IDR ILS INR IQD3 IRR ISK0 JMD JOD3 JPY0 KES KGS KHR KMF0 KPW KRW0 KWD3 KYD KZT LAK LBP LKR LRD LSL LYD3 \
MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR3 PAB PEN PGK PHP PKR PLN PYG0 QAR \
RON RSD RUB RWF0 SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND3 TOP TRY TTD TWD TZS UAH \
UGX0 USD UYU UZS VED VES VND0 VUV0 WST XAF0 XCD XCG XOF0 XPF0 YER ZAR ZMW ZWG";

impl Currency {
    pub const INR: Currency = Currency(*b"INR");

    pub fn new(text: &str) -> Result<Self, ValueError> {
        let refused = || ValueError("currency must be an ISO 4217 code such as INR or EUR".to_owned());
        let bytes: [u8; 3] = text.as_bytes().try_into().map_err(|_| refused())?;
        if bytes.iter().all(u8::is_ascii_uppercase) && Self::digits_of(&bytes).is_some() {
            Ok(Self(bytes))
        } else {
            Err(refused())
        }
    }

    /// Every known one.
    pub fn all() -> impl Iterator<Item = Currency> {
        let codes = CURRENCIES.split_ascii_whitespace().filter_map(|entry| entry.as_bytes().first_chunk());
        codes.map(|code| Self(*code))
    }

    /// The digits of a known one.
    fn digits_of(code: &[u8; 3]) -> Option<u32> {
        static SORTED: LazyLock<Vec<([u8; 3], u32)>> = LazyLock::new(|| {
            let entry = |entry: &str| {
                let code = *entry.as_bytes().first_chunk()?;
                Some((code, entry.as_bytes().get(3).map_or(2, |digit| u32::from(digit - b'0'))))
            };
            let mut sorted: Vec<_> = CURRENCIES.split_ascii_whitespace().filter_map(entry).collect();
            sorted.sort_unstable();
            sorted
        });
        let place = SORTED.binary_search_by(|(known, _)| known.cmp(code)).ok()?;
        Some(SORTED[place].1)
    }

    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("a currency is three ASCII letters")
    }

    /// Digits after the decimal point in major units (ISO 4217's exponent).
    pub fn digits(&self) -> u32 {
        Self::digits_of(&self.0).expect("a currency is in the table")
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SmolStr::deserialize(deserializer)?;
        Self::new(&text).map_err(D::Error::custom)
    }
}

/// An amount in minor units (paise, cents) of one currency; 0 to 10^12 for a price, more for a total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Money {
    pub amount: i64,
    pub currency: Currency,
}

impl Money {
    /// A price: 0 to 10^12 minor units.
    pub fn price(amount: i64, currency: Currency) -> Result<Self, ValueError> {
        if (0..=AMOUNT_MAX).contains(&amount) {
            Ok(Self { amount, currency })
        } else {
            Err(ValueError(format!("amount must be a whole number of minor units from 0 to {AMOUNT_MAX}")))
        }
    }

    /// Parses major units such as `1299.00` or `1299`, exactly; no sign, no thousands separators.
    pub fn parse_major(text: &str, currency: Currency) -> Result<Self, ValueError> {
        let digits = currency.digits() as usize;
        let refused = || {
            let example =
                if digits == 0 { "1299".to_owned() } else { format!("1299.{}", "0".repeat(digits)) };
            ValueError(format!(
                "must be an amount in major units such as {example}, at most {digits} digits after the point"
            ))
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let point_without_digits = text.contains('.') && fraction.is_empty();
        if whole.is_empty() || point_without_digits || !all_digits(whole) || !all_digits(fraction) {
            return Err(refused());
        }
        if fraction.len() > digits || whole.len() > 13 {
            return Err(refused());
        }
        let minor: i64 = format!("{whole}{fraction:0<digits$}").parse().map_err(|_| refused())?;
        Self::price(minor, currency)
    }

    /// Major units with the currency's digits, such as `1299.00`.
    pub fn to_major(&self) -> String {
        let digits = self.currency.digits();
        let scale = 10_i64.pow(digits);
        if digits == 0 {
            return self.amount.to_string();
        }
        format!("{}.{:0width$}", self.amount / scale, self.amount % scale, width = digits as usize)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire {
            amount: i64,
            currency: Currency,
        }
        let wire = Wire::deserialize(deserializer)?;
        // A total may exceed what a price may; prices are checked again where they enter (`Money::price`).
        if wire.amount < 0 {
            return Err(D::Error::custom("amount must not be negative"));
        }
        Ok(Money { amount: wire.amount, currency: wire.currency })
    }
}

/// A place on Earth in degrees; used for choosing locations, never stored in an event.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GeoPoint {
    pub latitude: f64,
    pub longitude: f64,
}

impl GeoPoint {
    pub fn new(latitude: f64, longitude: f64) -> Result<Self, ValueError> {
        if (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude) {
            Ok(Self { latitude, longitude })
        } else {
            Err(ValueError(
                "latitude must be from -90 to 90 and longitude from -180 to 180 degrees".to_owned(),
            ))
        }
    }

    /// Reads a latitude that may be absent, for fields that stand alone.
    pub(crate) fn latitude<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        let Some(latitude) = Option::deserialize(deserializer)? else { return Ok(None) };
        GeoPoint::new(latitude, 0.0).map(|point| Some(point.latitude)).map_err(D::Error::custom)
    }

    /// Reads a longitude that may be absent, for fields that stand alone.
    pub(crate) fn longitude<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        let Some(longitude) = Option::deserialize(deserializer)? else { return Ok(None) };
        GeoPoint::new(0.0, longitude).map(|point| Some(point.longitude)).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for GeoPoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire {
            latitude: f64,
            longitude: f64,
        }
        let wire = Wire::deserialize(deserializer)?;
        GeoPoint::new(wire.latitude, wire.longitude).map_err(D::Error::custom)
    }
}

/// Microseconds since 1970-01-01T00:00:00Z; RFC 3339 in UTC on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// Parses RFC 3339, any offset.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let parsed: jiff::Timestamp = text
            .parse()
            .map_err(|_| ValueError("must be an RFC 3339 time such as 2026-01-31T12:00:00Z".to_owned()))?;
        Ok(Self(parsed.as_microsecond()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{stamp:.6}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SmolStr::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

/// A place in the event log: the number of the event, from 1; 0 is before the first. An opaque string on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Position(pub u64);

impl Position {
    pub fn plus(self, events: usize) -> Self {
        Self(self.0 + events as u64)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Position {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        // Rust reads "+5" as a number too.
        let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        number.map(Self).ok_or_else(|| ValueError("must be a position as given by this server".to_owned()))
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SmolStr::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_1_to_64_characters_of_the_known_alphabet() {
        assert!(Sku::new("TITAN-1.b_2").is_ok());
        assert!(Sku::new("x".repeat(64)).is_ok());
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(Sku::new(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn quantities_outside_their_bounds_are_refused_with_the_bounds() {
        for bad in ["0", "-1", "1000001", "9223372036854775808", "1.5", "\"1\"", "null", "true"] {
            let error = serde_json::from_str::<Quantity>(bad).expect_err(bad).to_string();
            assert!(error.contains("1 to 1000000"), "{bad}: {error}");
        }
        assert_eq!(serde_json::from_str::<Quantity>("1000000").expect("the maximum fits").get(), 1_000_000);
    }

    #[test]
    fn major_units_are_parsed_exactly() {
        let inr = Currency::INR;
        let jpy = Currency::new("JPY").expect("a known currency");
        let kwd = Currency::new("KWD").expect("a known currency");
        for (text, currency, minor) in [
            ("1299.00", inr, 129_900),
            ("1299", inr, 129_900),
            ("0.5", inr, 50),
            ("0", inr, 0),
            ("1299", jpy, 1299),
            ("1.234", kwd, 1234),
        ] {
            assert_eq!(Money::parse_major(text, currency).expect(text).amount, minor, "{text}");
        }
        for bad in ["", ".", "1.", ".5", "-1", "+1", "1,000", "1.234", "1e3", " 1", "99999999999999"] {
            assert!(Money::parse_major(bad, inr).is_err(), "{bad:?} was taken");
        }
        assert!(Money::parse_major("1.0", jpy).is_err());
        assert_eq!(Money { amount: 5, currency: inr }.to_major(), "0.05");
        assert_eq!(Money { amount: 5, currency: jpy }.to_major(), "5");
    }

    #[test]
    fn currencies_are_those_of_iso_4217() {
        assert!(Currency::new("EUR").is_ok());
        for bad in ["", "EU", "EURO", "eur", "XXX", "BHD3"] {
            assert!(Currency::new(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn times_are_rfc_3339_in_utc() {
        let at = Timestamp::parse("2026-01-31T12:00:00.5+05:30").expect("a time");
        assert_eq!(at.to_string(), "2026-01-31T06:30:00.500000Z");
        assert!(Timestamp::parse("yesterday").is_err());
    }
}
