//! Criteria pushed down as SQL, beside the same SQL written by hand.

use std::collections::BTreeMap;
use std::time::Instant as Clock;

use chrono::{DateTime, Duration, Utc};
use crm_core::catalog::Entity;
use crm_core::criteria::{Criteria, Filter, Path, Scope};
use crm_core::customer::{Customer, CustomerSource};
use crm_core::env::{Env, SystemEnv};
use crm_core::record::Record;
use crm_core::store::{Answer, Direction, MAX_WRITES, Order, Query, Read};
use crm_core::value::{Instant, Value, truncate};
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use crate::bed::{Bed, Kind, TENANT, ctx};
use crate::measure::Times;
use crate::options::Options;
use crate::report::{Aim, Report};
use crate::sample::{Random, customers};
use crate::{Failure, Outcome};

const PART: &str = "pushdown";
/// How many customers come through the facade; the others are copies of them.
const SEED: usize = 1_000;

/// Measures it.
pub(crate) async fn run(bed: &Bed, options: &Options, report: &mut Report) -> Outcome {
    let count = options.size(200_000, 50_000);
    for walled in [false, true] {
        let kind = bed.postgres(if walled { "find_walled" } else { "find_open" }, walled).await?;
        fill(bed, &kind, count).await?;
        of(&kind, options, report).await?;
    }
    report.note(
        PART,
        format!(
            "{count} customers. Both sides take a connection of the same pool and, with row level security, open a \
             transaction that names the tenant and roll it back. Ours reads the rows into records and those into customers."
        ),
    );
    Ok(())
}

/// What somebody would read the rows into.
#[derive(Debug, FromRow)]
#[expect(dead_code, reason = "reading all of a row is what is measured")]
struct Row {
    id: Uuid,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    r#type: String,
    display_name: String,
    status: String,
    source: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    phone_e164: Option<String>,
    owner_id: Option<Uuid>,
    parent_id: Option<Uuid>,
    tags: Option<Vec<String>>,
    is_vip: bool,
    is_blocked: bool,
    preferred_language: Option<String>,
    processing_restricted: bool,
    do_not_process: bool,
    custom: Option<Json>,
    created_by: Option<Uuid>,
    erased_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "id, version, created_at, updated_at, deleted_at, type, display_name, status, source, email, phone, \
    phone_e164, owner_id, parent_id, tags, is_vip, is_blocked, preferred_language, processing_restricted, do_not_process, \
    custom, created_by, erased_at";

/// A question in both forms.
struct Question {
    name: &'static str,
    criteria: Json,
    order: Option<(&'static str, Direction)>,
    limit: usize,
    /// After `WHERE tenant = $1 AND`; `$2` is 365 days ago.
    sql: &'static str,
}

fn questions() -> Vec<Question> {
    vec![
        Question {
            name: "50 newest of 3 conditions",
            criteria: json!({ "all": [
                { "field": "status", "operator": "in", "value": ["active", "prospect"] },
                { "field": "is_vip", "operator": "eq", "value": true },
                { "field": "created_at", "operator": "gte", "value": "now-365d" },
            ] }),
            order: Some(("created_at", Direction::Descending)),
            limit: 50,
            sql: "status IN ('active', 'prospect') AND is_vip AND created_at >= $2 AND deleted_at IS NULL \
                  ORDER BY created_at DESC NULLS LAST, id LIMIT 50",
        },
        Question {
            name: "50 whose name begins so, by name",
            criteria: json!({ "field": "display_name", "operator": "starts_with", "value": "Ka" }),
            order: Some(("display_name", Direction::Ascending)),
            limit: 50,
            sql: "display_name_fold >= 'ka' AND display_name_fold < 'kb' AND deleted_at IS NULL AND $2::timestamptz IS NOT NULL \
                  ORDER BY display_name_fold NULLS FIRST, id LIMIT 50",
        },
        Question {
            name: "2,000 of 9 nested conditions, by id",
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
                ] },
                { "field": "preferred_language", "operator": "in", "value": ["de", "en", "fr"] },
                { "field": "created_at", "operator": "gte", "value": "now-365d" },
                { "field": "email", "operator": "exists" },
            ] }),
            order: None,
            limit: 2_000,
            sql: "(status = 'active' OR (status = 'prospect' AND source IN ('referral', 'sales'))) AND NOT is_blocked \
                  AND ('newsletter' = ANY(tags) OR custom ->> 'tier' IN ('gold', 'silver')) \
                  AND preferred_language IN ('de', 'en', 'fr') AND created_at >= $2 AND email <> '' \
                  AND deleted_at IS NULL ORDER BY id LIMIT 2000",
        },
    ]
}

async fn of(kind: &Kind, options: &Options, report: &mut Report) -> Outcome {
    let Kind::Postgres { store, schema, walled } = kind else { return Err("no PostgreSQL".into()) };
    let crm = kind.crm()?;
    let now = truncate(SystemEnv.now());
    let since = now - Duration::days(365);
    for question in questions() {
        let read = [Read::Find(query(&crm, &question, now)?)];
        let sql = format!("SELECT {COLUMNS} FROM {schema}.customers WHERE tenant = $1 AND {}", question.sql);
        let (mut ours, mut theirs) = (Times::default(), Times::default());
        let rounds = if question.limit > 50 { options.size(120, 40) } else { options.size(1_000, 200) };
        for round in 0..rounds {
            let started = Clock::now();
            let found = match crm.store().read(TENANT, &read).await?.pop() {
                Some(Answer::Records(records)) => structs(records)?,
                _ => return Err("an answer of another kind".into()),
            };
            ours.push(started.elapsed());
            let started = Clock::now();
            let rows = by_hand(store.pool(), &sql, *walled, since).await?;
            theirs.push(started.elapsed());
            let same = found.iter().map(|customer| customer.id.0).eq(rows.iter().map(|row| row.id));
            if round == 0 && (!same || found.is_empty()) {
                return Err(
                    format!("{}: {} of ours, {} by hand", question.name, found.len(), rows.len()).into()
                );
            }
        }
        let what = format!("{}: {}", kind.name(), question.name);
        let peer = ("by hand", theirs.median());
        report.cost(PART, what, ours.median(), peer, Some(Aim::AtMost(1.1)));
    }
    Ok(())
}

fn structs(records: Vec<Record>) -> Outcome<Vec<Customer>> {
    Ok(records.into_iter().map(Customer::from_owned).collect::<Result<_, _>>()?)
}

fn query(crm: &crm_core::Crm, question: &Question, now: Instant) -> Outcome<Query> {
    let (catalog, def) = (crm.store().catalog(), Customer::def());
    let scope = Scope::new(catalog, chrono_tz::Tz::UTC);
    let filter = Criteria::parse(&question.criteria, def, &scope)?.at(now).and(Filter::live(catalog, def));
    let mut query = Query::new(def, filter, question.limit);
    if let Some((field, direction)) = question.order {
        let path = Path::own(def, field).ok_or_else(|| Failure::from("no such field"))?;
        query.order.push(Order { path, direction });
    }
    Ok(query)
}

async fn by_hand(pool: &PgPool, sql: &str, walled: bool, since: Instant) -> Outcome<Vec<Row>> {
    let mut connection = pool.acquire().await?;
    if walled {
        let text = format!("BEGIN READ ONLY; SELECT set_config('app.tenant', '{TENANT}', true)");
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection).await?;
    }
    let found = sqlx::query_as::<_, Row>(AssertSqlSafe(sql.to_owned()))
        .bind(TENANT.0)
        .bind(since)
        .fetch_all(&mut *connection)
        .await;
    if walled {
        sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await?;
    }
    Ok(found?)
}

/// Customers through the facade, and copies of them with other ids and instants.
async fn fill(bed: &Bed, kind: &Kind, count: usize) -> Outcome {
    let Kind::Postgres { schema, .. } = kind else { return Err("no PostgreSQL".into()) };
    let mut random = Random::new(13);
    let mut new = customers(&mut random, SEED);
    for customer in &mut new {
        customer.is_vip = random.below(5) == 0;
        customer.is_blocked = random.below(20) == 0;
        customer.source = random.one_of(&[None, Some(CustomerSource::Referral), Some(CustomerSource::Web)]);
        customer.preferred_language = Some(random.one_of(&["de", "en", "fr", "it"]).to_owned());
        if random.below(2) == 0 {
            customer.tags = vec![random.one_of(&["beta", "newsletter", "partner"]).to_owned()];
            let tier = random.one_of(&["bronze", "gold", "silver"]);
            customer.custom = BTreeMap::from([
                ("tier".to_owned(), Value::Text(tier.to_owned())),
                ("score".to_owned(), Value::Decimal(Decimal::from(random.below(1_000)))),
            ]);
        }
    }
    for some in new.chunks(MAX_WRITES / 4) {
        let some = some.iter().map(|customer| (customer.clone(), Vec::new())).collect();
        kind.crm()?.customers().create_batch(&ctx(), some).await?;
    }
    let mut admin = bed.admin().await?;
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT column_name::text FROM information_schema.columns WHERE table_schema = $1 AND table_name = 'customers' \
         ORDER BY ordinal_position",
    )
    .bind(schema)
    .fetch_all(&mut admin)
    .await?;
    let copied: Vec<String> = columns
        .iter()
        .map(|column| match column.as_str() {
            "id" => "gen_random_uuid()".to_owned(),
            "created_at" => "date_trunc('second', c.created_at - random() * interval '1500 days')".to_owned(),
            other => format!("c.{other}"),
        })
        .collect();
    let text = format!(
        "INSERT INTO {schema}.customers ({}) SELECT {} FROM {schema}.customers AS c CROSS JOIN generate_series(2, {})",
        columns.join(", "),
        copied.join(", "),
        count / SEED
    );
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut admin).await?;
    bed.settle(kind).await
}
