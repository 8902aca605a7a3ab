//! Scores and the models that they are calculated by (SPEC LC-05).

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use crm_core::catalog::Entity as _;
use crm_core::customer::{Customer, CustomerId};
use crm_core::score::{
    DEFAULT_LINE, Distribution, Factors, Grade, Recalculation, Score, ScoreId, ScoreType, ScoringModel,
    ScoringModelId, Trend, Which, weigh,
};
use crm_core::segment::Segment;
use crm_core::{Context, Crm, Env as _, Error, Expect};
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::dice::Dice;
use super::recalculation::{Fresh, with};
use super::world::{World, all, at_once, is, matching, seed};
use crate::{Harness, size};

/// The types that scores have.
pub(super) fn types() -> Vec<ScoreType> {
    ScoreType::CODES.iter().filter_map(|code| ScoreType::parse(code)).collect()
}

/// Numbers of factors by name.
pub(super) fn factors(list: &[(&str, &str)]) -> Factors {
    list.iter().map(|(name, number)| ((*name).to_owned(), number.parse().unwrap())).collect()
}

/// Health is how much a customer logs in and pays, half of it each.
pub(super) fn simple(score_type: ScoreType) -> ScoringModel {
    ScoringModel::new("Simple", score_type, factors(&[("logins", "1"), ("payments", "1")]))
}

/// Stores a model.
pub(super) async fn put(world: &World, model: ScoringModel) -> ScoringModel {
    world.crm.scores().put_model(&world.system(), model).await.unwrap().value
}

/// The score of a type that a customer has.
pub(super) async fn score_of(crm: &Crm, ctx: &Context, id: CustomerId, of: ScoreType) -> Option<Score> {
    let scores = crm.scores().of_customer(ctx, id).await.unwrap();
    scores.into_iter().map(|current| current.score).find(|score| score.score_type == of)
}

/// That a customer's scores add up, one of each type at most, and stand in its lifecycle as they are.
pub(super) async fn check(crm: &Crm, ctx: &Context, id: CustomerId) {
    let lifecycle = crm.lifecycle().get(ctx, id).await.unwrap();
    let scores = crm.scores().of_customer(ctx, id).await.unwrap();
    for of in types() {
        let scores: Vec<_> = scores.iter().filter(|current| current.score.score_type == of).collect();
        assert!(scores.len() <= 1, "{scores:?}");
        let value = scores.first().map(|current| current.score.score_value);
        assert_eq!(of.value_in(&lifecycle), value, "{of:?}");
    }
    for current in scores {
        let score = current.score;
        assert_eq!(score.factors.values().map(|share| share.weighted).sum::<i64>(), score.score_value);
        assert_eq!(score.grade, Grade::of(score.score_value));
        assert_eq!(score.needs_review, score.factors.contains_key(DEFAULT_LINE));
    }
}

fn any_model(dice: &mut Dice, score_type: ScoreType) -> ScoringModel {
    let count = 1 + dice.below(6);
    let weight = |dice: &mut Dice| Decimal::new(dice.between(1, 999), dice.below(4) as u32);
    let factors = (0..count).map(|n| (format!("f{n}"), weight(dice))).collect();
    let (default_score, valid_days) = (dice.between(0, 100), dice.between(1, 30));
    ScoringModel { default_score, valid_days, ..ScoringModel::new("Any", score_type, factors) }
}

fn any_known(dice: &mut Dice, model: &ScoringModel) -> Factors {
    let value = |dice: &mut Dice| match dice.below(3) {
        0 => Decimal::from(dice.between(0, 1) * 100),
        1 => Decimal::from(dice.between(0, 100)),
        _ => Decimal::new(dice.between(0, 100_000), 3),
    };
    let names: Vec<&String> = model.factors.keys().collect();
    dice.some_of(&names, 2).into_iter().map(|name| (name.clone(), value(dice))).collect()
}

/// Any sequence of models and calculations is that of a model: the value is the nearest to the weighted average of what
/// is known, the sum of its lines, and the same in the lifecycle; the value before is kept, and changes are told once.
pub async fn lc_05_a_score_is_the_sum_of_its_factors_and_stands_in_the_lifecycle(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, seed) = (&world.crm, world.ada(), seed());
    let mut dice = Dice::new(seed);
    let mut customers = Vec::new();
    for n in 0..4 {
        customers.push(world.customer(&format!("Scored {n}")).await.id);
    }
    let mut models: BTreeMap<ScoreType, ScoringModel> = BTreeMap::new();
    let mut stored: BTreeMap<(CustomerId, ScoreType), Score> = BTreeMap::new();
    let mut told: BTreeMap<ScoreId, Vec<Json>> = BTreeMap::new();
    for _ in 0..size(120, 1_500) {
        world.env.advance(Duration::milliseconds(dice.between(0, 2)));
        let (id, of) = (*dice.pick(&customers), *dice.pick(&types()));
        if dice.one_in(5) {
            models.insert(of, put(&world, any_model(&mut dice, of)).await);
        }
        let Some(model) = models.get(&of) else {
            let refused = crm.scores().record(&ctx, id, of, Factors::new()).await.unwrap_err();
            assert_eq!(refused.code(), "no_scoring_model");
            continue;
        };
        let known = any_known(&mut dice, model);
        let before = stored.remove(&(id, of));
        let score = crm.scores().record(&ctx, id, of, known.clone()).await.unwrap().value;
        let weight = known.keys().map(|name| model.factors[name]).sum::<Decimal>();
        let total = known.iter().map(|(name, value)| model.factors[name] * value).sum::<Decimal>();
        let away = (Decimal::from(score.score_value) * weight - total) * Decimal::TWO;
        let nearest = away > -weight && away <= weight;
        assert!(
            if known.is_empty() { score.score_value == model.default_score } else { nearest },
            "seed {seed}"
        );
        for (name, weight) in &model.factors {
            match score.factors.get(name) {
                Some(share) => {
                    assert_eq!(share.weight, Some(weight.normalize()));
                    assert_eq!(share.raw, known.get(name).map(Decimal::normalize));
                }
                None => assert!(known.is_empty() && score.needs_review),
            }
        }
        let now = world.env.now();
        assert_eq!((score.calculated_at, score.model_id), (now, model.id));
        assert_eq!(score.valid_until, now + Duration::days(model.valid_days));
        assert_eq!(score.previous_value, before.as_ref().map(|before| before.score_value), "seed {seed}");
        let trend = before.as_ref().map(|before| match score.score_value - before.score_value {
            1.. => Trend::Up,
            0 => Trend::Steady,
            _ => Trend::Down,
        });
        assert_eq!(crm.scores().trend(&ctx, id, of).await.unwrap(), trend, "seed {seed}");
        check(crm, &ctx, id).await;
        let about = json!({ "score_id": score.id, "customer_id": id, "score_type": of });
        if before.as_ref().is_none_or(|before| before.score_value != score.score_value) {
            let mut changed = about.clone();
            changed["value"] = json!(score.score_value);
            changed["grade"] = json!(score.grade);
            changed["old_value"] = json!(before.as_ref().map(|before| before.score_value));
            changed["old_grade"] = json!(before.as_ref().map(|before| before.grade));
            told.entry(score.id).or_default().push(json!(["score.changed", changed]));
        }
        if score.needs_review && before.is_none_or(|before| !before.needs_review) {
            told.entry(score.id).or_default().push(json!(["score.needs_review", about]));
        }
        stored.insert((id, of), score);
    }
    let mut found: Vec<Score> = all(crm, &ctx).await;
    found.sort_by_key(|score| (score.customer_id, score.score_type));
    assert_eq!(found, stored.into_values().collect::<Vec<_>>(), "seed {seed}");
    let mut events: BTreeMap<ScoreId, Vec<Json>> = BTreeMap::new();
    loop {
        let rows = crm.log().next(&world.manager(), "scores", 1_000).await.unwrap();
        let Some(last) = rows.last().and_then(|row| row.number) else { break };
        for row in rows.iter().filter(|row| row.entity == Score::def().name) {
            let row_events = row.body.events.iter().map(|event| json!([event.name, event.data]));
            events.entry(ScoreId(row.record_id)).or_default().extend(row_events);
        }
        crm.log().acknowledge(&world.manager(), "scores", last).await.unwrap();
    }
    events.retain(|_, events| !events.is_empty());
    assert_eq!(events, told, "seed {seed}");
}

/// Grades begin at 20, 40, 60 and 80, of the values that are stored; criteria compare them by their worth.
pub async fn lc_05_grades_begin_at_20_40_60_and_80(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let only = ScoringModel::new("Only", ScoreType::Health, factors(&[("it", "0.3")]));
    put(&world, only).await;
    let expected = [
        (0, "F"),
        (19, "F"),
        (20, "D"),
        (39, "D"),
        (40, "C"),
        (59, "C"),
        (60, "B"),
        (79, "B"),
        (80, "A"),
        (100, "A"),
    ];
    for (value, grade) in expected {
        let id = world.customer(&format!("At {value}")).await.id;
        let it = Factors::from([("it".to_owned(), Decimal::from(value))]);
        let score = crm.scores().record(&ctx, id, ScoreType::Health, it).await.unwrap().value;
        assert_eq!((score.score_value, score.grade.code()), (value, grade));
    }
    let good: Vec<Score> = matching(crm, &ctx, is("grade", "gte", "B")).await;
    let good: BTreeSet<i64> = good.iter().map(|score| score.score_value).collect();
    assert_eq!(good, BTreeSet::from([60, 79, 80, 100]));
    let spread = crm.scores().distribution(&ctx, ScoreType::Health).await.unwrap();
    assert_eq!(spread.by_grade.values().copied().collect::<Vec<_>>(), [2; 5]);
}

/// A score is stale from its last millisecond on, wherever it is asked for, and fresh when it is calculated again.
pub async fn lc_05_a_score_is_stale_from_the_exact_millisecond(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, of) = (&world.crm, world.ada(), ScoreType::Health);
    put(&world, simple(of)).await;
    let id = world.customer("Old").await.id;
    let known = factors(&[("logins", "80")]);
    let stale = async || {
        let current = crm.scores().of_customer(&ctx, id).await.unwrap().remove(0);
        let listed = crm.scores().stale(&ctx, of, 9, None).await.unwrap().items;
        let counted = crm.scores().distribution(&ctx, of).await.unwrap().stale;
        assert_eq!((listed.len(), counted), (usize::from(current.is_stale), i64::from(current.is_stale)));
        assert!(listed.iter().all(|stale| stale.score.as_ref() == Some(&current.score)));
        current.is_stale
    };
    for _ in 0..2 {
        crm.scores().record(&ctx, id, of, known.clone()).await.unwrap();
        assert!(!stale().await);
        world.env.advance(Duration::days(7) - Duration::milliseconds(1));
        assert!(!stale().await, "one millisecond before");
        world.env.advance(Duration::milliseconds(1));
        assert!(stale().await, "seven days later");
    }
}

/// Whoever calculates, moves stages, deletes and restores at once, in two processes: each calculation is one version,
/// that knows the value before it, adds up, and is what the lifecycle says.
pub async fn lc_05_no_calculation_is_lost_whatever_happens_at_once(harness: &dyn Harness) {
    const TASKS: usize = 24;
    let world = World::new(harness).await;
    let (fresh, ctx) = (Fresh::default(), world.ada());
    let second = harness.second_handle(&world.store).await;
    let [crm, other] = [world.store.clone(), second]
        .map(|store| with(store, &world, fresh.clone(), std::time::Duration::from_mins(2)));
    put(&world, simple(ScoreType::Health)).await;
    put(&world, simple(ScoreType::Value)).await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(world.customer(&format!("Contended {n}")).await.id);
    }
    let stages = crm.lifecycle().stages(&ctx).await.unwrap();
    let stages: Vec<_> = stages.iter().map(|stage| stage.id).collect();
    let (seed, steps) = (seed(), size(8, 40));
    let made = at_once(TASKS, |task| {
        let (crm, ctx) = (if task % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
        let (ids, stages, fresh) = (ids.clone(), stages.clone(), fresh.clone());
        async move {
            let mut dice = Dice::new(seed + task as u64);
            let mut made: BTreeMap<(CustomerId, ScoreType), usize> = BTreeMap::new();
            for _ in 0..steps {
                let id = *dice.pick(&ids);
                match dice.below(7) {
                    2 | 3 => {
                        let of = *dice.pick(&[ScoreType::Health, ScoreType::Value]);
                        let which = Which::Matching(is("id", "eq", id.to_string()));
                        let asked = Recalculation { which, ..Recalculation::of(of) };
                        let done = crm.scores().recalculate(&ctx, &asked).await.unwrap();
                        assert!(done.failed == 0 && (done.computed == 1 || id == ids[0]), "{done:?}");
                        *made.entry((id, of)).or_default() += done.computed;
                    }
                    0 => {
                        let step = crm_core::lifecycle::AdvanceStage::new(id, *dice.pick(&stages));
                        let done = crm.lifecycle().advance(&ctx, step).await.map(drop);
                        assert!(
                            matches!(done, Ok(()) | Err(Error::Refused(_) | Error::NotFound { .. })),
                            "{done:?}"
                        );
                    }
                    1 if id == ids[0] => {
                        let deleted = crm.customers().delete(&ctx, id, Expect::Any).await.map(drop);
                        assert!(matches!(deleted, Ok(()) | Err(Error::NotFound { .. })), "{deleted:?}");
                        let restored = crm.customers().restore(&ctx, id).await.map(drop);
                        assert!(matches!(restored, Ok(()) | Err(Error::Refused(_))), "{restored:?}");
                    }
                    _ => {
                        let of = *dice.pick(&[ScoreType::Health, ScoreType::Value]);
                        // No two calculations have the same factors, so each is a change.
                        match crm.scores().record(&ctx, id, of, fresh.next()).await {
                            Ok(_) => *made.entry((id, of)).or_default() += 1,
                            Err(error) => assert!(error.code() == "not_found" && id == ids[0], "{error}"),
                        }
                    }
                }
            }
            made
        }
    })
    .await;
    let mut expected: BTreeMap<(CustomerId, ScoreType), i64> = BTreeMap::new();
    for (key, count) in made.into_iter().flatten() {
        *expected.entry(key).or_default() += count as i64;
    }
    expected.retain(|_, count| *count > 0);
    if crm.customers().get(&ctx, ids[0]).await.is_err() {
        crm.customers().restore(&ctx, ids[0]).await.unwrap();
    }
    let scores: Vec<Score> = all(&crm, &ctx).await;
    let versions = scores.iter().map(|score| ((score.customer_id, score.score_type), score.meta.version));
    assert_eq!(versions.collect::<BTreeMap<_, _>>(), expected, "seed {seed}");
    for id in &ids {
        check(&crm, &ctx, *id).await;
    }
    for score in scores {
        let mut history = crm.log().history::<Score>(&world.manager(), score.id).await.unwrap();
        history.sort_by_key(|change| change.row.version);
        let mut now: BTreeMap<String, Json> = BTreeMap::new();
        for change in history {
            let before = now.get("score_value").cloned().unwrap_or(Json::Null);
            now.extend(change.fields.into_iter().map(|(name, field)| (name, field.after.unwrap())));
            assert_eq!(now.get("previous_value").cloned().unwrap_or(Json::Null), before, "seed {seed}");
            let lines = now["factors"].as_object().unwrap().values();
            let sum: i64 = lines.map(|line| line["weighted"].as_i64().unwrap()).sum();
            assert_eq!(now["score_value"], json!(sum));
        }
    }
}

/// Of a type one model is active, whoever stores models at once; a wrong model is refused by its field.
pub async fn lc_05_one_model_of_a_type_is_active(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, admin) = (world.crm.clone(), world.second(harness).await, world.system());
    at_once(16, |n| {
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, admin.clone());
        let model = ScoringModel { name: format!("Model {n:02}"), ..simple(ScoreType::Health) };
        async move { crm.scores().put_model(&ctx, model).await.unwrap().value }
    })
    .await;
    let models = crm.scores().models(&admin).await.unwrap();
    assert!(models.is_sorted_by(|a, b| a.name < b.name) && models.len() == 16);
    assert_eq!(models.iter().filter(|model| model.is_active).count(), 1);
    let value = put(&world, simple(ScoreType::Value)).await;
    let idle = models.iter().find(|model| !model.is_active).unwrap().clone();
    let again = put(&world, ScoringModel { is_active: true, valid_days: 30, ..idle.clone() }).await;
    assert_eq!((again.id, again.meta.version > idle.meta.version), (idle.id, true));
    let active: Vec<ScoringModel> = matching(&crm, &admin, is("is_active", "eq", true)).await;
    assert_eq!(
        active.iter().map(|model| model.id).collect::<BTreeSet<_>>(),
        BTreeSet::from([again.id, value.id])
    );
    let same = crm.scores().put_model(&admin, again.clone()).await.unwrap();
    assert!(same.written.is_empty() && same.value == again, "nothing differs, so nothing is written");

    let key = admin.clone().with_key("model");
    let first = crm.scores().put_model(&key, simple(ScoreType::Engagement)).await.unwrap();
    let repeat = crm.scores().put_model(&key, simple(ScoreType::Engagement)).await.unwrap();
    assert!(repeat.repeated && repeat.value == first.value && repeat.written == first.written);
    assert_eq!(
        crm.scores().put_model(&key, simple(ScoreType::Value)).await.unwrap_err().code(),
        "key_reused"
    );

    let before: Vec<ScoringModel> = all(&crm, &admin).await;
    let good = || simple(ScoreType::Health);
    let with = |list: &[(&str, &str)]| ScoringModel { factors: factors(list), ..good() };
    let many: Vec<String> = (0..51).map(|n| format!("f{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
    for (field, model) in [
        ("name", ScoringModel { name: String::new(), ..good() }),
        ("name", ScoringModel { name: "é".repeat(101), ..good() }),
        ("name", ScoringModel { name: "a\0b".to_owned(), ..good() }),
        ("name", ScoringModel { name: "two\nlines".to_owned(), ..good() }),
        ("default_score", ScoringModel { default_score: 101, ..good() }),
        ("default_score", ScoringModel { default_score: -1, ..good() }),
        ("valid_days", ScoringModel { valid_days: 0, ..good() }),
        ("valid_days", ScoringModel { valid_days: 3_651, ..good() }),
        ("score_type", ScoringModel { id: value.id, ..good() }),
        ("factors", with(&[])),
        ("factors", with(&many)),
        ("factors", with(&[("", "1")])),
        ("factors", with(&[("Logins", "1")])),
        ("factors", with(&[("log\0ins", "1")])),
        ("factors", with(&[("ⅷ", "1")])),
        ("factors", with(&[(&"x".repeat(65), "1")])),
        ("factors", with(&[(DEFAULT_LINE, "1")])),
        ("factors", with(&[("a", "0")])),
        ("factors", with(&[("a", "-0.1")])),
        ("factors", with(&[("a", "1000001")])),
        ("factors", with(&[("a", "0.0000001")])),
    ] {
        match crm.scores().put_model(&admin, model).await {
            Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, field, "{errors:?}"),
            other => panic!("{field}: {other:?}"),
        }
    }
    assert_eq!(all::<ScoringModel>(&crm, &admin).await, before);
    let largest = many[..50].iter().map(|(name, _)| (*name, "0.10")).collect::<Vec<_>>();
    let largest =
        put(&world, ScoringModel { id: ScoringModelId(Uuid::from_u128(5)), ..with(&largest) }).await;
    assert_eq!((largest.id.0, largest.factors.len()), (Uuid::from_u128(5), 50));
    assert_eq!(crm.scores().put_model(&world.manager(), good()).await.unwrap_err().code(), "forbidden");
}

/// What cannot be weighed is refused by its name, and changes nothing; only who may write calculates; a repeat gives the
/// first result.
pub async fn lc_05_wrong_factors_are_refused_and_a_repeat_gives_the_first_score(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, of) = (&world.crm, world.ada(), ScoreType::Health);
    put(&world, ScoringModel::health()).await;
    let id = world.customer("Careful").await.id;
    let known = factors(&[("login_frequency", "85"), ("support_tickets", "90"), ("payment_history", "100")]);
    let key = ctx.clone().with_key("score");
    let first = crm.scores().record(&key, id, of, known.clone()).await.unwrap();
    let mut same = known.clone();
    same.insert("login_frequency".to_owned(), "85.000".parse().unwrap());
    world.env.advance(Duration::days(1));
    let repeat = crm.scores().record(&key, id, of, same).await.unwrap();
    assert!(repeat.repeated && repeat.value == first.value && repeat.written == first.written);
    assert_eq!(crm.scores().record(&key, id, of, Factors::new()).await.unwrap_err().code(), "key_reused");
    assert_eq!(first.value.score_value, 93, "(17 + 18 + 30) / 0.7");
    assert!(first.value.factors["feature_adoption"].is_missing());

    let long = "x".repeat(300);
    for (field, name, value) in [
        ("factors.login_frequency", "login_frequency", "-0.0001"),
        ("factors.login_frequency", "login_frequency", "100.00000000001"),
        ("factors.login_frequency", "login_frequency", "79228162514264337593543950335"),
        ("factors.logins", "logins", "50"),
        ("factors.default", "default", "50"),
        ("factors.", "", "50"),
        ("factors.a\0b", "a\0b", "50"),
        (&format!("factors.{}", "x".repeat(64)), &long, "50"),
    ] {
        match crm.scores().record(&ctx, id, of, factors(&[(name, value), ("support_tickets", "1")])).await {
            Err(Error::Invalid(errors)) => {
                assert_eq!((errors.len(), errors[0].field.as_str()), (1, field), "{errors:?}");
                assert!(errors[0].to_string().contains("accepted are") && errors[0].to_string().len() < 300);
            }
            other => panic!("{field}: {other:?}"),
        }
    }
    let nobody = CustomerId(Uuid::from_u128(404));
    assert_eq!(crm.scores().record(&ctx, nobody, of, known.clone()).await.unwrap_err().code(), "not_found");
    let reader = Context { roles: vec!["reader".to_owned()], ..world.ada() };
    assert_eq!(crm.scores().record(&reader, id, of, known.clone()).await.unwrap_err().code(), "forbidden");
    assert_eq!(all::<Score>(crm, &reader).await, std::slice::from_ref(&first.value));
    crm.customers().delete(&ctx, id, Expect::Any).await.unwrap();
    assert_eq!(crm.scores().record(&ctx, id, of, known.clone()).await.unwrap_err().code(), "not_found");
    assert!(crm.scores().of_customer(&ctx, id).await.unwrap().is_empty(), "hidden with its customer");
    assert!(all::<Score>(crm, &ctx).await.is_empty());
    crm.customers().restore(&ctx, id).await.unwrap();
    assert_eq!(all::<Score>(crm, &ctx).await, [first.value], "and back with it");
    let actor = crm_core::log::Actor { kind: crm_core::log::ActorKind::Customer, id: Some(id.0) };
    let portal = Context { actor, ..world.ada() };
    assert_eq!(crm.scores().of_customer(&portal, id).await.unwrap_err().code(), "forbidden");
}

/// Distribution, list at risk, stale list, criteria and segments say what a naive reading of all scores says.
pub async fn lc_05_every_list_says_what_the_scores_say(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, seed) = (&world.crm, world.ada(), seed());
    let mut dice = Dice::new(seed);
    let low = json!({ "field": "lifecycle.health_score", "operator": "lt", "value": 40 });
    let segment = crm.segments().create(&ctx, Segment::dynamic("Weak", low.clone())).await.unwrap().id;
    let used = [ScoreType::Health, ScoreType::ChurnRisk];
    let mut model = BTreeMap::new();
    for of in used {
        model.insert(of, put(&world, simple(of)).await);
    }
    let mut ids = Vec::new();
    for n in 0..size(30, 200) {
        ids.push(world.customer(&format!("Listed {n}")).await.id);
    }
    let mut scores: BTreeMap<(CustomerId, ScoreType), Score> = BTreeMap::new();
    let mut gone = BTreeSet::new();
    for _ in 0..size(6, 40) {
        for id in &ids {
            match dice.below(12) {
                0 if gone.remove(id) => drop(crm.customers().restore(&ctx, *id).await.unwrap()),
                0 => {
                    crm.customers().delete(&ctx, *id, Expect::Any).await.unwrap();
                    gone.insert(*id);
                }
                1..6 if !gone.contains(id) => {
                    let of = *dice.pick(&used);
                    let known = any_known(&mut dice, &model[&of]);
                    let expected = weigh(&model[&of], &known).unwrap();
                    let score = crm.scores().record(&ctx, *id, of, known).await.unwrap().value;
                    assert_eq!((score.score_value, &score.factors), (expected.value, &expected.factors));
                    scores.insert((*id, of), score);
                }
                _ => {}
            }
        }
        world.env.advance(Duration::hours(dice.between(1, 100)));
        let (now, live) = (world.env.now(), |id: &CustomerId| !gone.contains(id));
        for of in used {
            let shown: Vec<&Score> =
                scores.values().filter(|score| score.score_type == of && live(&score.customer_id)).collect();
            let mut spread = Distribution {
                by_grade: [Grade::A, Grade::B, Grade::C, Grade::D, Grade::F].map(|grade| (grade, 0)).into(),
                needs_review: shown.iter().filter(|score| score.needs_review).count() as i64,
                stale: shown.iter().filter(|score| score.is_stale_at(now)).count() as i64,
            };
            for score in &shown {
                *spread.by_grade.entry(score.grade).or_default() += 1;
            }
            let found = crm.scores().distribution(&ctx, of).await.unwrap();
            assert_eq!((found.total(), &found), (shown.len() as i64, &spread), "seed {seed}");

            let below = dice.between(-1, 101);
            let limit = 1 + dice.below(7);
            let mut risky: Vec<&Score> =
                shown.iter().copied().filter(|score| score.score_value < below).collect();
            risky.sort_by_key(|score| (score.score_value, score.id));
            let (mut pages, mut after) = (Vec::new(), None);
            loop {
                let page = crm.scores().at_risk(&ctx, of, below, limit, after.as_deref()).await.unwrap();
                assert!(page.items.len() == limit || page.next.is_none());
                pages.extend(page.items);
                let Some(next) = page.next else { break };
                after = Some(next);
            }
            assert_eq!(pages.iter().collect::<Vec<_>>(), risky, "seed {seed}");

            let mut old: Vec<&Score> = shown.iter().copied().filter(|score| score.is_stale_at(now)).collect();
            old.sort_by_key(|score| (score.valid_until, score.id));
            let mut never: Vec<CustomerId> =
                ids.iter().copied().filter(|id| live(id) && !scores.contains_key(&(*id, of))).collect();
            never.sort_unstable();
            let (mut pages, mut after) = (Vec::new(), None);
            loop {
                let page = crm.scores().stale(&ctx, of, limit, after.as_deref()).await.unwrap();
                assert!(page.items.len() == limit || page.next.is_none());
                pages.extend(page.items);
                let Some(next) = page.next else { break };
                after = Some(next);
            }
            let expected = old.iter().map(|score| (score.customer_id, Some((*score).clone())));
            let expected: Vec<_> = expected.chain(never.into_iter().map(|id| (id, None))).collect();
            let pages: Vec<_> = pages.into_iter().map(|stale| (stale.customer, stale.score)).collect();
            assert_eq!(pages, expected, "seed {seed}");
        }
        let value = |id: &CustomerId| scores.get(&(*id, ScoreType::Health)).map(|score| score.score_value);
        let mut weak: Vec<CustomerId> =
            ids.iter().copied().filter(|id| live(id) && value(id).is_some_and(|value| value < 40)).collect();
        weak.sort_unstable();
        let found: Vec<Customer> = matching(crm, &ctx, low.clone()).await;
        assert_eq!(found.iter().map(|customer| customer.id).collect::<Vec<_>>(), weak, "seed {seed}");
        let members = crm.segments().members(&ctx, segment, 9_999, None).await.unwrap().items;
        assert_eq!(members, found);
        let id = *dice.pick(&ids);
        if live(&id) {
            assert_eq!(crm.segments().contains(&ctx, segment, id).await.unwrap(), weak.contains(&id));
        }
    }
    for bad in ["", "never", "old", "x", "old.x", "never.x", "older."] {
        let refused = crm.scores().stale(&ctx, ScoreType::Health, 5, Some(bad)).await;
        assert_eq!(refused.unwrap_err().code(), "invalid_criteria", "{bad:?}");
    }
    for limit in [0, 10_000] {
        let refused = crm.scores().stale(&ctx, ScoreType::Health, limit, None).await.unwrap_err();
        assert_eq!(refused.code(), "invalid_criteria");
    }
}
