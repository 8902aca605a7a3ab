//! What may stand in details that a caller hands in as JSON.

use serde_json::Value as Json;

use crate::record::FieldError;

const LONGEST: usize = 10_000;
const DEEPEST: usize = 16;

/// What is wrong with details, if anything: they are a JSON object, and every store gives them back as they were.
pub(crate) fn details_error(details: Option<&Json>) -> Option<FieldError> {
    let refuse = |why: String| Some(FieldError::new("details", why));
    let details = details?;
    if !details.is_object() {
        return refuse("are not a JSON object; put the value into one".to_owned());
    }
    if is_deeper(details, DEEPEST) {
        return refuse(format!("are nested too deep; accepted are at most {DEEPEST} levels"));
    }
    if has_nul(details) {
        return refuse("hold the character U+0000; leave it out".to_owned());
    }
    let text = details.to_string();
    if text.len() > LONGEST {
        return refuse(format!("have {} bytes as JSON; accepted are at most {LONGEST}", text.len()));
    }
    // A binary fraction may come back from its text with another last bit.
    if serde_json::from_str::<Json>(&text).ok().as_ref() != Some(details) {
        return refuse("hold a number that JSON does not keep exactly; pass it as text".to_owned());
    }
    None
}

fn is_deeper(json: &Json, levels: usize) -> bool {
    match json {
        Json::Object(map) => levels == 0 || map.values().any(|inner| is_deeper(inner, levels - 1)),
        Json::Array(items) => levels == 0 || items.iter().any(|inner| is_deeper(inner, levels - 1)),
        _ => false,
    }
}

fn has_nul(json: &Json) -> bool {
    match json {
        Json::String(text) => text.contains('\0'),
        Json::Object(map) => map.iter().any(|(name, inner)| name.contains('\0') || has_nul(inner)),
        Json::Array(items) => items.iter().any(has_nul),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> Json {
        (1..levels).fold(
            json!({}),
            |inner, level| if level % 2 == 0 { json!({ "a": inner }) } else { json!([inner]) },
        )
    }

    #[test]
    fn details_are_an_object_within_limits() {
        let fine = [
            json!({}),
            json!({ "é \" \\u0000": [1, -2.5, null, true, "\u{1F600}", { "b": 12_345_678_901_u64 }] }),
            json!({ "a": nested(15) }),
            json!({ "a": "x".repeat(LONGEST - 8) }),
        ];
        for details in fine {
            assert_eq!(details_error(Some(&details)), None, "{details}");
        }
        assert_eq!(details_error(None), None);
        for (details, word) in [
            (json!([1]), "object"),
            (json!("text"), "object"),
            (Json::Null, "object"),
            (json!({ "a": nested(16) }), "deep"),
            (json!({ "a": ["b\0"] }), "U+0000"),
            (json!({ "a\0": 1 }), "U+0000"),
            (json!({ "a": "x".repeat(LONGEST - 7) }), "bytes"),
        ] {
            let error = details_error(Some(&details)).unwrap();
            assert!(error.field == "details" && error.why.contains(word), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_accepted_comes_back_as_it_was(bits in proptest::num::u64::ANY) {
            let details = json!({ "n": f64::from_bits(bits) });
            if details_error(Some(&details)).is_none() {
                proptest::prop_assert_eq!(serde_json::from_str::<Json>(&details.to_string()).unwrap(), details);
            }
        }
    }
}
