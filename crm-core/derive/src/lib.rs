//! The derive of crm-core.
