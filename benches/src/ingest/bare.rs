//! The same rows through nothing but the driver.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant as Clock};

use bson::{Document, doc};
use crm_core::RecordId;
use crm_core::interaction::Interaction;
use futures_util::TryStreamExt;
use mongodb::{Collection, Database};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::Outcome;
use crate::bed::{Bed, Kind, TENANT};

/// A table of interactions and nothing around it.
pub(super) enum Bare {
    /// Maps.
    Memory(Box<Maps>),
    /// A table with the same columns, indexes, checks and foreign keys.
    Postgres { connection: PgConnection, insert: String },
    /// A collection with the same indexes, and the one that the documents are taken from.
    Mongo { from: Database, to: Collection<Document> },
}

impl Bare {
    /// The counterpart of a store, as empty as its interactions, with the same people.
    pub(super) async fn beside(bed: &Bed, kind: &Kind) -> Outcome<Self> {
        Ok(match kind {
            Kind::Memory(_) => Self::Memory(Box::default()),
            Kind::Postgres { schema, .. } => {
                let bare = format!("{schema}_bare");
                bed.postgres(&bare, false).await?;
                let mut admin = bed.admin().await?;
                for table in ["customers", "contacts"] {
                    let text = format!("INSERT INTO {bare}.{table} SELECT * FROM {schema}.{table}");
                    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut admin).await?;
                }
                let connection = PgConnection::connect(&bed.postgres_url(false)).await?;
                Self::Postgres { connection, insert: insert(&bare) }
            }
            Kind::Mongo(store) => {
                let name = format!("{}_bare", store.database().name());
                let Kind::Mongo(bare) = bed.mongo(&name).await? else { return Err("no MongoDB".into()) };
                Self::Mongo { from: store.database().clone(), to: bare.database().collection("interactions") }
            }
        })
    }

    /// Inserts what was logged, and says how long the driver took.
    pub(super) async fn insert(&mut self, logged: &[Interaction]) -> Outcome<Duration> {
        match self {
            Self::Memory(maps) => {
                let rows = logged.to_vec();
                let started = Clock::now();
                for row in rows {
                    maps.insert(row);
                }
                Ok(started.elapsed())
            }
            Self::Postgres { connection, insert } => {
                let started = Clock::now();
                rows(connection, insert, logged).await?;
                Ok(started.elapsed())
            }
            Self::Mongo { from, to } => {
                let ids: Vec<Document> = logged
                    .iter()
                    .map(|row| doc! { "t": bson_uuid(TENANT.0), "i": bson_uuid(row.id.uuid()) })
                    .collect();
                let found =
                    from.collection::<Document>("interactions").find(doc! { "_id": { "$in": ids } }).await?;
                let documents: Vec<Document> = found.try_collect().await?;
                if documents.len() != logged.len() {
                    return Err(
                        format!("{} documents of {} interactions", documents.len(), logged.len()).into()
                    );
                }
                let started = Clock::now();
                to.insert_many(documents).await?;
                Ok(started.elapsed())
            }
        }
    }
}

fn bson_uuid(id: Uuid) -> bson::Bson {
    let bytes = id.as_bytes().to_vec();
    bson::Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes })
}

/// Interactions by id, and their ids in the orders of the six indexes.
#[derive(Default)]
pub(super) struct Maps {
    rows: BTreeMap<Uuid, Interaction>,
    external: BTreeSet<(&'static str, Option<String>, Uuid)>,
    by_customer: BTreeSet<(Uuid, i64, Uuid)>,
    by_contact: BTreeSet<(Option<Uuid>, i64, Uuid)>,
    by_type: BTreeSet<(&'static str, i64, Uuid)>,
    by_reply: BTreeSet<(&'static str, i64, Uuid)>,
}

impl Maps {
    fn insert(&mut self, row: Interaction) {
        let (id, at) = (row.id.uuid(), row.occurred_at.timestamp_millis());
        self.external.insert((row.source.code(), row.external_id.clone(), id));
        self.by_customer.insert((row.customer_id.uuid(), at, id));
        self.by_contact.insert((row.contact_id.map(RecordId::uuid), at, id));
        self.by_type.insert((row.interaction_type.code(), at, id));
        self.by_reply.insert((row.reply_status.code(), at, id));
        self.rows.insert(id, row);
    }
}

/// The columns that are ever filled, with their types.
const COLUMNS: [(&str, &str); 21] = [
    ("id", "uuid"),
    ("version", "bigint"),
    ("created_at", "timestamptz"),
    ("updated_at", "timestamptz"),
    ("customer_id", "uuid"),
    ("contact_id", "uuid"),
    ("interaction_type", "text"),
    ("direction", "text"),
    ("subject", "text"),
    ("description", "text"),
    ("occurred_at", "timestamptz"),
    ("duration_minutes", "bigint"),
    ("outcome", "text"),
    ("source", "text"),
    ("external_id", "text"),
    ("reply_status", "text"),
    ("is_backdated", "boolean"),
    ("is_pinned", "boolean"),
    ("visibility", "text"),
    ("audience", "text"),
    ("created_by", "uuid"),
];

fn insert(schema: &str) -> String {
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let arrays: Vec<String> =
        COLUMNS.iter().zip(2..).map(|((_, kind), place)| format!("${place}::{kind}[]")).collect();
    let (names, tags) = (names.join(", "), COLUMNS.len() + 2);
    // An array of arrays would be flattened, so that the tags travel as text.
    format!(
        "INSERT INTO {schema}.interactions (tenant, {names}, tags) SELECT $1, {names}, tags::text[] \
         FROM UNNEST({}, ${tags}::text[]) AS u ({names}, tags)",
        arrays.join(", ")
    )
}

async fn rows(connection: &mut PgConnection, insert: &str, logged: &[Interaction]) -> Outcome {
    fn column<T>(logged: &[Interaction], of: impl FnMut(&Interaction) -> T) -> Vec<T> {
        logged.iter().map(of).collect()
    }
    let tags = |row: &Interaction| (!row.tags.is_empty()).then(|| format!("{{{}}}", row.tags.join(",")));
    sqlx::query(AssertSqlSafe(insert.to_owned()))
        .bind(TENANT.0)
        .bind(column(logged, |row| row.id.uuid()))
        .bind(column(logged, |row| row.meta.version))
        .bind(column(logged, |row| row.meta.created_at))
        .bind(column(logged, |row| row.meta.updated_at))
        .bind(column(logged, |row| row.customer_id.uuid()))
        .bind(column(logged, |row| row.contact_id.map(RecordId::uuid)))
        .bind(column(logged, |row| row.interaction_type.code()))
        .bind(column(logged, |row| row.direction.code()))
        .bind(column(logged, |row| row.subject.clone()))
        .bind(column(logged, |row| row.description.clone()))
        .bind(column(logged, |row| row.occurred_at))
        .bind(column(logged, |row| row.duration_minutes))
        .bind(column(logged, |row| row.outcome.map(crm_core::interaction::Outcome::code)))
        .bind(column(logged, |row| row.source.code()))
        .bind(column(logged, |row| row.external_id.clone()))
        .bind(column(logged, |row| row.reply_status.code()))
        .bind(column(logged, |row| row.is_backdated))
        .bind(column(logged, |row| row.is_pinned))
        .bind(column(logged, |row| row.visibility.code()))
        .bind(column(logged, |row| row.audience.code()))
        .bind(column(logged, |row| row.created_by.map(RecordId::uuid)))
        .bind(column(logged, tags))
        .execute(connection)
        .await?;
    Ok(())
}
