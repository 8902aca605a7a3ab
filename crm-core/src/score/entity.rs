//! Scores.

use crate::catalog::Entity;
use crate::customer::CustomerId;
use crate::lifecycle::CustomerLifecycle;
use crate::record::{FieldError, Meta, Validate};
use crate::record_id;
use crate::score::{Breakdown, ScoringModelId, sum};
use crate::value::Instant;

record_id! {
    /// The id of a [`Score`].
    ScoreId
}

crate::codes! {
    /// What a score says.
    pub enum ScoreType {
        /// How well the relationship goes.
        #[default]
        Health = "health",
        /// How much the customer takes part.
        Engagement = "engagement",
        /// What the customer is worth.
        Value = "value",
        /// How likely it leaves.
        ChurnRisk = "churn_risk",
        /// How likely it buys more.
        UpsellPotential = "upsell_potential",
    }
}

crate::codes! {
    /// A score in a letter (seed 004, WF-LC-002). Criteria compare grades by their worth: F is the least.
    pub enum Grade: ordered {
        /// 0 to 19.
        #[default]
        F = "F",
        /// 20 to 39.
        D = "D",
        /// 40 to 59.
        C = "C",
        /// 60 to 79.
        B = "B",
        /// 80 to 100.
        A = "A",
    }
}

/// Where a score went with its last calculation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// It is higher than before.
    Up,
    /// It is what it was.
    Steady,
    /// It is lower than before.
    Down,
}

/// A customer's current score of one type (SPEC LC-05). Calculating it again changes this record; what it was is in the
/// change log. The value also stands in the customer's [`CustomerLifecycle`], for criteria.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "score",
    table = "scores",
    root = "customer_id",
    validate,
    unique(name = "one_score_per_type", fields("customer_id", "score_type")),
    index(name = "scores_by_value", fields("score_type", "score_value")),
    index(name = "scores_by_validity", fields("score_type", "valid_until"))
)]
pub struct Score {
    /// The id.
    pub id: ScoreId,
    /// Version and instants.
    pub meta: Meta,
    /// The customer.
    #[field(link = "customer", frozen)]
    pub customer_id: CustomerId,
    /// What it says.
    #[field(frozen)]
    pub score_type: ScoreType,
    /// 0 to 100: always the sum of what the factors add.
    #[field(int(0, 100))]
    pub score_value: i64,
    /// The value in a letter.
    pub grade: Grade,
    /// What each factor of the model adds.
    #[field(json, keep)]
    pub factors: Breakdown,
    /// When it was calculated.
    pub calculated_at: Instant,
    /// From this instant on it is stale.
    pub valid_until: Instant,
    /// No factor was known, so it is the model's default: somebody should have a look.
    pub needs_review: bool,
    /// The value of the calculation before.
    #[field(int(0, 100))]
    pub previous_value: Option<i64>,
    /// The model it was calculated by.
    #[field(link = "scoring_model")]
    pub model_id: ScoringModelId,
}

impl Grade {
    /// The letter of a value: A from 80, B from 60, C from 40, D from 20, else F.
    pub fn of(value: i64) -> Self {
        match value {
            80.. => Self::A,
            60.. => Self::B,
            40.. => Self::C,
            20.. => Self::D,
            _ => Self::F,
        }
    }
}

impl ScoreType {
    /// The customer's current score of this type, as it stands in its lifecycle.
    pub fn value_in(self, lifecycle: &CustomerLifecycle) -> Option<i64> {
        match self {
            Self::Health => lifecycle.health_score,
            Self::Engagement => lifecycle.engagement_score,
            Self::Value => lifecycle.value_score,
            Self::ChurnRisk => lifecycle.churn_risk_score,
            Self::UpsellPotential => lifecycle.upsell_potential_score,
        }
    }

    /// What criteria on customers call the score of this type: `lifecycle.health_score`.
    pub fn path(self) -> String {
        format!("lifecycle.{}_score", self.code())
    }

    pub(crate) fn put_into(self, lifecycle: &mut CustomerLifecycle, value: i64) {
        let field = match self {
            Self::Health => &mut lifecycle.health_score,
            Self::Engagement => &mut lifecycle.engagement_score,
            Self::Value => &mut lifecycle.value_score,
            Self::ChurnRisk => &mut lifecycle.churn_risk_score,
            Self::UpsellPotential => &mut lifecycle.upsell_potential_score,
        };
        *field = Some(value);
    }
}

impl Score {
    /// Whether it is too old to be relied on.
    pub fn is_stale_at(&self, now: Instant) -> bool {
        now >= self.valid_until
    }

    /// Where it went with its last calculation; `None` after the first.
    pub fn trend(&self) -> Option<Trend> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        self.previous_value.map(|before| match self.score_value.cmp(&before) {
            Greater => Trend::Up,
            Equal => Trend::Steady,
            Less => Trend::Down,
        })
    }
}

impl Validate for Score {
    fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let sum = sum(&self.factors);
        if sum != self.score_value {
            let why = format!("is {}; accepted is the sum of what the factors add, {sum}", self.score_value);
            errors.push(FieldError::new("score_value", why));
        }
        let grade = Grade::of(self.score_value);
        if grade != self.grade {
            let why =
                format!("is {}; the grade of {} is {}", self.grade.code(), self.score_value, grade.code());
            errors.push(FieldError::new("grade", why));
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Share;

    #[test]
    fn lc_05_a_score_that_is_not_the_sum_of_its_factors_is_not_stored() {
        let share = |weighted| Share { weight: None, raw: None, weighted };
        let factors = Breakdown::from([("a".to_owned(), share(20)), ("b".to_owned(), share(21))]);
        let good = Score {
            id: ScoreId(uuid::Uuid::from_u128(1)),
            meta: Meta::default(),
            customer_id: CustomerId(uuid::Uuid::from_u128(2)),
            score_type: ScoreType::Health,
            score_value: 41,
            grade: Grade::C,
            factors,
            calculated_at: Instant::UNIX_EPOCH,
            valid_until: Instant::UNIX_EPOCH,
            needs_review: false,
            previous_value: None,
            model_id: ScoringModelId(uuid::Uuid::from_u128(3)),
        };
        let wrong = |score: Score| {
            let errors = score.to_record().clean();
            errors.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        assert_eq!(wrong(good.clone()), [""; 0]);
        assert_eq!(wrong(Score { score_value: 42, ..good.clone() }), ["score_value"]);
        assert_eq!(wrong(Score { grade: Grade::B, ..good.clone() }), ["grade"]);
        assert_eq!(wrong(Score { factors: Breakdown::new(), ..good.clone() }), ["score_value"]);
        assert_eq!(Score::from_record(&good.to_record()).unwrap(), good);
    }
}
