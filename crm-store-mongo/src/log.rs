//! The change log: its documents, and giving its rows their place.

use std::time::Instant;

use bson::{Bson, Document, doc};
use crm_core::TenantId;
use crm_core::log::{GENESIS, LogRow, Op, seal};
use crm_core::store::StoreError;
use mongodb::options::ReadConcern;

use crate::commit::transaction::{Batch, Failure, Transaction, Verb};
use crate::document::{TENANT, instant, read_instant};
use crate::error::{corrupt, store_error};
use crate::inner::Inner;
use crate::names;

/// The document of a row. Body and private part are JSON text, so that they are read back as they were written.
pub(crate) fn to_document(tenant: TenantId, row: &LogRow) -> Result<Document, StoreError> {
    let json = |what: serde_json::Result<String>| what.map_err(|_| corrupt("a log row is no JSON"));
    let private = match &row.private {
        Some(private) => Bson::String(json(serde_json::to_string(private))?),
        None => Bson::Null,
    };
    Ok(doc! {
        "_id": names::log_row(tenant, row.commit_id, row.ordinal),
        TENANT: names::tenant(tenant),
        "entity": &row.entity,
        "record_id": names::uuid(row.record_id),
        "version": row.version,
        "op": row.op.code(),
        "at": instant(row.at),
        "root": row.root.map_or(Bson::Null, names::uuid),
        "body": json(serde_json::to_string(&row.body))?,
        "private": private,
        "number": row.number,
        "hash": &row.hash,
    })
}

/// What stands in the log for a change set without rows, so that it is known to have been applied. Its number, 0,
/// keeps it out of every read.
pub(crate) fn marker(tenant: TenantId, commit_id: uuid::Uuid) -> Document {
    doc! { "_id": names::log_row(tenant, commit_id, -1), TENANT: names::tenant(tenant), "number": 0_i64 }
}

/// The row of a document.
pub(crate) fn to_row(document: &Document) -> Result<LogRow, StoreError> {
    read_row(document).ok_or_else(|| corrupt("a log row is not as it was written"))
}

fn read_row(document: &Document) -> Option<LogRow> {
    let id = document.get_document("_id").ok()?;
    Some(LogRow {
        commit_id: names::read_uuid(id.get("c")?)?,
        ordinal: id.get_i32("o").ok()?,
        entity: document.get_str("entity").ok()?.to_owned(),
        record_id: names::read_uuid(document.get("record_id")?)?,
        version: document.get_i64("version").ok()?,
        op: Op::parse(document.get_str("op").ok()?)?,
        at: read_instant(document.get("at")?)?,
        root: document.get("root").and_then(names::read_uuid),
        body: serde_json::from_str(document.get_str("body").ok()?).ok()?,
        private: match document.get("private") {
            Some(Bson::String(text)) => Some(serde_json::from_str(text).ok()?),
            _ => None,
        },
        number: document.get_i64("number").ok(),
        hash: document.get_str("hash").ok().map(str::to_owned),
    })
}

/// Numbers and chains up to `limit` committed rows. The tenant's head document is written first: of two that seal
/// at once, one conflicts and does it again.
pub(crate) async fn seal_log(inner: &Inner, tenant: TenantId, limit: usize) -> Result<usize, StoreError> {
    let started = Instant::now();
    for attempt in 1.. {
        if limit == 0 || !waiting(inner, tenant).await? {
            return Ok(0);
        }
        let mut transaction = Transaction::start(inner).await?;
        let sealed = match seal_some(&mut transaction, tenant, limit).await {
            Ok(sealed) => transaction.commit().await.map(|()| sealed),
            Err(failure) => {
                transaction.abort().await;
                Err(failure)
            }
        };
        match sealed {
            Ok(sealed) => return Ok(sealed),
            // When the outcome is not known, the rows tell: what was sealed is not waiting any more.
            Err(Failure::Transient | Failure::Unknown(_) | Failure::Duplicate { .. }) => {}
            Err(Failure::Store(error)) => return Err(error),
            Err(Failure::Mismatch { .. } | Failure::Commit(_)) => {
                return Err(corrupt("the head of the log moved"));
            }
        }
        if started.elapsed() > inner.options.max_time {
            break;
        }
        crate::timing::rest(attempt).await;
    }
    Err(StoreError::Timeout { what: "sealing the log".to_owned() })
}

async fn waiting(inner: &Inner, tenant: TenantId) -> Result<bool, StoreError> {
    inner.count();
    inner
        .db
        .collection::<Document>(names::LOG)
        .find_one(doc! { TENANT: names::tenant(tenant), "number": Bson::Null })
        .projection(doc! { "_id": 1 })
        .read_concern(ReadConcern::majority())
        .max_time(inner.options.max_time)
        .await
        .map(|row| row.is_some())
        .map_err(|error| store_error("looking for rows to seal", &error))
}

async fn seal_some(
    transaction: &mut Transaction<'_>,
    tenant: TenantId,
    limit: usize,
) -> Result<usize, Failure> {
    let id = names::head(tenant);
    let fence = doc! {
        "findAndModify": names::HEADS,
        "query": { "_id": id.clone() },
        "update": { "$inc": { "fence": 1_i64 } },
        "upsert": true,
        "new": true,
    };
    let answer = transaction.command(fence, "taking the head of the log").await?;
    let head = answer.get_document("value").ok();
    let last = head.and_then(|head| head.get_i64("number").ok()).unwrap_or(0);
    let hash = head.and_then(|head| head.get_str("hash").ok()).unwrap_or(GENESIS).to_owned();
    let stages = vec![
        doc! { "$match": { TENANT: names::tenant(tenant), "number": Bson::Null } },
        doc! { "$sort": { "at": 1, "version": 1, "_id.c": 1, "_id.o": 1 } },
        doc! { "$limit": limit as i64 },
    ];
    let found = transaction.aggregate(names::LOG, stages, "reading rows to seal").await?;
    let mut rows = found.iter().map(to_row).collect::<Result<Vec<_>, _>>().map_err(Failure::Store)?;
    seal(&mut rows, last, &hash);
    let Some(end) = rows.last() else { return Ok(0) };
    let mut batch = Batch::new(names::LOG, Verb::Update);
    for row in &rows {
        batch.push(&doc! {
            "q": { "_id": names::log_row(tenant, row.commit_id, row.ordinal), "number": Bson::Null },
            "u": { "$set": { "number": row.number, "hash": &row.hash } },
        })?;
    }
    transaction.run(&batch).await?;
    let mut batch = Batch::new(names::HEADS, Verb::Update);
    batch.push(&doc! { "q": { "_id": id }, "u": { "$set": { "number": end.number, "hash": &end.hash } } })?;
    transaction.run(&batch).await?;
    Ok(rows.len())
}
