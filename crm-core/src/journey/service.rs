//! `crm.journey()`.

use serde_json::json;

use crate::command::{Error, NoRefusal};
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::{CustomerId, Expect};
use crate::journey::{Milestone, MilestoneId, ReachMilestone, UpdateMilestone};
use crate::query::{Find, Page};

/// Milestones: reach, read, change, delete, find.
///
/// ```
/// use crm_core::customer::CustomerId;
/// use crm_core::journey::{Milestone, MilestoneType};
/// use crm_core::{Env, SystemEnv};
/// let customer = CustomerId(uuid::Uuid::from_u128(7));
/// let referral = Milestone {
///     details: Some(serde_json::json!({ "campaign": "spring" })),
///     ..Milestone::new(customer, MilestoneType::ReferralMade, SystemEnv.now())
/// };
/// assert!(!referral.is_once && MilestoneType::FirstPurchase.is_once());
/// ```
#[derive(Clone, Copy)]
pub struct Journeys<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<Done<T>, Error<NoRefusal>>;

impl<'a> Journeys<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Records that a customer reached a milestone. One that is reached once and is there already is returned as it
    /// is: nothing is written and no event told.
    pub async fn reach(&self, ctx: &Context, milestone: Milestone) -> Outcome<Milestone> {
        self.crm.run(ctx, &ReachMilestone { milestone }).await
    }

    /// Changes when a milestone was reached and its details by a function over it, which is called again if others were
    /// faster.
    pub async fn update(
        &self,
        ctx: &Context,
        id: MilestoneId,
        expect: Expect,
        change: impl Fn(&mut Milestone) + Send + Sync,
    ) -> Outcome<Milestone> {
        self.crm.run(ctx, &UpdateMilestone { id, expect, delete: false, change: &change }).await
    }

    /// Deletes a milestone; one that is reached once can then be reached again.
    pub async fn delete(&self, ctx: &Context, id: MilestoneId, expect: Expect) -> Outcome<Milestone> {
        self.crm.run(ctx, &UpdateMilestone { id, expect, delete: true, change: &|_| {} }).await
    }

    /// The milestone.
    pub async fn get(&self, ctx: &Context, id: MilestoneId) -> Result<Milestone, Error> {
        self.crm.get(ctx, id).await
    }

    /// A page of a customer's milestones, the latest first; `cursor` is what the page before returned.
    pub async fn of_customer(
        &self,
        ctx: &Context,
        customer: CustomerId,
        limit: usize,
        cursor: Option<String>,
    ) -> Result<Page<Milestone>, Error> {
        let of = json!({ "field": "customer_id", "operator": "eq", "value": customer });
        let find = Find::matching(of).descending("occurred_at").limit(limit);
        self.crm.find(ctx, &Find { cursor, ..find }).await
    }

    /// A page of the milestones that meet criteria.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Milestone>, Error> {
        self.crm.find(ctx, find).await
    }
}
