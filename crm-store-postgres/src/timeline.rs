//! Pages of the timeline projection.
//!
//! A page costs the same at any depth: where to go on is a comparison of rows in the order of an index.

use std::fmt::Write as _;

use crm_core::catalog::{Catalog, EntityDef};
use crm_core::store::{Direction, StoreError, TimelineAnchor, TimelineQuery, TimelineRow};
use crm_core::timeline::{Audience, Display, Visibility};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::filter::Scope;
use crate::names::Names;
use crate::sql::Sql;

/// The columns after the tenant, in the order of [`read_row`] and of the commit's insert.
pub(crate) const COLUMNS: [&str; 22] = [
    "anchor_type",
    "anchor_id",
    "is_primary",
    "at",
    "kind",
    "entry_id",
    "root",
    "actor",
    "team",
    "visibility",
    "audience",
    "pinned",
    "highlight",
    "subtype",
    "source",
    "sentiment",
    "amount",
    "currency",
    "tags",
    "title",
    "text",
    "icon",
];

/// What statements need to know of a catalog, computed once.
#[derive(Debug)]
pub(crate) struct Shape {
    /// The entities that roots of timeline rows are records of: the end of every root path.
    roots: Vec<&'static EntityDef>,
    /// What an entry can be a record of.
    kinds: Vec<&'static str>,
}

impl Shape {
    /// The shape of a catalog.
    pub(crate) fn of(catalog: &Catalog) -> Self {
        let mut roots: Vec<&'static EntityDef> = Vec::new();
        let ends = catalog.entities().filter_map(|def| {
            let path = catalog.root_path(def)?;
            let (holder, place) = path.last()?;
            catalog.target(&holder.fields[*place].kind)
        });
        for def in ends.chain(catalog.get("customer")) {
            if !roots.contains(&def) {
                roots.push(def);
            }
        }
        Self { roots, kinds: catalog.entities().map(|def| def.name).collect() }
    }
}

/// A page.
pub(crate) fn page(names: &Names, shape: &Shape, tenant: Uuid, query: &TimelineQuery) -> Sql {
    let mut scope = Scope::new(names, tenant);
    let most = query.limit as i64;
    let anchor = match &query.anchor {
        TimelineAnchor::Records(ids) if ids.len() == 1 => {
            format!("e.anchor_id = {}", scope.args.bind(ids[0]))
        }
        TimelineAnchor::Records(_) => "e.anchor_id = a.anchor_id".to_owned(),
        TimelineAnchor::User(user) => format!("e.is_primary AND e.actor = {}", scope.args.bind(*user)),
        TimelineAnchor::Tenant => "e.is_primary".to_owned(),
    };
    let mut conditions = vec!["e.tenant = $1".to_owned(), anchor];
    seen(&mut scope, query, &mut conditions);
    filtered(&mut scope, names, shape, query, &mut conditions);
    let (way, sign) = match query.direction {
        Direction::Ascending => ("ASC", ">"),
        Direction::Descending => ("DESC", "<"),
    };
    if let Some(after) = &query.after {
        conditions.push(format!(
            "(e.at, e.kind, e.entry_id, e.anchor_id) {sign} ({}, {}, {}, {})",
            scope.args.bind(after.at),
            scope.args.bind(after.kind.clone()),
            scope.args.bind(after.entry_id),
            scope.args.bind(after.anchor_id),
        ));
    }
    let mut joins = String::new();
    for (place, root) in shape.roots.iter().enumerate() {
        let alias = format!("r{place}");
        let _ = write!(
            joins,
            " LEFT JOIN {} AS {alias} ON {alias}.tenant = $1 AND {alias}.id = e.root",
            names.of(root)
        );
        conditions.push(format!("{alias}.deleted_at IS NULL"));
    }
    let order = format!("e.at {way}, e.kind {way}, e.entry_id {way}, e.anchor_id {way}");
    let columns: Vec<String> = COLUMNS.iter().map(|column| format!("e.{column}")).collect();
    let columns = columns.join(", ");
    let end = scope.args.bind(most);
    let table = names.table("crm_timeline");
    let one = format!(
        "SELECT {columns} FROM {table} AS e{joins} WHERE {} ORDER BY {order} LIMIT {end}",
        conditions.join(" AND ")
    );
    let text = match &query.anchor {
        // Each anchor gives its own first rows from the index; only those are sorted.
        TimelineAnchor::Records(ids) if ids.len() != 1 => format!(
            "SELECT {columns} FROM (SELECT DISTINCT unnest({}::uuid[]) AS anchor_id) AS a CROSS JOIN LATERAL ({one}) AS e \
             ORDER BY {order} LIMIT {end}",
            scope.args.bind(ids.clone())
        ),
        _ => one,
    };
    scope.args.into_sql(text)
}

/// What [`Viewer::sees`](crm_core::store::Viewer::sees) says.
fn seen(scope: &mut Scope<'_>, query: &TimelineQuery, conditions: &mut Vec<String>) {
    let viewer = &query.viewer;
    if viewer.external_only {
        conditions.push("e.audience = 'external'".to_owned());
    }
    if viewer.sees_all {
        return;
    }
    let mut ways = vec!["e.visibility = 'all'".to_owned()];
    if !viewer.teams.is_empty() {
        ways.push(format!(
            "(e.visibility = 'team' AND e.team = ANY({}))",
            scope.args.bind(viewer.teams.clone())
        ));
    }
    if let Some(user) = viewer.user {
        ways.push(format!("(e.visibility IN ('team', 'private') AND e.actor = {})", scope.args.bind(user)));
    }
    conditions.push(format!("({})", ways.join(" OR ")));
}

/// What [`TimelineFilter::passes`](crm_core::store::TimelineFilter::passes) says, and the tokens.
fn filtered(
    scope: &mut Scope<'_>,
    names: &Names,
    shape: &Shape,
    query: &TimelineQuery,
    conditions: &mut Vec<String>,
) {
    let filter = &query.filter;
    for (column, list) in [
        ("kind", &filter.kinds),
        ("subtype", &filter.subtypes),
        ("source", &filter.sources),
        ("sentiment", &filter.sentiments),
    ] {
        if !list.is_empty() {
            conditions.push(format!("e.{column} = ANY({})", scope.args.bind(list.clone())));
        }
    }
    for (column, list) in [("actor", &filter.actors), ("team", &filter.teams)] {
        if !list.is_empty() {
            conditions.push(format!("e.{column} = ANY({})", scope.args.bind(list.clone())));
        }
    }
    if !filter.visibilities.is_empty() {
        let codes: Vec<&'static str> = filter.visibilities.iter().map(|v| v.code()).collect();
        conditions.push(format!("e.visibility = ANY({})", scope.args.bind(codes)));
    }
    if let Some(from) = filter.from {
        conditions.push(format!("e.at >= {}", scope.args.bind(from)));
    }
    if let Some(until) = filter.until {
        conditions.push(format!("e.at <= {}", scope.args.bind(until)));
    }
    match filter.pinned {
        Some(true) => conditions.push("e.pinned".to_owned()),
        Some(false) => conditions.push("NOT e.pinned".to_owned()),
        None => {}
    }
    for token in &filter.tokens {
        // The kinds are named so that the index of tokens, which begins with them, can be entered from either side.
        let kinds = if filter.kinds.is_empty() {
            scope.args.bind(shape.kinds.clone())
        } else {
            scope.args.bind(filter.kinds.clone())
        };
        conditions.push(format!(
            "EXISTS (SELECT FROM {} AS k WHERE k.tenant = $1 AND k.entity = ANY({kinds}) AND k.entity = e.kind \
             AND k.token = {} AND k.id = e.entry_id)",
            names.table("crm_tokens"),
            scope.args.bind(token.clone())
        ));
    }
}

/// Reads a row of a page.
pub(crate) fn read_row(catalog: &Catalog, row: &PgRow) -> Result<TimelineRow, StoreError> {
    read(catalog, row).ok_or_else(|| StoreError::Corrupt { what: "a row of the timeline".to_owned() })
}

fn read(catalog: &Catalog, row: &PgRow) -> Option<TimelineRow> {
    let entity = |place: usize| {
        let name: &str = row.try_get(place).ok()?;
        catalog.get(name).map(|def| def.name)
    };
    Some(TimelineRow {
        anchor_type: entity(0)?,
        anchor_id: row.try_get(1).ok()?,
        primary: row.try_get(2).ok()?,
        at: row.try_get(3).ok()?,
        kind: entity(4)?,
        entry_id: row.try_get(5).ok()?,
        root: row.try_get(6).ok()?,
        actor: row.try_get(7).ok()?,
        team: row.try_get(8).ok()?,
        visibility: Visibility::parse(row.try_get(9).ok()?)?,
        audience: Audience::parse(row.try_get(10).ok()?)?,
        pinned: row.try_get(11).ok()?,
        highlight: row.try_get(12).ok()?,
        subtype: row.try_get(13).ok()?,
        source: row.try_get(14).ok()?,
        sentiment: row.try_get(15).ok()?,
        amount: row.try_get::<Option<rust_decimal::Decimal>, _>(16).ok()?.map(|amount| amount.normalize()),
        currency: row.try_get(17).ok()?,
        tags: row.try_get(18).ok()?,
        display: Display {
            title: row.try_get(19).ok()?,
            text: row.try_get(20).ok()?,
            icon: row.try_get(21).ok()?,
        },
    })
}
