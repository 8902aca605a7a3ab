//! Languages.

use super::{FormatError, quote};

/// The form in which a language is kept: a BCP 47 tag in its conventional case (`de`, `pt-BR`, `zh-Hant-TW`).
///
/// A light check of RFC 5646: a language of 2 or 3 letters, then optionally a script (4 letters), a region (2 letters
/// or 3 digits) and variants, at most 35 characters. Whether the subtags are registered is not looked up; extended
/// languages, extensions and private use are not accepted.
///
/// # Errors
/// [`FormatError::Language`].
pub fn language(tag: &str) -> Result<String, FormatError> {
    let tag = tag.trim();
    well_formed(tag).ok_or_else(|| FormatError::Language { found: quote(tag) })
}

fn well_formed(tag: &str) -> Option<String> {
    let mut rest = tag.split('-').peekable();
    let language = rest.next().filter(|part| letters(part) && matches!(part.len(), 2 | 3))?;
    let mut found = language.to_ascii_lowercase();
    if let Some(script) = rest.next_if(|part| letters(part) && part.len() == 4) {
        let (first, others) = script.split_at(1);
        found.extend(["-", &first.to_ascii_uppercase(), &others.to_ascii_lowercase()]);
    }
    let digits = |part: &str| part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit());
    if let Some(region) = rest.next_if(|part| letters(part) && part.len() == 2 || digits(part)) {
        found.extend(["-", &region.to_ascii_uppercase()]);
    }
    for variant in rest {
        let starts_with_digit = variant.as_bytes().first().is_some_and(u8::is_ascii_digit);
        let length = if starts_with_digit { 4..=8 } else { 5..=8 };
        if !length.contains(&variant.len()) || !variant.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        found.extend(["-", &variant.to_ascii_lowercase()]);
    }
    (found.len() <= 35).then_some(found)
}

fn letters(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_a_bcp_47_tag() {
        for (given, kept) in [
            ("de", "de"),
            (" PT-br ", "pt-BR"),
            ("zh-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("gsw", "gsw"),
            ("de-CH-1996", "de-CH-1996"),
            ("sl-rozaj", "sl-rozaj"),
        ] {
            assert_eq!(language(given).unwrap(), kept);
        }
        for bad in ["", "d", "german", "pt_BR", "de-", "-de", "de-D", "12", "de-DE-x", "dé", "de--DE"] {
            assert!(matches!(language(bad), Err(FormatError::Language { .. })), "{bad}");
        }
    }
}
