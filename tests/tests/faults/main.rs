//! What becomes of data, callers and consumers when servers and networks fail: against servers that each test starts
//! itself, with the settings of production, and kills, stops or cuts off.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod audit;
mod backend;
mod consumer;
mod crash;
mod deed;
mod events;
mod lost;
mod outage;
mod startup;
mod world;
