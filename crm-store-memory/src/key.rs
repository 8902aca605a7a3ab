//! Values as bytes whose binary order is the order of sorted reads.
//!
//! One encoded value is a *column*. No column is the beginning of another, so that columns can be joined to keys,
//! cut off again, and complemented for a descending order.

use crm_core::store::Direction;
use crm_core::value::Value;
use rust_decimal::Decimal;
use uuid::Uuid;

/// The first byte of a missing value's column, which is all of it; every other column begins with a larger one.
pub(crate) const MISSING: u8 = 0;
const BOOL: u8 = 1;
const NUMBER: u8 = 2;
const TEXT: u8 = 3;
const INSTANT: u8 = 4;
const DATE: u8 = 5;
const ID: u8 = 6;
/// Lists, custom fields and JSON: they have no order, and all stand in one place.
const UNORDERED: u8 = 7;

/// How many digits after the point a decimal has at most.
const FRACTION_DIGITS: u32 = 28;

/// Appends the column of a value. Whole numbers and decimals share one form, as they are comparable.
pub(crate) fn push(out: &mut Vec<u8>, value: &Value) {
    if value.is_missing() {
        out.push(MISSING);
        return;
    }
    match value {
        Value::Null => out.push(MISSING),
        Value::Bool(yes) => out.extend([BOOL, u8::from(*yes)]),
        Value::Int(number) => push_number(out, Decimal::from(*number)),
        Value::Decimal(number) => push_number(out, *number),
        Value::Text(text) => {
            push_text_open(out, text);
            out.extend([0, 0]);
        }
        Value::Instant(at) => {
            out.push(INSTANT);
            out.extend((at.timestamp() ^ i64::MIN).to_be_bytes());
            out.extend(at.timestamp_subsec_nanos().to_be_bytes());
        }
        Value::Date(day) => {
            out.push(DATE);
            out.extend((day.to_epoch_days() ^ i32::MIN).to_be_bytes());
        }
        Value::Id(id) => {
            out.push(ID);
            out.extend(id.as_bytes());
        }
        Value::List(_) | Value::Custom(_) | Value::Json(_) => out.push(UNORDERED),
    }
}

/// Appends the beginning that the columns of all texts starting with `text` share.
pub(crate) fn push_text_open(out: &mut Vec<u8>, text: &str) {
    out.push(TEXT);
    if !text.as_bytes().contains(&0) {
        out.extend(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        out.push(byte);
        if byte == 0 {
            out.push(0xFF);
        }
    }
}

/// The column of a value.
pub(crate) fn column(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, value);
    out
}

/// Whether values of this column compare with others of its type.
pub(crate) fn has_order(column: &[u8]) -> bool {
    !matches!(column.first(), None | Some(&MISSING | &UNORDERED))
}

/// How long the column at the front of these bytes is.
pub(crate) fn column_len(bytes: &[u8]) -> usize {
    match bytes.first() {
        None => 0,
        Some(&BOOL) => 2,
        Some(&NUMBER) => 26,
        Some(&INSTANT) => 13,
        Some(&DATE) => 5,
        Some(&ID) => 17,
        Some(&TEXT) => {
            let mut at = 1;
            while let Some(zero) = bytes[at..].iter().position(|byte| *byte == 0) {
                at += zero + 2;
                if bytes.get(at - 1) != Some(&0xFF) {
                    break;
                }
            }
            at
        }
        Some(_) => 1,
    }
}

/// The smallest bytes above all that begin with these; `None` when there are none.
pub(crate) fn successor(bytes: &[u8]) -> Option<Vec<u8>> {
    let keep = bytes.iter().rposition(|byte| *byte != 0xFF)?;
    let mut above = bytes[..=keep].to_vec();
    above[keep] += 1;
    Some(above)
}

/// Appends a column so that the bytes sort in this direction.
pub(crate) fn push_directed(out: &mut Vec<u8>, column: &[u8], direction: Direction) {
    match direction {
        Direction::Ascending => out.extend(column),
        Direction::Descending => out.extend(column.iter().map(|byte| !byte)),
    }
}

/// The id that an index entry ends with.
pub(crate) fn id_of(entry: &[u8]) -> Uuid {
    entry.last_chunk::<16>().map_or(Uuid::nil(), |bytes| Uuid::from_bytes(*bytes))
}

fn push_number(out: &mut Vec<u8>, number: Decimal) {
    let mantissa = number.mantissa().unsigned_abs();
    let unit = 10_u128.pow(number.scale());
    let whole = mantissa / unit;
    let fraction = (mantissa % unit) * 10_u128.pow(FRACTION_DIGITS - number.scale());
    let negative = number.is_sign_negative() && mantissa != 0;
    out.extend([NUMBER, u8::from(!negative)]);
    // Both parts are below 2^96: twelve bytes each.
    for part in [whole, fraction] {
        let bytes = part.to_be_bytes();
        out.extend(bytes[4..].iter().map(|byte| if negative { !byte } else { *byte }));
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    fn joined(value: &Value) -> Vec<u8> {
        // What follows a column must not change its place.
        let mut bytes = column(value);
        bytes.extend([0xFF; 16]);
        bytes
    }

    fn numbers() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Int),
            (-1_000_000_i64..1_000_000, 0_u32..8)
                .prop_map(|(n, scale)| Value::Decimal(Decimal::new(n, scale))),
            (any::<i64>(), 0_u32..28).prop_map(|(n, scale)| Value::Decimal(Decimal::new(n, scale))),
            Just(Value::Decimal(Decimal::MAX)),
            Just(Value::Decimal(Decimal::MIN)),
            Just(Value::Null),
        ]
    }

    fn texts() -> impl Strategy<Value = Value> {
        proptest::collection::vec(
            prop_oneof![Just('\0'), Just('a'), Just('b'), Just('\u{ff}'), any::<char>()],
            0..4,
        )
        .prop_map(|chars| Value::Text(chars.into_iter().collect()))
    }

    fn same_order(a: &Value, b: &Value) {
        assert_eq!(joined(a).cmp(&joined(b)), a.sort_order(b), "{a:?} and {b:?}");
        assert_eq!(column_len(&joined(a)), column(a).len(), "{a:?}");
        let directed = |value: &Value| {
            let mut out = Vec::new();
            push_directed(&mut out, &column(value), Direction::Descending);
            out.push(0);
            out
        };
        assert_eq!(directed(a).cmp(&directed(b)), a.sort_order(b).reverse(), "{a:?} and {b:?}");
    }

    proptest! {
        #[test]
        fn numbers_sort_as_their_columns(a in numbers(), b in numbers()) {
            same_order(&a, &b);
        }

        #[test]
        fn texts_sort_as_their_columns(a in texts(), b in texts()) {
            same_order(&a, &b);
        }

        #[test]
        fn instants_and_days_sort_as_their_columns(a in -62_135_596_800_000_i64..253_402_300_800_000, b in any::<i32>()) {
            let at = |ms| Value::Instant(chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default());
            same_order(&at(a), &at(i64::from(b)));
            let day = |n: i64| Value::Date(chrono::DateTime::from_timestamp_millis(n).unwrap_or_default().date_naive());
            same_order(&day(a), &day(i64::from(b)));
        }
    }

    #[test]
    fn equal_numbers_have_one_column() {
        let forms =
            [Value::Int(12), Value::Decimal(Decimal::new(12, 0)), Value::Decimal(Decimal::new(12_000, 3))];
        assert!(forms.iter().all(|form| column(form) == column(&forms[0])));
        assert_eq!(column(&Value::Decimal(Decimal::new(-0, 3))), column(&Value::Int(0)));
    }

    #[test]
    fn successors_stand_above_all_with_that_beginning() {
        assert_eq!(successor(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(successor(&[1, 0xFF, 0xFF]), Some(vec![2]));
        assert_eq!(successor(&[0xFF]), None);
        assert_eq!(
            successor(&[1, 0xFF, 0xFF]).map(|s| s.as_slice().cmp(&[1, 0xFF, 0xFF, 0xFF])),
            Some(Ordering::Greater)
        );
    }
}
