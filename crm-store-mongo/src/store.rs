//! The store itself.

use std::sync::Arc;

use async_trait::async_trait;
use bson::{Bson, Document, doc};
use crm_core::TenantId;
use crm_core::catalog::Catalog;
use crm_core::record::Record;
use crm_core::store::{Answer, ChangeSet, CommitError, Query, Read, Store, StoreError};
use crm_core::value::Instant;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use mongodb::options::{Acknowledgment, DatabaseOptions, ReadPreference, SelectionCriteria, WriteConcern};
use mongodb::{Client, ClientSession, Database};

use crate::commit::Joined;
use crate::document::{self, to_record};
use crate::error::{code, is_transient, store_error};
use crate::inner::Inner;
use crate::timing::timed;
use crate::{MongoOptions, commit, log, names, read, schema, wake};

/// Keeps records in one MongoDB database. Cheap to clone. See the [crate](crate) for set-up and operation.
#[derive(Clone, Debug)]
pub struct MongoStore {
    inner: Arc<Inner>,
}

impl MongoStore {
    /// Connects to a server by its address and checks that server, schema and indexes are as the catalog needs.
    ///
    /// # Errors
    /// [`StoreError::NotReady`] says what is missing and what to do; [`StoreError::Unavailable`] when no server
    /// answers.
    pub async fn connect(
        url: &str,
        database: &str,
        catalog: Catalog,
        options: MongoOptions,
    ) -> Result<Self, StoreError> {
        Self::with_client(client(url).await?, database, catalog, options).await
    }

    /// As [`connect`](Self::connect), with a client that the embedder has set up and may use for its own
    /// collections too. Its read and write concerns do not matter: the store names its own.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn with_client(
        client: Client,
        database: &str,
        catalog: Catalog,
        options: MongoOptions,
    ) -> Result<Self, StoreError> {
        let db = handle(&client, database);
        schema::verify(&db, &catalog).await?;
        Ok(Self { inner: Arc::new(Inner::new(client, db, catalog, options)) })
    }

    /// Creates the collections and indexes that are missing, and notes the schema's version. Doing it again, or
    /// from many processes at once, changes nothing more. Indexes of the embedder's own are left alone.
    ///
    /// # Errors
    /// [`StoreError::NotReady`] for an index that has the name of one of the catalog's and is another, for records
    /// that break a new unique rule, and for a server that is too old or has no replica set.
    pub async fn migrate(url: &str, database: &str, catalog: &Catalog) -> Result<(), StoreError> {
        Self::migrate_with(&client(url).await?, database, catalog).await
    }

    /// As [`migrate`](Self::migrate), with a client that the embedder has set up.
    ///
    /// # Errors
    /// As for [`migrate`](Self::migrate).
    pub async fn migrate_with(client: &Client, database: &str, catalog: &Catalog) -> Result<(), StoreError> {
        schema::migrate(&handle(client, database), catalog).await
    }

    /// Applies a change set within a transaction that the caller has started on its session and will commit, so
    /// that documents of the caller's own are written with it or not at all. The session must come from the client
    /// given to [`with_client`](Self::with_client), and the transaction must read with snapshot and write with
    /// majority concern. After an error the transaction is aborted; start another one.
    ///
    /// # Errors
    /// As for [`Store::commit`]. [`CommitError::Contended`]: rest, and begin again with the caller's own writes.
    pub async fn commit_in(
        &self,
        session: &mut ClientSession,
        change: &ChangeSet,
    ) -> Result<Joined, CommitError> {
        timed("commit_in", &self.inner.options, commit::commit_in(&self.inner, session, change)).await
    }

    /// The server's explanation of how it answers a read (of a subtree, one level), with execution statistics.
    ///
    /// # Errors
    /// As for [`Store::read`].
    pub async fn explain(&self, tenant: TenantId, read: &Read) -> Result<Document, StoreError> {
        read::explain(&self.inner, tenant, read).await
    }

    /// How many commands this store has sent since it was made, for watching round trips. Further batches of long
    /// answers are not counted.
    pub fn commands(&self) -> u64 {
        self.inner.commands()
    }

    /// The database, with the store's own concerns.
    pub fn database(&self) -> &Database {
        &self.inner.db
    }
}

async fn client(url: &str) -> Result<Client, StoreError> {
    Client::with_uri_str(url).await.map_err(|error| store_error("connecting", &error))
}

/// Reads of the primary, writes on a majority.
fn handle(client: &Client, database: &str) -> Database {
    let options = DatabaseOptions::builder()
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
        .write_concern(WriteConcern::builder().w(Acknowledgment::Majority).build())
        .build();
    client.database_with_options(database, options)
}

#[async_trait]
impl Store for MongoStore {
    fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    #[tracing::instrument(name = "mongo.commit", skip_all, fields(tenant = %change.tenant, writes = change.writes.len()))]
    async fn commit(&self, change: &ChangeSet) -> Result<(), CommitError> {
        timed("commit", &self.inner.options, commit::commit(&self.inner, change)).await
    }

    #[tracing::instrument(name = "mongo.read", skip_all, fields(%tenant, reads = reads.len()))]
    async fn read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, StoreError> {
        timed("read", &self.inner.options, read::read(&self.inner, tenant, reads)).await
    }

    #[tracing::instrument(name = "mongo.scan", skip_all, fields(%tenant, entity = query.def.name))]
    fn scan(&self, tenant: TenantId, query: Query) -> BoxStream<'static, Result<Record, StoreError>> {
        let inner = self.inner.clone();
        let def = query.def;
        let start = async move {
            match read::scan(&inner, tenant, &query).await {
                Ok(cursor) => cursor
                    .map(move |document| match document {
                        Ok(document) => to_record(def, &document),
                        Err(error) => Err(store_error("scanning", &error)),
                    })
                    .boxed(),
                Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
            }
        };
        futures_util::stream::once(start).flatten().boxed()
    }

    #[tracing::instrument(name = "mongo.seal_log", skip_all, fields(%tenant))]
    async fn seal_log(&self, tenant: TenantId, limit: usize) -> Result<usize, StoreError> {
        timed("seal_log", &self.inner.options, log::seal_log(&self.inner, tenant, limit)).await
    }

    #[tracing::instrument(name = "mongo.acknowledge", skip_all, fields(%tenant))]
    async fn acknowledge(&self, tenant: TenantId, consumer: &str, number: i64) -> Result<(), StoreError> {
        timed("acknowledge", &self.inner.options, acknowledge(&self.inner, tenant, consumer, number)).await
    }

    #[tracing::instrument(name = "mongo.expire_keys", skip_all, fields(%tenant))]
    async fn expire_keys(
        &self,
        tenant: TenantId,
        before: Instant,
        limit: usize,
    ) -> Result<usize, StoreError> {
        timed("expire_keys", &self.inner.options, expire_keys(&self.inner, tenant, before, limit)).await
    }

    #[tracing::instrument(name = "mongo.wakes", skip_all, fields(%tenant))]
    async fn wakes(&self, tenant: TenantId) -> Result<BoxStream<'static, ()>, StoreError> {
        timed("wakes", &self.inner.options, wake::wakes(self.inner.clone(), tenant)).await
    }

    async fn rest(&self, attempt: u32) {
        crate::timing::rest(attempt).await;
    }
}

async fn acknowledge(inner: &Inner, tenant: TenantId, consumer: &str, number: i64) -> Result<(), StoreError> {
    for attempt in 1.. {
        inner.count();
        let done = inner
            .db
            .collection::<Document>(names::CONSUMERS)
            .update_one(
                doc! { "_id": names::consumer(tenant, consumer) },
                doc! { "$max": { "number": number } },
            )
            .upsert(true)
            .await;
        match done {
            Ok(_) => return Ok(()),
            // Two that acknowledge for the first time meet in the upsert; the second time one of them updates.
            Err(error)
                if attempt < 8 && (code(&error) == Some(crate::error::DUPLICATE) || is_transient(&error)) =>
            {
                crate::timing::rest(attempt).await;
            }
            Err(error) => return Err(store_error("acknowledging", &error)),
        }
    }
    Ok(())
}

async fn expire_keys(
    inner: &Inner,
    tenant: TenantId,
    before: Instant,
    limit: usize,
) -> Result<usize, StoreError> {
    if limit == 0 {
        return Ok(0);
    }
    let failed = |error| store_error("forgetting idempotency keys", &error);
    let keys = inner.db.collection::<Document>(names::KEYS);
    let old = doc! { document::TENANT: names::tenant(tenant), "at": { "$lt": document::instant(before) } };
    inner.count();
    let found = keys
        .find(old.clone())
        .sort(doc! { "at": 1 })
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .projection(doc! { "_id": 1 })
        .max_time(inner.options.max_time)
        .await
        .map_err(failed)?;
    let found: Vec<Document> = found.try_collect().await.map_err(failed)?;
    let mut forgotten = 0;
    for ids in found.chunks(10_000) {
        let ids: Vec<&Bson> = ids.iter().filter_map(|key| key.get("_id")).collect();
        let mut these = old.clone();
        these.insert("_id", doc! { "$in": ids });
        inner.count();
        forgotten += keys.delete_many(these).await.map_err(failed)?.deleted_count;
    }
    Ok(usize::try_from(forgotten).unwrap_or(usize::MAX))
}
