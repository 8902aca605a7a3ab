//! Calculating the scores of many customers (SPEC LC-05; seed 004, WF-LC-002 and its edge cases).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use crm_core::customer::CustomerId;
use crm_core::score::{
    FactorAnswer, FactorError, Factors, Recalculation, Score, ScoreFactors, ScoreFailure, ScoreType,
    ScoringModel, Which,
};
use crm_core::store::Store;
use crm_core::{Context, Crm, Error, Expect};
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::counting::Counting;
use super::dice::Dice;
use super::scores::{check, factors, put, score_of, simple};
use super::world::{KEY, World, all, is, person, seed};
use crate::Harness;

const OF: ScoreType = ScoreType::Health;

/// What a source says of a customer.
#[derive(Clone)]
enum Given {
    Known(Factors),
    Wrong(Factors),
    Fails,
    Nothing,
}

/// A source of factors that remembers whom it was asked about.
#[derive(Clone, Default)]
struct Source {
    given: Arc<Mutex<BTreeMap<CustomerId, Given>>>,
    asked: Arc<Mutex<Vec<CustomerId>>>,
    is_down: Arc<AtomicBool>,
}

impl Source {
    fn asked(&self) -> Vec<CustomerId> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn give(&self, id: CustomerId, given: Given) {
        self.given.lock().unwrap().insert(id, given);
    }
}

#[async_trait]
impl ScoreFactors for Source {
    async fn factors_of(
        &self,
        _: &Context,
        customers: &[CustomerId],
        names: &[String],
    ) -> Result<FactorAnswer, FactorError> {
        assert!(customers.len() <= 250 && !customers.is_empty());
        assert_eq!(names, ["logins", "payments"]);
        self.asked.lock().unwrap().extend(customers);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(FactorError("no network".to_owned()));
        }
        let given = self.given.lock().unwrap();
        let answer = |id: &CustomerId| match given.get(id)? {
            Given::Known(factors) | Given::Wrong(factors) => Some((*id, Ok(factors.clone()))),
            Given::Fails => Some((*id, Err(FactorError("a broken record".to_owned())))),
            Given::Nothing => None,
        };
        let mut answer: FactorAnswer = customers.iter().filter_map(answer).collect();
        // Somebody who was not asked about.
        answer.insert(CustomerId(Uuid::from_u128(404)), Ok(Factors::new()));
        Ok(answer)
    }
}

/// A process with a source of factors.
pub(super) fn with(
    store: Arc<dyn Store>,
    world: &World,
    source: impl ScoreFactors,
    deadline: Duration,
) -> Crm {
    let builder = Crm::builder_shared(store).shared_env(world.env.clone()).cursor_key(KEY);
    builder.score_factors(source).deadline(deadline).build().unwrap()
}

async fn people(world: &World, count: usize) -> Vec<CustomerId> {
    let mut ids = Vec::new();
    for first in (0..count).step_by(300) {
        let batch = (first..count.min(first + 300)).map(|n| (person(&format!("{} {n}", n % 2)), Vec::new()));
        let made = world.crm.customers().create_batch(&world.ada(), batch.collect()).await.unwrap();
        ids.extend(made.iter().map(|customer| customer.id));
    }
    ids
}

/// All chunks one after the other, each call stopped after its first: what they say together.
async fn stepwise(crm: &Crm, ctx: &Context, which: Which) -> (usize, usize, Vec<ScoreFailure>) {
    let mut asked = Recalculation {
        which,
        stop_after: Some(Duration::ZERO),
        most_failures: 250,
        ..Recalculation::of(OF)
    };
    let (mut computed, mut defaulted, mut failures) = (0, 0, Vec::new());
    loop {
        let done = crm.scores().recalculate(ctx, &asked).await.unwrap();
        assert!(done.computed + done.failed <= 250 && done.failed == done.failures.len());
        computed += done.computed;
        defaulted += done.defaulted;
        failures.extend(done.failures);
        if done.next.is_none() {
            return (computed, defaulted, failures);
        }
        asked.cursor = done.next;
    }
}

/// Whatever is wrong with some, all others get their scores, each once, in chunks that stop at a deadline and go on from
/// a cursor; those that fail keep what they had, of whom nothing is known gets the default, deleted ones are left out.
pub async fn lc_05_a_recalculation_goes_on_after_failures_and_resumes(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (source, ctx, seed) = (Source::default(), world.ada(), seed());
    let crm = with(world.store.clone(), &world, source.clone(), Duration::from_mins(2));
    let run = async |ctx: &Context, asked: &Recalculation| crm.scores().recalculate(ctx, asked).await;
    let mut dice = Dice::new(seed);
    let plain = world.crm.scores().recalculate(&ctx, &Recalculation::of(OF)).await.unwrap_err();
    assert_eq!(plain.code(), "no_score_factors");
    assert_eq!(run(&ctx, &Recalculation::of(OF)).await.unwrap_err().code(), "no_scoring_model");
    put(&world, simple(OF)).await;
    let none = run(&ctx, &Recalculation::of(OF)).await.unwrap();
    assert_eq!((none.computed, none.next, source.asked().len()), (0, None, 0));

    let ids = people(&world, 620).await;
    let (mut values, mut failing) = (BTreeMap::new(), BTreeSet::new());
    for id in &ids {
        let value = dice.between(0, 100);
        let number = value.to_string();
        let (given, value) = match dice.below(10) {
            0 => (Given::Nothing, Some(50)),
            1 => (Given::Fails, None),
            2 => (Given::Wrong(factors(&[("logins", "101"), ("payments", &number)])), None),
            3 => (Given::Wrong(factors(&[("logons", &number)])), None),
            4 => (Given::Known(Factors::new()), Some(50)),
            5 => (Given::Known(factors(&[("payments", &number)])), Some(value)),
            _ => (Given::Known(factors(&[("logins", &number), ("payments", &number)])), Some(value)),
        };
        source.give(*id, given);
        match value {
            Some(value) => drop(values.insert(*id, value)),
            None => drop(failing.insert(*id)),
        }
    }
    let gone: Vec<CustomerId> = dice.some_of(&ids, 40);
    for id in &gone {
        crm.customers().delete(&ctx, *id, Expect::Any).await.unwrap();
        values.remove(id);
        failing.remove(id);
    }
    let had = *failing.first().unwrap();
    let before = crm.scores().record(&ctx, had, OF, factors(&[("logins", "77")])).await.unwrap().value;
    let live: BTreeSet<CustomerId> = values.keys().chain(&failing).copied().collect();

    let (computed, defaulted, failures) = stepwise(&crm, &ctx, Which::All).await;
    assert_eq!(computed, values.len(), "seed {seed}");
    assert_eq!(failures.iter().map(|failure| failure.customer).collect::<BTreeSet<_>>(), failing);
    assert_eq!(failures.len(), failing.len());
    for failure in &failures {
        let known =
            ["no answer: a broken record", "logins: is 101; accepted are 0 to 100", "logons: is no factor"];
        assert!(known.iter().any(|known| failure.why.contains(known)), "{failure:?}");
    }
    let asked = source.asked();
    assert_eq!(
        (asked.len(), asked.into_iter().collect()),
        (live.len(), live.clone()),
        "each is asked about once"
    );
    let scores: Vec<Score> = all(&crm, &ctx).await;
    let mut expected = values.clone();
    expected.insert(had, 77);
    let found: BTreeMap<_, _> = scores.iter().map(|score| (score.customer_id, score.score_value)).collect();
    assert_eq!((scores.len(), &found), (expected.len(), &expected), "seed {seed}");
    assert_eq!(scores.iter().filter(|score| score.needs_review).count(), defaulted);
    assert_eq!(score_of(&crm, &ctx, had, OF).await.unwrap(), before, "who fails keeps the score");
    for id in live.iter().step_by(29) {
        check(&crm, &ctx, *id).await;
    }
    let spread = crm.scores().distribution(&ctx, OF).await.unwrap();
    assert_eq!((spread.total(), spread.needs_review), (expected.len() as i64, defaulted as i64));

    // In one go, with few failures told; under a key nothing is remembered.
    let few = Recalculation { most_failures: 5, ..Recalculation::of(OF) };
    for _ in 0..2 {
        let done = run(&ctx.clone().with_key("again"), &few).await.unwrap();
        assert_eq!((done.computed, done.defaulted, done.failed), (values.len(), defaulted, failing.len()));
        assert_eq!((done.failures.len(), done.next), (5, None));
    }
    // Those that meet criteria.
    source.asked();
    let low = is("lifecycle.health_score", "lt", 40);
    let even = json!({ "all": [low.clone(), is("display_name", "starts_with", "0")] });
    let chosen: BTreeSet<CustomerId> =
        super::world::matching::<crm_core::customer::Customer>(&crm, &ctx, even.clone())
            .await
            .iter()
            .map(|customer| customer.id)
            .collect();
    let done =
        run(&ctx, &Recalculation { which: Which::Matching(even), ..Recalculation::of(OF) }).await.unwrap();
    assert_eq!((done.computed, chosen.is_empty()), (chosen.len(), false));
    assert_eq!(source.asked().into_iter().collect::<BTreeSet<_>>(), chosen);
    // A source that is down fails them all, and nothing changes.
    source.is_down.store(true, Ordering::SeqCst);
    let down = run(&ctx, &Recalculation::of(OF)).await.unwrap();
    assert_eq!((down.computed, down.failed, down.failures.len()), (0, live.len(), 100));
    source.is_down.store(false, Ordering::SeqCst);
    let now: BTreeMap<_, _> =
        all::<Score>(&crm, &ctx).await.iter().map(|score| (score.customer_id, score.score_value)).collect();
    assert_eq!(now, expected);

    // Stale ones first, then those that never had one; done again, only those are left that fail.
    world.env.advance(chrono::Duration::days(8));
    source.asked();
    let (computed, _, failures) = stepwise(&crm, &ctx, Which::Stale).await;
    assert_eq!((computed, failures.len()), (values.len(), failing.len()), "seed {seed}");
    let asked = source.asked();
    assert_eq!((asked.len(), asked.into_iter().collect()), (live.len(), live.clone()));
    let (computed, _, failures) = stepwise(&crm, &ctx, Which::Stale).await;
    assert_eq!((computed, failures.len()), (0, failing.len()));

    let first = Recalculation { stop_after: Some(Duration::ZERO), ..Recalculation::of(OF) };
    let cursor = run(&ctx, &first).await.unwrap().next;
    assert!(cursor.is_some());
    source.asked();
    let wrong = |which: Json| Recalculation { which: Which::Matching(which), ..Recalculation::of(OF) };
    let reader = Context { roles: vec!["reader".to_owned()], ..world.ada() };
    let stale = Recalculation { which: Which::Stale, cursor: cursor.clone(), ..Recalculation::of(OF) };
    for (ctx, asked, code) in [
        (&ctx, Recalculation { cursor, ..wrong(low) }, "invalid_criteria"),
        (&ctx, stale, "invalid_criteria"),
        (&ctx, wrong(is("nothing", "eq", 1)), "invalid_criteria"),
        (&ctx, Recalculation::of(ScoreType::Value), "no_scoring_model"),
        (&reader, Recalculation::of(OF), "forbidden"),
    ] {
        assert_eq!(run(ctx, &asked).await.unwrap_err().code(), code);
    }
    assert!(source.asked().is_empty(), "nothing is asked for who may not, or for nothing");
}

/// Factors that nobody was given before.
#[derive(Clone, Default)]
pub(super) struct Fresh {
    count: Arc<AtomicUsize>,
}

impl Fresh {
    pub(super) fn next(&self) -> Factors {
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        let payments = Decimal::from(count * 37 % 101);
        [("logins".to_owned(), Decimal::new(count as i64, 4)), ("payments".to_owned(), payments)].into()
    }
}

#[async_trait]
impl ScoreFactors for Fresh {
    async fn factors_of(
        &self,
        _: &Context,
        customers: &[CustomerId],
        _: &[String],
    ) -> Result<FactorAnswer, FactorError> {
        Ok(customers.iter().map(|id| (*id, Ok(self.next()))).collect())
    }
}

/// Stores another model whenever it is asked, for so many times.
struct Meddler {
    crm: Crm,
    times: AtomicUsize,
}

#[async_trait]
impl ScoreFactors for Meddler {
    async fn factors_of(
        &self,
        ctx: &Context,
        customers: &[CustomerId],
        names: &[String],
    ) -> Result<FactorAnswer, FactorError> {
        let left = self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if let Ok(left) = left {
            let weights = Factors::from([(format!("factor_{left}"), Decimal::ONE)]);
            let model = ScoringModel::new("Meddled", OF, weights);
            self.crm.scores().put_model(&Context::system(ctx.tenant), model).await.unwrap();
        }
        let known: Factors = names.iter().map(|name| (name.clone(), Decimal::from(64))).collect();
        Ok(customers.iter().map(|id| (*id, Ok(known.clone()))).collect())
    }
}

/// When the model is changed while the source is asked, it is asked again for what the new one needs.
pub async fn lc_05_a_model_that_changes_meanwhile_is_the_one_that_counts(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let ctx = world.ada();
    let ids = people(&world, 5).await;
    put(&world, simple(OF)).await;
    for (times, code) in [(3, None), (50, Some("scoring_model_changed"))] {
        let meddler = Meddler { crm: world.crm.clone(), times: AtomicUsize::new(times) };
        let crm = with(world.store.clone(), &world, meddler, Duration::from_mins(2));
        match (crm.scores().recalculate(&ctx, &Recalculation::of(OF)).await, code) {
            (Ok(done), None) => assert_eq!((done.computed, done.failed), (5, 0)),
            (Err(error), Some(code)) => assert_eq!(error.code(), code),
            (other, _) => panic!("{other:?}"),
        }
    }
    let scores: Vec<Score> = all(&world.crm, &ctx).await;
    assert_eq!(scores.len(), ids.len());
    for score in scores {
        assert_eq!((score.score_value, score.meta.version), (64, 1));
        assert_eq!(score.factors.keys().collect::<Vec<_>>(), ["factor_1"]);
    }
}

/// Deletes some of the customers that it is asked about, before it answers.
struct Leaver {
    crm: Crm,
    leaving: Vec<CustomerId>,
}

#[async_trait]
impl ScoreFactors for Leaver {
    async fn factors_of(
        &self,
        ctx: &Context,
        customers: &[CustomerId],
        _: &[String],
    ) -> Result<FactorAnswer, FactorError> {
        for id in &self.leaving {
            self.crm.customers().delete(ctx, *id, Expect::Any).await.unwrap();
        }
        Ok(customers.iter().map(|id| (*id, Ok(factors(&[("logins", "10")])))).collect())
    }
}

/// A customer that is deleted while its score is calculated gets none, and counts as nothing; the others get theirs.
pub async fn lc_05_who_is_deleted_meanwhile_is_left_out(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let ctx = world.ada();
    let mut ids = people(&world, 6).await;
    put(&world, simple(OF)).await;
    let leaving = vec![ids.remove(4), ids.remove(0)];
    let leaver = Leaver { crm: world.crm.clone(), leaving: leaving.clone() };
    let crm = with(world.store.clone(), &world, leaver, Duration::from_mins(2));
    let done = crm.scores().recalculate(&ctx, &Recalculation::of(OF)).await.unwrap();
    assert_eq!((done.computed, done.defaulted, done.failed, done.next), (4, 0, 0, None));
    for id in leaving {
        crm.customers().restore(&ctx, id).await.unwrap();
        assert_eq!(score_of(&crm, &ctx, id, OF).await, None);
        check(&crm, &ctx, id).await;
    }
    let scored: BTreeSet<_> = all::<Score>(&crm, &ctx).await.iter().map(|score| score.customer_id).collect();
    assert_eq!(scored, ids.into_iter().collect());
}

/// Customers that others keep changing until the deadline fail alone; the rest of their chunk gets its scores. Every
/// list takes the same number of rounds however long it is.
pub async fn lc_05_contended_customers_fail_alone_and_lists_take_fixed_rounds(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (source, ctx) = (Source::default(), world.ada());
    put(&world, simple(OF)).await;
    let ids = people(&world, 41).await;
    for id in &ids {
        source.give(*id, Given::Known(factors(&[("logins", "30")])));
    }
    let contended: BTreeSet<CustomerId> = [ids[0], ids[7], ids[40]].into();
    let (store, reads) = Counting::over(world.store.clone());
    let store = Arc::new(store.contended(contended.iter().map(|id| id.0)));
    let crm = with(store, &world, source.clone(), Duration::ZERO);
    let refused = crm.scores().record(&ctx, ids[7], OF, Factors::new()).await.unwrap_err();
    assert!(matches!(refused, Error::Contended), "{refused:?}");
    let rounds = async || {
        let mut counts = Vec::new();
        let mut count = || counts.push(reads.swap(0, Ordering::SeqCst));
        count();
        crm.scores().of_customer(&ctx, ids[1]).await.unwrap();
        count();
        crm.scores().trend(&ctx, ids[1], OF).await.unwrap();
        count();
        crm.scores().distribution(&ctx, OF).await.unwrap();
        count();
        crm.scores().at_risk(&ctx, OF, 40, 9_999, None).await.unwrap();
        count();
        crm.scores().stale(&ctx, OF, 9_999, None).await.unwrap();
        count();
        counts.split_off(1)
    };
    assert_eq!(rounds().await, [1, 1, 2, 1, 3]);
    let done = crm.scores().recalculate(&ctx, &Recalculation::of(OF)).await.unwrap();
    assert_eq!((done.computed, done.failed, done.next), (38, 3, None));
    assert_eq!(done.failures.iter().map(|failure| failure.customer).collect::<BTreeSet<_>>(), contended);
    assert!(done.failures.iter().all(|failure| failure.why.contains("contended")), "{:?}", done.failures);
    let scored: Vec<Score> = all(&world.crm, &ctx).await;
    assert!(scored.len() == 38 && scored.iter().all(|score| score.meta.version == 1), "each is written once");
    assert_eq!(rounds().await, [1, 1, 2, 1, 3]);
    world.env.advance(chrono::Duration::days(7));
    assert_eq!(rounds().await, [1, 1, 2, 1, 3]);
}
