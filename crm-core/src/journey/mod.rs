//! Milestones of the journey with a customer (SPEC LC-11).

mod commands;
mod details;
mod entity;
mod reached;
mod service;

pub use commands::{ReachMilestone, UpdateMilestone};
pub(crate) use details::details_error;
pub use entity::{Milestone, MilestoneId, MilestoneType};
pub(crate) use reached::{Reached, reached_needs};
pub use service::Journeys;
