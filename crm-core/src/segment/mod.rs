//! Segments, static and dynamic (SPEC LC-08, LC-10).
//!
//! Nothing is stored of who is in a dynamic segment: each question asks which customers meet the criteria now, so the
//! answer is right at every instant. A static segment has a [`SegmentMember`] for each customer in it.

mod commands;
mod entity;
mod judged;
mod membership;
mod service;

pub use commands::{CountSegment, CreateSegment, DeleteSegment, SegmentRefusal, UpdateSegment};
pub use entity::{Segment, SegmentId, SegmentMember, SegmentMemberId, SegmentType};
pub(crate) use judged::Judged;
pub use membership::{AddSegmentMembers, MAX_MEMBERS_AT_ONCE, RemoveSegmentMembers};
pub use service::{SegmentPreview, Segments};
