//! Long timelines, written past the facade: half a million interactions through it would take all day.

use bson::{Bson, Document, doc};
use chrono::Duration;
use crm_core::customer::CustomerId;
use crm_core::env::{Env, SystemEnv};
use crm_core::interaction::Interaction;
use crm_core::store::{ChangeSet, TimelineRow};
use crm_core::timeline::{Audience, Display, Visibility};
use crm_core::value::{Instant, truncate};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::Outcome;
use crate::bed::{Bed, Kind, TENANT, ctx};
use crate::sample::Random;

/// How many rows travel together.
const CHUNK: usize = 10_000;

/// Gives a customer `count` entries of its timeline, one a minute, up to now.
pub(crate) async fn fill(bed: &Bed, kind: &Kind, customer: CustomerId, count: usize) -> Outcome {
    let now = truncate(SystemEnv.now()) - Duration::hours(1);
    match kind {
        Kind::Memory(_) => memory(kind, customer, count, now).await,
        Kind::Postgres { schema, .. } => {
            postgres(bed, schema, customer, count, now).await?;
            bed.settle(kind).await
        }
        Kind::Mongo(_) => mongo(kind, customer, count, now).await,
    }
}

fn row(customer: CustomerId, entry_id: Uuid, at: Instant) -> TimelineRow {
    TimelineRow {
        anchor_type: "customer",
        anchor_id: customer.0,
        primary: true,
        at,
        kind: "interaction",
        entry_id,
        root: Some(customer.0),
        actor: Some(Uuid::from_u128(0x05e7)),
        team: None,
        visibility: Visibility::All,
        audience: Audience::Internal,
        pinned: false,
        highlight: false,
        subtype: Some("email".to_owned()),
        source: Some("manual".to_owned()),
        sentiment: None,
        amount: None,
        currency: None,
        tags: Vec::new(),
        display: Display {
            title: "Email - about what was agreed".to_owned(),
            text: Some(
                "Some eighty characters of what was written, as a timeline shows them to its readers."
                    .to_owned(),
            ),
            icon: "envelope".to_owned(),
        },
    }
}

async fn memory(kind: &Kind, customer: CustomerId, count: usize, now: Instant) -> Outcome {
    let mut random = Random::new(9);
    for start in (0..count).step_by(CHUNK) {
        let rows = (start..count.min(start + CHUNK)).map(|n| {
            let id = Uuid::from_u64_pair(random.next(), n as u64);
            row(customer, id, now - Duration::minutes(n as i64))
        });
        let set = ChangeSet {
            tenant: TENANT,
            commit_id: SystemEnv.new_id(),
            at: now,
            writes: Vec::new(),
            releases: 0,
            guards: Vec::new(),
            none_refer: Vec::new(),
            key: None,
            log: Vec::new(),
            erase_log: Vec::new(),
            timeline_put: rows.collect(),
            timeline_drop: Vec::new(),
            tokens_put: Vec::new(),
            tokens_drop: Vec::new(),
        };
        kind.store().commit(&set).await?;
    }
    Ok(())
}

async fn postgres(bed: &Bed, schema: &str, customer: CustomerId, count: usize, now: Instant) -> Outcome {
    let shape = row(customer, Uuid::nil(), now);
    let text = format!(
        "INSERT INTO {schema}.crm_timeline (tenant, anchor_type, anchor_id, is_primary, at, kind, entry_id, root, actor, \
         visibility, audience, pinned, highlight, subtype, source, tags, title, text, icon) \
         SELECT $1, 'customer', $2, TRUE, $3::timestamptz - n * interval '1 minute', 'interaction', gen_random_uuid(), $2, \
         $4, 'all', 'internal', FALSE, FALSE, 'email', 'manual', '{{}}', $5, $6, 'envelope' \
         FROM generate_series(0, $7::bigint - 1) AS n"
    );
    sqlx::query(AssertSqlSafe(text))
        .bind(TENANT.0)
        .bind(customer.0)
        .bind(now)
        .bind(shape.actor)
        .bind(&shape.display.title)
        .bind(&shape.display.text)
        .bind(i64::try_from(count)?)
        .execute(&mut bed.admin().await?)
        .await?;
    Ok(())
}

/// One document is written by the store; the others are like it.
async fn mongo(kind: &Kind, customer: CustomerId, count: usize, now: Instant) -> Outcome {
    let Kind::Mongo(store) = kind else { return Err("no MongoDB".into()) };
    let interaction = Interaction {
        customer_id: customer,
        subject: Some("about what was agreed".to_owned()),
        description: row(customer, Uuid::nil(), now).display.text,
        occurred_at: now,
        ..Interaction::default()
    };
    kind.crm()?.interactions().log(&ctx(), interaction).await?;
    let rows = store.database().collection::<Document>("crm_timeline");
    let template = rows.find_one(doc! {}).await?.ok_or("the timeline is empty")?;
    let mut random = Random::new(9);
    for start in (0..count).step_by(CHUNK) {
        let mut documents = Vec::with_capacity(CHUNK);
        for n in start..count.min(start + CHUNK) {
            let mut document = template.clone();
            let bytes = Uuid::from_u64_pair(random.next(), n as u64).as_bytes().to_vec();
            let entry = Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes });
            document.get_document_mut("_id")?.insert("e", entry.clone());
            document.insert("entry_id", entry);
            let at = now - Duration::minutes(n as i64 + 1);
            document.insert("at", bson::DateTime::from_millis(at.timestamp_millis()));
            documents.push(document);
        }
        rows.insert_many(documents).await?;
    }
    Ok(())
}
