//! Small reads of several collections in one command: most of what a command of the core loads.

use std::collections::BTreeMap;

use bson::{Document, doc};
use crm_core::TenantId;
use crm_core::store::{Read, StoreError};

use super::{Pipeline, Plan, plan, query_pipeline};
use crate::error::corrupt;
use crate::inner::Inner;

/// More documents are asked for alone: in a union they would cost more than the round trip that it saves. A find that may
/// have more is tried, and asked again when it does.
const MOST: usize = 50;
/// The key with the place of the read that a document answers.
const PLACE: &str = "_place";

/// Several reads as one.
pub(super) struct Together {
    places: Vec<usize>,
    pipeline: Pipeline,
}

impl Together {
    /// Those of the reads that go together; `None` when there are not two of them.
    pub(super) fn of(inner: &Inner, tenant: TenantId, reads: &[Read]) -> Result<Option<Self>, StoreError> {
        let mut together: Option<Self> = None;
        for (place, read) in reads.iter().enumerate() {
            let small = match read {
                Read::Get { ids, .. } => ids.len() <= MOST,
                Read::Key { .. } | Read::Find(_) => true,
                _ => false,
            };
            if !small {
                continue;
            }
            let Plan::One(mut pipeline) = plan(inner, tenant, read)? else { continue };
            if let Read::Find(query) = read {
                pipeline = query_pipeline(tenant, query, Some(query.limit.min(MOST + 1)));
                if pipeline.stages.iter().any(|stage| stage.contains_key("$lookup")) {
                    continue;
                }
            }
            let mark = i64::try_from(place).unwrap_or(i64::MAX);
            pipeline.stages.push(doc! { "$set": { PLACE: { "$literal": mark } } });
            match &mut together {
                None => together = Some(Self { places: vec![place], pipeline }),
                Some(together) => {
                    together.places.push(place);
                    let union = doc! { "coll": pipeline.collection, "pipeline": pipeline.stages };
                    together.pipeline.stages.push(doc! { "$unionWith": union });
                }
            }
        }
        Ok(together.filter(|together| together.places.len() > 1))
    }

    /// The one aggregation.
    pub(super) fn pipeline(&self) -> Pipeline {
        self.pipeline.clone()
    }

    /// Which documents answer which read, by its place; a read that has more of them than go together is left out.
    pub(super) fn sort(&self, found: Vec<Document>) -> Result<BTreeMap<usize, Vec<Document>>, StoreError> {
        let mut sorted: BTreeMap<usize, Vec<Document>> =
            self.places.iter().map(|place| (*place, Vec::new())).collect();
        for document in found {
            let place = document.get_i64(PLACE).ok().and_then(|place| usize::try_from(place).ok());
            let documents = place.and_then(|place| sorted.get_mut(&place));
            documents.ok_or_else(|| corrupt("an answer to nothing that was asked"))?.push(document);
        }
        sorted.retain(|_, documents| documents.len() <= MOST);
        Ok(sorted)
    }
}
