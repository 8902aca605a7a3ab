//! Pages whose rows depend on looked up documents: only rows of live customers.
//!
//! The server reads some megabytes ahead of a lookup, however few rows are wanted behind it. So the rows are limited
//! before the lookups, each comes back with its verdict, and when too many were refused the next batch begins after the
//! last one. As hardly any row is refused, one batch is the rule.

use bson::{Bson, Document, doc};
use crm_core::store::{MAX_LIMIT, StoreError};

use super::filter::{all, any, never};
use super::{Pipeline, Reader};

/// The key of the verdict.
const PASSES: &str = "_passes";

/// A page as a series of batches.
#[derive(Clone, Debug)]
pub(crate) struct Paged {
    pub(crate) collection: &'static str,
    /// What the row itself decides.
    pub(crate) own: Document,
    /// Keys of the rows that hold one type of value or null.
    pub(crate) sort: Document,
    pub(crate) lookups: Vec<Document>,
    /// Whether a row passes: an aggregation expression over the looked up documents.
    pub(crate) passes: Document,
    /// What is taken out again.
    pub(crate) tidy: Option<Document>,
    pub(crate) limit: usize,
}

impl Paged {
    /// The aggregation of one batch.
    pub(crate) fn batch(&self, after: Option<Document>, size: usize) -> Pipeline {
        let own = match after {
            None => self.own.clone(),
            Some(after) => all(vec![self.own.clone(), after]),
        };
        let mut stages = vec![
            doc! { "$match": own },
            doc! { "$sort": self.sort.clone() },
            doc! { "$limit": i64::try_from(size).unwrap_or(i64::MAX) },
        ];
        stages.extend(self.lookups.iter().cloned());
        stages.push(doc! { "$set": { PASSES: self.passes.clone() } });
        stages.extend(self.tidy.clone());
        Pipeline { collection: self.collection, stages }
    }

    /// All in one aggregation, for conditions that may refuse most rows: those never leave the server.
    pub(crate) fn in_one(self) -> Pipeline {
        let mut stages = vec![doc! { "$match": self.own }, doc! { "$sort": self.sort }];
        stages.extend(self.lookups);
        stages.push(doc! { "$match": { "$expr": self.passes } });
        stages.push(doc! { "$limit": i64::try_from(self.limit).unwrap_or(i64::MAX) });
        stages.extend(self.tidy);
        Pipeline { collection: self.collection, stages }
    }

    /// A little more than the page, for the few rows that are refused.
    pub(crate) fn first_size(&self) -> usize {
        self.limit + self.limit / 8 + 4
    }
}

/// The documents of the page.
pub(crate) async fn read(reader: &mut Reader<'_>, paged: &Paged) -> Result<Vec<Document>, StoreError> {
    let mut found = Vec::new();
    let mut size = paged.first_size();
    let mut place = None;
    while found.len() < paged.limit {
        let batch = reader.aggregate(paged.batch(place, size)).await?;
        let more = batch.len() == size;
        place = batch.last().map(|last| after(&paged.sort, last));
        found.extend(batch.into_iter().filter(|row| row.get_bool(PASSES).unwrap_or(false)));
        if !more {
            break;
        }
        size = (size * 4).min(MAX_LIMIT);
    }
    found.truncate(paged.limit);
    Ok(found)
}

/// The condition that a row comes after this one.
fn after(sort: &Document, last: &Document) -> Document {
    let mut ways = Vec::new();
    let mut equal = Document::new();
    let mut bound = None;
    for (key, way) in sort {
        let value = value(last, key);
        let ascending = way.as_i32() == Some(1);
        let beyond = match (ascending, &value) {
            (true, Bson::Null) => doc! { key: { "$ne": Bson::Null } },
            (true, value) => doc! { key: { "$gt": value.clone() } },
            (false, Bson::Null) => never(),
            // Less, or missing.
            (false, value) => doc! { key: { "$not": { "$gte": value.clone() } } },
        };
        if ways.is_empty() && value != Bson::Null {
            let operator = if ascending {
                doc! { "$gte": value.clone() }
            } else {
                doc! { "$not": { "$gt": value.clone() } }
            };
            bound = Some(doc! { key: operator });
        }
        ways.push(all(vec![equal.clone(), beyond]));
        equal.insert(key.clone(), value);
    }
    // The bound is implied; it starts the read where the batch does.
    all(bound.into_iter().chain([any(ways)]).collect())
}

fn value(row: &Document, key: &str) -> Bson {
    let mut at = row;
    let mut names = key.split('.').peekable();
    while let Some(name) = names.next() {
        match at.get(name) {
            Some(Bson::Document(inner)) if names.peek().is_some() => at = inner,
            Some(value) if names.peek().is_none() => return value.clone(),
            _ => break,
        }
    }
    Bson::Null
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_after_a_row_knows_missing_values() {
        let last = doc! { "a": 1, "_id": { "a": 2 } };
        let next = after(&doc! { "a": -1, "_id.a": 1 }, &last);
        let expected = doc! { "$and": [
            { "a": { "$not": { "$gt": 1 } } },
            { "$or": [
                { "$and": [{}, { "a": { "$not": { "$gte": 1 } } }] },
                { "$and": [{ "a": 1 }, { "_id.a": { "$gt": 2 } }] },
            ] },
        ] };
        assert_eq!(next, expected);
        let missing = after(&doc! { "a": 1, "id": 1 }, &doc! { "id": 7 });
        let expected = doc! { "$or": [
            { "$and": [{}, { "a": { "$ne": Bson::Null } }] },
            { "$and": [{ "a": Bson::Null }, { "id": { "$gt": 7 } }] },
        ] };
        assert_eq!(missing, expected);
    }
}
