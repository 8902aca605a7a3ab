//! Which way to the records of a query.

use crm_core::catalog::{EntityDef, system};
use crm_core::criteria::Filter;
use crm_core::store::{Direction, Order};
use crm_core::value::Value;
use uuid::Uuid;

use crate::constraint::{Constraints, is_own};
use crate::index::Span;
use crate::key;
use crate::schema::{Holds, IndexSchema, TableSchema};
use crate::table::Table;

/// Where the candidates of a query come from. The filter is asked of each, whatever the source.
#[derive(Debug, PartialEq)]
pub(crate) enum Source {
    /// These records.
    Ids(Vec<Uuid>),
    /// All records of the entity, by id.
    All,
    /// Parts of an index.
    Spans(Spans),
}

/// Parts of an index that hold all candidates.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spans {
    pub(crate) index: usize,
    pub(crate) parts: Vec<Span>,
    /// The directions of the columns after a span's prefix that are steps of the requested order.
    pub(crate) directions: Vec<Direction>,
    /// Which steps of the requested order those are.
    pub(crate) steps: Vec<usize>,
    /// Whether a span, walked in those directions, is in the whole requested order, by id at the end.
    pub(crate) complete: bool,
    /// Whether all steps of the order that the walk does not follow are the same for all records.
    pub(crate) seekable: bool,
    /// How much of the filter it tells: fields in the prefix, and the range after it.
    strength: usize,
    /// At most one record a span.
    single: bool,
    /// Whether the filter says nothing more.
    tells_all: bool,
}

/// What is asked for, as far as it matters for the way there.
pub(crate) struct Wanted<'a> {
    pub(crate) filter: &'a Filter,
    /// The order, by id at the end; `None` when any will do.
    pub(crate) order: Option<&'a [Order]>,
    /// How many records are wanted.
    pub(crate) limit: usize,
    /// The candidates that another source knows, if they are fewer than this.
    pub(crate) listed: Option<&'a dyn Fn(usize) -> Option<Vec<Uuid>>>,
}

/// Below this many candidates, no walk in order is worth it. Tests take the ways of large tables.
const FEW: usize = if cfg!(test) { 2 } else { 256 };
/// How many combinations of values a walk visits at most.
const MAX_SPANS: usize = 1_000;

/// Chooses the source of a query's candidates.
pub(crate) fn choose(table: &Table, schema: &TableSchema, wanted: &Wanted<'_>) -> Source {
    let order = wanted.order.unwrap_or_default();
    let constraints = Constraints::of(wanted.filter, order);
    if let Some(ids) = constraints.get(system::ID).and_then(|constraint| constraint.one_of.as_ref()) {
        return Source::Ids(ids.iter().map(|column| key::id_of(column)).collect());
    }
    let offers: Vec<Spans> =
        (0..schema.indexes.len()).filter_map(|index| offer(index, schema, &constraints, order)).collect();
    if let Some(single) = offers.iter().find(|offer| offer.single) {
        return Source::Spans(single.clone());
    }
    let walk = offers
        .iter()
        .filter(|offer| wanted.order.is_some() && (offer.complete || !offer.directions.is_empty()))
        .max_by_key(|offer| (offer.complete, offer.strength, offer.directions.len()));
    if let Some(walk) = walk
        && walk.complete
        && walk.tells_all
        && wanted.listed.is_none()
    {
        return Source::Spans(walk.clone());
    }
    let ordered = match walk {
        Some(walk) => Some(Source::Spans(walk.clone())),
        None => wanted.order.is_some_and(<[Order]>::is_empty).then_some(Source::All),
    };
    // Few candidates are looked at and sorted. A walk in order looks at about `limit * len / candidates` records
    // until it has enough; where both cost the same lies the root of `limit * len`.
    let most =
        if ordered.is_some() { wanted.limit.saturating_mul(table.len()).isqrt() } else { table.len() / 2 };
    let narrow: Vec<&Spans> = offers.iter().filter(|offer| offer.strength > 0).collect();
    let mut cap = FEW;
    while !narrow.is_empty() || wanted.listed.is_some() {
        let counted = narrow.iter().map(|offer| (table.index(offer.index).count(&offer.parts, cap), *offer));
        let best =
            counted.min_by_key(|(count, offer)| (*count, !offer.complete)).filter(|(count, _)| *count < cap);
        match (best, wanted.listed.and_then(|listed| listed(cap))) {
            (Some((count, offer)), listed) if listed.as_ref().is_none_or(|ids| ids.len() >= count) => {
                return Source::Spans(offer.clone());
            }
            (_, Some(ids)) => return Source::Ids(ids),
            _ if cap >= most => break,
            _ => cap = cap.saturating_mul(8).min(most),
        }
    }
    ordered.unwrap_or(Source::All)
}

fn offer(place: usize, schema: &TableSchema, constraints: &Constraints, order: &[Order]) -> Option<Spans> {
    let (index, def) = (&schema.indexes[place], schema.def);
    if !holds_all(index, def, constraints) {
        return None;
    }
    let mut prefixes = vec![Vec::new()];
    let mut fixed = 0;
    for field in &index.fields {
        let Some(list) = constraints.get(*field).and_then(|constraint| constraint.one_of.as_ref()) else {
            break;
        };
        if prefixes.len() * list.len() > MAX_SPANS {
            break;
        }
        prefixes = prefixes
            .iter()
            .flat_map(|p| list.iter().map(move |column| [p.as_slice(), column].concat()))
            .collect();
        fixed += 1;
    }
    let range = index.fields.get(fixed).and_then(|field| constraints.get(*field));
    let has_range = range.is_some_and(|range| range.from.is_some() || range.below.is_some());
    let parts = prefixes.into_iter().map(|prefix| {
        let mut span = Span::of(prefix);
        if let Some(from) = range.and_then(|range| range.from.as_ref()) {
            span.start = [&span.prefix, from.as_slice()].concat();
        }
        if let Some(below) = range.and_then(|range| range.below.as_ref()) {
            span.end = Some([&span.prefix, below.as_slice()].concat());
        }
        span
    });
    let mut offer = Spans {
        index: place,
        parts: parts.collect(),
        directions: Vec::new(),
        steps: Vec::new(),
        complete: false,
        seekable: true,
        strength: fixed + usize::from(has_range),
        single: fixed == index.fields.len() && matches!(index.holds, Holds::Counted(_)),
        tells_all: false,
    };
    offer.tells_all = constraints.told_by(&index.fields[..offer.strength]);
    follow(&mut offer, index, fixed, constraints, order);
    Some(offer)
}

/// Finds how far the index, behind the fixed fields, goes along with the order.
fn follow(offer: &mut Spans, index: &IndexSchema, fixed: usize, constraints: &Constraints, order: &[Order]) {
    let mut next = fixed;
    let mut done = true;
    for (step, Order { path, direction }) in order.iter().enumerate() {
        let own = is_own(path);
        if own && path.field == system::ID && *direction == Direction::Ascending {
            // Whatever follows the id decides nothing.
            break;
        }
        if own && constraints.is_one(path.field) {
            continue;
        }
        if own && index.fields[..fixed].contains(&path.field) {
            offer.seekable = false;
            continue;
        }
        if own && index.fields.get(next) == Some(&path.field) {
            offer.directions.push(*direction);
            offer.steps.push(step);
            next += 1;
            continue;
        }
        done = false;
        break;
    }
    offer.complete = done && next == index.fields.len();
}

/// Whether the index holds every record that passes.
fn holds_all(index: &IndexSchema, def: &EntityDef, constraints: &Constraints) -> bool {
    let is_true = |name| {
        def.index_of(name).is_some_and(|field| constraints.is(field, &key::column(&Value::Bool(true))))
    };
    let all_present = || index.fields.iter().all(|field| constraints.is_present(*field));
    match index.holds {
        Holds::All => true,
        Holds::Present => all_present(),
        Holds::Counted(rule) => {
            (rule.with_deleted || constraints.is(system::DELETED_AT, &[key::MISSING]))
                && rule.only_if.is_none_or(is_true)
                && all_present()
        }
    }
}
