//! Criteria over records in memory, one record at a time, beside a closure written by hand and a rule engine.

mod data;
mod many;

use std::hint::black_box;

use crm_core::catalog::Entity;
use crm_core::criteria::{Criteria, Filter, NoLinks, Scope};
use crm_core::customer::Customer;
use crm_core::env::{Env, SystemEnv};
use crm_core::record::Record;
use crm_core::value::{Instant, truncate};
use datalogic_rs::bumpalo::Bump;
use datalogic_rs::{Engine, ParsedData};
use serde_json::Value as Json;

use crate::Outcome;
use crate::measure::{each, in_turns};
use crate::options::Options;
use crate::report::{Aim, Report};
use data::{Plain, Question, questions};

const PART: &str = "criteria";
/// How many records the rule engine is given: its data take ten times the space.
const FOR_ENGINE: usize = 100_000;

/// Measures it.
pub(crate) fn run(options: &Options, report: &mut Report) -> Outcome {
    let count = options.size(1_000_000, 200_000);
    let rounds = options.size(7, 5);
    let now = truncate(SystemEnv.now());
    let catalog = crm_core::standard_catalog().build()?;
    let scope = Scope::new(&catalog, chrono_tz::Tz::UTC);
    let customers = data::customers(count, now);
    let records: Vec<Record> = customers.iter().map(Entity::to_record).collect();
    let plain: Vec<Plain> = customers.iter().map(Plain::of).collect();
    let parsed = data::parsed(&customers[..FOR_ENGINE.min(count)])?;
    drop(customers);
    for question in questions(now) {
        let filter = filter(&question.criteria, &scope, now)?;
        one(rounds, &question, &filter, (&records, &plain, &parsed), report)?;
    }
    report.note(
        PART,
        format!(
            "{count} customers; times are by the customer. The closure reads a struct of exactly the fields it needs, with \
             enums for codes and the folded texts ready; our records hold every field of a customer, and texts are folded \
             while they are compared. datalogic reads {} customers that were parsed before, with the folded texts ready.",
            FOR_ENGINE.min(count)
        ),
    );
    many::run(options, &scope, (&records[0], &parsed[0]), now, report)
}

fn filter(json: &Json, scope: &Scope<'_>, now: Instant) -> Outcome<Filter> {
    Ok(Criteria::parse(json, Customer::def(), scope)?.at(now))
}

type Data<'a> = (&'a [Record], &'a [Plain], &'a [ParsedData]);

fn one(
    rounds: usize,
    question: &Question,
    filter: &Filter,
    (records, plain, parsed): Data<'_>,
    report: &mut Report,
) -> Outcome {
    let engine = Engine::new();
    let logic = engine.compile(question.logic.to_string().as_str())?;
    let count = |records: &[Record]| records.iter().filter(|record| filter.holds(record, &NoLinks)).count();
    let closure = |plain: &[Plain]| plain.iter().filter(|plain| (question.closure)(plain)).count();
    let logic = |parsed: &[ParsedData]| {
        let mut arena = Bump::new();
        let mut found = 0;
        for data in parsed {
            let answer = engine.evaluate(&logic, data, &arena).ok().and_then(|value| value.as_bool());
            found += usize::from(answer == Some(true));
            arena.reset();
        }
        found
    };
    let (found, few) = (count(records), parsed.len());
    if found != closure(plain) || count(&records[..few]) != logic(parsed) {
        let theirs = (closure(plain), logic(parsed));
        return Err(format!(
            "{}: we find {found} and {}, the peers {theirs:?}",
            question.name,
            count(&records[..few])
        )
        .into());
    }
    let [ours, hand, rule] = in_turns(
        rounds,
        [
            &mut || {
                black_box(count(records));
            },
            &mut || {
                black_box(closure(plain));
            },
            &mut || {
                black_box(logic(parsed));
            },
        ],
    );
    let (ours, hand, rule) = (each(ours, records.len()), each(hand, plain.len()), each(rule, few));
    let what = format!("{}, {:.0} % match", question.name, 100.0 * found as f64 / records.len() as f64);
    report.speed(PART, &what, ours, ("closure over structs", hand), question.aim.map(Aim::AtLeast));
    report.speed(PART, &what, ours, ("datalogic, parsed before", rule), None);
    Ok(())
}
