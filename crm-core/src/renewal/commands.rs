//! What can be done with renewals, as pure decisions.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::customer::{Customer, CustomerId, Expect, input_of, live_customer};
use crate::directory::UserId;
use crate::journey::{Milestone, MilestoneType, Reached, reached_needs};
use crate::lifecycle::{CustomerLifecycle, LifecycleStage, StageCategory};
use crate::policy::Action;
use crate::renewal::leaving::active_count;
use crate::renewal::{Renewal, RenewalId, RenewalStatus, active_renewals};

/// How many renewals of one customer may be upcoming or in progress: when it leaves, one commit pauses them all.
pub const MAX_ACTIVE_RENEWALS: usize = 900;

/// Why a renewal is not created or changed.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenewalRefusal {
    /// A renewal does not begin decided.
    #[error("a renewal does not begin as {}; accepted are upcoming, in_progress and paused", .0.code())]
    BeginsClosed(RenewalStatus),
    /// It does not go there from where it is.
    #[error("a renewal does not go from {} to {}; accepted are {}", from.code(), to.code(), codes(from.next()))]
    Transition {
        /// Where it is.
        from: RenewalStatus,
        /// Where it was to go.
        to: RenewalStatus,
    },
    /// It is decided.
    #[error("renewal {id} is {}, and stays as it is; create another one", status.code())]
    Closed {
        /// The renewal.
        id: RenewalId,
        /// What it was decided to.
        status: RenewalStatus,
    },
    /// Its customer has left.
    #[error(
        "customer {customer} has left (stage {stage}), so its renewals rest; accepted is paused, or bring it back with \
         lifecycle().advance first"
    )]
    CustomerLeft {
        /// The customer.
        customer: CustomerId,
        /// The name of the stage it is in.
        stage: String,
    },
    /// The customer has too many already.
    #[error(
        "customer {0} has {MAX_ACTIVE_RENEWALS} renewals upcoming or in progress, the most there may be; decide or \
         pause some first"
    )]
    TooMany(CustomerId),
}

impl Refusal for RenewalRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::BeginsClosed(_) => "renewal_begins_closed",
            Self::Transition { .. } => "renewal_transition",
            Self::Closed { .. } => "renewal_closed",
            Self::CustomerLeft { .. } => "customer_left",
            Self::TooMany(_) => "too_many_renewals",
        }
    }
}

fn codes(statuses: &[RenewalStatus]) -> String {
    statuses.iter().map(|status| status.code()).collect::<Vec<_>>().join(", ")
}

type Decision<T> = Result<T, Decline<RenewalRefusal>>;

/// Creates a renewal.
#[derive(Clone, Debug)]
pub struct CreateRenewal {
    /// The renewal.
    pub renewal: Renewal,
}

impl Command for CreateRenewal {
    type Output = Renewal;
    type Refusal = RenewalRefusal;

    fn name(&self) -> &'static str {
        "renewals.create"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "renewal")
    }

    fn input(&self) -> Json {
        input_of(&self.renewal)
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let customer = self.renewal.customer_id;
        let mut needs = vec![Need::Records(Customer::def(), vec![customer.0])];
        if self.renewal.status.is_active() {
            needs.extend(opening_needs(customer, loaded));
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Renewal> {
        let Renewal { customer_id, status, .. } = self.renewal;
        live_customer(customer_id, loaded)?;
        if status.is_closed() {
            return Err(Decline::Refused(RenewalRefusal::BeginsClosed(status)));
        }
        if status.is_active() {
            open(customer_id, loaded, changes)?;
        }
        let renewal = changes.insert(&Renewal { closed_at: None, ..self.renewal.clone() })?;
        changes.event("renewal.created", ids(&renewal, None));
        Ok(renewal)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Renewal> {
        let (_, id, _) = written.iter().find(|(entity, ..)| entity == "renewal")?;
        loaded.get(RenewalId(*id)).ok().flatten()
    }
}

/// Changes one renewal by a function over it. When it is renewed, its customer reaches the milestone `renewal`.
pub struct UpdateRenewal<'f> {
    /// The renewal.
    pub id: RenewalId,
    /// Which version it applies to.
    pub expect: Expect,
    /// What changes. Called again when others were faster.
    pub change: &'f (dyn Fn(&mut Renewal) + Send + Sync),
}

impl Command for UpdateRenewal<'_> {
    type Output = Renewal;
    type Refusal = RenewalRefusal;

    fn name(&self) -> &'static str {
        "renewals.update"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "renewal")
    }

    fn input(&self) -> Json {
        let mut sample = Renewal::new(CustomerId(Uuid::nil()), "", chrono::NaiveDate::default());
        (self.change)(&mut sample);
        json!([self.id, self.expect.to_json(), input_of(&sample)])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = vec![Need::Records(Renewal::def(), vec![self.id.0])];
        if let Ok(Some(before)) = loaded.live::<Renewal>(self.id) {
            needs.push(Need::Records(Customer::def(), vec![before.customer_id.0]));
            let mut after = before.clone();
            (self.change)(&mut after);
            if opens(before.status, after.status) {
                needs.extend(opening_needs(before.customer_id, loaded));
            }
            if after.status == RenewalStatus::Renewed {
                needs.extend(reached_needs(&[before.customer_id]));
            }
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Renewal> {
        let missing = || Decline::NotFound("renewal", self.id.0);
        let before: Renewal = loaded.live(self.id)?.ok_or_else(missing)?;
        loaded.live::<Customer>(before.customer_id)?.ok_or_else(missing)?;
        self.expect.check("renewal", self.id.0, before.meta.version)?;
        let mut after = before.clone();
        (self.change)(&mut after);
        let (from, to) = (before.status, after.status);
        if from.is_closed() && after != before {
            return Err(Decline::Refused(RenewalRefusal::Closed { id: self.id, status: from }));
        }
        if from != to && !from.next().contains(&to) {
            return Err(Decline::Refused(RenewalRefusal::Transition { from, to }));
        }
        after.closed_at = before.closed_at.or(to.is_closed().then_some(changes.now()));
        if opens(from, to) {
            open(before.customer_id, loaded, changes)?;
        }
        let after = changes.update(&before, &after)?;
        if from != to {
            changes.event(&format!("renewal.{}", to.code()), ids(&after, Some(from)));
        } else if after.meta.version != before.meta.version {
            changes.event("renewal.updated", ids(&after, Some(from)));
        }
        if from != to && to == RenewalStatus::Renewed {
            let milestone = Milestone {
                details: Some(json!({ "renewal_id": after.id })),
                created_by: changes.context().user_id().map(UserId),
                ..Milestone::new(after.customer_id, MilestoneType::Renewal, changes.now())
            };
            Reached::of(loaded)?.reach(milestone, changes)?;
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Renewal> {
        loaded.get(self.id).ok().flatten()
    }
}

fn opens(from: RenewalStatus, to: RenewalStatus) -> bool {
    to.is_active() && !from.is_active()
}

/// What must be loaded before a renewal becomes upcoming or in progress.
fn opening_needs(customer: CustomerId, loaded: &Loaded) -> Vec<Need> {
    let mut needs = vec![Need::Records(CustomerLifecycle::def(), vec![customer.0])];
    needs.extend(active_renewals(customer));
    if let Ok(Some(lifecycle)) = loaded.live::<CustomerLifecycle>(customer) {
        needs.push(Need::Records(LifecycleStage::def(), vec![lifecycle.current_stage_id.0]));
    }
    needs
}

/// Refuses to open a renewal for a customer who has left or has too many, and notes it in the customer's lifecycle: who
/// changes that meanwhile, by another stage or another renewal, and this command exclude each other.
fn open(customer: CustomerId, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<()> {
    let lost = || Decline::NotFound("customer_lifecycle", customer.0);
    let before: CustomerLifecycle = loaded.live(customer)?.ok_or_else(lost)?;
    let stage: LifecycleStage = loaded.get(before.current_stage_id)?.ok_or_else(lost)?;
    if stage.category == StageCategory::PostCustomer {
        return Err(Decline::Refused(RenewalRefusal::CustomerLeft { customer, stage: stage.name }));
    }
    if active_count(customer, loaded) >= MAX_ACTIVE_RENEWALS {
        return Err(Decline::Refused(RenewalRefusal::TooMany(customer)));
    }
    let renewals_opened = before.renewals_opened + 1;
    changes.update(&before, &CustomerLifecycle { renewals_opened, ..before.clone() })?;
    Ok(())
}

/// What an event says of a renewal: ids and codes.
pub(super) fn ids(renewal: &Renewal, from: Option<RenewalStatus>) -> Json {
    json!({
        "renewal_id": renewal.id,
        "customer_id": renewal.customer_id,
        "from": from,
        "status": renewal.status,
    })
}
