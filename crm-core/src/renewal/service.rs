//! `crm.renewals()`.

use serde_json::json;

use crate::command::Error;
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::{CustomerId, Expect};
use crate::query::{Find, Page, Totals};
use crate::renewal::{CreateRenewal, Renewal, RenewalId, RenewalRefusal, RenewalStatus, UpdateRenewal};
use crate::store::Group;

/// Renewals: create, change, read, find, add up.
///
/// They go from upcoming to in progress to renewed or lost, and may be paused on the way. While a customer is in a stage
/// of the category `post_customer`, none of its renewals is upcoming or in progress: leaving pauses them and alerts
/// sales, and they are resumed by hand when it has come back.
///
/// ```
/// use crm_core::renewal::RenewalStatus;
/// assert_eq!(RenewalStatus::Upcoming.next(), [RenewalStatus::InProgress, RenewalStatus::Paused]);
/// assert!(RenewalStatus::Lost.is_closed());
/// ```
#[derive(Clone, Copy)]
pub struct Renewals<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<Done<T>, Error<RenewalRefusal>>;

impl<'a> Renewals<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Creates a renewal: upcoming, in progress or paused; for a customer who has left, paused only.
    pub async fn create(&self, ctx: &Context, renewal: Renewal) -> Outcome<Renewal> {
        self.crm.run(ctx, &CreateRenewal { renewal }).await
    }

    /// Changes a renewal by a function over it, which is called again if others were faster. Once renewed or lost it stays
    /// as it is; renewed, its customer reaches the milestone `renewal`.
    pub async fn update(
        &self,
        ctx: &Context,
        id: RenewalId,
        expect: Expect,
        change: impl Fn(&mut Renewal) + Send + Sync,
    ) -> Outcome<Renewal> {
        self.crm.run(ctx, &UpdateRenewal { id, expect, change: &change }).await
    }

    /// Says where a renewal stands now.
    pub async fn set_status(&self, ctx: &Context, id: RenewalId, status: RenewalStatus) -> Outcome<Renewal> {
        self.update(ctx, id, Expect::Any, |renewal| renewal.status = status).await
    }

    /// The renewal.
    pub async fn get(&self, ctx: &Context, id: RenewalId) -> Result<Renewal, Error> {
        self.crm.get(ctx, id).await
    }

    /// The renewals of a customer, the earliest due first, at most 1,000.
    pub async fn of_customer(&self, ctx: &Context, customer: CustomerId) -> Result<Vec<Renewal>, Error> {
        let of = json!({ "field": "customer_id", "operator": "eq", "value": customer });
        Ok(self.crm.find(ctx, &Find::matching(of).ascending("due_on").limit(1_000)).await?.items)
    }

    /// A page of the renewals that meet criteria.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Renewal>, Error> {
        self.crm.find(ctx, find).await
    }

    /// Counts and sums of renewals by group.
    pub async fn totals(&self, ctx: &Context, totals: &Totals) -> Result<Vec<Group>, Error> {
        self.crm.totals::<Renewal>(ctx, totals).await
    }
}
