//! Customers in the three forms, and the questions in the three languages.

use chrono::Duration;
use crm_core::catalog::{Entity, system};
use crm_core::customer::{Customer, CustomerId, CustomerSource, CustomerStatus};
use crm_core::format::fold;
use crm_core::record::{Meta, Record};
use crm_core::value::{Instant, Value};
use datalogic_rs::ParsedData;
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::Outcome;
use crate::sample::Random;

/// Customers with all that the questions ask of.
pub(super) fn customers(count: usize, now: Instant) -> Vec<Customer> {
    let mut random = Random::new(3);
    (0..count).map(|n| customer(&mut random, n, now)).collect()
}

fn customer(random: &mut Random, n: usize, now: Instant) -> Customer {
    let created_at = now - Duration::seconds(random.below(1_500 * 86_400) as i64);
    let mut customer = Customer {
        id: CustomerId(Uuid::from_u64_pair(random.next(), n as u64)),
        meta: Meta { version: 1, created_at, updated_at: created_at, deleted_at: None },
        display_name: capitalised(&random.words(2)),
        status: random.one_of(&[
            CustomerStatus::Active,
            CustomerStatus::Active,
            CustomerStatus::Prospect,
            CustomerStatus::Churned,
        ]),
        source: random.one_of(&[
            None,
            Some(CustomerSource::Web),
            Some(CustomerSource::Referral),
            Some(CustomerSource::Sales),
        ]),
        email: (random.below(5) > 0).then(|| format!("C{n}@{}.Example.com", random.words(1))),
        is_vip: random.below(5) == 0,
        is_blocked: random.below(20) == 0,
        preferred_language: Some(random.one_of(&["de", "en", "fr", "it"]).to_owned()),
        ..Customer::default()
    };
    if random.below(2) == 0 {
        customer.tags = vec![random.one_of(&["beta", "newsletter", "partner"]).to_owned()];
    }
    if random.below(2) == 0 {
        let tier = random.one_of(&["bronze", "gold", "silver"]);
        customer.custom.insert("tier".to_owned(), Value::Text(tier.to_owned()));
        let score = Decimal::from(random.below(1_000));
        customer.custom.insert("score".to_owned(), Value::Decimal(score));
        customer.custom.insert("newsletter".to_owned(), Value::Bool(random.below(2) == 0));
    }
    customer
}

fn capitalised(words: &str) -> String {
    let mut up = true;
    let letters = words.chars().map(|c| {
        let c = if up { c.to_ascii_uppercase() } else { c };
        up = c == ' ';
        c
    });
    letters.collect()
}

/// What somebody would write who needs just these questions answered.
#[derive(Debug)]
pub(super) struct Plain {
    status: CustomerStatus,
    source: Option<CustomerSource>,
    is_vip: bool,
    is_blocked: bool,
    created_at: Instant,
    name: String,
    email: Option<String>,
    language: Option<String>,
    tags: Vec<String>,
    tier: Option<String>,
    score: Option<Decimal>,
    newsletter: Option<bool>,
}

impl Plain {
    /// The same customer.
    pub(super) fn of(customer: &Customer) -> Self {
        let custom = |name: &str| customer.custom.get(name);
        Self {
            status: customer.status,
            source: customer.source,
            is_vip: customer.is_vip,
            is_blocked: customer.is_blocked,
            created_at: customer.meta.created_at,
            name: fold(&customer.display_name),
            email: customer.email.as_deref().map(fold),
            language: customer.preferred_language.clone(),
            tags: customer.tags.clone(),
            tier: custom("tier").and_then(Value::as_text).map(str::to_owned),
            score: custom("score")
                .and_then(|value| if let Value::Decimal(n) = value { Some(*n) } else { None }),
            newsletter: custom("newsletter").map(Value::is_true),
        }
    }

    fn json(&self) -> Json {
        json!({
            "status": self.status.code(),
            "source": self.source.map(CustomerSource::code),
            "is_vip": self.is_vip,
            "is_blocked": self.is_blocked,
            "created_at": self.created_at.timestamp_millis(),
            "display_name": self.name,
            "email": self.email,
            "preferred_language": self.language,
            "tags": self.tags,
            "tier": self.tier,
            "score": self.score.map(|score| i64::try_from(score).unwrap_or_default()),
            "newsletter": self.newsletter,
        })
    }
}

/// The same customers as the rule engine reads them.
pub(super) fn parsed(customers: &[Customer]) -> Outcome<Vec<ParsedData>> {
    let parse = |customer| ParsedData::from_json(&Plain::of(customer).json().to_string());
    Ok(customers.iter().map(parse).collect::<Result<_, _>>()?)
}

/// A question in Rust.
type Closure<T> = Box<dyn Fn(&T) -> bool>;

/// One question in three languages.
pub(super) struct Question {
    /// What it is called.
    pub(super) name: &'static str,
    /// Ours.
    pub(super) criteria: Json,
    /// JSONLogic.
    pub(super) logic: Json,
    /// Rust.
    pub(super) closure: Closure<Plain>,
    /// Rust over our records, where it is written so too.
    pub(super) over_records: Option<Closure<Record>>,
}

/// The questions.
pub(super) fn questions(now: Instant) -> Vec<Question> {
    vec![simple(now), nested(now), folded()]
}

fn simple(now: Instant) -> Question {
    let since = now - Duration::days(365);
    Question {
        name: "simple (3 leaves)",
        criteria: json!({ "all": [
            { "field": "status", "operator": "in", "value": ["active", "prospect"] },
            { "field": "is_vip", "operator": "eq", "value": true },
            { "field": "created_at", "operator": "gte", "value": "now-365d" },
        ] }),
        logic: json!({ "and": [
            { "in": [{ "var": "status" }, ["active", "prospect"]] },
            { "==": [{ "var": "is_vip" }, true] },
            { ">=": [{ "var": "created_at" }, since.timestamp_millis()] },
        ] }),
        closure: Box::new(move |c| {
            matches!(c.status, CustomerStatus::Active | CustomerStatus::Prospect)
                && c.is_vip
                && c.created_at >= since
        }),
        over_records: simple_over_records(since),
    }
}

/// The simple question, asked of the places of a record.
fn simple_over_records(since: Instant) -> Option<Closure<Record>> {
    let (status, vip) = (Customer::def().index_of("status")?, Customer::def().index_of("is_vip")?);
    Some(Box::new(move |record| {
        let values = &record.values;
        matches!(&values[status], Value::Text(code) if code == "active" || code == "prospect")
            && values[vip].is_true()
            && matches!(&values[system::CREATED_AT], Value::Instant(at) if *at >= since)
    }))
}

fn nested(now: Instant) -> Question {
    let since = now - Duration::days(1_000);
    Question {
        name: "nested (12 leaves)",
        criteria: json!({ "all": [
            { "any": [
                { "field": "status", "operator": "eq", "value": "active" },
                { "all": [
                    { "field": "status", "operator": "eq", "value": "prospect" },
                    { "field": "source", "operator": "in", "value": ["referral", "sales"] },
                ] },
            ] },
            { "not": { "field": "is_blocked", "operator": "eq", "value": true } },
            { "any": [
                { "field": "tags", "operator": "contains", "value": "newsletter" },
                { "field": "custom.tier", "operator": "in", "value": ["gold", "silver"] },
                { "field": "custom.score", "operator": "gte", "value": 750 },
            ] },
            { "field": "preferred_language", "operator": "in", "value": ["de", "en", "fr"] },
            { "any": [
                { "field": "display_name", "operator": "starts_with", "value": "Ka" },
                { "field": "email", "operator": "contains", "value": "example.com" },
            ] },
            { "field": "created_at", "operator": "gte", "value": "now-1000d" },
            { "not": { "field": "custom.newsletter", "operator": "eq", "value": false } },
        ] }),
        logic: json!({ "and": [
            { "or": [
                { "==": [{ "var": "status" }, "active"] },
                { "and": [
                    { "==": [{ "var": "status" }, "prospect"] },
                    { "in": [{ "var": "source" }, ["referral", "sales"]] },
                ] },
            ] },
            { "!": [{ "===": [{ "var": "is_blocked" }, true] }] },
            { "or": [
                { "in": ["newsletter", { "var": "tags" }] },
                { "in": [{ "var": "tier" }, ["gold", "silver"]] },
                { ">=": [{ "var": "score" }, 750] },
            ] },
            { "in": [{ "var": "preferred_language" }, ["de", "en", "fr"]] },
            { "or": [
                { "starts_with": [{ "var": "display_name" }, "ka"] },
                { "in": ["example.com", { "var": "email" }] },
            ] },
            { ">=": [{ "var": "created_at" }, since.timestamp_millis()] },
            { "!": [{ "===": [{ "var": "newsletter" }, false] }] },
        ] }),
        closure: Box::new(move |c| {
            let text =
                |text: &Option<String>, among: &[&str]| text.as_deref().is_some_and(|t| among.contains(&t));
            (c.status == CustomerStatus::Active
                || (c.status == CustomerStatus::Prospect
                    && matches!(c.source, Some(CustomerSource::Referral | CustomerSource::Sales))))
                && !c.is_blocked
                && (c.tags.iter().any(|tag| tag == "newsletter")
                    || text(&c.tier, &["gold", "silver"])
                    || c.score.is_some_and(|score| score >= Decimal::from(750)))
                && text(&c.language, &["de", "en", "fr"])
                && (c.name.starts_with("ka")
                    || c.email.as_deref().is_some_and(|email| email.contains("example.com")))
                && c.created_at >= since
                && c.newsletter != Some(false)
        }),
        over_records: nested_over_records(since),
    }
}

/// The nested question, asked of the places of a record; what is compared folded is folded when it is needed.
fn nested_over_records(since: Instant) -> Option<Closure<Record>> {
    let place = |name| Customer::def().index_of(name);
    let (status, source, blocked) = (place("status")?, place("source")?, place("is_blocked")?);
    let (tags, custom, language) = (place("tags")?, place("custom")?, place("preferred_language")?);
    let (name, email) = (place("display_name")?, place("email")?);
    Some(Box::new(move |record| {
        let values = &record.values;
        let text = |place: usize| values[place].as_text();
        let folded = |place: usize| text(place).map(fold);
        let own = |key| if let Value::Custom(map) = &values[custom] { map.get(key) } else { None };
        (text(status) == Some("active")
            || (text(status) == Some("prospect") && matches!(text(source), Some("referral" | "sales"))))
            && !values[blocked].is_true()
            && (matches!(&values[tags], Value::List(tags) if tags.iter().any(|tag| tag == "newsletter"))
                || matches!(own("tier"), Some(Value::Text(tier)) if tier == "gold" || tier == "silver")
                || matches!(own("score"), Some(Value::Decimal(score)) if *score >= Decimal::from(750)))
            && matches!(text(language), Some("de" | "en" | "fr"))
            && (folded(name).is_some_and(|name| name.starts_with("ka"))
                || folded(email).is_some_and(|email| email.contains("example.com")))
            && matches!(&values[system::CREATED_AT], Value::Instant(at) if *at >= since)
            && !matches!(own("newsletter"), Some(Value::Bool(false)))
    }))
}

/// The worst there is for us: nothing but text that must be folded.
fn folded() -> Question {
    Question {
        name: "one leaf on folded text",
        criteria: json!({ "field": "display_name", "operator": "starts_with", "value": "Ka" }),
        logic: json!({ "starts_with": [{ "var": "display_name" }, "ka"] }),
        closure: Box::new(|c| c.name.starts_with("ka")),
        over_records: None,
    }
}
