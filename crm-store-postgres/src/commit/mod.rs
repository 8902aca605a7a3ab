//! The one way to write: a handful of statements, however many records.
//!
//! 1. `BEGIN`, with the tenant and the limits.
//! 2. The idempotency key, the log and all locks, in this order, in one statement. The log's primary key holds the
//!    commit id, so a change set that was applied before is recognised here.
//! 3. The writes, those that free unique values first.
//! 4. Projections, erasure, and the conditions of absence, which see what 3 wrote.
//! 5. `COMMIT`.

mod claim;
mod lock;
mod side;
mod write;

use std::collections::BTreeSet;

use crm_core::catalog::{Catalog, EntityDef};
use crm_core::store::{ChangeSet, CommitError, MAX_WRITES, StoreError, Write, WriteError};

use crate::error::Stop;
use crate::session::{Purpose, Session};

/// Refuses what no store accepts, before anything is sent.
pub(crate) fn check(catalog: &Catalog, change: &ChangeSet) -> Result<(), CommitError> {
    if change.writes.len() > MAX_WRITES {
        return Err(WriteError::TooMany { count: change.writes.len() }.into());
    }
    let known = |def: &'static EntityDef| match catalog.get(def.name) {
        Some(_) => Ok(()),
        None => Err(CommitError::from(WriteError::Unknown { entity: def.name })),
    };
    let mut seen = BTreeSet::new();
    for write in &change.writes {
        let (def, id) = (write.def(), write.record().id());
        known(def)?;
        if !seen.insert((def.name, id)) {
            return Err(WriteError::Twice { entity: def.name, id }.into());
        }
        if def.append_only && matches!(write, Write::Update { .. }) && change.erase_log.is_empty() {
            return Err(WriteError::AppendOnly { entity: def.name }.into());
        }
        check_form(write)?;
    }
    for guard in &change.guards {
        known(guard.target().0)?;
    }
    for none in &change.none_refer {
        known(none.def)?;
        if none.def.index_of(none.field).is_none() {
            return refuse(format!("{} has no field {}", none.def.name, none.field));
        }
    }
    // Two rows at one place would look like a change set that was applied before.
    let mut places = BTreeSet::new();
    if !change.log.iter().all(|row| row.commit_id == change.commit_id && places.insert(row.ordinal)) {
        return refuse("log rows have the change set's id and a place each of their own".to_owned());
    }
    Ok(())
}

/// Refuses a record that is not of its entity's form, and versions that do not follow one another.
fn check_form(write: &Write) -> Result<(), CommitError> {
    let (def, record) = (write.def(), write.record());
    let expected = match write {
        Write::Insert(_) => 1,
        Write::Update { before, .. } => {
            if before.def != def || before.id() != record.id() {
                return refuse(format!("a {} is updated from another record", def.name));
            }
            before.version() + 1
        }
        Write::Purge(_) => record.version(),
    };
    if record.values.len() != def.fields.len() {
        return refuse(format!("a {} has one value for each field", def.name));
    }
    if record.version() != expected {
        return refuse(format!("a {} has version {} where {expected} follows", def.name, record.version()));
    }
    Ok(())
}

fn refuse(why: String) -> Result<(), CommitError> {
    Err(CommitError::Store(StoreError::Refused { why }))
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
    write::run(session, change).await?;
    side::run(session, change).await
}
