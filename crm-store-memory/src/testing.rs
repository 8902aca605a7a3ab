//! Entities and change sets for this crate's tests.

use std::sync::LazyLock;

use crm_core::TenantId;
use crm_core::catalog::{
    Catalog, Check, Entity, EntityDef, FieldDef, Format, IndexDef, Kind, Privacy, UniqueRule, system,
};
use crm_core::criteria::{Filter, Path, Test};
use crm_core::log::{Actor, ActorKind, Body, LogRow, Op, Private};
use crm_core::record::{Meta, Record, Unreadable};
use crm_core::store::{
    Answer, ChangeSet, CommitError, Direction, Order, Query, Read, Store, StoreError, TimelineRow, TokenRow, Write,
};
use crm_core::timeline::{Audience, Display, Visibility};
use crm_core::value::{Instant, Value};
use uuid::Uuid;

use crate::MemoryStore;

pub(crate) const ACME: TenantId = TenantId(Uuid::from_u128(1));
pub(crate) const OTHER: TenantId = TenantId(Uuid::from_u128(2));

fn field(name: &'static str, kind: Kind) -> FieldDef {
    FieldDef { name, kind, required: false, folded: false, search: false, frozen: false, privacy: Privacy::Keep }
}

fn text(name: &'static str) -> FieldDef {
    field(name, Kind::Text { max: 100, format: Format::Line })
}

fn entity(name: &'static str, table: &'static str, own: Vec<FieldDef>) -> EntityDef {
    let mut fields = EntityDef::system_fields();
    fields.extend(own);
    EntityDef {
        name,
        table,
        fields,
        uniques: &[],
        indexes: &[],
        checks: &[],
        append_only: false,
        shared: false,
        root: None,
        parent: None,
        entry: None,
        validate: None,
    }
}

pub(crate) static CUSTOMER: LazyLock<EntityDef> = LazyLock::new(|| EntityDef {
    uniques: &[
        UniqueRule { name: "customer_email", fields: &["email"], only_if: None, with_deleted: false },
        UniqueRule { name: "customer_code", fields: &["status", "code"], only_if: None, with_deleted: true },
        UniqueRule { name: "customer_vip", fields: &["owner_id"], only_if: Some("vip"), with_deleted: false },
    ],
    indexes: &[
        IndexDef { name: "customer_status", fields: &["status", "score"] },
        IndexDef { name: "customer_created", fields: &["created_at"] },
        IndexDef { name: "customer_balance", fields: &["balance", "name"] },
    ],
    checks: &[
        Check::Differ("first", "second"),
        Check::Ordered("least", "most"),
        Check::Together("balance", "currency"),
    ],
    parent: Some("parent_id"),
    shared: true,
    ..entity(
        "customer",
        "customers",
        vec![
            FieldDef { required: true, folded: true, ..text("name") },
            FieldDef { folded: true, ..text("email") },
            text("code"),
            field("status", Kind::Enum { codes: &["active", "lead", "lost"], ordered: false }),
            field("score", Kind::Int { min: 0, max: 1_000 }),
            field("balance", Kind::Decimal { scale: 2 }),
            text("currency"),
            field("vip", Kind::Bool),
            field("parent_id", Kind::Link { entity: "customer" }),
            field("owner_id", Kind::Link { entity: "user" }),
            field("tags", Kind::List { max_items: 10, max_len: 20 }),
            field("custom", Kind::Custom),
            text("first"),
            text("second"),
            field("least", Kind::Int { min: 0, max: 10 }),
            field("most", Kind::Int { min: 0, max: 10 }),
        ],
    )
});

pub(crate) static USER: LazyLock<EntityDef> = LazyLock::new(|| entity("user", "users", vec![text("name")]));

pub(crate) static NOTE: LazyLock<EntityDef> = LazyLock::new(|| EntityDef {
    append_only: true,
    root: Some("customer_id"),
    ..entity(
        "note",
        "notes",
        vec![
            field("customer_id", Kind::Link { entity: "customer" }),
            text("text"),
            text("about_type"),
            field("about_id", Kind::AnyLink { entity_in: "about_type" }),
        ],
    )
});

/// Not in the catalog.
pub(crate) static STRANGER: LazyLock<EntityDef> = LazyLock::new(|| entity("stranger", "strangers", vec![]));

macro_rules! listed {
    ($name:ident, $id:ident, $def:ident) => {
        crm_core::record_id!(pub(crate) $id);

        #[derive(Clone)]
        struct $name;

        impl Entity for $name {
            type Id = $id;
            fn def() -> &'static EntityDef {
                &$def
            }
            fn to_record(&self) -> Record {
                Record::new(&$def, Uuid::nil(), &Meta::default())
            }
            fn from_record(_: &Record) -> Result<Self, Unreadable> {
                Ok(Self)
            }
            fn id(&self) -> $id {
                $id(Uuid::nil())
            }
            fn meta(&self) -> &Meta {
                static META: LazyLock<Meta> = LazyLock::new(Meta::default);
                &META
            }
        }
    };
}
