//! Interactions: single touchpoints with a customer (SPEC IT-01).

mod commands;
mod entity;
mod service;

pub use commands::{InteractionRefusal, LogInteractions, UpdateInteraction, BACKDATED_AFTER_DAYS};
pub use entity::{
    Direction, Interaction, InteractionId, InteractionSource, InteractionType, Outcome, ReplyStatus, Sentiment,
};
pub use service::Interactions;
