//! Grouping a page by day.

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::format::local_date;
use crate::store::TimelineRow;

/// The entries of one local day, in the order of the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Day<'a> {
    /// The day in the zone that was asked for.
    pub date: NaiveDate,
    /// Its entries.
    pub entries: &'a [TimelineRow],
}

/// Splits entries, newest or oldest first, into days of a time zone (SPEC TL-04).
pub fn by_day(entries: &[TimelineRow], zone: Tz) -> Vec<Day<'_>> {
    entries
        .chunk_by(|a, b| local_date(a.at, zone) == local_date(b.at, zone))
        .filter_map(|entries| Some(Day { date: local_date(entries.first()?.at, zone), entries }))
        .collect()
}
