//! What can be done with segments, as pure decisions.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::criteria::{Criteria, CriteriaError, Scope};
use crate::customer::{Customer, Expect, input_of};
use crate::directory::UserId;
use crate::policy::Action;
use crate::segment::{Segment, SegmentId, SegmentType};
use crate::value::Instant;

/// Why a segment or its members are not changed.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentRefusal {
    /// Members of a dynamic segment are neither added nor removed.
    #[error(
        "segment {0} is dynamic, so its criteria say who is a member; change the criteria, or use a static segment"
    )]
    Dynamic(SegmentId),
    /// The criteria were changed while their customers were counted.
    #[error("the criteria of segment {0} were changed while its members were counted; count again")]
    Edited(SegmentId),
}

impl Refusal for SegmentRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Dynamic(_) => "segment_dynamic",
            Self::Edited(_) => "segment_edited",
        }
    }
}

pub(super) type Decision<T> = Result<T, Decline<SegmentRefusal>>;

const MOST_BYTES: usize = 100_000;

/// Creates a segment. Its criteria are checked against the customer.
#[derive(Clone, Debug)]
pub struct CreateSegment {
    /// The segment.
    pub segment: Segment,
}

impl Command for CreateSegment {
    type Output = Segment;
    type Refusal = SegmentRefusal;

    fn name(&self) -> &'static str {
        "segments.create"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "segment")
    }

    fn input(&self) -> Json {
        input_of(&self.segment)
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        Vec::new()
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        check_criteria(&self.segment, loaded, changes)?;
        let segment = changes.insert(&Segment {
            member_count: None,
            last_calculated_at: None,
            edited_version: 1,
            created_by: changes.context().user_id().map(UserId),
            ..self.segment.clone()
        })?;
        let data = json!({ "segment_id": segment.id, "type": segment.r#type });
        changes.event("segment.created", data);
        Ok(segment)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        written.iter().find_map(|(_, id, _)| loaded.get(SegmentId(*id)).ok().flatten())
    }
}

/// Changes name, description, criteria or activity of a segment by a function over it.
pub struct UpdateSegment<'f> {
    /// The segment.
    pub id: SegmentId,
    /// Which version it applies to. A version after which members were only counted is as good as the last one.
    pub expect: Expect,
    /// What changes. Called again when others were faster.
    pub change: &'f (dyn Fn(&mut Segment) + Send + Sync),
}

impl Command for UpdateSegment<'_> {
    type Output = Segment;
    type Refusal = SegmentRefusal;

    fn name(&self) -> &'static str {
        "segments.update"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "segment")
    }

    fn input(&self) -> Json {
        let mut sample = Segment::default();
        (self.change)(&mut sample);
        json!([self.id, self.expect.to_json(), input_of(&sample)])
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        vec![Need::Records(Segment::def(), vec![self.id.0])]
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before = live_segment(self.id, loaded)?;
        check_version(&before, self.expect)?;
        let mut after = before.clone();
        (self.change)(&mut after);
        let other_criteria = after.criteria != before.criteria;
        if other_criteria {
            check_criteria(&after, loaded, changes)?;
        }
        after.edited_version = before.edited_version;
        (after.member_count, after.last_calculated_at) =
            if other_criteria { (None, None) } else { (before.member_count, before.last_calculated_at) };
        let mut after = changes.update(&before, &after)?;
        if after.meta.version != before.meta.version {
            after.edited_version = after.meta.version;
            after = changes.update(&before, &after)?;
            let data = json!({ "segment_id": after.id, "criteria_changed": other_criteria });
            changes.event("segment.updated", data);
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Deletes a segment. Nobody is a member of it any more, and its name is free.
#[derive(Clone, Copy, Debug)]
pub struct DeleteSegment {
    /// The segment.
    pub id: SegmentId,
    /// Which version it applies to, as for [`UpdateSegment::expect`].
    pub expect: Expect,
}

impl Command for DeleteSegment {
    type Output = Segment;
    type Refusal = SegmentRefusal;

    fn name(&self) -> &'static str {
        "segments.delete"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Delete, "segment")
    }

    fn input(&self) -> Json {
        json!([self.id, self.expect.to_json()])
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        vec![Need::Records(Segment::def(), vec![self.id.0])]
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before = live_segment(self.id, loaded)?;
        check_version(&before, self.expect)?;
        let after = changes.delete_record(&before.to_record());
        changes.event("segment.deleted", json!({ "segment_id": self.id }));
        Ok(Segment::from_record(&after)?)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Keeps how many members were counted. A later count that is stored already stays.
#[derive(Clone, Debug)]
pub struct CountSegment {
    /// The segment.
    pub id: SegmentId,
    /// The criteria that were counted by; refused with [`SegmentRefusal::Edited`] when others are stored.
    pub criteria: Option<Json>,
    /// How many there were.
    pub count: i64,
    /// When that was asked.
    pub at: Instant,
}

impl Command for CountSegment {
    type Output = Segment;
    type Refusal = SegmentRefusal;

    fn name(&self) -> &'static str {
        "segments.count"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "segment")
    }

    /// What was counted is not part of it: a repeat comes with another count.
    fn input(&self) -> Json {
        json!([self.id])
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        vec![Need::Records(Segment::def(), vec![self.id.0])]
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before = live_segment(self.id, loaded)?;
        if before.criteria != self.criteria {
            return Err(Decline::Refused(SegmentRefusal::Edited(self.id)));
        }
        if before.last_calculated_at.is_some_and(|last| last > self.at) {
            return Ok(before);
        }
        let counted =
            Segment { member_count: Some(self.count), last_calculated_at: Some(self.at), ..before.clone() };
        let after = changes.update(&before, &counted)?;
        if after.meta.version != before.meta.version {
            let data = json!({ "segment_id": self.id, "member_count": self.count, "at": self.at });
            changes.event("segment.counted", data);
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

/// The segment, if it is live.
pub(super) fn live_segment(id: SegmentId, loaded: &Loaded) -> Decision<Segment> {
    loaded.live(id)?.ok_or(Decline::NotFound("segment", id.0))
}

/// Counting makes versions too; they break no editor's change.
fn check_version(segment: &Segment, expect: Expect) -> Decision<()> {
    let stored = segment.meta.version;
    match expect {
        Expect::Version(version) if (segment.edited_version..=stored).contains(&version) => Ok(()),
        _ => expect.check("segment", segment.id.0, stored),
    }
}

fn check_criteria(segment: &Segment, loaded: &Loaded, changes: &Changes<'_>) -> Decision<()> {
    let (SegmentType::Dynamic, Some(json)) = (segment.r#type, &segment.criteria) else { return Ok(()) };
    let zone = loaded.settings(changes.context().tenant)?.tz();
    Criteria::parse(json, Customer::def(), &Scope::new(changes.catalog(), zone))?;
    let bytes = json.to_string().len();
    if bytes > MOST_BYTES {
        let why = format!("{bytes} bytes; accepted are criteria of at most {MOST_BYTES}");
        return Err(Decline::Criteria(CriteriaError { at: String::new(), why }));
    }
    Ok(())
}
