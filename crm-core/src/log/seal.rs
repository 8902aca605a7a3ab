//! Giving committed rows their place and chaining them, and checking the chain.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::log::LogRow;
use crate::log::row::hex;
use crate::value::format_instant;

/// The hash that the first row of a tenant's log is chained to.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Puts unsealed, committed rows in order and gives them the numbers after `last_number` and the hashes after
/// `last_hash`. Stores call it inside the transaction that holds the tenant's log head.
///
/// The order is by instant, then version, then place in the change set; whatever the clocks said, rows of one
/// record stand by version.
pub fn seal(rows: &mut [LogRow], last_number: i64, last_hash: &str) {
    rows.sort_by(|a, b| {
        (a.at, a.version, a.commit_id, a.ordinal).cmp(&(b.at, b.version, b.commit_id, b.ordinal))
    });
    let mut places: BTreeMap<(String, Uuid), Vec<usize>> = BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        places.entry((row.entity.clone(), row.record_id)).or_default().push(place);
    }
    for places in places.into_values().filter(|places| places.len() > 1) {
        let mut of_record: Vec<LogRow> = places.iter().map(|&place| rows[place].clone()).collect();
        of_record.sort_by_key(|row| row.version);
        for (place, row) in places.into_iter().zip(of_record) {
            rows[place] = row;
        }
    }
    let mut number = last_number;
    let mut hash = last_hash.to_owned();
    for row in rows {
        number += 1;
        hash = row.chained(number, &hash);
        row.number = Some(number);
        row.hash = Some(hash.clone());
    }
}

/// Where a chain of hashes does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log is broken at number {number}: {why}")]
pub struct ChainBreak {
    /// The number of the first row that does not fit.
    pub number: i64,
    /// What does not fit.
    pub why: &'static str,
}

/// Checks consecutive sealed rows against the hash before the first of them ([`GENESIS`] for number 1), and
/// returns the last hash.
pub fn verify<'a>(
    rows: &'a [LogRow],
    last_number: i64,
    last_hash: &'a str,
) -> Result<(i64, &'a str), ChainBreak> {
    let (mut number, mut hash) = (last_number, last_hash);
    for row in rows {
        number += 1;
        if row.number != Some(number) {
            return Err(ChainBreak { number, why: "a row is missing or out of place" });
        }
        let found = row.hash.as_deref().unwrap_or_default();
        if row.chained(number, hash) != found {
            return Err(ChainBreak { number, why: "the row is not what was sealed" });
        }
        hash = found;
    }
    Ok((number, hash))
}

impl LogRow {
    fn chained(&self, number: i64, last_hash: &str) -> String {
        let body = serde_json::to_string(&self.body).unwrap_or_default();
        let head = format!(
            "{last_hash}|{number}|{}|{}|{}|{}|{}|{}|{}|{}|",
            self.commit_id,
            self.ordinal,
            self.entity,
            self.record_id,
            self.version,
            self.op.code(),
            format_instant(self.at),
            self.root.map(|id| id.to_string()).unwrap_or_default(),
        );
        hex(&Sha256::new().chain_update(head).chain_update(body).finalize())
    }
}
