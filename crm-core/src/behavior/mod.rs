//! What customers do with a product or a site, as other systems see it (SPEC LC-11).

mod commands;
mod entity;
mod service;

pub use commands::{BehaviorRefusal, RecordBehavior};
pub use entity::{BehaviorEvent, BehaviorEventId, BehaviorType};
pub use service::Behaviors;
