//! The conformance suite over PostgreSQL as an ordinary role under row level security.

mod common;

crm_conformance::conformance!(common::postgres::PostgresHarness::secured());
