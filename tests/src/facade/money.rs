//! Amounts: rounding, sums, totals (SPEC TL-08, LC-04).

use std::collections::BTreeMap;

use crm_core::customer::Customer;
use crm_core::directory::UserId;
use crm_core::format::Currency;
use crm_core::invoice::{Invoice, InvoiceLine, InvoiceRefusal, InvoiceStatus, NewInvoice};
use crm_core::value::Value;
use crm_core::{Env as _, Error, Expect, Totals};
use rust_decimal::Decimal;

use super::dice::Dice;
use super::world::{ADA, BOB, World, all, person, seed};
use crate::{Harness, size};

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// Quantity times price, in the currency's minor unit, half to even; the total is their sum.
pub async fn tl_08_lines_round_half_to_even_in_the_currencys_minor_unit(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let customer = world.customer("Payer").await.id;
    let cases = [
        ("JPY", "1", "0.5", "0"),
        ("JPY", "1", "1.5", "2"),
        ("JPY", "3", "33.333333", "100"),
        ("USD", "1", "0.125", "0.12"),
        ("USD", "1", "0.135", "0.14"),
        ("USD", "0.5", "0.01", "0"),
        ("USD", "1.5", "0.01", "0.02"),
        ("USD", "3", "19.99", "59.97"),
        ("KWD", "1", "0.0005", "0"),
        ("KWD", "1", "0.0015", "0.002"),
        ("KWD", "0.3333", "1.000001", "0.333"),
        ("USD", "-1", "0.125", "-0.12"),
    ];
    for (place, (currency, quantity, price, amount)) in cases.iter().enumerate() {
        let currency = Currency::parse(currency).unwrap();
        let base = InvoiceLine::new("one of each", Decimal::ONE, Decimal::from(100));
        let line = InvoiceLine::new("x", number(quantity), number(price));
        let invoice = Invoice {
            exchange_rate: (currency != Currency::USD).then(|| number("1.5")),
            ..Invoice::issued(customer, format!("R-{place}"), world.env.now(), currency)
        };
        let recorded =
            crm.invoices().record(&ctx, NewInvoice { invoice, lines: vec![line, base] }).await.unwrap();
        let stored = crm.invoices().get(&ctx, recorded.id).await.unwrap();
        assert_eq!(stored.lines[0].amount, number(amount), "{currency} {quantity} × {price}");
        assert_eq!(stored.invoice.total, number(amount) + Decimal::from(100));
        assert_eq!(stored.lines.iter().map(|line| line.position).collect::<Vec<_>>(), [1, 2]);
    }
}

/// A total that the lines do not add up to is refused with both; so are decimals that the currency does not have, and
/// a new total for what has been issued.
pub async fn tl_08_a_total_that_is_not_the_sum_of_the_lines_is_refused(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let customer = world.customer("Payer").await.id;
    let invoice = |code: &str, total: &str| Invoice {
        total: number(total),
        exchange_rate: (code != "USD").then_some(Decimal::TWO),
        ..Invoice::issued(customer, "T-1", world.env.now(), Currency::parse(code).unwrap())
    };
    let lines = || {
        vec![
            InvoiceLine::new("a", number("2"), number("10.10")),
            InvoiceLine::new("b", number("1"), number("0.01")),
        ]
    };
    match crm.invoices().record(&ctx, NewInvoice { invoice: invoice("USD", "20.20"), lines: lines() }).await {
        Err(Error::Refused(InvoiceRefusal::Total { number: name, total, lines })) => {
            assert_eq!((name.as_str(), total, lines), ("T-1", number("20.20"), number("20.21")));
        }
        other => panic!("{other:?}"),
    }
    for (code, total) in [("JPY", "0.5"), ("USD", "0.001"), ("KWD", "0.0001"), ("USD", "1000000000000000")] {
        match crm
            .invoices()
            .record(&ctx, NewInvoice { invoice: invoice(code, total), lines: Vec::new() })
            .await
        {
            Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, "total"),
            other => panic!("{code} {total}: {other:?}"),
        }
    }
    assert!(all::<Invoice>(crm, &ctx).await.is_empty() && all::<InvoiceLine>(crm, &ctx).await.is_empty());
    let recorded = crm
        .invoices()
        .record(&ctx, NewInvoice { invoice: invoice("USD", "20.21"), lines: lines() })
        .await
        .unwrap();
    let own = recorded.written.iter().filter(|(entity, ..)| entity.starts_with("invoice"));
    assert_eq!(own.count(), 3);
    match crm.invoices().update(&ctx, recorded.id, Expect::Any, |i| i.total = number("1")).await {
        Err(Error::Refused(InvoiceRefusal::Fixed { id, field })) => {
            assert_eq!((id, field), (recorded.id, "total"));
        }
        other => panic!("{other:?}"),
    }
    match crm.invoices().update(&ctx, recorded.id, Expect::Any, |i| i.amount_paid = number("20.22")).await {
        Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, "amount_paid"),
        other => panic!("more was paid than is owed: {other:?}"),
    }
    let pay = |invoice: &mut Invoice| {
        invoice.amount_paid = invoice.total;
        invoice.status = InvoiceStatus::Paid;
    };
    let paid = crm.invoices().update(&ctx, recorded.id, Expect::Any, pay).await.unwrap();
    assert_eq!(paid.amount_paid, number("20.21"));
    let again =
        crm.invoices().record(&ctx, NewInvoice { invoice: invoice("USD", "0"), lines: lines() }).await;
    assert!(matches!(again, Err(Error::NotUnique { rule: "invoice_number_once" })), "{again:?}");
}

/// Sums by owner and currency are those of exact arithmetic, through the link to the customer.
pub async fn tl_08_totals_by_owner_and_currency_are_exact(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let seed = seed();
    let mut dice = Dice::new(seed);
    let owners = [Some(UserId(ADA)), Some(UserId(BOB)), None];
    let mut customers = Vec::new();
    for owner_id in owners {
        let created =
            crm.customers().create(&world.system(), Customer { owner_id, ..person("Owned") }).await.unwrap();
        customers.push((created.id, owner_id));
    }
    let mut expected: BTreeMap<(Option<UserId>, &str), (i64, Decimal)> = BTreeMap::new();
    let mut invoices = Vec::new();
    for n in 0..size(120, 1_000) {
        let (customer, owner) = *dice.pick(&customers);
        let code = *dice.pick(&["JPY", "USD", "KWD"]);
        let currency = Currency::parse(code).unwrap();
        let total = Decimal::new(dice.between(0, 999_999_999_999_999), currency.minor_units());
        let entry = expected.entry((owner, code)).or_default();
        *entry = (entry.0 + 1, entry.1 + total);
        let invoice = Invoice {
            total,
            exchange_rate: (currency != Currency::USD).then(|| number("0.0000000001")),
            ..Invoice::issued(customer, format!("S-{n}"), world.env.now(), currency)
        };
        invoices.push(NewInvoice { invoice, lines: Vec::new() });
    }
    for chunk in invoices.chunks(500) {
        crm.invoices().record_batch(&ctx, chunk.to_vec()).await.unwrap();
    }
    let asked = Totals::by(&["customer.owner_id", "currency"]).sum("total").sum("amount_paid");
    let groups = crm.invoices().totals(&ctx, &asked).await.unwrap();
    let found: BTreeMap<_, _> = groups
        .iter()
        .map(|group| {
            let code = ["JPY", "USD", "KWD"].into_iter().find(|c| group.by[1].as_text() == Some(c)).unwrap();
            let [Value::Int(count), Value::Decimal(sum), Value::Decimal(paid)] = group.measures[..] else {
                panic!("{:?}", group.measures)
            };
            assert!(paid.is_zero());
            ((group.by[0].as_id().map(UserId), code), (count, sum))
        })
        .collect();
    assert_eq!(found, expected, "seed {seed}");
    assert_eq!(found.len(), groups.len());
}
