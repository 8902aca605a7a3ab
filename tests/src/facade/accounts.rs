//! Accounts: one for each organization, tax ids, bands (SPEC CM-03).

use crm_core::account::{Account, AccountRefusal, AnnualRevenue, EmployeeCount};
use crm_core::customer::{Customer, CustomerId, CustomerType};
use crm_core::format::Country;
use crm_core::sweep::SweepAction;
use crm_core::{Error, Expect, Find};
use serde_json::{Value as Json, json};

use super::dice::Dice;
use super::world::{World, all, at_once, is, matching, person, seed};
use crate::{Harness, size};

/// What a condition says of a customer's account.
type Holds = Box<dyn Fn(Option<&Account>) -> bool>;

fn organization(name: &str) -> Customer {
    Customer { r#type: CustomerType::Organization, ..person(name) }
}

async fn organized(world: &World, name: &str) -> CustomerId {
    world.crm.customers().create(&world.ada(), organization(name)).await.unwrap().id
}

fn country(code: &str) -> Option<Country> {
    Country::parse(code).ok()
}

/// An organization has one account, however many are created at once; a person, a deleted customer and another
/// tenant's have none.
pub async fn cm_03_an_organization_has_one_account_and_a_person_none(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (world.crm.clone(), world.ada());
    let other = world.second(harness).await;
    let id = organized(&world, "Acme").await;
    let results = at_once(16, |n| {
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
        async move { crm.accounts().create(&ctx, Account::new(id, format!("Acme {n}"))).await }
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    for error in results.into_iter().filter_map(Result::err) {
        assert!(matches!(error, Error::Refused(AccountRefusal::Exists(of)) if of == id), "{error:?}");
    }
    let account = crm.accounts().get(&ctx, id).await.unwrap();
    assert_eq!((account.id, account.customer_id, account.meta.version), (id, id, 1));

    let someone = world.customer("Someone").await.id;
    let refused = crm.accounts().create(&ctx, Account::new(someone, "Someone")).await.unwrap_err();
    assert!(
        matches!(refused, Error::Refused(AccountRefusal::Individual(of)) if of == someone),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("organization"));

    let theirs = crm_core::Context::system(crm_core::TenantId(uuid::Uuid::from_u128(u128::from(seed()))));
    let unknown = crm.accounts().create(&theirs, Account::new(id, "Theirs")).await.unwrap_err();
    assert_eq!(unknown.code(), "not_found");
    assert_eq!(crm.accounts().get(&theirs, id).await.unwrap_err().code(), "not_found");
    let change = |account: &mut Account| account.dba_name = Some("x".to_owned());
    let unknown = crm.accounts().update(&theirs, id, Expect::Any, change).await.unwrap_err();
    assert_eq!(unknown.code(), "not_found");

    crm.customers().delete(&ctx, id, Expect::Any).await.unwrap();
    assert_eq!(crm.accounts().get(&ctx, id).await.unwrap_err().code(), "not_found");
    assert_eq!(crm.accounts().update(&ctx, id, Expect::Any, change).await.unwrap_err().code(), "not_found");
    assert!(all::<Account>(&crm, &ctx).await.is_empty());
    crm.customers().restore(&ctx, id).await.unwrap();
    assert_eq!(crm.accounts().get(&ctx, id).await.unwrap(), account, "it comes back with its customer");
}

/// What is kept is in its normal form; a change makes the next version, an old one is refused, a repeat changes
/// nothing.
pub async fn cm_03_an_account_is_kept_in_normal_form_and_counts_its_versions(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let id = organized(&world, "Muster").await;
    let given = Account {
        dba_name: Some("Müller & Söhne".to_owned()),
        tax_id: Some("de 136.695-976".to_owned()),
        tax_country: country("DE"),
        industry: Some("  Machine TOOLS ".to_owned()),
        employee_count: Some(EmployeeCount::UpTo200),
        annual_revenue: Some(AnnualRevenue::From1M),
        website: Some("https://example.com/".to_owned()),
        ..Account::new(id, " Muster GmbH ")
    };
    let keyed = ctx.clone().with_key("once");
    let created = crm.accounts().create(&keyed, given.clone()).await.unwrap();
    let expected = Account {
        meta: created.meta.clone(),
        legal_name: "Muster GmbH".to_owned(),
        tax_id: Some("136695976".to_owned()),
        industry: Some("machine tools".to_owned()),
        employees_at_least: Some(51),
        revenue_at_least: Some(1_000_000.into()),
        ..given.clone()
    };
    assert_eq!(created.value, expected);
    assert_eq!(crm.accounts().get(&ctx, id).await.unwrap(), expected);
    let again = crm.accounts().create(&keyed, given).await.unwrap();
    assert!(again.repeated && again.written == created.written && again.value == expected);

    let grow = |account: &mut Account| {
        account.employee_count = Some(EmployeeCount::Over1000);
        account.annual_revenue = None;
        account.employees_at_least = Some(3);
    };
    let grown = crm.accounts().update(&ctx, id, Expect::Version(1), grow).await.unwrap();
    assert_eq!(
        (grown.meta.version, grown.employees_at_least, grown.revenue_at_least),
        (2, Some(1_001), None)
    );
    let old = crm.accounts().update(&ctx, id, Expect::Version(1), grow).await.unwrap_err();
    assert!(
        matches!(old, Error::VersionConflict { entity: "account", expected: 1, found: 2, .. }),
        "{old:?}"
    );
    assert!(crm.accounts().update(&ctx, id, Expect::Any, grow).await.unwrap().written.is_empty());
    let names: Vec<String> = crm
        .log()
        .history::<Account>(&world.manager(), id)
        .await
        .unwrap()
        .iter()
        .flat_map(|change| change.row.body.events.iter().map(|event| event.name.clone()))
        .collect();
    assert_eq!(names, ["account.updated", "account.created"]);

    // Two fields that belong together are masked together.
    let system = world.system();
    let sweep = crm.sweeps().plan(&system, "account", None, SweepAction::Mask, "asked for").await.unwrap().id;
    assert_eq!(crm.sweeps().run(&system, sweep).await.unwrap().changed, 1);
    let masked = crm.accounts().get(&ctx, id).await.unwrap();
    assert_eq!((masked.tax_id, masked.tax_country, masked.dba_name), (None, None, None));
    assert!(masked.legal_name.starts_with("Deleted Account "));
}

/// Wrong input is refused with its field, and nothing is stored.
pub async fn cm_03_a_tax_id_is_checked_by_the_rules_of_its_country(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let id = organized(&world, "Wrong").await;
    let taxed = |code: &str, id_: &str| Account {
        tax_id: Some(id_.to_owned()),
        tax_country: country(code),
        ..Account::new(id, "Wrong")
    };
    let long = |n: usize| "x".repeat(n);
    for (field, account) in [
        ("tax_id", taxed("DE", "136695977")),
        ("tax_id", taxed("US", "00-1234567")),
        ("tax_id", taxed("GB", "GB 980 7806 85")),
        ("tax_id", taxed("JP", "123")),
        ("tax_id", taxed("JP", &long(33))),
        ("tax_id", taxed("JP", "1234\0")),
        ("tax_id", taxed("JP", "１２３４")),
        ("tax_country", Account { tax_country: None, ..taxed("DE", "136695976") }),
        ("tax_country", Account { tax_id: None, ..taxed("DE", "136695976") }),
        ("legal_name", Account::new(id, "")),
        ("legal_name", Account::new(id, long(301))),
        ("legal_name", Account::new(id, "a\0b")),
        ("dba_name", Account { dba_name: Some(long(301)), ..Account::new(id, "A") }),
        ("industry", Account { industry: Some(long(101)), ..Account::new(id, "A") }),
        ("website", Account { website: Some("not a site".to_owned()), ..Account::new(id, "A") }),
    ] {
        match crm.accounts().create(&ctx, account).await {
            Err(Error::Invalid(errors)) => {
                assert!(errors.iter().any(|e| e.field == field), "{field}: {errors:?}");
            }
            other => panic!("a wrong {field} was accepted: {other:?}"),
        }
    }
    assert!(all::<Account>(crm, &ctx).await.is_empty());
    crm.accounts().create(&ctx, taxed("US", "91-1144442")).await.unwrap();
    let abroad = |account: &mut Account| account.tax_country = country("DE");
    let refused = crm.accounts().update(&ctx, id, Expect::Any, abroad).await;
    assert!(matches!(&refused, Err(Error::Invalid(errors)) if errors[0].field == "tax_id"), "{refused:?}");
    assert_eq!(crm.accounts().get(&ctx, id).await.unwrap().tax_id.as_deref(), Some("911144442"));
}

/// A customer is found by what its account says, with the answer of a plain comparison.
pub async fn cm_03_customers_are_found_by_their_accounts(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let seed = seed();
    let mut dice = Dice::new(seed);
    let industries = ["software", "Retail", "straße", "STRASSE", "health care"];
    let mut model: Vec<(CustomerId, Option<Account>)> = Vec::new();
    for n in 0..size(40, 400) {
        let id = organized(&world, &format!("Firm {n}")).await;
        let bands = [EmployeeCount::UpTo10, EmployeeCount::UpTo200, EmployeeCount::Over1000];
        let revenues = [AnnualRevenue::Under100K, AnnualRevenue::From10M, AnnualRevenue::From100M];
        let named = || Account::new(id, format!("Firm {n} Ltd"));
        // One of each industry and band, and one without an account: so every question has both answers.
        let account = match industries.get(n) {
            Some(industry) => Some(Account {
                industry: Some((*industry).to_owned()),
                employee_count: Some(bands[n % 3]),
                annual_revenue: Some(revenues[n % 3]),
                ..named()
            }),
            None if n == industries.len() => None,
            None => dice.maybe(4, |dice| Account {
                industry: dice.maybe(4, |dice| (*dice.pick(&industries)).to_owned()),
                employee_count: dice.maybe(4, |dice| *dice.pick(&bands)),
                annual_revenue: dice.maybe(4, |dice| *dice.pick(&revenues)),
                ..named()
            }),
        };
        let account = match account {
            None => None,
            Some(account) => Some(crm.accounts().create(&ctx, account).await.unwrap().value),
        };
        model.push((id, account));
    }
    let revenue = |band: AnnualRevenue| move |a: &Account| a.annual_revenue.is_some_and(|own| own >= band);
    let high = revenue(AnnualRevenue::From10M);
    let questions: Vec<(Json, Holds)> = vec![
        (json!({ "field": "account", "operator": "exists" }), Box::new(|a| a.is_some())),
        (json!({ "field": "account", "operator": "exists", "value": false }), Box::new(|a| a.is_none())),
        (
            is("account.industry", "eq", "Software"),
            Box::new(|a| a.is_some_and(|a| a.industry.as_deref() == Some("software"))),
        ),
        (
            is("account.industry", "ne", "retail"),
            Box::new(|a| a.is_none_or(|a| a.industry.as_deref() != Some("retail"))),
        ),
        (
            is("account.industry", "in", json!(["Straße", "x"])),
            Box::new(|a| a.is_some_and(|a| matches!(a.industry.as_deref(), Some("straße" | "strasse")))),
        ),
        (
            is("account.employees_at_least", "gte", 51),
            Box::new(|a| a.is_some_and(|a| a.employees_at_least.is_some_and(|n| n >= 51))),
        ),
        (
            is("account.employees_at_least", "lt", 1_001),
            Box::new(|a| a.is_some_and(|a| a.employees_at_least.is_some_and(|n| n < 1_001))),
        ),
        (is("account.annual_revenue", "gte", "10M-100M"), Box::new(move |a| a.is_some_and(high))),
        (
            is("account.annual_revenue", "lt", "10M-100M"),
            Box::new(|a| a.is_some_and(|a| a.annual_revenue == Some(AnnualRevenue::Under100K))),
        ),
        (is("account.revenue_at_least", "gte", "10000000"), Box::new(move |a| a.is_some_and(high))),
    ];
    for (criteria, holds) in questions {
        let found: Vec<CustomerId> =
            matching::<Customer>(crm, &ctx, criteria.clone()).await.iter().map(|c| c.id).collect();
        let expected = model.iter().filter(|(_, account)| holds(account.as_ref())).map(|(id, _)| *id);
        let mut expected: Vec<CustomerId> = expected.collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "seed {seed}: {criteria}");
        assert!(
            !found.is_empty() && found.len() < model.len(),
            "seed {seed}: {criteria} tells nothing apart"
        );
    }
    let searched = crm.accounts().find(&ctx, &Find::search("firm 7 ltd ")).await.unwrap().items;
    assert_eq!(searched.len(), usize::from(model[7].1.is_some()), "seed {seed}");
}
