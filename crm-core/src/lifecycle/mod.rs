//! Stages, how customers go through them, and what they buy (SPEC LC-01 to LC-04).

mod advance;
mod defaults;
mod entity;
mod purchase;
mod service;
mod stage;
mod stages;
mod step;

pub use advance::{AdvanceStage, LifecycleRefusal};
pub(crate) use defaults::insert_defaults;
pub use entity::{CustomerLifecycle, LifecycleHistory, LifecycleHistoryId, StageTrigger};
pub(crate) use purchase::{PurchaseChange, Span, change_purchases, purchase_needs, revenue_currency};
pub use service::Lifecycles;
pub use stage::{LifecycleStage, StageCategory, StageId, StageTransition, StageTransitionId};
pub use stages::{AddStage, AllowTransition, DeleteStage, ForbidTransition, UpdateStage};
pub(crate) use stages::{live_stages, live_transitions, stage_needs, transition_needs};
