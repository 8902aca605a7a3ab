//! The records of one entity of one tenant, with their indexes and search tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crm_core::record::Record;
use uuid::Uuid;

use crate::index::{Index, Span};
use crate::key;
use crate::schema::{Holds, TableSchema};

/// One entity's part of a tenant.
#[derive(Debug, Default)]
pub(crate) struct Table {
    records: BTreeMap<Uuid, Record>,
    indexes: Vec<Index>,
    tokens: BTreeSet<(Arc<str>, Uuid)>,
    tokens_of: BTreeSet<(Uuid, Arc<str>)>,
}

/// A unique rule that a record would break.
#[derive(Debug, PartialEq)]
pub(crate) struct Broken(pub(crate) &'static str);

impl Table {
    pub(crate) fn new(schema: &TableSchema) -> Self {
        let indexes = schema.indexes.iter().map(|_| Index::default()).collect();
        Self { indexes, ..Self::default() }
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<&Record> {
        self.records.get(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn index(&self, place: usize) -> &Index {
        &self.indexes[place]
    }

    /// All records by id, behind this one.
    pub(crate) fn records_after(&self, after: Option<Uuid>) -> impl Iterator<Item = &Record> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.records.range((after.map_or(Unbounded, Excluded), Unbounded)).map(|(_, record)| record)
    }

    /// Inserts the record or puts it in the place of the one with its id, which is returned. Nothing changes when
    /// that would break a rule.
    pub(crate) fn put(&mut self, schema: &TableSchema, after: Record) -> Result<Option<Record>, Broken> {
        let id = after.id();
        let before = self.records.get(&id);
        let mut changes = Vec::new();
        for (place, index) in schema.indexes.iter().enumerate() {
            if before.is_some_and(|before| index.same(before, &after)) {
                continue;
            }
            let columns = index.columns(&after);
            if let (Holds::Counted(rule), Some(columns)) = (&index.holds, &columns)
                && !self.indexes[place].is_free(columns, id)
            {
                return Err(Broken(rule.name));
            }
            changes.push((place, before.and_then(|before| index.columns(before)), columns));
        }
        for (place, old, new) in changes {
            if old == new {
                continue;
            }
            if let Some(old) = old {
                self.indexes[place].remove(old, id);
            }
            if let Some(new) = new {
                self.indexes[place].insert(new, id);
            }
        }
        Ok(self.records.insert(id, after))
    }

    /// Removes the record for good.
    pub(crate) fn remove(&mut self, schema: &TableSchema, id: Uuid) -> Option<Record> {
        let record = self.records.remove(&id)?;
        for (place, index) in schema.indexes.iter().enumerate() {
            if let Some(columns) = index.columns(&record) {
                self.indexes[place].remove(columns, id);
            }
        }
        Some(record)
    }

    /// The records that have this id in the first field of this index, deleted ones included, by the index's order.
    pub(crate) fn referring(&self, index: usize, id: Uuid) -> impl Iterator<Item = &Record> {
        let span = Span::of(key::column(&crm_core::value::Value::Id(id)));
        self.indexes[index].range(&span).filter_map(|entry| self.get(key::id_of(entry)))
    }

    pub(crate) fn put_token(&mut self, token: &str, id: Uuid) {
        let token: Arc<str> = token.into();
        self.tokens_of.insert((id, Arc::clone(&token)));
        self.tokens.insert((token, id));
    }

    pub(crate) fn drop_token(&mut self, token: &str, id: Uuid) {
        let token: Arc<str> = token.into();
        self.tokens.remove(&(Arc::clone(&token), id));
        self.tokens_of.remove(&(id, token));
    }

    /// The records found by this token, by id.
    pub(crate) fn with_token(&self, token: &str) -> impl Iterator<Item = Uuid> {
        let token: Arc<str> = token.into();
        self.tokens.range((Arc::clone(&token), Uuid::nil())..=(token, Uuid::max())).map(|(_, id)| *id)
    }

    /// The records found by a token that begins like this; one may come more than once.
    pub(crate) fn with_token_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = Uuid> + 'a {
        self.tokens
            .range((prefix.into(), Uuid::nil())..)
            .take_while(move |(token, _)| token.starts_with(prefix))
            .map(|(_, id)| *id)
    }

    pub(crate) fn has_token(&self, token: &str, id: Uuid) -> bool {
        self.tokens_of.contains(&(id, token.into()))
    }

    pub(crate) fn has_token_prefix(&self, prefix: &str, id: Uuid) -> bool {
        let next = self.tokens_of.range((id, prefix.into())..).next();
        next.is_some_and(|(of, token)| *of == id && token.starts_with(prefix))
    }

    /// All tokens, by record.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (Uuid, &str)> {
        self.tokens_of.iter().map(|(id, token)| (*id, &**token))
    }
}
