//! The timeline: one entry for each thing that happened, in one total order, wherever it came from.

mod entry;

pub use entry::{Audience, Display, Entry, TimelineSource, Visibility, direct_root, rows};
