//! Loading: every step one command with an idempotency key, so that a second run, or one that goes on where the first
//! was stopped, changes nothing twice.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use crm_core::account::Account;
use crm_core::address::{Address, AddressType};
use crm_core::contact::Contact;
use crm_core::customer::{Customer, CustomerId, CustomerSource, CustomerType, ExternalKey};
use crm_core::directory::{User, UserId};
use crm_core::format::{Country, Currency, phone};
use crm_core::invoice::{Invoice, InvoiceLine, InvoiceStatus, NewInvoice};
use crm_core::lifecycle::{AdvanceStage, CustomerLifecycle, StageTrigger};
use crm_core::score::{Factors, ScoreType, ScoringModel};
use crm_core::segment::Segment;
use crm_core::store::{Answer, MAX_WRITES, Read};
use crm_core::value::Value;
use crm_core::{Context, Crm, Find};
use rust_decimal::Decimal;
use serde_json::json;
use uuid::Uuid;

use crate::Result;
use crate::chinook::{Buyer, Chinook, Employee, Sale};

/// What the shop's own system is called in external ids.
pub const SYSTEM: &str = "chinook";

/// The segment of those who bought most.
pub const BEST_BUYERS: &str = "Best buyers";

/// Told after each command: what is loaded, how many are done, of how many.
pub type Progress<'p> = dyn FnMut(&str, usize, usize) + Send + 'p;

/// What was loaded, now or before.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// How many users, customers, contacts, accounts, addresses, invoices, lines of invoices and segments.
    pub counts: [usize; 8],
    /// How many of the customers are organizations.
    pub organizations: usize,
    /// Telephone numbers of no numbering plan, with whose they are.
    pub odd_phones: Vec<(String, String)>,
    /// How many commands it took.
    pub commands: usize,
    /// How many of them had been done before and changed nothing now.
    pub repeated: usize,
    /// How many rows the change log has now: one for each record that was ever written.
    pub log: i64,
    /// How many of them this run has added.
    pub log_added: i64,
    /// How long it took.
    pub took: std::time::Duration,
}

/// Loads everything.
///
/// # Errors
/// The store does not answer, or the library refuses something, such as an invoice whose lines add up to another total.
pub async fn load(crm: &Crm, ctx: &Context, data: &Chinook, progress: &mut Progress<'_>) -> Result<Loaded> {
    let started = crm.env().ticks();
    let before = log_head(crm, ctx).await?;
    let mut loaded = Loaded::default();
    let key = |step: &str| ctx.clone().with_key(format!("{SYSTEM}/{step}"));

    let users: Vec<User> = data.employees.iter().map(user).collect();
    let count = users.len();
    loaded.note(crm.users().put(&key("users"), users).await?.repeated);
    progress("users", count, count);

    let mut customers = BTreeMap::new();
    for (place, chunk) in data.customers.chunks(MAX_WRITES / 4).enumerate() {
        let mut batch = Vec::with_capacity(chunk.len());
        for buyer in chunk {
            batch.push((customer(buyer, &mut loaded)?, vec![external_key(buyer)]));
        }
        let done = crm.customers().create_batch(&key(&format!("customers/{place}")), batch).await?;
        customers.extend(chunk.iter().zip(&*done).map(|(buyer, customer)| (buyer.customer_id, customer.id)));
        loaded.note(done.repeated);
        progress("customers", customers.len(), data.customers.len());
    }

    let mut contacts = 0;
    for (place, chunk) in data.customers.chunks(MAX_WRITES / 2).enumerate() {
        let batch = chunk.iter().map(|buyer| contact(buyer, customers[&buyer.customer_id])).collect();
        let done = crm.contacts().create_batch(&key(&format!("contacts/{place}")), batch).await?;
        contacts += done.len();
        loaded.note(done.repeated);
        progress("contacts", contacts, data.customers.len());
    }

    let mut accounts = 0;
    for buyer in &data.customers {
        if let Some(company) = &buyer.company {
            let account = Account::new(customers[&buyer.customer_id], company);
            let done =
                crm.accounts().create(&key(&format!("accounts/{}", buyer.customer_id)), account).await?;
            accounts += 1;
            loaded.note(done.repeated);
        }
    }
    progress("accounts", accounts, loaded.organizations);

    let mut addresses = 0;
    for (place, chunk) in data.customers.chunks(MAX_WRITES).enumerate() {
        let batch = chunk.iter().map(|buyer| address(buyer, customers[&buyer.customer_id]));
        let batch = batch.collect::<Result<_>>()?;
        let done = crm.addresses().create_batch(&key(&format!("addresses/{place}")), batch).await?;
        addresses += done.len();
        loaded.note(done.repeated);
        progress("addresses", addresses, data.customers.len());
    }

    let (mut invoices, mut lines) = (0, 0);
    for (place, chunk) in batches(data).into_iter().enumerate() {
        let mut batch = Vec::with_capacity(chunk.len());
        for sale in chunk {
            let customer = customers.get(&sale.customer_id);
            let customer =
                customer.ok_or_else(|| format!("invoice {} is of no customer", sale.invoice_id))?;
            batch.push(invoice(sale, *customer, data));
        }
        lines += batch.iter().map(|new| new.lines.len()).sum::<usize>();
        let done = crm.invoices().record_batch(&key(&format!("invoices/{place}")), batch).await?;
        invoices += done.len();
        loaded.note(done.repeated);
        progress("invoices", invoices, data.invoices.len());
    }

    let silent = json!({ "field": "lifecycle.last_purchase_date", "operator": "lt", "value": "now-300d" });
    let at_risk = crm.lifecycle().stages(ctx).await?.into_iter().find(|stage| stage.name == "At Risk");
    let silent = crm.customers().find(ctx, &Find::matching(silent).limit(9_999)).await?.items;
    for (place, customer) in silent.iter().enumerate() {
        let Some(at_risk) = &at_risk else { break };
        let step = AdvanceStage {
            reason: Some("bought nothing for 300 days".to_owned()),
            trigger: StageTrigger::System,
            ..AdvanceStage::new(customer.id, at_risk.id)
        };
        let done = crm.lifecycle().advance(&key(&format!("at-risk/{}", customer.id)), step).await?;
        loaded.note(done.repeated);
        progress("customers at risk", place + 1, silent.len());
    }

    loaded.note(crm.scores().put_model(&key("health"), health()).await?.repeated);
    let lifecycles = crm.find::<CustomerLifecycle>(ctx, &Find::all().limit(9_999)).await?.items;
    let today = crm.env().now().date_naive();
    for (place, lifecycle) in lifecycles.iter().enumerate() {
        let id = lifecycle.customer_id;
        let factors = factors(lifecycle, today);
        let done = crm.scores().record(&key(&format!("health/{id}")), id, ScoreType::Health, factors).await?;
        loaded.note(done.repeated);
        progress("health scores", place + 1, lifecycles.len());
    }

    let segments = [
        (
            "Companies of Jane Peacock",
            Some(json!({ "all": [
            { "field": "account", "operator": "exists" },
            { "field": "owner.name", "operator": "eq", "value": "Jane Peacock" },
        ] })),
        ),
        (
            "Companies that bought lately",
            Some(json!({ "all": [
            { "field": "account", "operator": "exists" },
            { "field": "lifecycle.current_stage.category", "operator": "eq", "value": "customer" },
            { "field": "lifecycle.last_purchase_date", "operator": "gte", "value": "now-90d" },
        ] })),
        ),
        (BEST_BUYERS, None),
    ];
    let all = segments.len();
    for (place, (name, criteria)) in segments.into_iter().enumerate() {
        let by_hand = criteria.is_none();
        let segment = match criteria {
            Some(criteria) => Segment::dynamic(name, criteria),
            None => Segment::fixed(name),
        };
        let segment = crm.segments().create(&key(&format!("segments/{name}")), segment).await?;
        loaded.note(segment.repeated);
        if by_hand {
            let members: Vec<_> = best_buyers(data).into_iter().map(|buyer| customers[&buyer]).collect();
            let done = crm.segments().add(&key(&format!("members/{name}")), segment.id, &members).await?;
            loaded.note(done.repeated);
        }
        progress("segments", place + 1, all);
    }

    loaded.counts = [count, customers.len(), contacts, accounts, addresses, invoices, lines, all];
    loaded.log = log_head(crm, ctx).await?;
    loaded.log_added = loaded.log - before;
    loaded.took = crm.env().ticks().saturating_sub(started);
    Ok(loaded)
}

impl Loaded {
    /// Whether all of it had been loaded before.
    pub fn nothing_to_do(&self) -> bool {
        self.repeated == self.commands
    }

    fn note(&mut self, repeated: bool) {
        self.commands += 1;
        self.repeated += usize::from(repeated);
    }
}

/// The number of the last row of the tenant's change log.
///
/// # Errors
/// The store does not answer.
pub async fn log_head(crm: &Crm, ctx: &Context) -> Result<i64> {
    while crm.store().seal_log(ctx.tenant, MAX_WRITES).await? == MAX_WRITES {}
    match crm.read(ctx, &[Read::LogHead]).await?.pop() {
        Some(Answer::Position(number)) => Ok(number),
        _ => Err("the store gave no number for the head of its log".into()),
    }
}

/// What the shop's system calls a customer.
pub fn external_key(buyer: &Buyer) -> ExternalKey {
    ExternalKey::new(SYSTEM, buyer.customer_id.to_string())
}

/// The id of a user is the directory's own; here one is made of the employee's number.
pub fn user_id(employee: u32) -> UserId {
    UserId(Uuid::from_u128(0x6368_696e_6f6f_4b01_8000_0000_0000_0000 | u128::from(employee)))
}

fn user(employee: &Employee) -> User {
    User {
        id: user_id(employee.employee_id),
        name: format!("{} {}", employee.first_name, employee.last_name),
        email: Some(employee.email.clone()),
        manager_id: employee.reports_to.map(user_id),
        ..User::default()
    }
}

/// A company is an organization, everyone else an individual. The country is a custom field besides the address's,
/// for the criteria, and "has a fax" a tag.
fn customer(buyer: &Buyer, loaded: &mut Loaded) -> Result<Customer> {
    let region = Country::from_name(&buyer.country)?;
    let raw = buyer.phone.as_deref().unwrap_or_default();
    if !raw.is_empty() && !phone(raw, Some(region)).valid {
        loaded.odd_phones.push((buyer.person(), raw.to_owned()));
    }
    loaded.organizations += usize::from(buyer.company.is_some());
    Ok(Customer {
        r#type: if buyer.company.is_some() { CustomerType::Organization } else { CustomerType::Individual },
        display_name: buyer.display_name(),
        source: Some(CustomerSource::Import),
        email: Some(buyer.email.clone()),
        phone: international(buyer),
        owner_id: Some(user_id(buyer.support_rep_id)),
        tags: buyer.fax.iter().map(|_| "fax".to_owned()).collect(),
        custom: [("country".to_owned(), Value::Text(buyer.country.clone()))].into(),
        ..Customer::default()
    })
}

fn contact(buyer: &Buyer, customer: CustomerId) -> Contact {
    Contact {
        customer_id: customer,
        first_name: buyer.first_name.clone(),
        last_name: buyer.last_name.clone(),
        email: Some(buyer.email.clone()),
        phone: international(buyer),
        is_primary: true,
        ..Contact::default()
    }
}

/// The number as E.164, read in the customer's country; as it is where it is not valid there.
fn international(buyer: &Buyer) -> Option<String> {
    let number = phone(buyer.phone.as_deref()?, Country::from_name(&buyer.country).ok());
    if number.valid { number.e164 } else { Some(number.raw) }
}

fn invoice(sale: &Sale, customer: CustomerId, data: &Chinook) -> NewInvoice {
    let lines = data.lines.get(&sale.invoice_id).map_or(&[][..], Vec::as_slice);
    NewInvoice {
        invoice: Invoice {
            status: InvoiceStatus::Paid,
            total: sale.total,
            amount_paid: sale.total,
            ..Invoice::issued(customer, sale.invoice_id.to_string(), sale.invoice_date, Currency::USD)
        },
        lines: lines
            .iter()
            .map(|line| InvoiceLine::new(format!("Track {}", line.track_id), line.quantity, line.unit_price))
            .collect(),
    }
}

fn address(buyer: &Buyer, customer: CustomerId) -> Result<Address> {
    let country = Country::from_name(&buyer.country)?;
    Ok(Address {
        is_default: true,
        state_province: buyer.state.clone(),
        postal_code: buyer.postal_code.clone(),
        ..Address::new(customer, AddressType::Billing, &buyer.address, &buyer.city, country)
    })
}

/// How well it goes with a customer, by what it buys: how lately, how often, for how much.
fn health() -> ScoringModel {
    let weights = [("recency", 4), ("frequency", 3), ("spend", 3)];
    let weights = weights.map(|(name, tenths)| (name.to_owned(), Decimal::new(tenths, 1)));
    ScoringModel::new("Health by purchases", ScoreType::Health, Factors::from(weights))
}

/// The factors, each from 0 to 100: the days of a year since the last purchase, of ten purchases, of 50 dollars.
fn factors(lifecycle: &CustomerLifecycle, today: NaiveDate) -> Factors {
    let hundred = Decimal::ONE_HUNDRED;
    let percent = |part: Decimal, whole: i64| (part * hundred / Decimal::from(whole)).min(hundred);
    let mut factors = Factors::from([
        ("frequency".to_owned(), percent(lifecycle.purchase_count.into(), 10)),
        ("spend".to_owned(), percent(lifecycle.total_revenue, 50)),
    ]);
    if let Some(last) = lifecycle.last_purchase_date {
        let days = Decimal::from((today - last).num_days());
        factors.insert("recency".to_owned(), hundred - percent(days, 365));
    }
    factors
}

/// The five who bought most, by the sum of their invoices.
fn best_buyers(data: &Chinook) -> Vec<u32> {
    let mut sums: BTreeMap<u32, Decimal> = BTreeMap::new();
    for sale in &data.invoices {
        *sums.entry(sale.customer_id).or_default() += sale.total;
    }
    let mut buyers: Vec<_> = sums.into_iter().map(|(buyer, sum)| (Reverse(sum), buyer)).collect();
    buyers.sort_unstable();
    buyers.into_iter().take(5).map(|(_, buyer)| buyer).collect()
}

/// Splits the invoices so that each batch is one commit, with the lines and what follows for whoever buys: the customer,
/// its lifecycle, the milestone of a first purchase and three stages on the way.
fn batches(data: &Chinook) -> Vec<Vec<&Sale>> {
    let mut batches: Vec<Vec<&Sale>> = Vec::new();
    let (mut room, mut buyers) = (0, BTreeSet::new());
    for sale in &data.invoices {
        let own = 1 + data.lines.get(&sale.invoice_id).map_or(0, Vec::len);
        let records = if buyers.contains(&sale.customer_id) { own } else { own + 6 };
        if records > room {
            batches.push(Vec::new());
            (room, buyers) = (MAX_WRITES, BTreeSet::new());
        }
        buyers.insert(sale.customer_id);
        room = room.saturating_sub(records);
        if let Some(batch) = batches.last_mut() {
            batch.push(sale);
        }
    }
    batches
}
