//! The conformance suite over PostgreSQL.

mod common;

crm_conformance::conformance!(common::postgres::PostgresHarness::default());
