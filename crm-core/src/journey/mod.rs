//! Milestones of the journey with a customer (SPEC LC-11).

mod commands;
mod details;
mod entity;
mod service;

pub use commands::{ReachMilestone, UpdateMilestone};
pub(crate) use commands::{milestone_need, reach, reach_needs};
pub(crate) use details::details_error;
pub use entity::{Milestone, MilestoneId, MilestoneType};
pub use service::Journeys;
