//! The store's own tables.

use super::found::Found;
use crate::migrate::SYSTEM_TABLES;
use crate::timeline;

/// The columns of the store's own tables that statements name.
fn system_columns(table: &str) -> Vec<&'static str> {
    match table {
        "crm_consumers" => vec!["consumer", "number"],
        "crm_keys" => vec!["command", "key", "commit_id", "digest", "result", "at"],
        "crm_log" => vec![
            "commit_id",
            "ordinal",
            "entity",
            "record_id",
            "version",
            "op",
            "at",
            "root",
            "body",
            "private",
            "number",
            "hash",
        ],
        "crm_log_head" => vec!["number", "hash"],
        "crm_timeline" => timeline::COLUMNS.to_vec(),
        _ => vec!["entity", "token", "id"],
    }
}

/// Compares the store's own tables.
pub(super) fn system(found: &Found, wrong: &mut Vec<String>) {
    for table in SYSTEM_TABLES {
        let Some(columns) = found.columns.get(table) else {
            wrong.push(format!("the table {table} is missing"));
            continue;
        };
        for name in system_columns(table).into_iter().chain(["tenant"]) {
            if !columns.contains_key(name) {
                wrong.push(format!("the column {table}.{name} is missing"));
            }
        }
        let key = format!("{table}_pkey");
        if !found.indexes.contains_key(&key) {
            wrong.push(format!("the primary key {key} is missing"));
        }
    }
    for (name, unique) in [
        ("crm_log_number", true),
        ("crm_log_record", false),
        ("crm_log_unsealed", false),
        ("crm_timeline_anchor", false),
        ("crm_timeline_actor", false),
        ("crm_timeline_tenant", false),
    ] {
        match found.indexes.get(name) {
            None => wrong.push(format!("the index {name} is missing or invalid")),
            Some(index) if unique && !index.unique => wrong.push(format!("the index {name} is not unique")),
            Some(_) => {}
        }
    }
}
