//! Stages and the transitions between them, as data (SPEC LC-01).

use crate::catalog::Entity;
use crate::customer::CustomerStatus;
use crate::journey::MilestoneType;
use crate::record::{FieldError, Meta, Validate};
use crate::record_id;

record_id! {
    /// The id of a [`LifecycleStage`].
    StageId
}
record_id! {
    /// The id of a [`StageTransition`].
    StageTransitionId
}

crate::codes! {
    /// What a customer in the stage is.
    pub enum StageCategory: ordered {
        /// Not yet a customer.
        #[default]
        PreCustomer = "pre_customer",
        /// A customer.
        Customer = "customer",
        /// No longer a customer.
        PostCustomer = "post_customer",
    }
}

/// A stage of the relationship with a customer.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "lifecycle_stage",
    table = "lifecycle_stages",
    shared,
    validate,
    unique(name = "stage_name_once", fields("name")),
    index(name = "lifecycle_stages_by_order", fields("display_order"))
)]
pub struct LifecycleStage {
    /// The id.
    pub id: StageId,
    /// Version and instants.
    pub meta: Meta,
    /// 1 to 100 characters.
    #[field(line(100), fold, keep)]
    pub name: String,
    /// Its place among the stages: a change to a lower one goes backward.
    #[field(int(0, 1_000_000))]
    pub display_order: i64,
    /// What a customer in it is: decides the customer's status, and so stays as it is.
    #[field(frozen)]
    pub category: StageCategory,
    /// `#` and six hexadecimal digits.
    #[field(line(7), keep)]
    pub color: Option<String>,
    /// At most 5,000 characters.
    #[field(block(5_000), keep)]
    pub description: Option<String>,
    /// Whether customers may enter it.
    pub is_active: bool,
    /// The milestone that a customer reaches by entering it.
    pub milestone: Option<MilestoneType>,
}

/// That customers may go from one stage to another.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "stage_transition",
    table = "stage_transitions",
    unique(name = "stage_transition_once", fields("from_stage_id", "to_stage_id")),
    index(name = "stage_transitions_by_from", fields("from_stage_id")),
    index(name = "stage_transitions_by_to", fields("to_stage_id")),
    check(differ("from_stage_id", "to_stage_id"))
)]
pub struct StageTransition {
    /// The id.
    pub id: StageTransitionId,
    /// Version and instants.
    pub meta: Meta,
    /// From here.
    #[field(link = "lifecycle_stage", frozen)]
    pub from_stage_id: StageId,
    /// To there.
    #[field(link = "lifecycle_stage", frozen)]
    pub to_stage_id: StageId,
    /// Somebody else has to approve each step (SPEC LC-02): see
    /// [`ApprovalRequest::AdvanceStage`](crate::approval::ApprovalRequest::AdvanceStage).
    pub requires_approval: bool,
}

impl LifecycleStage {
    /// An active stage, to be filled in with struct update syntax.
    pub fn new(name: impl Into<String>, category: StageCategory, display_order: i64) -> Self {
        Self {
            id: StageId(uuid::Uuid::nil()),
            meta: Meta::default(),
            name: name.into(),
            display_order,
            category,
            color: None,
            description: None,
            is_active: true,
            milestone: None,
        }
    }
}

impl StageCategory {
    /// The status of the customers in its stages.
    pub fn status(self) -> CustomerStatus {
        match self {
            Self::PreCustomer => CustomerStatus::Prospect,
            Self::Customer => CustomerStatus::Active,
            Self::PostCustomer => CustomerStatus::Churned,
        }
    }

    /// Where a customer that is created with this status begins: an inactive one as a prospect.
    pub(crate) fn of_new(status: CustomerStatus) -> Self {
        match status {
            CustomerStatus::Prospect | CustomerStatus::Inactive => Self::PreCustomer,
            CustomerStatus::Active => Self::Customer,
            CustomerStatus::Churned => Self::PostCustomer,
        }
    }
}

impl Validate for LifecycleStage {
    fn check(&self) -> Vec<FieldError> {
        let hex = |color: &String| {
            color
                .strip_prefix('#')
                .is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        match &self.color {
            Some(color) if !hex(color) => {
                vec![FieldError::new("color", format!("{color:?} is not # and six hexadecimal digits"))]
            }
            _ => Vec::new(),
        }
    }
}
