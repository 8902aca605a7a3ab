//! Calculating scores, as pure decisions (SPEC LC-05; seed 004, WF-LC-002).

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::criteria::{Filter, Path, Test};
use crate::customer::{Customer, CustomerId, live_customer};
use crate::lifecycle::CustomerLifecycle;
use crate::policy::Action;
use crate::record::{FieldError, FieldValue as _, Meta};
use crate::score::models::{active_model, active_model_need};
use crate::score::{Factors, Grade, Score, ScoreId, ScoreType, ScoringModel, Weighed, weigh};
use crate::store::{MAX_LIMIT, Query};
use crate::value::Value;

const SCORES: &str = "scores of this type";

/// Why scores are not calculated.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScoreRefusal {
    /// No model says how scores of the type are calculated.
    #[error(
        "there is no active scoring model of the type {0}; store one with scores().put_model, such as ScoringModel::health()"
    )]
    NoModel(&'static str),
    /// Nobody knows the factors.
    #[error(
        "there is no source of factors; pass one to CrmBuilder::score_factors, or hand the factors to scores().record"
    )]
    NoSource,
    /// The model is not the one that the factors were weighed by.
    #[error("the scoring model of the type {0} was changed while scores were calculated; calculate again")]
    ModelChanged(&'static str),
}

impl Refusal for ScoreRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NoModel(_) => "no_scoring_model",
            Self::NoSource => "no_score_factors",
            Self::ModelChanged(_) => "scoring_model_changed",
        }
    }
}

type Decision<T> = Result<T, Decline<ScoreRefusal>>;

/// Calculates a customer's score of one type by the active model and keeps it.
#[derive(Clone, Debug)]
pub struct RecordScore {
    /// The customer.
    pub customer: CustomerId,
    /// What the score says.
    pub score_type: ScoreType,
    /// What is known, 0 to 100 each; none for the model's default score.
    pub factors: Factors,
}

impl Command for RecordScore {
    type Output = Score;
    type Refusal = ScoreRefusal;

    fn name(&self) -> &'static str {
        "scores.record"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "score")
    }

    fn input(&self) -> Json {
        json!([self.customer, self.score_type, self.factors.to_value().to_json()])
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == "one_score_per_type"
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        score_needs(self.score_type, &[self.customer.0])
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Score> {
        live_customer(self.customer, loaded)?;
        let model = active_of(self.score_type, loaded)?;
        let weighed = weigh(&model, &self.factors)?;
        let before = scores(loaded)?.remove(&self.customer);
        keep(self.customer, before, &model, weighed, loaded, changes)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Score> {
        scores(loaded).ok()?.remove(&self.customer)
    }
}

/// Keeps calculated scores of many customers in one commit; those that are no longer there are left out.
#[derive(Clone, Debug)]
pub struct RecordScores {
    /// The model that they were calculated by; refused with [`ScoreRefusal::ModelChanged`] when another one is stored.
    pub model: ScoringModel,
    /// The scores, at most 500: each writes two records at most.
    pub scores: BTreeMap<CustomerId, Weighed>,
}

impl Command for RecordScores {
    type Output = Vec<Score>;
    type Refusal = ScoreRefusal;

    fn name(&self) -> &'static str {
        "scores.recalculate"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "score")
    }

    fn input(&self) -> Json {
        let lines = self.scores.iter().map(|(id, weighed)| json!([id, weighed.factors]));
        json!([self.model.id, self.model.meta.version, lines.collect::<Json>()])
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == "one_score_per_type"
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        let customers: Vec<Uuid> = self.scores.keys().map(|id| id.0).collect();
        score_needs(self.model.score_type, &customers)
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Vec<Score>> {
        let score_type = self.model.score_type;
        let model = active_of(score_type, loaded)?;
        if (model.id, model.meta.version) != (self.model.id, self.model.meta.version) {
            return Err(Decline::Refused(ScoreRefusal::ModelChanged(score_type.code())));
        }
        let mut stored = scores(loaded)?;
        let mut kept = Vec::with_capacity(self.scores.len());
        for (customer, weighed) in &self.scores {
            let lifecycle = loaded.live::<CustomerLifecycle>(*customer)?;
            if lifecycle.is_some() && loaded.live::<Customer>(*customer)?.is_some() {
                let before = stored.remove(customer);
                kept.push(keep(*customer, before, &model, weighed.clone(), loaded, changes)?);
            }
        }
        Ok(kept)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Vec<Score>> {
        Some(scores(loaded).ok()?.into_values().collect())
    }
}

/// Writes a score, and its value into the customer's lifecycle.
fn keep(
    customer: CustomerId,
    before: Option<Score>,
    model: &ScoringModel,
    weighed: Weighed,
    loaded: &Loaded,
    changes: &mut Changes<'_>,
) -> Decision<Score> {
    let missing = Decline::NotFound("customer_lifecycle", customer.0);
    let lifecycle: CustomerLifecycle = loaded.live(customer)?.ok_or(missing)?;
    let mut moved = lifecycle.clone();
    model.score_type.put_into(&mut moved, weighed.value);
    changes.update(&lifecycle, &moved)?;
    let now = changes.now();
    let Some(valid_until) = now.checked_add_signed(chrono::Duration::days(model.valid_days)) else {
        return Err(Decline::Invalid(vec![FieldError::new("valid_until", "is after the year 9999")]));
    };
    let after = Score {
        id: before.as_ref().map_or(ScoreId(Uuid::nil()), |before| before.id),
        meta: Meta::default(),
        customer_id: customer,
        score_type: model.score_type,
        score_value: weighed.value,
        grade: Grade::of(weighed.value),
        factors: weighed.factors,
        calculated_at: now,
        valid_until,
        needs_review: weighed.needs_review,
        previous_value: before.as_ref().map(|before| before.score_value),
        model_id: model.id,
    };
    let score = match &before {
        None => changes.insert(&after)?,
        Some(before) => changes.update(before, &after)?,
    };
    let about = json!({ "score_id": score.id, "customer_id": customer, "score_type": score.score_type });
    if before.as_ref().is_none_or(|before| before.score_value != score.score_value) {
        let mut data = about.clone();
        data["value"] = json!(score.score_value);
        data["grade"] = json!(score.grade);
        data["old_value"] = json!(before.as_ref().map(|before| before.score_value));
        data["old_grade"] = json!(before.as_ref().map(|before| before.grade));
        changes.event("score.changed", data);
    }
    if score.needs_review && before.is_none_or(|before| !before.needs_review) {
        changes.event("score.needs_review", about);
    }
    Ok(score)
}

fn active_of(score_type: ScoreType, loaded: &Loaded) -> Decision<ScoringModel> {
    active_model(loaded)?.ok_or(Decline::Refused(ScoreRefusal::NoModel(score_type.code())))
}

/// The customers with their lifecycles and scores of a type, and the active model.
fn score_needs(score_type: ScoreType, customers: &[Uuid]) -> Vec<Need> {
    let mut needs = vec![
        Need::Records(Customer::def(), customers.to_vec()),
        Need::Records(CustomerLifecycle::def(), customers.to_vec()),
    ];
    needs.extend(active_model_need(score_type));
    needs.extend(scores_need(score_type, customers));
    needs
}

fn scores_need(score_type: ScoreType, customers: &[Uuid]) -> Option<Need> {
    let def = Score::def();
    let customers = customers.iter().copied().map(Value::Id).collect();
    let filter = Filter::leaf(Path::own(def, "customer_id")?, Test::In(customers))
        .and(Filter::eq(def, "score_type", Value::Text(score_type.code().to_owned()))?)
        .and(Filter::undeleted(def));
    Some(Need::Find(SCORES.to_owned(), Box::new(Query::new(def, filter, MAX_LIMIT))))
}

fn scores(loaded: &Loaded) -> Result<BTreeMap<CustomerId, Score>, crate::record::Unreadable> {
    Ok(loaded.all::<Score>(SCORES)?.into_iter().map(|score| (score.customer_id, score)).collect())
}
