//! Criteria over records in memory, one record at a time, beside a closure written by hand and a rule engine.

mod data;
mod many;

use std::hint::black_box;

use crm_core::catalog::Entity;
use crm_core::criteria::{Criteria, Matcher, NoLinks, Scope};
use crm_core::customer::Customer;
use crm_core::env::{Env, SystemEnv};
use crm_core::record::Record;
use crm_core::value::truncate;
use datalogic_rs::bumpalo::Bump;
use datalogic_rs::{DataValue, Engine, ParsedData};

use crate::Outcome;
use crate::measure::{each, in_turns};
use crate::options::Options;
use crate::report::{Aim, Report};
use data::{Plain, Question, questions};

const PART: &str = "criteria";
/// How many records the rule engine is given: its data take ten times the space.
const FOR_ENGINE: usize = 100_000;
/// How many records a processor's cache holds.
const CACHED: usize = 500;

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
        let matcher = Matcher::new(&Criteria::parse(&question.criteria, Customer::def(), &scope)?.at(now));
        one(rounds, &question, &matcher, (&records, &plain, &parsed), report)?;
    }
    report.note(
        PART,
        format!(
            "{count} customers; times are by the customer. Where the closure reads our records, both sides read the same values \
             of the same records and fold a text when they compare it; the aim is about that. Where it reads structs, it reads \
             exactly the fields it needs, with enums for codes and the folded texts ready, all of them side by side in memory; \
             our records hold every field of a customer. datalogic reads {} customers that were parsed before, with the folded \
             texts ready.",
            FOR_ENGINE.min(count)
        ),
    );
    many::run(options, &scope, (&records[0], &parsed[0]), now, report)
}

type Data<'a> = (&'a [Record], &'a [Plain], &'a [ParsedData]);

fn one(
    rounds: usize,
    question: &Question,
    matcher: &Matcher,
    (records, plain, parsed): Data<'_>,
    report: &mut Report,
) -> Outcome {
    let engine = Engine::new();
    let logic = engine.compile(question.logic.to_string().as_str())?;
    let count = |records: &[Record]| records.iter().filter(|record| matcher.holds(record, &NoLinks)).count();
    let closure = |plain: &[Plain]| plain.iter().filter(|plain| (question.closure)(plain)).count();
    let logic = |parsed: &[ParsedData]| {
        let mut arena = Bump::new();
        let mut found = 0;
        for data in parsed {
            let answer = engine.evaluate(&logic, data, &arena).ok().and_then(DataValue::as_bool);
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
    if let Some(over_records) = &question.over_records {
        if records.iter().filter(|record| over_records(record)).count() != found {
            return Err(format!("{}: the closure over records finds others", question.name).into());
        }
        let [ours, hand] = in_turns(
            rounds,
            [
                &mut || {
                    black_box(count(records));
                },
                &mut || {
                    black_box(records.iter().filter(|record| over_records(record)).count());
                },
            ],
        );
        let (ours, hand) = (each(ours, records.len()), each(hand, records.len()));
        let what = format!("{}, and the closure reads our records", question.name);
        report.speed(PART, &what, ours, ("closure over records", hand), Some(Aim::AtLeast(0.35)));
    }
    let near = CACHED.min(plain.len());
    let [ours, hand] = in_turns(
        rounds * 20,
        [
            &mut || {
                black_box(count(&records[..near]));
            },
            &mut || {
                black_box(closure(&plain[..near]));
            },
        ],
    );
    let what = format!("{}, all customers in the cache", question.name);
    report.speed(PART, &what, each(ours, near), ("closure over structs", each(hand, near)), None);
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
    report.speed(PART, &what, ours, ("closure over structs", hand), None);
    report.speed(PART, &what, ours, ("datalogic, parsed before", rule), None);
    Ok(())
}
