//! `crm.interactions()`.

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::{Value as Json, json};

use crate::approval::BulkDeletion;
use crate::catalog::Entity;
use crate::command::Error;
use crate::context::Context;
use crate::criteria::{Criteria, Filter, Path, Scope, Test};
use crate::crm::{Crm, Done};
use crate::customer::Expect;
use crate::interaction::statistics::Waiting;
use crate::interaction::{
    Interaction, InteractionId, InteractionRefusal, InteractionStatistics, LogInteractions, ReplyStatus,
    ResponseTimes, UpdateInteraction,
};
use crate::policy::Action;
use crate::query::{Find, Page, visible_filter};
use crate::store::{
    Answer, Direction as SortDirection, GroupQuery, MAX_LIMIT, Measure, Order, Query, Read, StoreError,
};
use crate::value::truncate;

/// Interactions: log, read, change, delete, find.
#[derive(Clone, Copy)]
pub struct Interactions<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<Done<T>, Error<InteractionRefusal>>;

impl<'a> Interactions<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Logs an interaction. With an external id that is known for its source, the stored one is returned and nothing
    /// changes.
    pub async fn log(&self, ctx: &Context, interaction: Interaction) -> Outcome<Interaction> {
        Ok(self.log_batch(ctx, vec![interaction]).await?.map(|mut list| list.remove(0)))
    }

    /// Logs many interactions, all or none; at most [`MAX_WRITES`](crate::store::MAX_WRITES).
    pub async fn log_batch(
        &self,
        ctx: &Context,
        interactions: Vec<Interaction>,
    ) -> Outcome<Vec<Interaction>> {
        self.crm.run(ctx, &LogInteractions { interactions }).await
    }

    /// Changes an interaction by a function over it, which is called again if others were faster.
    pub async fn update(
        &self,
        ctx: &Context,
        id: InteractionId,
        expect: Expect,
        change: impl Fn(&mut Interaction) + Send + Sync,
    ) -> Outcome<Interaction> {
        self.crm.run(ctx, &UpdateInteraction { id, expect, delete: false, change: &change }).await
    }

    /// Says that a message was answered.
    pub async fn mark_replied(&self, ctx: &Context, id: InteractionId) -> Outcome<Interaction> {
        self.update(ctx, id, Expect::Any, |interaction| interaction.reply_status = ReplyStatus::Replied).await
    }

    /// Deletes an interaction.
    pub async fn delete(&self, ctx: &Context, id: InteractionId, expect: Expect) -> Outcome<Interaction> {
        self.crm.run(ctx, &UpdateInteraction { id, expect, delete: true, change: &|_| {} }).await
    }

    /// Deletes the interactions that meet criteria and that the actor may see, all in one commit, if they are at most
    /// 100. For more it asks for an approval, and none is deleted before that (SPEC IT-01): what is approved is
    /// [`ApprovalRequest::BulkDelete`](crate::approval::ApprovalRequest::BulkDelete), which is wider.
    pub async fn delete_matching(
        &self,
        ctx: &Context,
        criteria: Json,
        reason: &str,
    ) -> Outcome<BulkDeletion> {
        let one = |id| UpdateInteraction { id, expect: Expect::Any, delete: true, change: &|_| {} };
        let name = "interactions.delete_matching";
        self.crm.delete_matching::<Interaction, _>(ctx, name, criteria, reason, one).await
    }

    /// The interaction, if the actor may see it.
    pub async fn get(&self, ctx: &Context, id: InteractionId) -> Result<Interaction, Error> {
        self.crm.get(ctx, id).await
    }

    /// A page of the interactions that meet criteria and that the actor may see.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Interaction>, Error> {
        self.crm.find(ctx, find).await
    }

    /// All interactions that meet criteria and that the actor may see, in their order, in bounded memory.
    pub async fn export(
        &self,
        ctx: &Context,
        find: &Find,
    ) -> Result<BoxStream<'static, Result<Interaction, Error>>, Error> {
        self.crm.export(ctx, find).await
    }

    /// How many interactions the actor sees, by channel, with their durations, and by the entities that they belong to; of
    /// those that meet criteria, or of all. Asks the store once, with criteria after the settings, whose zone their days
    /// are of; those that name further records are then read one by one, in bounded memory, of a later snapshot.
    pub async fn statistics(
        &self,
        ctx: &Context,
        criteria: Option<Json>,
    ) -> Result<InteractionStatistics, Error> {
        let def = Interaction::def();
        let filter = self.filter(ctx, criteria).await?;
        let path = |name| Path::own(def, name);
        let has = |name| path(name).map_or_else(Filter::always, |path| Filter::leaf(path, Test::Exists));
        let group = |filter: Filter, by: &[&str], measures: [Option<Measure>; 2]| {
            Read::Group(GroupQuery {
                def,
                filter,
                by: by.iter().filter_map(|name| Path::own(def, name)).collect(),
                measures: std::iter::once(Measure::Count).chain(measures.into_iter().flatten()).collect(),
                limit: MAX_LIMIT,
            })
        };
        let (minutes, last) =
            (path("duration_minutes").map(Measure::Sum), path("occurred_at").map(Measure::Max));
        let timed = filter.clone().and(has("duration_minutes"));
        let named = filter.clone().and(has("contact_id"));
        let reads = [
            group(filter.clone(), &["interaction_type", "direction"], [minutes, last]),
            group(timed, &["interaction_type"], [None, None]),
            group(named, &[], [None, None]),
        ];
        let answers = self.crm.read(ctx, &reads).await?;
        if let [Answer::Groups(all), Answer::Groups(timed), Answer::Groups(named)] = answers.as_slice() {
            let mut statistics = InteractionStatistics::of(all, timed, named);
            let linked = Query::new(def, filter.and(has("related")), MAX_LIMIT);
            let mut linked = self.crm.store().scan(ctx.tenant, linked);
            while let Some(record) = linked.next().await {
                statistics.add_related(&Interaction::from_owned(record?)?);
            }
            return Ok(statistics);
        }
        Err(StoreError::Corrupt { what: "an answer of another kind than was asked for".to_owned() }.into())
    }

    /// How fast interactions that customers began were answered, as far as the actor sees them; of those that meet
    /// criteria, or of all. Reads each of them once, in bounded memory.
    pub async fn response_times(
        &self,
        ctx: &Context,
        criteria: Option<Json>,
    ) -> Result<ResponseTimes, Error> {
        let def = Interaction::def();
        let filter = self.filter(ctx, criteria).await?;
        let order = ["customer_id", "occurred_at", "direction"].iter().filter_map(|name| {
            Path::own(def, name).map(|path| Order { path, direction: SortDirection::Ascending })
        });
        let query = Query { order: order.collect(), ..Query::new(def, filter, MAX_LIMIT) };
        let mut found = self.crm.store().scan(ctx.tenant, query);
        let mut waiting = Waiting::default();
        while let Some(record) = found.next().await {
            waiting.add(&Interaction::from_owned(record?)?);
        }
        Ok(waiting.done())
    }

    /// Those that meet criteria and that the actor may see.
    async fn filter(&self, ctx: &Context, criteria: Option<Json>) -> Result<Filter, Error> {
        let def = Interaction::def();
        self.crm.allow(ctx, Action::Read, def.name)?;
        let catalog = self.crm.store().catalog();
        let asked = match criteria {
            None => Filter::always(),
            Some(json) => {
                let zone = self.crm.settings_of(ctx).await?.tz();
                Criteria::parse(&json, def, &Scope::new(catalog, zone))?.at(truncate(self.crm.env().now()))
            }
        };
        Ok(asked.and(Filter::live(catalog, def)).and(visible_filter(def, &ctx.viewer())))
    }

    /// The messages that wait for an answer, longest waiting first.
    pub async fn awaiting_reply(&self, ctx: &Context, limit: usize) -> Result<Vec<Interaction>, Error> {
        let waiting = json!({ "field": "reply_status", "operator": "eq", "value": "awaiting" });
        Ok(self.crm.find(ctx, &Find::matching(waiting).ascending("occurred_at").limit(limit)).await?.items)
    }
}
