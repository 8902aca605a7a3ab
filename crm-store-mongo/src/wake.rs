//! Waking up when something was committed.

use std::sync::Arc;

use bson::{Document, doc};
use crm_core::TenantId;
use crm_core::store::StoreError;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ChangeStreamEvent;

use crate::error::store_error;
use crate::inner::Inner;
use crate::names;

type Events = ChangeStream<ChangeStreamEvent<Document>>;

/// A stream that yields after rows entered the tenant's log. It is open when this returns: what is committed later
/// wakes. The driver resumes it after a lost connection; when it cannot, the stream opens a new one and yields once,
/// because something may have been missed.
pub(crate) async fn wakes(inner: Arc<Inner>, tenant: TenantId) -> Result<BoxStream<'static, ()>, StoreError> {
    let events = open(&inner, tenant).await?;
    let stream = futures_util::stream::unfold((inner, events), move |(inner, mut events)| async move {
        if !matches!(events.next().await, Some(Ok(_))) {
            events = reopen(&inner, tenant).await;
        }
        Some(((), (inner, events)))
    });
    Ok(stream.boxed())
}

async fn reopen(inner: &Inner, tenant: TenantId) -> Events {
    let mut attempt = 1;
    loop {
        crate::timing::rest(attempt).await;
        match open(inner, tenant).await {
            Ok(events) => return events,
            Err(error) => tracing::warn!(%error, attempt, "the log cannot be watched; trying again"),
        }
        attempt += 1;
    }
}

async fn open(inner: &Inner, tenant: TenantId) -> Result<Events, StoreError> {
    inner.count();
    inner
        .db
        .collection::<Document>(names::LOG)
        .watch()
        .pipeline([
            doc! { "$match": { "operationType": "insert", "documentKey._id.t": names::tenant(tenant) } },
            doc! { "$project": { "_id": 1, "operationType": 1, "ns": 1, "documentKey": 1 } },
        ])
        .await
        .map_err(|error| store_error("watching the log", &error))
}
