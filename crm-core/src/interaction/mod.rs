//! Interactions: single touchpoints with a customer (SPEC IT-01).

mod commands;
mod entity;
mod service;
mod statistics;

pub use commands::{BACKDATED_AFTER_DAYS, InteractionRefusal, LogInteractions, UpdateInteraction};
pub use entity::{
    Direction, Interaction, InteractionId, InteractionSource, InteractionType, Outcome, ReplyStatus,
    Sentiment,
};
pub use service::Interactions;
pub use statistics::{ChannelStatistics, InteractionStatistics, ResponseTimes};
