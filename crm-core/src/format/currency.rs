//! Currencies and the amounts in them.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{FormatError, quote};

/// Amounts stay below 10^15, so that the sum of a billion of them, with 4 decimals, fits 28 digits.
const LIMIT: i64 = 1_000_000_000_000_000;

/// A currency of ISO 4217 in which amounts can be kept; its serde form is the code.
///
/// Codes without minor units (gold, testing, "no currency") are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The US dollar.
    pub const USD: Self = Self(iso_currency::Currency::USD);

    /// Reads an ISO 4217 code in any case.
    ///
    /// # Errors
    /// [`FormatError::Currency`] for an unknown code and for one without minor units.
    pub fn parse(code: &str) -> Result<Self, FormatError> {
        iso_currency::Currency::from_code(&code.trim().to_ascii_uppercase())
            .filter(|currency| currency.exponent().is_some())
            .map(Self)
            .ok_or_else(|| FormatError::Currency { found: quote(code) })
    }

    /// The code, such as `EUR`.
    pub fn code(&self) -> &'static str {
        self.0.code()
    }

    /// The number of decimals of an amount: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn minor_units(&self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl TryFrom<String> for Currency {
    type Error = FormatError;

    fn try_from(code: String) -> Result<Self, FormatError> {
        Self::parse(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

/// The form in which an amount of money is kept: exact, without trailing zeros. Never rounds.
///
/// # Errors
/// [`FormatError::Decimals`] for more decimals than the currency has, [`FormatError::TooLarge`] from ±10^15 on.
pub fn amount(value: Decimal, currency: &Currency) -> Result<Decimal, FormatError> {
    let value = value.normalize();
    let accepted = currency.minor_units();
    if value.scale() > accepted {
        return Err(FormatError::Decimals { found: value.scale(), accepted, currency: currency.code() });
    }
    if value.abs() >= Decimal::from(LIMIT) {
        return Err(FormatError::TooLarge);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount_of(text: &str, code: &str) -> Result<String, FormatError> {
        amount(text.parse().unwrap(), &Currency::parse(code).unwrap()).map(|value| value.to_string())
    }

    #[test]
    fn a_currency_is_an_iso_4217_code_with_minor_units() {
        assert_eq!(Currency::parse(" eur ").unwrap().code(), "EUR");
        let units = |code| Currency::parse(code).unwrap().minor_units();
        assert_eq!((units("EUR"), units("JPY"), units("KWD"), units("CLF")), (2, 0, 3, 4));
        for code in ["", "EU", "EURO", "XXX", "XAU", "ZZZ"] {
            assert!(matches!(Currency::parse(code), Err(FormatError::Currency { .. })), "{code}");
        }
        let usd: Currency = serde_json::from_str("\"usd\"").unwrap();
        assert_eq!(serde_json::to_string(&usd).unwrap(), "\"USD\"");
        assert!(serde_json::from_str::<Currency>("\"$\"").is_err());
    }

    #[test]
    fn an_amount_fits_its_currency_and_28_digits() {
        assert_eq!(amount_of("12.500", "USD").unwrap(), "12.5");
        assert_eq!(amount_of("-0.00", "USD").unwrap(), "0");
        assert_eq!(amount_of("100.0", "JPY").unwrap(), "100");
        assert_eq!(
            amount_of("0.5", "JPY").unwrap_err().to_string(),
            "the amount has 1 decimals; JPY accepts at most 0"
        );
        assert_eq!(amount_of("999999999999999.99", "EUR").unwrap(), "999999999999999.99");
        assert_eq!(amount_of("1000000000000000", "EUR"), Err(FormatError::TooLarge));
        assert_eq!(amount_of("-1000000000000000", "EUR"), Err(FormatError::TooLarge));
    }
}
