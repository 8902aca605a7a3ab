//! Questions about records: criteria, search, sort and cursor in one value.

mod find;
mod totals;
mod visible;

pub(crate) use find::Prepared;
pub use find::{Find, Page};
pub use totals::Totals;
pub(crate) use visible::{visible, visible_filter};

use crate::catalog::Entity;
use crate::criteria::{Filter, Path, Test};
use crate::customer::ExternalId;
use crate::store::{MAX_LIMIT, Query};
use crate::value::Value;

/// The external ids of a system among these values.
pub(crate) fn external_ids(system: &str, values: Vec<String>) -> Option<Query> {
    let def = ExternalId::def();
    let values = values.into_iter().map(Value::Text).collect();
    let filter = Filter::eq(def, "system", Value::Text(system.to_owned()))?
        .and(Filter::leaf(Path::own(def, "value")?, Test::In(values)))
        .and(Filter::undeleted(def));
    Some(Query::new(def, filter, MAX_LIMIT))
}
