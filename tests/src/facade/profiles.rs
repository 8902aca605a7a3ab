//! A customer as a whole, and its statistics (SPEC TL-05, TL-07).

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use chrono::Duration;
use crm_core::account::Account;
use crm_core::address::{Address, AddressType};
use crm_core::customer::{Customer, CustomerId, CustomerType};
use crm_core::directory::UserId;
use crm_core::format::{Country, Currency};
use crm_core::interaction::{Interaction, Sentiment};
use crm_core::invoice::{Invoice, InvoiceStatus, NewInvoice};
use crm_core::log::ActorKind;
use crm_core::policy::{Action, Policy, RolePolicy};
use crm_core::profile::{Panel, PanelError, PaymentStatus, ProfileWarning, SentimentTrend};
use crm_core::score::{Factors, ScoreType, ScoringModel};
use crm_core::segment::Segment;
use crm_core::timeline::Visibility;
use crm_core::{Context, Crm, Env as _, Error, Expect};
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use super::counting::Counting;
use super::dice::Dice;
use super::world::{ADA, BOB, KEY, RED, World, all, contact, is, person, seed};
use crate::{Harness, size};

async fn firm(world: &World, name: &str) -> CustomerId {
    let firm = Customer { r#type: CustomerType::Organization, owner_id: Some(UserId(BOB)), ..person(name) };
    world.crm.customers().create(&world.ada(), firm).await.unwrap().id
}

/// Fills two customers with everything there is, at random.
async fn fill(world: &World, dice: &mut Dice, count: usize) -> [CustomerId; 2] {
    let (crm, ada) = (&world.crm, world.ada());
    let customers = [firm(world, "First").await, firm(world, "Second").await];
    for (place, customer) in customers.into_iter().enumerate() {
        crm.accounts().create(&ada, Account::new(customer, format!("Firm {place}"))).await.unwrap();
        for n in 0..3 {
            let primary = contact(customer, "Con", &format!("Tact{n}"));
            crm.contacts().create(&ada, primary).await.unwrap();
            let kind = [AddressType::Billing, AddressType::Shipping][dice.below(2)];
            let country = Country::parse("DE").unwrap();
            let street = format!("Street {n}");
            let address = Address::new(customer, kind, street, "Town", country);
            crm.addresses().create(&ada, address).await.unwrap();
        }
    }
    let away = all::<crm_core::contact::Contact>(crm, &ada).await;
    let away = away.iter().find(|contact| contact.customer_id == customers[1]).unwrap().id;
    crm.contacts().add_role(&ada, away, customers[0], "Lawyer").await.unwrap();
    for n in 0..count {
        let writer = [world.ada().with_team(RED), world.bob(), world.system()][dice.below(3)].clone();
        let customer = *dice.pick(&customers);
        let days = dice.between(0, 200);
        let touch = Interaction {
            visibility: *dice.pick(&[Visibility::All, Visibility::Team, Visibility::Private]),
            sentiment: dice
                .maybe(3, |dice| *dice.pick(&[Sentiment::Negative, Sentiment::Neutral, Sentiment::Positive])),
            occurred_at: world.env.now() - Duration::days(days) - Duration::seconds(dice.between(0, 9)),
            ..world.touch(customer, &format!("Touch {n}"))
        };
        crm.interactions().log(&writer, touch).await.unwrap();
        if dice.one_in(4) {
            let status = *dice.pick(&[
                InvoiceStatus::Draft,
                InvoiceStatus::Issued,
                InvoiceStatus::PartlyPaid,
                InvoiceStatus::Paid,
                InvoiceStatus::Void,
            ]);
            let at = world.env.now() - Duration::days(days);
            let total = Decimal::new(dice.between(-20, 99), 2) * Decimal::from(dice.between(0, 1_000));
            let invoice = Invoice {
                status,
                total,
                amount_paid: if status == InvoiceStatus::PartlyPaid && total > Decimal::new(1, 2) {
                    Decimal::new(1, 2)
                } else {
                    Decimal::ZERO
                },
                due_on: dice.maybe(2, |dice| at.date_naive() + Duration::days(dice.between(0, 60))),
                ..Invoice::issued(customer, format!("I-{n}"), at, Currency::USD)
            };
            crm.invoices().record(&ada, NewInvoice { invoice, lines: Vec::new() }).await.unwrap();
        }
    }
    crm.scores().put_model(&world.system(), ScoringModel::health()).await.unwrap();
    let known = Factors::from([("payment_history".to_owned(), Decimal::from(70))]);
    crm.scores().record(&ada, customers[0], ScoreType::Health, known).await.unwrap();
    let segments = [
        Segment::dynamic("Bob's", is("owner.name", "eq", "Bob")),
        Segment::dynamic("Customers", is("lifecycle.current_stage.category", "eq", "customer")),
        Segment::dynamic("Nobody", is("account.legal_name", "eq", "nobody")),
        Segment::fixed("By hand"),
    ];
    for segment in segments {
        let by_hand = segment.criteria.is_none();
        let segment = crm.segments().create(&ada, segment).await.unwrap().id;
        if by_hand {
            crm.segments().add(&ada, segment, &customers[..1]).await.unwrap();
        }
    }
    customers
}

/// Every part of the view is what the part's own service says to the same viewer, and it takes two round trips however
/// much there is: none but one for each further link that a segment asks about.
pub async fn tl_05_a_view_is_what_each_service_says(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let mut dice = Dice::new(seed());
    let customers = fill(&world, &mut dice, size(40, 300)).await;
    let (counting, reads) = Counting::over(world.store.clone());
    let crm = Crm::builder(counting).shared_env(world.env.clone()).cursor_key(KEY).build().unwrap();
    let viewers = [world.ada(), world.bob().with_team(RED), world.system(), Context::user(world.tenant, RED)];
    for (ctx, customer) in viewers.iter().flat_map(|ctx| customers.map(|customer| (ctx, customer))) {
        let before = reads.load(Ordering::SeqCst);
        let view = crm.profiles().of(ctx, customer).await.unwrap();
        assert_eq!(reads.load(Ordering::SeqCst) - before, 2, "round trips");
        let now = world.env.now();
        assert_eq!(view.customer, crm.customers().get(ctx, customer).await.unwrap());
        assert_eq!(view.owner, Some(crm.users().get(ctx, UserId(BOB)).await.unwrap()));
        assert_eq!(view.account, Some(crm.accounts().get(ctx, customer).await.unwrap()));
        assert_eq!(view.lifecycle, Some(crm.lifecycle().get(ctx, customer).await.unwrap()));
        let current = view.lifecycle.as_ref().unwrap().current_stage_id;
        assert_eq!(view.stage.as_ref().unwrap().id, current);
        let mut addresses = crm.addresses().of(ctx, customer).await.unwrap();
        addresses.sort_by_key(|address| address.id);
        let mut shown = view.addresses.clone();
        shown.sort_by_key(|address| address.id);
        assert_eq!(shown, addresses);
        let own = view.people.iter().filter(|person| person.role.is_none()).map(|person| &person.contact);
        assert!(own.eq(&crm.contacts().of_customer(ctx, customer).await.unwrap()));
        let roles = view.people.iter().filter_map(|person| person.role.as_deref());
        assert!(roles.eq((customer == customers[0]).then_some("Lawyer")));
        assert_eq!(view.scores, crm.scores().of_customer(ctx, customer).await.unwrap());
        assert_eq!(view.scores.len(), usize::from(customer == customers[0]));
        assert_eq!(view.segments, crm.segments().of_customer(ctx, customer).await.unwrap());
        let mut touches: Vec<Interaction> = all(&crm, ctx).await;
        touches.retain(|touch| touch.customer_id == customer);
        touches.sort_by_key(|touch| (std::cmp::Reverse(touch.occurred_at), touch.id));
        let lately = touches.iter().filter(|touch| touch.occurred_at > now - Duration::days(30)).count();
        assert_eq!(view.touches.last_30_days, lately as i64);
        assert_eq!(view.touches.last_at, touches.first().map(|touch| touch.occurred_at));
        assert_eq!(view.touches.latest, touches[..touches.len().min(5)]);
        let mut invoices: Vec<Invoice> = all(&crm, ctx).await;
        invoices.retain(|invoice| invoice.customer_id == customer && invoice.status != InvoiceStatus::Draft);
        invoices.sort_by_key(|invoice| (std::cmp::Reverse(invoice.issued_at), invoice.id));
        assert_eq!(view.financial.recent, invoices[..invoices.len().min(5)]);
        let open = |invoice: &&Invoice| {
            matches!(invoice.status, InvoiceStatus::Issued | InvoiceStatus::PartlyPaid)
                && invoice.total > Decimal::ZERO
        };
        let owed: Decimal = invoices.iter().filter(open).map(|i| i.total - i.amount_paid).sum();
        assert_eq!(view.financial.outstanding.iter().map(|open| open.amount).sum::<Decimal>(), owed);
        let due = invoices.iter().filter(open).filter_map(|invoice| invoice.due_on).min();
        assert_eq!(view.financial.outstanding.iter().find_map(|open| open.due_on), due);
        let expected = match (due.is_some_and(|due| due < now.date_naive()), owed.is_zero()) {
            (true, _) => PaymentStatus::Overdue,
            (false, false) => PaymentStatus::Open,
            (false, true) if invoices.is_empty() => PaymentStatus::None,
            (false, true) => PaymentStatus::Settled,
        };
        assert_eq!(view.financial.status, expected);
        assert_eq!((view.as_of, view.withheld.len(), view.warnings.len()), (now, 0, 0));
    }
}

/// The numbers are those of a naive count of what the viewer sees.
pub async fn tl_07_statistics_are_those_of_a_naive_count(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, seed) = (&world.crm, seed());
    let mut dice = Dice::new(seed);
    let customers = fill(&world, &mut dice, size(60, 400)).await;
    let now = world.env.now();
    for (ctx, customer) in
        [world.ada(), world.bob(), world.system()].iter().flat_map(|ctx| customers.map(|c| (ctx, c)))
    {
        let found = crm.profiles().statistics(ctx, customer).await.unwrap();
        let lifecycle = crm.lifecycle().get(ctx, customer).await.unwrap();
        assert_eq!((found.orders, found.spend), (lifecycle.purchase_count, lifecycle.total_revenue));
        let mut touches: Vec<Interaction> = all(crm, ctx).await;
        touches.retain(|touch| touch.customer_id == customer);
        assert_eq!(found.interactions, touches.len() as i64);
        assert_eq!(found.first_interaction, touches.iter().map(|touch| touch.occurred_at).min());
        assert_eq!(found.last_interaction, touches.iter().map(|touch| touch.occurred_at).max());
        let score = |from: i64, to: i64| {
            let within = |touch: &&Interaction| {
                let at = touch.occurred_at;
                at > now - Duration::days(from) && at <= now - Duration::days(to)
            };
            let points = touches.iter().filter(within).filter_map(|touch| touch.sentiment).map(|s| match s {
                Sentiment::Negative => -100,
                Sentiment::Neutral => 0,
                Sentiment::Positive => 100,
            });
            let points: Vec<i64> = points.collect();
            let sum = Decimal::from(points.iter().sum::<i64>());
            (!points.is_empty()).then(|| (sum / Decimal::from(points.len())).round())
        };
        assert_eq!(found.sentiment.map(|of| Decimal::from(of.score)), score(10_000, 0), "seed {seed}");
        let trend = score(90, 0).zip(score(180, 90)).map(|(recent, before)| recent - before);
        let trend = trend.map(|points| match points {
            up if up >= Decimal::TEN => SentimentTrend::Improving,
            down if down <= -Decimal::TEN => SentimentTrend::Declining,
            _ => SentimentTrend::Stable,
        });
        assert_eq!(found.sentiment_trend, trend, "seed {seed}");
    }
    let quiet = crm.profiles().statistics(&world.ada(), world.customer("Quiet").await.id).await.unwrap();
    assert_eq!((quiet.interactions, quiet.sentiment, quiet.average_order()), (0, None, None));
}

struct Opportunities;

#[async_trait]
impl Panel for Opportunities {
    fn name(&self) -> &'static str {
        "opportunities"
    }

    async fn show(&self, ctx: &Context, customer: &Customer) -> Result<Json, PanelError> {
        Ok(json!({ "of": customer.display_name, "to": ctx.user_id() }))
    }
}

struct Support;

#[async_trait]
impl Panel for Support {
    fn name(&self) -> &'static str {
        "support"
    }

    async fn show(&self, _: &Context, _: &Customer) -> Result<Json, PanelError> {
        Err(PanelError("the ticket system is down".to_owned()))
    }
}

/// Everyone may read everything but invoices.
struct NoInvoices;

impl Policy for NoInvoices {
    fn allows(&self, ctx: &Context, action: Action, entity: &str) -> bool {
        entity != "invoice" && RolePolicy.allows(ctx, action, entity)
    }
}

/// Other systems add what they know; one that fails spoils nothing. What the actor may not read is left out and named;
/// an organization without contacts is warned of.
pub async fn tl_05_panels_add_what_other_systems_know(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let built = Crm::builder_shared(world.store.clone()).shared_env(world.env.clone()).cursor_key(KEY);
    let crm = built.panel(Opportunities).panel(Support).policy(NoInvoices).build().unwrap();
    let ctx = world.ada();
    let id = firm(&world, "Lonely").await;
    let invoice = Invoice { total: Decimal::ONE, ..Invoice::issued(id, "1", world.env.now(), Currency::USD) };
    world.crm.invoices().record(&ctx, NewInvoice { invoice, lines: Vec::new() }).await.unwrap();
    let view = crm.profiles().of(&ctx, id).await.unwrap();
    assert_eq!(view.panels["opportunities"], Ok(json!({ "of": "Lonely", "to": ADA })));
    assert_eq!(view.panels["support"], Err(PanelError("the ticket system is down".to_owned())));
    assert_eq!(view.warnings, [ProfileWarning::NoContacts]);
    assert_eq!((view.withheld.as_slice(), view.financial.recent.len()), (&["invoice"][..], 0));
    assert!(view.financial.outstanding.is_empty());
    let open = world.crm.profiles().of(&ctx, id).await.unwrap();
    assert_eq!((open.financial.recent.len(), open.financial.status), (1, PaymentStatus::Open));
    crm.contacts().create(&ctx, contact(id, "Some", "One")).await.unwrap();
    assert!(crm.profiles().of(&ctx, id).await.unwrap().warnings.is_empty());
}

/// A deleted customer has no view, nor has another tenant's, nor does a customer see it through the portal.
pub async fn tl_05_a_view_is_of_a_live_customer_of_the_tenant(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let crm = &world.crm;
    let id = world.customer("Seen").await.id;
    let other = crm_core::TenantId(uuid::Uuid::from_u128(u128::from(seed())));
    world.employ(other).await;
    let foreign = Context::user(other, ADA);
    assert!(matches!(crm.profiles().of(&foreign, id).await, Err(Error::NotFound { .. })));
    assert!(matches!(crm.profiles().statistics(&foreign, id).await, Err(Error::NotFound { .. })));
    let mut portal = world.ada();
    portal.actor.kind = ActorKind::Customer;
    assert!(matches!(crm.profiles().of(&portal, id).await, Err(Error::Forbidden { .. })));
    assert!(matches!(crm.profiles().statistics(&portal, id).await, Err(Error::Forbidden { .. })));
    crm.customers().delete(&world.ada(), id, Expect::Any).await.unwrap();
    assert!(matches!(crm.profiles().of(&world.ada(), id).await, Err(Error::NotFound { .. })));
    crm.customers().restore(&world.ada(), id).await.unwrap();
    assert_eq!(crm.profiles().of(&world.ada(), id).await.unwrap().customer.id, id);
}

/// Nobody may read these.
struct Without(&'static [&'static str]);

impl Policy for Without {
    fn allows(&self, ctx: &Context, action: Action, entity: &str) -> bool {
        !self.0.contains(&entity) && RolePolicy.allows(ctx, action, entity)
    }
}

/// The segments in a view are those that the segments' own service says, whatever else the viewer may not read; and
/// what they are judged by is not shown for it.
pub async fn tl_05_segments_do_not_depend_on_what_is_withheld(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let ctx = world.ada();
    let id = firm(&world, "Firm").await;
    world.crm.accounts().create(&ctx, Account::new(id, "Firm")).await.unwrap();
    for (name, field, operator, value) in [
        ("Has an account", "account.legal_name", "eq", "Firm"),
        ("No account", "account.legal_name", "ne", "Firm"),
        ("Begins", "lifecycle.current_stage.category", "eq", "pre_customer"),
        ("Is elsewhere", "lifecycle.current_stage.category", "ne", "pre_customer"),
        ("Is Bob's", "owner.name", "eq", "Bob"),
    ] {
        world.crm.segments().create(&ctx, Segment::dynamic(name, is(field, operator, value))).await.unwrap();
    }
    for withheld in [&[][..], &["account", "customer_lifecycle"], &["user"], &["lifecycle_stage"]] {
        let built = Crm::builder_shared(world.store.clone()).shared_env(world.env.clone()).cursor_key(KEY);
        let crm = built.policy(Without(withheld)).build().unwrap();
        let view = crm.profiles().of(&ctx, id).await.unwrap();
        assert_eq!(view.segments, crm.segments().of_customer(&ctx, id).await.unwrap());
        let names: Vec<_> = view.segments.iter().map(|segment| segment.name.as_str()).collect();
        assert_eq!(names, ["Begins", "Has an account", "Is Bob's"], "without {withheld:?}");
        let hidden = |entity| withheld.contains(&entity);
        assert_eq!(view.account.is_none(), hidden("account"), "without {withheld:?}");
        assert_eq!(view.lifecycle.is_none(), hidden("customer_lifecycle"), "without {withheld:?}");
        assert_eq!(view.owner.is_none(), hidden("user"), "without {withheld:?}");
        let no_stage = hidden("customer_lifecycle") || hidden("lifecycle_stage");
        assert_eq!(view.stage.is_none(), no_stage, "without {withheld:?}");
        assert_eq!(view.withheld, *withheld);
    }
    let built = Crm::builder_shared(world.store.clone()).shared_env(world.env.clone()).cursor_key(KEY);
    let crm = built.policy(Without(&["segment"])).build().unwrap();
    let view = crm.profiles().of(&ctx, id).await.unwrap();
    assert_eq!((view.segments.len(), view.withheld), (0, vec!["segment"]));
}
