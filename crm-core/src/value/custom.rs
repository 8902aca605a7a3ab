//! Custom fields from their JSON form, without a tree of JSON in between.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Value, parse_instant};

/// The embedder's own fields by name, read from the JSON form of [`Value::Custom`]; anything else is an error.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CustomFields(pub BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for CustomFields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = CustomFields;

    fn expecting(&self, form: &mut fmt::Formatter<'_>) -> fmt::Result {
        form.write_str("custom fields by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CustomFields, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((name, One(value))) = map.next_entry()? {
            fields.insert(name, value);
        }
        Ok(CustomFields(fields))
    }
}

/// The value of one custom field.
struct One(Value);

impl<'de> Deserialize<'de> for One {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneVisitor).map(One)
    }
}

struct OneVisitor;

impl<'de> Visitor<'de> for OneVisitor {
    type Value = Value;

    fn expecting(&self, form: &mut fmt::Formatter<'_>) -> fmt::Result {
        form.write_str("text, a truth value, a list of text, a tagged decimal or a tagged instant")
    }

    fn visit_bool<E: Error>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Bool(yes))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut tagged: A) -> Result<Value, A::Error> {
        let (mut decimal, mut instant) = (None, None);
        while let Some(tag) = tagged.next_key::<String>()? {
            match tag.as_str() {
                "decimal" => decimal = Some(tagged.next_value::<String>()?),
                "instant" => instant = Some(tagged.next_value::<String>()?),
                _ => drop(tagged.next_value::<IgnoredAny>()?),
            }
        }
        let value = match (decimal, instant) {
            (Some(text), None) => text.parse().ok().map(Value::Decimal),
            (None, Some(text)) => parse_instant(&text).map(Value::Instant),
            _ => None,
        };
        value.ok_or_else(|| Error::custom("no decimal and no instant"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn custom_fields_come_back_from_their_json_and_nothing_else_does() {
        let at = parse_instant("2024-02-29T12:00:00.123Z").unwrap();
        let fields = BTreeMap::from([
            ("a".to_owned(), Value::Text("q\"ü\u{1F600}".to_owned())),
            ("b".to_owned(), Value::Bool(false)),
            ("c".to_owned(), Value::Decimal("12.5".parse().unwrap())),
            ("d".to_owned(), Value::Instant(at)),
            ("e".to_owned(), Value::List(vec!["x".to_owned(), String::new()])),
        ]);
        let json = Value::Custom(fields.clone()).to_json();
        assert_eq!(serde_json::from_str::<CustomFields>(&json.to_string()).unwrap().0, fields);
        let serde_json::Value::Object(map) = json else { panic!("no object") };
        assert_eq!(Value::custom_from_json(map), Some(Value::Custom(fields)));
        for wrong in [
            json!({ "a": null }),
            json!({ "a": 1 }),
            json!({ "a": [1] }),
            json!({ "a": {} }),
            json!({ "a": { "decimal": 1 } }),
            json!({ "a": { "decimal": "x" } }),
            json!({ "a": { "instant": "x" } }),
            json!({ "a": { "decimal": "1", "instant": "2024-02-29T12:00:00Z" } }),
            json!([]),
            json!("a"),
        ] {
            assert!(serde_json::from_value::<CustomFields>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
