//! What texts look like inside the library: pure functions that normalise and validate on entry.
//!
//! Every function takes what a person or another system wrote and returns the one form that is kept, or a
//! [`FormatError`] that says what was wrong and what would be accepted. Each is idempotent: what it returned, it
//! returns again. Nothing here reads a clock, a locale or the network.
//!
//! Texts are compared, sorted and searched by [`fold`] and [`tokens`], which are computed here and stored, because Rust,
//! PostgreSQL and MongoDB fold and order differently.
//!
//! ```
//! use crm_core::format::{Country, email, phone};
//!
//! let germany = Country::parse("de")?;
//! let number = phone("030 901820", Some(germany));
//! assert_eq!(number.e164.as_deref(), Some("+4930901820"));
//! assert_eq!(email(" Jane.Doe@Example.COM ")?, "Jane.Doe@example.com");
//! # Ok::<(), crm_core::format::FormatError>(())
//! ```

mod country;
mod currency;
mod email;
mod language;
mod phone;
mod text;
mod url;
mod zone;

pub use country::Country;
pub use currency::{Currency, amount};
pub use email::email;
pub use language::language;
pub use phone::{Phone, phone};
pub use text::{FOLD_VERSION, clean, clean_line, fold, tokens};
pub(crate) use text::{folded_starts_with, with_folded};
pub use url::url;
pub use zone::{local_date, start_of_day, zone};

/// How much of a refused input a message repeats, in characters.
const QUOTED: usize = 40;

/// A text or number that cannot be taken as it is.
///
/// The message says what was wrong and what would be accepted. It repeats at most 40 characters of the input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A control character that no text may hold.
    #[error(
        "the text holds the control character U+{code:04X}; the only ones accepted are tab, line feed and carriage return"
    )]
    ControlCharacter {
        /// The character's code point.
        code: u32,
    },
    /// A line break in a text of one line.
    #[error("the text holds a line break; accepted is a single line")]
    LineBreak,
    /// Not an e-mail address that can be reached over the internet.
    #[error("`{found}` is not an e-mail address: {because}; accepted is a form such as jane.doe@example.com")]
    Email {
        /// The beginning of what was given.
        found: String,
        /// The rule that it breaks.
        because: &'static str,
    },
    /// Not a country.
    #[error(
        "`{found}` is not a country: {because}; accepted is an ISO 3166-1 code such as DE, or an English name"
    )]
    Country {
        /// The beginning of what was given.
        found: String,
        /// The rule that it breaks.
        because: &'static str,
    },
    /// Not a currency.
    #[error(
        "`{found}` is not a currency in which amounts are kept; accepted is an ISO 4217 code such as EUR"
    )]
    Currency {
        /// The beginning of what was given.
        found: String,
    },
    /// An amount with more decimals than its currency has.
    #[error("the amount has {found} decimals; {currency} accepts at most {accepted}")]
    Decimals {
        /// The decimals of the amount, trailing zeros not counted.
        found: u32,
        /// The currency's minor units.
        accepted: u32,
        /// The currency's code.
        currency: &'static str,
    },
    /// An amount too large to be summed exactly.
    #[error(
        "the amount is too large; accepted are amounts below 1,000,000,000,000,000 (10^15) in either direction"
    )]
    TooLarge,
    /// Not a time zone.
    #[error(
        "`{found}` is not a time zone; accepted is a name of the IANA database such as Europe/Berlin or UTC"
    )]
    Zone {
        /// The beginning of what was given.
        found: String,
    },
    /// Not a web address.
    #[error(
        "`{found}` is not a web address: {because}; accepted is a form such as https://www.example.com/page"
    )]
    Url {
        /// The beginning of what was given.
        found: String,
        /// The rule that it breaks.
        because: &'static str,
    },
    /// Not a language tag.
    #[error("`{found}` is not a language; accepted is a BCP 47 tag such as de, pt-BR or zh-Hant")]
    Language {
        /// The beginning of what was given.
        found: String,
    },
}

/// The beginning of an input, for a message: control characters replaced, at most [`QUOTED`] characters.
fn quote(input: &str) -> String {
    let mut shown: Vec<char> =
        input.chars().take(QUOTED + 1).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
    if shown.len() > QUOTED {
        shown.truncate(QUOTED - 1);
        shown.push('…');
    }
    shown.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_is_accepted_and_repeats_little() {
        let long = "x".repeat(5_000);
        let refusals = [
            email(&long).unwrap_err(),
            Country::parse(&long).unwrap_err(),
            Country::from_name(&long).unwrap_err(),
            Currency::parse(&long).unwrap_err(),
            zone(&long).unwrap_err(),
            url(&long).unwrap_err(),
            language(&long).unwrap_err(),
            clean("\0").unwrap_err(),
            clean_line("a\nb").unwrap_err(),
        ];
        for refusal in refusals {
            let message = refusal.to_string();
            assert!(message.contains("accepted"), "{message}");
            assert!(message.matches('x').count() <= QUOTED + 10, "{message}");
        }
        assert_eq!(quote("a\0b"), "a\u{FFFD}b");
        assert_eq!(quote(&"é".repeat(40)).chars().count(), 40);
        assert_eq!(quote(&long).chars().count(), 40);
    }
}
