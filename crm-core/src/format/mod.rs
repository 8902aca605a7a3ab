//! Temporary, replaced by the real folder in the next commit.
#![allow(missing_docs)]
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
pub fn clean(t: &str) -> Result<String, String> { Ok(t.trim().to_owned()) }
pub fn fold(t: &str) -> String { t.to_lowercase() }
pub fn tokens(t: &str) -> Vec<String> { let mut v: Vec<String> = fold(t).split_whitespace().map(str::to_owned).collect(); v.sort(); v.dedup(); v }
pub fn zone(t: &str) -> Result<Tz, String> { t.parse().map_err(|_| "zone".to_owned()) }
pub fn local_date(at: DateTime<Utc>, tz: Tz) -> NaiveDate { at.with_timezone(&tz).date_naive() }
pub fn start_of_day(d: NaiveDate, tz: Tz) -> DateTime<Utc> { d.and_hms_opt(0,0,0).unwrap().and_local_timezone(tz).earliest().unwrap().with_timezone(&Utc) }
