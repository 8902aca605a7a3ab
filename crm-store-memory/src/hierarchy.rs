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

#[cfg(test)]
mod tests {
    use crm_core::record::Record;
    use crm_core::store::Read;
    use crm_core::value::Value;

    use crate::testing::*;

    fn child(n: u128, parent: u128) -> Record {
        customer(n, &[("parent_id", Value::Id(id(parent)))])
    }

    fn above(n: u128, limit: usize) -> Read {
        Read::Ancestors { def: &CUSTOMER, id: id(n), limit }
    }

    fn below(n: u128, limit: usize) -> Read {
        Read::Subtree { def: &CUSTOMER, id: id(n), limit }
    }

    #[tokio::test]
    async fn ancestors_are_nearest_first_with_deleted_ones() {
        let store = store();
        put(&store, &[customer(1, &[]), child(2, 1), child(3, 2)]).await;
        crate::testing::commit(&store, vec![delete(&child(2, 1))]).await.unwrap();
        assert_eq!(ids(&store, above(3, 10)).await, [3, 2, 1]);
        assert_eq!(ids(&store, above(3, 2)).await, [3, 2]);
        assert_eq!(ids(&store, above(9, 2)).await, [0; 0]);
    }

    #[tokio::test]
    async fn a_subtree_is_by_depth_and_id_without_deleted_ones() {
        let store = store();
        let records = [customer(5, &[]), child(9, 5), child(6, 5), child(2, 9), child(1, 6), child(3, 2)];
        put(&store, &records).await;
        assert_eq!(ids(&store, below(5, 10)).await, [5, 6, 9, 1, 2, 3]);
        // What stands below a deleted one is still there, as deep as before.
        crate::testing::commit(&store, vec![delete(&child(9, 5))]).await.unwrap();
        assert_eq!(ids(&store, below(5, 10)).await, [5, 6, 1, 2, 3]);
        assert_eq!(ids(&store, below(5, 3)).await, [5, 6, 1]);
        assert_eq!(ids(&store, below(9, 3)).await, [9, 2, 3]);
        assert_eq!(ids(&store, below(77, 3)).await, [0; 0]);
    }

    #[tokio::test]
    async fn a_cycle_ends_the_walk() {
        let store = store();
        put(&store, &[child(1, 3), child(2, 1), child(3, 2)]).await;
        assert_eq!(ids(&store, above(1, 10)).await, [1, 3, 2]);
        assert_eq!(ids(&store, below(1, 10)).await, [1, 2, 3]);
    }
}
