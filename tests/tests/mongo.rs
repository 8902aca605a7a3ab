//! The conformance suite over MongoDB.

mod common;

crm_conformance::conformance!(common::mongo::MongoHarness::default());
