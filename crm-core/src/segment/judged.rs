//! Which segments a customer is in, judged from loaded records.

use std::collections::BTreeSet;

use crate::catalog::Entity;
use crate::criteria::{Criteria, CriteriaError, CriteriaSet, Filter, Links, Path, Scope};
use crate::crm::Crm;
use crate::customer::Customer;
use crate::record::Record;
use crate::segment::{Segment, SegmentId, SegmentMember};
use crate::store::{Direction, MAX_LIMIT, Order, Query, Read};
use crate::value::{Instant, Value};

/// Segments with their criteria, and those of a customer that were chosen by hand.
pub(crate) struct Judged {
    segments: Vec<(Option<Criteria>, Segment)>,
    memberships: BTreeSet<SegmentId>,
}

impl Judged {
    /// The question for all active segments by name, for who may read them.
    pub(crate) fn question() -> Option<Read> {
        let def = Segment::def();
        let filter = Filter::eq(def, "is_active", Value::Bool(true))?.and(Filter::undeleted(def));
        let order = vec![Order { path: Path::own(def, "name")?, direction: Direction::Ascending }];
        Some(Read::Find(Query { order, ..Query::new(def, filter, MAX_LIMIT) }))
    }

    /// Checks the criteria against the catalog, which may have changed since they were written; days are those of the
    /// zone.
    pub(crate) fn new(
        crm: &Crm,
        segments: Vec<Segment>,
        memberships: &[SegmentMember],
        zone: chrono_tz::Tz,
    ) -> Result<Self, CriteriaError> {
        let scope = Scope::new(crm.store().catalog(), zone);
        let judged = |segment: Segment| {
            let parse = |json| Criteria::parse(json, Customer::def(), &scope);
            let criteria = segment.criteria.as_ref().map(parse).transpose();
            Ok((criteria.map_err(|error| of_which(&segment, error))?, segment))
        };
        Ok(Self {
            segments: segments.into_iter().map(judged).collect::<Result<_, _>>()?,
            memberships: memberships.iter().map(|member| member.segment_id).collect(),
        })
    }

    /// What the criteria ask about.
    pub(crate) fn paths(&self) -> Vec<&Path> {
        self.segments.iter().filter_map(|(criteria, _)| criteria.as_ref()).flat_map(Criteria::paths).collect()
    }

    /// Those that the customer is in.
    pub(crate) fn of(self, customer: &Record, links: &impl Links, now: Instant) -> Vec<Segment> {
        let set = CriteriaSet::new(self.segments.iter().filter_map(|(criteria, _)| criteria.as_ref()));
        let mut met = set.at(now).holds(customer, links).into_iter();
        let mut is_in = |criteria: Option<&Criteria>, segment: &Segment| match criteria {
            Some(_) => met.next().unwrap_or_default(),
            None => self.memberships.contains(&segment.id),
        };
        let segments = self.segments.iter().filter(|(criteria, segment)| is_in(criteria.as_ref(), segment));
        segments.map(|(_, segment)| segment.clone()).collect()
    }
}

/// Says of which segment the criteria are, which the catalog no longer has the fields for.
fn of_which(segment: &Segment, error: CriteriaError) -> CriteriaError {
    let place = if error.at.is_empty() { String::new() } else { format!(".{}", error.at) };
    CriteriaError { at: format!("segment {}{place}", segment.id), why: error.why }
}
