//! One language for "which records": JSON in, checked against the catalog, evaluated here and pushed down to SQL and
//! MongoDB, with the same answer everywhere (SPEC LC-08).
//!
//! - [`Criteria`] is the checked tree. It may hold conditions relative to now.
//! - [`Filter`] is the same tree at one instant, and all that a store ever sees.
//! - [`Matcher`] is a filter made ready: it says which of many records meet it, and reads as little of each as it can.
//! - [`CriteriaSet`] is many criteria made ready: it says which of them a record meets, reads each value once, and says when
//!   time alone changes an answer.
//!
//! Both ask a single condition by the same code. They differ in joining them: a scan ends at the condition that decides,
//! a set has its conditions' answers at hand and joins them without a branch.
//!
//! A missing value makes every condition false; `ne`, `not_in` and `not` are the exact complement of their positive
//! form and so true.

mod check;
mod circuit;
mod filter;
mod links;
mod matcher;
mod parse;
mod probe;
mod relative;
mod set;
#[cfg(test)]
mod tests;
mod tree;

pub use check::{CriteriaError, Scope};
pub use filter::{Filter, Leaf, Path, Test};
pub use links::{Links, NoLinks};
pub use matcher::Matcher;
pub use parse::{Condition, Criteria, Node};
pub use relative::{Moment, Unit};
pub use set::{CriteriaSet, Judge, Verdict};
