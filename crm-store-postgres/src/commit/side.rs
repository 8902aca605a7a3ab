//! What follows from the records: timeline rows, tokens, erasure of the log, and the conditions of absence.

use std::collections::BTreeMap;

use crm_core::store::{ChangeSet, CommitError, TimelineRow, TokenRow};
use sqlx::Row;
use uuid::Uuid;

use crate::error::Stop;
use crate::names::{Names, quote};
use crate::session::Session;
use crate::sql::{Args, array_literal};
use crate::timeline::COLUMNS;

/// Applies all of it in one statement, if there is any.
pub(super) async fn run(session: &mut Session<'_>, change: &ChangeSet) -> Result<(), Stop> {
    let names = session.names();
    let mut args = Args::default();
    args.bind(change.tenant.0);
    let mut parts = Vec::new();
    let inserted = change.inserted();
    if !change.timeline_drop.is_empty() {
        parts.push(timeline_drop(names, &mut args, change));
    }
    let (new, known): (Vec<_>, Vec<_>) =
        change.timeline_put.iter().partition(|row| inserted.contains(&(row.kind, row.entry_id)));
    if !new.is_empty() {
        parts.push(timeline_insert(names, &mut args, &new));
    }
    if !known.is_empty() {
        parts.push(timeline_replace(names, &mut args, &known));
    }
    let table = names.table("crm_tokens");
    for (entity, rows) in by_entity(&change.tokens_drop) {
        let (entity, tokens) = (args.bind(entity), tokens(&mut args, &rows));
        parts.push(format!(
            "DELETE FROM {table} AS t USING {tokens} \
             WHERE t.tenant = $1 AND t.entity = {entity} AND t.token = u.t AND t.id = u.i"
        ));
    }
    for (entity, rows) in by_entity(&change.tokens_put) {
        let (entity, tokens) = (args.bind(entity), tokens(&mut args, &rows));
        parts.push(format!(
            "INSERT INTO {table} (tenant, entity, token, id) SELECT $1, {entity}, u.t, u.i FROM {tokens}"
        ));
    }
    if !change.erase_log.is_empty() {
        parts.push(erase(names, &mut args, change));
    }
    let checks = none_refer(names, &mut args, change);
    if parts.is_empty() && checks.is_empty() {
        return Ok(());
    }
    let parts: Vec<String> =
        parts.into_iter().enumerate().map(|(place, text)| format!("s{place} AS ({text})")).collect();
    let with = if parts.is_empty() { String::new() } else { format!("WITH {} ", parts.join(", ")) };
    let select = if checks.is_empty() {
        "SELECT 0, NULL::uuid WHERE FALSE".to_owned()
    } else {
        checks.join(" UNION ALL ")
    };
    let rows = session.rows(args.into_sql(format!("{with}{select}"))).await?;
    if let Some(row) = rows.first() {
        let place: i32 = row.try_get(0)?;
        let id: Uuid = row.try_get(1)?;
        if let Some(broken) = usize::try_from(place).ok().and_then(|place| change.none_refer.get(place)) {
            return Err(CommitError::InUse { entity: broken.def.name, field: broken.field, id }.into());
        }
    }
    Ok(())
}

fn timeline_drop(names: &Names, args: &mut Args, change: &ChangeSet) -> String {
    let keys = &change.timeline_drop;
    format!(
        "DELETE FROM {} AS t USING UNNEST({}::uuid[], {}::text[], {}::uuid[]) AS u (a, k, e) \
         WHERE t.tenant = $1 AND t.anchor_id = u.a AND t.kind = u.k AND t.entry_id = u.e",
        names.table("crm_timeline"),
        args.bind(keys.iter().map(|key| key.anchor_id).collect::<Vec<_>>()),
        args.bind(keys.iter().map(|key| key.kind).collect::<Vec<_>>()),
        args.bind(keys.iter().map(|key| key.entry_id).collect::<Vec<_>>()),
    )
}

/// Rows of records that are inserted with them: none is there yet, and to look costs as much as to insert.
fn timeline_insert(names: &Names, args: &mut Args, rows: &[&TimelineRow]) -> String {
    macro_rules! column {
        ($array:literal, $of:expr) => {
            format!("{}::{}", args.bind(rows.iter().map($of).collect::<Vec<_>>()), $array)
        };
    }
    // In the order of `COLUMNS`.
    let arrays = [
        column!("text[]", |r| r.anchor_type),
        column!("uuid[]", |r| r.anchor_id),
        column!("bool[]", |r| r.primary),
        column!("timestamptz[]", |r| r.at),
        column!("text[]", |r| r.kind),
        column!("uuid[]", |r| r.entry_id),
        column!("uuid[]", |r| r.root),
        column!("uuid[]", |r| r.actor),
        column!("uuid[]", |r| r.team),
        column!("text[]", |r| r.visibility.code()),
        column!("text[]", |r| r.audience.code()),
        column!("bool[]", |r| r.pinned),
        column!("bool[]", |r| r.highlight),
        column!("text[]", |r| r.subtype.as_deref()),
        column!("text[]", |r| r.source.as_deref()),
        column!("text[]", |r| r.sentiment.as_deref()),
        column!("numeric[]", |r| r.amount),
        column!("text[]", |r| r.currency.as_deref()),
        column!("text[]", |r| array_literal(&r.tags)),
        column!("text[]", |r| r.display.title.as_str()),
        column!("text[]", |r| r.display.text.as_deref()),
        column!("text[]", |r| r.display.icon.as_str()),
    ];
    let values: Vec<String> = COLUMNS
        .iter()
        .map(|column| if *column == "tags" { "u.tags::text[]".to_owned() } else { format!("u.{column}") })
        .collect();
    format!(
        "INSERT INTO {} (tenant, {}) SELECT $1, {} FROM UNNEST({}) AS u ({})",
        names.table("crm_timeline"),
        COLUMNS.join(", "),
        values.join(", "),
        arrays.join(", "),
        COLUMNS.join(", "),
    )
}

fn timeline_replace(names: &Names, args: &mut Args, rows: &[&TimelineRow]) -> String {
    let sets: Vec<String> = COLUMNS
        .iter()
        .filter(|column| !matches!(**column, "anchor_id" | "kind" | "entry_id"))
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    format!(
        "{} ON CONFLICT (tenant, anchor_id, kind, entry_id) DO UPDATE SET {}",
        timeline_insert(names, args, rows),
        sets.join(", ")
    )
}

fn by_entity(rows: &[TokenRow]) -> BTreeMap<&'static str, Vec<&TokenRow>> {
    let mut entities: BTreeMap<&'static str, Vec<&TokenRow>> = BTreeMap::new();
    for row in TokenRow::in_order(rows) {
        entities.entry(row.entity).or_default().push(row);
    }
    entities
}

fn tokens(args: &mut Args, rows: &[&TokenRow]) -> String {
    format!(
        "UNNEST({}::text[], {}::uuid[]) AS u (t, i)",
        args.bind(rows.iter().map(|row| row.token.as_str()).collect::<Vec<_>>()),
        args.bind(rows.iter().map(|row| row.id).collect::<Vec<_>>()),
    )
}

fn erase(names: &Names, args: &mut Args, change: &ChangeSet) -> String {
    format!(
        "UPDATE {} AS l SET private = NULL FROM UNNEST({}::text[], {}::uuid[]) AS u (e, i) \
         WHERE l.tenant = $1 AND l.entity = u.e AND l.record_id = u.i AND l.private IS NOT NULL",
        names.table("crm_log"),
        args.bind(change.erase_log.iter().map(|(def, _)| def.name).collect::<Vec<_>>()),
        args.bind(change.erase_log.iter().map(|(_, id)| *id).collect::<Vec<_>>()),
    )
}

/// For each link, a select of its first condition's place and an id that is still referred to.
fn none_refer(names: &Names, args: &mut Args, change: &ChangeSet) -> Vec<String> {
    let mut links: BTreeMap<(&'static str, &'static str), (usize, Vec<Uuid>)> = BTreeMap::new();
    for (place, none) in change.none_refer.iter().enumerate() {
        links.entry((none.def.table, none.field)).or_insert_with(|| (place, Vec::new())).1.push(none.id);
    }
    links
        .into_iter()
        .map(|((table, field), (place, ids))| {
            format!(
                "SELECT {place}, x.id FROM UNNEST({}::uuid[]) AS x (id) WHERE EXISTS (SELECT FROM {} AS c \
                 WHERE c.tenant = $1 AND c.{} = x.id AND c.deleted_at IS NULL)",
                args.bind(ids),
                names.table(table),
                quote(field)
            )
        })
        .collect()
}
