//! Everything stored, as text, for tests that something is not.

use std::fmt::Write as _;

use crm_core::value::Value;

use crate::tenant::Tenant;

/// Appends a line for every record, token, timeline row, log row, key and consumer.
pub(crate) fn tenant(out: &mut String, tenant: &Tenant) {
    // Writing to a string does not fail.
    let mut line = |what: &str, text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{what} {text}");
    };
    for (table, schema) in tenant.tables.iter().zip(&tenant.schema.tables) {
        let name = schema.def.name;
        for record in table.records_after(None) {
            let mut text = String::new();
            for (field, value) in schema.def.fields.iter().zip(&record.values) {
                if *value != Value::Null {
                    let _ = write!(text, " {}={}", field.name, value.to_json());
                }
            }
            line("record", format_args!("{name}{text}"));
        }
        for (id, token) in table.tokens() {
            line("token", format_args!("{name} {id} {token:?}"));
        }
    }
    for row in tenant.timeline.rows() {
        line("timeline", format_args!("{row:?}"));
    }
    for row in tenant.log.rows() {
        line("log", format_args!("{row:?}"));
    }
    for ((command, key), record) in tenant.keys.iter() {
        line("key", format_args!("{command} {key:?} {record:?}"));
    }
    for (consumer, number) in &tenant.consumers {
        line("consumer", format_args!("{consumer:?} {number}"));
    }
}
