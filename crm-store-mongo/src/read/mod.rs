//! Reading.

mod bound;
mod filter;
mod group;
mod join;
mod paged;
mod query;
pub(crate) mod timeline;
mod together;
mod tree;

use std::collections::BTreeMap;

use bson::{Bson, Document, doc};
use crm_core::TenantId;
use crm_core::catalog::EntityDef;
use crm_core::record::Record;
use crm_core::store::{Answer, KeyRecord, MAX_LIMIT, Query, Read, StoreError};
use futures_util::TryStreamExt;
use mongodb::ClientSession;
use mongodb::options::ReadConcern;
use uuid::Uuid;

pub(crate) use query::{Pipeline, pipeline as query_pipeline};

use paged::Paged;
use together::Together;

use crate::document::{TENANT, read_instant, to_record};
use crate::error::{corrupt, is_transient, store_error};
use crate::inner::Inner;
use crate::{log, names};

/// How often reads are done again when the server has no snapshot yet (an index was just built).
const TRIES: u32 = 8;

/// Answers several reads from one snapshot.
pub(crate) async fn read(inner: &Inner, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, StoreError> {
    for read in reads {
        read.check(&inner.catalog)?;
    }
    // One command sees one snapshot of its own accord.
    let one_command = match reads {
        [] => true,
        [one] => matches!(plan(inner, tenant, one)?, Plan::One(_)),
        _ => false,
    };
    let together = Together::of(inner, tenant, reads)?;
    let mut attempt = 1;
    loop {
        let session = if one_command {
            None
        } else {
            let session = inner.client.start_session().snapshot(true).await;
            Some(session.map_err(|e| store_error("starting a session", &e))?)
        };
        let mut reader = Reader { inner, tenant, session, transient: false };
        match reader.answers(reads, together.as_ref()).await {
            Err(_) if reader.transient && attempt < TRIES => crate::timing::rest(attempt).await,
            outcome => return outcome,
        }
        attempt += 1;
    }
}

/// How a read is answered.
enum Plan {
    /// By one aggregation.
    One(Pipeline),
    /// By batches: one, as a rule.
    Paged(Box<Paged>),
    /// By a walk along a hierarchy.
    Above(&'static EntityDef, Uuid, usize),
    /// By a walk along a hierarchy.
    Below(&'static EntityDef, Uuid, usize),
}

fn plan(inner: &Inner, tenant: TenantId, read: &Read) -> Result<Plan, StoreError> {
    let bounded = |collection, filter: Document, sort: Document, limit: usize| Pipeline {
        collection,
        stages: vec![doc! { "$match": filter }, doc! { "$sort": sort }, doc! { "$limit": limit as i64 }],
    };
    let one =
        |collection, id: Document| Pipeline { collection, stages: vec![doc! { "$match": { "_id": id } }] };
    Ok(Plan::One(match read {
        Read::Get { def, ids } => {
            let ids: Vec<Document> = ids.iter().map(|id| names::record(tenant, *id)).collect();
            Pipeline { collection: def.table, stages: vec![doc! { "$match": { "_id": { "$in": ids } } }] }
        }
        Read::Find(query) => match query::paged(tenant, query) {
            Some(paged) => return Ok(Plan::Paged(Box::new(paged))),
            None => query_pipeline(tenant, query, Some(query.limit)),
        },
        Read::Group(query) => group::pipeline(tenant, query),
        Read::Ancestors { def, id, limit } => return Ok(Plan::Above(def, *id, *limit)),
        Read::Subtree { def, id, limit } => return Ok(Plan::Below(def, *id, *limit)),
        Read::Timeline(query) => {
            let page = timeline::page(tenant, inner.root, query);
            if query.filter.tokens.is_empty() {
                return Ok(Plan::Paged(Box::new(page)));
            }
            page.in_one()
        }
        Read::Key { command, key } => one(names::KEYS, names::key(tenant, command, key)),
        Read::History { def, id, before_version, limit } => {
            let mut filter =
                doc! { TENANT: names::tenant(tenant), "entity": def.name, "record_id": names::uuid(*id) };
            if let Some(version) = before_version {
                filter.insert("version", doc! { "$lt": *version });
            }
            bounded(names::LOG, filter, doc! { "version": -1, "_id.c": -1, "_id.o": -1 }, *limit)
        }
        Read::Log { after, limit } => {
            let after = (*after).max(0);
            let filter = doc! { TENANT: names::tenant(tenant), "number": { "$gt": after } };
            bounded(names::LOG, filter, doc! { "number": 1 }, *limit)
        }
        Read::LogHead => one(names::HEADS, names::head(tenant)),
        Read::Position { consumer } => one(names::CONSUMERS, names::consumer(tenant, consumer)),
    }))
}

/// One call's reads, in one snapshot when there are several.
pub(crate) struct Reader<'a> {
    inner: &'a Inner,
    tenant: TenantId,
    session: Option<ClientSession>,
    transient: bool,
}

impl Reader<'_> {
    async fn answers(
        &mut self,
        reads: &[Read],
        together: Option<&Together>,
    ) -> Result<Vec<Answer>, StoreError> {
        let mut found = match together {
            Some(together) => together.sort(self.aggregate(together.pipeline()).await?)?,
            None => BTreeMap::new(),
        };
        let mut answers = Vec::with_capacity(reads.len());
        for (place, read) in reads.iter().enumerate() {
            answers.push(match found.remove(&place) {
                Some(documents) => self.answer_of(read, &documents)?,
                None => self.answer(read).await?,
            });
        }
        Ok(answers)
    }

    async fn answer(&mut self, read: &Read) -> Result<Answer, StoreError> {
        let limit = match read {
            Read::Find(query) => query.limit,
            Read::Timeline(query) => query.limit,
            Read::Ancestors { limit, .. }
            | Read::Subtree { limit, .. }
            | Read::History { limit, .. }
            | Read::Log { limit, .. } => *limit,
            _ => 1,
        };
        let documents = match plan(self.inner, self.tenant, read)? {
            Plan::Above(def, id, limit) => {
                return Ok(Answer::Records(tree::ancestors(self, def, id, limit).await?));
            }
            Plan::Below(def, id, limit) => {
                return Ok(Answer::Records(tree::subtree(self, def, id, limit).await?));
            }
            _ if limit == 0 => Vec::new(),
            Plan::One(pipeline) => self.aggregate(pipeline).await?,
            Plan::Paged(paged) => paged::read(self, &paged).await?,
        };
        self.answer_of(read, &documents)
    }

    /// What these documents answer.
    fn answer_of(&self, read: &Read, documents: &[Document]) -> Result<Answer, StoreError> {
        Ok(match read {
            Read::Get { def, .. } => Answer::Records(records(def, documents)?),
            Read::Find(query) => Answer::Records(records(query.def, documents)?),
            Read::Group(query) => Answer::Groups(group::groups(query, documents)?),
            Read::Timeline(_) => Answer::Timeline(
                documents
                    .iter()
                    .map(|document| timeline::to_row(&self.inner.catalog, document))
                    .collect::<Result<_, _>>()?,
            ),
            Read::Key { .. } => Answer::Key(documents.first().map(key_record).transpose()?),
            Read::LogHead | Read::Position { .. } => Answer::Position(
                documents.first().and_then(|consumer| consumer.get_i64("number").ok()).unwrap_or(0),
            ),
            _ => Answer::Log(documents.iter().map(log::to_row).collect::<Result<_, _>>()?),
        })
    }

    /// All documents of one aggregation.
    async fn aggregate(&mut self, plan: Pipeline) -> Result<Vec<Document>, StoreError> {
        let what = format!("reading {}", plan.collection);
        self.inner.count();
        let collection = self.inner.db.collection::<Document>(plan.collection);
        let aggregate = collection
            .aggregate(plan.stages)
            .max_time(self.inner.options.max_time)
            .allow_disk_use(true)
            .batch_size(u32::try_from(MAX_LIMIT).unwrap_or(u32::MAX) + 1);
        let found = match &mut self.session {
            None => match aggregate.read_concern(ReadConcern::majority()).await {
                Ok(cursor) => cursor.try_collect::<Vec<_>>().await,
                Err(error) => Err(error),
            },
            Some(session) => match aggregate.session(&mut *session).await {
                Ok(mut cursor) => cursor.stream(session).try_collect().await,
                Err(error) => Err(error),
            },
        };
        found.map_err(|error| {
            self.transient = is_transient(&error);
            store_error(&what, &error)
        })
    }
}

/// The records of the documents.
pub(crate) fn records(def: &'static EntityDef, documents: &[Document]) -> Result<Vec<Record>, StoreError> {
    documents.iter().map(|document| to_record(def, document)).collect()
}

/// What is kept for an idempotency key.
pub(crate) fn key_record(document: &Document) -> Result<KeyRecord, StoreError> {
    let text = |key: &str| document.get_str(key).map(str::to_owned).ok();
    let read = || {
        Some(KeyRecord {
            digest: text("digest")?,
            result: text("result")?,
            at: read_instant(document.get("at")?)?,
        })
    };
    read().ok_or_else(|| corrupt("an idempotency key is not as it was written"))
}

/// Streams the records of a query.
pub(crate) async fn scan(
    inner: &Inner,
    tenant: TenantId,
    query: &Query,
) -> Result<mongodb::Cursor<Document>, StoreError> {
    query.check(&inner.catalog)?;
    let plan = query_pipeline(tenant, query, None);
    inner.count();
    inner
        .db
        .collection::<Document>(plan.collection)
        .aggregate(plan.stages)
        .read_concern(ReadConcern::majority())
        .allow_disk_use(true)
        .batch_size(1_000)
        .await
        .map_err(|error| store_error("starting a scan", &error))
}

/// What the server would do for a read, as it tells: for tests of plans.
pub(crate) async fn explain(inner: &Inner, tenant: TenantId, read: &Read) -> Result<Document, StoreError> {
    read.check(&inner.catalog)?;
    let plan = match plan(inner, tenant, read)? {
        Plan::Above(def, id, limit) => tree::ancestors_pipeline(tenant, def, id, limit)?,
        Plan::Below(def, id, _) => tree::level_pipeline(tenant, def, &[id])?,
        Plan::One(pipeline) => pipeline,
        Plan::Paged(paged) => paged.batch(None, paged.first_size()),
    };
    let aggregate = doc! { "aggregate": plan.collection, "pipeline": plan.stages, "cursor": {} };
    inner.count();
    inner
        .db
        .run_command(doc! { "explain": aggregate, "verbosity": "executionStats" })
        .await
        .map_err(|error| store_error("explaining a read", &error))
}

/// An id as it is asked for in a list.
pub(crate) fn ids(tenant: TenantId, ids: &[Uuid]) -> Vec<Bson> {
    ids.iter().map(|id| Bson::Document(names::record(tenant, *id))).collect()
}
