//! Members of static segments, as pure decisions.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need};
use crate::criteria::{Filter, Path, Test};
use crate::customer::{Customer, CustomerId, live_customer};
use crate::directory::UserId;
use crate::policy::Action;
use crate::record::{FieldError, Meta};
use crate::segment::commands::{Decision, live_segment};
use crate::segment::{Segment, SegmentId, SegmentMember, SegmentMemberId, SegmentRefusal, SegmentType};
use crate::store::{MAX_LIMIT, Query};
use crate::value::Value;

/// How many members one call adds or removes.
pub const MAX_MEMBERS_AT_ONCE: usize = 500;

const MEMBERS: &str = "members among those named";
const MEMBER_RULE: &str = "segment_member_once";

/// Adds live customers to a static segment, all or none; gives the new memberships. Those that are members already
/// stay it.
#[derive(Clone, Debug)]
pub struct AddSegmentMembers {
    /// The segment.
    pub segment: SegmentId,
    /// The customers, at most [`MAX_MEMBERS_AT_ONCE`]; one named twice counts once.
    pub customers: Vec<CustomerId>,
}

impl Command for AddSegmentMembers {
    type Output = Vec<SegmentMember>;
    type Refusal = SegmentRefusal;

    fn name(&self) -> &'static str {
        "segments.add"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "segment")
    }

    fn input(&self) -> Json {
        json!([self.segment, self.customers])
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == MEMBER_RULE
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        needs(self.segment, &self.customers)
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let mut members: BTreeSet<CustomerId> =
            current(self.segment, &self.customers, loaded)?.iter().map(|member| member.customer_id).collect();
        let mut added = Vec::new();
        for customer in &self.customers {
            if !members.insert(*customer) {
                continue;
            }
            let member = changes.insert(&SegmentMember {
                id: changes.new_id(),
                meta: Meta::default(),
                segment_id: self.segment,
                customer_id: *customer,
                created_by: changes.context().user_id().map(UserId),
            })?;
            let data = json!({ "segment_id": self.segment, "customer_id": customer });
            changes.event("segment.member_added", data);
            added.push(member);
        }
        if !added.is_empty() {
            changes.guard_live(Segment::def(), self.segment.0);
        }
        Ok(added)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        recall(loaded, written)
    }
}

/// Removes live customers from a static segment, all or none; gives the memberships that ended. Those that are no
/// members are left alone.
#[derive(Clone, Debug)]
pub struct RemoveSegmentMembers {
    /// The segment.
    pub segment: SegmentId,
    /// The customers, at most [`MAX_MEMBERS_AT_ONCE`]; one named twice counts once.
    pub customers: Vec<CustomerId>,
}

impl Command for RemoveSegmentMembers {
    type Output = Vec<SegmentMember>;
    type Refusal = SegmentRefusal;

    fn name(&self) -> &'static str {
        "segments.remove"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "segment")
    }

    fn input(&self) -> Json {
        json!([self.segment, self.customers])
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        needs(self.segment, &self.customers)
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let mut removed = Vec::new();
        for member in current(self.segment, &self.customers, loaded)? {
            let after = changes.delete_record(&member.to_record());
            let data = json!({ "segment_id": self.segment, "customer_id": member.customer_id });
            changes.event("segment.member_removed", data);
            removed.push(SegmentMember::from_record(&after)?);
        }
        Ok(removed)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        recall(loaded, written)
    }
}

fn needs(segment: SegmentId, customers: &[CustomerId]) -> Vec<Need> {
    if customers.len() > MAX_MEMBERS_AT_ONCE {
        return Vec::new();
    }
    let mut needs = vec![
        Need::Records(Segment::def(), vec![segment.0]),
        Need::Records(Customer::def(), customers.iter().map(|id| id.0).collect()),
    ];
    needs.extend(members_among(segment, customers));
    needs
}

fn members_among(segment: SegmentId, customers: &[CustomerId]) -> Option<Need> {
    let def = SegmentMember::def();
    let ids = customers.iter().map(|id| Value::Id(id.0)).collect();
    let filter = Filter::eq(def, "segment_id", Value::Id(segment.0))?
        .and(Filter::leaf(Path::own(def, "customer_id")?, Test::In(ids)))
        .and(Filter::undeleted(def));
    Some(Need::Find(MEMBERS.to_owned(), Box::new(Query::new(def, filter, MAX_LIMIT))))
}

/// The memberships that these customers have, once all is well with the segment and with them.
fn current(segment: SegmentId, customers: &[CustomerId], loaded: &Loaded) -> Decision<Vec<SegmentMember>> {
    if customers.len() > MAX_MEMBERS_AT_ONCE {
        let why = format!("are {}; accepted are at most {MAX_MEMBERS_AT_ONCE} at once", customers.len());
        return Err(Decline::Invalid(vec![FieldError::new("customers", why)]));
    }
    if live_segment(segment, loaded)?.r#type == SegmentType::Dynamic {
        return Err(Decline::Refused(SegmentRefusal::Dynamic(segment)));
    }
    for customer in customers {
        live_customer(*customer, loaded)?;
    }
    Ok(loaded.all(MEMBERS)?)
}

fn recall(loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Vec<SegmentMember>> {
    written.iter().map(|(_, id, _)| loaded.get(SegmentMemberId(*id)).ok().flatten()).collect()
}
