//! Where a path leads: one record and the records that it is linked with.

use std::borrow::Cow;

use uuid::Uuid;

use crate::catalog::EntityDef;
use crate::criteria::Path;
use crate::record::Record;
use crate::value::Value;

/// Where linked records are found.
pub trait Links {
    /// The record, deleted or not.
    fn follow(&self, def: &'static EntityDef, id: Uuid) -> Option<&Record>;
}

/// No linked records: every path through a link is missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLinks;

impl Links for NoLinks {
    fn follow(&self, _: &'static EntityDef, _: Uuid) -> Option<&Record> {
        None
    }
}

impl Links for std::collections::BTreeMap<Uuid, Record> {
    fn follow(&self, def: &'static EntityDef, id: Uuid) -> Option<&Record> {
        self.get(&id).filter(|record| record.def == def)
    }
}

impl Path {
    /// The stored value, through the links; null when a link is missing.
    #[inline]
    pub fn value<'a>(&self, record: &'a Record, links: &'a dyn Links) -> &'a Value {
        let holder = if self.links.is_empty() { Some(record) } else { self.holder(record, links) };
        match (holder.map(|holder| &holder.values[self.field]), &self.custom) {
            (Some(value), None) => value,
            (Some(Value::Custom(map)), Some(key)) => map.get(key).unwrap_or(&Value::Null),
            _ => &Value::Null,
        }
    }

    /// The value that comparisons and sorts read: folded where the field is.
    pub fn comparable<'a>(&self, record: &'a Record, links: &'a dyn Links) -> Cow<'a, Value> {
        match (self.value(record, links), self.field_def().folded) {
            (Value::Text(text), true) => Cow::Owned(Value::Text(crate::format::fold(text))),
            (value, _) => Cow::Borrowed(value),
        }
    }

    fn holder<'a>(&self, record: &'a Record, links: &'a dyn Links) -> Option<&'a Record> {
        let mut at = record;
        for (place, (_, field)) in self.links.iter().enumerate() {
            let next = self.links.get(place + 1).map_or(self.def, |(def, _)| *def);
            at = links.follow(next, at.values[*field].as_id()?)?;
        }
        Some(at)
    }
}
