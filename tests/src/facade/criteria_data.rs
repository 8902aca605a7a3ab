//! Random records with everything in them that engines are known to read differently.

use std::collections::BTreeMap;

use chrono::{Duration, NaiveDate};
use crm_core::catalog::Entity;
use crm_core::contact::Contact;
use crm_core::customer::{Customer, CustomerSource, CustomerStatus};
use crm_core::directory::{User, UserId};
use crm_core::format::Currency;
use crm_core::interaction::{Interaction, Sentiment};
use crm_core::invoice::{Invoice, InvoiceLine, NewInvoice};
use crm_core::record::{Custom, Record};
use crm_core::store::{Answer, Query, Read};
use crm_core::value::{Instant, Value};
use crm_core::{Context, Crm, Env as _, Expect};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::dice::Dice;
use super::world::{World, all, person};

/// Names that differ in case, accents, width and in the signs that patterns give a meaning.
pub(super) const NAMES: &[&str] = &[
    "Acme",
    "ACME",
    "acme gmbh",
    "Straße",
    "STRASSE 7",
    "Émile",
    "emile",
    "Ωmega",
    "z_under",
    "zzunder",
    "100%",
    "100x",
    "a\\b",
    "[x].*",
    "(y|z)$",
    "^start",
    "日本 株式会社",
    "O'Neil",
    "\"quoted\"",
    "Z",
];
/// Parts of them.
pub(super) const PARTS: &[&str] = &[
    "a", "acm", "ACM", "ß", "ss", "é", "e", "_", "%", "\\", "[x]", ".", ".*", "$", "^", "日", "'", "\"", "z",
    "100", "|",
];
/// Labels.
pub(super) const TAGS: &[&str] = &["vip", "VIP", "a.b", "$x", "new", "%", "日本"];
/// Numbers.
pub(super) const NUMBERS: &[&str] = &["0", "0.5", "1", "-1", "3", "10.25", "10.3", "9", "999999999999999.99"];

/// All live records of a tenant, as structs.
pub(super) struct Data {
    pub(super) now: Instant,
    pub(super) users: BTreeMap<Uuid, User>,
    /// Deleted ones as well: a link to one still has its values.
    pub(super) customers: BTreeMap<Uuid, Customer>,
    pub(super) contacts: BTreeMap<Uuid, Contact>,
    pub(super) interactions: BTreeMap<Uuid, Interaction>,
    pub(super) invoices: BTreeMap<Uuid, Invoice>,
    pub(super) lines: BTreeMap<Uuid, InvoiceLine>,
    /// The same as records, for the core.
    pub(super) records: BTreeMap<Uuid, Record>,
}

fn instant(dice: &mut Dice, now: Instant) -> Instant {
    let steps = [
        0,
        1,
        1_000,
        3_600_000,
        86_400_000,
        7 * 86_400_000,
        29 * 86_400_000,
        90 * 86_400_000,
        366 * 86_400_000,
    ];
    now - Duration::milliseconds(*dice.pick(&steps)) - Duration::milliseconds(dice.between(-1, 1).max(0))
}

fn custom(dice: &mut Dice, now: Instant) -> Custom {
    let mut custom = Custom::new();
    for key in ["any", "other key"] {
        let value = match dice.below(6) {
            0 => Value::Text((*dice.pick(NAMES)).to_owned()),
            1 => Value::Decimal(dice.pick(NUMBERS).parse().unwrap()),
            2 => Value::Bool(dice.one_in(2)),
            3 => Value::Instant(instant(dice, now)),
            4 => Value::List(dice.some_of(TAGS, 2).iter().map(|tag| (*tag).to_owned()).collect()),
            _ => continue,
        };
        custom.insert(key.to_owned(), value);
    }
    custom
}

impl Data {
    /// Fills an empty tenant.
    pub(super) async fn fill(world: &World, dice: &mut Dice, count: usize) -> Self {
        let (crm, ctx, now) = (&world.crm, world.system(), world.env.now());
        let users: Vec<User> = ["Ada", "bob", "Émile", "ÅSA", "zoë"]
            .iter()
            .enumerate()
            .map(|(n, name)| User {
                id: UserId(Uuid::from_u128(n as u128 + 1)),
                name: (*name).to_owned(),
                ..User::default()
            })
            .collect();
        crm.users().put(&ctx, users.clone()).await.unwrap();
        let mut customers: Vec<Customer> = Vec::new();
        for _ in 0..count {
            let given = Customer {
                status: *dice.pick(&[
                    CustomerStatus::Prospect,
                    CustomerStatus::Active,
                    CustomerStatus::Churned,
                ]),
                source: dice.maybe(3, |dice| *dice.pick(&[CustomerSource::Web, CustomerSource::Referral])),
                email: dice
                    .maybe(3, |dice| format!("{}@example.com", dice.pick(&["a", "A", "b.c", "z_z", "q"]))),
                owner_id: dice.maybe(4, |dice| dice.pick(&users).id),
                parent_id: if customers.is_empty() {
                    None
                } else {
                    dice.maybe(3, |dice| dice.pick(&customers).id)
                },
                tags: dice.some_of(TAGS, 3).iter().map(|tag| (*tag).to_owned()).collect(),
                is_vip: dice.one_in(2),
                preferred_language: dice.maybe(2, |dice| (*dice.pick(&["de", "en", "pt-BR"])).to_owned()),
                custom: custom(dice, now),
                ..person(dice.pick::<&str>(NAMES))
            };
            customers.push(crm.customers().create(&ctx, given).await.unwrap().value);
        }
        let mut contacts = Vec::new();
        let mut interactions = Vec::new();
        let mut invoices = Vec::new();
        for n in 0..count {
            let customer = dice.pick(&customers).id;
            let contact = Contact {
                customer_id: customer,
                first_name: (*dice.pick(NAMES)).to_owned(),
                last_name: (*dice.pick(NAMES)).to_owned(),
                email: dice.maybe(2, |dice| format!("{}@example.com", dice.pick(&["a", "A", "b"]))),
                ..Contact::default()
            };
            contacts.push(crm.contacts().create(&ctx, contact).await.unwrap().value);
            let contact = dice.pick(&contacts);
            interactions.push(Interaction {
                customer_id: contact.customer_id,
                contact_id: dice.maybe(3, |_| contact.id),
                subject: dice.maybe(3, |dice| (*dice.pick(NAMES)).to_owned()),
                category: dice.maybe(3, |dice| (*dice.pick(NAMES)).to_owned()),
                occurred_at: instant(dice, now),
                duration_minutes: dice.maybe(3, |dice| *dice.pick(&[0, 1, 5, 30, 10_080])),
                sentiment: dice.maybe(3, |dice| {
                    *dice.pick(&[Sentiment::Negative, Sentiment::Neutral, Sentiment::Positive])
                }),
                tags: dice.some_of(TAGS, 3).iter().map(|tag| (*tag).to_owned()).collect(),
                team_id: dice.maybe(2, |dice| Uuid::from_u128(dice.below(3) as u128 + 1)),
                ..Interaction::default()
            });
            let day = NaiveDate::from_ymd_opt(2024, 2, 29).unwrap()
                + Duration::days(*dice.pick(&[0, 1, -1, 30, 31, -366]));
            let invoice = Invoice {
                due_on: dice.maybe(3, |_| day),
                ..Invoice::issued(customer, format!("N-{n:04}"), instant(dice, now), Currency::USD)
            };
            let lines = (0..dice.below(3))
                .map(|_| {
                    let quantity: Decimal = dice.pick(&["0", "0.5", "1", "2", "3.1416"]).parse().unwrap();
                    InvoiceLine::new(*dice.pick(NAMES), quantity, Decimal::new(dice.between(0, 999), 2))
                })
                .collect();
            invoices.push(NewInvoice { invoice, lines });
        }
        crm.interactions().log_batch(&ctx, interactions).await.unwrap();
        crm.invoices().record_batch(&ctx, invoices).await.unwrap();
        for _ in 0..2 {
            let gone = dice.pick(&customers).id;
            crm.customers().delete(&ctx, gone, Expect::Any).await.ok();
        }
        Self::read(crm, &ctx, now).await
    }

    async fn read(crm: &Crm, ctx: &Context, now: Instant) -> Self {
        async fn of<E: Entity>(crm: &Crm, ctx: &Context) -> BTreeMap<Uuid, E> {
            use crm_core::RecordId as _;
            all::<E>(crm, ctx).await.into_iter().map(|entity| (entity.id().uuid(), entity)).collect()
        }
        let mut records = BTreeMap::new();
        for def in crm.store().catalog().entities().filter(|def| def.extends.is_none()) {
            let query = Query::new(def, crm_core::criteria::Filter::always(), 10_000);
            let Some(Answer::Records(found)) = crm.read(ctx, &[Read::Find(query)]).await.unwrap().pop()
            else {
                panic!()
            };
            records.extend(found.into_iter().map(|record| (record.id(), record)));
        }
        let customers = records.values().filter(|record| record.def == Customer::def());
        let customers =
            customers.map(|record| (record.id(), Customer::from_record(record).unwrap())).collect();
        Self {
            now,
            customers,
            users: of(crm, ctx).await,
            contacts: of(crm, ctx).await,
            interactions: of(crm, ctx).await,
            invoices: of(crm, ctx).await,
            lines: of(crm, ctx).await,
            records,
        }
    }

    /// The ids that a question about an entity is about: live records of live customers.
    pub(super) fn population(&self, entity: &str) -> Vec<Uuid> {
        match entity {
            "customer" => self
                .customers
                .iter()
                .filter(|(_, c)| c.meta.deleted_at.is_none())
                .map(|(id, _)| *id)
                .collect(),
            "interaction" => self.interactions.keys().copied().collect(),
            "invoice" => self.invoices.keys().copied().collect(),
            _ => self.lines.keys().copied().collect(),
        }
    }
}
