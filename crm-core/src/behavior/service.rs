//! `crm.behavior()`.

use crate::behavior::{BehaviorEvent, BehaviorEventId, BehaviorRefusal, RecordBehavior};
use crate::command::Error;
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::query::{Find, Page, Totals};
use crate::store::Group;

/// Behaviour events: record, read, find, add up. What is no longer wanted is removed by a
/// [sweep](crate::sweep::Sweeps).
///
/// ```
/// use crm_core::behavior::{BehaviorEvent, BehaviorType};
/// use crm_core::customer::CustomerId;
/// use crm_core::{Env, SystemEnv};
/// let customer = CustomerId(uuid::Uuid::from_u128(7));
/// let event = BehaviorEvent {
///     subject: Some("export".into()),
///     external_id: Some("evt-1".into()), // with it, the same event arriving again is not recorded twice
///     ..BehaviorEvent::new(customer, BehaviorType::FeatureUse, "app", SystemEnv.now())
/// };
/// assert_eq!(event.source, "app");
/// ```
#[derive(Clone, Copy)]
pub struct Behaviors<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<Done<T>, Error<BehaviorRefusal>>;

impl<'a> Behaviors<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Records an event. With an external id that is known for its source, the stored one is returned and nothing
    /// changes.
    pub async fn record(&self, ctx: &Context, event: BehaviorEvent) -> Outcome<BehaviorEvent> {
        Ok(self.record_batch(ctx, vec![event]).await?.map(|mut list| list.remove(0)))
    }

    /// Records many events, all or none; at most [`MAX_WRITES`](crate::store::MAX_WRITES).
    pub async fn record_batch(
        &self,
        ctx: &Context,
        events: Vec<BehaviorEvent>,
    ) -> Outcome<Vec<BehaviorEvent>> {
        self.crm.run(ctx, &RecordBehavior { events }).await
    }

    /// The event.
    pub async fn get(&self, ctx: &Context, id: BehaviorEventId) -> Result<BehaviorEvent, Error> {
        self.crm.get(ctx, id).await
    }

    /// A page of the events that meet criteria.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<BehaviorEvent>, Error> {
        self.crm.find(ctx, find).await
    }

    /// Counts and sums of events by group.
    pub async fn totals(&self, ctx: &Context, totals: &Totals) -> Result<Vec<Group>, Error> {
        self.crm.totals::<BehaviorEvent>(ctx, totals).await
    }
}
