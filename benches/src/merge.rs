//! Joining sorted streams: the loser tree beside the heap of `itertools` and a plain copy.

use std::hint::black_box;

use itertools::Itertools;

use crate::measure::{each, in_turns};
use crate::options::Options;
use crate::report::{Aim, Report};
use crate::sample::Random;

const PART: &str = "merge";
const STREAMS: usize = 8;

/// An entry as large as a row of the timeline without its texts.
#[derive(Clone, Copy)]
struct Entry([u128; 8]);

impl Entry {
    fn key(&self) -> u128 {
        self.0[0]
    }
}

/// Measures it.
pub(crate) fn run(options: &Options, report: &mut Report) {
    let length = options.size(500_000, 100_000);
    let count = length * STREAMS;
    let rounds = options.size(9, 5);
    let mut random = Random::new(7);
    let keys: Vec<Vec<u128>> = (0..STREAMS)
        .map(|_| {
            let mut stream: Vec<u128> =
                (0..length).map(|_| u128::from(random.next()) << 64 | u128::from(random.next())).collect();
            stream.sort_unstable();
            stream
        })
        .collect();
    let entry = |key: &u128| Entry([*key, 0, 0, 0, 0, 0, 0, 0]);
    let entries: Vec<Vec<Entry>> = keys.iter().map(|keys| keys.iter().map(entry).collect()).collect();
    let keyed: Vec<Vec<(u128, &[u128; 8])>> =
        entries.iter().map(|s| s.iter().map(|entry| (entry.key(), &entry.0)).collect()).collect();

    let ours: Vec<u128> =
        crm_core::timeline::merge(keys.iter().map(|s| s.iter().copied()), |key| *key).collect();
    let theirs: Vec<u128> = keys.iter().map(|s| s.iter().copied()).kmerge().collect();
    assert!(ours == theirs, "both join the streams in the same order");

    let [merge, kmerge, copy] = in_turns(
        rounds,
        [
            &mut || {
                let merged = crm_core::timeline::merge(keys.iter().map(|s| s.iter().copied()), |key| *key);
                black_box(merged.fold(0, |sum: u128, key| sum ^ key));
            },
            &mut || {
                let merged = keys.iter().map(|s| s.iter().copied()).kmerge();
                black_box(merged.fold(0, |sum: u128, key| sum ^ key));
            },
            &mut || {
                black_box(keys.concat());
            },
        ],
    )
    .map(|time| each(time, count));
    report.speed(PART, "keys (u128)", merge, ("itertools kmerge", kmerge), Some(Aim::AtLeast(3.0)));
    report.speed(PART, "keys (u128)", merge, ("copying them", copy), None);

    let [merge, kmerge, copy] = in_turns(
        rounds,
        [
            &mut || {
                let merged =
                    crm_core::timeline::merge(keyed.iter().map(|s| s.iter().copied()), |entry| entry.0);
                black_box(merged.fold(0, |sum: u128, entry| sum ^ entry.0 ^ (entry.1.len() as u128)));
            },
            &mut || {
                let merged = keyed.iter().map(|s| s.iter().copied()).kmerge_by(|a, b| a.0 < b.0);
                black_box(merged.fold(0, |sum: u128, entry| sum ^ entry.0 ^ (entry.1.len() as u128)));
            },
            &mut || {
                black_box(entries.concat());
            },
        ],
    )
    .map(|time| each(time, count));
    let what = "keys with references to entries of 128 bytes";
    report.speed(PART, what, merge, ("itertools kmerge_by", kmerge), Some(Aim::AtLeast(3.0)));
    report.speed(PART, what, merge, ("copying the entries", copy), None);

    let [merge, kmerge] = in_turns(
        rounds,
        [
            &mut || {
                let merged = crm_core::timeline::merge(entries.iter().map(|s| s.iter()), |entry| entry.key());
                black_box(merged.fold(0, |sum: u128, entry| sum ^ entry.key()));
            },
            &mut || {
                let merged = entries.iter().map(|s| s.iter()).kmerge_by(|a, b| a.key() < b.key());
                black_box(merged.fold(0, |sum: u128, entry| sum ^ entry.key()));
            },
        ],
    )
    .map(|time| each(time, count));
    let what = "entries of 128 bytes, keys read from them (memory is what takes the time)";
    report.speed(PART, what, merge, ("itertools kmerge_by", kmerge), None);
    report.note(PART, format!("Times are by the entry, of {count} in {STREAMS} streams of random keys."));
}
