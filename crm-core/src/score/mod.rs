//! Scores: what is known of customers, weighed to a number and a grade (SPEC LC-05).
//!
//! A [`ScoringModel`] says which factors count and how much, [`ScoreFactors`] know them, [`weigh`] makes a value and its
//! breakdown of both. A customer has one [`Score`] of each type; its value also stands in its lifecycle, for criteria.

mod commands;
mod entity;
mod factors;
mod model;
mod models;
mod recalculate;
mod service;
mod weigh;

pub use commands::{RecordScore, RecordScores, ScoreRefusal};
pub use entity::{Grade, Score, ScoreId, ScoreType, Trend};
pub(crate) use factors::sum;
pub use factors::{Breakdown, DEFAULT_LINE, FactorAnswer, FactorError, Factors, ScoreFactors, Share};
pub use model::{DECIMALS, LARGEST_WEIGHT, MOST_FACTORS, ScoringModel, ScoringModelId};
pub use models::PutScoringModel;
pub use recalculate::{Recalculated, Recalculation, ScoreFailure, Which};
pub use service::{CurrentScore, Distribution, Scores, StaleScore};
pub use weigh::{Weighed, weigh};
