//! Normalising and checking a record before it is stored.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::catalog::{Check, FieldDef, Format, Kind};
use crate::format;
use crate::record::{FieldError, Record};
use crate::value::{Instant, Value, truncate};

/// Days that every store keeps: years 1 to 9999.
pub fn day_in_range(day: chrono::NaiveDate) -> bool {
    (1..=9999).contains(&chrono::Datelike::year(&day))
}

/// Instants that every store keeps: years 1 to 9999 in UTC.
pub fn instant_in_range(at: Instant) -> bool {
    day_in_range(at.date_naive())
}

/// Checks the name of a custom field.
pub fn custom_name(name: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ');
    if name.is_empty() || name.chars().count() > 64 || !name.chars().all(plain) || name.trim() != name {
        return Err(
            "a custom field's name is 1 to 64 letters, digits, _, - or inner spaces, without $ and .",
        );
    }
    Ok(())
}

const MOST_CUSTOM: usize = 200;
const LONGEST_CUSTOM: usize = 10_000;

impl Record {
    /// Brings every value into the form that is stored (NFC, trimmed, milliseconds, no trailing zeros, sorted
    /// lists, whatever is empty as null) and collects all that is wrong with it.
    pub fn clean(&mut self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (place, field) in self.def.own_fields() {
            let value = std::mem::take(&mut self.values[place]);
            match clean_value(field, value) {
                Ok(value) => {
                    if field.required && value.is_missing() {
                        errors.push(FieldError::new(
                            field.name,
                            "is missing; it is required and cannot be empty",
                        ));
                    }
                    self.values[place] = value;
                }
                Err(why) => errors.push(FieldError::new(field.name, why)),
            }
        }
        if errors.is_empty() {
            errors.extend(self.def.checks.iter().filter_map(|check| self.failed(check)));
            errors.extend(self.def.validate.map(|validate| validate(self)).unwrap_or_default());
        }
        errors
    }

    fn failed(&self, check: &Check) -> Option<FieldError> {
        use std::cmp::Ordering::{Equal, Greater};
        match *check {
            Check::Differ(a, b) => (self.get(a).compare(self.get(b)) == Some(Equal))
                .then(|| FieldError::new(b, format!("must differ from {a}"))),
            Check::Ordered(a, b) => (self.get(a).compare(self.get(b)) == Some(Greater))
                .then(|| FieldError::new(b, format!("must not be before, or less than, {a}"))),
            Check::Together(a, b) => (self.get(a).is_missing() != self.get(b).is_missing())
                .then(|| FieldError::new(b, format!("is given exactly when {a} is"))),
        }
    }
}

fn clean_value(field: &FieldDef, value: Value) -> Result<Value, String> {
    match (&field.kind, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Kind::Bool, value @ Value::Bool(_))
        | (Kind::Link { .. } | Kind::AnyLink { .. } | Kind::Id, value @ Value::Id(_))
        | (Kind::Json, value @ Value::Json(_)) => Ok(value),
        (Kind::Int { min, max }, Value::Int(number)) => {
            if (*min..=*max).contains(&number) {
                Ok(Value::Int(number))
            } else {
                Err(format!("is {number}; accepted are {min} to {max}"))
            }
        }
        (Kind::Decimal { scale }, Value::Decimal(number)) => {
            clean_decimal(number, *scale).map(Value::Decimal)
        }
        (Kind::Text { max, format }, Value::Text(text)) => clean_text(&text, *max, *format),
        (Kind::Enum { codes, .. }, Value::Text(code)) => {
            if codes.contains(&code.as_str()) {
                Ok(Value::Text(code))
            } else {
                Err(format!("is not one of {}", codes.join(", ")))
            }
        }
        (Kind::Instant, Value::Instant(at)) if instant_in_range(at) => Ok(Value::Instant(truncate(at))),
        (Kind::Date, Value::Date(day)) if day_in_range(day) => Ok(Value::Date(day)),
        (Kind::Instant | Kind::Date, Value::Instant(_) | Value::Date(_)) => {
            Err("is out of range; accepted are the years 1 to 9999".to_owned())
        }
        (Kind::List { max_items, max_len }, Value::List(items)) => clean_list(&items, *max_items, *max_len),
        (Kind::Custom, Value::Custom(map)) => clean_custom(map),
        (_, _) => Err("is of another type than the catalog says".to_owned()),
    }
}

fn clean_decimal(number: Decimal, scale: u32) -> Result<Decimal, String> {
    let number = number.normalize();
    if number.scale() > scale {
        return Err(format!("has {} decimals; accepted are at most {scale}", number.scale()));
    }
    if number.abs() >= Decimal::from(10_i64.pow(15)) {
        return Err("is too large; accepted is less than 10^15 in either direction".to_owned());
    }
    Ok(number)
}

fn clean_text(text: &str, max: usize, form: Format) -> Result<Value, String> {
    // Length first: normalising must not be made to chew on what is refused anyway.
    let too_long = |length: usize| format!("has {length} characters; accepted are at most {max}");
    if text.len() > max.saturating_mul(8) {
        return Err(too_long(text.chars().count()));
    }
    let cleaned = match form {
        Format::Block => format::clean(text),
        _ => format::clean_line(text),
    };
    let cleaned = cleaned.map_err(|error| error.to_string())?;
    if cleaned.is_empty() {
        return Ok(Value::Null);
    }
    let cleaned = match form {
        Format::Line | Format::Block | Format::Phone => Ok(cleaned),
        Format::Email => format::email(&cleaned),
        Format::Country => format::Country::parse(&cleaned).map(|country| country.code().to_owned()),
        Format::Currency => format::Currency::parse(&cleaned).map(|currency| currency.code().to_owned()),
        Format::Url => format::url(&cleaned),
        Format::Zone => format::zone(&cleaned).map(|zone| zone.name().to_owned()),
        Format::Language => format::language(&cleaned),
    };
    let cleaned = cleaned.map_err(|error| error.to_string())?;
    let length = cleaned.chars().count();
    if length > max { Err(too_long(length)) } else { Ok(Value::Text(cleaned)) }
}

fn clean_list(items: &[String], most: usize, longest: usize) -> Result<Value, String> {
    let mut cleaned = Vec::with_capacity(items.len());
    for item in items {
        if let Value::Text(text) = clean_text(item, longest, Format::Line)? {
            cleaned.push(text);
        }
    }
    cleaned.sort_unstable();
    cleaned.dedup();
    if cleaned.len() > most {
        return Err(format!("has {} items; accepted are at most {most}", cleaned.len()));
    }
    Ok(if cleaned.is_empty() { Value::Null } else { Value::List(cleaned) })
}

fn clean_custom(map: BTreeMap<String, Value>) -> Result<Value, String> {
    let mut cleaned = BTreeMap::new();
    if map.len() > MOST_CUSTOM {
        return Err(format!("has {} fields; accepted are at most {MOST_CUSTOM}", map.len()));
    }
    for (name, value) in map {
        let refuse = |why: &str| format!("{}: {why}", name.chars().take(40).collect::<String>());
        custom_name(&name).map_err(refuse)?;
        let value = match value {
            Value::Text(text) => {
                clean_text(&text, LONGEST_CUSTOM, Format::Block).map_err(|why| refuse(&why))?
            }
            Value::Decimal(number) => Value::Decimal(clean_decimal(number, 12).map_err(|why| refuse(&why))?),
            Value::Int(number) => {
                Value::Decimal(clean_decimal(number.into(), 12).map_err(|why| refuse(&why))?)
            }
            Value::Bool(_) => value,
            Value::Instant(at) if instant_in_range(at) => Value::Instant(truncate(at)),
            Value::List(items) => clean_list(&items, 200, 200).map_err(|why| refuse(&why))?,
            _ => {
                return Err(refuse(
                    "holds text, a decimal, a truth value, an instant of the years 1 to 9999 or a list of text",
                ));
            }
        };
        if !value.is_missing() {
            cleaned.insert(name, value);
        }
    }
    Ok(if cleaned.is_empty() { Value::Null } else { Value::Custom(cleaned) })
}
