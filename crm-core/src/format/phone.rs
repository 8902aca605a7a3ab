//! Phone numbers: accepted in any format, kept as written and as E.164.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, Region};
use serde::{Deserialize, Serialize};

use super::Country;

/// A phone number as it was given and as it was understood (SPEC CM-02, CM-10).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Phone {
    /// What was given, without white space at the ends and without control characters.
    pub raw: String,
    /// The number in E.164 (`+4930901820`), where it could be read as one; also for a number that is not `valid`, so
    /// that a caller is recognised whose range the numbering plan does not know yet.
    pub e164: Option<String>,
    /// The extension, in digits.
    pub extension: Option<String>,
    /// Whether the number belongs to the numbering plan of its country.
    pub valid: bool,
}

/// Reads a phone number in any format: international or national, with any punctuation, full-width or other decimal
/// digits, letters of the keypad (`1-800-FLOWERS`), an extension, or a `tel:` URI (RFC 3966).
///
/// A national number is read in `region`. Never fails: what cannot be read is kept raw and flagged, and a list of
/// numbers in one text is not read as a number. The rules and numbering plans are those of Google's libphonenumber.
///
/// ```
/// use crm_core::format::{Country, phone};
///
/// let number = phone("(650) 253-0000 ext. 12", Some(Country::parse("US")?));
/// assert_eq!(number.e164.as_deref(), Some("+16502530000"));
/// assert_eq!(number.extension.as_deref(), Some("12"));
/// assert!(number.valid);
/// assert!(!phone("call me", None).valid);
/// # Ok::<(), crm_core::format::FormatError>(())
/// ```
pub fn phone(raw: &str, region: Option<Country>) -> Phone {
    let raw: String = raw.trim().chars().filter(|c| !c.is_control()).collect();
    let region = region.and_then(|country| country.code().parse::<Region>().ok());
    match PHONE_NUMBER_UTIL.parse(&raw, region) {
        Ok(number) => Phone {
            e164: Some(PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164).into_owned()),
            valid: PHONE_NUMBER_UTIL.is_valid_number(&number),
            extension: number.extension.filter(|extension| !extension.is_empty()),
            raw,
        },
        Err(_) => Phone { raw, ..Phone::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Deserialize)]
    struct Vector {
        raw: String,
        region: Option<String>,
        country: Option<String>,
        e164: Option<String>,
        extension: Option<String>,
        valid: bool,
    }

    fn agreement(json: &str) -> (usize, Vec<String>) {
        let vectors: Vec<Vector> = serde_json::from_str(json).unwrap();
        let differs = |vector: &&Vector| {
            let region = vector.region.as_deref().map(|code| Country::parse(code).unwrap());
            let found = phone(&vector.raw, region);
            (found.e164, found.extension, found.valid)
                != (vector.e164.clone(), vector.extension.clone(), vector.valid)
        };
        (vectors.len(), vectors.iter().filter(differs).map(|vector| vector.raw.clone()).collect())
    }

    #[test]
    fn cm_10_phone_accepted_in_any_format_agrees_with_all_vectors() {
        assert_eq!(agreement(include_str!("../../testdata/phone/phones.json")), (75, vec![]));
    }

    #[test]
    fn cm_02_phone_normalised_to_e164_for_all_chinook_customers() {
        let json = include_str!("../../testdata/phone/chinook_phones_expected.json");
        assert_eq!(agreement(json), (70, vec![]));
        for vector in serde_json::from_str::<Vec<Vector>>(json).unwrap() {
            let country = Country::from_name(vector.country.as_deref().unwrap()).unwrap();
            assert_eq!(Some(country.code()), vector.region.as_deref());
        }
    }

    #[test]
    fn cm_10_phone_that_is_invalid_is_kept_raw_and_flagged() {
        let germany = Country::parse("DE").ok();
        for raw in ["", "abc", "see website", "+999 12345678", "12"] {
            let found = phone(raw, germany);
            assert_eq!((found.raw.as_str(), found.valid), (raw, false));
        }
        assert_eq!(phone(" 030\0 901820\n", germany).raw, "030 901820");
        // A country without a numbering plan of its own is as good as none.
        assert!(phone("+49 30 901820", Country::parse("AQ").ok()).valid);
    }

    proptest! {
        #[test]
        fn cm_10_phone_never_fails_and_reads_its_own_form(raw in "\\PC{0,40}|[+0-9 ()x./-]{0,24}") {
            let found = phone(&raw, Country::parse("US").ok());
            if let (true, Some(e164)) = (found.valid, &found.e164) {
                let again = phone(e164, None);
                prop_assert_eq!((again.e164.as_ref(), again.valid), (Some(e164), true));
            }
        }
    }
}
