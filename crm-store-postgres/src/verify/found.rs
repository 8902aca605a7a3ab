//! What a schema has, read from the server's own tables, which every role may read.

use std::collections::BTreeMap;

use sqlx::postgres::PgPool;

/// A column.
pub(super) struct Column {
    /// The type with its precision, as the server writes it.
    pub(super) kind: String,
    /// Whether it refuses null.
    pub(super) required: bool,
    /// The collation's name, empty for none.
    pub(super) collation: String,
    /// Whether an insert may leave it out.
    pub(super) has_default: bool,
}

/// An index.
pub(super) struct Index {
    /// Whether it is unique.
    pub(super) unique: bool,
    /// Its columns, in order.
    pub(super) columns: Vec<String>,
    /// The rows it covers, as an expression; empty for all.
    pub(super) predicate: String,
}

/// What is there, by name.
pub(super) struct Found {
    /// By table and column.
    pub(super) columns: BTreeMap<String, BTreeMap<String, Column>>,
    /// Valid indexes.
    pub(super) indexes: BTreeMap<String, Index>,
    /// Constraints with their definitions.
    pub(super) constraints: BTreeMap<String, String>,
}

/// Reads all of a schema.
pub(super) async fn read(pool: &PgPool, schema: &str) -> Result<Found, sqlx::Error> {
    let rows: Vec<(String, String, String, bool, String, bool)> = sqlx::query_as(
        "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
                coalesce(l.collname::text, ''), a.atthasdef OR a.attidentity <> '' \
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_collation l ON l.oid = a.attcollation \
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped",
    )
    .bind(schema)
    .fetch_all(pool)
    .await?;
    let mut columns: BTreeMap<String, BTreeMap<String, Column>> = BTreeMap::new();
    for (table, name, kind, required, collation, has_default) in rows {
        let column = Column { kind, required, collation, has_default };
        columns.entry(table).or_default().insert(name, column);
    }
    let indexes: Vec<(String, bool, Vec<String>, String)> = sqlx::query_as(
        "SELECT c.relname::text, i.indisunique, \
                ARRAY(SELECT coalesce(a.attname::text, '') FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (n, place) \
                      LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n ORDER BY k.place), \
                coalesce(pg_get_expr(i.indpred, i.indrelid), '') \
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND i.indisvalid",
    )
    .bind(schema)
    .fetch_all(pool)
    .await?;
    let constraints: Vec<(String, String)> = sqlx::query_as(
        "SELECT o.conname::text, pg_get_constraintdef(o.oid) FROM pg_constraint o \
         JOIN pg_namespace n ON n.oid = o.connamespace WHERE n.nspname = $1",
    )
    .bind(schema)
    .fetch_all(pool)
    .await?;
    let index = |(name, unique, columns, predicate)| (name, Index { unique, columns, predicate });
    Ok(Found {
        columns,
        indexes: indexes.into_iter().map(index).collect(),
        constraints: constraints.into_iter().collect(),
    })
}
