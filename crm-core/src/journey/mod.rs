//! Milestones of the journey with a customer (SPEC LC-11).

mod entity;

pub use entity::{Milestone, MilestoneId, MilestoneType};
