//! Queries as aggregations.

use std::collections::BTreeSet;

use bson::{Bson, Document, doc};
use crm_core::TenantId;
use crm_core::catalog::{EntityDef, FieldType, Kind, system};
use crm_core::criteria::{Filter, Leaf, Path, Test};
use crm_core::store::{Direction, Order, Query};

use super::bound;
use super::filter::{Translator, after_prefix, all, follows_links};
use super::join::Joins;
use super::paged::Paged;
use crate::document::TENANT;
use crate::names;

/// One aggregation.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    pub(crate) collection: &'static str,
    pub(crate) stages: Vec<Document>,
}

/// The condition in two parts: what the record itself decides, and what needs lookups.
pub(crate) struct Parts {
    pub(crate) own: Document,
    pub(crate) linked: Option<Document>,
    /// The second part as an expression, where it only asks that linked records lack something (are not deleted).
    passes: Option<Document>,
}

/// Translates a condition; the tenant is part of the first half. Without an order (`None`) the read may go any way.
pub(crate) fn parts(
    tenant: TenantId,
    def: &'static EntityDef,
    filter: &Filter,
    order: Option<&[Order]>,
    joins: &mut Joins,
) -> Parts {
    let by_id = order.is_some_and(|order| order.first().is_none_or(|first| is_id(&first.path)));
    let list = match filter {
        Filter::All(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let (linked, own): (Vec<_>, Vec<_>) = list.iter().partition(|inner| follows_links(inner));
    let mut translator = Translator { tenant, joins, by_id };
    let mut conditions = vec![doc! { TENANT: names::tenant(tenant) }];
    let by_index = has_index(def, &own, order.unwrap_or_default());
    if (by_id || !by_index) && !own.iter().any(|inner| names_ids(inner)) {
        // In the primary key's order, or with no index that serves: that key bounds the read to the tenant.
        conditions.push(doc! { "_id": names::of_tenant(tenant) });
    }
    if let Some(first) = order.and_then(<[Order]>::first) {
        let key = translator.joins.key(&first.path, true);
        conditions.extend(bound::implied(&own, first, &key));
    }
    conditions.extend(own.into_iter().map(|inner| translator.filter(inner)).filter(|part| !part.is_empty()));
    let passes: Option<Vec<Document>> =
        linked.iter().map(|inner| lacks(inner, &mut *translator.joins)).collect();
    let linked: Vec<Document> = linked.into_iter().map(|inner| translator.filter(inner)).collect();
    let is_linked = !linked.is_empty();
    Parts {
        own: all(conditions),
        linked: is_linked.then(|| all(linked)),
        passes: passes.filter(|_| is_linked).map(|passes| doc! { "$and": passes }),
    }
}

/// That a linked record has no value in a field, as an expression; `None` for any other condition.
fn lacks(filter: &Filter, joins: &mut Joins) -> Option<Document> {
    let Filter::Not(inner) = filter else { return None };
    let Filter::Leaf(Leaf { path, test: Test::Exists }) = &**inner else { return None };
    if matches!(path.field_def().field_type(), FieldType::Text | FieldType::List | FieldType::Custom) {
        return None;
    }
    let key = format!("${}", joins.key(path, false));
    Some(doc! { "$eq": [{ "$ifNull": [key, Bson::Null] }, Bson::Null] })
}

/// The query as a page of batches, where lookups only refuse a few of its records; `None` for other queries.
pub(crate) fn paged(tenant: TenantId, query: &Query) -> Option<Paged> {
    let by_token = !query.tokens.is_empty() || query.token_prefix.is_some();
    let own_order = query.order.iter().all(|step| step.path.links.is_empty() && step.path.custom.is_none());
    if by_token || !own_order {
        return None;
    }
    let mut joins = Joins::default();
    let Parts { own, passes, .. } = parts(tenant, query.def, &query.filter, Some(&query.order), &mut joins);
    let passes = passes?;
    let sort = sort(&query.order, &mut joins);
    Some(Paged {
        collection: query.def.table,
        own,
        sort,
        lookups: joins.stages(tenant),
        passes,
        tidy: joins.tidy(),
        limit: query.limit,
    })
}

/// The aggregation of a query; without a limit, all records.
pub(crate) fn pipeline(tenant: TenantId, query: &Query, limit: Option<usize>) -> Pipeline {
    let mut joins = Joins::default();
    let parts = parts(tenant, query.def, &query.filter, Some(&query.order), &mut joins);
    let sort = sort(&query.order, &mut joins);
    let early = query.order.iter().all(|step| step.path.links.is_empty());
    let by_token = !query.tokens.is_empty() || query.token_prefix.is_some();
    let mut stages = Vec::new();
    if by_token {
        stages.extend(found_by(tenant, query));
        stages.push(doc! { "$lookup": {
            "from": query.def.table,
            "let": { "i": "$_id" },
            "pipeline": [
                { "$match": { "$expr": { "$eq": ["$_id", { "t": names::tenant(tenant), "i": "$$i" }] } } },
                { "$match": parts.own },
            ],
            "as": "_d",
        } });
        stages.push(doc! { "$unwind": "$_d" });
        stages.push(doc! { "$replaceRoot": { "newRoot": "$_d" } });
    } else {
        stages.push(doc! { "$match": parts.own });
    }
    if early {
        // Sorted first, so that an index can do it and the lookups end with the page.
        stages.push(doc! { "$sort": sort.clone() });
    }
    stages.extend(joins.stages(tenant));
    stages.extend(parts.linked.map(|linked| doc! { "$match": linked }));
    if !early {
        stages.push(doc! { "$sort": sort });
    }
    stages.extend(limit.map(|limit| doc! { "$limit": limit as i64 }));
    stages.extend(joins.tidy());
    let collection = if by_token { names::TOKENS } else { query.def.table };
    Pipeline { collection, stages }
}

fn is_id(path: &Path) -> bool {
    path.links.is_empty() && path.field == system::ID
}

fn sort(order: &[Order], joins: &mut Joins) -> Document {
    let mut sort = Document::new();
    for step in order {
        let way = if step.direction == Direction::Ascending { 1 } else { -1 };
        if is_id(&step.path) {
            // Nothing follows the id: no two records have the same.
            let key = if sort.is_empty() { "_id" } else { "id" };
            sort.insert(key, way);
            return sort;
        }
        let key = joins.key(&step.path, true);
        if !sort.contains_key(&key) {
            sort.insert(key, way);
        }
    }
    sort.insert(if sort.is_empty() { "_id" } else { "id" }, 1);
    sort
}

/// Whether an index begins with a field that the read names: one of the catalog's, or that of a link.
fn has_index(def: &'static EntityDef, own: &[&Filter], order: &[Order]) -> bool {
    let leads = |place: usize| {
        let name = def.fields[place].name;
        def.indexes.iter().any(|index| index.fields.first() == Some(&name))
    };
    let ordered = order.first().is_some_and(|first| first.path.links.is_empty() && leads(first.path.field));
    ordered
        || own.iter().any(|inner| match inner {
            Filter::Leaf(leaf) => {
                let path = &leaf.path;
                let links = matches!(path.field_def().kind, Kind::Link { .. } | Kind::AnyLink { .. });
                (path.custom.is_none() && leads(path.field)) || (links && matches!(leaf.test, Test::In(_)))
            }
            _ => false,
        })
}

/// Whether the condition asks for certain ids.
fn names_ids(filter: &Filter) -> bool {
    matches!(filter, Filter::Leaf(leaf) if is_id(&leaf.path) && matches!(leaf.test, Test::In(_)))
}

/// The ids, as `_id`, of the records that all tokens find. The tokens' own `_id` holds all that is needed, so that
/// only its index is read.
fn found_by(tenant: TenantId, query: &Query) -> Vec<Document> {
    let key = |token: &str| doc! { "t": names::tenant(tenant), "e": query.def.name, "k": token };
    let mut ranges: Vec<(Document, Document)> = Vec::new();
    for token in query.tokens.iter().collect::<BTreeSet<_>>() {
        let (mut from, mut until) = (key(token), key(token));
        from.insert("i", Bson::MinKey);
        until.insert("i", Bson::MaxKey);
        ranges.push((from, until));
    }
    if let Some(prefix) = &query.token_prefix {
        let last = || doc! { "t": names::tenant(tenant), "e": query.def.name, "k": Bson::MaxKey };
        let until = after_prefix(prefix).map_or_else(last, |end| key(&end));
        ranges.push((key(prefix), until));
    }
    if ranges.len() == 1 {
        let (from, until) = ranges.remove(0);
        return vec![
            doc! { "$match": { "_id": { "$gte": from, "$lt": until } } },
            doc! { "$group": { "_id": "$_id.i" } },
        ];
    }
    let mut group = doc! { "_id": "$_id.i" };
    let mut every = Document::new();
    let mut either = Vec::new();
    for (place, (from, until)) in ranges.into_iter().enumerate() {
        let name = format!("c{place}");
        let within = doc! { "$and": [
            { "$gte": ["$_id", { "$literal": from.clone() }] },
            { "$lt": ["$_id", { "$literal": until.clone() }] },
        ] };
        group.insert(name.clone(), doc! { "$max": { "$cond": [within, 1, 0] } });
        every.insert(name, 1);
        either.push(doc! { "_id": { "$gte": from, "$lt": until } });
    }
    vec![
        doc! { "$match": { "$or": either } },
        doc! { "$project": { "_id": 1 } },
        doc! { "$group": group },
        doc! { "$match": every },
    ]
}
