//! The facade: a [`Crm`] over any store.

mod builder;
mod reads;
mod run;

use std::sync::Arc;
use std::time::Duration;

pub use builder::{BuildError, CrmBuilder};

use crate::account::Accounts;
use crate::address::{Addresses, Geocoder};
use crate::approval::Approvals;
use crate::behavior::Behaviors;
use crate::contact::Contacts;
use crate::cursor::CursorKeys;
use crate::customer::Customers;
use crate::directory::{Directory, Teams, Users};
use crate::env::Env;
use crate::interaction::Interactions;
use crate::invoice::Invoices;
use crate::journey::Journeys;
use crate::lifecycle::Lifecycles;
use crate::log::Logs;
use crate::note::Notes;
use crate::policy::Policy;
use crate::profile::{Panel, Profiles};
use crate::relationship::Relationships;
use crate::renewal::Renewals;
use crate::score::{ScoreFactors, Scores};
use crate::segment::Segments;
use crate::store::Store;
use crate::sweep::Sweeps;
use crate::tenant::TenantSettingsService;
use crate::timeline::Timelines;

/// The entry point: everything that can be asked and done, over one store. Cheap to clone and safe to share.
#[derive(Clone)]
pub struct Crm {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    env: Arc<dyn Env>,
    policy: Arc<dyn Policy>,
    cursors: CursorKeys,
    geocoder: Option<Arc<dyn Geocoder>>,
    directory: Option<Arc<dyn Directory>>,
    panels: Vec<Arc<dyn Panel>>,
    score_factors: Option<Arc<dyn ScoreFactors>>,
    deadline: Duration,
    slow_call: Duration,
}

/// What a command gave, and whether it was a repeat.
#[derive(Clone, Debug, PartialEq)]
pub struct Done<T> {
    /// The records, as they are now.
    pub value: T,
    /// Entity, id and version of everything that was written; a repeat has those of the first time.
    pub written: Vec<(String, uuid::Uuid, i64)>,
    /// The idempotency key was used before: nothing was changed now.
    pub repeated: bool,
}

const EXPIRE_BATCH: usize = 1_000;

impl<T> Done<T> {
    /// The same with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Done<U> {
        Done { value: f(self.value), written: self.written, repeated: self.repeated }
    }
}

impl<T> std::ops::Deref for Done<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl Crm {
    /// Builds a `Crm` over a store.
    pub fn builder(store: impl Store) -> CrmBuilder {
        CrmBuilder::new(Arc::new(store))
    }

    /// Builds a `Crm` over a store that is shared already.
    pub fn builder_shared(store: Arc<dyn Store>) -> CrmBuilder {
        CrmBuilder::new(store)
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The clock and the source of ids.
    pub fn env(&self) -> &dyn Env {
        &*self.inner.env
    }

    /// Customers.
    pub fn customers(&self) -> Customers<'_> {
        Customers::new(self)
    }

    /// Accounts.
    pub fn accounts(&self) -> Accounts<'_> {
        Accounts::new(self)
    }

    /// Addresses.
    pub fn addresses(&self) -> Addresses<'_> {
        Addresses::new(self)
    }

    /// What somebody else has to decide on.
    pub fn approvals(&self) -> Approvals<'_> {
        Approvals::new(self)
    }

    /// What customers do with a product or a site.
    pub fn behavior(&self) -> Behaviors<'_> {
        Behaviors::new(self)
    }

    /// Contacts.
    pub fn contacts(&self) -> Contacts<'_> {
        Contacts::new(self)
    }

    /// Interactions.
    pub fn interactions(&self) -> Interactions<'_> {
        Interactions::new(self)
    }

    /// Invoices.
    pub fn invoices(&self) -> Invoices<'_> {
        Invoices::new(self)
    }

    /// Milestones of the journey with a customer.
    pub fn journey(&self) -> Journeys<'_> {
        Journeys::new(self)
    }

    /// Stages, and the customers in them.
    pub fn lifecycle(&self) -> Lifecycles<'_> {
        Lifecycles::new(self)
    }

    /// Timelines of any record, a user or the tenant.
    pub fn timeline(&self) -> Timelines<'_> {
        Timelines::new(self)
    }

    /// The change log: events in order, history of a record, records as they were.
    pub fn log(&self) -> Logs<'_> {
        Logs::new(self)
    }

    /// Notes.
    pub fn notes(&self) -> Notes<'_> {
        Notes::new(self)
    }

    /// Customers as a whole: the 360° view, statistics.
    pub fn profiles(&self) -> Profiles<'_> {
        Profiles::new(self)
    }

    /// Users of the tenant.
    pub fn users(&self) -> Users<'_> {
        Users::new(self)
    }

    /// Scores of customers, and the models that they are calculated by.
    pub fn scores(&self) -> Scores<'_> {
        Scores::new(self)
    }

    /// Groups of customers, by hand and by criteria.
    pub fn segments(&self) -> Segments<'_> {
        Segments::new(self)
    }

    /// Bulk work in pieces: deleting, masking, purging.
    pub fn sweeps(&self) -> Sweeps<'_> {
        Sweeps::new(self)
    }

    /// What customers are to each other.
    pub fn relationships(&self) -> Relationships<'_> {
        Relationships::new(self)
    }

    /// Teams of the tenant.
    pub fn teams(&self) -> Teams<'_> {
        Teams::new(self)
    }

    /// Contracts that are to be renewed.
    pub fn renewals(&self) -> Renewals<'_> {
        Renewals::new(self)
    }

    /// The tenant's settings.
    pub fn settings(&self) -> TenantSettingsService<'_> {
        TenantSettingsService::new(self)
    }

    /// Forgets idempotency keys older than 30 days (SPEC XT-03); call it now and then. Returns how many.
    pub async fn expire_keys(&self, ctx: &crate::context::Context) -> Result<usize, crate::command::Error> {
        self.allow(ctx, crate::policy::Action::Administer, "idempotency_key")?;
        let before = crate::value::truncate(self.env().now()) - chrono::Duration::days(30);
        let mut expired = 0;
        loop {
            let some = self.inner.store.expire_keys(ctx.tenant, before, EXPIRE_BATCH).await?;
            expired += some;
            if some < EXPIRE_BATCH {
                return Ok(expired);
            }
        }
    }

    pub(crate) fn policy(&self) -> &dyn Policy {
        &*self.inner.policy
    }

    pub(crate) fn geocoder(&self) -> Option<&dyn Geocoder> {
        self.inner.geocoder.as_deref()
    }

    pub(crate) fn directory(&self) -> Option<&dyn Directory> {
        self.inner.directory.as_deref()
    }

    pub(crate) fn panels(&self) -> &[Arc<dyn Panel>] {
        &self.inner.panels
    }

    pub(crate) fn score_factors(&self) -> Option<&dyn ScoreFactors> {
        self.inner.score_factors.as_deref()
    }

    pub(crate) fn cursors(&self) -> &CursorKeys {
        &self.inner.cursors
    }
}
