//! Calculating the scores of many customers, in chunks that are each one commit.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use crate::command::Error;
use crate::context::Context;
use crate::crm::Crm;
use crate::customer::{Customer, CustomerId};
use crate::policy::Action;
use crate::query::Find;
use crate::record::FieldError;
use crate::score::{
    RecordScores, Score, ScoreFactors, ScoreRefusal, ScoreType, Scores, ScoringModel, Weighed, weigh,
};

/// Customers of a chunk: a commit writes two records of each.
const CHUNK: usize = 250;
const MOST_MODELS: usize = 8;

/// Whose scores are calculated.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Which {
    /// Those of all live customers.
    #[default]
    All,
    /// Those of the live customers that meet criteria.
    Matching(Json),
    /// Those that are stale or were never calculated.
    Stale,
}

/// What [`Scores::recalculate`] is asked for; to be filled in with struct update syntax.
#[derive(Clone, Debug, PartialEq)]
pub struct Recalculation {
    /// The type of the scores.
    pub score_type: ScoreType,
    /// Whose.
    pub which: Which,
    /// Where to go on: what a call before returned as `next`; for the same type and customers.
    pub cursor: Option<String>,
    /// No further chunk of 250 customers begins after this long; one is always done. Never stops early when `None`.
    pub stop_after: Option<Duration>,
    /// How many failures are told; all are counted.
    pub most_failures: usize,
}

/// What became of a recalculation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recalculated {
    /// How many scores were calculated, those by default among them.
    pub computed: usize,
    /// How many of them are the model's default, because nothing was known, and need a review.
    pub defaulted: usize,
    /// How many customers kept the score they had, because something about them was wrong.
    pub failed: usize,
    /// The first of these with the reason, as many as were asked for.
    pub failures: Vec<ScoreFailure>,
    /// Where the next call goes on; `None` when all is done.
    pub next: Option<String>,
}

/// A customer whose score was not calculated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreFailure {
    /// The customer.
    pub customer: CustomerId,
    /// Why, in words.
    pub why: String,
}

/// A chunk, or a part of one that stayed contended.
struct Part {
    computed: usize,
    defaulted: usize,
    failures: Vec<ScoreFailure>,
}

impl Recalculation {
    /// All live customers' scores of a type, until all is done; at most 100 failures are told.
    pub fn of(score_type: ScoreType) -> Self {
        Self { score_type, which: Which::All, cursor: None, stop_after: None, most_failures: 100 }
    }
}

impl Scores<'_> {
    /// Calculates the scores of many customers by what the [`ScoreFactors`] know, in chunks of 250 that are each one
    /// commit. What is wrong with a customer is told and does not stop the others; deleted customers are left out.
    ///
    /// It is safe to do again, from the start or from any cursor, and from several processes at once; so a key of the
    /// request is not used. A chunk that others keep changing is halved until only the contended customers fail.
    ///
    /// # Errors
    ///
    /// [`ScoreRefusal::NoSource`] and [`ScoreRefusal::NoModel`]; wrong criteria or a cursor of another question; a
    /// store that fails. What was committed before stays.
    pub async fn recalculate(
        &self,
        ctx: &Context,
        asked: &Recalculation,
    ) -> Result<Recalculated, Error<ScoreRefusal>> {
        let crm = self.crm;
        crm.allow(ctx, Action::Write, "score").map_err(Error::widen)?;
        let source = crm.score_factors().ok_or(Error::Refused(ScoreRefusal::NoSource))?;
        let ctx = &Context { key: None, ..ctx.clone() };
        let mut model = self.active_model(ctx, asked.score_type).await?;
        let stop = asked.stop_after.map(|after| crm.env().ticks().saturating_add(after));
        let mut done = Recalculated { next: asked.cursor.clone(), ..Recalculated::default() };
        loop {
            let (customers, next) = self.chunk(ctx, asked, done.next.take()).await?;
            let mut waiting = vec![customers];
            let mut models = 0;
            while let Some(customers) = waiting.pop() {
                match part(crm, ctx, source, &model, &customers).await {
                    Ok(part) => done.add(part, asked.most_failures),
                    Err(Error::Contended) if customers.len() > 1 => {
                        let (first, second) = customers.split_at(customers.len() / 2);
                        waiting.extend([second.to_vec(), first.to_vec()]);
                    }
                    Err(Error::Contended) => {
                        let why = Error::<ScoreRefusal>::Contended.to_string();
                        done.add(Part::failed(&customers, &why), asked.most_failures);
                    }
                    Err(Error::Refused(ScoreRefusal::ModelChanged(_))) if models < MOST_MODELS => {
                        models += 1;
                        model = self.active_model(ctx, asked.score_type).await?;
                        waiting.push(customers);
                    }
                    Err(error) => return Err(error),
                }
            }
            done.next = next;
            if done.next.is_none() || stop.is_some_and(|stop| crm.env().ticks() >= stop) {
                return Ok(done);
            }
        }
    }

    /// The next customers, and where those after them begin.
    async fn chunk(
        &self,
        ctx: &Context,
        asked: &Recalculation,
        cursor: Option<String>,
    ) -> Result<(Vec<CustomerId>, Option<String>), Error<ScoreRefusal>> {
        let find = match &asked.which {
            Which::All => Find::all(),
            Which::Matching(criteria) => Find::matching(criteria.clone()),
            Which::Stale => {
                let page = self.stale(ctx, asked.score_type, CHUNK, cursor.as_deref()).await;
                let page = page.map_err(Error::widen)?;
                return Ok((page.items.iter().map(|stale| stale.customer).collect(), page.next));
            }
        };
        let find = Find { cursor, ..find.limit(CHUNK) };
        let page = self.crm.find::<Customer>(ctx, &find).await.map_err(Error::widen)?;
        Ok((page.items.iter().map(|customer| customer.id).collect(), page.next))
    }
}

impl Recalculated {
    fn add(&mut self, part: Part, most_failures: usize) {
        self.computed += part.computed;
        self.defaulted += part.defaulted;
        self.failed += part.failures.len();
        let room = most_failures.saturating_sub(self.failures.len());
        self.failures.extend(part.failures.into_iter().take(room));
    }
}

impl Part {
    fn of(scores: &[Score], failures: Vec<ScoreFailure>) -> Self {
        let defaulted = scores.iter().filter(|score| score.needs_review).count();
        Self { computed: scores.len(), defaulted, failures }
    }

    fn failed(customers: &[CustomerId], why: &str) -> Self {
        let failure = |customer: &CustomerId| ScoreFailure { customer: *customer, why: why.to_owned() };
        Self::of(&[], customers.iter().map(failure).collect())
    }
}

/// Asks about some customers, weighs what is known, and keeps the scores in one commit.
async fn part(
    crm: &Crm,
    ctx: &Context,
    source: &dyn ScoreFactors,
    model: &ScoringModel,
    customers: &[CustomerId],
) -> Result<Part, Error<ScoreRefusal>> {
    if customers.is_empty() {
        return Ok(Part::of(&[], Vec::new()));
    }
    let names: Vec<String> = model.factors.keys().cloned().collect();
    let mut answer = match source.factors_of(ctx, customers, &names).await {
        Ok(answer) => answer,
        Err(error) => return Ok(Part::failed(customers, &error.to_string())),
    };
    let mut scores: BTreeMap<CustomerId, Weighed> = BTreeMap::new();
    let mut failures = Vec::new();
    for customer in customers {
        let known = answer.remove(customer).unwrap_or_else(|| Ok(BTreeMap::new()));
        let weighed = match known {
            Ok(known) => weigh(model, &known).map_err(|errors| words(&errors)),
            Err(error) => Err(error.to_string()),
        };
        match weighed {
            Ok(weighed) => drop(scores.insert(*customer, weighed)),
            Err(why) => failures.push(ScoreFailure { customer: *customer, why }),
        }
    }
    if scores.is_empty() {
        return Ok(Part::of(&[], failures));
    }
    let done = crm.run(ctx, &RecordScores { model: model.clone(), scores }).await?;
    Ok(Part::of(&done.value, failures))
}

fn words(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
