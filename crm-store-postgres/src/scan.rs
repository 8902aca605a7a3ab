//! Streams over a whole query: a cursor of the server in one snapshot, a chunk at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use crm_core::TenantId;
use crm_core::record::Record;
use crm_core::store::{Query, StoreError};
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::{Postgres, Transaction};

use crate::column::read_record;
use crate::error::store_error;
use crate::inner::Inner;
use crate::query;
use crate::session::{Purpose, Session};
use crate::sql::Args;

/// How many records one round trip brings.
const CHUNK: usize = 1_000;

enum State {
    Start,
    Open { transaction: Box<Transaction<'static, Postgres>>, chunk: VecDeque<Record>, more: bool },
    End,
}

/// The records of the query. Dropping the stream rolls the transaction back and frees its connection.
pub(crate) fn scan(
    inner: Arc<Inner>,
    tenant: TenantId,
    query: Query,
) -> BoxStream<'static, Result<Record, StoreError>> {
    stream::unfold(State::Start, move |state| {
        let (inner, query) = (Arc::clone(&inner), query.clone());
        async move { next(&inner, tenant, &query, state).await }
    })
    .boxed()
}

async fn next(
    inner: &Inner,
    tenant: TenantId,
    query: &Query,
    mut state: State,
) -> Option<(Result<Record, StoreError>, State)> {
    let limit = inner.longest();
    loop {
        let step = match state {
            State::End => return None,
            State::Start => inner.health.within(limit, "scan", open(inner, tenant, query)).await,
            State::Open { transaction, mut chunk, more } => {
                if let Some(record) = chunk.pop_front() {
                    return Some((Ok(record), State::Open { transaction, chunk, more }));
                }
                if !more {
                    // Nothing was written; an error here loses nothing.
                    let _ = transaction.rollback().await;
                    return None;
                }
                inner.health.within(limit, "scan", fetch(inner, query, transaction)).await
            }
        };
        match step {
            Ok(next) => state = next,
            Err(error) => return Some((Err(error), State::End)),
        }
    }
}

async fn open(inner: &Inner, tenant: TenantId, query: &Query) -> Result<State, StoreError> {
    query.check(&inner.catalog)?;
    let failed = |error: sqlx::Error| store_error("scan", &error);
    let sql = query::find(&inner.names, tenant.0, query, false);
    let mut transaction = inner.begin(tenant, Purpose::Read).await.map_err(failed)?;
    let mut session = Session::new(&mut transaction, &inner.counter, &inner.names);
    session
        .rows(sql.wrap(|text| format!("DECLARE crm_scan NO SCROLL CURSOR FOR {text}")))
        .await
        .map_err(failed)?;
    Ok(State::Open { transaction: Box::new(transaction), chunk: VecDeque::new(), more: true })
}

async fn fetch(
    inner: &Inner,
    query: &Query,
    mut transaction: Box<Transaction<'static, Postgres>>,
) -> Result<State, StoreError> {
    let mut session = Session::new(&mut transaction, &inner.counter, &inner.names);
    let sql = Args::default().into_sql(format!("FETCH FORWARD {CHUNK} FROM crm_scan"));
    let rows = session.rows_once(sql).await.map_err(|error| store_error("scan", &error))?;
    let chunk =
        rows.iter().map(|row| read_record(query.def, row, 0)).collect::<Result<VecDeque<_>, StoreError>>()?;
    let more = chunk.len() == CHUNK;
    Ok(State::Open { transaction, chunk, more })
}
