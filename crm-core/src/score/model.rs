//! Scoring models: how scores are calculated, as data.

use rust_decimal::Decimal;
use uuid::Uuid;

use crate::catalog::Entity;
use crate::record::{FieldError, Meta, Validate};
use crate::record_id;
use crate::score::{DEFAULT_LINE, Factors, ScoreType};

record_id! {
    /// The id of a [`ScoringModel`].
    ScoringModelId
}

/// The most factors of a model.
pub const MOST_FACTORS: usize = 50;
/// The largest weight of a factor.
pub const LARGEST_WEIGHT: i64 = 1_000_000;
/// The most decimals of a weight; values of factors are rounded to as many.
pub const DECIMALS: u32 = 6;

/// How scores of one type are calculated: data, not code (SPEC LC-05).
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "scoring_model",
    table = "scoring_models",
    validate,
    unique(name = "one_active_model_per_type", fields("score_type"), only_if = "is_active")
)]
pub struct ScoringModel {
    /// The id.
    pub id: ScoringModelId,
    /// Version and instants.
    pub meta: Meta,
    /// 1 to 100 characters.
    #[field(line(100), keep)]
    pub name: String,
    /// What its scores say.
    #[field(frozen)]
    pub score_type: ScoreType,
    /// The factors with their weights, 1 to [`MOST_FACTORS`]: names of 1 to 64 of `a-z`, `0-9` and `_`, weights above 0
    /// and up to [`LARGEST_WEIGHT`] with at most [`DECIMALS`] decimals. What counts is their proportion.
    #[field(json, keep)]
    pub factors: Factors,
    /// The score of a customer of whom no factor is known.
    #[field(int(0, 100))]
    pub default_score: i64,
    /// Days that a score stays fresh.
    #[field(int(1, 3_650))]
    pub valid_days: i64,
    /// Whether scores are calculated by it: one model of a type is active.
    pub is_active: bool,
}

impl ScoringModel {
    /// An active model whose scores are fresh for 7 days, with 50 for who nothing is known of; not yet stored.
    pub fn new(name: impl Into<String>, score_type: ScoreType, factors: Factors) -> Self {
        Self {
            id: ScoringModelId(Uuid::nil()),
            meta: Meta::default(),
            name: name.into(),
            score_type,
            factors,
            default_score: 50,
            valid_days: 7,
            is_active: true,
        }
    }

    /// The model of customer health with seed 004's factors and weights; not yet stored.
    pub fn health() -> Self {
        let weights =
            [("login_frequency", 2), ("support_tickets", 2), ("payment_history", 3), ("feature_adoption", 3)];
        let factors = weights.map(|(name, tenths)| (name.to_owned(), Decimal::new(tenths, 1)));
        Self::new("Customer health", ScoreType::Health, Factors::from(factors))
    }
}

impl Validate for ScoringModel {
    fn check(&self) -> Vec<FieldError> {
        let refuse = |why: String| FieldError::new("factors", why);
        let mut errors = Vec::new();
        if self.factors.is_empty() || self.factors.len() > MOST_FACTORS {
            errors.push(refuse(format!("are {}; accepted are 1 to {MOST_FACTORS}", self.factors.len())));
        }
        for (name, weight) in self.factors.iter().take(MOST_FACTORS) {
            let shown: String = name.chars().take(64).collect();
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
                errors
                    .push(refuse(format!("has the name {shown:?}; accepted are 1 to 64 of a-z, 0-9 and _")));
            } else if name == DEFAULT_LINE {
                errors
                    .push(refuse(format!("has the name {DEFAULT_LINE}, which is taken; choose another one")));
            }
            if *weight <= Decimal::ZERO || *weight > Decimal::from(LARGEST_WEIGHT) {
                let accepted = format!("accepted is more than 0, up to {LARGEST_WEIGHT}");
                errors.push(refuse(format!("{shown}: the weight is {weight}; {accepted}")));
            } else if weight.normalize().scale() > DECIMALS {
                let why =
                    format!("{shown}: the weight {weight} has too many decimals; accepted are {DECIMALS}");
                errors.push(refuse(why));
            }
        }
        errors
    }
}
