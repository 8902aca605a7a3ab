//! The wrapper.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use crm_core::TenantId;
use crm_core::catalog::{Catalog, UniqueRule, system};
use crm_core::log::LogRow;
use crm_core::record::Record;
use crm_core::store::{
    Answer, ChangeSet, CommitError, Guard, Layer, MAX_LIMIT, Query, Read, Store, StoreError, TimelineQuery,
    Viewer, Write,
};
use crm_core::value::{Instant, Value};
use crm_store_memory::MemoryStore;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::Fault;
use crate::contract::bench::{ACME, OTHER};

/// The memory store, with one promise broken.
#[derive(Clone, Debug)]
pub(super) struct BrokenStore {
    inner: MemoryStore,
    fault: Fault,
    /// Rows that were sealed a second time, for [`Fault::SealedTwice`].
    sealed: Arc<AtomicI64>,
}

impl BrokenStore {
    pub(super) fn new(catalog: Catalog, fault: Fault) -> Self {
        Self { inner: MemoryStore::new(catalog), fault, sealed: Arc::default() }
    }

    async fn one(&self, tenant: TenantId, read: Read) -> Result<Answer, StoreError> {
        Ok(self.inner.read(tenant, &[read]).await?.remove(0))
    }

    async fn records(&self, tenant: TenantId, read: Read) -> Result<Vec<Record>, StoreError> {
        match self.one(tenant, read).await? {
            Answer::Records(records) => Ok(records),
            _ => Ok(Vec::new()),
        }
    }

    async fn stored(&self, tenant: TenantId, of: &Record) -> Result<Option<Record>, StoreError> {
        Ok(self.records(tenant, Read::Get { def: of.def, ids: vec![of.id()] }).await?.pop())
    }

    /// Whether the guards hold now, as if that meant something later.
    async fn guards_hold(&self, change: &ChangeSet) -> Result<(), CommitError> {
        for guard in &change.guards {
            let (def, id) = guard.target();
            let found = self.records(change.tenant, Read::Get { def, ids: vec![id] }).await?.pop();
            let holds = match guard {
                Guard::Version { version, .. } => found.is_some_and(|record| record.version() == *version),
                Guard::Live { .. } => found.is_some_and(|record| record.is_live()),
            };
            if !holds {
                return Err(CommitError::Conflict { entity: def.name, id });
            }
        }
        Ok(())
    }

    /// A change set of the conditions alone: what is checked apart from the writes.
    fn conditions(change: &ChangeSet) -> ChangeSet {
        ChangeSet {
            commit_id: Uuid::from_u128(change.commit_id.as_u128() ^ 1),
            writes: Vec::new(),
            key: None,
            log: Vec::new(),
            erase_log: Vec::new(),
            timeline_put: Vec::new(),
            timeline_drop: Vec::new(),
            tokens_put: Vec::new(),
            tokens_drop: Vec::new(),
            ..change.clone()
        }
    }

    /// Hands the writes in at whatever version the records have by then.
    async fn at_current_versions(&self, mut change: ChangeSet) -> Result<ChangeSet, CommitError> {
        for write in &change.writes {
            let found = self.stored(change.tenant, write.record()).await?.map(|record| record.version());
            if found != write.expected_version() {
                return Err(CommitError::Conflict { entity: write.def().name, id: write.record().id() });
            }
        }
        a_moment().await;
        for write in &mut change.writes {
            if let Write::Update { before, after } = write
                && let Some(stored) = self.stored(change.tenant, before).await?
            {
                after.values[system::VERSION] = Value::Int(stored.version() + 1);
                *before = stored;
            }
        }
        Ok(change)
    }

    /// The rule of which an insert takes a value that any record has, deleted or not.
    async fn taken_even_by_the_deleted(
        &self,
        change: &ChangeSet,
    ) -> Result<Option<&'static str>, StoreError> {
        for write in &change.writes {
            let Write::Insert(record) = write else { continue };
            let all = Query::new(record.def, crm_core::criteria::Filter::always(), MAX_LIMIT);
            let stored = self.records(change.tenant, Read::Find(all)).await?;
            for rule in record.def.uniques {
                let forgetful = UniqueRule { with_deleted: true, ..*rule };
                let key = forgetful.key_of(record);
                if key.is_some() && stored.iter().any(|other| forgetful.key_of(other) == key) {
                    return Ok(Some(rule.name));
                }
            }
        }
        Ok(None)
    }

    /// The same update of another tenant's record.
    async fn spill(&self, change: &ChangeSet) -> Result<(), CommitError> {
        let other = if change.tenant == ACME { OTHER } else { ACME };
        let mut spilt = ChangeSet { tenant: other, ..Self::conditions(change) };
        spilt.guards.clear();
        spilt.none_refer.clear();
        for write in &change.writes {
            if let Write::Update { before, after } = write
                && let Some(stored) = self.stored(other, before).await?
                && stored.version() == before.version()
            {
                spilt.writes.push(Write::Update { before: stored, after: after.clone() });
            }
        }
        // What breaks a rule there spills no further.
        let _ = self.inner.commit(&spilt).await;
        Ok(())
    }

    /// Sealed rows as a consumer would see them that goes by instant and remembers the last one.
    async fn by_instant(&self, tenant: TenantId, after: i64, limit: usize) -> Result<Answer, StoreError> {
        let Answer::Log(mut rows) = self.one(tenant, Read::Log { after: 0, limit: MAX_LIMIT }).await? else {
            return Ok(Answer::Log(Vec::new()));
        };
        let mark = rows.iter().filter(|row| row.number.is_some_and(|n| n <= after)).map(|row| row.at).max();
        rows.retain(|row| row.number.is_some_and(|n| n > after) && mark.is_none_or(|mark| row.at >= mark));
        rows.sort_by_key(|row: &LogRow| (row.at, row.number));
        rows.truncate(limit);
        Ok(Answer::Log(rows))
    }

    /// All sealed rows, those sealed out of turn with a number that another has.
    async fn twice(&self, tenant: TenantId, after: i64, limit: usize) -> Result<Answer, StoreError> {
        let Answer::Log(mut rows) = self.one(tenant, Read::Log { after, limit }).await? else {
            return Ok(Answer::Log(Vec::new()));
        };
        let from = self.sealed.load(Ordering::SeqCst);
        for row in &mut rows {
            row.number = row.number.map(|number| if from > 0 && number > from { number - 1 } else { number });
        }
        Ok(Answer::Log(rows))
    }

    async fn page(&self, tenant: TenantId, query: &TimelineQuery) -> Result<Answer, StoreError> {
        let mut query = query.clone();
        match self.fault {
            Fault::ViewerForgotten => query.viewer = Viewer { sees_all: true, ..query.viewer },
            Fault::PageByInstant => {
                if let Some(after) = &mut query.after {
                    let last = query.direction == crm_core::store::Direction::Ascending;
                    after.kind = if last { "\u{10ffff}".to_owned() } else { String::new() };
                }
            }
            _ => {}
        }
        self.one(tenant, Read::Timeline(query)).await
    }
}

/// Long enough for another task to come in between.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

fn empty(tenant: TenantId, writes: Vec<Write>) -> ChangeSet {
    ChangeSet {
        tenant,
        commit_id: Uuid::nil(),
        at: Instant::UNIX_EPOCH,
        writes,
        releases: 0,
        guards: Vec::new(),
        none_refer: Vec::new(),
        key: None,
        log: Vec::new(),
        erase_log: Vec::new(),
        timeline_put: Vec::new(),
        timeline_drop: Vec::new(),
        tokens_put: Vec::new(),
        tokens_drop: Vec::new(),
    }
}

/// The value after a round trip through a binary fraction.
fn through_float(value: &mut Value) {
    if let Value::Decimal(number) = value {
        let float: f64 = number.to_string().parse().unwrap_or_default();
        *number = Decimal::from_str_exact(&format!("{float:.12}")).unwrap_or(*number).normalize();
    }
}

#[async_trait]
impl Layer for BrokenStore {
    fn within(&self) -> &dyn Store {
        &self.inner
    }

    async fn commit(&self, change: &ChangeSet) -> Result<(), CommitError> {
        let mut change = change.clone();
        match self.fault {
            Fault::GuardIgnored => change.guards.clear(),
            Fault::DeletedCustomerShown => change.timeline_put.iter_mut().for_each(|row| row.root = None),
            Fault::GuardBeforeCommit if !change.guards.is_empty() => {
                self.guards_hold(&change).await?;
                a_moment().await;
                change.guards.clear();
            }
            Fault::AbsenceBeforeCommit if !change.none_refer.is_empty() => {
                self.inner.commit(&Self::conditions(&change)).await?;
                a_moment().await;
                change.none_refer.clear();
            }
            Fault::VersionBeforeCommit => change = self.at_current_versions(change).await?,
            Fault::AuditBefore | Fault::AuditAfter => {
                let beside = ChangeSet {
                    commit_id: change.commit_id,
                    log: std::mem::take(&mut change.log),
                    ..empty(change.tenant, Vec::new())
                };
                if self.fault == Fault::AuditBefore {
                    self.inner.commit(&beside).await?;
                    return self.inner.commit(&change).await;
                }
                self.inner.commit(&change).await?;
                a_moment().await;
                return self.inner.commit(&beside).await;
            }
            Fault::TenantMissing => {
                self.inner.commit(&change).await?;
                return self.spill(&change).await;
            }
            Fault::KeyExecutedAgain => {
                if let Some(claim) = &change.key {
                    let read = Read::Key { command: claim.command, key: claim.key.clone() };
                    if let Answer::Key(Some(_)) = self.one(change.tenant, read).await? {
                        change.key = None;
                    }
                }
            }
            Fault::HalfApplied if change.writes.len() > 1 => {
                let mut first = change.clone();
                first.commit_id = Uuid::from_u128(change.commit_id.as_u128() ^ 1);
                first.writes.truncate(1);
                first.log.truncate(1);
                first.log.iter_mut().for_each(|row| row.commit_id = first.commit_id);
                first.key = None;
                first.guards.clear();
                first.none_refer.clear();
                if self.inner.commit(&first).await.is_ok() {
                    change.writes.remove(0);
                    change.log.remove(0);
                    change.timeline_put.clear();
                    change.tokens_put.clear();
                }
            }
            Fault::DecimalAsFloat => {
                for write in &mut change.writes {
                    if let Write::Insert(record) | Write::Update { after: record, .. } = write {
                        record.values.iter_mut().for_each(through_float);
                    }
                }
            }
            Fault::UniqueForgetsDeletion => {
                if let Some(rule) = self.taken_even_by_the_deleted(&change).await? {
                    return Err(CommitError::Unique { rule });
                }
            }
            _ => {}
        }
        self.inner.commit(&change).await
    }

    async fn read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, StoreError> {
        let mut answers = Vec::new();
        match self.fault {
            Fault::NoSnapshot => {
                for read in reads {
                    answers.push(self.one(tenant, read.clone()).await?);
                    if reads.len() > 1 {
                        a_moment().await;
                    }
                }
            }
            Fault::LateEventSkipped | Fault::SealedTwice | Fault::PageByInstant | Fault::ViewerForgotten => {
                for read in reads {
                    answers.push(match (self.fault, read) {
                        (Fault::LateEventSkipped, Read::Log { after, limit }) => {
                            self.by_instant(tenant, *after, *limit).await?
                        }
                        (Fault::SealedTwice, Read::Log { after, limit }) => {
                            self.twice(tenant, *after, *limit).await?
                        }
                        (_, Read::Timeline(query)) => self.page(tenant, query).await?,
                        (_, other) => self.one(tenant, other.clone()).await?,
                    });
                }
            }
            _ => return self.inner.read(tenant, reads).await,
        }
        Ok(answers)
    }

    fn scan(&self, tenant: TenantId, query: Query) -> BoxStream<'static, Result<Record, StoreError>> {
        if self.fault != Fault::ScanByOffset {
            return self.inner.scan(tenant, query);
        }
        let store = self.inner.clone();
        stream::unfold(0_usize, move |offset| {
            let (store, query) = (store.clone(), query.clone());
            async move {
                let whole = Query { limit: MAX_LIMIT, ..query };
                let answer =
                    store.read(tenant, &[Read::Find(whole)]).await.map(|mut answers| answers.remove(0));
                let Ok(Answer::Records(records)) = answer else { return None };
                let page: Vec<_> = records.into_iter().skip(offset).take(100).map(Ok).collect();
                tokio::task::yield_now().await;
                if page.is_empty() { None } else { Some((stream::iter(page), offset + 100)) }
            }
        })
        .flatten()
        .boxed()
    }

    async fn seal_log(&self, tenant: TenantId, limit: usize) -> Result<usize, StoreError> {
        if self.fault == Fault::SealedTwice {
            let Answer::Position(head) = self.one(tenant, Read::LogHead).await? else { return Ok(0) };
            a_moment().await;
            let Answer::Position(now) = self.one(tenant, Read::LogHead).await? else { return Ok(0) };
            if now != head {
                // Another took numbers meanwhile: this one takes the same.
                self.sealed.store(head.max(1), Ordering::SeqCst);
            }
        }
        self.inner.seal_log(tenant, limit).await
    }
}
