//! The conformance suite over the store of the guide.

mod common;

crm_conformance::contract_properties!(common::small::SmallHarness);
