//! Time zones, and the days that instants fall on in them.

use chrono::{DateTime, Days, LocalResult, NaiveDate, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::{FormatError, quote};

/// Reads the name of a time zone of the IANA database, in any case (SPEC XT-11).
///
/// # Errors
/// [`FormatError::Zone`] for a name that is not in it, such as an offset.
pub fn zone(name: &str) -> Result<Tz, FormatError> {
    let name = name.trim();
    let named = |zone: &&Tz| zone.name().eq_ignore_ascii_case(name);
    TZ_VARIANTS.iter().find(named).copied().ok_or_else(|| FormatError::Zone { found: quote(name) })
}

/// The first instant of a local day, also where midnight does not exist (SPEC XT-06, XT-11).
///
/// A local day begins at the first instant at which a calendar on the wall shows it or a later day. So
/// - a day without midnight begins when its clock first runs (São Paulo on 2018-11-04 at 01:00);
/// - a day that a zone skipped begins and ends at the same instant, where the next one begins (Apia on 2011-12-30);
/// - where clocks were put back across midnight, the day that had begun goes on (St. John's until 2011 at 00:01).
///
/// By this, days are half-open intervals of time without gap or overlap, in every zone: for all dates and instants,
/// `start_of_day(d) <= start_of_day(d + 1)`, `local_date(start_of_day(d)) >= d`, and
/// `start_of_day(local_date(t)) <= t < start_of_day(local_date(t) + 1)`.
///
/// For the years 1 to 9999; outside them it does not panic, but promises nothing.
pub fn start_of_day(date: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = date.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&midnight) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.with_timezone(&Utc),
        LocalResult::None => {
            // Clocks were put forward across midnight, by at most a day: find that instant, to the second.
            let near = midnight.and_utc();
            let shifted = |seconds| near.checked_add_signed(TimeDelta::seconds(seconds)).unwrap_or(near);
            let (mut before, mut from) = (-36 * 3_600_i64, 36 * 3_600_i64);
            while from - before > 1 {
                let middle = before.midpoint(from);
                if wall_date(shifted(middle), zone) < date {
                    before = middle;
                } else {
                    from = middle;
                }
            }
            shifted(from)
        }
    }
}

/// The local day that an instant falls on: the latest that has begun, as [`start_of_day`] defines it.
pub fn local_date(at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    let mut date = wall_date(at, zone);
    while let Some(next) = date.checked_add_days(Days::new(1)).filter(|next| start_of_day(*next, zone) <= at)
    {
        date = next;
    }
    date
}

fn wall_date(at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    let utc = at.naive_utc();
    let offset = zone.offset_from_utc_datetime(&utc).fix();
    utc.checked_add_offset(offset).unwrap_or(utc).date()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn start(day: &str, name: &str) -> String {
        let start = start_of_day(day.parse().unwrap(), zone(name).unwrap());
        start.format("%Y-%m-%dT%H:%M:%S").to_string()
    }

    #[test]
    fn xt_11_zone_is_a_name_of_the_iana_database() {
        assert_eq!(zone(" europe/berlin ").unwrap(), Tz::Europe__Berlin);
        assert_eq!(zone("UTC").unwrap(), Tz::UTC);
        for bad in ["", "+02:00", "Mars/Olympus"] {
            let message = zone(bad).unwrap_err().to_string();
            assert!(message.contains("Europe/Berlin"), "{message}");
        }
    }

    #[test]
    fn xt_11_a_day_begins_at_its_first_instant() {
        assert_eq!(start("2024-07-01", "Europe/Berlin"), "2024-06-30T22:00:00");
        // Midnight does not exist.
        assert_eq!(start("2018-11-04", "America/Sao_Paulo"), "2018-11-04T03:00:00");
        assert_eq!(start("2024-03-31", "Asia/Beirut"), "2024-03-30T22:00:00");
        // Midnight comes twice.
        assert_eq!(start("2024-11-03", "America/Havana"), "2024-11-03T04:00:00");
        // The day was skipped.
        assert_eq!(start("2011-12-30", "Pacific/Apia"), "2011-12-30T10:00:00");
        assert_eq!(start("2011-12-31", "Pacific/Apia"), "2011-12-30T10:00:00");
    }

    #[test]
    fn xt_11_a_day_that_has_begun_goes_on_when_clocks_are_put_back() {
        // 2010-11-07 in St. John's: at 00:01 (02:31 UTC) clocks went back to 23:01 of the day before.
        let (zone, day) = (Tz::America__St_Johns, "2010-11-07".parse::<NaiveDate>().unwrap());
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(start_of_day(day, zone), at("2010-11-07T02:30:00Z"));
        assert_eq!(local_date(at("2010-11-07T02:29:59.999Z"), zone), day.pred_opt().unwrap());
        for inside in ["2010-11-07T02:30:00Z", "2010-11-07T02:31:00Z", "2010-11-07T03:30:00Z"] {
            assert_eq!(local_date(at(inside), zone), day);
        }
    }

    /// The laws for the days around one instant; also no wall shows a day before it begins.
    fn laws(at: DateTime<Utc>, zone: Tz) {
        let date = local_date(at, zone);
        let (from, to) = (start_of_day(date, zone), start_of_day(date + Days::new(1), zone));
        assert!(from <= at && at < to, "{zone} {at}");
        assert!(wall_date(at, zone) <= date, "{zone} {at}");
        let wall = wall_date(at, zone);
        for day in wall.iter_days().skip(1).take(2).chain([wall, wall.pred_opt().unwrap()]) {
            let start = start_of_day(day, zone);
            assert!(start <= start_of_day(day + Days::new(1), zone), "{zone} {day}");
            assert!(local_date(start, zone) >= day, "{zone} {day}");
            assert!(wall_date(start, zone) >= day, "{zone} {day}");
            assert!(wall_date(start - TimeDelta::seconds(1), zone) < day, "{zone} {day}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn xt_06_days_part_the_instants_without_gap_or_overlap(
            zone in prop::sample::select(&TZ_VARIANTS[..]),
            seconds in -4_000_000_000_i64..4_000_000_000,
        ) {
            laws(DateTime::from_timestamp(seconds, 0).unwrap(), zone);
        }
    }

    #[test]
    fn xt_06_days_part_the_instants_around_every_change_of_clocks() {
        // Every 8 hours over 1965 to 2037 would take minutes; these zones have the changes that are hard.
        for zone in [
            Tz::America__Sao_Paulo,
            Tz::America__St_Johns,
            Tz::America__Havana,
            Tz::Asia__Beirut,
            Tz::Asia__Amman,
            Tz::Pacific__Apia,
            Tz::Pacific__Kwajalein,
            Tz::Antarctica__Troll,
            Tz::Africa__Casablanca,
        ] {
            let mut at = DateTime::from_timestamp(-160_000_000, 0).unwrap();
            let mut offset = wall(at, zone);
            while at.timestamp() < 2_000_000_000 {
                at += TimeDelta::hours(1);
                if wall(at, zone) != offset {
                    offset = wall(at, zone);
                    for minutes in (-1_500..=1_500).step_by(20) {
                        laws(at + TimeDelta::minutes(minutes), zone);
                    }
                }
            }
        }
    }

    #[test]
    fn xt_11_the_ends_of_time_do_not_panic() {
        for zone in [Tz::Pacific__Kiritimati, Tz::Etc__GMTPlus12, Tz::America__Sao_Paulo] {
            for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
                local_date(at, zone);
            }
            for date in [NaiveDate::MIN, NaiveDate::MAX] {
                start_of_day(date, zone);
            }
        }
    }

    /// How far the clocks of a zone are from UTC, in seconds.
    fn wall(at: DateTime<Utc>, zone: Tz) -> i64 {
        (at.with_timezone(&zone).naive_local() - at.naive_utc()).num_seconds()
    }
}
