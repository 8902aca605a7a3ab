//! Live updates of a timeline (SPEC TL-11).

use std::collections::{BTreeSet, VecDeque};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use uuid::Uuid;

use crate::command::Error;
use crate::context::Context;
use crate::crm::Crm;
use crate::log::Op;
use crate::query::visible;
use crate::record::Record;
use crate::store::{Answer, Read, StoreError, TimelineKey, TimelineRow};
use crate::timeline::service::anchor_record;
use crate::timeline::{Anchor, Timelines, direct_root, rows};

/// What became of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum TimelineChange {
    /// The entry is new, or is now like this.
    Put(Box<TimelineRow>),
    /// The entry is gone.
    Removed(TimelineKey),
}

const BATCH: usize = 500;

impl Timelines<'_> {
    /// The changes of a timeline from now on, as far as the actor may see them, in the order of the log. The stream
    /// ends after an error of the store; what was missed meanwhile is read as a page.
    pub async fn watch(
        &self,
        ctx: &Context,
        anchor: Anchor,
    ) -> Result<BoxStream<'static, Result<TimelineChange, StoreError>>, Error> {
        self.allow(ctx, &anchor)?;
        anchor_record(self.crm, &anchor)?;
        let wakes = self.crm.store().wakes(ctx.tenant).await?;
        let position = self.crm.log().head(ctx).await?;
        let state = Watch {
            crm: self.crm.clone(),
            ctx: ctx.clone(),
            anchor,
            wakes,
            position,
            ready: VecDeque::new(),
        };
        Ok(futures_util::stream::try_unfold(state, |mut state| async move {
            loop {
                if let Some(change) = state.ready.pop_front() {
                    return Ok(Some((change, state)));
                }
                if !state.fetch().await? && state.wakes.next().await.is_none() {
                    return Ok(None);
                }
            }
        })
        .boxed())
    }
}

struct Watch {
    crm: Crm,
    ctx: Context,
    anchor: Anchor,
    wakes: BoxStream<'static, ()>,
    position: i64,
    ready: VecDeque<TimelineChange>,
}

impl Watch {
    /// Reads what came after the position; whether there was anything.
    async fn fetch(&mut self) -> Result<bool, StoreError> {
        let batch = self.crm.log().after(&self.ctx, self.position, BATCH).await?;
        let Some(last) = batch.last().and_then(|row| row.number) else { return Ok(false) };
        self.position = last;
        let catalog = self.crm.store().catalog().clone();
        let mut seen = BTreeSet::new();
        for row in &batch {
            let Some(def) = catalog.get(&row.entity).filter(|def| def.entry.is_some()) else { continue };
            if !seen.insert((def.name, row.record_id)) {
                continue;
            }
            let read = Read::Get { def, ids: vec![row.record_id] };
            let Some(Answer::Records(found)) = self.crm.read(&self.ctx, &[read]).await?.pop() else {
                continue;
            };
            match found.first() {
                Some(record) if visible(record, &self.ctx.viewer()) => {
                    self.tell(record, row.op == Op::Insert);
                }
                _ => {}
            }
        }
        Ok(true)
    }

    fn tell(&mut self, record: &Record, is_new: bool) {
        let catalog = self.crm.store().catalog().clone();
        let root = direct_root(&catalog, record);
        let now = rows(&catalog, record, root);
        let mut as_live = record.clone();
        as_live.set("deleted_at", crate::value::Value::Null);
        let shown = rows(&catalog, &as_live, root);
        // An invoice that is a draft again has no entry any more.
        if let Some(anchor_id) = root.filter(|root| shown.is_empty() && !is_new && self.is_of(*root)) {
            let key = TimelineKey { anchor_id, kind: record.def.name, entry_id: record.id() };
            self.ready.push_back(TimelineChange::Removed(key));
        }
        for row in shown {
            if self.concerns(&row) {
                let still_there = now.contains(&row);
                let removed = TimelineChange::Removed(row.key());
                self.ready.push_back(if still_there { TimelineChange::Put(Box::new(row)) } else { removed });
            }
        }
    }

    /// Whether all entries of a customer's records are in the timeline.
    fn is_of(&self, customer: Uuid) -> bool {
        match self.anchor {
            Anchor::Customer(id) => id.0 == customer,
            Anchor::Tenant => true,
            _ => false,
        }
    }

    fn concerns(&self, row: &TimelineRow) -> bool {
        let at = |id: Uuid| row.anchor_id == id;
        self.ctx.viewer().sees(row)
            && match &self.anchor {
                Anchor::Customer(id) => at(id.0),
                Anchor::Contact(id) => at(id.0),
                Anchor::Record(_, id) => at(*id),
                Anchor::User(id) => row.primary && row.actor == Some(id.0),
                Anchor::Tenant => row.primary,
            }
    }
}
