//! The tenant's data many times over in PostgreSQL, and what a plan costs there.

use crm_core::catalog::{Catalog, EntityDef, Kind};
use crm_core::{Env as _, SystemEnv};
use crm_store_postgres::{MigrateOptions, PostgresOptions, PostgresStore, migrate, standard_migrations};
use sqlx::{AssertSqlSafe, Executor as _, PgPool};

use crate::recorder::PAGE;
use crate::script::TENANT;
use crate::{COLLEAGUES, OFFICE, OTHERS, OWN, STAFF, spreads};

/// How often everything but the office is there.
const COPIES: usize = 6_000;
/// How often the log is: it has a row for every change.
const LOGS: usize = 200;
/// What a question may cost, in the server's own unit: about one for a page of a table, a hundredth for a record. All of
/// a tenant's interactions cost some 3,500.
const MOST: f64 = 2_000.0;
/// More than a tenant has users, fewer than it has of anything that grows.
const MANY: f64 = 1_000.0;

/// A schema of its own.
pub(crate) struct Postgres {
    pub(crate) store: PostgresStore,
    pool: PgPool,
    schema: String,
}

fn url() -> String {
    crm_test_servers::postgres_url().unwrap_or_else(|error| panic!("{error}; `cargo verify` starts one"))
}

impl Postgres {
    pub(crate) async fn new() -> Self {
        let catalog = crm_core::standard_catalog().build().unwrap();
        let schema = format!("t_{}", SystemEnv.new_id().simple());
        let migrations = standard_migrations();
        let options = MigrateOptions { schema: schema.clone(), migrations, ..MigrateOptions::default() };
        migrate(&url(), &catalog, options).await.unwrap();
        let options = PostgresOptions { schema: schema.clone(), ..PostgresOptions::default() };
        let store = PostgresStore::connect(&url(), catalog, options).await.unwrap();
        let pool = store.pool().clone();
        Self { store, pool, schema }
    }

    async fn execute(&self, text: String) {
        self.pool
            .execute(AssertSqlSafe(text.clone()))
            .await
            .unwrap_or_else(|error| panic!("{error}: {text}"));
    }

    /// Every record of the tenant again and again: half of them there, the others with other tenants.
    pub(crate) async fn multiply(&self, catalog: &Catalog) {
        let (office, staff) = (self.ids_of(catalog, &OFFICE).await, self.ids_of(catalog, &STAFF).await);
        self.execute(format!(
            "CREATE FUNCTION {}.copy_of(id uuid, n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT CASE \
             WHEN id = ANY({office}) OR id = ANY({staff}) AND n % {COLLEAGUES} = 0 THEN id \
             WHEN id = ANY({staff}) THEN md5(id::text || n % {COLLEAGUES})::uuid ELSE md5(id::text || n)::uuid END $$",
            self.schema
        ))
        .await;
        let others = OTHERS.map(|tenant| format!("'{tenant}'::uuid"));
        let own = format!("'{}'::uuid", TENANT.0);
        let spread = format!("CASE n % 4 WHEN 2 THEN {} WHEN 3 THEN {} ELSE {own} END", others[0], others[1]);
        for def in catalog.in_link_order() {
            if OFFICE.contains(&def.name) {
                for tenant in &others {
                    self.copy(def.table, Some(def), "generate_series(0, 0)", tenant).await;
                }
            } else if STAFF.contains(&def.name) {
                let colleagues = format!("generate_series(1, {})", COLLEAGUES - 1);
                for tenant in &others {
                    self.copy(def.table, Some(def), "generate_series(0, 0)", tenant).await;
                    self.copy(def.table, Some(def), &colleagues, tenant).await;
                }
                self.copy(def.table, Some(def), &colleagues, &own).await;
            } else {
                self.copy(def.table, Some(def), &format!("generate_series(1, {COPIES})"), &spread).await;
            }
        }
        for (table, copies) in
            [("crm_timeline", COPIES), ("crm_tokens", COPIES), ("crm_log", LOGS), ("crm_keys", COPIES)]
        {
            self.copy(table, None, &format!("generate_series(1, {copies})"), &spread).await;
        }
        let tables = catalog.in_link_order().into_iter().map(|def| def.table);
        let tables: Vec<String> = tables.chain(OWN).map(|table| format!("{}.{table}", self.schema)).collect();
        // So many samples that every row is one: the plans are the same each time.
        let text = "BEGIN; SET LOCAL default_statistics_target = 1000; ANALYZE";
        self.execute(format!("{text} {}; COMMIT", tables.join(", "))).await;
    }

    /// The ids of all records of some entities.
    async fn ids_of(&self, catalog: &Catalog, names: &[&str]) -> String {
        let mut list: Vec<String> = Vec::new();
        for name in names {
            let text = format!("SELECT id::text FROM {}.{}", self.schema, catalog.get(name).unwrap().table);
            list.extend(
                sqlx::query_scalar::<_, String>(AssertSqlSafe(text)).fetch_all(&self.pool).await.unwrap(),
            );
        }
        format!("'{{{}}}'::uuid[]", list.join(","))
    }

    /// The tenant's rows of a table again, for each number.
    async fn copy(&self, table: &str, def: Option<&EntityDef>, numbers: &str, tenant: &str) {
        let text = "SELECT column_name::text, data_type::text FROM information_schema.columns \
                    WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position";
        let columns: Vec<(String, String)> =
            sqlx::query_as(text).bind(&self.schema).bind(table).fetch_all(&self.pool).await.unwrap();
        let names: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let values: Vec<String> = columns
            .iter()
            .zip(&names)
            .map(|((name, r#type), column)| match (table, name.as_str(), r#type.as_str()) {
                (_, "tenant", _) => tenant.to_owned(),
                (_, _, "uuid") => format!("{}.copy_of({column}, n)", self.schema),
                ("crm_tokens", "token", _) => {
                    "CASE WHEN token LIKE '#%' THEN token ELSE n || token END".to_owned()
                }
                ("crm_keys", "key", _) => "key || n".to_owned(),
                ("crm_log", "number", _) => "number + n::bigint * 100000".to_owned(),
                (_, _, "timestamp with time zone") => format!("{column} - n * interval '5 minutes'"),
                (_, _, "date") => format!("{column} - n % 300"),
                (_, "pinned" | "is_pinned", _) => format!("{column} AND n % 100 = 0"),
                (_, _, "numeric") => format!("{column} + n"),
                _ => def.and_then(|def| spread_out(def, name, column)).unwrap_or_else(|| column.clone()),
            })
            .collect();
        self.execute(format!(
            "INSERT INTO {schema}.{table} ({}) SELECT {} FROM {schema}.{table} CROSS JOIN {numbers} AS n \
             WHERE {schema}.{table}.tenant = '{}'::uuid",
            names.join(", "),
            values.join(", "),
            TENANT.0,
            schema = self.schema
        ))
        .await;
    }

    pub(crate) async fn done(self) {
        self.execute(format!("DROP SCHEMA {} CASCADE", self.schema)).await;
        self.pool.close().await;
    }
}

/// Another value of a field that records are looked up by, so that few have the same.
fn spread_out(def: &EntityDef, name: &str, column: &str) -> Option<String> {
    let field = def.fields.iter().find(|field| field.name == name || field.compare_column() == name)?;
    match field.kind {
        _ if !spreads(def, field) => None,
        Kind::Text { max, .. } => Some(format!("n || left({column}, {})", max - 6)),
        Kind::Int { min, max } => Some(format!("({column} - {min} + n) % {} + {min}", max - min + 1)),
        _ => None,
    }
}

/// What is wrong with a plan: it reads a table as a whole, or all that a tenant has there (to sort it, to count it, to find
/// the few that meet a condition), or is expected to cost more than [`MOST`].
pub(crate) fn fault(plan: &str, big: &[&str]) -> Option<String> {
    let number = |line: &str, before: &str| -> f64 {
        let rest = line.split(before).nth(1).unwrap_or_else(|| panic!("{plan}"));
        rest.split([' ', ')']).next().unwrap().parse().unwrap()
    };
    let step = |line: &str| line.trim_start().trim_start_matches("->").trim_start().to_owned();
    let cost = number(plan.lines().next().unwrap(), "..");
    if cost > MOST {
        return Some(format!("it costs {cost}, more than {MOST}"));
    }
    // An index of few rows may be read from end to end.
    let of_few = |line: &str| line.contains(" crm_timeline_pinned");
    let is_big =
        |line: &str| !of_few(line) && big.iter().any(|table| line.contains(&format!(" on {table} ")));
    if let Some(line) = plan.lines().find(|line| line.contains("Seq Scan") && is_big(line)) {
        return Some(format!("it reads a whole table: {}", step(line)));
    }
    let needs_all =
        plan.lines().map(step).any(|step| step.starts_with("Sort  (") || step.contains("Aggregate  ("));
    let of_tenant = format!("Index Cond: (tenant = '{}'::uuid)", TENANT.0);
    let of_all = |scan: &str| {
        let rows = number(scan, " rows=");
        // A page in the order of an index ends when it is full; a bitmap is made whole.
        if scan.contains("Bitmap Index Scan") {
            return !of_few(scan) && rows > MANY;
        }
        is_big(scan) && (needs_all || rows < PAGE as f64)
    };
    plan.lines()
        .zip(plan.lines().skip(1))
        .find(|(scan, condition)| condition.trim() == of_tenant && of_all(scan))
        .map(|(scan, _)| format!("it reads all of a tenant: {}", step(scan)))
}
