//! Finds, groups and hierarchies as statements.

use std::fmt::Write as _;

use crm_core::catalog::{EntityDef, FieldType};
use crm_core::store::{Direction, Group, GroupQuery, Measure, Query, StoreError};
use crm_core::value::Value;
use rust_decimal::Decimal;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::column::{read_value, select_list};
use crate::custom;
use crate::filter::{BASE, Scope};
use crate::names::{Names, literal, quote};
use crate::sql::{Sql, after_prefix};

/// The records with these ids.
pub(crate) fn get(names: &Names, tenant: Uuid, def: &EntityDef, ids: &[Uuid]) -> Sql {
    let mut scope = Scope::new(names, tenant);
    let ids = scope.args.bind(ids.to_vec());
    let text = format!(
        "SELECT {} {} WHERE {BASE}.tenant = $1 AND {BASE}.id = ANY({ids})",
        select_list(def, BASE),
        scope.from(def)
    );
    scope.args.into_sql(text)
}

/// The records of a query; without its limit for a scan.
pub(crate) fn find(names: &Names, tenant: Uuid, query: &Query, limited: bool) -> Sql {
    let mut scope = Scope::new(names, tenant);
    let condition = scope.condition(&query.filter);
    let tokens = tokens(&mut scope, names, query);
    let order = order(&mut scope, query);
    let end = if limited { format!(" LIMIT {}", scope.args.bind(query.limit as i64)) } else { String::new() };
    let text = format!(
        "SELECT {} {} WHERE {BASE}.tenant = $1 AND {condition}{tokens} ORDER BY {order}{end}",
        select_list(query.def, BASE),
        scope.from(query.def),
    );
    scope.args.into_sql(text)
}

fn tokens(scope: &mut Scope<'_>, names: &Names, query: &Query) -> String {
    let table = names.table("crm_tokens");
    let entity = literal(query.def.name);
    let mut conditions: Vec<String> =
        query.tokens.iter().map(|token| format!("k.token = {}", scope.args.bind(token.clone()))).collect();
    if let Some(prefix) = &query.token_prefix {
        let until = after_prefix(prefix)
            .map_or_else(String::new, |until| format!(" AND k.token < {}", scope.args.bind(until)));
        conditions.push(format!("k.token >= {}{until}", scope.args.bind(prefix.clone())));
    }
    let mut text = String::new();
    for condition in conditions {
        let _ = write!(
            text,
            " AND {BASE}.id IN (SELECT k.id FROM {table} AS k WHERE k.tenant = $1 AND k.entity = {entity} AND {condition})"
        );
    }
    text
}

fn order(scope: &mut Scope<'_>, query: &Query) -> String {
    let mut keys = Vec::new();
    for order in &query.order {
        let direction = match order.direction {
            Direction::Ascending => "ASC NULLS FIRST",
            Direction::Descending => "DESC NULLS LAST",
        };
        let value = scope.compared(&order.path);
        match (order.path.field_def().field_type(), &order.path.custom) {
            (FieldType::Custom, Some(_)) => {
                keys.push(format!("({}) IS TRUE {direction}", custom::exists(&value)));
                keys.extend(custom::sort_keys(&value).iter().map(|key| format!("{key} {direction}")));
            }
            _ => keys.push(format!("{value} {direction}")),
        }
    }
    keys.push(format!("{BASE}.id ASC"));
    keys.join(", ")
}

/// Counts and sums. One more group than the limit is asked for, to tell when there are too many.
pub(crate) fn group(names: &Names, tenant: Uuid, query: &GroupQuery) -> Sql {
    let most = query.limit as i64;
    let mut scope = Scope::new(names, tenant);
    let mut columns = Vec::new();
    for path in &query.by {
        columns.push(scope.stored(path));
    }
    for measure in &query.measures {
        columns.push(measure_sql(&mut scope, measure));
    }
    let condition = scope.condition(&query.filter);
    let by: Vec<String> = (1..=query.by.len()).map(|place| place.to_string()).collect();
    let by = if by.is_empty() { String::new() } else { format!(" GROUP BY {}", by.join(", ")) };
    let end = scope.args.bind(most + 1);
    let list = if columns.is_empty() { "1".to_owned() } else { columns.join(", ") };
    let text = format!(
        "SELECT {list} {} WHERE {BASE}.tenant = $1 AND {condition}{by} LIMIT {end}",
        scope.from(query.def)
    );
    scope.args.into_sql(text)
}

fn measure_sql(scope: &mut Scope<'_>, measure: &Measure) -> String {
    let (path, smallest) = match measure {
        Measure::Count => return "count(*)".to_owned(),
        Measure::Sum(path) => {
            let value = scope.stored(path);
            let value = if path.custom.is_some() { custom::as_decimal(&value) } else { value };
            // As text: the driver would drop the digits that a decimal has no room for, without a word.
            return format!("trim_scale(coalesce(sum({value}), 0))::text");
        }
        Measure::Min(path) => (path, true),
        Measure::Max(path) => (path, false),
    };
    let value = scope.stored(path);
    let name = if smallest { "min" } else { "max" };
    match path.field_def().field_type() {
        FieldType::Bool => format!("{}({value})", if smallest { "bool_and" } else { "bool_or" }),
        // Older servers cannot compare ids in an aggregate; their text orders the same.
        FieldType::Id => format!("{name}({value}::text COLLATE \"C\")::uuid"),
        FieldType::Text => format!("{name}(nullif({value}, ''))"),
        FieldType::Custom => {
            let direction = if smallest { "ASC" } else { "DESC NULLS LAST" };
            let keys = custom::sort_keys(&value).map(|key| format!("{key} {direction}")).join(", ");
            format!("(array_agg({value} ORDER BY {keys}) FILTER (WHERE {}))[1]", custom::comparable(&value))
        }
        _ => format!("{name}({value})"),
    }
}

/// Reads the groups, in the order of their values.
pub(crate) fn read_groups(query: &GroupQuery, rows: &[PgRow]) -> Result<Vec<Group>, StoreError> {
    if rows.len() > query.limit {
        return Err(StoreError::Refused {
            why: format!("there are more than {} groups; group by less or filter", query.limit),
        });
    }
    let mut groups = rows.iter().map(|row| read_group(query, row)).collect::<Result<Vec<_>, _>>()?;
    groups.sort_by(|a, b| {
        a.by.iter()
            .zip(&b.by)
            .map(|(a, b)| a.sort_order(b))
            .find(|o| o.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    Ok(groups)
}

fn read_group(query: &GroupQuery, row: &PgRow) -> Result<Group, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("a group of {}: {what}", query.def.name) };
    let mut by = Vec::with_capacity(query.by.len());
    for (place, path) in query.by.iter().enumerate() {
        let value = if path.custom.is_some() {
            read_custom(row, place)
        } else {
            read_value(path.field_def().field_type(), row, place)
        };
        by.push(value.ok_or_else(|| corrupt(path.field_def().name))?);
    }
    let mut measures = Vec::with_capacity(query.measures.len());
    for (place, measure) in query.measures.iter().enumerate() {
        let place = query.by.len() + place;
        let value = match measure {
            Measure::Count => read_value(FieldType::Int, row, place),
            Measure::Sum(_) => Some(Value::Decimal(read_sum(row, place)?)),
            Measure::Min(path) | Measure::Max(path) if path.custom.is_some() => read_custom(row, place),
            Measure::Min(path) | Measure::Max(path) => read_value(path.field_def().field_type(), row, place),
        };
        measures.push(value.ok_or_else(|| corrupt("a measure"))?);
    }
    Ok(Group { by, measures })
}

/// Reads an exact sum, or refuses one that has no room in a decimal.
fn read_sum(row: &PgRow, place: usize) -> Result<Decimal, StoreError> {
    let corrupt = |_| StoreError::Corrupt { what: "a sum".to_owned() };
    let text: &str = row.try_get(place).map_err(corrupt)?;
    Decimal::from_str_exact(text).map_err(|_| StoreError::Refused {
        why: "a sum has more than 28 digits; narrow the filter".to_owned(),
    })
}

/// Reads one value of a custom field.
fn read_custom(row: &PgRow, place: usize) -> Option<Value> {
    let json: Option<serde_json::Value> = row.try_get(place).ok()?;
    let Some(json) = json else { return Some(Value::Null) };
    let mut map = serde_json::Map::new();
    map.insert("value".to_owned(), json);
    match Value::custom_from_json(map)? {
        Value::Custom(mut values) => values.remove("value"),
        _ => None,
    }
}

/// The link to the parent; the question has been checked to have one.
fn parent(def: &EntityDef) -> String {
    quote(def.parent.unwrap_or("id"))
}

/// The record and those above it. The path walked so far stops a circle.
pub(crate) fn ancestors(names: &Names, tenant: Uuid, def: &EntityDef, id: Uuid, most: usize) -> Sql {
    let (parent, table) = (parent(def), names.of(def));
    let mut scope = Scope::new(names, tenant);
    let (id, most) = (scope.args.bind(id), scope.args.bind(most as i64));
    let text = format!(
        "WITH RECURSIVE up (id, next, depth, walked) AS (\
         SELECT p.id, p.{parent}, 0::bigint, ARRAY[p.id] FROM {table} AS p WHERE p.tenant = $1 AND p.id = {id} \
         UNION ALL \
         SELECT p.id, p.{parent}, up.depth + 1, up.walked || p.id FROM up JOIN {table} AS p \
         ON p.tenant = $1 AND p.id = up.next WHERE p.id <> ALL(up.walked) AND up.depth + 1 < {most}) \
         SELECT {} FROM up JOIN {table} AS {BASE} ON {BASE}.tenant = $1 AND {BASE}.id = up.id \
         ORDER BY up.depth LIMIT {most}",
        select_list(def, BASE),
    );
    scope.args.into_sql(text)
}

/// The record and all live ones below it, ways through deleted ones included. The path walked so far stops a circle.
pub(crate) fn subtree(names: &Names, tenant: Uuid, def: &EntityDef, id: Uuid, most: usize) -> Sql {
    let (parent, table) = (parent(def), names.of(def));
    let mut scope = Scope::new(names, tenant);
    let (id, most) = (scope.args.bind(id), scope.args.bind(most as i64));
    let text = format!(
        "WITH RECURSIVE down (id, depth, walked) AS (\
         SELECT c.id, 0::bigint, ARRAY[c.id] FROM {table} AS c WHERE c.tenant = $1 AND c.id = {id} \
         UNION ALL \
         SELECT c.id, down.depth + 1, down.walked || c.id FROM down JOIN {table} AS c \
         ON c.tenant = $1 AND c.{parent} = down.id WHERE c.id <> ALL(down.walked)) \
         SELECT {} FROM down JOIN {table} AS {BASE} ON {BASE}.tenant = $1 AND {BASE}.id = down.id \
         WHERE {BASE}.deleted_at IS NULL OR down.depth = 0 ORDER BY down.depth, down.id LIMIT {most}",
        select_list(def, BASE),
    );
    scope.args.into_sql(text)
}
