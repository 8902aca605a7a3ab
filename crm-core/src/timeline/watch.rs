//! Live updates of a timeline (SPEC TL-11).

use std::collections::{BTreeMap, VecDeque};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::catalog::EntityDef;
use crate::command::Error;
use crate::context::Context;
use crate::crm::Crm;
use crate::log::{LogRow, Op, value_from_json};
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
    /// The changes of a timeline from now on, as far as the actor may see them, in the order of the log: the page of
    /// before with what is told since is the page of now. The stream ends after an error of the store; what was missed
    /// meanwhile is read as a page.
    ///
    /// An entry that moves to another contact, becomes private or is a draft again is told as removed where it was. Two
    /// things are not told: a customer that is deleted or restored takes its entries with it and brings them back as a
    /// whole; and a record that was purged is told of at its customer and the tenant only.
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

/// A record that log rows of one batch are about.
struct Touched {
    def: &'static EntityDef,
    id: Uuid,
    /// It was not there before.
    is_new: bool,
    /// The customer that it is read through.
    root: Option<Uuid>,
    /// What its fields held before, in JSON. Empty when that was erased.
    before: BTreeMap<String, Json>,
}

impl Watch {
    /// Reads what came after the position; whether there was anything.
    async fn fetch(&mut self) -> Result<bool, StoreError> {
        let batch = self.crm.log().after(&self.ctx, self.position, BATCH).await?;
        let Some(last) = batch.last().and_then(|row| row.number) else { return Ok(false) };
        let touched = self.touched(batch);
        let mut ids: BTreeMap<&'static str, (&'static EntityDef, Vec<Uuid>)> = BTreeMap::new();
        for one in &touched {
            ids.entry(one.def.name).or_insert_with(|| (one.def, Vec::new())).1.push(one.id);
        }
        let reads: Vec<Read> = ids.into_values().map(|(def, ids)| Read::Get { def, ids }).collect();
        let answers = if reads.is_empty() { Vec::new() } else { self.crm.read(&self.ctx, &reads).await? };
        self.position = last;
        let mut records: BTreeMap<(&str, Uuid), Record> = BTreeMap::new();
        for answer in answers {
            let Answer::Records(found) = answer else { continue };
            records.extend(found.into_iter().map(|record| ((record.def.name, record.id()), record)));
        }
        for one in touched {
            match records.remove(&(one.def.name, one.id)) {
                Some(record) => self.tell(&one, &record),
                None => self.tell_purged(&one),
            }
        }
        Ok(true)
    }

    /// The records of the timeline that these rows are about, in the order in which they were first touched.
    fn touched(&self, batch: Vec<LogRow>) -> Vec<Touched> {
        let catalog = self.crm.store().catalog();
        let mut touched: Vec<Touched> = Vec::new();
        let mut places: BTreeMap<(&'static str, Uuid), usize> = BTreeMap::new();
        for row in batch {
            let Some(def) = catalog.get(&row.entity).filter(|def| def.entry.is_some()) else { continue };
            let place = *places.entry((def.name, row.record_id)).or_insert(touched.len());
            if place == touched.len() {
                let (id, is_new) = (row.record_id, row.op == Op::Insert);
                touched.push(Touched { def, id, is_new, root: row.root, before: BTreeMap::new() });
            }
            let one = &mut touched[place];
            for (field, value) in row.private.into_iter().flat_map(|private| private.replaced) {
                one.before.entry(field).or_insert(value);
            }
        }
        touched
    }

    /// Tells of the entries that a record stands for now, and of those that it stood for before and no more, as far
    /// as either are seen here.
    fn tell(&mut self, one: &Touched, record: &Record) {
        let now = self.seen(record);
        let before = if one.is_new { Vec::new() } else { self.seen(&one.earlier(record)) };
        let gone = before.iter().filter(|old| now.iter().all(|new| new.key() != old.key()));
        self.ready.extend(gone.map(|row| TimelineChange::Removed(row.key())));
        self.ready.extend(now.into_iter().map(|row| TimelineChange::Put(Box::new(row))));
    }

    /// Of a record that is gone for good nothing is left but whose it was.
    fn tell_purged(&mut self, one: &Touched) {
        let customer = one.root.filter(|customer| match self.anchor {
            Anchor::Customer(id) => id.0 == *customer,
            Anchor::Tenant => true,
            _ => false,
        });
        if let Some(anchor_id) = customer {
            let key = TimelineKey { anchor_id, kind: one.def.name, entry_id: one.id };
            self.ready.push_back(TimelineChange::Removed(key));
        }
    }

    /// The rows of a record that are in this timeline and that the actor may see.
    fn seen(&self, record: &Record) -> Vec<TimelineRow> {
        let viewer = self.ctx.viewer();
        if !visible(record, &viewer) {
            return Vec::new();
        }
        let catalog = self.crm.store().catalog();
        let mut rows = rows(catalog, record, direct_root(catalog, record));
        rows.retain(|row| viewer.sees(row) && self.is_here(row));
        rows
    }

    fn is_here(&self, row: &TimelineRow) -> bool {
        let at = |id: Uuid| row.anchor_id == id;
        match &self.anchor {
            Anchor::Customer(id) => at(id.0),
            Anchor::Contact(id) => at(id.0),
            Anchor::Record(_, id) => at(*id),
            Anchor::User(id) => row.primary && row.actor == Some(id.0),
            Anchor::Tenant => row.primary,
        }
    }
}

impl Touched {
    /// The record as it was before.
    fn earlier(&self, record: &Record) -> Record {
        let mut earlier = record.clone();
        for (name, json) in &self.before {
            if let Some(place) = self.def.index_of(name)
                && let Some(value) = value_from_json(&self.def.fields[place], json)
            {
                earlier.values[place] = value;
            }
        }
        earlier
    }
}
