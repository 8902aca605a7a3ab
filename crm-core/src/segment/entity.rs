//! Segments and their fixed members.

use serde_json::Value as Json;

use crate::catalog::Entity;
use crate::customer::CustomerId;
use crate::directory::UserId;
use crate::record::{FieldError, Meta, Validate};
use crate::record_id;
use crate::value::Instant;

record_id! {
    /// The id of a [`Segment`].
    SegmentId
}
record_id! {
    /// The id of a [`SegmentMember`].
    SegmentMemberId
}

crate::codes! {
    /// How customers become members.
    pub enum SegmentType {
        /// By hand.
        #[default]
        Static = "static",
        /// By criteria.
        Dynamic = "dynamic",
    }
}

/// A group of customers (SPEC LC-08).
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "segment",
    table = "segments",
    shared,
    validate,
    unique(name = "segment_name_once", fields("name")),
    index(name = "segments_by_activity", fields("is_active"))
)]
pub struct Segment {
    /// The id.
    pub id: SegmentId,
    /// Version and instants.
    pub meta: Meta,
    /// 1 to 100 characters.
    #[field(line(100), fold, search, keep)]
    pub name: String,
    /// At most 5,000 characters.
    #[field(block(5_000), search, keep)]
    pub description: Option<String>,
    /// How customers become members.
    #[field(frozen)]
    pub r#type: SegmentType,
    /// Who is a member of a dynamic one, as criteria on customers; at most 100,000 bytes.
    #[field(json, keep)]
    pub criteria: Option<Json>,
    /// How many members there were when they were last counted; `None` when that was never, or for other criteria.
    #[field(int(0, 1_000_000_000_000))]
    pub member_count: Option<i64>,
    /// When that was.
    pub last_calculated_at: Option<Instant>,
    /// Whether it is in use. One that is not keeps its members, and is left out where the segments of a customer are
    /// listed.
    pub is_active: bool,
    /// The version that the last edit made: those after it only counted. Kept by the library.
    #[field(int(0, 1_000_000_000_000))]
    pub edited_version: i64,
    /// The user who made it.
    #[field(frozen)]
    pub created_by: Option<UserId>,
}

/// That a customer is a member of a static segment.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "segment_member",
    table = "segment_members",
    root = "customer_id",
    unique(name = "segment_member_once", fields("segment_id", "customer_id")),
    index(name = "segment_members_by_customer", fields("customer_id"))
)]
pub struct SegmentMember {
    /// The id.
    pub id: SegmentMemberId,
    /// Version and instants.
    pub meta: Meta,
    /// The segment.
    #[field(link = "segment", frozen)]
    pub segment_id: SegmentId,
    /// The customer.
    #[field(link = "customer", frozen)]
    pub customer_id: CustomerId,
    /// The user who added it.
    #[field(frozen)]
    pub created_by: Option<UserId>,
}

impl Default for Segment {
    fn default() -> Self {
        Self {
            id: SegmentId(uuid::Uuid::nil()),
            meta: Meta::default(),
            name: String::new(),
            description: None,
            r#type: SegmentType::Static,
            criteria: None,
            member_count: None,
            last_calculated_at: None,
            is_active: true,
            edited_version: 0,
            created_by: None,
        }
    }
}

impl Segment {
    /// A segment whose members are added by hand, not yet created.
    pub fn fixed(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// A segment whose members are the customers that meet criteria, not yet created.
    pub fn dynamic(name: impl Into<String>, criteria: Json) -> Self {
        Self { name: name.into(), r#type: SegmentType::Dynamic, criteria: Some(criteria), ..Self::default() }
    }
}

impl Validate for Segment {
    fn check(&self) -> Vec<FieldError> {
        match (self.r#type, &self.criteria) {
            (SegmentType::Dynamic, None) => {
                vec![FieldError::new("criteria", "is missing; a dynamic segment has criteria")]
            }
            (SegmentType::Static, Some(_)) => {
                let why = "is given; a static segment has members, make it dynamic or leave the criteria out";
                vec![FieldError::new("criteria", why)]
            }
            _ => Vec::new(),
        }
    }
}
