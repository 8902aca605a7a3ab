//! Tax ids by country (SPEC CM-03, seed 004 account AC-2).
//!
//! Countries with a published form and check digits are checked by them; of the others only length and alphabet are.
//! A number that passes is well formed, which does not say that an authority has assigned it.
//!
//! Sources: the structures and check digits of VAT numbers in the EU's VIES FAQ and the national pages it leads to;
//! IRS, "How EINs are assigned and valid EIN prefixes"; HMRC for GB; Swiss Federal Statistical Office, eCH-0097, for CH;
//! Receita Federal, Instrução Normativa RFB 2.229/2024, for BR; GSTN for IN; ISO/IEC 7064 for DE and NL.

use crate::format::Country;

/// The form that is kept: upper case, without spaces, dots, dashes and slashes, and without the country's own letters
/// where a VAT number may begin with them.
pub fn normal_tax_id(country: Country, given: &str) -> String {
    let sign = |c: &char| !c.is_whitespace() && !matches!(c, '.' | '-' | '\u{2010}'..='\u{2015}' | '/');
    let plain: String = given.chars().filter(sign).flat_map(char::to_uppercase).collect();
    let Some(rule) = rule(country) else { return plain };
    if country.code() == "CH" {
        let bare = ["MWST", "TVA", "IVA"].iter().find_map(|suffix| plain.strip_suffix(suffix));
        return bare.unwrap_or(&plain).to_owned();
    }
    match plain.strip_prefix(country.code()) {
        Some(bare) if (rule.holds)(bare) => bare.to_owned(),
        _ => plain,
    }
}

/// Checks a tax id in its normal form; says what would be accepted.
pub(super) fn check_tax_id(country: Country, id: &str) -> Result<(), String> {
    let code = country.code();
    if normal_tax_id(country, id) != id {
        return Err("is not in its normal form; give it in upper case, without spaces and signs".to_owned());
    }
    match rule(country) {
        Some(rule) if (rule.holds)(id) => Ok(()),
        Some(rule) => Err(format!("is not a tax id of {code}; accepted is {}", rule.form)),
        None if (4..=32).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_alphanumeric()) => Ok(()),
        None => Err(format!("is not a tax id of {code}; accepted are 4 to 32 letters or digits")),
    }
}

struct Rule {
    form: &'static str,
    holds: fn(&str) -> bool,
}

fn rule(country: Country) -> Option<Rule> {
    let (form, holds): (_, fn(&str) -> bool) = match country.code() {
        "AT" => ("U and eight digits, the last a check digit", austria),
        "BE" => ("ten digits that begin with 0 or 1, the last two check digits", belgium),
        "BR" => ("a CNPJ: twelve letters or digits and two check digits", brazil),
        "CH" => ("a UID: CHE and nine digits, the last a check digit", switzerland),
        "DE" => ("nine digits, the last a check digit", germany),
        "ES" => ("a NIF or NIE: nine characters with a check character", spain),
        "FR" => ("two characters of a key and the nine digits of a SIREN", france),
        "GB" => ("nine or twelve digits with check digits, or GD or HA and three digits", britain),
        "IN" => ("a GSTIN: fifteen characters, the last a check character", india),
        "IT" => ("eleven digits, the last a check digit", italy),
        "NL" => ("nine digits, B and two digits, with check digits", netherlands),
        "PL" => ("a NIP: ten digits, the last a check digit", poland),
        "PT" => ("a NIF: nine digits, the last a check digit", portugal),
        "US" => ("an EIN: nine digits that begin with a prefix the IRS assigns", united_states),
        _ => return None,
    };
    Some(Rule { form, holds })
}

/// The digits of a text of exactly this length; `None` if there is anything else in it.
fn digits(text: &str, length: usize) -> Option<Vec<u32>> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(10)).collect::<Option<_>>()?;
    (digits.len() == length).then_some(digits)
}

fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// The number that digits make.
fn number(digits: &[u32]) -> u64 {
    digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(*digit))
}

/// The sum of Luhn's formula (ISO/IEC 7812-1), with every second digit from `first` on doubled.
fn luhn_sum(digits: &[u32], first: usize) -> u32 {
    let twice = |digit: u32| digit * 2 / 10 + digit * 2 % 10;
    let value = |(place, digit): (usize, &u32)| if place % 2 == first { twice(*digit) } else { *digit };
    digits.iter().enumerate().map(value).sum()
}

fn austria(id: &str) -> bool {
    let Some(d) = id.strip_prefix('U').and_then(|rest| digits(rest, 8)) else { return false };
    (luhn_sum(&d[..7], 1) + 4 + d[7]).is_multiple_of(10)
}

fn belgium(id: &str) -> bool {
    digits(id, 10).is_some_and(|d| d[0] <= 1 && 97 - number(&d[..8]) % 97 == number(&d[8..]))
}

fn brazil(id: &str) -> bool {
    let known = |c: u8| c.is_ascii_digit() || c.is_ascii_uppercase();
    if id.len() != 14 || !id.bytes().all(known) || id.bytes().all(|c| c == b'0') {
        return false;
    }
    let values: Vec<u32> = id.bytes().map(|c| u32::from(c - b'0')).collect();
    let weights = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
    let check = |sum: u32| if sum % 11 < 2 { 0 } else { 11 - sum % 11 };
    values[12] == check(weighted(&values[..12], &weights[1..]))
        && values[13] == check(weighted(&values[..13], &weights))
}

fn switzerland(id: &str) -> bool {
    let Some(d) = id.strip_prefix("CHE").and_then(|rest| digits(rest, 9)) else { return false };
    // A remainder of 1 would need the digit 10, which no number has.
    (11 - weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4]) % 11) % 11 == d[8]
}

fn germany(id: &str) -> bool {
    let Some(d) = digits(id, 9).filter(|d| d[0] > 0) else { return false };
    // ISO/IEC 7064, MOD 11,10.
    let product = d[..8].iter().fold(10, |product, digit| {
        let sum = (product + digit) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == d[8]
}

fn spain(id: &str) -> bool {
    const PERSON: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    const ORGANIZATION: &[u8; 10] = b"JABCDEFGHI";
    if id.len() != 9 || !id.is_ascii() {
        return false;
    }
    let (first, last) = (id.as_bytes()[0], id.as_bytes()[8]);
    let person = |lead: &str, rest: &str| {
        let all = format!("{lead}{rest}");
        digits(&all, 8).is_some_and(|d| PERSON[(number(&d) % 23) as usize] == last)
    };
    match first {
        b'0'..=b'9' => person(&id[..1], &id[1..8]),
        b'K' | b'L' | b'M' | b'X' => person("0", &id[1..8]),
        b'Y' => person("1", &id[1..8]),
        b'Z' => person("2", &id[1..8]),
        b'A'..=b'J' | b'N' | b'P'..=b'S' | b'U'..=b'W' => {
            let Some(d) = digits(&id[1..8], 7) else { return false };
            let check = (10 - luhn_sum(&d, 0) % 10) % 10;
            let (as_digit, as_letter) = (b'0' + check as u8, ORGANIZATION[check as usize]);
            match first {
                b'A' | b'B' | b'E' | b'H' => last == as_digit,
                b'N' | b'P' | b'Q' | b'R' | b'S' | b'W' => last == as_letter,
                _ => last == as_digit || last == as_letter,
            }
        }
        _ => false,
    }
}

fn france(id: &str) -> bool {
    const KEY: &str = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    if id.len() != 11 || !id.is_ascii() {
        return false;
    }
    let (key, siren) = id.split_at(2);
    let Some(d) = digits(siren, 9) else { return false };
    // Numbers of Monaco begin with 000 and are no SIREN.
    if !siren.starts_with("000") && !luhn_sum(&d, 1).is_multiple_of(10) {
        return false;
    }
    if let Some(key) = digits(key, 2) {
        return number(&key) == (12 + 3 * (number(&d) % 97)) % 97;
    }
    let places: Option<Vec<u64>> = key.chars().map(|c| KEY.find(c).map(|at| at as u64)).collect();
    let Some([first, second]) = places.as_deref().and_then(|places| places.first_chunk()) else {
        return false;
    };
    // A key of two digits went above, so one of the two is at least 10.
    let check = if *first < 10 { first * 24 + second - 10 } else { first * 34 + second - 100 };
    (number(&d) + 1 + check / 11) % 11 == check % 11
}

fn britain(id: &str) -> bool {
    let body = |prefix: &str| id.strip_prefix(prefix).and_then(|rest| digits(rest, 3)).map(|d| number(&d));
    if let Some(government) = body("GD") {
        return government < 500;
    }
    if let Some(health) = body("HA") {
        return health >= 500;
    }
    let Some(d) = digits(id, 9).or_else(|| digits(id, 12)) else { return false };
    let rest = weighted(&d, &[8, 7, 6, 5, 4, 3, 2, 10, 1]) % 97;
    // Numbers assigned since 2010 add 55.
    number(&d[..7]) > 0 && (rest == 0 || (number(&d[..3]) >= 100 && matches!(rest, 42 | 55)))
}

fn india(id: &str) -> bool {
    let bytes = id.as_bytes();
    let shape = |place: usize, c: &u8| match place {
        0 | 1 | 7..=10 => c.is_ascii_digit(),
        2..=6 | 11 => c.is_ascii_uppercase(),
        12 => c.is_ascii_uppercase() || (b'1'..=b'9').contains(c),
        13 => *c == b'Z',
        _ => c.is_ascii_uppercase() || c.is_ascii_digit(),
    };
    if bytes.len() != 15 || !bytes.iter().enumerate().all(|(place, c)| shape(place, c)) {
        return false;
    }
    if !matches!(&id[..2], "97" | "99") && !("01"..="38").contains(&&id[..2]) {
        return false;
    }
    let values: Option<Vec<u32>> = id.chars().map(|c| c.to_digit(36)).collect();
    let Some(values) = values else { return false };
    let part = |(place, value): (usize, &u32)| {
        let product = value * (1 + place as u32 % 2);
        product / 36 + product % 36
    };
    let sum: u32 = values[..14].iter().enumerate().map(part).sum();
    (36 - sum % 36) % 36 == values[14]
}

fn italy(id: &str) -> bool {
    digits(id, 11).is_some_and(|d| number(&d[..7]) > 0 && luhn_sum(&d, 1).is_multiple_of(10))
}

fn netherlands(id: &str) -> bool {
    if id.len() != 12 || !id.is_ascii() || id.as_bytes()[9] != b'B' {
        return false;
    }
    let (Some(d), Some(suffix)) = (digits(&id[..9], 9), digits(&id[10..], 2)) else { return false };
    if number(&d) == 0 || number(&suffix) == 0 {
        return false;
    }
    let eleven = weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 == d[8];
    // ISO/IEC 7064, MOD 97-10, of NL and the number with letters as 10 to 35: for traders since 2020.
    let ninety_seven = format!("NL{id}")
        .chars()
        .filter_map(|c| c.to_digit(36))
        .fold(0, |rest, value| if value < 10 { (rest * 10 + value) % 97 } else { (rest * 100 + value) % 97 });
    eleven || ninety_seven == 1
}

fn poland(id: &str) -> bool {
    digits(id, 10).is_some_and(|d| number(&d) > 0 && weighted(&d, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == d[9])
}

fn portugal(id: &str) -> bool {
    let Some(d) = digits(id, 9).filter(|d| d[0] > 0) else { return false };
    let check = 11 - weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    d[8] == if check > 9 { 0 } else { check }
}

fn united_states(id: &str) -> bool {
    let unassigned = [0, 7, 8, 9, 17, 18, 19, 28, 29, 49, 69, 70, 78, 79, 89, 96, 97];
    digits(id, 9).is_some_and(|d| !unassigned.contains(&number(&d[..2])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published numbers, as they are written, with the form that is kept.
    const VALID: &[(&str, &str, &str)] = &[
        ("AT", "AT U13585627", "U13585627"),
        ("BE", "BE 0428.759.497", "0428759497"),
        ("BE", "0403.019.261", "0403019261"),
        ("BR", "16.727.230/0001-97", "16727230000197"),
        ("BR", "12.ABC.345/01DE-35", "12ABC34501DE35"),
        ("CH", "CHE-107.787.577 IVA", "CHE107787577"),
        ("CH", "CHE-116.281.710", "CHE116281710"),
        ("DE", "DE 136 695 976", "136695976"),
        ("DE", "de143454214", "143454214"),
        ("ES", "ES B-58378431", "B58378431"),
        ("ES", "54362315-K", "54362315K"),
        ("ES", "X-5253868-R", "X5253868R"),
        ("ES", "M-1234567-L", "M1234567L"),
        ("FR", "Fr 40 303 265 045", "40303265045"),
        ("FR", "23 334 175 221", "23334175221"),
        ("FR", "K7 399 859 412", "K7399859412"),
        ("GB", "GB 980 7806 84", "980780684"),
        ("GB", "GD001", "GD001"),
        ("IN", "27AAPFU0939F1ZV", "27AAPFU0939F1ZV"),
        ("IT", "IT 00743110157", "00743110157"),
        ("NL", "NL004495445B01", "004495445B01"),
        ("NL", "NL002455799B11", "002455799B11"),
        ("PL", "PL 856-734-62-15", "8567346215"),
        ("PT", "PT 501 964 843", "501964843"),
        ("US", "91-1144442", "911144442"),
        ("JP", "t-1180301018771", "T1180301018771"),
    ];

    #[test]
    fn cm_03_published_tax_ids_are_accepted_in_their_normal_form() {
        for (code, given, kept) in VALID {
            let country = Country::parse(code).unwrap();
            let normal = normal_tax_id(country, given);
            assert_eq!(&normal, kept);
            assert_eq!(normal_tax_id(country, &normal), normal, "normalising twice");
            assert_eq!(check_tax_id(country, &normal), Ok(()), "{code} {given}");
        }
    }

    /// Each of these schemes finds every single wrong digit.
    #[test]
    fn cm_03_a_wrong_digit_is_found() {
        for (code, _, kept) in VALID {
            if matches!(*code, "JP" | "US" | "GB" | "NL") || kept.starts_with('K') {
                continue;
            }
            let country = Country::parse(code).unwrap();
            for place in (0..kept.len()).filter(|place| kept.as_bytes()[*place].is_ascii_digit()) {
                let digit = kept.as_bytes()[place] - b'0';
                let other = format!("{}{}{}", &kept[..place], (digit + 1) % 10, &kept[place + 1..]);
                assert!(check_tax_id(country, &other).is_err(), "{code} {other}");
            }
        }
    }

    #[test]
    fn cm_03_other_texts_are_refused_with_the_form_that_is_accepted() {
        for (code, given) in [
            ("US", "07-1144442"),
            ("US", "91-114444"),
            ("US", "９１1144442"),
            ("DE", "136695978"),
            ("DE", "12345678"),
            ("GB", "GD500"),
            ("GB", "802311781"),
            ("NL", "123456789B12"),
            ("NL", "004495445B00"),
            ("CH", "CHE107787578"),
            ("ES", "Ñ1234567L"),
            ("FR", "84323140391"),
            ("FR", "0A000000000"),
            ("IN", "27AAPFU0939F1ZO"),
            ("JP", "123"),
            ("JP", "12345_7"),
            ("BR", "00000000000000"),
            ("IT", ""),
        ] {
            let country = Country::parse(code).unwrap();
            let why = check_tax_id(country, &normal_tax_id(country, given)).unwrap_err();
            assert!(why.contains("accepted") && why.contains(code), "{given}: {why}");
        }
    }
}
