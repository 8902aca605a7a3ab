//! Counting and adding up.

use serde_json::Value as Json;

use crate::catalog::{EntityDef, FieldType};
use crate::criteria::{Criteria, CriteriaError, Filter, Scope};
use crate::store::{GroupQuery, MAX_LIMIT, Measure};
use crate::value::Instant;

/// Counts and sums by group: the count first, then the sums in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Which records count; `None` for all.
    pub criteria: Option<Json>,
    /// The paths that make a group; empty for one group of all.
    pub by: Vec<String>,
    /// The paths to add up.
    pub sums: Vec<String>,
}

impl Totals {
    /// Groups by these paths.
    pub fn by(paths: &[&str]) -> Self {
        Self { by: paths.iter().map(|path| (*path).to_owned()).collect(), ..Self::default() }
    }

    /// Adds up a path.
    pub fn sum(mut self, path: &str) -> Self {
        self.sums.push(path.to_owned());
        self
    }

    /// Counts only records that meet criteria.
    pub fn matching(mut self, criteria: Json) -> Self {
        self.criteria = Some(criteria);
        self
    }

    pub(crate) fn prepare(
        &self,
        def: &'static EntityDef,
        scope: &Scope<'_>,
        now: Instant,
    ) -> Result<GroupQuery, CriteriaError> {
        let filter = match &self.criteria {
            None => Filter::always(),
            Some(json) => Criteria::parse(json, def, scope)?.at(now),
        };
        let paths = |list: &[String], name: &str, accepted: fn(FieldType) -> bool| {
            list.iter()
                .enumerate()
                .map(|(place, text)| {
                    let refuse = |why| CriteriaError { at: format!("{name}[{place}]"), why };
                    let path = scope.path(text, def).map_err(refuse)?;
                    if accepted(path.field_def().field_type()) {
                        Ok(path)
                    } else {
                        Err(refuse(format!("{text} is of a type that this is not done with")))
                    }
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let grouped = |kind| !matches!(kind, FieldType::List | FieldType::Custom | FieldType::Json);
        let added = |kind| matches!(kind, FieldType::Decimal | FieldType::Int);
        let mut measures = vec![Measure::Count];
        measures.extend(paths(&self.sums, "sums", added)?.into_iter().map(Measure::Sum));
        Ok(GroupQuery {
            def,
            filter: filter.and(Filter::live(scope.catalog, def)),
            by: paths(&self.by, "by", grouped)?,
            measures,
            limit: MAX_LIMIT,
        })
    }
}
