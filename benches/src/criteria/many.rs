//! One changed customer against a hundred criteria, as recalculation of segments does it.

use std::hint::black_box;

use chrono::Duration;
use crm_core::catalog::Entity;
use crm_core::criteria::{Criteria, CriteriaSet, NoLinks, Scope};
use crm_core::customer::Customer;
use crm_core::record::Record;
use crm_core::value::Instant;
use datalogic_rs::bumpalo::Bump;
use datalogic_rs::{Engine, Logic, ParsedData};
use serde_json::{Value as Json, json};

use super::PART;
use crate::Outcome;
use crate::measure::in_turns;
use crate::options::Options;
use crate::report::{Aim, Report};

const CRITERIA: usize = 100;

/// Measures it.
pub(super) fn run(
    options: &Options,
    scope: &Scope<'_>,
    (record, parsed): (&Record, &ParsedData),
    now: Instant,
    report: &mut Report,
) -> Outcome {
    let pairs: Vec<(Json, Json)> = (0..CRITERIA).map(|n| pair(n, now)).collect();
    let criteria: Vec<Criteria> = pairs
        .iter()
        .map(|(ours, _)| Criteria::parse(ours, Customer::def(), scope))
        .collect::<Result<_, _>>()?;
    let set = CriteriaSet::new(&criteria);
    let engine = Engine::new();
    let logics: Vec<Logic> = pairs
        .iter()
        .map(|(_, logic)| engine.compile(logic.to_string().as_str()))
        .collect::<Result<_, _>>()?;
    let mut arena = Bump::new();
    for ((holds, logic), (json, _)) in set.at(now).holds(record, &NoLinks).iter().zip(&logics).zip(&pairs) {
        let theirs = engine.evaluate(logic, parsed, &arena)?.as_bool();
        if theirs != Some(*holds) {
            return Err(format!("datalogic says {theirs:?} to {json}").into());
        }
        arena.reset();
    }
    // Many times in one go: one go alone is too short to time.
    let times = options.size(200, 50);
    let mut again = Bump::new();
    let prepare = || -> Outcome<CriteriaSet> {
        let parse = |(ours, _): &(Json, Json)| Criteria::parse(ours, Customer::def(), scope);
        Ok(CriteriaSet::new(&pairs.iter().map(parse).collect::<Result<Vec<_>, _>>()?))
    };
    let texts: Vec<String> = pairs.iter().map(|(_, logic)| logic.to_string()).collect();
    let [prepared, compiled] = in_turns(
        options.size(31, 11),
        [
            &mut || {
                black_box(prepare().is_ok());
            },
            &mut || {
                for text in &texts {
                    black_box(engine.compile(text.as_str()).is_ok());
                }
            },
        ],
    );
    let [holds, judge, rule] = in_turns(
        options.size(31, 11),
        [
            &mut || {
                for _ in 0..times {
                    black_box(set.at(black_box(now)).holds(black_box(record), &NoLinks));
                }
            },
            &mut || {
                for _ in 0..times {
                    black_box(set.at(black_box(now)).verdicts(black_box(record), &NoLinks));
                }
            },
            &mut || {
                for _ in 0..times {
                    for logic in &logics {
                        black_box(engine.evaluate(logic, black_box(parsed), &again).is_ok());
                    }
                    again.reset();
                }
            },
        ],
    )
    .map(|time| crate::measure::each(time, times));
    let peer = ("datalogic, parsed before, no instants", rule);
    let aim = Some(Aim::AtLeast(4.0));
    report.speed(PART, "one customer, 100 criteria, with the instants when answers change", judge, peer, aim);
    report.speed(PART, "one customer, 100 criteria, without instants", holds, peer, aim);
    report.speed(PART, "preparing the 100 criteria", prepared, ("datalogic, compiling", compiled), None);
    report.note(
        PART,
        "The 100 criteria have 3 to 6 leaves; 60 of them depend on the time. They are asked as one `CriteriaSet`, as the \
         segments of a customer are: a value is read and folded once, a condition that several share is asked once. It is \
         prepared before, as datalogic's rules are, and told the time for each customer anew. With instants it also says \
         when time alone changes the answer, which datalogic cannot; its figure is without. Preparing begins with JSON: ours \
         with the tree, theirs with the text.",
    );
    Ok(())
}

/// A criterion and the same in JSONLogic.
fn pair(n: usize, now: Instant) -> (Json, Json) {
    let days = 30 + 13 * n as i64;
    let since = (now - Duration::days(days)).timestamp_millis();
    let status = ["active", "prospect", "churned", "inactive"][n % 4];
    let language = ["de", "en", "fr", "it"][n / 4 % 4];
    let score = 10 * n as i64;
    let tag = ["beta", "newsletter", "partner"][n % 3];
    match n % 5 {
        0 => (
            json!({ "all": [
                { "field": "status", "operator": "eq", "value": status },
                { "field": "created_at", "operator": "gte", "value": format!("now-{days}d") },
                { "field": "preferred_language", "operator": "in", "value": [language, "es"] },
            ] }),
            json!({ "and": [
                { "==": [{ "var": "status" }, status] },
                { ">=": [{ "var": "created_at" }, since] },
                { "in": [{ "var": "preferred_language" }, [language, "es"]] },
            ] }),
        ),
        1 => (
            json!({ "any": [
                { "field": "custom.score", "operator": "gte", "value": score },
                { "all": [
                    { "field": "tags", "operator": "contains", "value": tag },
                    { "field": "created_at", "operator": "lt", "value": format!("now-{days}d") },
                ] },
                { "field": "display_name", "operator": "starts_with", "value": "Mo" },
            ] }),
            json!({ "or": [
                { ">=": [{ "var": "score" }, score.max(1)] },
                { "and": [
                    { "in": [tag, { "var": "tags" }] },
                    { "<": [{ "var": "created_at" }, since] },
                ] },
                { "starts_with": [{ "var": "display_name" }, "mo"] },
            ] }),
        ),
        2 => (
            json!({ "all": [
                { "not": { "field": "is_blocked", "operator": "eq", "value": true } },
                { "field": "email", "operator": "contains", "value": "example" },
                { "field": "created_at", "operator": "gt", "value": format!("now-{}d", days * 2) },
                { "any": [
                    { "field": "status", "operator": "in", "value": [status, "active"] },
                    { "field": "is_vip", "operator": "eq", "value": true },
                    { "field": "tags", "operator": "contains", "value": tag },
                ] },
            ] }),
            json!({ "and": [
                { "!": [{ "===": [{ "var": "is_blocked" }, true] }] },
                { "in": ["example", { "var": "email" }] },
                { ">": [{ "var": "created_at" }, (now - Duration::days(days * 2)).timestamp_millis()] },
                { "or": [
                    { "in": [{ "var": "status" }, [status, "active"]] },
                    { "==": [{ "var": "is_vip" }, true] },
                    { "in": [tag, { "var": "tags" }] },
                ] },
            ] }),
        ),
        3 => (
            json!({ "all": [
                { "field": "custom.tier", "operator": "in", "value": ["gold", "silver"] },
                { "field": "custom.newsletter", "operator": "eq", "value": n.is_multiple_of(2) },
                { "field": "preferred_language", "operator": "eq", "value": language },
                { "field": "status", "operator": "eq", "value": status },
            ] }),
            json!({ "and": [
                { "in": [{ "var": "tier" }, ["gold", "silver"]] },
                { "===": [{ "var": "newsletter" }, n.is_multiple_of(2)] },
                { "==": [{ "var": "preferred_language" }, language] },
                { "==": [{ "var": "status" }, status] },
            ] }),
        ),
        _ => (
            json!({ "any": [
                { "field": "status", "operator": "eq", "value": status },
                { "field": "is_vip", "operator": "eq", "value": n.is_multiple_of(2) },
                { "field": "source", "operator": "in", "value": ["referral", "sales"] },
            ] }),
            json!({ "or": [
                { "==": [{ "var": "status" }, status] },
                { "==": [{ "var": "is_vip" }, n.is_multiple_of(2)] },
                { "in": [{ "var": "source" }, ["referral", "sales"]] },
            ] }),
        ),
    }
}
