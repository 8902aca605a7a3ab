//! Countries.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::text::plain;
use super::{FormatError, quote};

/// A country by its ISO 3166-1 alpha-2 code, one of the 249 officially assigned (SPEC CM-05); its serde form is the
/// code.
///
/// User-assigned codes, `XK` for Kosovo among them, are no part of ISO 3166-1 and are refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

impl Country {
    /// Reads an ISO 3166-1 alpha-2 code in any case.
    ///
    /// # Errors
    /// [`FormatError::Country`] for anything but an officially assigned code.
    pub fn parse(code: &str) -> Result<Self, FormatError> {
        let upper = code.trim().to_ascii_uppercase();
        if let Ok(index) = TABLE.binary_search_by(|row| row.alpha2.cmp(&upper)) {
            return Ok(TABLE[index].country);
        }
        let because = match upper.as_str() {
            "XK" => "ISO 3166-1 has not assigned XK, it is free for users to assign",
            "UK" => "ISO 3166-1 reserves UK, the code of the United Kingdom is GB",
            _ => "it is none of the codes of ISO 3166-1",
        };
        Err(FormatError::Country { found: quote(code), because })
    }

    /// Finds a country by its English name in ISO 3166-1, a common other name or its alpha-3 code; case, accents and
    /// punctuation do not count.
    ///
    /// # Errors
    /// [`FormatError::Country`] for a name that is not known.
    pub fn from_name(name: &str) -> Result<Self, FormatError> {
        NAMES
            .get(&key(name))
            .copied()
            .ok_or_else(|| FormatError::Country { found: quote(name), because: "the name is not known" })
    }

    /// All countries, by code.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.country)
    }

    /// The alpha-2 code, such as `DE`.
    pub fn code(&self) -> &str {
        // Always two ASCII letters, so never the default.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The official short name in English, such as `Germany` or `Korea, Republic of`.
    pub fn name(&self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// The country calling code (ITU-T E.164), such as 49; none for the five territories without telephones of
    /// their own. Several countries share one.
    pub fn calling_code(&self) -> Option<u16> {
        self.row().and_then(|row| row.calling_code)
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.binary_search_by_key(&self, |row| row.country).ok().map(|index| &TABLE[index])
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Country({})", self.code())
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl TryFrom<String> for Country {
    type Error = FormatError;

    fn try_from(code: String) -> Result<Self, FormatError> {
        Self::parse(&code)
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.code().to_owned()
    }
}

struct Row {
    country: Country,
    alpha2: &'static str,
    alpha3: &'static str,
    name: &'static str,
    calling_code: Option<u16>,
}

/// The rows of `iso3166.csv` (from PyPI `iso3166` 3.0.0, MIT), in order of their code, without the user-assigned.
static TABLE: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let row = |line: &'static str| {
        // alpha2,alpha3,numeric,name,calling_code, where only the name can be quoted.
        let mut fields = line.splitn(4, ',');
        let (alpha2, alpha3, _numeric) = (fields.next()?, fields.next()?, fields.next()?);
        let (name, calling_code) = fields.next()?.rsplit_once(',')?;
        let country = Country(alpha2.as_bytes().try_into().ok()?);
        Some(Row {
            country,
            alpha2,
            alpha3,
            name: name.trim_matches('"'),
            calling_code: calling_code.parse().ok(),
        })
    };
    let lines = include_str!("iso3166.csv").lines().skip(1);
    lines.filter_map(row).filter(|row| row.alpha2 != "XK").collect()
});

/// Names that people write and ISO 3166-1 does not list.
const ALIASES: &[(&str, &str)] = &[
    ("AE", "UAE|Emirates"),
    ("BN", "Brunei"),
    ("BO", "Bolivia"),
    ("CD", "DR Congo|DRC|Democratic Republic of the Congo|Congo-Kinshasa"),
    ("CG", "Republic of the Congo|Congo-Brazzaville"),
    ("CI", "Ivory Coast"),
    ("CN", "People's Republic of China|Mainland China"),
    ("CV", "Cape Verde"),
    ("CZ", "Czech Republic"),
    ("DE", "Federal Republic of Germany"),
    ("FK", "Falkland Islands"),
    ("FM", "Micronesia"),
    ("GB", "United Kingdom|UK|U.K.|Great Britain|Britain|England|Scotland|Wales|Northern Ireland"),
    ("GM", "The Gambia"),
    ("BS", "The Bahamas"),
    ("HK", "Hong Kong SAR"),
    ("IE", "Republic of Ireland"),
    ("IR", "Iran"),
    ("KP", "North Korea"),
    ("KR", "South Korea|Korea"),
    ("LA", "Laos"),
    ("MD", "Moldova"),
    ("MF", "Saint Martin"),
    ("MK", "Macedonia"),
    ("MM", "Burma"),
    ("MO", "Macau"),
    ("NL", "The Netherlands|Holland"),
    ("NR", "Nauru"),
    ("PS", "Palestine"),
    ("RU", "Russia"),
    ("SH", "Saint Helena"),
    ("SX", "Sint Maarten"),
    ("SY", "Syria"),
    ("SZ", "Swaziland"),
    ("TL", "East Timor"),
    ("TR", "Turkey"),
    ("TW", "Taiwan"),
    ("TZ", "Tanzania"),
    ("US", "United States|U.S.|U.S.A.|US|America"),
    ("VA", "Vatican|Vatican City"),
    ("VE", "Venezuela"),
    ("VG", "British Virgin Islands"),
    ("VI", "US Virgin Islands|U.S. Virgin Islands"),
    ("VN", "Vietnam"),
];

static NAMES: LazyLock<HashMap<String, Country>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for row in TABLE.iter() {
        names.insert(key(row.name), row.country);
        names.insert(key(row.alpha3), row.country);
        // "Korea, Republic of" is also written "Republic of Korea".
        if let Some((last, first)) = row.name.split_once(", ") {
            names.insert(key(&format!("{first} {last}")), row.country);
        }
    }
    for (code, aliases) in ALIASES {
        if let Ok(country) = Country::parse(code) {
            names.extend(aliases.split('|').map(|alias| (key(alias), country)));
        }
    }
    names
});

/// What two spellings of a name have in common: letters and digits, "St" and "&" written out.
fn key(name: &str) -> String {
    let plain = plain(name).replace('&', " and ").replace('.', "");
    let words = plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| if word == "st" { "saint" } else { word }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cm_05_country_is_one_of_249_codes() {
        assert_eq!(Country::all().count(), 249);
        assert!(Country::all().is_sorted());
        for country in Country::all() {
            assert_eq!(Country::parse(country.code()), Ok(country));
            assert_eq!(Country::from_name(country.name()), Ok(country));
        }
        assert_eq!(Country::parse(" de ").unwrap().code(), "DE");
        for bad in ["", "D", "DEU", "XK", "UK", "ZZ", "ßa", "d\0"] {
            assert!(matches!(Country::parse(bad), Err(FormatError::Country { .. })), "{bad}");
        }
    }

    #[test]
    fn cm_05_country_is_found_by_its_names() {
        for (name, code) in [
            ("United Kingdom", "GB"),
            ("Czech Republic", "CZ"),
            ("USA", "US"),
            ("united states", "US"),
            ("U.S.A.", "US"),
            ("Republic of Korea", "KR"),
            ("South Korea", "KR"),
            ("Russia", "RU"),
            ("Vietnam", "VN"),
            ("The Netherlands", "NL"),
            ("Cote d’Ivoire", "CI"),
            ("TURKEY", "TR"),
            ("Türkiye", "TR"),
            ("Bosnia & Herzegovina", "BA"),
            ("St. Lucia", "LC"),
            ("DEU", "DE"),
        ] {
            assert_eq!(Country::from_name(name).map(String::from).as_deref(), Ok(code), "{name}");
        }
        assert!(Country::from_name("").is_err() && Country::from_name("Atlantis").is_err());
        assert!(ALIASES.iter().all(|(code, _)| Country::parse(code).is_ok()));
    }

    #[test]
    fn cm_05_country_knows_name_and_calling_code() {
        let korea = Country::parse("KR").unwrap();
        assert_eq!((korea.name(), korea.calling_code()), ("Korea, Republic of", Some(82)));
        assert_eq!(Country::parse("AQ").unwrap().calling_code(), None);
        assert_eq!(serde_json::to_string(&korea).unwrap(), "\"KR\"");
        assert_eq!(serde_json::from_str::<Country>("\"kr\"").unwrap(), korea);
        assert!(serde_json::from_str::<Country>("\"XK\"").is_err());
    }
}
