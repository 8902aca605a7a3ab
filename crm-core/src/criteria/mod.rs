//! One language for "which records": JSON in, checked against the catalog, evaluated here and pushed down to SQL and
//! MongoDB, with the same answer everywhere (SPEC LC-08).
//!
//! - [`Criteria`] is the checked tree. It may hold conditions relative to now.
//! - [`Filter`] is the same tree at one instant, and all that a store ever sees.
//!
//! A missing value makes every condition false; `ne`, `not_in` and `not` are the exact complement of their positive
//! form and so true.

mod check;
mod eval;
mod filter;
mod parse;
mod relative;

pub use check::{CriteriaError, Scope};
pub use eval::{Links, NoLinks, Verdict};
pub use filter::{Filter, Leaf, Path, Test};
pub use parse::{Condition, Criteria, Node};
pub use relative::{Moment, Unit};
