//! Writing many interactions, beside the bare driver.

mod bare;
mod parts;

use std::time::Instant as Clock;

use crm_core::Crm;
use crm_core::contact::Contact;
use crm_core::customer::Customer;
use crm_core::env::{Env, SystemEnv};
use crm_core::store::MAX_WRITES;

use crate::Outcome;
use crate::bed::{Bed, Kind, ctx};
use crate::measure::Times;
use crate::options::Options;
use crate::report::{Aim, Report};
use crate::sample::{Interactions, Random, contacts, customers};
use bare::Bare;

const PART: &str = "ingest";
/// How many interactions a batch has: as many as one change set may write.
const BATCH: usize = 1_000;
const CUSTOMERS: usize = 1_000;

/// Measures it.
pub(crate) async fn run(bed: &Bed, options: &Options, report: &mut Report) -> Outcome {
    for kind in bed.all("ingest").await? {
        of(bed, kind, options, report).await?;
    }
    report.note(
        PART,
        "The bare driver commits each batch on its own: one `INSERT … SELECT FROM UNNEST` for PostgreSQL, which builds \
         its arrays from the same structs, one `insert_many` for MongoDB, which is handed finished documents. Its table has \
         no policies in either case. The peer of the memory store is a map of structs with as many ordered sets beside it \
         as there are indexes: no log, no tokens, no timeline.",
    );
    report.note(
        PART,
        "A part's share is the time of a complete commit less that of a commit without the part, over the time of \
         `log_batch`; what is small beside the noise can come out below zero. \"Deciding\" is processor time of the core: \
         validation, commitments of the log, tokens, timeline rows. \"Loading\" is what is left of `log_batch` after \
         deciding and committing: settings, customers, contacts, known external ids.",
    );
    Ok(())
}

/// The people that all interactions are with.
struct People {
    customers: Vec<Customer>,
    contacts: Vec<Contact>,
}

async fn people(crm: &Crm) -> Outcome<People> {
    let mut random = Random::new(1);
    let new = customers(&mut random, CUSTOMERS);
    let mut customers = Vec::with_capacity(new.len());
    for some in new.chunks(MAX_WRITES / 4) {
        let some = some.iter().map(|customer| (customer.clone(), Vec::new())).collect();
        customers.extend(crm.customers().create_batch(&ctx(), some).await?.value);
    }
    let contacts = crm.contacts().create_batch(&ctx(), contacts(&mut random, &customers)).await?.value;
    Ok(People { customers, contacts })
}

async fn of(bed: &Bed, kind: Kind, options: &Options, report: &mut Report) -> Outcome {
    let crm = kind.crm()?;
    let people = people(&crm).await?;
    let mut bare = Bare::beside(bed, &kind).await?;
    bed.settle(&kind).await?;
    let pairs = people.contacts.iter().map(|contact| (contact.customer_id, contact.id)).collect();
    let mut interactions = Interactions::new(pairs, SystemEnv.now());
    let batches = options.size(100, 12);
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for _ in 0..batches {
        let batch = interactions.batch(BATCH);
        let started = Clock::now();
        let logged = crm.interactions().log_batch(&ctx(), batch).await?.value;
        ours.push(started.elapsed());
        theirs.push(bare.insert(&logged).await?);
    }
    let name = kind.name();
    let aim = (!matches!(kind, Kind::Memory(_))).then_some(Aim::AtLeast(0.2));
    let what = format!("{name}: {} interactions, the median batch", batches * BATCH);
    report.speed(PART, what, ours.median(), ("bare", theirs.median()), aim);
    let what = format!("{name}: {} interactions, in all", batches * BATCH);
    report.speed(PART, what, ours.total(), ("bare", theirs.total()), None);
    parts::run(&kind, &crm, &people, &mut interactions, options, report).await
}
