//! The one write primitive.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use uuid::Uuid;

use crate::catalog::{EntityDef, UniqueRule};
use crate::id::TenantId;
use crate::log::LogRow;
use crate::record::Record;
use crate::store::KeyRecord;
use crate::timeline::{Audience, Display, Visibility};
use crate::value::{Instant, Value};

/// How many records one change set may write. Log, timeline and search rows are not counted.
pub const MAX_WRITES: usize = 1_000;

/// Everything one command does, committed whole or not at all.
///
/// Built by [`crate::command::Changes`]; a store applies the lists as they are. Records of one entity may be
/// written in one statement, but the first [`releases`](Self::releases) writes come before all others.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    /// The tenant that all of it belongs to.
    pub tenant: TenantId,
    /// Names this change set; committing it again changes nothing.
    pub commit_id: Uuid,
    /// When it was decided.
    pub at: Instant,
    /// Records inserted, updated and purged: each record at most once. Links lead to records that exist or are
    /// inserted by the same change set.
    pub writes: Vec<Write>,
    /// How many of `writes`, from the front, must be applied before the others, because they free the value of a
    /// unique rule that another one takes.
    pub releases: usize,
    /// Records that were read for the decision and must be as they were; none that is also written.
    pub guards: Vec<Guard>,
    /// Conditions of absence, checked in the same transaction after all writes and locks.
    pub none_refer: Vec<NoneRefer>,
    /// The idempotency key with the result to keep for it.
    pub key: Option<KeyClaim>,
    /// One row for each write, in the same order.
    pub log: Vec<LogRow>,
    /// Records whose log rows lose their private part (values, salts, origin): all of them, those of this change
    /// set included.
    pub erase_log: Vec<(&'static EntityDef, Uuid)>,
    /// Timeline rows to insert or, by their key, replace. Of a record that is [inserted](Self::inserted) none is
    /// there already.
    pub timeline_put: Vec<TimelineRow>,
    /// Timeline rows to remove; those of `timeline_put` are not among them.
    pub timeline_drop: Vec<TimelineKey>,
    /// Search tokens to insert; none is there already.
    pub tokens_put: Vec<TokenRow>,
    /// Search tokens to remove.
    pub tokens_drop: Vec<TokenRow>,
}

/// One record written.
#[derive(Clone, Debug)]
pub enum Write {
    /// A new record, at version 1.
    Insert(Record),
    /// The record `after` replaces the one at version `after.version() - 1`. Deletion and restoring are updates
    /// of `deleted_at`.
    Update {
        /// As it was read.
        before: Record,
        /// As it shall be.
        after: Record,
    },
    /// The record is removed for good, if it is at this version. Only retention and sweeps do this. While a record,
    /// deleted or not, has it in a [`Link`](crate::catalog::Kind::Link), the answer is
    /// [`CommitError::InUse`](crate::store::CommitError::InUse).
    Purge(Record),
}

impl Write {
    /// The entity.
    pub fn def(&self) -> &'static EntityDef {
        self.record().def
    }

    /// The record as it shall be, or as it was when it is purged.
    pub fn record(&self) -> &Record {
        match self {
            Self::Insert(record) | Self::Purge(record) => record,
            Self::Update { after, .. } => after,
        }
    }

    /// The version the stored record must have: `None` for an insert.
    pub fn expected_version(&self) -> Option<i64> {
        match self {
            Self::Insert(_) => None,
            Self::Update { before, .. } => Some(before.version()),
            Self::Purge(record) => Some(record.version()),
        }
    }
}

/// A record that was read, not written, and on which the decision rests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Guard {
    /// It is still at this version.
    Version {
        /// The entity.
        def: &'static EntityDef,
        /// The record.
        id: Uuid,
        /// The version that was read.
        version: i64,
    },
    /// It is there and not deleted. For records that many refer to: it does not hinder other such guards, but
    /// one of this and a change set that deletes the record fails.
    Live {
        /// The entity; [`EntityDef::shared`] says whether a store should expect many.
        def: &'static EntityDef,
        /// The record.
        id: Uuid,
    },
}

impl Guard {
    /// The entity and id.
    pub fn target(&self) -> (&'static EntityDef, Uuid) {
        match self {
            Self::Version { def, id, .. } | Self::Live { def, id } => (def, *id),
        }
    }
}

/// No live record of this entity has this id in this link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoneRefer {
    /// The entity that could refer.
    pub def: &'static EntityDef,
    /// The link.
    pub field: &'static str,
    /// The record that must not be referred to.
    pub id: Uuid,
}

/// An idempotency key, claimed before anything else in the transaction (SPEC XT-03).
#[derive(Clone, Debug, PartialEq)]
pub struct KeyClaim {
    /// The command the key belongs to: the same key may be used with another one.
    pub command: &'static str,
    /// The caller's key.
    pub key: String,
    /// What is kept for it.
    pub record: KeyRecord,
}

/// One row of the timeline projection: an entry as seen from one anchor.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineRow {
    /// The entity of the anchor.
    pub anchor_type: &'static str,
    /// The record whose timeline this is.
    pub anchor_id: Uuid,
    /// Whether this row stands for the entry where users and the tenant are the anchor: true for one row of
    /// each entry.
    pub primary: bool,
    /// The sort key: when it happened.
    pub at: Instant,
    /// The entity of the entry.
    pub kind: &'static str,
    /// The record that the entry shows.
    pub entry_id: Uuid,
    /// The customer whose deletion hides the entry.
    pub root: Option<Uuid>,
    /// The user who did it.
    pub actor: Option<Uuid>,
    /// The actor's team, for entries only a team sees.
    pub team: Option<Uuid>,
    /// Who of the tenant's own people sees it.
    pub visibility: Visibility,
    /// Whether the customer sees it too.
    pub audience: Audience,
    /// Shown first.
    pub pinned: bool,
    /// Shown with emphasis.
    pub highlight: bool,
    /// The type within the kind: `call`, `email`.
    pub subtype: Option<String>,
    /// Where it came from.
    pub source: Option<String>,
    /// positive, neutral or negative.
    pub sentiment: Option<String>,
    /// A number for statistics: an invoice's total, with `currency`.
    pub amount: Option<Decimal>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// Labels, sorted.
    pub tags: Vec<String>,
    /// What is shown; masked by erasure.
    pub display: Display,
}

/// What identifies a timeline row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimelineKey {
    /// The record whose timeline it is.
    pub anchor_id: Uuid,
    /// The entity of the entry.
    pub kind: &'static str,
    /// The record that the entry shows.
    pub entry_id: Uuid,
}

impl TimelineRow {
    /// What identifies the row.
    pub fn key(&self) -> TimelineKey {
        TimelineKey { anchor_id: self.anchor_id, kind: self.kind, entry_id: self.entry_id }
    }
}

/// A record is found by this token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenRow {
    /// The entity.
    pub entity: &'static str,
    /// The record.
    pub id: Uuid,
    /// A token of [`crate::format::tokens`], or `#` and a folded tag.
    pub token: String,
}

impl TokenRow {
    /// The rows by entity, token and id: written in this order, neighbours in an index are written one after the
    /// other.
    pub fn in_order(rows: &[Self]) -> Vec<&Self> {
        // Most tokens differ in their first bytes, and numbers compare faster than texts elsewhere in memory.
        let head = |row: &Self| {
            let mut head = [0; 8];
            head.iter_mut().zip(row.token.bytes()).for_each(|(to, from)| *to = from);
            u64::from_be_bytes(head)
        };
        let mut rows: Vec<(&'static str, u64, &Self)> =
            rows.iter().map(|row| (row.entity, head(row), row)).collect();
        rows.sort_unstable_by(|(a_entity, a_head, a), (b_entity, b_head, b)| {
            a_entity
                .cmp(b_entity)
                .then(a_head.cmp(b_head))
                .then_with(|| (&a.token, a.id).cmp(&(&b.token, b.id)))
        });
        rows.into_iter().map(|(_, _, row)| row).collect()
    }
}

/// Why a change set is not one that a store accepts.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Too many records.
    #[error(
        "a change set writes at most {MAX_WRITES} records and this one {count}; split it, or use a sweep"
    )]
    TooMany {
        /// How many it has.
        count: usize,
    },
    /// One record twice.
    #[error("{entity} {id} is written twice in one change set; combine the changes")]
    Twice {
        /// The entity.
        entity: &'static str,
        /// The record.
        id: Uuid,
    },
    /// A record that may only be inserted.
    #[error("{entity} is append-only; add a new record instead")]
    AppendOnly {
        /// The entity.
        entity: &'static str,
    },
    /// Two records exchange a unique value.
    #[error(
        "{entity} {id} takes a value of the rule {rule} that another record gives up for a third; use two steps"
    )]
    Exchange {
        /// The entity.
        entity: &'static str,
        /// The record.
        id: Uuid,
        /// The rule.
        rule: &'static str,
    },
    /// The entity is not in the store's catalog.
    #[error("{entity} is not in the store's catalog; register it with the store and the builder")]
    Unknown {
        /// The entity.
        entity: &'static str,
    },
}

impl UniqueRule {
    /// The values that the rule counts for this record, or `None` when it does not count.
    pub fn key_of(&self, record: &Record) -> Option<Vec<Value>> {
        if !self.with_deleted && !record.is_live() {
            return None;
        }
        if self.only_if.is_some_and(|field| !record.get(field).is_true()) {
            return None;
        }
        self.fields
            .iter()
            .map(|name| {
                let place = record.def.index_of(name)?;
                let value = record.comparable(place).into_owned();
                (!value.is_missing()).then_some(value)
            })
            .collect()
    }
}

impl ChangeSet {
    /// The new records: entity and id.
    pub fn inserted(&self) -> BTreeSet<(&'static str, Uuid)> {
        let new = |write: &Write| match write {
            Write::Insert(record) => Some((record.def.name, record.id())),
            Write::Update { .. } | Write::Purge(_) => None,
        };
        self.writes.iter().filter_map(new).collect()
    }

    /// Puts the writes that free a unique value first (with their log rows) and refuses what no store accepts.
    pub fn arrange(mut self) -> Result<Self, WriteError> {
        if self.writes.len() > MAX_WRITES {
            return Err(WriteError::TooMany { count: self.writes.len() });
        }
        let mut seen = BTreeSet::new();
        let mut freed = BTreeMap::new();
        let mut takes = Vec::new();
        for write in &self.writes {
            let (def, id) = (write.def(), write.record().id());
            if !seen.insert((def.name, id)) {
                return Err(WriteError::Twice { entity: def.name, id });
            }
            if def.append_only && matches!(write, Write::Update { .. }) && self.erase_log.is_empty() {
                return Err(WriteError::AppendOnly { entity: def.name });
            }
            for rule in def.uniques {
                let (before, after) = match write {
                    Write::Insert(record) => (None, rule.key_of(record)),
                    Write::Update { before, after } => (rule.key_of(before), rule.key_of(after)),
                    Write::Purge(record) => (rule.key_of(record), None),
                };
                if before == after {
                    continue;
                }
                if let Some(key) = before {
                    freed.insert((rule.name, format!("{key:?}")), id);
                }
                if let Some(key) = after {
                    takes.push((rule.name, format!("{key:?}"), def.name, id));
                }
            }
        }
        let takers: BTreeSet<Uuid> = takes.iter().map(|(_, _, _, id)| *id).collect();
        for (rule, key, entity, id) in &takes {
            if let Some(by) = freed.get(&(*rule, key.clone()))
                && takers.contains(by)
                && by != id
            {
                return Err(WriteError::Exchange { entity, id: *id, rule });
            }
        }
        let releasing: BTreeSet<Uuid> = freed.values().copied().filter(|id| !takers.contains(id)).collect();
        let mut paired: Vec<_> = self.writes.into_iter().zip(self.log).collect();
        paired.sort_by_key(|(write, _)| !releasing.contains(&write.record().id()));
        self.releases = paired.iter().filter(|(write, _)| releasing.contains(&write.record().id())).count();
        (self.writes, self.log) = paired.into_iter().unzip();
        for (ordinal, row) in self.log.iter_mut().enumerate() {
            row.ordinal = i32::try_from(ordinal).unwrap_or(i32::MAX);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::TokenRow;

    proptest! {
        #[test]
        fn cm_11_tokens_are_put_in_the_order_of_their_key(
            parts in prop::collection::vec((0..2_usize, "[a-cäΩ]{0,10}", 0..3_u128), 0..40),
        ) {
            let row = |(entity, token, id): (usize, String, u128)| TokenRow {
                entity: ["contact", "customer"][entity], token, id: Uuid::from_u128(id),
            };
            let rows: Vec<TokenRow> = parts.into_iter().map(row).collect();
            let mut expected: Vec<&TokenRow> = rows.iter().collect();
            expected.sort_by_key(|row| (row.entity, row.token.as_bytes(), row.id));
            prop_assert_eq!(TokenRow::in_order(&rows), expected);
        }
    }
}
