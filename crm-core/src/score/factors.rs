//! Factors: what is known of a customer, what it weighs and what it adds to a score.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::catalog::Kind;
use crate::context::Context;
use crate::customer::CustomerId;
use crate::record::FieldValue;
use crate::value::Value;

/// Numbers by the name of a factor: weights, or what is known of a customer, 0 to 100.
pub type Factors = BTreeMap<String, Decimal>;

/// What each factor adds to a score, by its name. The score of a customer of whom no factor is known has the one line
/// [`DEFAULT_LINE`].
pub type Breakdown = BTreeMap<String, Share>;

/// The line of a breakdown for a score that no factor made; no factor has this name.
pub const DEFAULT_LINE: &str = "default";

/// One line of a breakdown: `{"weight": "0.2", "raw": "85", "weighted": 17}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// What the factor weighs in the model; none in the line of the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Decimal>,
    /// The factor's value, 0 to 100, at most six decimals; none when it is missing, or in the line of the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Decimal>,
    /// What it adds to the score.
    pub weighted: i64,
}

impl Share {
    /// Whether the factor is one of the model's of which nothing was known.
    pub fn is_missing(&self) -> bool {
        self.weight.is_some() && self.raw.is_none()
    }
}

/// What the lines of a breakdown add up to.
pub(crate) fn sum(breakdown: &Breakdown) -> i64 {
    breakdown.values().fold(0_i64, |sum, share| sum.saturating_add(share.weighted))
}

/// Why a source does not know the factors of a customer, or of a batch of them. They keep the scores they have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source of factors has no answer: {0}")]
pub struct FactorError(pub String);

/// What a source knows of a batch of customers.
pub type FactorAnswer = BTreeMap<CustomerId, Result<Factors, FactorError>>;

/// Knows the factors that scores are made of: logins, tickets, payments, adoption, surveys. Given to
/// [`CrmBuilder::score_factors`](crate::CrmBuilder::score_factors), asked by
/// [`Scores::recalculate`](crate::score::Scores::recalculate).
///
/// The core has no timer: an implementation that asks a network brings its own timeout.
#[async_trait]
pub trait ScoreFactors: Send + Sync + 'static {
    /// The named factors of some customers of the context's tenant, each normalised to 0 to 100, where more makes the
    /// score higher. A factor that is not known is left out, and so is a customer of whom none is: it gets the model's
    /// default score. An error for one customer, or for all, leaves their scores as they are.
    async fn factors_of(
        &self,
        ctx: &Context,
        customers: &[CustomerId],
        names: &[String],
    ) -> Result<FactorAnswer, FactorError>;
}

impl FieldValue for Factors {
    fn kind() -> Kind {
        Kind::Json
    }
    fn to_value(&self) -> Value {
        let normal: BTreeMap<&str, Decimal> =
            self.iter().map(|(name, number)| (name.as_str(), number.normalize())).collect();
        write(&normal)
    }
    fn from_value(value: &Value) -> Result<Self, String> {
        read(value)
    }
}

impl FieldValue for Breakdown {
    fn kind() -> Kind {
        Kind::Json
    }
    fn to_value(&self) -> Value {
        write(self)
    }
    fn from_value(value: &Value) -> Result<Self, String> {
        read(value)
    }
}

fn write(lines: &impl Serialize) -> Value {
    serde_json::to_value(lines).map_or(Value::Null, Value::Json)
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    let Value::Json(json) = value else { return Err("not JSON".to_owned()) };
    T::deserialize(json).map_err(|_| "not a map of factors".to_owned())
}
