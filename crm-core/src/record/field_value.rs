//! The types that an entity's fields can have in Rust.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::catalog::{Format, Kind};
use crate::format::{Country, Currency};
use crate::id::RecordId;
use crate::record::{Record, Unreadable};
use crate::value::{Instant, Value};

/// The embedder's own fields by name (SPEC CM-01): text, decimal, bool, instant or list of text.
pub type Custom = BTreeMap<String, Value>;

/// A Rust type that a field can have.
pub trait FieldValue: Sized {
    /// Whether a record without the value is refused.
    const REQUIRED: bool = true;
    /// The catalog's type where the attribute names none.
    fn kind() -> Kind;
    /// The value that is stored.
    fn to_value(&self) -> Value;
    /// The value back, or what was found instead.
    fn from_value(value: &Value) -> Result<Self, String>;
    /// As [`from_value`](Self::from_value), from a value that is not needed any more: texts and lists are moved.
    fn take(value: &mut Value) -> Result<Self, String> {
        Self::from_value(value)
    }
}

/// Reads the field at a place of a record.
pub fn read_field<T: FieldValue>(record: &Record, place: usize) -> Result<T, Unreadable> {
    T::from_value(&record.values[place]).map_err(|why| unreadable(record, place, why))
}

/// Moves the field at a place out of a record.
pub fn take_field<T: FieldValue>(record: &mut Record, place: usize) -> Result<T, Unreadable> {
    T::take(&mut record.values[place]).map_err(|why| unreadable(record, place, why))
}

fn unreadable(record: &Record, place: usize, why: String) -> Unreadable {
    Unreadable { entity: record.def.name, field: record.def.fields[place].name, why }
}

fn found(value: &Value) -> String {
    let kind = match value {
        Value::Null => "missing",
        Value::Bool(_) => "a truth value",
        Value::Int(_) => "a whole number",
        Value::Decimal(_) => "a decimal",
        Value::Text(_) => "a text",
        Value::Instant(_) => "an instant",
        Value::Date(_) => "a day",
        Value::Id(_) => "an id",
        Value::List(_) => "a list",
        Value::Custom(_) => "a set of custom fields",
        Value::Json(_) => "JSON",
    };
    kind.to_owned()
}

impl<T: FieldValue> FieldValue for Option<T> {
    const REQUIRED: bool = false;
    fn kind() -> Kind {
        T::kind()
    }
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_value)
    }
    fn from_value(value: &Value) -> Result<Self, String> {
        if *value == Value::Null { Ok(None) } else { T::from_value(value).map(Some) }
    }
    fn take(value: &mut Value) -> Result<Self, String> {
        if *value == Value::Null { Ok(None) } else { T::take(value).map(Some) }
    }
}

impl<T: RecordId> FieldValue for T {
    fn kind() -> Kind {
        Kind::Id
    }
    fn to_value(&self) -> Value {
        Value::Id(self.uuid())
    }
    fn from_value(value: &Value) -> Result<Self, String> {
        value.as_id().map(T::from_uuid).ok_or_else(|| found(value))
    }
}

macro_rules! field_value {
    ($($type:ty: $kind:expr, $to:expr, $pattern:pat => $from:expr $(, $moved:pat => $take:expr)?;)*) => {$(
        impl FieldValue for $type {
            fn kind() -> Kind { $kind }
            fn to_value(&self) -> Value { let to: fn(&Self) -> Value = $to; to(self) }
            fn from_value(value: &Value) -> Result<Self, String> {
                match value { $pattern => Ok($from), other => Err(found(other)) }
            }
            $(fn take(value: &mut Value) -> Result<Self, String> {
                match value { $moved => Ok($take), other => Err(found(other)) }
            })?
        }
    )*};
}

field_value! {
    bool: Kind::Bool, |b| Value::Bool(*b), Value::Bool(b) => *b;
    i64: Kind::Int { min: i64::MIN, max: i64::MAX }, |n| Value::Int(*n), Value::Int(n) => *n;
    Decimal: Kind::Decimal { scale: 4 }, |d| Value::Decimal(*d), Value::Decimal(d) => *d;
    String: Kind::Text { max: 200, format: Format::Line }, |t| Value::Text(t.clone()), Value::Text(t) => t.clone(),
        Value::Text(t) => std::mem::take(t);
    Instant: Kind::Instant, |at| Value::Instant(*at), Value::Instant(at) => *at;
    NaiveDate: Kind::Date, |day| Value::Date(*day), Value::Date(day) => *day;
    Uuid: Kind::Id, |id| Value::Id(*id), Value::Id(id) => *id;
    serde_json::Value: Kind::Json, |json| Value::Json(json.clone()), Value::Json(json) => json.clone(),
        Value::Json(json) => json.take();
}

impl FieldValue for Vec<String> {
    const REQUIRED: bool = false;
    fn kind() -> Kind {
        Kind::List { max_items: 100, max_len: 100 }
    }
    fn to_value(&self) -> Value {
        if self.is_empty() { Value::Null } else { Value::List(self.clone()) }
    }
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::List(items) => Ok(items.clone()),
            Value::Null => Ok(Vec::new()),
            other => Err(found(other)),
        }
    }
    fn take(value: &mut Value) -> Result<Self, String> {
        match value {
            Value::List(items) => Ok(std::mem::take(items)),
            other => Self::from_value(other),
        }
    }
}

impl FieldValue for Custom {
    const REQUIRED: bool = false;
    fn kind() -> Kind {
        Kind::Custom
    }
    fn to_value(&self) -> Value {
        if self.is_empty() { Value::Null } else { Value::Custom(self.clone()) }
    }
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Custom(map) => Ok(map.clone()),
            Value::Null => Ok(Self::new()),
            other => Err(found(other)),
        }
    }
    fn take(value: &mut Value) -> Result<Self, String> {
        match value {
            Value::Custom(map) => Ok(std::mem::take(map)),
            other => Self::from_value(other),
        }
    }
}

impl FieldValue for Country {
    fn kind() -> Kind {
        Kind::Text { max: 2, format: Format::Country }
    }
    fn to_value(&self) -> Value {
        Value::Text(self.code().to_owned())
    }
    fn from_value(value: &Value) -> Result<Self, String> {
        value.as_text().and_then(|code| Self::parse(code).ok()).ok_or_else(|| found(value))
    }
}

impl FieldValue for Currency {
    fn kind() -> Kind {
        Kind::Text { max: 3, format: Format::Currency }
    }
    fn to_value(&self) -> Value {
        Value::Text(self.code().to_owned())
    }
    fn from_value(value: &Value) -> Result<Self, String> {
        value.as_text().and_then(|code| Self::parse(code).ok()).ok_or_else(|| found(value))
    }
}

/// Declares an enum whose variants are stored as codes.
///
/// ```
/// crm_core::codes! {
///     /// How urgent something is.
///     pub enum Priority: ordered {
///         /// Whenever.
///         Low = "low",
///         /// As usual.
///         #[default]
///         Normal = "normal",
///     }
/// }
/// assert_eq!(Priority::Normal.code(), "normal");
/// assert_eq!(Priority::parse("low"), Some(Priority::Low));
/// ```
#[macro_export]
macro_rules! codes {
    (@ordered) => { false };
    (@ordered ordered) => { true };
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident $(: $ordered:ident)? { $($(#[$variant_meta:meta])* $variant:ident = $code:literal),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            $crate::__private::Serialize, $crate::__private::Deserialize,
        )]
        #[serde(crate = "::crm_core::__private::serde")]
        $vis enum $name { $($(#[$variant_meta])* #[serde(rename = $code)] $variant),+ }

        impl $name {
            /// The codes of all variants, in their order.
            pub const CODES: &'static [&'static str] = &[$($code),+];

            /// The name that stores, criteria and JSON use.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The variant of this code.
            pub fn parse(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }

        impl $crate::record::FieldValue for $name {
            fn kind() -> $crate::catalog::Kind {
                $crate::catalog::Kind::Enum { codes: Self::CODES, ordered: $crate::codes!(@ordered $($ordered)?) }
            }
            fn to_value(&self) -> $crate::value::Value {
                $crate::value::Value::Text(self.code().to_owned())
            }
            fn from_value(value: &$crate::value::Value) -> ::std::result::Result<Self, String> {
                value.as_text().and_then(Self::parse).ok_or_else(|| String::from("not one of its codes"))
            }
        }
    };
}
