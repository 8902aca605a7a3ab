//! `crm.scores()`.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::command::{Error, NoRefusal};
use crate::context::Context;
use crate::criteria::CriteriaError;
use crate::crm::{Crm, Done};
use crate::customer::{Customer, CustomerId};
use crate::query::{Find, Page, Totals};
use crate::score::models::PutScoringModel;
use crate::score::{Factors, Grade, RecordScore, Score, ScoreRefusal, ScoreType, ScoringModel, Trend};
use crate::store::{Group, MAX_LIMIT};
use crate::value::{Instant, Value, truncate};

/// Scores of customers and the models that they are calculated by (SPEC LC-05).
///
/// Calculating a score also writes the customer's [`CustomerLifecycle`](crate::lifecycle::CustomerLifecycle) when the
/// value changes, so that criteria read it there, `lifecycle.health_score`. Its version moves then, and a stage change
/// that expects an older one is refused.
#[derive(Clone, Copy)]
pub struct Scores<'a> {
    pub(super) crm: &'a Crm,
}

/// A customer's score as it is to be read now.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentScore {
    /// The score.
    pub score: Score,
    /// It is too old to be relied on.
    pub is_stale: bool,
    /// Where it went with its last calculation; `None` after the first.
    pub trend: Option<Trend>,
}

impl CurrentScore {
    pub(crate) fn at(now: Instant, score: Score) -> Self {
        Self { is_stale: score.is_stale_at(now), trend: score.trend(), score }
    }
}

/// A customer whose score is to be calculated again.
#[derive(Clone, Debug, PartialEq)]
pub struct StaleScore {
    /// The customer.
    pub customer: CustomerId,
    /// The stale score; `None` when none of this type was ever calculated.
    pub score: Option<Score>,
}

/// How the scores of one type are spread over the live customers that have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// How many customers have each grade; every grade is there.
    pub by_grade: BTreeMap<Grade, i64>,
    /// How many of them have the model's default and need a review.
    pub needs_review: i64,
    /// How many of them are stale.
    pub stale: i64,
}

impl Distribution {
    /// How many customers have a score.
    pub fn total(&self) -> i64 {
        self.by_grade.values().sum()
    }
}

/// Cursors of the two parts of a page of stale scores.
const OLD: &str = "old.";
const NEVER: &str = "never.";

impl<'a> Scores<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Stores a scoring model: a new one, or the one with this id as it shall be. An active one takes the place of the
    /// active one of its type; scores change when they are calculated next.
    pub async fn put_model(
        &self,
        ctx: &Context,
        model: ScoringModel,
    ) -> Result<Done<ScoringModel>, Error<NoRefusal>> {
        self.crm.run(ctx, &PutScoringModel { model }).await
    }

    /// The scoring models by name, at most 9,999.
    pub async fn models(&self, ctx: &Context) -> Result<Vec<ScoringModel>, Error> {
        Ok(self.crm.find(ctx, &Find::all().ascending("name").limit(MAX_LIMIT - 1)).await?.items)
    }

    /// Calculates a customer's score by the active model of the type from what is known, 0 to 100 for each factor.
    /// Factors of the model that are left out do not count; without any the score is the model's default and
    /// needs a review.
    pub async fn record(
        &self,
        ctx: &Context,
        customer: CustomerId,
        score_type: ScoreType,
        factors: Factors,
    ) -> Result<Done<Score>, Error<ScoreRefusal>> {
        self.crm.run(ctx, &RecordScore { customer, score_type, factors }).await
    }

    /// A page of the scores that meet criteria.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Score>, Error> {
        self.crm.find(ctx, find).await
    }

    /// A customer's scores of all types, as they are to be read now.
    pub async fn of_customer(&self, ctx: &Context, customer: CustomerId) -> Result<Vec<CurrentScore>, Error> {
        let scores: Vec<Score> = self.crm.find(ctx, &Find::matching(of(customer))).await?.items;
        let now = truncate(self.crm.env().now());
        Ok(scores.into_iter().map(|score| CurrentScore::at(now, score)).collect())
    }

    /// Where a customer's score of a type went with its last calculation; `None` when it was not calculated twice.
    pub async fn trend(
        &self,
        ctx: &Context,
        customer: CustomerId,
        score_type: ScoreType,
    ) -> Result<Option<Trend>, Error> {
        let which = json!({ "all": [of(customer), of_type(score_type)] });
        let found: Page<Score> = self.crm.find(ctx, &Find::matching(which).limit(1)).await?;
        Ok(found.items.first().and_then(Score::trend))
    }

    /// How the scores of a type are spread over grades, and how many need a review or are stale: all of one snapshot.
    pub async fn distribution(&self, ctx: &Context, score_type: ScoreType) -> Result<Distribution, Error> {
        let grades = Totals::by(&["grade", "needs_review"]).matching(of_type(score_type));
        let stale = Totals::default().matching(json!({ "all": [of_type(score_type), old()] }));
        let answers = self.crm.totals_at_once::<Score>(ctx, &[grades, stale]).await?;
        let none = Grade::CODES.iter().filter_map(|code| Some((Grade::parse(code)?, 0)));
        let mut spread = Distribution { by_grade: none.collect(), needs_review: 0, stale: 0 };
        let [graded, stale] = answers.as_slice() else { return Ok(spread) };
        for group in graded {
            let grade = group.by.first().and_then(Value::as_text).and_then(Grade::parse);
            *spread.by_grade.entry(grade.unwrap_or_default()).or_default() += count(group);
            if group.by.last().is_some_and(Value::is_true) {
                spread.needs_review += count(group);
            }
        }
        spread.stale = stale.iter().map(count).sum();
        Ok(spread)
    }

    /// A page of the scores of a type below a value, the lowest first; `limit` is 1 to 9,999, `after` what the page
    /// before returned as next. For the types where a low value is bad.
    pub async fn at_risk(
        &self,
        ctx: &Context,
        score_type: ScoreType,
        below: i64,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Page<Score>, Error> {
        let low = json!({ "field": "score_value", "operator": "lt", "value": below });
        let which = json!({ "all": [of_type(score_type), low] });
        let find = Find::matching(which).ascending("score_value").limit(limit);
        self.crm.find(ctx, &Find { cursor: after.map(str::to_owned), ..find }).await
    }

    /// A page of the live customers whose score of a type is stale, the oldest first, and then of those for whom none
    /// was ever calculated; `limit` is 1 to 9,999, `after` what the page before returned as next.
    pub async fn stale(
        &self,
        ctx: &Context,
        score_type: ScoreType,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Page<StaleScore>, Error> {
        let find = |criteria: Json, limit: usize, cursor: &str| Find {
            cursor: (!cursor.is_empty()).then(|| cursor.to_owned()),
            ..Find::matching(criteria).limit(limit)
        };
        let after = after.unwrap_or(OLD);
        let mut items = Vec::new();
        let never = match (after.strip_prefix(OLD), after.strip_prefix(NEVER)) {
            (Some(cursor), _) => {
                let criteria = json!({ "all": [of_type(score_type), old()] });
                let find = find(criteria, limit, cursor).ascending("valid_until");
                let page: Page<Score> = self.crm.find(ctx, &find).await?;
                let stale = |score: Score| StaleScore { customer: score.customer_id, score: Some(score) };
                items.extend(page.items.into_iter().map(stale));
                if let Some(next) = page.next {
                    return Ok(Page { items, next: Some(format!("{OLD}{next}")) });
                }
                if items.len() == limit {
                    return Ok(Page { items, next: Some(NEVER.to_owned()) });
                }
                ""
            }
            (None, Some(cursor)) => cursor,
            (None, None) => {
                let why = "is not one of this question; ask for the first page".to_owned();
                return Err(CriteriaError { at: "cursor".to_owned(), why }.into());
            }
        };
        let criteria = json!({ "field": score_type.path(), "operator": "exists", "value": false });
        let find = find(criteria, limit - items.len(), never);
        let page: Page<Customer> = self.crm.find(ctx, &find).await?;
        items.extend(page.items.iter().map(|customer| StaleScore { customer: customer.id, score: None }));
        Ok(Page { items, next: page.next.map(|next| format!("{NEVER}{next}")) })
    }

    pub(super) async fn active_model(
        &self,
        ctx: &Context,
        score_type: ScoreType,
    ) -> Result<ScoringModel, Error<ScoreRefusal>> {
        let active = json!({ "field": "is_active", "operator": "eq", "value": true });
        let which = json!({ "all": [of_type(score_type), active] });
        let found = self.crm.find(ctx, &Find::matching(which).limit(1)).await.map_err(Error::widen)?;
        found.items.into_iter().next().ok_or(Error::Refused(ScoreRefusal::NoModel(score_type.code())))
    }
}

fn of(customer: CustomerId) -> Json {
    json!({ "field": "customer_id", "operator": "eq", "value": customer })
}

fn of_type(score_type: ScoreType) -> Json {
    json!({ "field": "score_type", "operator": "eq", "value": score_type })
}

fn old() -> Json {
    json!({ "field": "valid_until", "operator": "lte", "value": "now" })
}

fn count(group: &Group) -> i64 {
    match group.measures.first() {
        Some(Value::Int(count)) => *count,
        _ => 0,
    }
}
