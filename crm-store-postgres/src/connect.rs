//! Making a store.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crm_core::catalog::Catalog;
use crm_core::store::StoreError;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::error::store_error;
use crate::health::Health;
use crate::inner::Inner;
use crate::names::Names;
use crate::options::{PostgresOptions, check_schema};
use crate::session::{CUSTOM_PLAN, Counter};
use crate::store::PostgresStore;
use crate::timeline::Shape;
use crate::wake::{Wakes, channel};

impl PostgresStore {
    /// Connects, and checks that the schema is what the catalog needs (see [`migrate`](crate::migrate)).
    ///
    /// # Errors
    /// [`StoreError::NotReady`] names what is missing; [`StoreError::Unavailable`] when the server does not answer.
    pub async fn connect(url: &str, catalog: Catalog, options: PostgresOptions) -> Result<Self, StoreError> {
        check_schema(&options.schema)?;
        let failed = |error: sqlx::Error| store_error("connect", &error);
        let ms = |time: Duration| time.as_millis().min(i32::MAX as u128).to_string();
        let connect = PgConnectOptions::from_str(url)
            .map_err(failed)?
            .application_name("crm")
            .statement_cache_capacity(512)
            .options([
                ("statement_timeout", ms(options.statement_timeout)),
                ("lock_timeout", ms(options.lock_timeout)),
                ("plan_cache_mode", CUSTOM_PLAN.to_owned()),
            ])
            .disable_statement_logging();
        let health = Health::default();
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout);
        let pool = health.watch(pool).connect_with(connect).await.map_err(failed)?;
        Self::build(pool, catalog, options, Some(health)).await
    }

    /// Uses the embedder's own pool, and checks the schema as [`connect`](Self::connect) does.
    ///
    /// Every table is named with its schema, so the pool's search path does not matter. Limits of time are set in
    /// each transaction; every read is one, which costs two round trips more than on the store's own pool.
    pub async fn with_pool(
        pool: PgPool,
        catalog: Catalog,
        options: PostgresOptions,
    ) -> Result<Self, StoreError> {
        check_schema(&options.schema)?;
        Self::build(pool, catalog, options, None).await
    }

    async fn build(
        pool: PgPool,
        catalog: Catalog,
        options: PostgresOptions,
        own: Option<Health>,
    ) -> Result<Self, StoreError> {
        let store = Self {
            inner: Arc::new(Inner {
                names: Names::new(&options.schema, &catalog),
                shape: Shape::of(&catalog),
                channel: options.notify.then(|| channel(&options.schema)),
                counter: Counter::default(),
                wakes: Wakes::default(),
                pool,
                catalog,
                options,
                limited: own.is_some(),
                health: own.unwrap_or_default(),
            }),
        };
        let inner = &*store.inner;
        inner.health.within(inner.longest(), "connect", store.verify_schema()).await?;
        Ok(store)
    }
}
