//! The first statement of a commit: the idempotency key, the log, the locks.

use std::collections::BTreeMap;

use crm_core::store::{ChangeSet, CommitError, KeyRecord};
use sqlx::Row;
use uuid::Uuid;

use super::lock::Locks;
use crate::error::Stop;
use crate::log;
use crate::session::Session;
use crate::sql::Args;

/// The places of the first rows of the answer; those of tables follow from 0.
const KEY: i32 = -1;
const LOG: i32 = -2;
const NOTIFY: i32 = -3;

/// Claims, logs and locks, and refuses what does not fit.
pub(super) async fn run(
    session: &mut Session<'_>,
    change: &ChangeSet,
    notify: Option<&str>,
) -> Result<(), Stop> {
    let names = session.names();
    let mut args = Args::default();
    args.bind(change.tenant.0);
    let mut tables = Vec::new();
    // The parts of a UNION ALL run one after another, each to its end.
    let mut selects = Vec::new();
    if let Some(claim) = &change.key {
        tables.push(format!(
            "claimed AS (INSERT INTO {} (tenant, command, key, commit_id, digest, result, at) \
             VALUES ($1, {}, {}, {}, {}, {}, {}) ON CONFLICT DO NOTHING RETURNING 1)",
            names.table("crm_keys"),
            args.bind(claim.command),
            args.bind(claim.key.as_str()),
            args.bind(change.commit_id),
            args.bind(claim.record.digest.as_str()),
            args.bind(claim.record.result.as_str()),
            args.bind(claim.record.at),
        ));
        selects.push(format!(
            "SELECT {KEY} AS part, NULL::uuid AS id, count(*) AS version, TRUE AS live FROM claimed"
        ));
    }
    if !change.log.is_empty() {
        let insert = log::insert(names, &mut args, change.commit_id, &change.log)?;
        tables.push(format!("logged AS ({insert} RETURNING 1)"));
        selects.push(format!(
            "SELECT {LOG} AS part, NULL::uuid AS id, count(*) AS version, TRUE AS live FROM logged"
        ));
    }
    let locks = Locks::of(change);
    selects.extend(locks.selects(names, &mut args));
    if let Some(channel) = notify {
        let (channel, tenant) = (args.bind(channel), args.bind(change.tenant.0.to_string()));
        selects.push(format!(
            "SELECT {NOTIFY} AS part, NULL::uuid AS id, 0::bigint AS version, pg_notify({channel}, {tenant}) IS NULL AS live"
        ));
    }
    if selects.is_empty() {
        return Ok(());
    }
    let with = if tables.is_empty() { String::new() } else { format!("WITH {} ", tables.join(", ")) };
    let rows = session.rows(args.into_sql(format!("{with}{}", selects.join(" UNION ALL ")))).await?;
    let mut found: BTreeMap<(i32, Uuid), (i64, bool)> = BTreeMap::new();
    let mut claimed = true;
    for row in &rows {
        match row.try_get::<i32, _>(0)? {
            KEY => claimed = row.try_get::<i64, _>(2)? == 1,
            LOG | NOTIFY => {}
            place => {
                found.insert((place, row.try_get(1)?), (row.try_get(2)?, row.try_get(3)?));
            }
        }
    }
    if !claimed {
        return Err(used(session, change).await?);
    }
    locks.compare(&found)?;
    Ok(())
}

/// What the key gave to the one who had it first.
async fn used(session: &mut Session<'_>, change: &ChangeSet) -> Result<Stop, sqlx::Error> {
    let Some(claim) = &change.key else { return Ok(Stop::Refused(CommitError::Contended)) };
    let mut args = Args::default();
    args.bind(change.tenant.0);
    args.bind(claim.command);
    args.bind(claim.key.as_str());
    let text = format!(
        "SELECT digest, result, at, commit_id FROM {} WHERE tenant = $1 AND command = $2 AND key = $3",
        session.names().table("crm_keys")
    );
    let rows = session.rows(args.into_sql(text)).await?;
    // Gone again between the two statements: whoever removed it is in the way.
    let Some(row) = rows.first() else { return Ok(Stop::Refused(CommitError::Contended)) };
    if row.try_get::<Uuid, _>(3)? == change.commit_id {
        return Ok(Stop::Applied);
    }
    let record = KeyRecord { digest: row.try_get(0)?, result: row.try_get(1)?, at: row.try_get(2)? };
    Ok(Stop::Refused(CommitError::KeyUsed(record)))
}
