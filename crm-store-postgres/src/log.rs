//! The change log: reading rows and sealing them.

use crm_core::log::{Body, GENESIS, LogRow, Op, Private, seal};
use crm_core::store::StoreError;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::store_error;
use crate::filter::Scope;
use crate::names::Names;
use crate::session::Session;
use crate::sql::{Args, Sql};

const COLUMNS: &str =
    "commit_id, ordinal, entity, record_id, version, op, at, root, body, private, number, hash";

/// The rows of one record, newest first.
pub(crate) fn history(
    names: &Names,
    tenant: Uuid,
    entity: &'static str,
    id: Uuid,
    before: Option<i64>,
    most: usize,
) -> Sql {
    let mut scope = Scope::new(names, tenant);
    let (entity, id) = (scope.args.bind(entity), scope.args.bind(id));
    let before = before.map_or_else(String::new, |v| format!(" AND version < {}", scope.args.bind(v)));
    let text = format!(
        "SELECT {COLUMNS} FROM {} WHERE tenant = $1 AND entity = {entity} AND record_id = {id}{before} \
         ORDER BY version DESC LIMIT {}",
        names.table("crm_log"),
        scope.args.bind(most as i64)
    );
    scope.args.into_sql(text)
}

/// Sealed rows after a number.
pub(crate) fn sealed(names: &Names, tenant: Uuid, after: i64, most: usize) -> Sql {
    let mut scope = Scope::new(names, tenant);
    let text = format!(
        "SELECT {COLUMNS} FROM {} WHERE tenant = $1 AND number > {} ORDER BY number LIMIT {}",
        names.table("crm_log"),
        scope.args.bind(after),
        scope.args.bind(most as i64)
    );
    scope.args.into_sql(text)
}

/// Reads a row.
pub(crate) fn read_row(row: &PgRow) -> Result<LogRow, StoreError> {
    read(row).ok_or_else(|| StoreError::Corrupt { what: "a row of the log".to_owned() })
}

fn read(row: &PgRow) -> Option<LogRow> {
    Some(LogRow {
        commit_id: row.try_get(0).ok()?,
        ordinal: row.try_get(1).ok()?,
        entity: row.try_get(2).ok()?,
        record_id: row.try_get(3).ok()?,
        version: row.try_get(4).ok()?,
        op: Op::parse(row.try_get(5).ok()?)?,
        at: row.try_get(6).ok()?,
        root: row.try_get(7).ok()?,
        body: row.try_get::<Json<Body>, _>(8).ok()?.0,
        private: row.try_get::<Option<Json<Private>>, _>(9).ok()?.map(|json| json.0),
        number: row.try_get(10).ok()?,
        hash: row.try_get(11).ok()?,
    })
}

/// The select that inserts the rows of a change set, for a statement whose `$1` is the tenant and whose values
/// are `args`.
pub(crate) fn insert(
    names: &Names,
    args: &mut Args,
    commit_id: Uuid,
    rows: &[LogRow],
) -> Result<String, StoreError> {
    let failed = |_| StoreError::Failed { what: "writing the log".to_owned(), code: "json".to_owned() };
    let mut bodies = Vec::with_capacity(rows.len());
    let mut privates = Vec::with_capacity(rows.len());
    for row in rows {
        bodies.push(serde_json::to_string(&row.body).map_err(failed)?);
        privates.push(row.private.as_ref().map(serde_json::to_string).transpose().map_err(failed)?);
    }
    let commit_id = args.bind(commit_id);
    let arrays = [
        (args.bind(rows.iter().map(|r| r.ordinal).collect::<Vec<_>>()), "int4[]"),
        (args.bind(rows.iter().map(|r| r.entity.as_str()).collect::<Vec<_>>()), "text[]"),
        (args.bind(rows.iter().map(|r| r.record_id).collect::<Vec<_>>()), "uuid[]"),
        (args.bind(rows.iter().map(|r| r.version).collect::<Vec<_>>()), "int8[]"),
        (args.bind(rows.iter().map(|r| r.op.code()).collect::<Vec<_>>()), "text[]"),
        (args.bind(rows.iter().map(|r| r.at).collect::<Vec<_>>()), "timestamptz[]"),
        (args.bind(rows.iter().map(|r| r.root).collect::<Vec<_>>()), "uuid[]"),
        (args.bind(bodies), "text[]"),
        (args.bind(privates), "text[]"),
    ];
    let arrays: Vec<String> = arrays.iter().map(|(array, kind)| format!("{array}::{kind}")).collect();
    Ok(format!(
        "INSERT INTO {} (tenant, commit_id, ordinal, entity, record_id, version, op, at, root, body, private) \
         SELECT $1, {commit_id}, u.o, u.e, u.r, u.v, u.p, u.t, u.c, u.b::json, u.s::json \
         FROM UNNEST({}) AS u (o, e, r, v, p, t, c, b, s)",
        names.table("crm_log"),
        arrays.join(", ")
    ))
}

/// Seals up to `most` rows inside the session's transaction. The head's row is the lease: whoever holds it is the
/// only one who numbers.
pub(crate) async fn seal_rows(
    session: &mut Session<'_>,
    tenant: Uuid,
    most: usize,
) -> Result<usize, sqlx::Error> {
    let names = session.names();
    let (log, head) = (names.table("crm_log"), names.table("crm_log_head"));
    let ask = |text: String, more: Option<i64>| {
        let mut args = Args::default();
        args.bind(tenant);
        if let Some(more) = more {
            args.bind(more);
        }
        args.into_sql(text)
    };
    let waiting =
        ask(format!("SELECT EXISTS (SELECT FROM {log} WHERE tenant = $1 AND number IS NULL)"), None);
    let any = session.rows(waiting).await?;
    if !any.first().map(|row| row.try_get::<bool, _>(0)).transpose()?.unwrap_or(false) {
        return Ok(0);
    }
    let lock = format!("SELECT number, hash FROM {head} WHERE tenant = $1 FOR UPDATE");
    let mut found = session.rows(ask(lock.clone(), None)).await?;
    if found.is_empty() {
        let mut args = Args::default();
        args.bind(tenant);
        args.bind(GENESIS);
        let make =
            format!("INSERT INTO {head} (tenant, number, hash) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING");
        session.rows(args.into_sql(make)).await?;
        found = session.rows(ask(lock, None)).await?;
    }
    let Some(found) = found.first() else { return Err(sqlx::Error::RowNotFound) };
    let (number, hash): (i64, String) = (found.try_get(0)?, found.try_get(1)?);
    let text = format!(
        "SELECT {COLUMNS} FROM {log} WHERE tenant = $1 AND number IS NULL \
         ORDER BY at, version, commit_id, ordinal LIMIT $2"
    );
    let rows = session.rows(ask(text, Some(most.min(crm_core::store::MAX_LIMIT) as i64))).await?;
    let mut rows = rows
        .iter()
        .map(read)
        .collect::<Option<Vec<LogRow>>>()
        .ok_or_else(|| sqlx::Error::Decode("a row of the log".into()))?;
    seal(&mut rows, number, &hash);
    let Some(last) = rows.last() else { return Ok(0) };
    let mut args = Args::default();
    args.bind(tenant);
    args.bind(rows.iter().map(|r| r.commit_id).collect::<Vec<_>>());
    args.bind(rows.iter().map(|r| r.ordinal).collect::<Vec<_>>());
    args.bind(rows.iter().map(|r| r.number).collect::<Vec<_>>());
    args.bind(rows.iter().map(|r| r.hash.clone()).collect::<Vec<_>>());
    args.bind(last.number.unwrap_or(number));
    args.bind(last.hash.clone().unwrap_or(hash));
    let text = format!(
        "WITH sealed AS (UPDATE {log} AS l SET number = u.n, hash = u.h \
         FROM UNNEST($2::uuid[], $3::int4[], $4::int8[], $5::text[]) AS u (c, o, n, h) \
         WHERE l.tenant = $1 AND l.commit_id = u.c AND l.ordinal = u.o) \
         UPDATE {head} SET number = $6, hash = $7 WHERE tenant = $1"
    );
    session.rows(args.into_sql(text)).await?;
    Ok(rows.len())
}

/// The error of sealing.
pub(crate) fn seal_error(error: &sqlx::Error) -> StoreError {
    store_error("seal_log", error)
}
