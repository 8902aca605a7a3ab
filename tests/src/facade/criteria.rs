//! One criteria language, several engines, one answer (SPEC LC-08).

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use chrono_tz::Tz;
use crm_core::account::Account;
use crm_core::catalog::Entity;
use crm_core::criteria::{Criteria, CriteriaSet, Scope};
use crm_core::customer::{Customer, CustomerType};
use crm_core::interaction::Interaction;
use crm_core::invoice::{Invoice, InvoiceLine};
use crm_core::lifecycle::AdvanceStage;
use crm_core::value::{Instant, Value, format_instant};
use crm_core::{Context, Crm, Error, Find, RecordId as _, Totals};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::criteria_data::{Data, NAMES, NUMBERS, PARTS, TAGS};
use super::dice::Dice;
use super::world::{World, at, is, person, seed};
use crate::{Harness, size};

/// The types of fields, by what may be asked of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Type {
    Bool,
    Number,
    Text,
    Folded,
    Enum,
    Ranked,
    Instant,
    Day,
    Id,
    List,
    Custom,
}

/// Fields of each type, with missing values among them, some through links.
const FIELDS: &[(&str, &str, Type)] = &[
    ("customer", "is_vip", Type::Bool),
    ("customer", "parent.is_vip", Type::Bool),
    ("interaction", "duration_minutes", Type::Number),
    ("invoice", "total", Type::Number),
    ("invoice_line", "quantity", Type::Number),
    ("invoice_line", "invoice.total", Type::Number),
    ("interaction", "category", Type::Text),
    ("interaction", "subject", Type::Text),
    ("customer", "parent.preferred_language", Type::Text),
    ("customer", "display_name", Type::Folded),
    ("customer", "email", Type::Folded),
    ("customer", "owner.name", Type::Folded),
    ("customer", "parent.owner.name", Type::Folded),
    ("invoice_line", "invoice.customer.owner.name", Type::Folded),
    ("interaction", "contact.email", Type::Folded),
    ("customer", "source", Type::Enum),
    ("interaction", "customer.parent.source", Type::Enum),
    ("interaction", "sentiment", Type::Ranked),
    ("interaction", "occurred_at", Type::Instant),
    ("invoice", "customer.parent.created_at", Type::Instant),
    ("invoice", "due_on", Type::Day),
    ("invoice_line", "invoice.due_on", Type::Day),
    ("customer", "owner_id", Type::Id),
    ("interaction", "team_id", Type::Id),
    ("customer", "tags", Type::List),
    ("interaction", "customer.parent.tags", Type::List),
    ("customer", "custom.any", Type::Custom),
    ("customer", "parent.custom.other key", Type::Custom),
    ("invoice_line", "invoice.customer.custom.any", Type::Custom),
];

fn operators(kind: Type) -> &'static [&'static str] {
    match kind {
        Type::Bool | Type::Enum | Type::Id => &["eq", "ne", "in", "not_in", "exists"],
        Type::Number | Type::Ranked | Type::Instant | Type::Day => {
            &["eq", "ne", "in", "not_in", "exists", "lt", "lte", "gt", "gte", "between"]
        }
        Type::Text | Type::Folded | Type::Custom => &[
            "eq",
            "ne",
            "in",
            "not_in",
            "exists",
            "lt",
            "lte",
            "gt",
            "gte",
            "between",
            "contains",
            "starts_with",
        ],
        Type::List => &["contains", "exists"],
    }
}

const MOMENTS: &[&str] = &[
    "now",
    "now-1s",
    "now-60m",
    "now-24h",
    "now-1d",
    "now-90d",
    "now-1w",
    "now+1h",
    "today",
    "today-1d",
    "today+1d",
    "today-1M",
    "today+1M",
    "today-1y",
    "today-1w",
    "today-12M",
    "today-366d",
];

fn literal(dice: &mut Dice, kind: Type, now: Instant) -> Json {
    match kind {
        Type::Bool => json!(dice.one_in(2)),
        Type::Number if dice.one_in(2) => json!(dice.pick(&[0.0, 0.5, 1.0, 5.0, 30.0, 10.25])),
        Type::Number => json!(dice.pick(NUMBERS)),
        Type::Text | Type::Folded if dice.one_in(4) => {
            json!(dice.pick(&["de", "en", "ada", "Zoë", "åsa", "A@example.com", "b.c@example.com"]))
        }
        Type::Text | Type::Folded => json!(dice.pick(NAMES)),
        Type::Enum => json!(dice.pick(&["web", "referral", "sales"])),
        Type::Ranked => json!(dice.pick(&["negative", "neutral", "positive"])),
        Type::Instant | Type::Day if dice.one_in(2) => json!(dice.pick(MOMENTS)),
        Type::Instant => {
            let steps = [0, 1, 2, 1_000, 86_400_000, 90 * 86_400_000, -1];
            json!(format_instant(now - Duration::milliseconds(*dice.pick(&steps))))
        }
        Type::Day => {
            json!(dice.pick(&["2024-02-28", "2024-02-29", "2024-03-01", "2024-03-30", "2023-02-28"]))
        }
        Type::Id => json!(Uuid::from_u128(dice.below(4) as u128 + 1).to_string()),
        Type::List => json!(dice.pick(TAGS)),
        Type::Custom => match dice.below(4) {
            0 => json!(dice.pick(&[0.0, 0.5, 1.0, -1.0, 10.25, 9.0])),
            1 => literal(dice, Type::Instant, now),
            _ => literal(dice, Type::Text, now),
        },
    }
}

fn condition(dice: &mut Dice, field: &str, operator: &str, kind: Type, now: Instant) -> Json {
    let value = match operator {
        "exists" => json!(dice.one_in(2)),
        "in" | "not_in" => (0..dice.below(4)).map(|_| literal(dice, kind, now)).collect(),
        "between" => json!([literal(dice, kind, now), literal(dice, kind, now)]),
        "contains" | "starts_with" if kind != Type::List && dice.one_in(2) => json!(dice.pick(PARTS)),
        "contains" | "starts_with" if kind == Type::Custom => {
            json!(if dice.one_in(2) { dice.pick(TAGS) } else { dice.pick(NAMES) })
        }
        "eq" | "ne" if kind == Type::Custom && dice.one_in(3) => json!(dice.one_in(2)),
        _ => literal(dice, kind, now),
    };
    let mut condition = is(field, operator, value);
    if dice.one_in(4) {
        condition["zone"] = json!(dice.pick(&["Asia/Tokyo", "America/New_York", "Pacific/Kiritimati"]));
    }
    condition
}

/// A tree of conditions about an entity.
pub(super) fn tree(dice: &mut Dice, entity: &str, depth: usize, now: Instant) -> Json {
    if depth == 0 || dice.one_in(3) {
        let fields: Vec<_> = FIELDS.iter().filter(|(of, ..)| *of == entity).collect();
        let (_, field, kind) = **dice.pick(&fields);
        let operator = *dice.pick(operators(kind));
        return condition(dice, field, operator, kind, now);
    }
    let some = |dice: &mut Dice| -> Json {
        (0..dice.below(4)).map(|_| tree(dice, entity, depth - 1, now)).collect()
    };
    match dice.below(5) {
        0 => json!({ "not": tree(dice, entity, depth - 1, now) }),
        1 | 2 => json!({ "all": some(dice) }),
        _ => json!({ "any": some(dice) }),
    }
}

/// The records that the store finds, checked against its own count.
async fn found(crm: &Crm, ctx: &Context, entity: &str, criteria: &Json) -> BTreeSet<Uuid> {
    async fn of<E: Entity>(crm: &Crm, ctx: &Context, criteria: &Json) -> BTreeSet<Uuid> {
        let find = Find::matching(criteria.clone()).limit(9_999);
        let page = crm.find::<E>(ctx, &find).await.unwrap_or_else(|error| panic!("{criteria}: {error}"));
        let groups = crm.totals::<E>(ctx, &Totals::default().matching(criteria.clone())).await.unwrap();
        assert_eq!(
            groups[0].measures,
            [Value::Int(page.items.len() as i64)],
            "counted otherwise: {criteria}"
        );
        page.items.iter().map(|entity| entity.id().uuid()).collect()
    }
    match entity {
        "customer" => of::<Customer>(crm, ctx, criteria).await,
        "interaction" => of::<Interaction>(crm, ctx, criteria).await,
        "invoice" => of::<Invoice>(crm, ctx, criteria).await,
        _ => of::<InvoiceLine>(crm, ctx, criteria).await,
    }
}

/// Where all engines are asked.
struct Engines {
    world: World,
    data: Data,
    zone: Tz,
    seed: u64,
}

impl Engines {
    async fn new(harness: &dyn Harness, dice: &mut Dice, seed: u64) -> Self {
        let world = World::new(harness).await;
        let zone = Tz::Europe__Berlin;
        world.crm.settings().update(&world.system(), |s| s.zone = zone.name().to_owned()).await.unwrap();
        let data = Data::fill(&world, dice, 60).await;
        Self { world, data, zone, seed }
    }

    fn naive(&self, entity: &str, criteria: &Json) -> BTreeSet<Uuid> {
        let meets = |id: &Uuid| self.data.meets(entity, *id, criteria, self.zone, self.data.now);
        self.data.population(entity).into_iter().filter(meets).collect()
    }

    fn parse(&self, entity: &str, criteria: &Json) -> Criteria {
        let catalog = self.world.store.catalog();
        let parsed = Criteria::parse(criteria, catalog.get(entity).unwrap(), &Scope::new(catalog, self.zone));
        parsed.unwrap_or_else(|error| panic!("seed {}: {criteria}: {error}", self.seed))
    }

    /// Asks all, and returns the answer.
    async fn agree(&self, entity: &str, criteria: &Json) -> BTreeSet<Uuid> {
        let naive = self.naive(entity, criteria);
        let parsed = self.parse(entity, criteria);
        let set = CriteriaSet::new([&parsed]);
        let judge = set.at(self.data.now);
        let holds = |id: &Uuid| judge.holds(&self.data.records[id], &self.data.records)[0];
        let core: BTreeSet<Uuid> = self.data.population(entity).into_iter().filter(holds).collect();
        let store = found(&self.world.crm, &self.world.system(), entity, criteria).await;
        for (engine, answer) in [("core", core), ("store", store)] {
            let differ: Vec<_> = answer
                .symmetric_difference(&naive)
                .map(|id| (answer.contains(id), &self.data.records[id].values))
                .collect();
            assert!(
                differ.is_empty(),
                "seed {}: {entity}: {criteria}: the {engine} says otherwise of {differ:?}",
                self.seed
            );
        }
        naive
    }
}

/// For each operator and type of field, at least a hundred cases with both answers among them: the store, its counts,
/// the core and the naive evaluator agree.
pub async fn lc_08_every_operator_on_every_type_has_one_answer(harness: &dyn Harness) {
    let seed = seed();
    let mut dice = Dice::new(seed);
    let engines = Engines::new(harness, &mut dice, seed).await;
    let mut cases: BTreeMap<(Type, &str), (usize, usize)> = BTreeMap::new();
    for (entity, field, kind) in FIELDS {
        for operator in operators(*kind) {
            let count = cases.entry((*kind, operator)).or_default();
            let before = *count;
            let mut asked = 0;
            while asked < size(3, 20) || (asked < 60 && (count.0 == before.0 || count.1 == before.1)) {
                let criteria = condition(&mut dice, field, operator, *kind, engines.data.now);
                let yes = engines.agree(entity, &criteria).await.len();
                *count = (count.0 + yes, count.1 + engines.data.population(entity).len() - yes);
                asked += 1;
            }
        }
    }
    for (what, (yes, no)) in &cases {
        assert!(yes + no >= 100 && *yes > 0 && *no > 0, "{what:?} shows nothing: {yes} and {no}");
    }
    println!(
        "{}: {} operators on types, {} cases",
        harness.name(),
        cases.len(),
        cases.values().map(|(y, n)| y + n).sum::<usize>()
    );
}

/// Random trees, each true for 20 to 80 % of the records.
pub async fn lc_08_random_trees_have_one_answer(harness: &dyn Harness) {
    let seed = seed();
    let mut dice = Dice::new(seed);
    let engines = Engines::new(harness, &mut dice, seed).await;
    let (mut asked, mut drawn) = (0, 0);
    while asked < size(300, 10_000) {
        drawn += 1;
        assert!(drawn < 1_000_000, "no such trees are drawn");
        let entity = *dice.pick(&["customer", "interaction", "invoice", "invoice_line"]);
        let criteria = tree(&mut dice, entity, 4, engines.data.now);
        let (yes, all) = (engines.naive(entity, &criteria).len(), engines.data.population(entity).len());
        if yes * 10 < all * 2 || yes * 10 > all * 8 {
            continue;
        }
        engines.agree(entity, &criteria).await;
        asked += 1;
    }
    println!("{}: {asked} trees of {drawn} drawn", harness.name());
}

/// Until `changes_at` the answer stays, at it a single condition's changes: checked by asking at many instants, across
/// a leap day and clock changes.
pub async fn lc_08_the_instant_of_the_next_change_is_exact(harness: &dyn Harness) {
    let seed = seed();
    let mut dice = Dice::new(seed);
    let engines = Engines::new(harness, &mut dice, seed).await;
    let data = &engines.data;
    let starts = [
        "2024-02-28T22:59:59.999Z",
        "2024-02-29T12:00:00Z",
        "2024-03-30T23:30:00Z",
        "2024-10-26T21:59:00Z",
        "2025-02-28T12:00:00Z",
    ];
    let (mut flips, mut never) = (0, 0);
    for round in 0..size(3_000, 60_000) {
        let entity = *dice.pick(&["interaction", "invoice", "invoice_line", "customer"]);
        let single = round % 2 == 0;
        let criteria = if single {
            let fields: Vec<_> =
                FIELDS.iter().filter(|(_, _, kind)| [Type::Instant, Type::Day].contains(kind)).collect();
            let (_, field, kind) = **dice.pick(&fields);
            let operator = *dice.pick(&["lt", "lte", "gt", "gte"]);
            (
                FIELDS.iter().find(|(_, name, _)| *name == field).unwrap().0,
                condition(&mut dice, field, operator, kind, data.now),
            )
        } else {
            (entity, tree(&mut dice, entity, 3, data.now))
        };
        let (entity, criteria) = criteria;
        let parsed = engines.parse(entity, &criteria);
        let id = *dice.pick(&data.population(entity));
        let now = at(dice.pick::<&str>(&starts)) + Duration::milliseconds(dice.between(0, 3_600_000));
        let naive = |at: Instant| data.meets(entity, id, &criteria, engines.zone, at);
        let verdict = CriteriaSet::new([&parsed]).at(now).verdicts(&data.records[&id], &data.records)[0];
        assert_eq!(verdict.holds, naive(now), "seed {seed}: {criteria} at {now}");
        let (end, flips_there) = match verdict.changes_at {
            Some(end) => (end, single),
            None => (now + Duration::days(1_000), false),
        };
        assert!(end > now, "seed {seed}: {criteria} at {now} changes at {end}");
        let span = (end - now).num_milliseconds();
        let inside = (0..6).map(|_| dice.between(0, span - 1)).chain([0, span - 1, span / 2]);
        for at in inside.map(|ms| now + Duration::milliseconds(ms)) {
            assert_eq!(
                naive(at),
                verdict.holds,
                "seed {seed}: {criteria} for {id} from {now} to {end} is not constant at {at}"
            );
        }
        if flips_there {
            assert_ne!(
                naive(end),
                verdict.holds,
                "seed {seed}: {criteria} for {id} at {now} does not change at {end}"
            );
            flips += 1;
        } else {
            never += 1;
        }
    }
    assert!(flips > 100 && never > 100, "{flips} {never}");
}

/// What is wrong is refused where it stands.
pub async fn lc_08_errors_point_at_the_place(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let fine = is("is_vip", "eq", true);
    let cases = [
        (json!({ "all": [fine, is("is_vip", "eq", "yes")] }), "all[1].value", "true or false"),
        (json!({ "any": [{ "not": is("nonsense", "eq", 1) }] }), "any[0].not.field", "display_name"),
        (json!({ "all": [fine, fine, is("status", "gt", "active")] }), "all[2].operator", "order"),
        (is("status", "eq", "sleeping"), "value", "prospect"),
        (is("status", "like", "x"), "operator", "starts_with"),
        (is("display_name", "eq", 7), "value", "text"),
        (is("display_name", "contains", ""), "value", "empty"),
        (is("display_name", "contains", "a\0b"), "value", "U+0000"),
        (is("display_name", "eq", Json::Null), "value", "exists"),
        (is("created_at", "gt", "now-3M"), "value", "today-3M"),
        (is("created_at", "gt", "now-3x"), "value", "s, m, h, d or w"),
        (is("created_at", "gt", "today-3h"), "value", "d, w, M or y"),
        (is("created_at", "gt", "now-d"), "value", "now-90d"),
        (is("created_at", "gt", "now-999999999d"), "value", "200 years"),
        (is("created_at", "gt", "yesterday"), "value", "2024-03-01"),
        (is("created_at", "gt", 5), "value", "instant"),
        (is("owner_id", "eq", "me"), "value", "id"),
        (is("owner_id", "gt", Uuid::nil().to_string()), "operator", "order"),
        (is("owner.nonsense", "eq", "x"), "field", "name"),
        (is("display_name.first", "eq", "x"), "field", "link"),
        (is("tags", "eq", "vip"), "operator", "contains"),
        (is("custom.a$b", "eq", "x"), "field", "letters"),
        (is("is_vip", "in", true), "value", "list"),
        (is("created_at", "between", json!(["now"])), "value", "two"),
        (is("version", "eq", "1e20"), "value", "10^15"),
        (json!({ "field": "is_vip", "operator": "eq" }), "operator", "value"),
        (
            json!({ "field": "is_vip", "operator": "eq", "value": true, "zone": "Mars/Base" }),
            "zone",
            "Europe/Berlin",
        ),
        (json!({ "field": "is_vip", "operator": "eq", "value": true, "extra": 1 }), "extra", "unknown"),
        (json!({ "all": [], "any": [] }), "", "nest"),
        (json!({ "all": fine }), "", "list"),
        (json!([]), "", "object"),
        (json!({ "operator": "eq", "value": true }), "", "field"),
        (
            is("display_name", "in", (0..1_001).map(|n| json!(n.to_string())).collect::<Json>()),
            "value",
            "1,000",
        ),
        ((0..40).fold(fine.clone(), |inner, _| json!({ "not": inner })), &"not.".repeat(33)[..131], "deep"),
    ];
    for (criteria, place, accepted) in cases {
        match world.crm.customers().find(&world.ada(), &Find::matching(criteria.clone())).await {
            Err(Error::Criteria(error)) => {
                assert_eq!(error.at, place, "{criteria}: {error}");
                assert!(error.why.contains(accepted), "{criteria}: {error}");
            }
            other => panic!("{criteria} was accepted: {other:?}"),
        }
    }
}

/// An account and a lifecycle have the id of one customer; criteria and sort through both tell them apart.
pub async fn lc_08_records_that_complete_one_customer_are_told_apart(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let mut expected = Vec::new();
    let stages = [None, Some(1), Some(5)];
    for (n, (industry, stage)) in [None, Some("technology"), Some("finance")]
        .into_iter()
        .flat_map(|industry| stages.map(|stage| (industry, stage)))
        .enumerate()
    {
        let firm = Customer { r#type: CustomerType::Organization, ..person(&format!("Firm {n}")) };
        let id = crm.customers().create(&ctx, firm).await.unwrap().id;
        if let Some(industry) = industry {
            let account = Account { industry: Some(industry.to_owned()), ..Account::new(id, "Firm") };
            crm.accounts().create(&ctx, account).await.unwrap();
        }
        if let Some(stage) = stage {
            let to = crm.lifecycle().stages(&ctx).await.unwrap()[stage].id;
            crm.lifecycle().advance(&ctx, AdvanceStage::new(id, to)).await.unwrap();
        }
        let stage = ["Lead", "Prospect", "Churned"][n % 3];
        expected.push((format!("Firm {n}"), industry, stage));
    }
    for industry in ["technology", "finance"] {
        for stage in ["Lead", "Prospect", "Churned"] {
            let of_account = is("account.industry", "eq", industry);
            let of_stage = is("lifecycle.current_stage.name", "eq", stage);
            let both = |firm: &(String, Option<&str>, &str)| (firm.1 == Some(industry), firm.2 == stage);
            for (word, keeps) in
                [("all", (|(a, b)| a && b) as fn((bool, bool)) -> bool), ("any", |(a, b)| a || b)]
            {
                let names = expected.iter().filter(|firm| keeps(both(firm))).map(|firm| firm.0.clone());
                let names: Vec<_> = names.collect();
                for list in [json!([of_account, of_stage]), json!([of_stage, of_account])] {
                    let find = Find::matching(json!({ word: list })).ascending("display_name");
                    let found = crm.customers().find(&ctx, &find).await.unwrap().items;
                    assert!(found.iter().map(|firm| &firm.display_name).eq(&names), "{word} {list}");
                }
            }
            let find = Find::matching(is("account.industry", "eq", industry))
                .descending("lifecycle.current_stage.display_order");
            let sorted = crm.customers().find(&ctx, &find).await.unwrap().items;
            let sorted: Vec<_> = sorted.iter().map(|firm| firm.display_name.as_str()).collect();
            let mut in_order: Vec<_> = expected.iter().filter(|firm| firm.1 == Some(industry)).collect();
            in_order.reverse();
            assert!(in_order.iter().map(|firm| firm.0.as_str()).eq(sorted), "by stage, {industry}");
        }
    }
}
