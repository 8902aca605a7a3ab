//! The records themselves: one statement for any number of tables, one part of it for each table and operation.

use crm_core::catalog::EntityDef;
use crm_core::record::Record;
use crm_core::store::{ChangeSet, CommitError, StoreError, Write};
use sqlx::Row;

use crate::column::{BoundColumn, bind_column, bind_folded};
use crate::error::Stop;
use crate::names::{Names, quote};
use crate::session::Session;
use crate::sql::Args;

/// What is done to the records of one table in one part of the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Insert,
    Update,
    Purge,
}

struct Part<'a> {
    def: &'static EntityDef,
    deed: Deed,
    records: Vec<&'a Record>,
}

/// Applies the writes. Those that free unique values come first: the parts of the others read how many rows they have
/// changed, and a part of a statement that reads another one's rows runs after it.
///
/// Foreign keys are checked when the whole statement is done, so it does not matter which table comes first.
pub(super) async fn run(session: &mut Session<'_>, change: &ChangeSet) -> Result<(), Stop> {
    if change.writes.is_empty() {
        return Ok(());
    }
    let names = session.names();
    let mut args = Args::default();
    args.bind(change.tenant.0);
    let (releasing, others) = change.writes.split_at(change.releases.min(change.writes.len()));
    let mut parts = parts_of(releasing);
    let first = parts.len();
    parts.extend(parts_of(others));
    let freed: Vec<String> = (0..first).map(|place| format!("(SELECT count(*) FROM w{place})")).collect();
    let freed = if first == 0 { "TRUE".to_owned() } else { format!("{} >= 0", freed.join(" + ")) };
    let mut tables = Vec::with_capacity(parts.len());
    let mut selects = Vec::with_capacity(parts.len());
    for (place, part) in parts.iter().enumerate() {
        let when = if place < first { "TRUE" } else { &freed };
        let text = match part.deed {
            Deed::Insert => insert(names, &mut args, part, when)?,
            Deed::Update => update(names, &mut args, part, when)?,
            Deed::Purge => purge(names, &mut args, part, when),
        };
        tables.push(format!("w{place} AS ({text} RETURNING 1)"));
        selects.push(format!("SELECT {place}, count(*) FROM w{place}"));
    }
    let text = format!("WITH {} {}", tables.join(", "), selects.join(" UNION ALL "));
    let rows = session.rows(args.into_sql(text)).await?;
    for row in &rows {
        let place: i32 = row.try_get(0)?;
        let count: i64 = row.try_get(1)?;
        // The locks have been compared, so a difference means that something else writes behind our back.
        if let Some(part) = usize::try_from(place).ok().and_then(|place| parts.get(place))
            && part.records.len() as i64 != count
            && let Some(first) = part.records.first()
        {
            return Err(CommitError::Conflict { entity: part.def.name, id: first.id() }.into());
        }
    }
    Ok(())
}

/// The writes by table and operation, in the order in which these first appear.
fn parts_of(writes: &[Write]) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for write in writes {
        let deed = match write {
            Write::Insert(_) => Deed::Insert,
            Write::Update { .. } => Deed::Update,
            Write::Purge(_) => Deed::Purge,
        };
        let def = write.def();
        match parts.iter_mut().find(|part| part.def == def && part.deed == deed) {
            Some(part) => part.records.push(write.record()),
            None => parts.push(Part { def, deed, records: vec![write.record()] }),
        }
    }
    parts
}

/// The table's columns after the tenant, each with its values.
fn columns(args: &mut Args, part: &Part<'_>) -> Result<Vec<(String, BoundColumn)>, StoreError> {
    let mut columns = Vec::new();
    for (place, field) in part.def.fields.iter().enumerate() {
        columns.push((quote(field.name), bind_column(args, part.def, place, &part.records)?));
        if field.folded {
            columns.push((quote(&field.compare_column()), bind_folded(args, place, &part.records)));
        }
    }
    Ok(columns)
}

/// `UNNEST` of the columns as `u (c0, c1, …)`.
fn unnest(columns: &[(String, BoundColumn)]) -> String {
    let arrays: Vec<&str> = columns.iter().map(|(_, bound)| bound.array.as_str()).collect();
    let names: Vec<String> = (0..columns.len()).map(|place| format!("c{place}")).collect();
    format!("UNNEST({}) AS u ({})", arrays.join(", "), names.join(", "))
}

fn insert(names: &Names, args: &mut Args, part: &Part<'_>, when: &str) -> Result<String, StoreError> {
    let columns = columns(args, part)?;
    let targets: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let values: Vec<String> =
        columns.iter().enumerate().map(|(place, (_, bound))| format!("u.c{place}{}", bound.cast)).collect();
    Ok(format!(
        "INSERT INTO {} (tenant, {}) SELECT $1, {} FROM {} WHERE {when}",
        names.of(part.def),
        targets.join(", "),
        values.join(", "),
        unnest(&columns)
    ))
}

fn update(names: &Names, args: &mut Args, part: &Part<'_>, when: &str) -> Result<String, StoreError> {
    let columns = columns(args, part)?;
    let sets: Vec<String> = columns
        .iter()
        .enumerate()
        .skip(1) // the id
        .map(|(place, (name, bound))| format!("{name} = u.c{place}{}", bound.cast))
        .collect();
    Ok(format!(
        "UPDATE {} AS t SET {} FROM {} WHERE t.tenant = $1 AND t.id = u.c0 AND t.version = u.c1 - 1 AND {when}",
        names.of(part.def),
        sets.join(", "),
        unnest(&columns)
    ))
}

fn purge(names: &Names, args: &mut Args, part: &Part<'_>, when: &str) -> String {
    let ids: Vec<uuid::Uuid> = part.records.iter().map(|record| record.id()).collect();
    format!(
        "DELETE FROM {} AS t WHERE t.tenant = $1 AND t.id = ANY({}) AND {when}",
        names.of(part.def),
        args.bind(ids)
    )
}
