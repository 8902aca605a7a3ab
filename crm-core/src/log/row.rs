//! A row of the change log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::value::{Instant, Value};

/// What happened to the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Inserted.
    Insert,
    /// Changed.
    Update,
    /// Marked as deleted.
    Delete,
    /// Taken back from deletion.
    Restore,
    /// Removed for good.
    Purge,
}

impl Op {
    /// The name that stores and JSON use.
    pub fn code(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::Purge => "purge",
        }
    }

    /// The operation of this name.
    pub fn parse(code: &str) -> Option<Self> {
        [Self::Insert, Self::Update, Self::Delete, Self::Restore, Self::Purge]
            .into_iter()
            .find(|o| o.code() == code)
    }
}

/// What acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A user of the tenant.
    User,
    /// A customer, through a portal.
    Customer,
    /// The system itself: due work, sync.
    System,
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// What acts.
    pub kind: ActorKind,
    /// Which one; none for the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
}

/// Where a request came from. Personal: kept beside the log row, not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The IP address, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The user agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The part of the embedding service: `api`, `import`, `portal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Something of the domain that happened with the change. Holds ids and codes, nothing personal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Never repeated: consumers drop what they have seen.
    pub id: Uuid,
    /// `customer.created`, `contact.primary_changed`.
    pub name: String,
    /// Ids and codes.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub data: Json,
}

/// The unchangeable part of a row that only the core reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The version of this structure.
    pub schema: u32,
    /// Who.
    pub actor: Actor,
    /// The command: `customers.update`.
    pub command: String,
    /// Joins what belongs to one request across services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Uuid>,
    /// For every field that changed, the [`commitment`] to its new value, in hexadecimal; `origin` commits to
    /// the origin.
    pub commitments: BTreeMap<String, String>,
    /// What happened in terms of the domain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
}

/// The erasable part of a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Private {
    /// The salt of the row's commitments, 32 hexadecimal digits.
    pub salt: String,
    /// The values that this change replaced, by field, in the JSON form of [`Value::to_json`]. What was missing
    /// is null.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replaced: BTreeMap<String, Json>,
    /// Where from.
    #[serde(default)]
    pub origin: Origin,
}

/// One change of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// The change set.
    pub commit_id: Uuid,
    /// The place within the change set; with `commit_id` the row's identity.
    pub ordinal: i32,
    /// The entity's name.
    pub entity: String,
    /// The record.
    pub record_id: Uuid,
    /// The version that the change made.
    pub version: i64,
    /// What happened.
    pub op: Op,
    /// When it was decided; never before the record's previous change.
    pub at: Instant,
    /// The customer that the record is read through.
    pub root: Option<Uuid>,
    /// Who, why, what. Stores keep it as JSON and do not look inside.
    pub body: Body,
    /// Values, salts and origin; `None` after erasure.
    pub private: Option<Private>,
    /// The place in the tenant's log, once sealed.
    pub number: Option<i64>,
    /// The chained hash in hexadecimal, once sealed.
    pub hash: Option<String>,
}

/// The commitment to a field's value: the first 128 bits of SHA-256 over salt, field name, a zero byte and the
/// value's JSON text, in hexadecimal. Without the salt it says nothing about the value.
pub fn commitment(salt: &str, field: &str, value: &Value) -> String {
    commitment_to_json(salt, field, &value.to_json())
}

pub(crate) fn commitment_to_json(salt: &str, field: &str, json: &Json) -> String {
    let digest = Sha256::new()
        .chain_update(salt)
        .chain_update(field)
        .chain_update([0])
        .chain_update(json.to_string())
        .finalize();
    hex(&digest[..16])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for b in bytes {
        text.push(char::from(DIGITS[usize::from(b >> 4)]));
        text.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    text
}
