//! No question of the facade reads a tenant, or a table, as a whole: what every call asks, on data of 50,000 records and
//! more of several tenants. The questions are noted while a small tenant is at work ([`script`]); its data is then there
//! many times over.
//!
//! What the adapters ask by themselves, for unique rules, guards and conditions of absence, is in their own tests.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod mongo;
mod postgres;
mod recorder;
mod script;

use crm_core::catalog::{EntityDef, FieldDef, Format, Kind};
use recorder::Question;
use std::sync::Arc;
use uuid::Uuid;

/// The entities of which a tenant has few: they are there once in each tenant.
const OFFICE: [&str; 6] =
    ["team", "lifecycle_stage", "stage_transition", "scoring_model", "segment", "tenant_settings"];
/// The users, of whom there are more.
const STAFF: [&str; 2] = ["user", "assignee"];
/// How many users there are for each of the first.
const COLLEAGUES: usize = 50;
/// The other tenants.
const OTHERS: [Uuid; 2] = [Uuid::from_u128(0x7e4b), Uuid::from_u128(0x7e4c)];
/// What a store keeps beside the entities.
const OWN: [&str; 4] = ["crm_timeline", "crm_tokens", "crm_log", "crm_keys"];
/// When the tenant is at work.
const NOW: &str = "2024-05-01T12:00:00Z";

/// A question that may read all of a tenant's records of an entity.
struct Exception {
    /// The databases in which it does.
    on: &'static [&'static str],
    /// The call that asks it.
    call: &'static str,
    /// How the question begins.
    asks: &'static str,
    /// Why it may.
    why: &'static str,
}

const BOTH: &[&str] = &["postgres", "mongo"];
const POSTGRES: &[&str] = &["postgres"];
const MONGO: &[&str] = &["mongo"];

/// All there are; one that is not needed fails the test.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        on: BOTH,
        call: "interactions.statistics of all",
        asks: "count",
        why: "it counts all that a tenant has; with criteria that an index serves it reads what meets them",
    },
    Exception {
        on: BOTH,
        call: "interactions.statistics of all",
        asks: "find",
        why: "it goes through all that name further records, streamed, to count their entities",
    },
    Exception {
        on: BOTH,
        call: "interactions.response_times of all",
        asks: "find",
        why: "it goes through all that a tenant has, streamed, to pair questions with answers",
    },
    Exception { on: BOTH, call: "invoices.totals", asks: "count", why: "it adds up all that a tenant has" },
    Exception { on: BOTH, call: "renewals.totals", asks: "count", why: "it counts all that a tenant has" },
    Exception { on: BOTH, call: "scores.distribution", asks: "count", why: "it counts all scores of a type" },
    Exception { on: BOTH, call: "segments.count", asks: "count", why: "it counts all members" },
    Exception {
        on: BOTH,
        call: "segments.preview",
        asks: "count",
        why: "it counts all who meet criteria on a field that has no index",
    },
    Exception {
        on: BOTH,
        call: "sweeps",
        asks: "find 500 of note where title",
        why: "a sweep by a field without an index looks at every record once",
    },
    Exception {
        on: MONGO,
        call: "sweeps",
        asks: "find 500 of interaction where (subject",
        why: "as above; PostgreSQL expects so many of this subject that the piece is soon full",
    },
    Exception {
        on: MONGO,
        call: "scores.stale",
        asks: "find 51 of customer where (not id.health_score exists",
        why: "who never had a score is found by going through the customers until the page is full",
    },
    Exception {
        on: MONGO,
        call: "timeline.page of the tenant",
        asks: "timeline of the tenant, Descending, deep: false, from: true, until: true, pinned: Some(false), 1 tokens",
        why: "words and tags are looked up for each entry of the period, newest first, until the page is full",
    },
    Exception {
        on: POSTGRES,
        call: "timeline.page of the tenant",
        asks: "timeline of the tenant, Descending, deep: false, from: true, until: true, pinned: Some(false), 0 tokens, \
               lists: [0, 0, 0, 1",
        why: "what one user did is found by the index of users and then sorted, because the server expects it to be little",
    },
];

/// Whether a copy has another value in this field: one that records are looked up by.
fn spreads(def: &EntityDef, field: &FieldDef) -> bool {
    let is_key = def.indexes.iter().flat_map(|index| index.fields).any(|key| *key == field.name)
        || def.uniques.iter().flat_map(|rule| rule.fields).any(|key| *key == field.name);
    let names_entity = def.fields.iter().any(|other| other.kind == Kind::AnyLink { entity_in: field.name });
    is_key
        && !names_entity
        && match field.kind {
            Kind::Text { format, .. } => [Format::Line, Format::Email, Format::Phone].contains(&format),
            Kind::Int { min, max } => max.checked_sub(min).is_some_and(|span| span < 1_000),
            _ => false,
        }
}

/// Fails if a question is at fault that is no exception, or an exception is not needed.
fn judge(on: &str, faults: &[(Question, String)]) {
    let excused = |exception: &Exception, question: &Question| {
        exception.call == question.call && question.shape.starts_with(exception.asks)
    };
    let list: Vec<&Exception> = EXCEPTIONS.iter().filter(|exception| exception.on.contains(&on)).collect();
    let bad: Vec<String> = faults
        .iter()
        .filter(|(question, _)| !list.iter().any(|exception| excused(exception, question)))
        .map(|(question, fault)| format!("{}: {}\n{fault}", question.call, question.shape))
        .collect();
    assert!(bad.is_empty(), "{} questions take no index:\n\n{}", bad.len(), bad.join("\n\n"));
    for exception in list {
        let needed = faults.iter().any(|(question, _)| excused(exception, question));
        assert!(
            needed,
            "{} {} uses an index; no exception: {}",
            exception.call, exception.asks, exception.why
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn xt_06_every_question_of_the_facade_uses_an_index_on_postgres() {
    let postgres = postgres::Postgres::new().await;
    let questions = script::play(Arc::new(postgres.store.clone()), NOW.parse().unwrap()).await;
    let catalog = crm_core::standard_catalog().build().unwrap();
    postgres.multiply(&catalog).await;
    let few = |name| OFFICE.contains(&name) || STAFF.contains(&name);
    let tables = catalog.in_link_order().into_iter().filter(|def| !few(def.name)).map(|def| def.table);
    let big: Vec<&str> = tables.chain(OWN).collect();
    let mut faults = Vec::new();
    for question in questions {
        let plan = postgres.store.explain(script::TENANT, &question.read).await.unwrap();
        if let Some(fault) = postgres::fault(&plan, &big) {
            faults.push((question, format!("{fault}\n{plan}")));
        }
    }
    judge("postgres", &faults);
    postgres.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xt_06_every_question_of_the_facade_uses_an_index_on_mongo() {
    let mongo = mongo::Mongo::new().await;
    let questions = script::play(Arc::new(mongo.store.clone()), NOW.parse().unwrap()).await;
    mongo.multiply(&crm_core::standard_catalog().build().unwrap()).await;
    let mut faults = Vec::new();
    for question in questions {
        if let Some(fault) = mongo.fault(&question.read).await {
            faults.push((question, fault));
        }
    }
    judge("mongo", &faults);
    mongo.done().await;
}
