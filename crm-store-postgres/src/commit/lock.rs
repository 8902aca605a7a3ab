//! Every record that is changed or guarded, locked once, at its strongest mode, in one order for all change sets.

use std::collections::BTreeMap;

use crm_core::catalog::EntityDef;
use crm_core::store::{ChangeSet, CommitError, Guard, Write};
use uuid::Uuid;

use crate::names::Names;
use crate::sql::Args;

/// How many selects one table's locks may take before all are taken at the strongest mode among them.
const MAX_RUNS: usize = 8;

/// The modes of a row lock, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    /// It stays there and live: hinders only a deletion.
    KeyShare,
    /// It stays as it is.
    Share,
    /// It is changed; who only relies on its being there is not hindered.
    NoKeyUpdate,
    /// It is deleted or purged.
    Update,
}

impl Mode {
    fn clause(self) -> &'static str {
        match self {
            Self::KeyShare => "FOR KEY SHARE",
            Self::Share => "FOR SHARE",
            Self::NoKeyUpdate => "FOR NO KEY UPDATE",
            Self::Update => "FOR UPDATE",
        }
    }
}

/// What must be true of a locked record.
#[derive(Clone, Copy, Debug)]
struct Expected {
    def: &'static EntityDef,
    mode: Mode,
    version: Option<i64>,
    live: bool,
}

/// The locks of one change set.
#[derive(Debug, Default)]
pub(super) struct Locks {
    /// By table and id: the order in which every change set locks.
    records: BTreeMap<(&'static str, Uuid), Expected>,
    /// Two expectations of one record that contradict each other.
    contradiction: Option<(&'static str, Uuid)>,
}

impl Locks {
    /// What the change set needs.
    pub(super) fn of(change: &ChangeSet) -> Self {
        let mut locks = Self::default();
        for write in &change.writes {
            let mode = match write {
                Write::Insert(_) => continue,
                Write::Update { before, after } if before.is_live() && !after.is_live() => Mode::Update,
                Write::Update { .. } => Mode::NoKeyUpdate,
                Write::Purge(_) => Mode::Update,
            };
            let expected =
                Expected { def: write.def(), mode, version: write.expected_version(), live: false };
            locks.add(write.record().id(), expected);
        }
        for guard in &change.guards {
            let expected = match *guard {
                Guard::Version { def, version, .. } => {
                    Expected { def, mode: Mode::Share, version: Some(version), live: false }
                }
                Guard::Live { def, .. } => Expected { def, mode: Mode::KeyShare, version: None, live: true },
            };
            locks.add(guard.target().1, expected);
        }
        locks
    }

    fn add(&mut self, id: Uuid, new: Expected) {
        let known = self.records.entry((new.def.table, id)).or_insert(new);
        if known.version.is_some() && new.version.is_some() && known.version != new.version {
            self.contradiction = Some((new.def.name, id));
        }
        known.mode = known.mode.max(new.mode);
        known.version = known.version.or(new.version);
        known.live |= new.live;
    }

    /// Selects of (table's place, id, version, live), to be joined by `UNION ALL`.
    pub(super) fn selects(&self, names: &Names, args: &mut Args) -> Vec<String> {
        let mut tables: BTreeMap<&'static str, Vec<(Uuid, Mode)>> = BTreeMap::new();
        for ((table, id), expected) in &self.records {
            tables.entry(table).or_default().push((*id, expected.mode));
        }
        let mut selects = Vec::new();
        for (place, (table, rows)) in tables.into_iter().enumerate() {
            let table = names.table(table);
            for (mode, ids) in runs(&rows) {
                selects.push(format!(
                    "SELECT {place}, l.id, l.version, l.deleted_at IS NULL FROM (SELECT id, version, deleted_at \
                     FROM {table} WHERE tenant = $1 AND id = ANY({}) ORDER BY id {}) AS l",
                    args.bind(ids),
                    mode.clause()
                ));
            }
        }
        selects
    }

    /// Compares what was found, by table's place and id, with what must be true.
    pub(super) fn compare(&self, found: &BTreeMap<(i32, Uuid), (i64, bool)>) -> Result<(), CommitError> {
        if let Some((entity, id)) = self.contradiction {
            return Err(CommitError::Conflict { entity, id });
        }
        let mut place = -1;
        let mut table = "";
        for ((name, id), expected) in &self.records {
            if *name != table {
                place += 1;
                table = name;
            }
            let fits = found.get(&(place, *id)).is_some_and(|(version, live)| {
                expected.version.is_none_or(|v| v == *version) && (*live || !expected.live)
            });
            if !fits {
                return Err(CommitError::Conflict { entity: expected.def.name, id: *id });
            }
        }
        Ok(())
    }
}

/// Consecutive ids of one mode, or all at the strongest when that would be many.
fn runs(rows: &[(Uuid, Mode)]) -> Vec<(Mode, Vec<Uuid>)> {
    let mut runs: Vec<(Mode, Vec<Uuid>)> = Vec::new();
    for (id, mode) in rows {
        match runs.last_mut() {
            Some((last, ids)) if last == mode => ids.push(*id),
            _ => runs.push((*mode, vec![*id])),
        }
    }
    if runs.len() > MAX_RUNS {
        let strongest = rows.iter().map(|(_, mode)| *mode).max().unwrap_or(Mode::Update);
        return vec![(strongest, rows.iter().map(|(id, _)| *id).collect())];
    }
    runs
}
