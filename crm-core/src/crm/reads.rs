//! Reading records.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::catalog::{Entity, EntityDef};
use crate::command::{Error, Loaded, Need};
use crate::context::Context;
use crate::criteria::{Filter, Path, Scope, Test};
use crate::crm::Crm;
use crate::id::RecordId;
use crate::policy::Action;
use crate::query::{self, Find, Page, Prepared, Totals};
use crate::record::Record;
use crate::store::{Answer, Group, GroupQuery, MAX_LIMIT, Query, Read, StoreError};
use crate::tenant::Settings;
use crate::value::{Instant, Value, truncate};

impl Crm {
    /// Asks the store; for queries that the facade does not offer. Checks nothing but the tenant.
    pub async fn read(&self, ctx: &Context, reads: &[Read]) -> Result<Vec<Answer>, StoreError> {
        let started = self.env().ticks();
        let answers = self.inner.store.read(ctx.tenant, reads).await;
        self.warn_if_slow("read", started);
        answers
    }

    /// The live record of an entity of this library or the embedder's own, of a live customer, that the actor may
    /// see.
    #[tracing::instrument(level = "debug", name = "crm.get", skip_all, fields(entity = E::def().name))]
    pub async fn get<E: Entity>(&self, ctx: &Context, id: E::Id) -> Result<E, Error> {
        let missing = || Error::NotFound { entity: E::def().name, id: id.uuid() };
        self.get_many(ctx, &[id]).await?.pop().ok_or_else(missing)
    }

    /// The live records with these ids, in their order; those that are not there are left out. At most 10,000.
    pub async fn get_many<E: Entity>(&self, ctx: &Context, ids: &[E::Id]) -> Result<Vec<E>, Error> {
        let def = E::def();
        self.allow(ctx, Action::Read, def.name)?;
        let ids: Vec<Value> = ids.iter().map(|id| Value::Id(id.uuid())).collect();
        let query = self.readable(ctx, def, ids.clone());
        let records = records(self.read(ctx, &[Read::Find(query)]).await?.pop())?;
        let mut found: BTreeMap<_, _> = records.into_iter().map(|record| (record.id(), record)).collect();
        let ordered = ids.iter().filter_map(|id| found.remove(&id.as_id()?));
        Ok(ordered.map(E::from_owned).collect::<Result<_, _>>()?)
    }

    /// The question for those of these records that are live, of live customers, and visible to the actor.
    pub(crate) fn readable(&self, ctx: &Context, def: &'static EntityDef, ids: Vec<Value>) -> Query {
        let limit = ids.len().clamp(1, MAX_LIMIT);
        let by_id = Filter::leaf(Path::system(def, crate::catalog::system::ID), Test::In(ids));
        let filter = by_id
            .and(Filter::live(self.inner.store.catalog(), def))
            .and(query::visible_filter(def, &ctx.viewer()));
        Query::new(def, filter, limit)
    }

    /// A page of the records of an entity of this library or the embedder's own: live ones, of live customers, that
    /// the actor may see.
    #[tracing::instrument(level = "debug", name = "crm.find", skip_all, fields(entity = E::def().name))]
    pub async fn find<E: Entity>(&self, ctx: &Context, find: &Find) -> Result<Page<E>, Error> {
        self.allow(ctx, Action::Read, E::def().name)?;
        let settings = self.settings_for(ctx, find).await?;
        let prepared = self.prepare(ctx, E::def(), find, &settings, truncate(self.env().now()))?;
        let found = records(self.read(ctx, &[Read::Find(prepared.query.clone())]).await?.pop())?;
        self.page(ctx, &prepared, found).await
    }

    /// All records that [`find`](Self::find) gives on all its pages, in their order, in bounded memory: for exports. The
    /// limit does not count. A record that is there, unchanged, throughout comes exactly once (SPEC IT-01).
    #[tracing::instrument(level = "debug", name = "crm.export", skip_all, fields(entity = E::def().name))]
    pub async fn export<E: Entity>(
        &self,
        ctx: &Context,
        find: &Find,
    ) -> Result<BoxStream<'static, Result<E, Error>>, Error> {
        self.allow(ctx, Action::Read, E::def().name)?;
        let settings = self.settings_for(ctx, find).await?;
        let prepared = self.prepare(ctx, E::def(), find, &settings, truncate(self.env().now()))?;
        let found = self.inner.store.scan(ctx.tenant, prepared.query);
        Ok(found.map(|record| Ok(E::from_owned(record?)?)).boxed())
    }

    /// A page of records as [`find`](Self::find) gives it, and how many meet the criteria in all: both of one
    /// snapshot and one instant.
    pub(crate) async fn find_and_count<E: Entity>(
        &self,
        ctx: &Context,
        find: &Find,
    ) -> Result<(Page<E>, i64), Error> {
        let def = E::def();
        self.allow(ctx, Action::Read, def.name)?;
        let settings = self.settings_for(ctx, find).await?;
        let now = truncate(self.env().now());
        let prepared = self.prepare(ctx, def, find, &settings, now)?;
        let totals = Totals { criteria: find.criteria.clone(), ..Totals::default() };
        let mut group = totals.prepare(def, &Scope::new(self.inner.store.catalog(), settings.tz()), now)?;
        group.filter = group.filter.and(query::visible_filter(def, &ctx.viewer()));
        let mut answers =
            self.read(ctx, &[Read::Find(prepared.query.clone()), Read::Group(group)]).await?.into_iter();
        let found = records(answers.next())?;
        let count = match answers.next() {
            Some(Answer::Groups(groups)) => count_of(&groups)?,
            _ => return Err(wrong_answer().into()),
        };
        Ok((self.page(ctx, &prepared, found).await?, count))
    }

    /// How many live records meet criteria.
    pub(crate) async fn count<E: Entity>(&self, ctx: &Context, criteria: Json) -> Result<i64, Error> {
        Ok(count_of(&self.totals::<E>(ctx, &Totals::default().matching(criteria)).await?)?)
    }

    fn prepare(
        &self,
        ctx: &Context,
        def: &'static EntityDef,
        find: &Find,
        settings: &Settings,
        now: Instant,
    ) -> Result<Prepared, Error> {
        let scope = Scope::new(self.inner.store.catalog(), settings.tz());
        Ok(find.prepare(def, &scope, settings.region, now, &ctx.viewer(), ctx.tenant, self.cursors())?)
    }

    async fn page<E: Entity>(
        &self,
        ctx: &Context,
        prepared: &Prepared,
        mut found: Vec<Record>,
    ) -> Result<Page<E>, Error> {
        let more = found.len() > prepared.limit;
        found.truncate(prepared.limit);
        let next = match found.last() {
            Some(last) if more => {
                let paths: Vec<&Path> = prepared.query.order.iter().map(|order| &order.path).collect();
                let links = self.links_of(ctx, last, &paths).await?;
                Some(prepared.cursor_after(last, &links, ctx.tenant, self.cursors()))
            }
            _ => None,
        };
        Ok(Page { items: found.into_iter().map(E::from_owned).collect::<Result<_, _>>()?, next })
    }

    /// Counts and sums over the live records of an entity, by group.
    pub async fn totals<E: Entity>(&self, ctx: &Context, totals: &Totals) -> Result<Vec<Group>, Error> {
        let mut answers = self.totals_at_once::<E>(ctx, std::slice::from_ref(totals)).await?;
        answers.pop().ok_or_else(|| wrong_answer().into())
    }

    /// Several totals of one snapshot and one instant, in their order.
    pub(crate) async fn totals_at_once<E: Entity>(
        &self,
        ctx: &Context,
        asked: &[Totals],
    ) -> Result<Vec<Vec<Group>>, Error> {
        let def = E::def();
        self.allow(ctx, Action::Read, def.name)?;
        let settings = self.settings_of(ctx).await?;
        let catalog = self.inner.store.catalog();
        let (scope, now) = (Scope::new(catalog, settings.tz()), truncate(self.env().now()));
        let mut reads = Vec::with_capacity(asked.len());
        for totals in asked {
            let mut query: GroupQuery = totals.prepare(def, &scope, now)?;
            query.filter = query.filter.and(query::visible_filter(def, &ctx.viewer()));
            reads.push(Read::Group(query));
        }
        let answers = self.read(ctx, &reads).await?.into_iter().map(|answer| match answer {
            Answer::Groups(groups) => Ok(groups),
            _ => Err(wrong_answer().into()),
        });
        answers.collect()
    }

    pub(crate) async fn settings_of(&self, ctx: &Context) -> Result<Settings, Error> {
        let read = Read::Get { def: Settings::def(), ids: vec![ctx.tenant.0] };
        let stored = records(self.read(ctx, &[read]).await?.pop())?;
        Ok(match stored.first() {
            Some(record) => Settings::from_record(record)?,
            None => Settings::of(ctx.tenant),
        })
    }

    /// The settings where a question depends on the zone or region; the defaults, without asking, where not.
    async fn settings_for(&self, ctx: &Context, find: &Find) -> Result<Settings, Error> {
        if find.depends_on_settings() { self.settings_of(ctx).await } else { Ok(Settings::of(ctx.tenant)) }
    }

    pub(crate) fn allow(&self, ctx: &Context, action: Action, entity: &'static str) -> Result<(), Error> {
        if self.inner.policy.allows(ctx, action, entity) {
            return Ok(());
        }
        Err(Error::Forbidden { action: action.code(), entity })
    }

    /// The records that paths lead to from one record: as many rounds as the longest path has links.
    pub(crate) async fn links_of(
        &self,
        ctx: &Context,
        record: &Record,
        paths: &[&Path],
    ) -> Result<Loaded, Error> {
        Ok(self.links_beside(ctx, record, paths, Loaded::default(), Vec::new(), None).await?.0)
    }

    /// The same where some are known already, with further records by id and one more question beside the first round.
    pub(crate) async fn links_beside(
        &self,
        ctx: &Context,
        record: &Record,
        paths: &[&Path],
        mut links: Loaded,
        mut further: Vec<(&'static EntityDef, Uuid)>,
        mut beside: Option<Query>,
    ) -> Result<(Loaded, Vec<Record>), Error> {
        let mut found_beside = Vec::new();
        loop {
            let mut wanted: BTreeMap<&str, (&'static EntityDef, BTreeSet<Uuid>)> = BTreeMap::new();
            let missing = paths.iter().filter_map(|path| unread(path, record, &links));
            for (def, id) in missing.chain(further.drain(..)) {
                wanted.entry(def.name).or_insert((def, BTreeSet::new())).1.insert(id);
            }
            let mut reads = Vec::new();
            for (def, ids) in wanted.into_values() {
                let ids: Vec<Uuid> = ids.into_iter().collect();
                reads.extend(ids.chunks(MAX_LIMIT).map(|ids| (def, ids.to_vec())));
            }
            if reads.is_empty() && beside.is_none() {
                return Ok((links, found_beside));
            }
            let by_id = reads.iter().map(|(def, ids)| Read::Get { def, ids: ids.clone() });
            let asks_beside = beside.is_some();
            let questions: Vec<Read> = by_id.chain(beside.take().map(Read::Find)).collect();
            let mut answers = self.read(ctx, &questions).await?.into_iter();
            for (def, ids) in reads {
                links.add_records(def, &ids, records(answers.next())?);
            }
            if asks_beside {
                found_beside = records(answers.next())?;
            }
        }
    }
}

/// The first record on the way of a path that was not asked for yet.
fn unread(path: &Path, record: &Record, links: &Loaded) -> Option<(&'static EntityDef, Uuid)> {
    let mut at = record;
    for (place, (_, field)) in path.links.iter().enumerate() {
        let def = path.links.get(place + 1).map_or(path.def, |(def, _)| *def);
        let id = at.values[*field].as_id()?;
        if links.lacks(Need::Records(def, vec![id])).is_some() {
            return Some((def, id));
        }
        at = links.record(def, id)?;
    }
    None
}

fn count_of(groups: &[Group]) -> Result<i64, StoreError> {
    match groups.first().and_then(|group| group.measures.first()) {
        Some(Value::Int(count)) => Ok(*count),
        _ => Err(wrong_answer()),
    }
}

fn records(answer: Option<Answer>) -> Result<Vec<Record>, StoreError> {
    match answer {
        Some(Answer::Records(records)) => Ok(records),
        _ => Err(wrong_answer()),
    }
}

fn wrong_answer() -> StoreError {
    StoreError::Corrupt { what: "an answer of another kind than was asked for".to_owned() }
}
