//! Finding records: candidates from a source, the filter, the order.

use std::cell::OnceCell;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use crm_core::criteria::Matcher;
use crm_core::record::Record;
use crm_core::store::{Order, Query};
use uuid::Uuid;

use crate::index::Edge;
use crate::key;
use crate::plan::{Source, Spans, Wanted, choose};
use crate::table::Table;
use crate::tenant::Tenant;

/// A place behind a record in the order of a query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct After {
    /// One column for each step of the order.
    columns: Vec<Vec<u8>>,
    id: Uuid,
    /// All of it as bytes that sort in the order of the query.
    key: Vec<u8>,
}

/// One read under way.
struct Finder<'a, 'q> {
    tenant: &'a Tenant,
    table: &'a Table,
    query: &'q Query,
    limit: usize,
    after: Option<&'q After>,
    /// The filter, once a record is looked at.
    matcher: OnceCell<Matcher>,
}

impl After {
    /// The place behind this record.
    pub(crate) fn record(tenant: &Tenant, order: &[Order], record: &Record) -> Self {
        let columns: Vec<Vec<u8>> =
            order.iter().map(|step| key::column(&step.path.comparable(record, tenant))).collect();
        let mut joined = Vec::new();
        for (column, step) in columns.iter().zip(order) {
            key::push_directed(&mut joined, column, step.direction);
        }
        joined.extend(record.id().as_bytes());
        Self { columns, id: record.id(), key: joined }
    }
}

impl Tenant {
    /// The first `limit` records of a query behind a place.
    pub(crate) fn find<'a>(&'a self, query: &Query, limit: usize, after: Option<&After>) -> Vec<&'a Record> {
        match self.table(query.def.name) {
            Some((table, _)) => Finder::new(self, table, query, limit, after).run(),
            None => Vec::new(),
        }
    }

    /// Whether reading the query in parts costs no more than reading it at once.
    pub(crate) fn is_walk(&self, query: &Query, limit: usize) -> bool {
        let Some((table, _)) = self.table(query.def.name) else { return false };
        match Finder::new(self, table, query, limit, None).source() {
            Source::All => query.order.is_empty(),
            Source::Ids(ids) => ids.len() <= limit,
            Source::Spans(spans) => spans.complete && spans.seekable,
        }
    }

    /// Those of the records that are still at their version and still pass. What they link to may have moved them.
    pub(crate) fn unchanged(&self, query: &Query, listed: impl Iterator<Item = (Uuid, i64)>) -> Vec<&Record> {
        let Some((table, _)) = self.table(query.def.name) else { return Vec::new() };
        let finder = Finder::new(self, table, query, usize::MAX, None);
        let unchanged = listed
            .filter_map(|(id, version)| table.get(id).filter(|record| record.version() == version))
            .filter(|record| finder.passes(record));
        unchanged.collect()
    }

    /// The records of an entity that may pass the filter, each once, in any order.
    pub(crate) fn candidates<'a>(
        &'a self,
        entity: &str,
        filter: &crm_core::criteria::Filter,
    ) -> Box<dyn Iterator<Item = &'a Record> + 'a> {
        let Some((table, schema)) = self.table(entity) else { return Box::new(std::iter::empty()) };
        match choose(table, schema, &Wanted { filter, order: None, limit: usize::MAX, listed: None }) {
            Source::All => Box::new(table.records_after(None)),
            Source::Ids(ids) => Box::new(ids.into_iter().filter_map(|id| table.get(id))),
            Source::Spans(Spans { index, parts, .. }) => Box::new(parts.into_iter().flat_map(move |span| {
                table.index(index).range(&span).filter_map(|entry| table.get(key::id_of(entry)))
            })),
        }
    }
}

impl<'a, 'q> Finder<'a, 'q> {
    fn new(
        tenant: &'a Tenant,
        table: &'a Table,
        query: &'q Query,
        limit: usize,
        after: Option<&'q After>,
    ) -> Self {
        Self { tenant, table, query, limit, after, matcher: OnceCell::new() }
    }

    fn run(&self) -> Vec<&'a Record> {
        match self.source() {
            Source::Ids(ids) => self.best(ids.into_iter().filter_map(|id| self.table.get(id)), self.limit),
            Source::All if self.query.order.is_empty() => {
                let rest = self.table.records_after(self.after.map(|after| after.id));
                rest.filter(|record| self.passes(record)).take(self.limit).collect()
            }
            Source::All => self.best(self.table.records_after(None), self.limit),
            Source::Spans(spans) => self.walk(&spans),
        }
    }

    fn source(&self) -> Source {
        let Some((table, schema)) = self.tenant.table(self.query.def.name) else { return Source::All };
        let listed = |cap| self.with_tokens(cap);
        let has_tokens = !self.query.tokens.is_empty() || self.query.token_prefix.is_some();
        let wanted = Wanted {
            filter: &self.query.filter,
            order: Some(&self.query.order),
            limit: self.limit,
            listed: has_tokens.then_some(&listed as &dyn Fn(usize) -> Option<Vec<Uuid>>),
        };
        choose(table, schema, &wanted)
    }

    /// The records of the rarest token, if they are fewer than `cap`.
    fn with_tokens(&self, cap: usize) -> Option<Vec<Uuid>> {
        let lists =
            self.query.tokens.iter().map(|token| self.table.with_token(token).take(cap).collect::<Vec<_>>());
        let prefix = self.query.token_prefix.iter().map(|prefix| {
            let mut ids: Vec<Uuid> = self.table.with_token_prefix(prefix).take(cap).collect();
            // A full list is no answer, even if it becomes shorter without its repetitions.
            if ids.len() < cap {
                ids.sort_unstable();
                ids.dedup();
            }
            ids
        });
        lists.chain(prefix).min_by_key(Vec::len).filter(|ids| ids.len() < cap)
    }

    fn passes(&self, record: &Record) -> bool {
        let query = self.query;
        query.tokens.iter().all(|token| self.table.has_token(token, record.id()))
            && query
                .token_prefix
                .as_ref()
                .is_none_or(|prefix| self.table.has_token_prefix(prefix, record.id()))
            && self.matcher.get_or_init(|| Matcher::new(&query.filter)).holds(record, self.tenant)
    }

    /// The first `limit` of these that pass, in order.
    fn best(&self, candidates: impl Iterator<Item = &'a Record>, limit: usize) -> Vec<&'a Record> {
        let mut heap: BinaryHeap<Ranked<'a>> = BinaryHeap::new();
        for record in candidates.filter(|record| self.passes(record)) {
            let key = After::record(self.tenant, &self.query.order, record).key;
            if self.after.is_some_and(|after| key <= after.key)
                || (heap.len() == limit && heap.peek().is_some_and(|last| key >= last.key))
            {
                continue;
            }
            heap.push(Ranked { key, record });
            if heap.len() > limit {
                heap.pop();
            }
        }
        heap.into_sorted_vec().into_iter().map(|ranked| ranked.record).collect()
    }

    /// Walks each span in order until it has given enough, and joins what they gave.
    fn walk(&self, spans: &Spans) -> Vec<&'a Record> {
        let mut found = Vec::new();
        for span in &spans.parts {
            let before = found.len();
            self.walk_span(spans, span, before + self.limit, &mut found);
        }
        if spans.parts.len() > 1 { self.best(found.into_iter(), self.limit) } else { found }
    }

    fn walk_span(&self, spans: &Spans, span: &crate::index::Span, full: usize, found: &mut Vec<&'a Record>) {
        let index = self.table.index(spans.index);
        let after = self.after.filter(|_| spans.seekable);
        let columns: Option<Vec<&[u8]>> =
            after.map(|after| spans.steps.iter().map(|step| after.columns[*step].as_slice()).collect());
        let edge = after
            .zip(columns.as_ref())
            .map(|(after, columns)| Edge { columns, id: spans.complete.then_some(after.id) });
        // The walk always ends by itself; whether it broke off does not matter.
        let _ = index.walk(span, &spans.directions, edge, &mut |group| {
            let records = index.range(group).filter_map(|entry| self.table.get(key::id_of(entry)));
            if spans.complete {
                let is_behind = |record: &Record| {
                    edge.is_some()
                        || self.after.is_none_or(|after| {
                            After::record(self.tenant, &self.query.order, record).key > after.key
                        })
                };
                let room = full - found.len();
                found.extend(records.filter(|record| self.passes(record) && is_behind(record)).take(room));
            } else {
                found.extend(self.best(records, full - found.len()));
            }
            if found.len() < full { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
    }
}

/// A record with its place in the order.
struct Ranked<'a> {
    key: Vec<u8>,
    record: &'a Record,
}

impl PartialEq for Ranked<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Ranked<'_> {}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

#[cfg(test)]
mod tests;
