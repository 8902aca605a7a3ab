//! The values that records are made of, with one order and one JSON form for every store.

mod custom;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, SecondsFormat, SubsecRound, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

pub use custom::CustomFields;

/// A point in time. Always UTC, always truncated to milliseconds (SPEC XT-06), so that every store returns
/// what was written.
pub type Instant = DateTime<Utc>;

/// Truncates to the millisecond, the finest unit that all stores keep.
pub fn truncate(at: Instant) -> Instant {
    at.trunc_subsecs(3)
}

/// One value of one field.
///
/// Enums are [`Value::Text`] with one of the field's codes, links are [`Value::Id`]. Decimals are kept without
/// trailing zeros. An empty text, list or map is [`Value::Null`]: it does not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Value {
    /// Nothing is known.
    #[default]
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// An exact decimal, never a float.
    Decimal(Decimal),
    /// Text in Unicode NFC, or an enum's code.
    Text(String),
    /// A point in time.
    Instant(Instant),
    /// A calendar day.
    Date(NaiveDate),
    /// The id of a record.
    Id(Uuid),
    /// A list of text, such as tags.
    List(Vec<String>),
    /// The embedder's own fields by name: text, decimal, bool, instant or list of text.
    Custom(BTreeMap<String, Value>),
    /// Structured settings or criteria; never compared.
    Json(Json),
}

impl Value {
    /// Whether this counts as missing: null, an empty text, list or map.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Custom(map) => map.is_empty(),
            _ => false,
        }
    }

    /// Compares two values of one type; `None` when the types differ or have no order.
    ///
    /// Text compares in binary order of its UTF-8 bytes, on every store.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => a.cmp(b),
            (Self::Int(a), Self::Decimal(b)) => Decimal::from(*a).cmp(b),
            (Self::Decimal(a), Self::Int(b)) => a.cmp(&Decimal::from(*b)),
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Instant(a), Self::Instant(b)) => a.cmp(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Id(a), Self::Id(b)) => a.cmp(b),
            _ => return None,
        })
    }

    /// The order in which sorted reads return values: missing first, then by [`compare`](Self::compare).
    pub fn sort_order(&self, other: &Self) -> Ordering {
        match (self.is_missing(), other.is_missing()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.compare(other).unwrap_or(Ordering::Equal),
        }
    }

    /// The one JSON form of the value. Decimals, instants and ids are text; inside custom fields, where no
    /// field type says what a text means, decimals and instants are tagged.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(b) => json!(b),
            Self::Int(i) => json!(i),
            Self::Decimal(d) => json!(d.normalize().to_string()),
            Self::Text(t) => json!(t),
            Self::Instant(at) => json!(format_instant(*at)),
            Self::Date(day) => json!(day.to_string()),
            Self::Id(id) => json!(id.to_string()),
            Self::List(list) => json!(list),
            Self::Custom(map) => {
                Json::Object(map.iter().map(|(name, value)| (name.clone(), value.to_custom_json())).collect())
            }
            Self::Json(json) => json.clone(),
        }
    }

    fn to_custom_json(&self) -> Json {
        match self {
            Self::Decimal(_) => json!({ "decimal": self.to_json() }),
            Self::Instant(_) => json!({ "instant": self.to_json() }),
            other => other.to_json(),
        }
    }

    /// Reads custom fields back from their JSON form; `None` when it is not one.
    pub fn custom_from_json(map: Map<String, Json>) -> Option<Self> {
        CustomFields::deserialize(Json::Object(map)).ok().map(|fields| Self::Custom(fields.0))
    }

    /// The text, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The id, if this is one.
    pub fn as_id(&self) -> Option<Uuid> {
        if let Self::Id(id) = self { Some(*id) } else { None }
    }

    /// The point in time, if this is one.
    pub fn as_instant(&self) -> Option<Instant> {
        if let Self::Instant(at) = self { Some(*at) } else { None }
    }

    /// The truth value; false for anything else.
    pub fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }
}

/// RFC 3339 with milliseconds and `Z`: one text per instant.
pub fn format_instant(at: Instant) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads an RFC 3339 instant with any offset, truncated to the millisecond.
pub fn parse_instant(text: &str) -> Option<Instant> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| truncate(at.with_timezone(&Utc)))
}
