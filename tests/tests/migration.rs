//! The embedder's own migration is what the store's generator gives for the entities.

use crm_conformance::contract::extra_entity::{POSTGRES_MIGRATION, ProjectNote, Visit, catalog};
use crm_core::catalog::Entity;
use crm_store_postgres::ddl;

/// `CRM_WRITE_MIGRATION=1` writes the file anew, for when the entities change.
#[test]
fn xt_01_the_kept_migration_is_what_the_generator_gives() {
    let catalog = catalog();
    let text = format!("{}\n{}", ddl(&catalog, ProjectNote::def()), ddl(&catalog, Visit::def()));
    if std::env::var("CRM_WRITE_MIGRATION").is_ok() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0900_project_notes.sql"), &text)
            .unwrap();
        return;
    }
    assert_eq!(POSTGRES_MIGRATION, text);
}
