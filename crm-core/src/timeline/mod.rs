//! The timeline: one entry for each thing that happened, in one total order, wherever it came from (SPEC TL-01).

mod entry;
mod group;
mod merge;
mod service;
mod watch;

pub use entry::{Audience, Display, Entry, TimelineSource, Visibility, direct_root, rows};
pub use group::{Day, by_day};
pub use merge::{Merge, merge};
pub use service::{Anchor, TimelinePage, TimelineRequest, Timelines};
pub use watch::TimelineChange;
