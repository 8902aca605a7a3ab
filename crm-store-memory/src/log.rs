//! The change log of one tenant.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crm_core::log::{GENESIS, LogRow, seal};
use uuid::Uuid;

/// Rows in the order of their commits, with the places they were given.
#[derive(Debug, Default)]
pub(crate) struct Log {
    rows: Vec<LogRow>,
    /// The primary key: (commit, ordinal); with -1 for a change set that has no rows.
    by_commit: BTreeSet<(Uuid, i32)>,
    /// (record, version, place in `rows`), by entity.
    by_record: BTreeMap<String, BTreeSet<(Uuid, i64, usize)>>,
    /// Places in `rows` that have no number yet.
    unsealed: VecDeque<usize>,
    /// Places in `rows`, by number less one.
    sealed: Vec<usize>,
}

impl Log {
    /// Whether this change set was applied.
    pub(crate) fn has_commit(&self, commit: Uuid) -> bool {
        self.by_commit.range((commit, i32::MIN)..=(commit, i32::MAX)).next().is_some()
    }

    /// Remembers a change set without rows.
    pub(crate) fn mark(&mut self, commit: Uuid) {
        self.by_commit.insert((commit, -1));
    }

    pub(crate) fn push(&mut self, row: LogRow) {
        let place = self.rows.len();
        self.by_commit.insert((row.commit_id, row.ordinal));
        if let Some(records) = self.by_record.get_mut(&row.entity) {
            records.insert((row.record_id, row.version, place));
        } else {
            self.by_record.insert(row.entity.clone(), BTreeSet::from([(row.record_id, row.version, place)]));
        }
        self.unsealed.push_back(place);
        self.rows.push(LogRow { number: None, hash: None, ..row });
    }

    /// Destroys the private parts of a record's rows.
    pub(crate) fn erase(&mut self, entity: &str, id: Uuid) {
        let Some(records) = self.by_record.get(entity) else { return };
        for (_, _, place) in records.range((id, i64::MIN, 0)..=(id, i64::MAX, usize::MAX)) {
            self.rows[*place].private = None;
        }
    }

    /// Numbers and chains up to `limit` rows.
    pub(crate) fn seal(&mut self, limit: usize) -> usize {
        let places: Vec<usize> = self.unsealed.drain(..limit.min(self.unsealed.len())).collect();
        let mut rows: Vec<LogRow> = places.iter().map(|place| self.rows[*place].clone()).collect();
        let last = self.sealed.last().and_then(|place| self.rows[*place].hash.clone());
        seal(&mut rows, self.head(), last.as_deref().unwrap_or(GENESIS));
        let by_id: BTreeMap<(Uuid, i32), usize> = places
            .iter()
            .map(|place| ((self.rows[*place].commit_id, self.rows[*place].ordinal), *place))
            .collect();
        for row in rows {
            if let Some(place) = by_id.get(&(row.commit_id, row.ordinal)) {
                self.sealed.push(*place);
                self.rows[*place] = row;
            }
        }
        places.len()
    }

    /// The rows of one record, newest version first.
    pub(crate) fn history(&self, entity: &str, id: Uuid, before: Option<i64>, limit: usize) -> Vec<LogRow> {
        let Some(records) = self.by_record.get(entity) else { return Vec::new() };
        let end = before.map_or((id, i64::MAX, usize::MAX), |version| (id, version, 0));
        let start = (id, i64::MIN, 0);
        if end < start {
            return Vec::new();
        }
        let below = records.range(start..end).rev();
        below.take(limit).map(|(_, _, place)| self.rows[*place].clone()).collect()
    }

    /// Sealed rows with a number above this one.
    pub(crate) fn after(&self, number: i64, limit: usize) -> Vec<LogRow> {
        let from = usize::try_from(number).unwrap_or(0).min(self.sealed.len());
        self.sealed[from..].iter().take(limit).map(|place| self.rows[*place].clone()).collect()
    }

    /// The number of the last sealed row, 0 for none.
    pub(crate) fn head(&self) -> i64 {
        self.sealed.len() as i64
    }

    /// All rows in the order of their commits.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &LogRow> {
        self.rows.iter()
    }
}
