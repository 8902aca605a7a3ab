//! What can be done with scoring models, as pure decisions.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, NoRefusal};
use crate::criteria::Filter;
use crate::customer::input_of;
use crate::policy::Action;
use crate::score::{ScoreType, ScoringModel};
use crate::store::Query;
use crate::value::Value;

const ACTIVE: &str = "the active model";

/// Stores a scoring model: a new one, or the one with this id as it shall be. An active one takes the place of the
/// active one of its type in the same commit.
#[derive(Clone, Debug)]
pub struct PutScoringModel {
    /// The model.
    pub model: ScoringModel,
}

impl Command for PutScoringModel {
    type Output = ScoringModel;
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        "scores.put_model"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Administer, "scoring_model")
    }

    fn input(&self) -> Json {
        json!([self.model.id, input_of(&self.model)])
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == "one_active_model_per_type"
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        let stored = Need::Records(ScoringModel::def(), vec![self.model.id.0]);
        std::iter::once(stored).chain(active_model_need(self.model.score_type)).collect()
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Result<ScoringModel, Decline<NoRefusal>> {
        let told = |model: &ScoringModel| json!({ "model_id": model.id, "score_type": model.score_type });
        let model = match loaded.get::<ScoringModel>(self.model.id)? {
            None => {
                let model = changes.insert(&self.model)?;
                changes.event("scoring_model.added", told(&model));
                model
            }
            Some(before) if before.meta.deleted_at.is_some() => {
                return Err(Decline::NotFound("scoring_model", self.model.id.0));
            }
            Some(before) => {
                let model = changes.update(&before, &self.model)?;
                if model.meta.version != before.meta.version {
                    changes.event("scoring_model.updated", told(&model));
                }
                model
            }
        };
        let rival = active_model(loaded)?.filter(|active| model.is_active && active.id != model.id);
        if let Some(rival) = rival {
            changes.update(&rival, &ScoringModel { is_active: false, ..rival.clone() })?;
            changes.event("scoring_model.replaced", told(&rival));
        }
        Ok(model)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<ScoringModel> {
        let id = written.first().map_or(self.model.id.0, |(_, id, _)| *id);
        loaded.get(crate::score::ScoringModelId(id)).ok().flatten()
    }
}

/// The active model of a type.
pub(super) fn active_model_need(score_type: ScoreType) -> Option<Need> {
    let def = ScoringModel::def();
    let filter = Filter::eq(def, "score_type", Value::Text(score_type.code().to_owned()))?
        .and(Filter::eq(def, "is_active", Value::Bool(true))?)
        .and(Filter::undeleted(def));
    Some(Need::Find(ACTIVE.to_owned(), Box::new(Query::new(def, filter, 1))))
}

/// The active model, after [`active_model_need`].
pub(super) fn active_model(loaded: &Loaded) -> Result<Option<ScoringModel>, crate::record::Unreadable> {
    Ok(loaded.all(ACTIVE)?.into_iter().next())
}
