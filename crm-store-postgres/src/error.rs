//! From the driver's errors to the contract's. No text of the driver or the server passes: it can hold row data.

use crm_core::catalog::{EntityDef, Kind};
use crm_core::store::{ChangeSet, CommitError, StoreError, Write};

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;
use uuid::Uuid;

use crate::names::{Constraint, Names};

/// The error of a read.
pub(crate) fn store_error(what: &str, error: &sqlx::Error) -> StoreError {
    let what = what.to_owned();
    match error {
        sqlx::Error::Database(db) => {
            let code = db.code().unwrap_or_default().into_owned();
            match code.as_str() {
                "57014" => StoreError::Timeout { what },
                "40001" | "40P01" | "55P03" | "53300" | "57P01" | "57P02" | "57P03" => {
                    StoreError::Unavailable { what }
                }
                "42P01" | "42703" | "3F000" | "42883" => StoreError::NotReady {
                    why: format!(
                        "a table, column or function is missing ({what}, code {code}); run the migrations"
                    ),
                },
                "42501" => StoreError::NotReady {
                    why: format!(
                        "the role lacks a privilege ({what}); grant it by migrating with runtime_role"
                    ),
                },
                "28P01" | "28000" => StoreError::NotReady {
                    why: "PostgreSQL refused the credentials; check the user and password of its address"
                        .to_owned(),
                },
                "3D000" => StoreError::NotReady {
                    why: "PostgreSQL has no database of the name in its address; create it, or name another"
                        .to_owned(),
                },
                _ if code.starts_with("08") => StoreError::Unavailable { what },
                _ => StoreError::Failed { what, code },
            }
        }
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => {
            StoreError::Corrupt { what }
        }
        sqlx::Error::Encode(_) => StoreError::Failed { what, code: "encode".to_owned() },
        sqlx::Error::Configuration(_) => StoreError::NotReady {
            why: "the address of the server is not one; use postgres://user:password@host/database"
                .to_owned(),
        },
        _ => StoreError::Unavailable { what },
    }
}

/// Whether nothing is known of what the server did.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(db) => db
            .code()
            .is_some_and(|code| matches!(&*code, "57P01" | "57P02" | "57P03") || code.starts_with("08")),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        _ => false,
    }
}

/// How a commit under way ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// This change set is in the log already: a success.
    Applied,
    /// Refused.
    Refused(CommitError),
    /// The driver failed.
    Driver(sqlx::Error),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<CommitError> for Stop {
    fn from(error: CommitError) -> Self {
        Self::Refused(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Refused(CommitError::Store(error))
    }
}

/// What a failure of the driver means for a change set; `None` when the change set is in the log already.
pub(crate) fn commit_error(names: &Names, change: &ChangeSet, error: &sqlx::Error) -> Option<CommitError> {
    if let sqlx::Error::Database(db) = error {
        let constraint = db.constraint().and_then(|name| names.constraint(name));
        let code = db.code().unwrap_or_default();
        let detail = detail(&**db);
        match (&*code, constraint) {
            ("23505", Some(Constraint::Applied)) => return None,
            ("23505", Some(Constraint::Unique(rule))) => return Some(CommitError::Unique { rule }),
            ("23505", Some(Constraint::PrimaryKey(def))) => {
                // The detail is read for the id only, which the caller knows, and goes no further.
                let mut inserted = inserted(change, def);
                let named = inserted
                    .iter()
                    .copied()
                    .find(|id| detail.is_some_and(|text| text.contains(&id.to_string())));
                if let Some(id) = named.or_else(|| inserted.pop()) {
                    return Some(CommitError::Conflict { entity: def.name, id });
                }
            }
            ("23503", Some(Constraint::Link { def, field })) => {
                return Some(broken_link(change, def, field, detail));
            }
            ("40001" | "40P01" | "55P03", _) => return Some(CommitError::Contended),
            _ => {}
        }
    }
    Some(CommitError::Store(store_error("commit", error)))
}

fn inserted(change: &ChangeSet, def: &EntityDef) -> Vec<Uuid> {
    let of_entity = |write: &Write| match write {
        Write::Insert(record) if record.def == def => Some(record.id()),
        _ => None,
    };
    change.writes.iter().filter_map(of_entity).collect()
}

/// The part of an error that names keys. Under row level security there is none, or one without keys.
fn detail(db: &dyn DatabaseError) -> Option<&str> {
    let detail = db.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::detail);
    detail.filter(|text| text.contains(")=("))
}

/// Where to look for the record that a refusal is about, when the server does not say: under row level security its
/// errors have no detail.
#[derive(Debug)]
pub(crate) struct Clue {
    /// The table to look in.
    pub(crate) def: &'static EntityDef,
    /// The column that holds one of the ids: the record's own, or a link to it.
    pub(crate) field: &'static str,
    /// The records it can be.
    pub(crate) ids: Vec<Uuid>,
}

/// What is left open by an error of the driver.
pub(crate) fn clue(names: &Names, change: &ChangeSet, error: &sqlx::Error) -> Option<Clue> {
    let db = error.as_database_error()?;
    if detail(db).is_some() {
        return None;
    }
    let clue = match names.constraint(db.constraint()?)? {
        Constraint::PrimaryKey(def) => Clue { def, field: "id", ids: inserted(change, def) },
        Constraint::Link { def, field } => {
            let purged = change.writes.iter().filter_map(|write| match write {
                Write::Purge(record) => Some(record.id()),
                _ => None,
            });
            Clue { def, field, ids: purged.collect() }
        }
        Constraint::Unique(_) | Constraint::Applied => return None,
    };
    (!clue.ids.is_empty()).then_some(clue)
}

/// The refusal with the record that was found, if one was.
pub(crate) fn named(error: CommitError, found: Option<Uuid>) -> CommitError {
    match (error, found) {
        (CommitError::Conflict { entity, .. }, Some(id)) => CommitError::Conflict { entity, id },
        (CommitError::InUse { entity, field, .. }, Some(id)) => CommitError::InUse { entity, field, id },
        // Nothing refers to what was to be purged, so it was a link that was written.
        (CommitError::InUse { entity, field, .. }, None) => CommitError::Dangling { entity, field },
        (other, _) => other,
    }
}

/// A foreign key fails when its holder is written, or when the record it leads to is purged: then the detail names
/// that record. The detail is read for the id only, which the caller knows, and goes no further.
fn broken_link(
    change: &ChangeSet,
    def: &'static EntityDef,
    field: &'static str,
    detail: Option<&str>,
) -> CommitError {
    let place = def.index_of(field);
    let target = place.and_then(|place| match def.fields[place].kind {
        Kind::Link { entity } => Some(entity),
        _ => None,
    });
    let purged = change.writes.iter().find_map(|write| match write {
        Write::Purge(record) if Some(record.def.name) == target => {
            let id = record.id();
            detail.is_none_or(|text| text.contains(&id.to_string())).then_some(id)
        }
        _ => None,
    });
    let leads_there = |id| {
        change.writes.iter().any(|write| {
            write.def() == def
                && !matches!(write, Write::Purge(_))
                && place.is_some_and(|place| write.record().values[place].as_id() == Some(id))
        })
    };
    match purged {
        Some(id) if !leads_there(id) => CommitError::InUse { entity: def.name, field, id },
        _ => CommitError::Dangling { entity: def.name, field },
    }
}
