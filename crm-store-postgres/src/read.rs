//! From questions to statements, and from rows to answers.

use crm_core::TenantId;
use crm_core::store::{Answer, KeyRecord, Query, Read, StoreError};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::column::read_record;
use crate::error::{Stop, is_lost};
use crate::filter::Scope;
use crate::inner::Inner;
use crate::log;
use crate::query;
use crate::session::Session;
use crate::sql::Sql;
use crate::timeline;

impl Inner {
    /// The one statement that answers this read.
    pub(crate) fn statement(&self, tenant: TenantId, read: &Read) -> Result<Sql, StoreError> {
        let (names, tenant) = (&self.names, tenant.0);
        read.check(&self.catalog)?;
        Ok(match read {
            Read::Get { def, ids } => query::get(names, tenant, def, ids),
            Read::Find(query) => query::find(names, tenant, query, true),
            Read::Group(query) => query::group(names, tenant, query),
            Read::Ancestors { def, id, limit } => query::ancestors(names, tenant, def, *id, *limit),
            Read::Subtree { def, id, limit } => query::subtree(names, tenant, def, *id, *limit),
            Read::Timeline(query) => timeline::page(names, &self.shape, tenant, query),
            Read::History { def, id, before_version, limit } => {
                log::history(names, tenant, def.name, *id, *before_version, *limit)
            }
            Read::Log { after, limit } => log::sealed(names, tenant, *after, *limit),
            Read::Key { command, key } => {
                let mut scope = Scope::new(names, tenant);
                let (command, key) = (scope.args.bind(*command), scope.args.bind(key.clone()));
                let table = names.table("crm_keys");
                scope.args.into_sql(format!(
                    "SELECT digest, result, at FROM {table} WHERE tenant = $1 AND command = {command} AND key = {key}"
                ))
            }
            Read::LogHead => {
                let scope = Scope::new(names, tenant);
                let table = names.table("crm_log_head");
                scope.args.into_sql(format!("SELECT number FROM {table} WHERE tenant = $1"))
            }
            Read::Position { consumer } => {
                let mut scope = Scope::new(names, tenant);
                let consumer = scope.args.bind(consumer.clone());
                let table = names.table("crm_consumers");
                scope.args.into_sql(format!(
                    "SELECT number FROM {table} WHERE tenant = $1 AND consumer = {consumer}"
                ))
            }
        })
    }

    /// Runs the statement of a read and reads its answer.
    pub(crate) async fn answer(
        &self,
        session: &mut Session<'_>,
        read: &Read,
        sql: Sql,
    ) -> Result<Answer, Stop> {
        let corrupt = |what: &str| StoreError::Corrupt { what: what.to_owned() };
        Ok(match read {
            Read::Get { def, .. }
            | Read::Find(Query { def, .. })
            | Read::Ancestors { def, .. }
            | Read::Subtree { def, .. } => {
                Answer::Records(session.read(sql, |row| read_record(def, row, 0)).await?)
            }
            Read::Group(query) => Answer::Groups(query::read_groups(query, &session.rows(sql).await?)?),
            Read::Timeline(_) => {
                Answer::Timeline(session.read(sql, |row| timeline::read_row(&self.catalog, row)).await?)
            }
            Read::History { .. } | Read::Log { .. } => Answer::Log(session.read(sql, log::read_row).await?),
            Read::Key { .. } => {
                let read = |row: &PgRow| -> Result<KeyRecord, sqlx::Error> {
                    Ok(KeyRecord { digest: row.try_get(0)?, result: row.try_get(1)?, at: row.try_get(2)? })
                };
                let keys = session.read(sql, |row| read(row).map_err(|_| corrupt("an idempotency key")));
                Answer::Key(keys.await?.pop())
            }
            Read::LogHead | Read::Position { .. } => {
                let read = |row: &PgRow| row.try_get(0).map_err(|_| corrupt("a place in the log"));
                Answer::Position(session.read(sql, read).await?.pop().unwrap_or(0))
            }
        })
    }
}

/// Whether trying again may help.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    let busy = matches!(error, sqlx::Error::Database(db)
        if db.code().is_some_and(|code| matches!(&*code, "40001" | "40P01" | "55P03")));
    busy || is_lost(error)
}
