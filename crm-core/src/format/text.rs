//! Free text: how it is kept, how it is compared, and the tokens by which it is found.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;
use unicode_segmentation::UnicodeSegmentation;

use super::FormatError;

/// The version of [`fold`] and [`tokens`], stored beside what they computed.
///
/// Both depend on the Unicode tables of the packages `caseless`, `unicode-normalization` and
/// `unicode-segmentation`. A test pins their results for every character; when an update of a package changes one,
/// this number rises and a migration computes the stored forms again.
pub const FOLD_VERSION: u32 = 1;

/// The longest token, in characters; a longer one is cut, in texts and queries alike.
const TOKEN_CHARS: usize = 64;

/// The most tokens that one text yields; the rest of a longer text is not searchable.
const TOKENS: usize = 1_000;

/// The form in which a text of any number of lines is kept: Unicode NFC, without white space at its ends.
///
/// # Errors
/// [`FormatError::ControlCharacter`] for U+0000 and every other C0 control character or U+007F, except tab, line
/// feed and carriage return. PostgreSQL cannot store U+0000.
pub fn clean(text: &str) -> Result<String, FormatError> {
    let text = text.trim();
    match text.bytes().find(|b| b.is_ascii_control() && !matches!(b, b'\t' | b'\n' | b'\r')) {
        Some(found) => Err(FormatError::ControlCharacter { code: u32::from(found) }),
        None if text.is_ascii() => Ok(text.to_owned()),
        None => Ok(text.nfc().collect()),
    }
}

/// The form in which a text of one line (a name, a subject) is kept: as [`clean`], and every run of white space
/// inside is one space.
///
/// # Errors
/// As [`clean`], and [`FormatError::LineBreak`] for a line break that is not at an end: LF, CR, NEL, U+2028, U+2029.
pub fn clean_line(text: &str) -> Result<String, FormatError> {
    let text = clean(text)?;
    if text.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
        return Err(FormatError::LineBreak);
    }
    Ok(if is_level_ascii(&text) { text } else { collapse(&text) })
}

/// The folded form of a text, by which it is compared, ordered (in binary order) and kept unique.
///
/// Compatibility forms, case and white space are levelled: NFKC, Unicode default case folding, NFKC again, every run
/// of white space one space and none at the ends. Accents count. Idempotent. See [`FOLD_VERSION`].
pub fn fold(text: &str) -> String {
    if is_level_ascii(text) { text.to_ascii_lowercase() } else { fold_any(text) }
}

fn fold_any(text: &str) -> String {
    // The second round settles the few characters whose folding composes into something that folds again.
    let once: String = caseless::default_case_fold_str(&text.nfkc().collect::<String>()).nfkc().collect();
    collapse(&caseless::default_case_fold_str(&once).nfkc().collect::<String>())
}

/// Whether the text is ASCII whose white space is level already, so that folding it is nothing but making its letters
/// small.
#[expect(clippy::needless_bitwise_bool, reason = "without branches each loop takes many bytes at once")]
fn is_level_ascii(text: &str) -> bool {
    let bytes = text.as_bytes();
    let odd = bytes.iter().fold(false, |odd, b| odd | (*b >= 0x80) | (b.wrapping_sub(b'\t') < 5));
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    let gap = pairs.fold(false, |gap, (a, b)| gap | ((*a == b' ') & (*b == b' ')));
    !odd && !gap && bytes.first() != Some(&b' ') && bytes.last() != Some(&b' ')
}

/// Hands the bytes of the [folded](fold) text to a function; those of a short ordinary one without allocating.
pub(crate) fn with_folded<R>(text: &str, read: impl FnOnce(&[u8]) -> R) -> R {
    const SHORT: usize = 64;
    if text.len() <= SHORT && is_level_ascii(text) {
        let mut small = [0; SHORT];
        let small = &mut small[..text.len()];
        small.copy_from_slice(text.as_bytes());
        small.make_ascii_lowercase();
        return read(small);
    }
    read(fold(text).as_bytes())
}

/// Whether the [folded](fold) text starts with a part that is ASCII and folded itself; found without folding it as far as
/// the text is plain.
pub(crate) fn folded_starts_with(text: &str, part: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let same = bytes.iter().zip(part).take_while(|(a, b)| a.to_ascii_lowercase() == **b).count();
    match bytes.get(same) {
        // Folding changes nothing before ASCII, and makes of ASCII that is not white space no other ASCII.
        Some(next) if next.is_ascii() && !is_white(*next) => same == part.len(),
        None => same == part.len(),
        Some(_) => with_folded(text, |folded| folded.starts_with(part)),
    }
}

fn is_white(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// The tokens under which a text is found, and that a query is turned into: sorted, without repetition, at most
/// 1,000 of at most 64 characters (SPEC CM-11).
///
/// They are the words (UAX 29) of the [folded](fold) text without its accents; the parts of a word that punctuation
/// joins (`jane.doe` yields `jane`, `doe` and itself); and e-mail addresses and web addresses whole. So every query
/// of whole words taken from a text yields only tokens of that text. `tokens(x) == tokens(&fold(x))`.
///
/// Accents are the combining marks that the scripts treat as such (class 10 to 36 and 200 to 240: Latin, Greek,
/// Cyrillic, Hebrew, Arabic, …); the vowel signs of Indic scripts and the voicing marks of kana make another letter
/// and stay.
pub fn tokens(text: &str) -> Vec<String> {
    let plain = plain(text).replace('’', "'");
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for chunk in plain.split(' ') {
        if found.len() < TOKENS && !chunk.is_empty() && chunk.bytes().all(|b| b.is_ascii_alphanumeric()) {
            // Most words: nothing in them joins or divides.
            found.insert(&chunk[..chunk.len().min(TOKEN_CHARS)]);
            continue;
        }
        let whole = chunk.trim_matches(|c: char| !c.is_alphanumeric() && c != '/');
        let words = chunk.unicode_words().flat_map(|word| {
            let parts = word.split(|c: char| c.is_ascii_punctuation());
            std::iter::once(word).chain(parts)
        });
        for token in words.chain(Some(whole).filter(|whole| is_address(whole))) {
            if found.len() == TOKENS {
                return owned(&found);
            }
            if !token.is_empty() {
                let end = token.char_indices().nth(TOKEN_CHARS).map_or(token.len(), |(end, _)| end);
                found.insert(&token[..end]);
            }
        }
    }
    owned(&found)
}

fn owned(tokens: &BTreeSet<&str>) -> Vec<String> {
    tokens.iter().map(|token| (*token).to_owned()).collect()
}

/// The folded text without its accents.
pub(super) fn plain(text: &str) -> String {
    let folded = fold(text);
    if folded.is_ascii() {
        return folded;
    }
    folded.nfkd().filter(|c| !matches!(canonical_combining_class(*c), 10..=36 | 200..=240)).nfc().collect()
}

fn is_address(chunk: &str) -> bool {
    let email = chunk.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !domain.contains(['@', '/'])
    });
    email || chunk.starts_with("http://") || chunk.starts_with("https://") || chunk.starts_with("www.")
}

fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn text_enters_as_nfc_and_trimmed() {
        assert_eq!(clean(" e\u{301}\n").unwrap(), "é");
        assert_eq!(clean("a\tb\r\nc").unwrap(), "a\tb\r\nc");
        assert_eq!(clean("a\0b").unwrap_err(), FormatError::ControlCharacter { code: 0 });
        assert_eq!(clean("a\u{7}").unwrap_err(), FormatError::ControlCharacter { code: 7 });
        assert_eq!(clean_line("  Ann \t Lee ").unwrap(), "Ann Lee");
        assert_eq!(clean_line("Ann\nLee").unwrap_err(), FormatError::LineBreak);
        assert_eq!(clean_line("Ann\u{2028}Lee").unwrap_err(), FormatError::LineBreak);
    }

    #[test]
    fn the_folded_form_levels_case_width_and_space() {
        assert_eq!(fold(" STRASSE  ß "), "strasse ss");
        assert_eq!(fold("ＡＣＭＥ ﬁ"), "acme fi");
        assert_eq!(fold("ΣΊΣΥΦΟΣ"), fold("σίσυφος"));
        assert_ne!(fold("José"), fold("Jose"));
    }

    #[test]
    fn cm_11_tokens_find_words_parts_and_addresses() {
        assert_eq!(tokens("José O’Neil, ACME"), ["acme", "jose", "neil", "o", "o'neil"]);
        assert_eq!(
            tokens("Mail <Jane.Doe@Example.com>!"),
            ["doe", "example.com", "com", "example", "jane", "jane.doe", "jane.doe@example.com", "mail"]
                .into_iter()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        );
        assert!(tokens("see https://Example.com/a?b=1.").contains(&"https://example.com/a?b=1".to_owned()));
        assert!(tokens("").is_empty());
        assert_eq!(tokens("か が"), ["か", "が"]);
        assert_eq!(tokens(&"x".repeat(100))[0].len(), 64);
        let many: String = (0..3_000).flat_map(|n: u32| [n.to_string(), " ".to_owned()]).collect();
        assert_eq!(tokens(&many).len(), 1_000);
    }

    #[test]
    fn cm_11_fold_and_tokens_are_pinned_for_every_character() {
        let mut hash = Sha256::new();
        for c in (0..=0x0010_FFFF).filter_map(char::from_u32) {
            let folded = fold(c.encode_utf8(&mut [0; 4]));
            assert_eq!(fold(&folded), folded, "U+{:04X}", u32::from(c));
            hash.update(folded.as_bytes());
            for token in tokens(&folded) {
                hash.update([0]);
                hash.update(token.as_bytes());
            }
            hash.update([1]);
        }
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
        assert_eq!(
            (FOLD_VERSION, [a, b, c, d]),
            (1, [0xbe, 0xfa, 0x01, 0x99]),
            "raise FOLD_VERSION and plan a migration"
        );
    }

    /// Letters, marks that reorder and compose, white space and punctuation, more often than chance gives them.
    fn hard_text() -> impl Strategy<Value = String> {
        let hard = prop::sample::select(
            "aİıßſΣςΌᾳΆ\u{345}\u{301}\u{308}\u{327}\u{3099}か각ﬁ¨ \t\u{a0}\u{2028}.@/'’-ǅᾈ㎏"
                .chars()
                .collect::<Vec<_>>(),
        );
        prop::collection::vec(prop_oneof![3 => hard, 1 => any::<char>()], 0..24).prop_map(String::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn fold_is_idempotent(text in hard_text()) {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn plain_text_folds_as_any_text_does(hard in hard_text(), plain in "[ -~\t\n\u{b}\u{c}\u{1c}]{0,80}") {
            for text in [hard, plain] {
                let folded = fold_any(&text);
                prop_assert_eq!(&fold(&text), &folded);
                prop_assert!(with_folded(&text, |short| short == folded.as_bytes()));
                for part in ["a", "ab", "a b", folded.get(..2).unwrap_or("k"), folded.get(..5).unwrap_or("k")] {
                    if part.is_ascii() && fold(part) == part {
                        prop_assert_eq!(folded_starts_with(&text, part.as_bytes()), folded.starts_with(part));
                    }
                }
            }
        }

        #[test]
        fn ascii_needs_no_tables(text in "[\\x00-\\x7f]{0,80}", word in "[A-Za-z0-9]{1,90}") {
            prop_assert_eq!(text.nfc().collect::<String>(), text.as_str());
            prop_assert_eq!(text.nfkd().nfc().collect::<String>(), text.as_str());
            prop_assert!(text.chars().all(|c| !matches!(canonical_combining_class(c), 10..=36 | 200..=240)));
            prop_assert_eq!(word.unicode_words().collect::<Vec<_>>(), [word.as_str()]);
            prop_assert!(!is_address(&word));
        }

        #[test]
        fn clean_is_idempotent(text in hard_text()) {
            if let Ok(once) = clean(&text) {
                prop_assert_eq!(clean(&once), Ok(once));
            }
            if let Ok(once) = clean_line(&text) {
                prop_assert_eq!(clean_line(&once), Ok(once));
            }
        }

        #[test]
        fn cm_11_tokens_are_those_of_the_folded_text(text in hard_text()) {
            let found = tokens(&text);
            prop_assert_eq!(&found, &tokens(&fold(&text)));
            prop_assert!(found.is_sorted() && found.iter().all(|token| token.chars().count() <= 64));
        }
    }
}
