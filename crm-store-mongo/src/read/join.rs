//! Paths through links as lookups.

use bson::{Bson, Document, doc};
use crm_core::TenantId;
use crm_core::catalog::EntityDef;
use crm_core::criteria::Path;
use std::collections::BTreeSet;

use crate::names;

/// The lookups that a read needs, each once, in an order in which each finds what it starts from.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    links: Vec<(&'static EntityDef, usize)>,
    target: &'static EntityDef,
    from: String,
    keys: BTreeSet<String>,
}

impl Joins {
    /// The key of a path in the documents after the lookups: the form that comparisons read, or the stored one.
    pub(crate) fn key(&mut self, path: &Path, compared: bool) -> String {
        let field = path.field_def();
        let mut own = if compared && path.custom.is_none() {
            field.compare_column().into_owned()
        } else {
            field.name.to_owned()
        };
        let first = own.clone();
        if let Some(name) = &path.custom {
            own = format!("{own}.{name}");
        }
        if path.links.is_empty() {
            return own;
        }
        let place = self.step(&path.links, path.def);
        self.steps[place].keys.insert(first);
        format!("_l{place}.{own}")
    }

    fn step(&mut self, links: &[(&'static EntityDef, usize)], target: &'static EntityDef) -> usize {
        // The id leads to each of the records that complete one, so that the links alone do not say where.
        let known = |step: &Step| step.links == links && step.target.name == target.name;
        if let Some(place) = self.steps.iter().position(known) {
            return place;
        }
        let (above, last) = links.split_at(links.len() - 1);
        let (holder, field) = last[0];
        let link = holder.fields[field].name;
        let from = if above.is_empty() {
            link.to_owned()
        } else {
            let place = self.step(above, holder);
            self.steps[place].keys.insert(link.to_owned());
            format!("_l{place}.{link}")
        };
        self.steps.push(Step { links: links.to_vec(), target, from, keys: BTreeSet::new() });
        self.steps.len() - 1
    }

    /// The stages, with only the keys that are read.
    pub(crate) fn stages(&self, tenant: TenantId) -> Vec<Document> {
        let mut stages = Vec::new();
        for (place, step) in self.steps.iter().enumerate() {
            let name = format!("_l{place}");
            let keys: Document = step.keys.iter().map(|key| (key.clone(), Bson::Int32(1))).collect();
            stages.push(doc! { "$lookup": {
                "from": step.target.table,
                "let": { "l": format!("${}", step.from) },
                "pipeline": [
                    { "$match": { "$expr": { "$eq": ["$_id", { "t": names::tenant(tenant), "i": "$$l" }] } } },
                    { "$project": keys },
                ],
                "as": &name,
            } });
            stages
                .push(doc! { "$unwind": { "path": format!("${name}"), "preserveNullAndEmptyArrays": true } });
        }
        stages
    }

    /// Takes the looked up documents out again.
    pub(crate) fn tidy(&self) -> Option<Document> {
        let names: Vec<String> = (0..self.steps.len()).map(|place| format!("_l{place}")).collect();
        (!names.is_empty()).then(|| doc! { "$unset": names })
    }
}
