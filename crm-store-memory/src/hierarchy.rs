//! Records above and below one in its entity's hierarchy.

use std::collections::BTreeSet;

use crm_core::catalog::EntityDef;
use crm_core::record::Record;
use uuid::Uuid;

use crate::tenant::Tenant;

impl Tenant {
    /// The record and those above it, nearest first.
    pub(crate) fn ancestors(&self, def: &EntityDef, id: Uuid, limit: usize) -> Vec<&Record> {
        let Some((table, schema)) = self.table(def.name) else { return Vec::new() };
        let parent = schema.def.parent.and_then(|parent| schema.def.index_of(parent));
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next
            && found.len() < limit
            && seen.insert(id)
            && let Some(record) = table.get(id)
        {
            found.push(record);
            next = parent.and_then(|place| record.values[place].as_id());
        }
        found
    }

    /// The record, and the live ones below it by (depth, id). Ways through deleted ones are followed.
    pub(crate) fn subtree(&self, def: &EntityDef, id: Uuid, limit: usize) -> Vec<&Record> {
        let Some((table, schema)) = self.table(def.name) else { return Vec::new() };
        let Some(root) = table.get(id) else { return Vec::new() };
        let parent = schema.def.parent.and_then(|parent| schema.def.index_of(parent));
        let Some(index) = parent.and_then(|place| schema.link_index(place)) else { return vec![root] };
        let mut seen = BTreeSet::from([id]);
        let mut found = vec![root];
        let mut level = vec![id];
        while !level.is_empty() && found.len() < limit {
            let below = level.iter().flat_map(|id| table.referring(index, *id));
            let mut children: Vec<&Record> = below.filter(|child| seen.insert(child.id())).collect();
            children.sort_unstable_by_key(|child| child.id());
            level = children.iter().map(|child| child.id()).collect();
            found.extend(children.into_iter().filter(|child| child.is_live()));
        }
        found.truncate(limit);
        found
    }
}
