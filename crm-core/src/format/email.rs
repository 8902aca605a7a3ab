//! E-mail addresses.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::{FormatError, quote};

/// The longest address in octets, as it is sent (RFC 3696 erratum 1690, RFC 5321 4.5.3.1.3).
const LONGEST: usize = 254;

/// Top-level domains that lead nowhere on the internet (RFC 6761, RFC 6762, RFC 7686).
const SPECIAL_USE: [&str; 6] = ["arpa", "invalid", "local", "localhost", "onion", "test"];

/// The form in which an e-mail address is kept: trimmed, the local part as written (in NFC), the domain in lower case
/// and in its Unicode form (UTS 46), so that each domain has one spelling (SPEC CM-02).
///
/// Accepted is an address that can be mailed over the internet: a dot-atom local part (RFC 5322 3.2.3, with the
/// characters of RFC 6531), and a registered kind of domain name. A display name, comment, quoted local part, address
/// in brackets, domain without a dot, or special-use domain (`.test`, `.local`) is not. A local part may be longer
/// than the 64 octets of RFC 5321, as reply addresses of real systems are; the whole may not exceed 254.
///
/// Two addresses are the same when their [folded](super::fold) forms are.
///
/// # Errors
/// [`FormatError::Email`] with the rule that is broken. A line break or other control character is refused even at
/// the ends, because it may carry a mail header.
pub fn email(text: &str) -> Result<String, FormatError> {
    let refused = |because| FormatError::Email { found: quote(text), because };
    if text.contains(char::is_control) {
        return Err(refused("it holds a control character"));
    }
    let address = text.trim();
    let (local, domain) = address.split_once('@').ok_or_else(|| refused("it has no @-sign"))?;
    let local: String = check_local(local)
        .and_then(|()| {
            // Normalising can bring forth characters that were not there, such as a semicolon.
            let local = local.nfc().collect::<String>();
            check_local(&local).map(|()| local)
        })
        .map_err(refused)?;
    let (ascii, unicode) = check_domain(domain).map_err(refused)?;
    let kept = format!("{local}@{unicode}");
    // As it was written, as it is sent, and as it is kept.
    if [address.len(), local.len() + 1 + ascii.len(), kept.len()].into_iter().any(|octets| octets > LONGEST) {
        return Err(refused("it is longer than 254 octets"));
    }
    Ok(kept)
}

fn check_local(local: &str) -> Result<(), &'static str> {
    if local.split('.').any(str::is_empty) {
        return Err("the part before the @-sign is empty, or has a dot at an end or two in a row");
    }
    if local.starts_with(is_combining_mark) || !local.chars().all(|c| c == '.' || is_atom(c)) {
        return Err("the part before the @-sign holds a character that needs quotes or cannot be seen");
    }
    Ok(())
}

/// Characters of an atom (RFC 5322 `atext`, RFC 6531), except those that cannot be seen or turn the line around.
fn is_atom(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    }
    !c.is_whitespace()
        && !c.is_control()
        && !matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{E000}'..='\u{F8FF}' | '\u{FDD0}'..='\u{FDEF}' | '\u{FEFF}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{FFFE}'..='\u{FFFF}' | '\u{E0000}'..='\u{10FFFF}')
}

/// The domain in its ASCII and its Unicode form.
fn check_domain(domain: &str) -> Result<(String, String), &'static str> {
    let ascii = idna::domain_to_ascii_strict(domain).map_err(
        |_| "the part after the @-sign is not a domain name: labels of at most 63 letters, digits and inner hyphens, joined by dots",
    )?;
    let (_, top) = ascii.rsplit_once('.').ok_or("the part after the @-sign has no dot")?;
    if !top.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return Err("its top-level domain does not exist");
    }
    if SPECIAL_USE.contains(&top) {
        return Err("its top-level domain cannot be reached over the internet");
    }
    let (unicode, _) = idna::domain_to_unicode(&ascii);
    if !is_registrable(&unicode) {
        return Err("the part after the @-sign holds a symbol, which no registered domain may");
    }
    Ok((ascii, unicode))
}

/// UTS 46 lets symbols pass that IDNA 2008 (RFC 5892) does not: only letters, digits, marks and, in their context, a
/// few signs.
fn is_registrable(domain: &str) -> bool {
    let catalan = domain.replace("l·l", "ll");
    catalan.chars().all(|c| {
        c.is_alphanumeric()
            || is_combining_mark(c)
            || matches!(c, '.' | '-' | '・' | '׳' | '״' | '\u{200C}' | '\u{200D}')
    })
}

#[cfg(test)]
mod tests {
    use super::super::fold;
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Vectors {
        cases: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        address: String,
        valid: bool,
        normalized: Option<String>,
    }

    #[test]
    fn cm_02_email_agrees_with_all_vectors() {
        let json = include_str!("../../testdata/email/email_syntax.json");
        let Vectors { cases } = serde_json::from_str(json).unwrap();
        let differ: Vec<_> = cases
            .iter()
            .map(|case| (case, email(&case.address)))
            .filter(|(case, found)| {
                found.is_ok() != case.valid || found.as_ref().ok() != case.normalized.as_ref()
            })
            .map(|(case, found)| (&case.address, found))
            .collect();
        assert_eq!((cases.len(), differ), (126, vec![]));
    }

    #[test]
    fn cm_02_email_has_one_form() {
        assert_eq!(email(" Jane@EXAMPLE.com ").unwrap(), "Jane@example.com");
        assert_eq!(email("a@xn--bcher-kva.example").unwrap(), email("a@BÜCHER.example").unwrap());
        assert_eq!(fold(&email("Jane@Example.com").unwrap()), fold(&email("jane@example.COM").unwrap()));
        assert_eq!(email("reply+AB12@reply.example.com").unwrap(), "reply+AB12@reply.example.com");
    }

    #[test]
    fn cm_02_email_that_cannot_be_mailed_is_refused() {
        for bad in [
            "a@b@example.com",
            "jane(work)@example.com",
            "a@example.test",
            "a@host.local",
            "a b@example.com",
            "a@example.com\r\nBcc: b@example.com",
            "\u{202E}a@example.com",
            "a\u{200B}@example.com",
            "a@☃.com",
            "a@x·y.com",
            "a@1.2.3.4",
        ] {
            assert!(matches!(email(bad), Err(FormatError::Email { .. })), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn cm_02_email_is_idempotent(text in "[a-zA-Zßéİ.+']{1,8}@[a-zA-ZßéİΣς0-9-]{1,8}\\.[a-zA-ZßéΣ]{2,4}") {
            if let Ok(once) = email(&text) {
                prop_assert_eq!(email(&once), Ok(once));
            }
        }
    }
}
