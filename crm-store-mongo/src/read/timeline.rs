//! Pages of the timeline projection.

use bson::{Bson, Document, doc};
use crm_core::TenantId;
use crm_core::catalog::{Catalog, EntityDef};
use crm_core::store::{Direction, StoreError, TimelineAnchor, TimelineQuery, TimelineRow, Viewer};
use crm_core::timeline::{Audience, Display, Visibility};
use uuid::Uuid;

use super::filter::{all, any, never};
use super::paged::Paged;
use crate::document::{TENANT, decimal, instant, read_decimal, read_instant};
use crate::error::corrupt;
use crate::names;

/// The document of a row.
pub(crate) fn to_document(tenant: TenantId, row: &TimelineRow) -> Document {
    let id = |id: Option<Uuid>| id.map_or(Bson::Null, names::uuid);
    let text = |text: &Option<String>| text.clone().map_or(Bson::Null, Bson::String);
    doc! {
        "_id": names::timeline(tenant, &row.key()),
        TENANT: names::tenant(tenant),
        "anchor_type": row.anchor_type,
        "anchor_id": names::uuid(row.anchor_id),
        "primary": row.primary,
        "at": instant(row.at),
        "kind": row.kind,
        "entry_id": names::uuid(row.entry_id),
        "root": id(row.root),
        "actor": id(row.actor),
        "team": id(row.team),
        "visibility": row.visibility.code(),
        "audience": row.audience.code(),
        "pinned": row.pinned,
        "highlight": row.highlight,
        "subtype": text(&row.subtype),
        "source": text(&row.source),
        "sentiment": text(&row.sentiment),
        "amount": row.amount.map_or(Bson::Null, decimal),
        "currency": text(&row.currency),
        "tags": row.tags.clone(),
        "title": &row.display.title,
        "text": text(&row.display.text),
        "icon": &row.display.icon,
    }
}

/// The row of a document.
pub(crate) fn to_row(catalog: &Catalog, document: &Document) -> Result<TimelineRow, StoreError> {
    read_row(catalog, document).ok_or_else(|| corrupt("a timeline row is not as it was written"))
}

fn read_row(catalog: &Catalog, document: &Document) -> Option<TimelineRow> {
    let id = |key: &str| document.get(key).and_then(names::read_uuid);
    let text = |key: &str| document.get_str(key).ok().map(str::to_owned);
    let entity = |key: &str| catalog.get(document.get_str(key).ok()?).map(|def| def.name);
    let tags =
        document.get_array("tags").ok()?.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
    Some(TimelineRow {
        anchor_type: entity("anchor_type")?,
        anchor_id: id("anchor_id")?,
        primary: document.get_bool("primary").ok()?,
        at: read_instant(document.get("at")?)?,
        kind: entity("kind")?,
        entry_id: id("entry_id")?,
        root: id("root"),
        actor: id("actor"),
        team: id("team"),
        visibility: Visibility::parse(document.get_str("visibility").ok()?)?,
        audience: Audience::parse(document.get_str("audience").ok()?)?,
        pinned: document.get_bool("pinned").ok()?,
        highlight: document.get_bool("highlight").ok()?,
        subtype: text("subtype"),
        source: text("source"),
        sentiment: text("sentiment"),
        amount: document.get("amount").and_then(read_decimal),
        currency: text("currency"),
        tags,
        display: Display { title: text("title")?, text: text("text"), icon: text("icon")? },
    })
}

/// A page. `root` is the entity of customers.
pub(crate) fn page(tenant: TenantId, root: Option<&'static EntityDef>, query: &TimelineQuery) -> Paged {
    let newest_first = query.direction == Direction::Descending;
    let mut conditions = vec![doc! { TENANT: names::tenant(tenant) }];
    let mut single = false;
    match &query.anchor {
        TimelineAnchor::Records(ids) => {
            let mut ids = ids.clone();
            ids.sort_unstable();
            ids.dedup();
            single = ids.len() == 1;
            conditions.push(match ids.as_slice() {
                [one] => doc! { "anchor_id": names::uuid(*one) },
                many => doc! { "anchor_id": { "$in": uuids(many) } },
            });
        }
        TimelineAnchor::User(user) => conditions.push(doc! { "actor": names::uuid(*user), "primary": true }),
        TimelineAnchor::Tenant => conditions.push(doc! { "primary": true }),
    }
    conditions.extend(window(query));
    conditions.extend(filters(query));
    conditions.extend(viewer(&query.viewer));
    let way = if newest_first { -1 } else { 1 };
    let mut sort = doc! { "at": way, "kind": way, "entry_id": way };
    if !single {
        sort.insert("_id.a", way);
    }
    let mut page = Paged {
        collection: names::TIMELINE,
        own: all(conditions),
        sort,
        lookups: Vec::new(),
        passes: Document::new(),
        tidy: None,
        limit: query.limit,
    };
    let mut passes = Vec::new();
    if let Some(root) = root {
        let key = doc! { "t": names::tenant(tenant), "i": "$$l" };
        page.lookups.push(lookup(root.table, doc! { "l": "$root" }, key, "_root"));
        // Without a customer, or with one that is there and live.
        let live = doc! { "$in": [Bson::Null, "$_root.deleted_at"] };
        passes.push(doc! { "$or": [{ "$eq": [{ "$ifNull": ["$root", Bson::Null] }, Bson::Null] }, live] });
    }
    for (place, token) in query.filter.tokens.iter().enumerate() {
        let name = format!("_t{place}");
        let key = doc! {
            "t": names::tenant(tenant), "e": "$$e", "k": { "$literal": token }, "i": "$$i",
        };
        page.lookups.push(lookup(names::TOKENS, doc! { "e": "$kind", "i": "$entry_id" }, key, &name));
        passes.push(doc! { "$ne": [format!("${name}"), []] });
    }
    page.passes = doc! { "$and": passes };
    page
}

fn lookup(from: &str, variables: Document, key: Document, name: &str) -> Document {
    doc! { "$lookup": {
        "from": from,
        "let": variables,
        "pipeline": [
            { "$match": { "$expr": { "$eq": ["$_id", key] } } },
            { "$project": { "deleted_at": 1 } },
        ],
        "as": name,
    } }
}

fn uuids(ids: &[Uuid]) -> Vec<Bson> {
    ids.iter().copied().map(names::uuid).collect()
}

/// The instants, and the place that the page begins after. A plain range on the instant bounds what is read of the
/// index; the rest of the place takes away what stands at that very instant and was shown before.
fn window(query: &TimelineQuery) -> Vec<Document> {
    let mut conditions = Vec::new();
    let mut range = Document::new();
    let newest_first = query.direction == Direction::Descending;
    let (mut from, mut until) = (query.filter.from, query.filter.until);
    if let Some(after) = &query.after {
        if newest_first {
            until = Some(until.map_or(after.at, |until| until.min(after.at)));
        } else {
            from = Some(from.map_or(after.at, |from| from.max(after.at)));
        }
        let past = if newest_first { "$gt" } else { "$lt" };
        let at = instant(after.at);
        let entry = names::uuid(after.entry_id);
        let anchor = names::uuid(after.anchor_id);
        let kind = &after.kind;
        let past_or_at = if newest_first { "$gte" } else { "$lte" };
        conditions.push(doc! { "$nor": [
            { "at": at.clone(), "kind": { past: kind } },
            { "at": at.clone(), "kind": kind, "entry_id": { past: entry.clone() } },
            { "at": at, "kind": kind, "entry_id": entry, "anchor_id": { past_or_at: anchor } },
        ] });
    }
    if let Some(from) = from {
        range.insert("$gte", instant(from));
    }
    if let Some(until) = until {
        range.insert("$lte", instant(until));
    }
    if !range.is_empty() {
        conditions.push(doc! { "at": range });
    }
    conditions
}

fn filters(query: &TimelineQuery) -> Vec<Document> {
    let filter = &query.filter;
    let mut conditions = Vec::new();
    let texts = [
        ("kind", &filter.kinds),
        ("subtype", &filter.subtypes),
        ("source", &filter.sources),
        ("sentiment", &filter.sentiments),
    ];
    for (key, values) in texts {
        if !values.is_empty() {
            conditions.push(doc! { key: { "$in": values.clone() } });
        }
    }
    for (key, ids) in [("actor", &filter.actors), ("team", &filter.teams)] {
        if !ids.is_empty() {
            conditions.push(doc! { key: { "$in": uuids(ids) } });
        }
    }
    if !filter.visibilities.is_empty() {
        let codes: Vec<&str> = filter.visibilities.iter().map(|visibility| visibility.code()).collect();
        conditions.push(doc! { "visibility": { "$in": codes } });
    }
    conditions.extend(filter.pinned.map(|pinned| doc! { "pinned": pinned }));
    conditions
}

/// What [`Viewer::sees`] says.
fn viewer(viewer: &Viewer) -> Vec<Document> {
    let mut conditions = Vec::new();
    if viewer.external_only {
        conditions.push(doc! { "audience": Audience::External.code() });
    }
    if !viewer.sees_all {
        let own = viewer.user.map_or_else(never, |user| doc! { "actor": names::uuid(user) });
        let team = doc! { "visibility": Visibility::Team.code(), "team": { "$in": uuids(&viewer.teams) } };
        let own = all(vec![doc! { "visibility": { "$ne": Visibility::All.code() } }, own]);
        conditions.push(any(vec![doc! { "visibility": Visibility::All.code() }, team, own]));
    }
    conditions
}
