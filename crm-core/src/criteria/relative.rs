//! Instants and days relative to now.

use std::fmt;

use chrono::{Days, Duration, Months, NaiveDate};
use chrono_tz::Tz;

use crate::format::{local_date, start_of_day};
use crate::value::{Instant, Value};

/// How an offset counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Exact lengths of time, in milliseconds: seconds, minutes, hours, days of 24 hours, weeks of seven.
    Milliseconds,
    /// Calendar days in the condition's zone.
    Days,
    /// Calendar months in the condition's zone; a day that the month lacks becomes its last.
    Months,
}

/// `now-90d`, `today`, `today+1M`: an instant or day that moves with the clock.
///
/// `now` is the instant itself and takes exact offsets (`s`, `m`, `h`, `d` = 24 h, `w` = 7 d). `today` is the start
/// of the local day in the condition's zone and takes calendar offsets (`d`, `w`, `M`, `y`). Both only ever move
/// forward as time passes, also across clock changes and leap days; that is why a calendar offset of `now` is
/// refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    /// How the offset counts; `Milliseconds` for `now`, the others for `today`.
    pub unit: Unit,
    /// How far, negative for the past.
    pub offset: i64,
    /// The zone of the local day.
    pub zone: Tz,
}

const YEARS: i64 = 200;

impl Moment {
    /// Reads `now`, `now-90d`, `today`, `today+1M`. `None` when the text is not of this form at all; an error says
    /// what is wrong with one that is.
    pub fn parse(text: &str, zone: Tz) -> Option<Result<Self, String>> {
        let (base, rest) = match text {
            _ if text.starts_with("now") => ("now", &text[3..]),
            _ if text.starts_with("today") => ("today", &text[5..]),
            _ => return None,
        };
        if !rest.is_empty() && !rest.starts_with(['+', '-']) {
            return None;
        }
        Some(Self::parse_offset(base, rest, zone))
    }

    fn parse_offset(base: &str, rest: &str, zone: Tz) -> Result<Self, String> {
        let day = base == "today";
        if rest.is_empty() {
            let unit = if day { Unit::Days } else { Unit::Milliseconds };
            return Ok(Self { unit, offset: 0, zone });
        }
        let malformed = || format!("{base}{rest} is not an offset; write for example {base}-90d");
        let unit_at =
            rest.char_indices().next_back().map(|(at, _)| at).filter(|at| *at > 1).ok_or_else(malformed)?;
        let (digits, letter) = (&rest[1..unit_at], &rest[unit_at..]);
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(malformed());
        }
        let count: i64 = digits.parse().map_err(|_| malformed())?;
        let (unit, each, most) = match (day, letter) {
            (false, "s") => (Unit::Milliseconds, 1_000, YEARS * 366 * 86_400),
            (false, "m") => (Unit::Milliseconds, 60_000, YEARS * 366 * 1_440),
            (false, "h") => (Unit::Milliseconds, 3_600_000, YEARS * 366 * 24),
            (false, "d") => (Unit::Milliseconds, 86_400_000, YEARS * 366),
            (false, "w") => (Unit::Milliseconds, 7 * 86_400_000, YEARS * 52),
            (true, "d") => (Unit::Days, 1, YEARS * 366),
            (true, "w") => (Unit::Days, 7, YEARS * 52),
            (true, "M") => (Unit::Months, 1, YEARS * 12),
            (true, "y") => (Unit::Months, 12, YEARS),
            (false, "M" | "y") => {
                return Err(format!(
                    "months and years are calendar offsets; write today{rest} instead of now{rest}"
                ));
            }
            (true, _) => return Err(format!("the unit {letter} is unknown after today; use d, w, M or y")),
            (false, _) => return Err(format!("the unit {letter} is unknown after now; use s, m, h, d or w")),
        };
        if count > most {
            return Err(format!("{base}{rest} is more than {YEARS} years away"));
        }
        let sign = if rest.starts_with('-') { -1 } else { 1 };
        Ok(Self { unit, offset: sign * count * each, zone })
    }

    /// The local day this means at `now`.
    pub fn day(&self, now: Instant) -> NaiveDate {
        match self.unit {
            Unit::Milliseconds => local_date(self.instant(now), self.zone),
            Unit::Days | Unit::Months => self.shift(local_date(now, self.zone)),
        }
    }

    /// The instant this means at `now`.
    pub fn instant(&self, now: Instant) -> Instant {
        match self.unit {
            Unit::Milliseconds => {
                now.checked_add_signed(Duration::milliseconds(self.offset)).unwrap_or(Instant::MAX_UTC)
            }
            Unit::Days | Unit::Months => start_of_day(self.day(now), self.zone),
        }
    }

    /// The value to compare an instant or, with `day`, a date field with.
    pub fn value(&self, now: Instant, day: bool) -> Value {
        if day { Value::Date(self.day(now)) } else { Value::Instant(self.instant(now)) }
    }

    fn shift(&self, day: NaiveDate) -> NaiveDate {
        let size = self.offset.unsigned_abs();
        let shifted = match (self.unit, self.offset < 0) {
            (Unit::Months, false) => {
                day.checked_add_months(Months::new(u32::try_from(size).unwrap_or(u32::MAX)))
            }
            (Unit::Months, true) => {
                day.checked_sub_months(Months::new(u32::try_from(size).unwrap_or(u32::MAX)))
            }
            (_, false) => day.checked_add_days(Days::new(size)),
            (_, true) => day.checked_sub_days(Days::new(size)),
        };
        shifted.unwrap_or(day)
    }

    /// The first instant after `now` at which this moment is at the value (an instant, or a day) or, with `past`, past
    /// it. `None` when it is there already, or never will be.
    pub fn reaches(&self, now: Instant, value: &Value, past: bool) -> Option<Instant> {
        let is_day = matches!(value, Value::Date(_));
        let is_there = |at: Instant| {
            let order = self.value(at, is_day).compare(value);
            order.is_some_and(|order| if past { order.is_gt() } else { order.is_ge() })
        };
        if is_there(now) {
            return None;
        }
        // Solved for `now`, and checked: only what zones do that nobody foresaw needs the search.
        let millisecond = Duration::milliseconds(1);
        match self.solve(value, past) {
            Some(at)
                if at > now && is_there(at) && (at - now == millisecond || !is_there(at - millisecond)) =>
            {
                Some(at)
            }
            _ => first(now, is_there),
        }
    }

    /// The instant from which on this moment is at least the value or, with `past`, more; to be checked.
    fn solve(&self, value: &Value, past: bool) -> Option<Instant> {
        // The day that the moment's day must reach.
        let day = match value {
            Value::Instant(at) if self.unit == Unit::Milliseconds => {
                let at = if past { at.checked_add_signed(Duration::milliseconds(1))? } else { *at };
                return at.checked_sub_signed(Duration::milliseconds(self.offset));
            }
            Value::Instant(at) => {
                let day = local_date(*at, self.zone);
                if past || start_of_day(day, self.zone) < *at { day.succ_opt()? } else { day }
            }
            Value::Date(day) if past => day.succ_opt()?,
            Value::Date(day) => *day,
            _ => return None,
        };
        let size = self.offset.unsigned_abs();
        let today = match self.unit {
            Unit::Milliseconds => {
                let start = start_of_day(day, self.zone);
                return start.checked_sub_signed(Duration::milliseconds(self.offset));
            }
            Unit::Days if self.offset < 0 => day.checked_add_days(Days::new(size))?,
            Unit::Days => day.checked_sub_days(Days::new(size))?,
            Unit::Months => {
                let months = Months::new(u32::try_from(size).ok()?);
                let about = if self.offset < 0 {
                    day.checked_add_months(months)
                } else {
                    day.checked_sub_months(months)
                };
                // The ends of months make up to three days of difference.
                let near = about?.checked_sub_days(Days::new(3))?;
                near.iter_days().take(8).find(|today| self.shift(*today) >= day)?
            }
        };
        Some(start_of_day(today, self.zone))
    }
}

/// The first instant after `now` where `holds`, which once true stays true. Bisection over milliseconds:
/// a moment only moves forward, so the answer is exact for every unit and zone.
fn first(now: Instant, holds: impl Fn(Instant) -> bool) -> Option<Instant> {
    let at = |ms: i64| now.checked_add_signed(Duration::milliseconds(ms));
    let (mut low, mut high) = (0_i64, 1_i64);
    let limit = 2 * YEARS * 366 * 86_400_000;
    while !holds(at(high)?) {
        low = high;
        high *= 2;
        if high > limit {
            return None;
        }
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(at(middle)?) { high = middle } else { low = middle }
    }
    at(high)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, each, letter) = match self.unit {
            Unit::Days => ("today", 1, 'd'),
            Unit::Months => ("today", 1, 'M'),
            Unit::Milliseconds if self.offset % 86_400_000 == 0 => ("now", 86_400_000, 'd'),
            Unit::Milliseconds => ("now", 1_000, 's'),
        };
        if self.offset == 0 { f.write_str(base) } else { write!(f, "{base}{:+}{letter}", self.offset / each) }
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn lc_09_the_solved_instant_is_the_one_that_the_search_finds(
            now in 946_684_800_000_i64..1_893_456_000_000,
            away in -40_000_000_000_i64..40_000_000_000,
            kind in 0..4,
            count in -800_i64..800,
            zone in prop::sample::select(vec![Tz::UTC, Tz::Europe__Berlin, Tz::America__Sao_Paulo, Tz::Pacific__Apia, Tz::Asia__Tehran]),
            as_day: bool,
        ) {
            let now = Instant::from_timestamp_millis(now).unwrap();
            let (unit, offset) = match kind {
                0 => (Unit::Milliseconds, count * 86_400_000),
                1 => (Unit::Milliseconds, count * 1_000),
                2 => (Unit::Days, count),
                _ => (Unit::Months, count / 10),
            };
            let moment = Moment { unit, offset, zone };
            let near = moment.instant(now) + Duration::milliseconds(away);
            for at in [near, moment.instant(near), moment.instant(now)] {
                let value = if as_day { Value::Date(local_date(at, zone)) } else { Value::Instant(at) };
                let order = |at: Instant| moment.value(at, as_day).compare(&value).unwrap();
                let searched = |past| {
                    let is_there = |at| if past { order(at).is_gt() } else { order(at).is_ge() };
                    if is_there(now) { None } else { first(now, is_there) }
                };
                prop_assert_eq!(moment.reaches(now, &value, false), searched(false));
                prop_assert_eq!(moment.reaches(now, &value, true), searched(true));
            }
        }
    }
}
