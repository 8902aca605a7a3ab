//! The quickstart: a music shop's customers, people and invoices in a CRM, on any of the three stores.
//!
//! Read it in this order:
//!
//! - [`store`]: the three stores, and the clock. The only lines that differ from store to store.
//! - [`load`]: users, customers with the ids of another system, contacts, accounts, addresses and invoices, in batches that
//!   can be repeated; stages, scores and segments that follow from them.
//! - [`show`]: one customer as a whole, its timeline, three questions, stages, health, segments, a search.
//! - [`check`]: what the store adds up, against what is known of the data.
//! - [`chinook`]: the files. [`options`]: the command line.

pub mod check;
pub mod chinook;
pub mod load;
pub mod options;
pub mod show;
pub mod store;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use crm_core::store::Store;
use crm_core::{Context, Crm, TenantId};
use uuid::Uuid;

use chinook::Chinook;
use load::{Loaded, Progress};
use store::{AsOf, Place};

/// Any error: an example only reports it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// A result with any error.
pub type Result<T> = std::result::Result<T, Error>;

/// The shop's tenant. A service takes it from the request's login.
pub const TENANT: TenantId = TenantId(Uuid::from_u128(0x6368_696e_6f6f_4b00_8000_0000_0000_0000));

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was loaded.
    pub loaded: Loaded,
    /// How many totals are as expected.
    pub agreeing: usize,
    /// The totals that are not, one line each.
    pub differing: Vec<String>,
}

/// Loads the data in the folder into a store, shows it and checks it. `place` says to people where the store is.
///
/// # Errors
/// The data cannot be read, the store does not answer, or the library refuses something.
pub async fn quickstart(
    store: Arc<dyn Store>,
    place: &Place,
    data: &Path,
    out: &mut (dyn Write + Send),
    progress: &mut Progress<'_>,
) -> Result<Outcome> {
    let data = Chinook::read(data)?;
    let crm =
        Crm::builder_shared(store).cursor_key(store::random_key()).env(AsOf::noon("2011-12-31")).build()?;
    let ctx = Context::system(TENANT);

    let loaded = load::load(&crm, &ctx, &data, progress).await?;
    show::loaded(out, place, &loaded)?;
    show::customer(out, &crm, &ctx, &data).await?;
    show::questions(out, &crm, &ctx).await?;
    show::stages(out, &crm, &ctx).await?;
    show::health(out, &crm, &ctx).await?;
    show::segments(out, &crm, &ctx).await?;
    show::search(out, &crm, &ctx).await?;

    let totals = check::totals(&crm, &ctx, &data).await?;
    show::totals(out, &totals)?;
    let (agreeing, differing): (Vec<_>, Vec<_>) = totals.iter().partition(|total| total.agrees());
    let differing = differing.iter().map(ToString::to_string).collect();
    Ok(Outcome { loaded, agreeing: agreeing.len(), differing })
}

/// The examples of the README are compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
