//! Making a database what the catalog asks for.

use std::collections::BTreeMap;

use bson::{Document, doc};
use crm_core::catalog::Catalog;
use crm_core::store::StoreError;
use mongodb::Database;

use super::{Index, META_ID, VERSION, collections, indexes, verify};
use crate::error::{code, is_lost, is_transient, store_error};
use crate::names;

const NAMESPACE_EXISTS: i32 = 48;
const INDEX_OPTIONS_CONFLICT: i32 = 85;
const INDEX_KEY_CONFLICT: i32 = 86;
const EQUIVALENT_INDEX: i32 = 68;
/// How often a step is done again when another process migrates at the same time.
const TRIES: u32 = 20;

/// Creates what is missing. Running it again, or many at once, changes nothing more.
pub(crate) async fn migrate(db: &Database, catalog: &Catalog) -> Result<(), StoreError> {
    verify::server(db).await?;
    verify::version(db, true).await?;
    let wanted = indexes(catalog)?;
    let there = db.list_collection_names().await.map_err(|e| store_error("listing collections", &e))?;
    for name in collections(catalog) {
        if !there.iter().any(|known| known == name) {
            step(db, &doc! { "create": name }, "creating a collection").await?;
        }
    }
    let mut by_collection: BTreeMap<&str, Vec<&Index>> = BTreeMap::new();
    for index in &wanted {
        by_collection.entry(index.collection).or_default().push(index);
    }
    for (collection, indexes) in by_collection {
        let found = verify::differing(db, collection, &indexes).await?;
        let missing = indexes.iter().filter(|index| !found.contains(&index.name));
        let list: Vec<Document> = missing.map(|index| index.to_command()).collect();
        if !list.is_empty() {
            step(db, &doc! { "createIndexes": collection, "indexes": list }, "creating indexes").await?;
        }
    }
    let update = doc! { "q": { "_id": META_ID }, "u": { "$set": { "version": VERSION } }, "upsert": true };
    step(db, &doc! { "update": names::META, "updates": [update] }, "writing the schema's version").await
}

async fn step(db: &Database, command: &Document, what: &str) -> Result<(), StoreError> {
    for attempt in 1.. {
        match db.run_command(command.clone()).await {
            Ok(_) => return Ok(()),
            Err(error) if code(&error) == Some(NAMESPACE_EXISTS) => return Ok(()),
            Err(error)
                if matches!(
                    code(&error),
                    Some(INDEX_OPTIONS_CONFLICT | INDEX_KEY_CONFLICT | EQUIVALENT_INDEX)
                ) =>
            {
                let name = command.get_str("createIndexes").unwrap_or_default();
                let why = format!(
                    "an index of {name} has the name or the keys of one that the catalog asks for, and differs from \
                     it; drop it and migrate again"
                );
                return Err(StoreError::NotReady { why });
            }
            Err(error) if code(&error) == Some(crate::error::DUPLICATE) => {
                let name = command.get_str("createIndexes").unwrap_or_default();
                let why =
                    format!("the records of {name} break a new unique rule; mend them and migrate again");
                return Err(StoreError::NotReady { why });
            }
            Err(error) if attempt < TRIES && (is_transient(&error) || is_lost(&error)) => {
                crate::timing::rest(attempt).await;
            }
            Err(error) => return Err(store_error(what, &error)),
        }
    }
    Ok(())
}
