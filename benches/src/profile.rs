//! The whole of one customer in one call, beside the same answer in SQL by hand.

use std::time::Instant as Clock;

use crm_core::Crm;
use crm_core::account::Account;
use crm_core::address::{Address, AddressType};
use crm_core::contact::Contact;
use crm_core::customer::{Customer, CustomerId, CustomerType};
use crm_core::env::{Env, SystemEnv};
use crm_core::format::{Country, Currency};
use crm_core::invoice::{Invoice, InvoiceLine, InvoiceStatus, NewInvoice};
use crm_core::profile::Customer360;
use crm_core::segment::Segment;
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};

use crate::Outcome;
use crate::bed::{Bed, Kind, TENANT, ctx};
use crate::measure::Times;
use crate::options::Options;
use crate::report::{Figure, Report};
use crate::sample::Interactions;

const PART: &str = "profile";

/// Measures it.
pub(crate) async fn run(bed: &Bed, options: &Options, report: &mut Report) -> Outcome {
    let interactions = options.size(10_000, 2_000);
    for kind in bed.all("profile").await? {
        of(bed, &kind, interactions, options, report).await?;
    }
    report.note(
        PART,
        format!(
            "`crm.profiles().of`: an organization with {interactions} interactions, 200 invoices, 20 contacts, an account, \
             addresses, milestones, and three segments by criteria that it is judged by. By hand: the same rows by twelve \
             prepared statements on one connection, the membership of the three segments as conditions in SQL, nothing \
             decoded. Statements count what is sent, the transaction around our reads included."
        ),
    );
    Ok(())
}

async fn of(bed: &Bed, kind: &Kind, interactions: usize, options: &Options, report: &mut Report) -> Outcome {
    let crm = kind.crm()?;
    let customer = fill(&crm, interactions).await?;
    let name = kind.name();
    let rounds = options.size(300, 60);
    let mut hand = match kind {
        Kind::Postgres { schema, walled: false, .. } => Some(ByHand::new(bed, schema).await?),
        _ => None,
    };
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    let before = kind.trips();
    let view = crm.profiles().of(&ctx(), customer).await?;
    let trips = kind.trips() - before;
    for _ in 0..rounds {
        let started = Clock::now();
        crm.profiles().of(&ctx(), customer).await?;
        ours.push(started.elapsed());
        if let Some(hand) = &mut hand {
            let started = Clock::now();
            let rows = hand.ask(customer).await?;
            theirs.push(started.elapsed());
            if rows != expected(&view) {
                return Err(format!("by hand {rows:?}, by the library {:?}", expected(&view)).into());
            }
        }
    }
    let what = format!("{name}: a customer with {interactions} interactions");
    if hand.is_some() {
        report.cost(PART, what, ours.median(), ("SQL by hand", theirs.median()), None);
    } else {
        report.add(Figure {
            part: PART,
            what,
            ours: crate::measure::show(ours.median()),
            peer: "none".to_owned(),
            ratio: 1.0,
            aim: None,
        });
    }
    if trips > 0 {
        report.add(Figure {
            part: PART,
            what: format!("{name}: statements for it"),
            ours: trips.to_string(),
            peer: "by hand: 12".to_owned(),
            ratio: trips as f64 / 12.0,
            aim: None,
        });
    }
    Ok(())
}

/// How many rows of each kind both must find.
fn expected(view: &Customer360) -> [i64; 9] {
    let open: i64 = view.financial.outstanding.iter().map(|open| open.invoices).sum();
    [
        1,
        view.addresses.len() as i64,
        view.people.len() as i64,
        view.milestones.len() as i64,
        view.segments.len() as i64,
        view.financial.recent.len() as i64,
        open,
        view.touches.latest.len() as i64,
        view.touches.last_30_days,
    ]
}

async fn fill(crm: &Crm, interactions: usize) -> Outcome<CustomerId> {
    let (ctx, now) = (ctx(), SystemEnv.now());
    let firm = Customer {
        r#type: CustomerType::Organization,
        display_name: "Well Known Ltd".to_owned(),
        ..Customer::default()
    };
    let id = crm.customers().create(&ctx, firm).await?.id;
    let account = Account { industry: Some("technology".to_owned()), ..Account::new(id, "Well Known Ltd") };
    crm.accounts().create(&ctx, account).await?;
    let country = Country::parse("DE")?;
    for kind in [AddressType::Billing, AddressType::Shipping] {
        crm.addresses().create(&ctx, Address::new(id, kind, "Long Street 1", "Berlin", country)).await?;
    }
    let person = |n: usize| Contact {
        customer_id: id,
        first_name: format!("Ann {n}"),
        last_name: "Ott".to_owned(),
        is_primary: n == 0,
        ..Contact::default()
    };
    let contacts = crm.contacts().create_batch(&ctx, (0..20).map(person).collect()).await?.value;
    let mut made = Interactions::new(contacts.iter().map(|contact| (id, contact.id)).collect(), now);
    for _ in 0..interactions / 1_000 {
        crm.interactions().log_batch(&ctx, made.batch(1_000)).await?;
    }
    let invoice = |n: i64| NewInvoice {
        invoice: Invoice {
            status: if n % 5 == 0 { InvoiceStatus::Issued } else { InvoiceStatus::Paid },
            ..Invoice::issued(id, n.to_string(), now - chrono::Duration::days(n), Currency::USD)
        },
        lines: vec![InvoiceLine::new("A day of work", Decimal::ONE, Decimal::from(100))],
    };
    crm.invoices().record_batch(&ctx, (0..200).map(invoice).collect()).await?;
    for (name, field, operator, value) in [
        ("Technology", "account.industry", "eq", json!("technology")),
        ("Customers", "lifecycle.current_stage.category", "eq", json!("customer")),
        ("Silent", "lifecycle.last_purchase_date", "lt", json!("now-90d")),
    ] {
        let criteria = json!({ "field": field, "operator": operator, "value": value });
        crm.segments().create(&ctx, Segment::dynamic(name, criteria)).await?;
    }
    Ok(id)
}

/// What somebody writes who has only PostgreSQL.
struct ByHand {
    connection: sqlx::PgConnection,
    statements: [String; 12],
}

impl ByHand {
    async fn new(bed: &Bed, schema: &str) -> Outcome<Self> {
        let live = "tenant = $1 AND customer_id = $2 AND deleted_at IS NULL";
        let statements = [
            format!(
                "SELECT c.*, a.*, l.*, s.*, u.* FROM {schema}.customers c \
                 LEFT JOIN {schema}.accounts a ON a.tenant = c.tenant AND a.id = c.id AND a.deleted_at IS NULL \
                 LEFT JOIN {schema}.customer_lifecycles l ON l.tenant = c.tenant AND l.id = c.id \
                 LEFT JOIN {schema}.lifecycle_stages s ON s.tenant = l.tenant AND s.id = l.current_stage_id \
                 LEFT JOIN {schema}.users u ON u.tenant = c.tenant AND u.id = c.owner_id \
                 WHERE c.tenant = $1 AND c.id = $2 AND c.deleted_at IS NULL"
            ),
            format!("SELECT * FROM {schema}.addresses WHERE {live} ORDER BY is_default DESC LIMIT 100"),
            format!(
                "SELECT * FROM {schema}.contacts WHERE {live} ORDER BY is_primary DESC, last_name, first_name LIMIT 1000"
            ),
            format!(
                "SELECT c.*, r.role FROM {schema}.contact_roles r JOIN {schema}.contacts c \
                 ON c.tenant = r.tenant AND c.id = r.contact_id AND c.deleted_at IS NULL \
                 WHERE r.tenant = $1 AND r.customer_id = $2 AND r.deleted_at IS NULL LIMIT 1000"
            ),
            format!(
                "SELECT * FROM {schema}.journey_milestones WHERE {live} ORDER BY occurred_at DESC LIMIT 20"
            ),
            format!(
                "SELECT s.* FROM {schema}.segment_members m JOIN {schema}.segments s \
                 ON s.tenant = m.tenant AND s.id = m.segment_id AND s.is_active AND s.deleted_at IS NULL \
                 WHERE m.tenant = $1 AND m.customer_id = $2 AND m.deleted_at IS NULL"
            ),
            format!(
                "SELECT * FROM {schema}.segments WHERE tenant = $1 AND is_active AND deleted_at IS NULL AND $2 = $2"
            ),
            format!(
                "SELECT a.industry = 'technology', s.category = 'customer', \
                 l.last_purchase_date < (now() - interval '90 days')::date FROM {schema}.customer_lifecycles l \
                 JOIN {schema}.lifecycle_stages s ON s.tenant = l.tenant AND s.id = l.current_stage_id \
                 LEFT JOIN {schema}.accounts a ON a.tenant = l.tenant AND a.id = l.id \
                 WHERE l.tenant = $1 AND l.id = $2"
            ),
            format!(
                "SELECT * FROM {schema}.invoices WHERE {live} AND status <> 'draft' ORDER BY issued_at DESC LIMIT 5"
            ),
            format!(
                "SELECT currency, sum(total), sum(amount_paid), min(due_on), count(*) FROM {schema}.invoices \
                 WHERE {live} AND status IN ('issued', 'partly_paid') GROUP BY currency"
            ),
            format!(
                "SELECT * FROM {schema}.interactions WHERE {live} AND occurred_at <= now() ORDER BY occurred_at DESC LIMIT 5"
            ),
            format!(
                "SELECT count(*) FROM {schema}.interactions WHERE {live} AND occurred_at <= now() \
                 AND occurred_at > now() - interval '30 days'"
            ),
        ];
        Ok(Self { connection: bed.admin().await?, statements })
    }

    async fn ask(&mut self, customer: CustomerId) -> Outcome<[i64; 9]> {
        let mut answers = Vec::with_capacity(self.statements.len());
        for statement in &self.statements {
            let query = sqlx::query(AssertSqlSafe(statement.clone())).bind(TENANT.0).bind(customer.0);
            answers.push(query.fetch_all(&mut self.connection).await?);
        }
        let rows = |place: usize| answers[place].len() as i64;
        let judged: i64 = (0..3)
            .filter_map(|column| answers[7].first()?.try_get::<Option<bool>, _>(column).ok()?)
            .map(i64::from)
            .sum();
        let open: i64 = answers[9].iter().filter_map(|row| row.try_get::<i64, _>(4).ok()).sum();
        let lately = answers[11].first().map_or(0, |row| row.try_get(0).unwrap_or_default());
        Ok([rows(0), rows(1), rows(2) + rows(3), rows(4), rows(5) + judged, rows(8), open, rows(10), lately])
    }
}
