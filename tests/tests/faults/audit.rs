//! Everything that is stored, read back and compared with what must follow from it.

use std::collections::{BTreeMap, BTreeSet};

use crm_core::catalog::{FieldType, system};
use crm_core::criteria::Filter;
use crm_core::format;
use crm_core::log::{LogRow, Op, changes};
use crm_core::record::Record;
use crm_core::store::{
    Answer, Direction, KeyRecord, MAX_LIMIT, Query, Read, TimelineAnchor, TimelineFilter, TimelineKey,
    TimelineQuery, TimelineRow, Viewer,
};
use crm_core::timeline::{direct_root, rows};
use crm_core::value::Value;
use crm_core::{Context, Crm, TenantId};
use futures_util::TryStreamExt as _;
use uuid::Uuid;

use crate::backend::Backend;
use crate::deed::{Command, Written};

/// What one tenant's data is, as far as the store tells.
pub(crate) struct Snapshot {
    /// All records, deleted ones included.
    pub(crate) records: BTreeMap<(String, Uuid), Record>,
    /// The whole log, in order.
    pub(crate) log: Vec<LogRow>,
}

impl Snapshot {
    /// Reads it all.
    pub(crate) async fn take(crm: &Crm, tenant: TenantId) -> Self {
        let store = crm.store();
        let mut records = BTreeMap::new();
        for def in store.catalog().entities() {
            let all = store.scan(tenant, Query::new(def, Filter::always(), 1));
            for record in all.try_collect::<Vec<_>>().await.unwrap() {
                let before = records.insert((def.name.to_owned(), record.id()), record);
                assert!(before.is_none(), "a scan gives a record twice");
            }
        }
        while store.seal_log(tenant, 1_000).await.unwrap() > 0 {}
        let mut log: Vec<LogRow> = Vec::new();
        loop {
            let after = i64::try_from(log.len()).unwrap();
            let Answer::Log(more) = ask(crm, tenant, Read::Log { after, limit: 1_000 }).await else {
                panic!("no log")
            };
            if more.is_empty() {
                return Self { records, log };
            }
            log.extend(more);
        }
    }

    /// What a command did, as the log tells.
    pub(crate) fn done_by(&self, command: &Command) -> (BTreeSet<(String, Uuid, i64)>, usize) {
        let rows: Vec<&LogRow> =
            self.log.iter().filter(|row| row.body.correlation == Some(command.id)).collect();
        let commits: BTreeSet<Uuid> = rows.iter().map(|row| row.commit_id).collect();
        let written = rows.iter().map(|row| (row.entity.clone(), row.record_id, row.version)).collect();
        (written, commits.len())
    }

    /// Records, log, timeline and tokens agree, wholly.
    pub(crate) async fn check(&self, backend: &Backend, crm: &Crm, tenant: TenantId) {
        let ctx = Context::system(tenant);
        let whole = crm.log().verify(&ctx).await.unwrap().expect("the chain holds");
        assert_eq!(usize::try_from(whole).unwrap(), self.log.len());
        assert_eq!(backend.count("crm_log").await, self.log.len());
        self.check_histories();
        self.check_uniques();
        self.check_timeline(backend, crm, tenant).await;
        self.check_tokens(backend, crm, tenant).await;
    }

    /// Versions 1 to n without a gap and in order, each record's last version its current one, and every value proven.
    fn check_histories(&self) {
        let mut histories: BTreeMap<(String, Uuid), Vec<LogRow>> = BTreeMap::new();
        for row in &self.log {
            let history = histories.entry((row.entity.clone(), row.record_id)).or_default();
            assert_eq!(row.version, history.last().map_or(1, |last| last.version + 1), "{row:?}");
            assert_eq!(row.op == Op::Insert, row.version == 1, "{row:?}");
            history.push(row.clone());
        }
        let of: BTreeSet<_> = histories.keys().collect();
        assert_eq!(of, self.records.keys().collect(), "records and their log rows");
        for (key, record) in &self.records {
            let mut history = histories.remove(key).unwrap();
            history.reverse();
            assert_eq!(record.version(), history[0].version, "{key:?}");
            let changes = changes(Some(record), &history);
            let mut committed = BTreeSet::new();
            for (name, change) in changes.iter().flat_map(|change| &change.fields) {
                assert_eq!(change.proven, Some(true), "{key:?}.{name}");
                committed.insert(name.clone());
            }
            for (place, field) in record.def.fields.iter().enumerate().skip(system::DELETED_AT) {
                let known = record.values[place].is_missing() || committed.contains(field.name);
                assert!(known, "the log knows nothing of {key:?}.{}", field.name);
            }
        }
    }

    fn check_uniques(&self) {
        let mut seen = BTreeSet::new();
        for (key, record) in &self.records {
            for rule in record.def.uniques {
                if let Some(values) = rule.key_of(record) {
                    assert!(seen.insert((rule.name, format!("{values:?}"))), "{} at {key:?}", rule.name);
                }
            }
        }
    }

    async fn check_timeline(&self, backend: &Backend, crm: &Crm, tenant: TenantId) {
        let mut expected: BTreeMap<TimelineKey, TimelineRow> = BTreeMap::new();
        for record in self.records.values() {
            let root = direct_root(crm.store().catalog(), record);
            expected
                .extend(rows(crm.store().catalog(), record, root).into_iter().map(|row| (row.key(), row)));
        }
        assert_eq!(backend.count("crm_timeline").await, expected.len(), "timeline rows");
        let anchors: Vec<Uuid> = self.records.keys().map(|(_, id)| *id).collect();
        let mut found = BTreeMap::new();
        for some in anchors.chunks(200) {
            let mut query = TimelineQuery {
                anchor: TimelineAnchor::Records(some.to_vec()),
                filter: TimelineFilter::default(),
                viewer: Viewer { sees_all: true, ..Viewer::default() },
                direction: Direction::Ascending,
                after: None,
                limit: MAX_LIMIT,
            };
            loop {
                let Answer::Timeline(page) = ask(crm, tenant, Read::Timeline(query.clone())).await else {
                    panic!("no timeline")
                };
                query.after = page.last().map(TimelineRow::position);
                let last = page.len() < MAX_LIMIT;
                found.extend(page.into_iter().map(|row| (row.key(), row)));
                if last {
                    break;
                }
            }
        }
        assert_eq!(found, expected);
    }

    async fn check_tokens(&self, backend: &Backend, crm: &Crm, tenant: TenantId) {
        let mut expected: BTreeMap<(&str, String), BTreeSet<Uuid>> = BTreeMap::new();
        for record in self.records.values().filter(|record| record.is_live()) {
            for token in tokens(record) {
                expected.entry((record.def.name, token)).or_default().insert(record.id());
            }
        }
        let pairs: usize = expected.values().map(BTreeSet::len).sum();
        assert_eq!(backend.count("crm_tokens").await, pairs, "search tokens");
        let wanted: Vec<_> = expected.into_iter().collect();
        for some in wanted.chunks(40) {
            let reads: Vec<Read> = some
                .iter()
                .map(|((entity, token), _)| {
                    let def = crm.store().catalog().get(entity).unwrap();
                    let tokens = vec![token.clone()];
                    Read::Find(Query { tokens, ..Query::new(def, Filter::always(), MAX_LIMIT) })
                })
                .collect();
            let answers = crm.store().read(tenant, &reads).await.unwrap();
            for ((token, ids), answer) in some.iter().zip(answers) {
                let Answer::Records(found) = answer else { panic!("no records") };
                assert_eq!(&found.iter().map(Record::id).collect::<BTreeSet<_>>(), ids, "{token:?}");
            }
        }
    }
}

/// The tokens by which a live record is found: the words of its searched fields, and tags after `#`.
fn tokens(record: &Record) -> BTreeSet<String> {
    let mut tokens = BTreeSet::new();
    for (place, field) in record.def.own_fields().filter(|(_, field)| field.search) {
        match (&record.values[place], field.field_type()) {
            (Value::List(items), FieldType::List) => {
                tokens.extend(items.iter().map(|item| format!("#{}", format::fold(item))));
            }
            (Value::Text(text), _) => tokens.extend(format::tokens(text)),
            _ => {}
        }
    }
    tokens
}

pub(crate) async fn ask(crm: &Crm, tenant: TenantId, read: Read) -> Answer {
    crm.store().read(tenant, &[read]).await.unwrap().remove(0)
}

/// What the key of a command holds.
pub(crate) async fn key_of(crm: &Crm, tenant: TenantId, command: &Command) -> Option<Written> {
    let read = Read::Key { command: command.name(), key: command.key() };
    let Answer::Key(found) = ask(crm, tenant, read).await else { panic!("no key") };
    found.map(|KeyRecord { result, .. }| serde_json::from_str(&result).unwrap())
}
