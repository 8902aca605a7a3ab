//! Where a customer stands, and how it came there.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use crate::catalog::Entity;
use crate::customer::CustomerId;
use crate::directory::UserId;
use crate::format::Currency;
use crate::lifecycle::{StageCategory, StageId};
use crate::record::Meta;
use crate::record_id;
use crate::timeline::{Entry, TimelineSource};
use crate::value::Instant;

record_id! {
    /// The id of a [`LifecycleHistory`] row.
    LifecycleHistoryId
}

crate::codes! {
    /// What made a customer change its stage.
    pub enum StageTrigger {
        /// A person.
        #[default]
        Manual = "manual",
        /// A rule: a purchase.
        Rule = "rule",
        /// Another system.
        Api = "api",
        /// The system itself.
        System = "system",
    }
}

/// Where a customer stands (SPEC LC-02, LC-04): one for each customer, with its id, from the moment it is created.
/// Criteria reach it from the customer as `lifecycle`: `lifecycle.current_stage.category`.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "customer_lifecycle",
    table = "customer_lifecycles",
    extends("customer", "lifecycle"),
    root = "customer_id",
    index(name = "customer_lifecycles_by_stage", fields("current_stage_id", "entered_stage_at")),
    index(name = "customer_lifecycles_by_previous", fields("previous_stage_id")),
    index(name = "customer_lifecycles_by_purchase", fields("last_purchase_date")),
    index(name = "customer_lifecycles_by_revenue", fields("total_revenue")),
    index(name = "customer_lifecycles_by_health", fields("health_score")),
    check(ordered("first_purchase_date", "last_purchase_date"))
)]
pub struct CustomerLifecycle {
    /// The customer's own id.
    pub id: CustomerId,
    /// Version and instants.
    pub meta: Meta,
    /// The customer.
    #[field(link = "customer", frozen)]
    pub customer_id: CustomerId,
    /// The stage it is in.
    #[field(link = "lifecycle_stage")]
    pub current_stage_id: StageId,
    /// Since when.
    pub entered_stage_at: Instant,
    /// The stage it was in before.
    #[field(link = "lifecycle_stage")]
    pub previous_stage_id: Option<StageId>,
    /// How often it has changed its stage: the number of rows in its history.
    #[field(int(0, 1_000_000_000))]
    pub stage_changes: i64,
    /// It came back once and left again (SPEC LC-11).
    pub is_re_churned: bool,
    /// How many renewals were opened or resumed: moves, with the version, on each, so that none is opened while the
    /// customer leaves.
    #[field(int(0, 1_000_000_000))]
    pub renewals_opened: i64,
    /// The day of its first purchase, in the zone that the tenant had when the purchase was counted.
    pub first_purchase_date: Option<NaiveDate>,
    /// The day of its last purchase, in the zone that the tenant had when the purchase was counted.
    pub last_purchase_date: Option<NaiveDate>,
    /// What it has bought, less what was credited, in `currency`.
    #[field(decimal(4))]
    pub total_revenue: Decimal,
    /// How many purchases that were.
    #[field(int(0, 1_000_000_000))]
    pub purchase_count: i64,
    /// The tenant's currency when the first invoice was counted; the total is in it.
    pub currency: Option<Currency>,
    /// Its [`Score`](crate::score::Score) of the type health, 0 to 100; none before the first calculation.
    #[field(int(0, 100))]
    pub health_score: Option<i64>,
    /// Its score of the type engagement.
    #[field(int(0, 100))]
    pub engagement_score: Option<i64>,
    /// Its score of the type value.
    #[field(int(0, 100))]
    pub value_score: Option<i64>,
    /// Its score of the type churn risk.
    #[field(int(0, 100))]
    pub churn_risk_score: Option<i64>,
    /// Its score of the type upsell potential.
    #[field(int(0, 100))]
    pub upsell_potential_score: Option<i64>,
}

impl CustomerLifecycle {
    /// A customer that begins in a stage.
    pub(crate) fn beginning(customer: CustomerId, stage: StageId, at: Instant) -> Self {
        Self {
            id: customer,
            meta: Meta::default(),
            customer_id: customer,
            current_stage_id: stage,
            entered_stage_at: at,
            previous_stage_id: None,
            stage_changes: 0,
            is_re_churned: false,
            renewals_opened: 0,
            first_purchase_date: None,
            last_purchase_date: None,
            total_revenue: Decimal::ZERO,
            purchase_count: 0,
            currency: None,
            health_score: None,
            engagement_score: None,
            value_score: None,
            churn_risk_score: None,
            upsell_potential_score: None,
        }
    }
}

/// One change of a customer's stage; never changed (SPEC LC-03).
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "lifecycle_history",
    table = "lifecycle_history",
    root = "customer_id",
    append_only,
    timeline,
    unique(name = "stage_change_once", fields("customer_id", "sequence")),
    index(name = "lifecycle_history_by_customer", fields("customer_id", "changed_at")),
    index(name = "lifecycle_history_by_stage", fields("to_stage_id", "changed_at"))
)]
pub struct LifecycleHistory {
    /// The id.
    pub id: LifecycleHistoryId,
    /// Version and instants.
    pub meta: Meta,
    /// The customer.
    #[field(link = "customer", frozen)]
    pub customer_id: CustomerId,
    /// Its place in the customer's history, from 1 without gaps.
    #[field(int(1, 1_000_000_000))]
    pub sequence: i64,
    /// From here.
    #[field(link = "lifecycle_stage")]
    pub from_stage_id: Option<StageId>,
    /// To there.
    #[field(link = "lifecycle_stage")]
    pub to_stage_id: StageId,
    /// The name the stage had then.
    #[field(line(100), keep)]
    pub from_stage: Option<String>,
    /// The name the stage had then.
    #[field(line(100), keep)]
    pub to_stage: String,
    /// What the customer became by it.
    pub to_category: StageCategory,
    /// When.
    pub changed_at: Instant,
    /// Who; none when no user did.
    pub changed_by: Option<UserId>,
    /// Why, at most 500 characters.
    #[field(line(500), mask)]
    pub reason: Option<String>,
    /// What made it change.
    pub trigger: StageTrigger,
}

impl TimelineSource for LifecycleHistory {
    fn entry(&self) -> Option<Entry> {
        let from = self.from_stage.as_ref().map(|from| format!("{from} → ")).unwrap_or_default();
        let title = format!("Stage: {from}{}", self.to_stage);
        let mut entry = Entry::new(self.changed_at, ("customer", self.customer_id.0), title, "route");
        entry.actor = self.changed_by.map(|user| user.0);
        entry.subtype = Some(self.to_category.code().to_owned());
        entry.source = Some(self.trigger.code().to_owned());
        entry.display.text.clone_from(&self.reason);
        Some(entry)
    }
}
