//! What looks like a payment card's or a social security number in free text.

/// Whether the text has a payment card's or a US social security number in it (seed 004, edge case "PII in notes
/// field").
///
/// A card's number (ISO/IEC 7812) has 13 to 19 digits that pass the check of Luhn, in groups of any length with one
/// space or dash between them. A social security number is written `AAA-GG-SSSS`: the area neither 000, 666 nor above
/// 899, the group not 00, the serial not 0000. A group of digits is taken whole: parts of longer ones do not count.
///
/// ```
/// use crm_core::note::has_sensitive_data;
/// assert!(has_sensitive_data("Paid with 4111 1111 1111 1111."));
/// assert!(has_sensitive_data("Her number is 123-45-6789"));
/// assert!(!has_sensitive_data("Order 4111 1111 1111 1112, call 202-555-0143"));
/// ```
pub fn has_sensitive_data(text: &str) -> bool {
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (run, after) = run(&rest[start..]);
        if has_card(&run) || has_social_security(&run) {
            return true;
        }
        rest = after;
    }
    false
}

const CARD: std::ops::RangeInclusive<usize> = 13..=19;

/// A group of digits, and what joins it to the group before.
struct Group<'t> {
    digits: &'t str,
    joined_by: Option<char>,
}

/// The groups of digits at the beginning of the text that one space or dash joins, and what comes after them.
fn run(text: &str) -> (Vec<Group<'_>>, &str) {
    let mut groups = Vec::new();
    let (mut rest, mut joined_by) = (text, None);
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        groups.push(Group { digits: &rest[..end], joined_by });
        rest = &rest[end..];
        let mut ahead = rest.chars();
        joined_by = ahead.next().filter(|c| is_space(*c) || is_dash(*c));
        if joined_by.is_none() || !ahead.as_str().starts_with(|c: char| c.is_ascii_digit()) {
            return (groups, rest);
        }
        rest = ahead.as_str();
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}')
}

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

fn has_card(groups: &[Group<'_>]) -> bool {
    (0..groups.len()).any(|from| {
        let mut number = String::new();
        for group in &groups[from..] {
            if number.len() + group.digits.len() > *CARD.end() {
                return false;
            }
            number.push_str(group.digits);
            if CARD.contains(&number.len()) && luhn(&number) {
                return true;
            }
        }
        false
    })
}

/// The check of Luhn (ISO/IEC 7812-1, annex B).
fn luhn(number: &str) -> bool {
    let digits = number.bytes().rev().map(|b| u32::from(b - b'0'));
    let sum: u32 = digits
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => digit,
            (_, double) => double / 10 + double % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

fn has_social_security(groups: &[Group<'_>]) -> bool {
    let dashed = |group: &Group<'_>| group.joined_by.is_some_and(is_dash);
    groups.windows(3).enumerate().any(|(at, window)| {
        let [area, group, serial] = window else { return false };
        (area.digits.len(), group.digits.len(), serial.digits.len()) == (3, 2, 4)
            && dashed(group)
            && dashed(serial)
            && !dashed(area)
            && !groups.get(at + 3).is_some_and(dashed)
            && !matches!(area.digits, "000" | "666")
            && !area.digits.starts_with('9')
            && group.digits != "00"
            && serial.digits != "0000"
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::has_sensitive_data;

    #[test]
    fn known_numbers() {
        for text in [
            "4111111111111111",
            "378282246310005",
            "6011 1111 1111 1117",
            "5555-5555-5555-4444",
            "4222222222222",
            "6304000000000000000",
            "in text4111111111111111text",
            "order 12 4111 1111 1111 1111 08/26",
            "4111\u{a0}1111\u{2011}1111 1111",
            "123-45-6789",
            "SSN:899-99-9999.",
            "3 123-45-6789 7",
        ] {
            assert!(has_sensitive_data(text), "{text}");
        }
        for text in [
            "",
            "no digits",
            "4111111111111112",
            "4111  1111  1111  1111",
            "4111.1111.1111.1111",
            "411111111111",
            "44111111111111111111",
            "000-45-6789",
            "666-45-6789",
            "900-45-6789",
            "123-00-6789",
            "123-45-0000",
            "123 45 6789",
            "123456789",
            "1123-45-6789",
            "123-45-67890",
            "1-123-45-6789",
            "123-45-6789-1",
            "202-555-0143",
            "2024-02-29",
            "4١١١111111111111",
        ] {
            assert!(!has_sensitive_data(text), "{text}");
        }
    }

    /// The check digit that Luhn asks for, counted from the left.
    fn check_digit(body: &[u8]) -> u8 {
        let doubled_first = body.len() % 2 == 1;
        let sum: u32 = body
            .iter()
            .enumerate()
            .map(|(place, digit)| {
                let doubled = (place % 2 == 0) == doubled_first;
                [0, 2, 4, 6, 8, 1, 3, 5, 7, 9][usize::from(*digit)] * u32::from(doubled)
                    + u32::from(*digit) * u32::from(!doubled)
            })
            .sum();
        ((10 - sum % 10) % 10) as u8
    }

    proptest! {
        #[test]
        fn a_card_is_found_in_any_grouping_and_one_wrong_digit_is_none(
            body in prop::collection::vec(0_u8..10, 12..=18),
            separators in prop::collection::vec(prop::option::of(prop::sample::select(vec![' ', '-', '\u{2013}'])), 18),
            wrong in (0_usize..13, 1_u8..10),
            around in "[a-zé,.\n]{0,8}",
        ) {
            let mut number = body.clone();
            number.push(check_digit(&body));
            let write = |number: &[u8], grouped: bool| {
                let mut text = around.clone();
                for (place, digit) in number.iter().enumerate() {
                    if let (true, true, Some(Some(sign))) = (grouped, place > 0, separators.get(place - usize::from(place > 0))) {
                        text.push(*sign);
                    }
                    text.push(char::from(b'0' + digit));
                }
                text + &around
            };
            prop_assert!(has_sensitive_data(&write(&number, true)));
            prop_assert!(has_sensitive_data(&write(&number, false)));
            number[wrong.0] = (number[wrong.0] + wrong.1) % 10;
            prop_assert!(!has_sensitive_data(&write(&number, false)), "Luhn finds every single wrong digit");
        }

        #[test]
        fn a_social_security_number_is_found_by_its_parts(area in 0_u32..1000, group in 0_u32..100, serial in 0_u32..10_000) {
            let valid = area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
            let text = format!("({area:03}-{group:02}-{serial:04})");
            prop_assert_eq!(has_sensitive_data(&text), valid);
        }

        #[test]
        fn any_text_has_an_answer(text in any::<String>()) {
            let once = has_sensitive_data(&text);
            let (longer, flagged) = (format!("{text}\n"), format!("{text}\n123-45-6789"));
            prop_assert_eq!(has_sensitive_data(&longer), once);
            prop_assert!(has_sensitive_data(&flagged));
        }
    }
}
