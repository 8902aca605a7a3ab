//! Answering questions by looking at everything.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crm_core::catalog::{Catalog, EntityDef, FieldType};
use crm_core::criteria::Matcher;
use crm_core::log::LogRow;
use crm_core::record::Record;
use crm_core::store::{
    Answer, Direction, Group, GroupQuery, MAX_LIMIT, Measure, Query, Read, StoreError, TimelineAnchor,
    TimelineQuery, TimelineRow, TokenRow,
};
use crm_core::value::Value;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::store::Tenant;

impl Tenant {
    /// The answer to one question.
    pub(super) fn answer(&self, catalog: &Catalog, read: &Read) -> Result<Answer, StoreError> {
        check(catalog, read)?;
        Ok(match read {
            Read::Get { def, ids } => {
                let ids: BTreeSet<Uuid> = ids.iter().copied().collect();
                Answer::Records(
                    self.of(def.name).filter(|record| ids.contains(&record.id())).cloned().collect(),
                )
            }
            Read::Find(query) => Answer::Records(self.find(query, query.limit)),
            Read::Group(query) => Answer::Groups(self.group(query)?),
            Read::Ancestors { def, id, limit } => Answer::Records(self.ancestors(def, *id, *limit)),
            Read::Subtree { def, id, limit } => Answer::Records(self.subtree(def, *id, *limit)),
            Read::Timeline(query) => Answer::Timeline(self.page(query)),
            Read::Key { command, key } => {
                Answer::Key(self.keys.get(&((*command).to_owned(), key.clone())).cloned())
            }
            Read::History { def, id, before_version, limit } => {
                let mut rows: Vec<LogRow> = self
                    .log
                    .iter()
                    .filter(|row| row.entity == def.name && row.record_id == *id)
                    .filter(|row| before_version.is_none_or(|version| row.version < version))
                    .cloned()
                    .collect();
                rows.sort_by_key(|row| std::cmp::Reverse(row.version));
                rows.truncate(*limit);
                Answer::Log(rows)
            }
            Read::Log { after, limit } => {
                // Sealing keeps sealed rows at the front, by number.
                let sealed = self.log.iter().filter(|row| row.number.is_some_and(|number| number > *after));
                Answer::Log(sealed.take(*limit).cloned().collect())
            }
            Read::LogHead => {
                Answer::Position(self.log.iter().filter_map(|row| row.number).max().unwrap_or(0))
            }
            Read::Position { consumer } => {
                Answer::Position(self.consumers.get(consumer).copied().unwrap_or(0))
            }
        })
    }

    /// The records of a query, in its order.
    pub(super) fn find(&self, query: &Query, limit: usize) -> Vec<Record> {
        let has = |record: &Record, token: &str| {
            let row = TokenRow { entity: query.def.name, id: record.id(), token: token.to_owned() };
            self.tokens.contains(&row)
        };
        let begins = |record: &Record, prefix: &str| {
            self.tokens.iter().any(|row| {
                row.entity == query.def.name && row.id == record.id() && row.token.starts_with(prefix)
            })
        };
        let matcher = Matcher::new(&query.filter);
        let mut found: Vec<&Record> = self
            .of(query.def.name)
            .filter(|record| matcher.holds(record, self))
            .filter(|record| query.tokens.iter().all(|token| has(record, token)))
            .filter(|record| query.token_prefix.as_ref().is_none_or(|prefix| begins(record, prefix)))
            .collect();
        found.sort_by(|a, b| {
            let steps = query.order.iter().map(|step| {
                let order = step.path.comparable(a, self).sort_order(&step.path.comparable(b, self));
                if step.direction == Direction::Descending { order.reverse() } else { order }
            });
            steps.fold(Ordering::Equal, Ordering::then).then(a.id().cmp(&b.id()))
        });
        found.into_iter().take(limit).cloned().collect()
    }

    fn group(&self, query: &GroupQuery) -> Result<Vec<Group>, StoreError> {
        let mut groups: Vec<(Vec<Value>, Vec<&Record>)> = Vec::new();
        if query.by.is_empty() {
            groups.push((Vec::new(), Vec::new()));
        }
        let matcher = Matcher::new(&query.filter);
        for record in self.of(query.def.name).filter(|record| matcher.holds(record, self)) {
            let by: Vec<Value> = query.by.iter().map(|path| path.value(record, self).clone()).collect();
            match groups.iter_mut().find(|(known, _)| *known == by) {
                Some((_, members)) => members.push(record),
                None => groups.push((by, vec![record])),
            }
        }
        if groups.len() > query.limit {
            return Err(refuse(format!("there are more than {} groups", query.limit)));
        }
        groups.sort_by(|(a, _), (b, _)| {
            a.iter()
                .zip(b)
                .map(|(a, b)| rank(a).cmp(&rank(b)).then(a.sort_order(b)))
                .fold(Ordering::Equal, Ordering::then)
        });
        let measured = groups.into_iter().map(|(by, members)| {
            let measures =
                query.measures.iter().map(|m| self.measure(m, &members)).collect::<Result<_, _>>()?;
            Ok(Group { by, measures })
        });
        measured.collect()
    }

    fn measure(&self, measure: &Measure, members: &[&Record]) -> Result<Value, StoreError> {
        let values = |path: &crm_core::criteria::Path| {
            let values: Vec<Value> = members.iter().map(|record| path.value(record, self).clone()).collect();
            values.into_iter().filter(|value| !value.is_missing())
        };
        Ok(match measure {
            Measure::Count => Value::Int(members.len() as i64),
            Measure::Min(path) => values(path).min_by(Value::sort_order).unwrap_or_default(),
            Measure::Max(path) => values(path).max_by(Value::sort_order).unwrap_or_default(),
            Measure::Sum(path) => {
                let mut sum = Decimal::ZERO;
                for value in values(path) {
                    let number = match value {
                        Value::Decimal(number) => number,
                        Value::Int(number) => number.into(),
                        _ => continue,
                    };
                    sum = sum
                        .checked_add(number)
                        .ok_or_else(|| refuse("the sum has too many digits".to_owned()))?;
                }
                Value::Decimal(sum.normalize())
            }
        })
    }

    fn ancestors(&self, def: &'static EntityDef, id: Uuid, limit: usize) -> Vec<Record> {
        let mut found: Vec<Record> = Vec::new();
        let mut next = Some(id);
        while let Some(record) = next.and_then(|id| self.records.get(&(def.name, id)))
            && found.len() < limit
            && found.iter().all(|known| known.id() != record.id())
        {
            found.push(record.clone());
            next = def.parent.and_then(|parent| record.get(parent).as_id());
        }
        found
    }

    fn subtree(&self, def: &'static EntityDef, id: Uuid, limit: usize) -> Vec<Record> {
        let Some(top) = self.records.get(&(def.name, id)) else { return Vec::new() };
        let mut seen = BTreeSet::from([id]);
        let mut found = vec![top.clone()];
        let mut level = vec![id];
        while !level.is_empty() {
            // Iteration is by id. The way leads on through deleted records, which are not shown themselves.
            let below = |record: &&Record| {
                def.parent
                    .and_then(|parent| record.get(parent).as_id())
                    .is_some_and(|above| level.contains(&above))
            };
            let next: Vec<&Record> =
                self.of(def.name).filter(below).filter(|record| seen.insert(record.id())).collect();
            found.extend(next.iter().filter(|record| record.is_live()).map(|record| (*record).clone()));
            level = next.iter().map(|record| record.id()).collect();
        }
        found.truncate(limit);
        found
    }

    fn page(&self, query: &TimelineQuery) -> Vec<TimelineRow> {
        let shown = |row: &&TimelineRow| {
            let of_anchor = match &query.anchor {
                TimelineAnchor::Records(ids) => ids.contains(&row.anchor_id),
                TimelineAnchor::User(user) => row.primary && row.actor == Some(*user),
                TimelineAnchor::Tenant => row.primary,
            };
            let token =
                |token: &String| TokenRow { entity: row.kind, id: row.entry_id, token: token.clone() };
            let root = row.root.map(|id| self.records.get(&("customer", id)));
            let after = query.after.as_ref().is_none_or(|after| match query.direction {
                Direction::Ascending => row.position() > *after,
                Direction::Descending => row.position() < *after,
            });
            of_anchor
                && after
                && query.viewer.sees(row)
                && query.filter.passes(row)
                && query.filter.tokens.iter().all(|text| self.tokens.contains(&token(text)))
                && root.is_none_or(|customer| customer.is_some_and(Record::is_live))
        };
        let mut rows: Vec<TimelineRow> = self.timeline.values().filter(shown).cloned().collect();
        rows.sort_by_key(TimelineRow::position);
        if query.direction == Direction::Descending {
            rows.reverse();
        }
        rows.truncate(query.limit);
        rows
    }
}

/// Groups of custom fields may hold values of several types: missing, then type by type.
fn rank(value: &Value) -> u8 {
    match value {
        missing if missing.is_missing() => 0,
        Value::Bool(_) => 1,
        Value::Int(_) | Value::Decimal(_) => 2,
        Value::Text(_) => 3,
        Value::Instant(_) => 4,
        _ => 5,
    }
}

fn check(catalog: &Catalog, read: &Read) -> Result<(), StoreError> {
    let (def, limit) = match read {
        Read::Get { def, ids } => (Some(*def), ids.len()),
        Read::Find(query) => (Some(query.def), query.limit),
        Read::Group(query) => {
            for measure in &query.measures {
                if let Measure::Sum(path) = measure
                    && !matches!(
                        path.field_def().field_type(),
                        FieldType::Int | FieldType::Decimal | FieldType::Custom
                    )
                {
                    return Err(refuse(format!("{} is not a number", path.field_def().name)));
                }
            }
            (Some(query.def), query.limit)
        }
        Read::Ancestors { def, limit, .. } | Read::Subtree { def, limit, .. } => {
            if def.parent.is_none() {
                return Err(refuse(format!("{} has no parent", def.name)));
            }
            (Some(*def), *limit)
        }
        Read::History { def, limit, .. } => (Some(*def), *limit),
        Read::Timeline(query) => (None, query.limit),
        Read::Log { limit, .. } => (None, *limit),
        Read::Key { .. } | Read::LogHead | Read::Position { .. } => (None, 0),
    };
    if limit > MAX_LIMIT {
        return Err(refuse(format!("at most {MAX_LIMIT} are read at once")));
    }
    match def {
        Some(def) if catalog.get(def.name).is_none() => Err(refuse(format!("{} is not known", def.name))),
        _ => Ok(()),
    }
}

fn refuse(why: String) -> StoreError {
    StoreError::Refused { why }
}
