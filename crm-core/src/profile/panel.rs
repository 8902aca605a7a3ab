//! The port for what other systems know of a customer (SPEC TL-05).

use async_trait::async_trait;
use serde_json::Value as Json;

use crate::context::Context;
use crate::customer::Customer;

/// Why a panel has nothing to show. The rest of the view is given without it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the panel has no answer: {0}")]
pub struct PanelError(pub String);

/// A part of the [`Customer360`](crate::profile::Customer360) that another system knows: opportunities, support, field
/// service; given to [`CrmBuilder::panel`](crate::CrmBuilder::panel).
///
/// It is asked for customers only that exist and that the actor may read, while the store is asked for the rest. The core
/// has no timer: an implementation that asks a network brings its own timeout.
#[async_trait]
pub trait Panel: Send + Sync + 'static {
    /// The name of the part: `opportunities`. Of two panels with one name the one given last is asked.
    fn name(&self) -> &str;

    /// What it shows of a customer.
    async fn show(&self, ctx: &Context, customer: &Customer) -> Result<Json, PanelError>;
}
