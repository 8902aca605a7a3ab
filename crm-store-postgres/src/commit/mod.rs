//! The one way to write: a handful of statements, however many records.
//!
//! 1. `BEGIN`, with the tenant and the limits.
//! 2. The idempotency key, the log and all locks, in this order, in one statement. The log's primary key holds the
//!    commit id, so a change set that was applied before is recognised here.
//! 3. The writes that free unique values, where there are any.
//! 4. All other writes.
//! 5. Projections, erasure, and the conditions of absence, which see what 3 and 4 wrote.
//! 6. `COMMIT`.

mod claim;
mod lock;
mod side;
mod write;

use std::collections::BTreeSet;

use crm_core::catalog::Catalog;
use crm_core::store::{ChangeSet, CommitError, MAX_WRITES, Write, WriteError};

use crate::error::Stop;
use crate::session::{Purpose, Session};

/// Refuses what no store accepts.
pub(crate) fn check(catalog: &Catalog, change: &ChangeSet) -> Result<(), CommitError> {
    if change.writes.len() > MAX_WRITES {
        return Err(WriteError::TooMany { count: change.writes.len() }.into());
    }
    let mut seen = BTreeSet::new();
    for write in &change.writes {
        let def = write.def();
        if catalog.get(def.name).is_none() {
            return Err(WriteError::Unknown { entity: def.name }.into());
        }
        if !seen.insert((def.name, write.record().id())) {
            return Err(WriteError::Twice { entity: def.name, id: write.record().id() }.into());
        }
        if def.append_only && matches!(write, Write::Update { .. }) && change.erase_log.is_empty() {
            return Err(WriteError::AppendOnly { entity: def.name }.into());
        }
    }
    let others =
        change.guards.iter().map(|guard| guard.target().0).chain(change.none_refer.iter().map(|n| n.def));
    for def in others {
        if catalog.get(def.name).is_none() {
            return Err(WriteError::Unknown { entity: def.name }.into());
        }
    }
    Ok(())
}

/// What the transaction of this change set is for.
pub(crate) fn purpose(change: &ChangeSet) -> Purpose {
    let purges =
        change.writes.iter().any(|write| matches!(write, Write::Purge(record) if record.def.append_only));
    if purges || !change.erase_log.is_empty() { Purpose::Erase } else { Purpose::Write }
}

/// Does everything between `BEGIN` and `COMMIT`.
pub(crate) async fn apply(
    session: &mut Session<'_>,
    change: &ChangeSet,
    notify: Option<&str>,
) -> Result<(), Stop> {
    claim::run(session, change, notify).await?;
    let (releasing, others) = change.writes.split_at(change.releases.min(change.writes.len()));
    for writes in [releasing, others] {
        if !writes.is_empty() {
            write::run(session, change, writes).await?;
        }
    }
    side::run(session, change).await
}
