//! The names of our own collections, and the keys of their documents.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, doc};
use crm_core::TenantId;
use crm_core::store::{TimelineKey, TokenRow};
use uuid::Uuid;

/// The change log.
pub(crate) const LOG: &str = "crm_log";
/// The end of each tenant's sealed log.
pub(crate) const HEADS: &str = "crm_log_heads";
/// How far each consumer of the log has come.
pub(crate) const CONSUMERS: &str = "crm_consumers";
/// Idempotency keys.
pub(crate) const KEYS: &str = "crm_keys";
/// The timeline projection.
pub(crate) const TIMELINE: &str = "crm_timeline";
/// Search tokens; a document is nothing but its key.
pub(crate) const TOKENS: &str = "crm_tokens";
/// The slots that guards on shared records are spread over.
pub(crate) const GUARDS: &str = "crm_guards";
/// The schema's version.
pub(crate) const META: &str = "crm_meta";

/// All of them.
pub(crate) const ALL: [&str; 8] = [LOG, HEADS, CONSUMERS, KEYS, TIMELINE, TOKENS, GUARDS, META];

/// How many slots a shared record has.
pub(crate) const SLOTS: u8 = 64;

/// A UUID as binary of subtype 4, which orders as Rust orders UUIDs.
pub(crate) fn uuid(id: Uuid) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: id.as_bytes().to_vec() })
}

/// The tenant as a value.
pub(crate) fn tenant(tenant: TenantId) -> Bson {
    uuid(tenant.0)
}

/// A UUID read back.
pub(crate) fn read_uuid(bson: &Bson) -> Option<Uuid> {
    match bson {
        Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes }) => Uuid::from_slice(bytes).ok(),
        _ => None,
    }
}

/// The `_id` of a record. An embedded document compares by its values in order, so that it sorts by tenant, then
/// id, can be read in ranges, and can be built from a link within an aggregation (which cannot join binaries).
pub(crate) fn record(t: TenantId, id: Uuid) -> Document {
    doc! { "t": tenant(t), "i": uuid(id) }
}

/// A condition on `_id` that only this tenant's records meet.
pub(crate) fn of_tenant(t: TenantId) -> Document {
    doc! { "$gte": { "t": tenant(t), "i": Bson::MinKey }, "$lte": { "t": tenant(t), "i": Bson::MaxKey } }
}

/// The `_id` of a log row.
pub(crate) fn log_row(t: TenantId, commit_id: Uuid, ordinal: i32) -> Document {
    doc! { "t": tenant(t), "c": uuid(commit_id), "o": ordinal }
}

/// The `_id` of an idempotency key.
pub(crate) fn key(t: TenantId, command: &str, key: &str) -> Document {
    doc! { "t": tenant(t), "c": command, "k": key }
}

/// The `_id` of a tenant's end of the sealed log.
pub(crate) fn head(t: TenantId) -> Document {
    doc! { "t": tenant(t) }
}

/// The `_id` of a consumer.
pub(crate) fn consumer(t: TenantId, name: &str) -> Document {
    doc! { "t": tenant(t), "c": name }
}

/// The `_id` of a timeline row.
pub(crate) fn timeline(t: TenantId, key: &TimelineKey) -> Document {
    doc! { "t": tenant(t), "a": uuid(key.anchor_id), "k": key.kind, "e": uuid(key.entry_id) }
}

/// The `_id` of a search token: by tenant, entity and token, so that equal beginnings stand together.
pub(crate) fn token(t: TenantId, row: &TokenRow) -> Document {
    doc! { "t": tenant(t), "e": row.entity, "k": &row.token, "i": uuid(row.id) }
}

/// The `_id` of a guard's slot.
pub(crate) fn slot(t: TenantId, entity: &str, id: Uuid, slot: u8) -> Document {
    doc! { "t": tenant(t), "e": entity, "i": uuid(id), "s": i32::from(slot) }
}
