//! Checking that a database is what this store needs, and saying what to do when it is not.

use std::collections::BTreeMap;

use bson::{Bson, Document, doc};
use crm_core::catalog::Catalog;
use crm_core::store::StoreError;
use mongodb::Database;

use super::{Index, META_ID, VERSION, collections, indexes};
use crate::error::{REPLICA_SET, code, store_error};
use crate::names;

const NAMESPACE_NOT_FOUND: i32 = 26;
const MIGRATE: &str = "run MongoStore::migrate with a user that may create collections and indexes";

/// Checks server, version, collections and indexes.
pub(crate) async fn verify(db: &Database, catalog: &Catalog) -> Result<(), StoreError> {
    server(db).await?;
    version(db, false).await?;
    let wanted = indexes(catalog)?;
    let there = db.list_collection_names().await.map_err(|e| store_error("listing collections", &e))?;
    if let Some(missing) =
        collections(catalog).into_iter().find(|name| !there.iter().any(|known| known == name))
    {
        return not_ready(format!("the collection {missing} is missing; {MIGRATE}"));
    }
    let mut by_collection: BTreeMap<&str, Vec<&Index>> = BTreeMap::new();
    for index in &wanted {
        by_collection.entry(index.collection).or_default().push(index);
    }
    for (collection, indexes) in by_collection {
        let found = differing(db, collection, &indexes).await?;
        if let Some(missing) = indexes.iter().find(|index| !found.contains(&index.name)) {
            return not_ready(format!("the index {} of {collection} is missing; {MIGRATE}", missing.name));
        }
    }
    Ok(())
}

/// Checks the server's version and that it has transactions.
pub(crate) async fn server(db: &Database) -> Result<(), StoreError> {
    let ask = async |command: Document| {
        db.run_command(command).await.map_err(|e| store_error("asking the server what it is", &e))
    };
    let info = ask(doc! { "buildInfo": 1 }).await?;
    let major = info.get_array("versionArray").ok().and_then(|parts| parts.first()?.as_i32()).unwrap_or(0);
    if major < 6 {
        let found = info.get_str("version").unwrap_or("unknown");
        return not_ready(format!(
            "MongoDB is version {found} and this store needs 6.0 or later; upgrade the server"
        ));
    }
    let hello = ask(doc! { "hello": 1 }).await?;
    if !hello.contains_key("setName") && hello.get_str("msg").ok() != Some("isdbgrid") {
        return not_ready(REPLICA_SET.to_owned());
    }
    Ok(())
}

/// Checks the schema's version. Before a migration it may be missing or older.
pub(crate) async fn version(db: &Database, migrating: bool) -> Result<(), StoreError> {
    let found = db
        .collection::<Document>(names::META)
        .find_one(doc! { "_id": META_ID })
        .await
        .map_err(|e| store_error("reading the schema's version", &e))?
        .and_then(|meta| meta.get_i32("version").ok());
    match found {
        Some(VERSION) => Ok(()),
        Some(newer) if newer > VERSION => not_ready(format!(
            "the database has schema version {newer} and this crate knows {VERSION}; use a newer version of it"
        )),
        _ if migrating => Ok(()),
        Some(older) => {
            not_ready(format!("the database has schema version {older}, not {VERSION}; {MIGRATE}"))
        }
        None => not_ready(format!("the database was never migrated; {MIGRATE}")),
    }
}

/// The names of the collection's indexes; an error when one has a wanted name and is another.
pub(crate) async fn differing(
    db: &Database,
    collection: &str,
    wanted: &[&Index],
) -> Result<Vec<String>, StoreError> {
    let found =
        match db.run_command(doc! { "listIndexes": collection, "cursor": { "batchSize": 10_000 } }).await {
            Ok(found) => found,
            Err(error) if code(&error) == Some(NAMESPACE_NOT_FOUND) => return Ok(Vec::new()),
            Err(error) => return Err(store_error("listing indexes", &error)),
        };
    let batch = found.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    let mut known = Vec::new();
    for index in batch.into_iter().flatten().filter_map(Bson::as_document) {
        let Ok(name) = index.get_str("name") else { continue };
        if let Some(wanted) = wanted.iter().find(|wanted| wanted.name == name)
            && !same(wanted, index)
        {
            return not_ready(format!(
                "the index {name} of {collection} is not what the catalog says; drop it \
                 (db.{collection}.dropIndex(\"{name}\")) and migrate again"
            ));
        }
        known.push(name.to_owned());
    }
    Ok(known)
}

fn same(wanted: &Index, found: &Document) -> bool {
    let keys = |document: &Document| -> Vec<(String, i64)> {
        document.iter().map(|(key, way)| (key.clone(), way_of(way))).collect()
    };
    found.get_document("key").is_ok_and(|found| keys(found) == keys(&wanted.keys))
        && found.get_bool("unique").unwrap_or(false) == wanted.unique
        && found.get_document("partialFilterExpression").ok() == wanted.partial.as_ref()
        && found.get_document("collation").is_err()
}

fn way_of(way: &Bson) -> i64 {
    match way {
        Bson::Int32(way) => i64::from(*way),
        Bson::Int64(way) => *way,
        Bson::Double(way) => *way as i64,
        _ => 0,
    }
}

fn not_ready<T>(why: String) -> Result<T, StoreError> {
    Err(StoreError::NotReady { why })
}
