//! Stores that break one promise each.
