//! The figures, as a table.

use std::fmt::Write as _;

use crate::machine;
use crate::measure::show;
use crate::options::{Options, PARTS};

/// What a ratio is wanted to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

impl Aim {
    fn met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::AtMost(most) => format!("≤ {most}"),
        }
    }
}

/// One figure: ours, the peer's, and their ratio.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// The part it belongs to.
    pub(crate) part: &'static str,
    /// What was measured.
    pub(crate) what: String,
    /// Ours.
    pub(crate) ours: String,
    /// The peer and its figure.
    pub(crate) peer: String,
    /// The ratio, as the part defines it.
    pub(crate) ratio: f64,
    /// What it should be, if anything.
    pub(crate) aim: Option<Aim>,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    notes: Vec<(&'static str, String)>,
    /// Names and versions of what was measured with.
    pub(crate) versions: Vec<(String, String)>,
}

impl Report {
    /// Adds a figure, and prints it at once.
    pub(crate) fn add(&mut self, figure: Figure) {
        eprintln!("{}", line(&figure));
        self.figures.push(figure);
    }

    /// Adds the ratio of two times: speed (`peer / ours`, larger is better).
    pub(crate) fn speed(
        &mut self,
        part: &'static str,
        what: impl Into<String>,
        ours: f64,
        peer: (&str, f64),
        aim: Option<Aim>,
    ) {
        let ratio = crate::measure::ratio(peer.1, ours);
        let peer = format!("{}: {}", peer.0, show(peer.1));
        self.add(Figure { part, what: what.into(), ours: show(ours), peer, ratio, aim });
    }

    /// Adds the ratio of two times: cost (`ours / peer`, smaller is better).
    pub(crate) fn cost(
        &mut self,
        part: &'static str,
        what: impl Into<String>,
        ours: f64,
        peer: (&str, f64),
        aim: Option<Aim>,
    ) {
        let ratio = crate::measure::ratio(ours, peer.1);
        let peer = format!("{}: {}", peer.0, show(peer.1));
        self.add(Figure { part, what: what.into(), ours: show(ours), peer, ratio, aim });
    }

    /// Adds a remark to a part.
    pub(crate) fn note(&mut self, part: &'static str, note: impl Into<String>) {
        self.notes.push((part, note.into()));
    }

    /// All of it for a terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for part in PARTS {
            let figures: Vec<_> = self.figures.iter().filter(|figure| figure.part == part).collect();
            if !figures.is_empty() {
                let _ = writeln!(text, "\n{part}");
            }
            for figure in figures {
                let _ = writeln!(text, "{}", line(figure));
            }
        }
        text
    }

    /// All of it as the file of results.
    pub(crate) fn markdown(&self, options: &Options) -> String {
        let mut text = String::from(
            "# Results\n\nWritten by `cargo run --release -p crm-benches`. Each figure is measured in turns with its peer, in \
             one run; medians. Ratios carry over to another machine, times do not. \"Speed\" is the peer's time divided \
             by ours, \"cost\" ours divided by the peer's.\n\n",
        );
        let date = options.date.clone().unwrap_or_else(machine::date);
        for (name, value) in
            [("Date".to_owned(), date)].into_iter().chain(machine::facts()).chain(self.versions.clone())
        {
            let _ = writeln!(text, "- {name}: {value}");
        }
        for part in PARTS {
            let figures: Vec<_> = self.figures.iter().filter(|figure| figure.part == part).collect();
            if figures.is_empty() {
                continue;
            }
            let _ = writeln!(
                text,
                "\n## {}\n\n{}\n\n| | ours | peer | ratio | aim | |\n|---|---|---|---|---|---|",
                title(part),
                about(part)
            );
            for Figure { what, ours, peer, ratio, aim, .. } in figures {
                let aim_text = aim.map_or_else(|| "–".to_owned(), Aim::text);
                let met = aim.map_or("", |aim| if aim.met(*ratio) { "met" } else { "**missed**" });
                let _ =
                    writeln!(text, "| {what} | {ours} | {peer} | {} | {aim_text} | {met} |", number(*ratio));
            }
            let notes = self.notes.iter().filter(|(of, _)| *of == part);
            for (place, (_, note)) in notes.enumerate() {
                let _ = writeln!(text, "{}- {note}", if place == 0 { "\n" } else { "" });
            }
        }
        text
    }
}

fn line(figure: &Figure) -> String {
    let Figure { part, what, ours, peer, ratio, aim } = figure;
    let aim = aim.map_or_else(String::new, |aim| {
        format!("  aim {} {}", aim.text(), if aim.met(*ratio) { "met" } else { "MISSED" })
    });
    format!("{part:<9} {what:<66} {ours:>10}  {peer:<44} {:>8}{aim}", number(*ratio))
}

fn number(ratio: f64) -> String {
    if ratio >= 100.0 { format!("{ratio:.0}") } else { format!("{ratio:.2}") }
}

fn title(part: &str) -> &'static str {
    match part {
        "ingest" => "Ingest",
        "timeline" => "Timeline",
        "trips" => "Round trips",
        "criteria" => "Criteria, row by row",
        "merge" => "Joining sorted streams",
        _ => "Criteria, pushed down",
    }
}

fn about(part: &str) -> &'static str {
    match part {
        "ingest" => {
            "Interactions (a subject and a description of 15 to 20 words together, a contact, a customer among 1,000, an \
             external id, a tag on every fourth) through `log_batch` in batches of 1,000, beside the bare driver writing the \
             same rows to the same table with the same indexes and durability. The ratio of the first line of a store is \
             speed. The lines after it take the batch apart: the ratio is the part's share of the time of `log_batch`."
        }
        "timeline" => {
            "A page of 50 of one customer's timeline: the ratio is the cost of page 10,000 over that of page 1."
        }
        "trips" => {
            "Round trips of one call, beside the number of distinct tables (collections) that it reads or writes. The ratio \
             is round trips less tables, which the aim bounds: a call may cost so many more than it touches tables."
        }
        "criteria" => {
            "One record at a time, on one thread. The ratio is speed: how many times as fast as the peer."
        }
        "merge" => "Eight sorted streams into one. The ratio is speed, by the entry.",
        _ => {
            "The SQL that criteria become, through the store, beside the same written by hand and run with the same driver; \
             both read the rows into typed structs. The ratio is cost."
        }
    }
}
