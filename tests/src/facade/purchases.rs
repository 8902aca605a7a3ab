//! What invoices make of a customer's lifecycle (SPEC LC-04).

use chrono::{Duration, NaiveDate};
use crm_core::account::Account;
use crm_core::customer::{Customer, CustomerId, CustomerStatus, CustomerType};
use crm_core::format::{Country, Currency};
use crm_core::invoice::{Invoice, InvoiceId, InvoiceRefusal, InvoiceStatus, NewInvoice};
use crm_core::journey::{Milestone, MilestoneType};
use crm_core::lifecycle::{AdvanceStage, StageTrigger};
use crm_core::store::WriteError;
use crm_core::value::Instant;
use crm_core::{Context, Crm, Env as _, Error, Expect};
use rust_decimal::{Decimal, RoundingStrategy};

use super::dice::Dice;
use super::world::{World, all, at, at_once, person, seed};
use crate::{Harness, size};

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn invoice(customer: CustomerId, name: impl Into<String>, total: &str, at: Instant) -> NewInvoice {
    let invoice = Invoice { total: number(total), ..Invoice::issued(customer, name, at, Currency::USD) };
    NewInvoice { invoice, lines: Vec::new() }
}

async fn first_purchase(crm: &Crm, ctx: &Context, customer: CustomerId) -> Vec<Instant> {
    let milestones = all::<Milestone>(crm, ctx).await.into_iter();
    let of =
        milestones.filter(|m| m.customer_id == customer && m.milestone_type == MilestoneType::FirstPurchase);
    of.map(|milestone| milestone.occurred_at).collect()
}

/// What the invoices that are there make of a lifecycle, computed from scratch.
async fn assert_equal_to_invoices(crm: &Crm, ctx: &Context, customer: CustomerId, seed: u64) {
    let zone: chrono_tz::Tz = crm.settings().get(ctx).await.unwrap().zone.parse().unwrap();
    let of = |invoice: &Invoice| invoice.customer_id == customer;
    let invoices: Vec<Invoice> = all::<Invoice>(crm, ctx).await.into_iter().filter(of).collect();
    let counted = |invoice: &&Invoice| {
        matches!(invoice.status, InvoiceStatus::Issued | InvoiceStatus::PartlyPaid | InvoiceStatus::Paid)
    };
    let revenue: Decimal = invoices
        .iter()
        .filter(counted)
        .map(|i| {
            let product = i.total * i.exchange_rate.unwrap();
            product.round_dp_with_strategy(2, RoundingStrategy::MidpointNearestEven)
        })
        .sum();
    let bought = || invoices.iter().filter(counted).filter(|i| i.total > Decimal::ZERO).map(|i| i.issued_at);
    let day = |at: Instant| at.with_timezone(&zone).date_naive();
    let expected: (Decimal, usize, Option<NaiveDate>, Option<NaiveDate>) =
        (revenue, bought().count(), bought().min().map(day), bought().max().map(day));
    let found = crm.lifecycle().get(ctx, customer).await.unwrap();
    assert_eq!(
        (
            found.total_revenue,
            found.purchase_count as usize,
            found.first_purchase_date,
            found.last_purchase_date
        ),
        expected,
        "seed {seed}"
    );
    assert_eq!(
        first_purchase(crm, ctx, customer).await,
        bought().min().into_iter().collect::<Vec<_>>(),
        "seed {seed}"
    );
    for invoice in &invoices {
        assert_eq!(invoice.base_total.is_some(), counted(&invoice), "seed {seed}");
    }
}

/// Whatever happens to invoices, in whatever order and by however many at once: revenue, count and dates are those of
/// the invoices that count, to the last digit, and the milestone is at the first of them.
pub async fn lc_04_the_totals_are_those_of_the_invoices(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let other = world.second(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    crm.settings()
        .update(&world.system(), |settings| settings.zone = "Pacific/Auckland".to_owned())
        .await
        .unwrap();
    let seed = seed();
    let mut dice = Dice::new(seed);
    let customers = [world.customer("Often").await.id, world.customer("Rarely").await.id];
    let statuses = [
        InvoiceStatus::Draft,
        InvoiceStatus::Issued,
        InvoiceStatus::PartlyPaid,
        InvoiceStatus::Paid,
        InvoiceStatus::Void,
        InvoiceStatus::WrittenOff,
    ];
    let mut ids: Vec<InvoiceId> = Vec::new();
    for round in 0..size(12, 60) {
        let mut batch = Vec::new();
        for n in 0..=dice.below(4) {
            let currency = Currency::parse(["USD", "JPY", "KWD"][dice.below(3)]).unwrap();
            let rate = Decimal::new(dice.between(1, 30_000_000_000), 10);
            let total = Decimal::new(dice.between(-50_000, 500_000), currency.minor_units());
            let customer = *dice.pick(&customers);
            let at = world.env.now() - Duration::minutes(dice.between(-500, 2_000_000));
            let invoice = Invoice {
                status: *dice.pick(&statuses),
                total,
                exchange_rate: (currency != Currency::USD).then_some(rate),
                ..Invoice::issued(customer, format!("P-{round}-{n}"), at, currency)
            };
            batch.push(NewInvoice { invoice, lines: Vec::new() });
        }
        ids.extend(crm.invoices().record_batch(&ctx, batch).await.unwrap().value.iter().map(|i| i.id));
        let moves: Vec<_> = (0..4).map(|_| (*dice.pick(&ids), *dice.pick(&statuses))).collect();
        at_once(moves.len(), |n| {
            let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
            let (id, status) = moves[n];
            async move { crm.invoices().update(&ctx, id, Expect::Any, |i| i.status = status).await.unwrap() }
        })
        .await;
        for customer in customers {
            assert_equal_to_invoices(crm, &ctx, customer, seed).await;
        }
    }
    assert!(crm.lifecycle().get(&ctx, customers[0]).await.unwrap().purchase_count > 0, "seed {seed}");
}

/// The same invoice counts once, however often its request is repeated, also at once.
pub async fn lc_04_a_repeated_request_counts_once(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let id = world.customer("Repeated").await.id;
    let keyed = Context { key: Some("invoice 7".to_owned()), ..ctx.clone() };
    let now = world.env.now();
    let recorded = at_once(8, |_| {
        let (crm, ctx) = (crm.clone(), keyed.clone());
        async move { crm.invoices().record(&ctx, invoice(id, "7", "12.50", now)).await.unwrap().id }
    })
    .await;
    assert!(recorded.iter().all(|one| *one == recorded[0]));
    let lifecycle = crm.lifecycle().get(&ctx, id).await.unwrap();
    assert_eq!((lifecycle.total_revenue, lifecycle.purchase_count), (number("12.50"), 1));
    assert_eq!(lifecycle.currency, Some(Currency::USD));
    assert_eq!(crm.lifecycle().history(&ctx, id).await.unwrap().len(), 3);
    assert_eq!(first_purchase(crm, &ctx, id).await, [now]);
}

/// Who buys becomes a customer, step by step along the listed transitions, in the commit of the invoice; who has left
/// comes back, but not for what it bought before.
pub async fn lc_04_a_purchase_leads_to_the_stage_of_customers(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let id = world.customer("Buyer").await.id;
    let stages = crm.lifecycle().stages(&ctx).await.unwrap();
    let name = |lifecycle: &crm_core::lifecycle::CustomerLifecycle| {
        stages.iter().find(|stage| stage.id == lifecycle.current_stage_id).unwrap().name.clone()
    };
    let now = world.env.now();
    crm.invoices().record(&ctx, invoice(id, "credit", "-5", now)).await.unwrap();
    let credited = crm.lifecycle().get(&ctx, id).await.unwrap();
    assert_eq!(
        (name(&credited).as_str(), credited.total_revenue, credited.purchase_count),
        ("Lead", number("-5"), 0)
    );
    let done = crm.invoices().record(&ctx, invoice(id, "1", "10", now)).await.unwrap();
    let entities: Vec<_> = done.written.iter().map(|(entity, ..)| entity.as_str()).collect();
    for expected in ["invoice", "customer_lifecycle", "customer", "milestone", "lifecycle_history"] {
        assert!(entities.contains(&expected), "{expected} in one commit: {entities:?}");
    }
    let mut history = crm.lifecycle().history(&ctx, id).await.unwrap();
    history.reverse();
    assert!(history.iter().map(|row| row.to_stage.as_str()).eq(["Prospect", "Opportunity", "Customer"]));
    assert!(history.iter().all(|row| row.trigger == StageTrigger::Rule));
    assert_eq!(crm.customers().get(&ctx, id).await.unwrap().status, CustomerStatus::Active);

    world.env.advance(Duration::minutes(1));
    crm.lifecycle().advance(&ctx, AdvanceStage::new(id, stages[5].id)).await.unwrap();
    crm.invoices().record(&ctx, invoice(id, "old", "3", now)).await.unwrap();
    assert_eq!(name(&crm.lifecycle().get(&ctx, id).await.unwrap()), "Churned");
    crm.invoices().record(&ctx, invoice(id, "new", "4", world.env.now())).await.unwrap();
    let back = crm.lifecycle().get(&ctx, id).await.unwrap();
    assert_eq!(
        (name(&back).as_str(), back.total_revenue, back.purchase_count),
        ("Won Back", number("12"), 3)
    );
    let milestones = all::<Milestone>(crm, &ctx).await;
    assert!(milestones.iter().any(|m| m.milestone_type == MilestoneType::WinBack));
    assert_eq!(crm.customers().get(&ctx, id).await.unwrap().status, CustomerStatus::Active);

    let lost = world.customer("Without a way").await.id;
    for (from, to) in [(0, 1), (0, 5)] {
        crm.lifecycle().forbid(&world.system(), stages[from].id, stages[to].id).await.unwrap();
    }
    crm.invoices().record(&ctx, invoice(lost, "stays", "1", now)).await.unwrap();
    let stayed = crm.lifecycle().get(&ctx, lost).await.unwrap();
    assert_eq!((name(&stayed).as_str(), stayed.purchase_count), ("Lead", 1));
}

/// Another currency needs a rate, the own one has none but 1; what an invoice was when it began to count stays, and the
/// customer's currency with it, whatever the tenant's becomes.
pub async fn lc_04_revenue_is_in_one_currency_at_the_recorded_rate(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let id = world.customer("Abroad").await.id;
    let now = world.env.now();
    let eur = |name: &str, rate: Option<&str>| {
        let mut new = invoice(id, name, "100", now);
        new.invoice.currency = Currency::parse("EUR").unwrap();
        new.invoice.exchange_rate = rate.map(number);
        new
    };
    let missing = crm.invoices().record(&ctx, eur("E-1", None)).await.unwrap_err();
    assert!(
        matches!(missing, Error::Refused(InvoiceRefusal::Rate { currency: "EUR", base: "USD", .. })),
        "{missing}"
    );
    for rate in ["0", "-1"] {
        assert_eq!(crm.invoices().record(&ctx, eur("E-1", Some(rate))).await.unwrap_err().code(), "invalid");
    }
    let mut dollars = invoice(id, "D-1", "1", now);
    dollars.invoice.exchange_rate = Some(number("1.1"));
    assert_eq!(crm.invoices().record(&ctx, dollars).await.unwrap_err().code(), "invalid");
    assert!(all::<Invoice>(crm, &ctx).await.is_empty());
    let recorded = crm.invoices().record(&ctx, eur("E-1", Some("1.08255"))).await.unwrap();
    assert_eq!(recorded.base_total, Some(number("108.26")));
    for (field, change) in [
        ("issued_at", (|i: &mut Invoice| i.issued_at += Duration::days(1)) as fn(&mut Invoice)),
        ("exchange_rate", |i| i.exchange_rate = Some(Decimal::TWO)),
        ("total", |i| i.total = Decimal::ONE),
    ] {
        match crm.invoices().update(&ctx, recorded.id, Expect::Any, change).await {
            Err(Error::Refused(InvoiceRefusal::Fixed { field: found, .. })) => assert_eq!(found, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    crm.settings()
        .update(&world.system(), |settings| settings.currency = Currency::parse("JPY").unwrap())
        .await
        .unwrap();
    let more = crm.invoices().record(&ctx, eur("E-2", Some("1.5"))).await.unwrap();
    assert_eq!(more.base_total, Some(number("150")));
    let lifecycle = crm.lifecycle().get(&ctx, id).await.unwrap();
    assert_eq!((lifecycle.total_revenue, lifecycle.currency), (number("258.26"), Some(Currency::USD)));
}

/// An organization is not invoiced without a tax id; what was issued elsewhere is recorded all the same; only drafts
/// are issued, once.
pub async fn cm_10_a_missing_tax_id_blocks_invoicing(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let firm = crm
        .customers()
        .create(&ctx, Customer { r#type: CustomerType::Organization, ..person("Firm") })
        .await
        .unwrap()
        .id;
    let draft = |customer, name: &str| {
        let mut new = invoice(customer, name, "10", world.env.now() - Duration::days(3));
        new.invoice.status = InvoiceStatus::Draft;
        new
    };
    crm.invoices().record(&ctx, invoice(firm, "elsewhere", "1", world.env.now())).await.unwrap();
    let id = crm.invoices().record(&ctx, draft(firm, "A-1")).await.unwrap().id;
    let refused = crm.invoices().issue(&ctx, id, Expect::Any).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(InvoiceRefusal::TaxId(of)) if of == firm), "{refused}");
    let account = Account {
        tax_id: Some("DE136695976".to_owned()),
        tax_country: Some(Country::parse("DE").unwrap()),
        ..Account::new(firm, "Firm GmbH")
    };
    let account = crm.accounts().create(&ctx, account).await;
    account.unwrap_or_else(|error| panic!("{error}"));
    let issued = at_once(4, |_| {
        let (crm, ctx) = (crm.clone(), ctx.clone());
        async move { crm.invoices().issue(&ctx, id, Expect::Any).await.map(|done| done.value) }
    })
    .await;
    let issued: Vec<_> = issued.into_iter().filter_map(Result::ok).collect();
    assert_eq!(issued.len(), 1);
    assert_eq!((issued[0].status, issued[0].issued_at), (InvoiceStatus::Issued, world.env.now()));
    assert_eq!(crm.lifecycle().get(&ctx, firm).await.unwrap().purchase_count, 2);
    let again = crm.invoices().issue(&ctx, id, Expect::Any).await.unwrap_err();
    assert_eq!(again.code(), "invoice_not_draft");
    let person = world.customer("Person").await.id;
    let id = crm.invoices().record(&ctx, draft(person, "A-2")).await.unwrap().id;
    crm.invoices().issue(&ctx, id, Expect::Any).await.unwrap();
}

/// At the bounds of amounts, rates and days an invoice is counted to the last digit or refused, with the customer
/// whose lifecycle cannot take it; what is refused leaves nothing behind.
pub async fn lc_04_at_the_bounds_it_is_counted_exactly_or_refused(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, seed) = (&world.crm, world.ada(), seed());
    let mut dice = Dice::new(seed);
    let id = world.customer("Vast").await.id;
    let euro = Currency::parse("EUR").unwrap();
    let (mut counted, mut refused) = (0, 0);
    for place in 0..size(30, 200) {
        let sign = if dice.one_in(2) { 1 } else { -1 };
        let cents = sign * (99_999_999_999_999_999 - dice.between(0, 300));
        let rate = Decimal::new(dice.between(9_999_999_990, 10_000_000_010), 10);
        let foreign = dice.one_in(3);
        let invoice = Invoice {
            total: Decimal::new(cents, 2),
            exchange_rate: foreign.then_some(rate),
            ..Invoice::issued(
                id,
                format!("V-{place}"),
                world.env.now(),
                if foreign { euro } else { Currency::USD },
            )
        };
        match crm.invoices().record(&ctx, NewInvoice { invoice, lines: Vec::new() }).await {
            Ok(_) => counted += 1,
            Err(Error::Invalid(errors)) => {
                refused += 1;
                let whose = format!("lifecycle of {id}.total_revenue");
                assert!(errors.iter().all(|e| e.field == whose || e.field == "total"), "{errors:?}");
            }
            Err(error) => panic!("seed {seed}: {error:?}"),
        }
        assert_equal_to_invoices(crm, &ctx, id, seed).await;
    }
    assert!(counted > 1 && refused > 1, "seed {seed}: {counted} counted, {refused} refused");
    for (zone, refused, taken) in [
        ("Pacific/Auckland", "9999-12-31T11:30:00Z", "9999-12-31T10:30:00Z"),
        ("America/New_York", "0001-01-01T04:30:00Z", "0001-01-01T05:30:00Z"),
    ] {
        crm.settings().update(&world.system(), |settings| settings.zone = zone.to_owned()).await.unwrap();
        let id = world.customer(zone).await.id;
        let error = crm.invoices().record(&ctx, invoice(id, zone, "1", at(refused))).await.unwrap_err();
        let Error::Invalid(errors) = error else { panic!("{error:?}") };
        let days =
            ["first_purchase_date", "last_purchase_date"].map(|day| format!("lifecycle of {id}.{day}"));
        assert!(errors.iter().map(|error| &error.field).eq(&days), "{errors:?}");
        assert_equal_to_invoices(crm, &ctx, id, seed).await;
        crm.invoices().record(&ctx, invoice(id, zone, "1", at(taken))).await.unwrap();
        assert_equal_to_invoices(crm, &ctx, id, seed).await;
    }
}

/// A batch counts the records that it writes for each customer too; one that is too large says how many it has, and
/// leaves nothing behind.
pub async fn lc_04_a_batch_counts_what_it_writes_for_its_customers(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let people = (0..126).map(|n| (person(&format!("Buyer {n}")), Vec::new())).collect();
    let buyers = crm.customers().create_batch(&ctx, people).await.unwrap().value;
    let batch = |buyers: &[Customer]| {
        let one = |(place, buyer): (usize, &Customer)| {
            invoice(buyer.id, format!("B-{place}"), "1", world.env.now())
        };
        buyers.iter().enumerate().map(one).collect::<Vec<_>>()
    };
    // The invoice, the lifecycle, three steps, the milestone and the status.
    let most = 1_000 / 7;
    assert!(buyers.len() < most, "all of them fit");
    let mut large = batch(&buyers);
    large.extend((0..119).map(|n| invoice(buyers[n].id, format!("C-{n}"), "1", world.env.now())));
    match crm.invoices().record_batch(&ctx, large.clone()).await {
        Err(Error::Write(WriteError::TooMany { count })) => assert_eq!(count, 126 * 7 + 119),
        other => panic!("{other:?}"),
    }
    assert!(all::<Invoice>(crm, &ctx).await.is_empty());
    large.pop();
    let done = crm.invoices().record_batch(&ctx, large).await.unwrap();
    assert_eq!(done.written.len(), 1_000);
    let found = crm.lifecycle().get(&ctx, buyers[0].id).await.unwrap();
    assert_eq!((found.purchase_count, found.stage_changes), (2, 3));
}

/// The milestone of a first purchase that somebody deleted is not reached again by a later purchase, which is not the first.
/// When a purchase is taken back, it is that of the first of those that are left.
pub async fn lc_04_a_later_purchase_is_not_the_first(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, now) = (&world.crm, world.ada(), world.env.now());
    let id = world.customer("Again").await.id;
    let record = async |name: &str, days: i64| {
        let invoice = invoice(id, name, "5", now - Duration::days(days));
        crm.invoices().record(&ctx, invoice).await.unwrap().id
    };
    let first = record("1", 9).await;
    let milestones = all::<Milestone>(crm, &ctx).await;
    crm.journey().delete(&ctx, milestones[0].id, Expect::Any).await.unwrap();
    record("2", 5).await;
    assert!(first_purchase(crm, &ctx, id).await.is_empty());
    crm.invoices().update(&ctx, first, Expect::Any, |i| i.status = InvoiceStatus::Void).await.unwrap();
    assert_eq!(first_purchase(crm, &ctx, id).await, [now - Duration::days(5)]);
    assert_equal_to_invoices(crm, &ctx, id, 0).await;
}

/// An invoice of nothing changes no purchases, and nobody is told that it did.
pub async fn lc_04_an_invoice_of_nothing_tells_of_no_purchase(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let id = world.customer("Gifted").await.id;
    for name in ["first", "second", "third"] {
        crm.invoices().record(&ctx, invoice(id, name, "0", world.env.now())).await.unwrap();
    }
    let lifecycle = crm.lifecycle().get(&ctx, id).await.unwrap();
    assert_eq!((lifecycle.purchase_count, lifecycle.total_revenue), (0, Decimal::ZERO));
    let rows = crm.log().next(&world.system(), "purchases", 10_000).await.unwrap();
    let told = rows
        .iter()
        .filter(|row| row.body.events.iter().any(|event| event.name == "lifecycle.purchases_changed"));
    assert!(told.clone().all(|row| row.entity == "customer_lifecycle"), "told by another record");
    assert_eq!(told.count(), 1, "the currency is set once");
}
