//! Applying a change set: one transaction, in which a duplicate key of its log rows says that it was applied before.

mod check;
mod plan;
pub(crate) mod transaction;

use std::collections::BTreeMap;

use bson::{Bson, Document, doc};
use crm_core::catalog::EntityDef;
use crm_core::store::{ChangeSet, CommitError, Guard, StoreError, Write};
use mongodb::ClientSession;
use mongodb::options::ReadConcern;
use uuid::Uuid;

use crate::error::{DUPLICATE, is_transient, store_error};
use crate::inner::Inner;
use crate::{names, read};
use transaction::{Failure, Transaction};

/// How often a transaction is done again at once before the caller is told to rest.
const TRIES: u32 = 4;
const PRIMARY_KEY: &str = "_id_";

/// What became of a change set that was handed to a transaction of the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It is part of the transaction, and applied when the caller commits that.
    Pending,
    /// An earlier transaction applied it, with whatever else was in that one. The session's transaction was
    /// aborted; there is nothing left to do.
    Before,
}

/// Applies the change set in a transaction of its own.
pub(crate) async fn commit(inner: &Inner, change: &ChangeSet) -> Result<(), CommitError> {
    plan::validate(inner, change)?;
    let mut lost = None;
    for attempt in 1..=TRIES {
        match once(inner, change).await {
            Ok(()) => return Ok(()),
            Err(Failure::Store(error)) => return Err(error.into()),
            Err(Failure::Commit(error)) => return Err(error),
            Err(Failure::Unknown(error)) => {
                // Done again, it either finds its own log rows or applies the change set for the first time.
                lost = Some(error);
                crate::timing::rest(attempt).await;
            }
            Err(_) => lost = None,
        }
    }
    Err(lost.map_or(CommitError::Contended, CommitError::Store))
}

/// Applies the change set within the caller's transaction.
pub(crate) async fn commit_in(
    inner: &Inner,
    session: &mut ClientSession,
    change: &ChangeSet,
) -> Result<Joined, CommitError> {
    plan::validate(inner, change)?;
    let mut progress = Progress::default();
    let mut transaction = Transaction::lent(inner, session);
    let Err(failure) = apply(inner, &mut transaction, change, &mut progress).await else {
        return Ok(Joined::Pending);
    };
    transaction.abort().await;
    match explain(inner, change, &progress, failure).await {
        Ok(()) => Ok(Joined::Before),
        Err(Failure::Store(error) | Failure::Unknown(error)) => Err(error.into()),
        Err(Failure::Commit(error)) => Err(error),
        Err(_) => Err(CommitError::Contended),
    }
}

async fn once(inner: &Inner, change: &ChangeSet) -> Result<(), Failure> {
    let mut progress = Progress::default();
    let mut transaction = Transaction::start(inner).await?;
    match apply(inner, &mut transaction, change, &mut progress).await {
        Ok(()) => transaction.commit().await,
        Err(failure) => {
            transaction.abort().await;
            explain(inner, change, &progress, failure).await
        }
    }
}

/// Which records the entries of the batch under way stand for.
#[derive(Default)]
struct Progress {
    def: Option<&'static EntityDef>,
    ids: Vec<Uuid>,
}

/// All commands but the last. Each batch is one command, unless it is too big.
async fn apply(
    inner: &Inner,
    transaction: &mut Transaction<'_>,
    change: &ChangeSet,
    progress: &mut Progress,
) -> Result<(), Failure> {
    if let Some(key) = plan::key(change)? {
        transaction.run(&key).await?;
    }
    transaction.run(&plan::log_rows(change)?).await?;
    check::targets(inner, transaction, change).await?;
    if let Some(slots) = plan::slots(change)? {
        transaction.run(&slots).await?;
    }
    for entities in plan::records(change)? {
        progress.def = Some(entities.def);
        for (batch, ids) in entities.batches()? {
            progress.ids = ids;
            transaction.run(&batch).await?;
        }
    }
    progress.def = None;
    for batch in plan::projections(change)? {
        transaction.run(&batch).await?;
    }
    check::referrers(inner, transaction, change).await
}

/// What a failed transaction means for the change set. `Ok` when it turns out to have been applied before.
async fn explain(
    inner: &Inner,
    change: &ChangeSet,
    progress: &Progress,
    failure: Failure,
) -> Result<(), Failure> {
    match failure {
        Failure::Duplicate { collection: names::KEYS, .. } => key_used(inner, change).await,
        Failure::Duplicate { collection: names::LOG, index, .. } if index == PRIMARY_KEY => {
            applied(inner, change).await
        }
        // Two upserts of one key met.
        Failure::Duplicate { collection: names::GUARDS | names::TIMELINE, .. } => Err(Failure::Transient),
        Failure::Duplicate { collection, index, place } => {
            let def = progress.def.filter(|def| def.table == collection);
            if let Some(rule) = def.and_then(|def| def.uniques.iter().find(|rule| rule.name == index)) {
                return Err(Failure::Commit(CommitError::Unique { rule: rule.name }));
            }
            match (def, progress.ids.get(place)) {
                (Some(def), Some(id)) if index == PRIMARY_KEY => {
                    Err(Failure::Commit(CommitError::Conflict { entity: def.name, id: *id }))
                }
                _ => Err(Failure::Store(StoreError::Failed {
                    what: format!("writing to {collection}"),
                    code: DUPLICATE.to_string(),
                })),
            }
        }
        Failure::Mismatch { collection } => match progress.def {
            Some(def) => Err(Failure::Commit(stale(inner, change, def, &progress.ids).await?)),
            None => Err(Failure::Store(StoreError::Failed {
                what: format!("writing to {collection}"),
                code: "mismatch".to_owned(),
            })),
        },
        Failure::Commit(refusal @ CommitError::Dangling { .. }) => {
            Err(Failure::Commit(dangling(inner, change, refusal).await?))
        }
        other => Err(other),
    }
}

/// The key is taken: by this very change set, or by another whose result is what the caller wants.
async fn key_used(inner: &Inner, change: &ChangeSet) -> Result<(), Failure> {
    let Some(claim) = &change.key else { return Err(Failure::Transient) };
    let id = names::key(change.tenant, claim.command, &claim.key);
    let Some(found) = find_one(inner, names::KEYS, id).await? else {
        // Not yet safe on a majority, or expired meanwhile.
        return Err(Failure::Transient);
    };
    if found.get("commit_id").and_then(names::read_uuid) == Some(change.commit_id) {
        return Ok(());
    }
    // Applied long ago, and its key has expired and was used anew since.
    match applied(inner, change).await {
        Err(Failure::Transient) => {}
        outcome => return outcome,
    }
    Err(Failure::Commit(CommitError::KeyUsed(read::key_record(&found)?)))
}

/// The log has this change set's rows: applied, as soon as a majority has them.
async fn applied(inner: &Inner, change: &ChangeSet) -> Result<(), Failure> {
    let ordinal = change.log.first().map_or(-1, |row| row.ordinal);
    match find_one(inner, names::LOG, names::log_row(change.tenant, change.commit_id, ordinal)).await? {
        Some(_) => Ok(()),
        None => Err(Failure::Transient),
    }
}

async fn find_one(inner: &Inner, collection: &str, id: Document) -> Result<Option<Document>, Failure> {
    inner.count();
    inner
        .db
        .collection::<Document>(collection)
        .find_one(doc! { "_id": id })
        .read_concern(ReadConcern::majority())
        .max_time(inner.options.max_time)
        .await
        .map_err(|error| {
            if is_transient(&error) {
                Failure::Transient
            } else {
                Failure::Store(store_error("reading what was committed before", &error))
            }
        })
}

/// Which of the records is not as the change set says.
async fn stale(
    inner: &Inner,
    change: &ChangeSet,
    def: &'static EntityDef,
    ids: &[Uuid],
) -> Result<CommitError, Failure> {
    let first = ids.first().copied().unwrap_or_default();
    let id = if ids.len() < 2 { None } else { differing(inner, change, def, ids).await? };
    Ok(CommitError::Conflict { entity: def.name, id: id.unwrap_or(first) })
}

/// What is said of a link to nothing: that the decision was on records that have changed since, if it was.
async fn dangling(inner: &Inner, change: &ChangeSet, refusal: CommitError) -> Result<CommitError, Failure> {
    let mut changed: BTreeMap<&'static str, (&'static EntityDef, Vec<Uuid>)> = BTreeMap::new();
    for write in change.writes.iter().filter(|write| write.expected_version().is_some()) {
        let ids = &mut changed.entry(write.def().name).or_insert_with(|| (write.def(), Vec::new())).1;
        ids.push(write.record().id());
    }
    for (entity, (def, ids)) in changed {
        if let Some(id) = differing(inner, change, def, &ids).await? {
            return Ok(CommitError::Conflict { entity, id });
        }
    }
    Ok(refusal)
}

/// The first of the records that is not as the change set says.
async fn differing(
    inner: &Inner,
    change: &ChangeSet,
    def: &'static EntityDef,
    ids: &[Uuid],
) -> Result<Option<Uuid>, Failure> {
    inner.count();
    let read = async {
        use futures_util::TryStreamExt;
        let found = inner
            .db
            .collection::<Document>(def.table)
            .find(doc! { "_id": { "$in": read::ids(change.tenant, ids) } })
            .projection(doc! { "id": 1, "version": 1, "deleted_at": 1 })
            .max_time(inner.options.max_time)
            .await?;
        found.try_collect::<Vec<_>>().await
    };
    let found = read.await.map_err(|error| Failure::Store(store_error("finding what changed", &error)))?;
    let as_said = |id: Uuid| {
        let stored = found.iter().find(|document| document.get("id").and_then(names::read_uuid) == Some(id));
        let version = stored.and_then(|document| document.get_i64("version").ok());
        let live =
            stored.is_some_and(|document| matches!(document.get("deleted_at"), None | Some(Bson::Null)));
        let is_this = |other: &EntityDef, other_id: Uuid| other == def && other_id == id;
        let writes = change.writes.iter().filter(|write| is_this(write.def(), write.record().id()));
        let guards = change.guards.iter().filter(|guard| is_this(guard.target().0, guard.target().1));
        writes.map(Write::expected_version).all(|expected| expected.is_none() || expected == version)
            && guards.into_iter().all(|guard| match guard {
                Guard::Version { version: expected, .. } => version == Some(*expected),
                Guard::Live { .. } => live,
            })
    };
    Ok(ids.iter().copied().find(|id| !as_said(*id)))
}
