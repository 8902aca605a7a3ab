//! What each part of a batch costs: change sets committed with the part left out.

use std::time::Instant as Clock;

use crm_core::catalog::Entity;
use crm_core::command::{Changes, Command, Loaded};
use crm_core::contact::Contact;
use crm_core::customer::Customer;
use crm_core::env::SystemEnv;
use crm_core::interaction::LogInteractions;
use crm_core::store::ChangeSet;
use crm_core::tenant::Settings;
use crm_core::{Crm, RecordId};

use super::{BATCH, PART, People};
use crate::Outcome;
use crate::bed::{Kind, TENANT, ctx};
use crate::measure::{Times, show};
use crate::options::Options;
use crate::report::{Figure, Report};
use crate::sample::Interactions;

/// Takes something out of a change set.
type LeaveOut = fn(&mut ChangeSet);

/// What is left out, and how.
const PARTS: [(&str, LeaveOut); 6] = [
    ("complete", |_| ()),
    ("search tokens", |set| set.tokens_put.clear()),
    ("timeline rows", |set| set.timeline_put.clear()),
    ("log rows", |set| set.log.clear()),
    ("guards on customers and contacts", |set| set.guards.clear()),
    ("all of these", |set| {
        set.tokens_put.clear();
        set.timeline_put.clear();
        set.log.clear();
        set.guards.clear();
    }),
];

/// Measures them.
pub(super) async fn run(
    kind: &Kind,
    crm: &Crm,
    people: &People,
    interactions: &mut Interactions,
    options: &Options,
    report: &mut Report,
) -> Outcome {
    let loaded = loaded(people);
    let (mut whole, mut deciding) = (Times::default(), Times::default());
    let mut commits: [Times; PARTS.len()] = std::array::from_fn(|_| Times::default());
    for _ in 0..options.size(15, 5) {
        let batch = interactions.batch(BATCH);
        let started = Clock::now();
        crm.interactions().log_batch(&ctx(), batch).await?;
        whole.push(started.elapsed());
        for ((_, leave_out), times) in PARTS.iter().zip(&mut commits) {
            let command = LogInteractions { interactions: interactions.batch(BATCH) };
            let started = Clock::now();
            let mut set = decide(crm, &loaded, &command)?;
            deciding.push(started.elapsed());
            leave_out(&mut set);
            let started = Clock::now();
            crm.store().commit(&set).await?;
            times.push(started.elapsed());
        }
    }
    let whole = whole.median();
    let complete = commits[0].median();
    let mut share = |what: String, seconds: f64| {
        let sign = if seconds < 0.0 { "−" } else { "" };
        report.add(Figure {
            part: PART,
            what: format!("{}: {what}", kind.name()),
            ours: format!("{sign}{}", show(seconds.abs())),
            peer: format!("log_batch: {}", show(whole)),
            ratio: seconds / whole,
            aim: None,
        });
    };
    share("of it deciding".to_owned(), deciding.median());
    share("of it loading".to_owned(), whole - deciding.median() - complete);
    share("of it the commit".to_owned(), complete);
    for ((what, _), times) in PARTS.iter().zip(&commits).skip(1) {
        share(format!("of the commit {what}"), complete - times.median());
    }
    Ok(())
}

/// What the command would have loaded.
fn loaded(people: &People) -> Loaded {
    let mut loaded = Loaded::default();
    loaded.add_records(Settings::def(), &[TENANT.0], Vec::new());
    let ids: Vec<_> = people.customers.iter().map(|customer| customer.id.uuid()).collect();
    loaded.add_records(Customer::def(), &ids, people.customers.iter().map(Entity::to_record).collect());
    let ids: Vec<_> = people.contacts.iter().map(|contact| contact.id.uuid()).collect();
    loaded.add_records(Contact::def(), &ids, people.contacts.iter().map(Entity::to_record).collect());
    loaded
}

fn decide(crm: &Crm, loaded: &Loaded, command: &LogInteractions) -> Outcome<ChangeSet> {
    let ctx = ctx();
    let mut changes = Changes::new(crm.store().catalog(), &SystemEnv, &ctx, command.name());
    changes.not_before(loaded);
    command.decide(loaded, &mut changes).map_err(|decline| format!("{decline:?}"))?;
    Ok(changes.finish(None)?)
}
