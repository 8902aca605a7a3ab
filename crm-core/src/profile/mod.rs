//! A customer as a whole: everything that is known of it in one call, and its statistics (SPEC TL-05, TL-07).

mod customer_360;
mod panel;
mod questions;
mod service;
mod statistics;

pub use customer_360::{Customer360, Financial, Outstanding, PaymentStatus, Person, ProfileWarning, Touches};
pub use panel::{Panel, PanelError};
pub use service::Profiles;
pub use statistics::{ProfileStatistics, SentimentScore, SentimentTrend};
