//! Criteria that are asked of a record together: each value is read and folded once, each condition that several of
//! them share is asked once.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::catalog::FieldType;
use crate::criteria::circuit::{Circuit, Values};
use crate::criteria::probe::Probe;
use crate::criteria::tree::Tree;
use crate::criteria::{Condition, Criteria, Links, Moment, Node, Path, Unit};
use crate::format::with_folded;
use crate::record::Record;
use crate::value::{Instant, Value, truncate};

/// Criteria of one entity, prepared for many records and instants.
#[derive(Clone, Debug)]
pub struct CriteriaSet {
    columns: Vec<Column>,
    calendars: Vec<Calendar>,
    circuit: Circuit,
    /// The places of the criteria of which time can change more than one condition, or one by the calendar.
    moving: Vec<usize>,
}

/// A [`CriteriaSet`] at one instant.
#[derive(Clone, Debug)]
pub struct Judge<'a> {
    set: &'a CriteriaSet,
    now: Instant,
    /// Where the calendars' moments are now.
    reached: Vec<Value>,
}

/// The answer with the first instant at which it can be another without new data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the record meets the criteria now.
    pub holds: bool,
    /// Until just before this instant the answer stays the same, and at it it changes; `None` for ever. Where 64 changes
    /// of single conditions have not changed the answer, it is the instant of the next one.
    pub changes_at: Option<Instant>,
}

/// What is asked of one value.
#[derive(Clone, Debug)]
struct Column {
    path: Path,
    folded: bool,
    probes: Vec<(u32, Probe)>,
    offsets: Vec<Offset>,
}

/// That `now`, moved by a fixed length of time, is at an instant or, with a millisecond more, past it.
#[derive(Clone, Debug)]
struct Offset {
    leaf: u32,
    /// From the instant to the one from which on this passes, in milliseconds.
    ahead: i64,
    missing: i64,
}

/// That a moment of the calendar is at a value or, with `past`, past it.
#[derive(Clone, Debug)]
struct Calendar {
    leaf: u32,
    column: usize,
    moment: Moment,
    day: bool,
    past: bool,
    missing: i64,
}

// What is known of a leaf and a record. Moments only move forward, so time alone makes a leaf pass, once, and never
// fail again: one that fails until an instant is the negative of the milliseconds until then.
const PASSES: i64 = i64::MAX;
const FAILS: i64 = -i64::MAX;
/// It fails now, and nobody has asked yet until when: that takes a calendar.
const LATER: i64 = FAILS + 1;

impl CriteriaSet {
    /// Prepares criteria of one entity. They are answered in this order.
    pub fn new<'c>(criteria: impl IntoIterator<Item = &'c Criteria>) -> Self {
        let mut builder = Builder::default();
        let (mut trees, mut moving) = (Vec::new(), Vec::new());
        for (place, criteria) in criteria.into_iter().enumerate() {
            builder.moving = 0;
            trees.push(builder.tree(&criteria.root));
            if builder.moving > 1 {
                moving.push(place);
            }
        }
        let Builder { columns, calendars, leaves, .. } = builder;
        Self { columns, calendars, circuit: Circuit::new(leaves.len(), &trees), moving }
    }

    /// The criteria at one instant, to the millisecond.
    pub fn at(&self, now: Instant) -> Judge<'_> {
        let now = truncate(now);
        let reached =
            self.calendars.iter().map(|calendar| calendar.moment.value(now, calendar.day)).collect();
        Judge { set: self, now, reached }
    }
}

impl Judge<'_> {
    /// Which of the criteria the record meets.
    pub fn holds(&self, record: &Record, links: &dyn Links) -> Vec<bool> {
        let values = self.values(record, links);
        self.set.circuit.answers(&values).map(|value| value > 0).collect()
    }

    /// Which of the criteria the record meets, and until when that stays so if nothing is written.
    pub fn verdicts(&self, record: &Record, links: &dyn Links) -> Vec<Verdict> {
        let mut values = self.values(record, links);
        let mut lasts: Vec<i64> = self.set.circuit.answers(&values).collect();
        for criteria in &self.set.moving {
            let lasts = &mut lasts[*criteria];
            if lasts.abs() != PASSES {
                *lasts = self.lasts(*criteria, &mut values, record, links);
            }
        }
        let now = self.now.timestamp_millis();
        let verdict = |lasts: i64| {
            let ahead = Some(lasts.abs()).filter(|ahead| *ahead != PASSES);
            let changes_at = ahead.and_then(|ahead| Instant::from_timestamp_millis(now + ahead));
            Verdict { holds: lasts > 0, changes_at }
        };
        lasts.into_iter().map(verdict).collect()
    }

    /// How long the answer lasts that one of the criteria has now.
    fn lasts(&self, criteria: usize, values: &mut Values, record: &Record, links: &dyn Links) -> i64 {
        let circuit = &self.set.circuit;
        for leaf in circuit.leaves(criteria) {
            if values.get(leaf as usize) == LATER {
                values.set(leaf as usize, self.ask(leaf, record, links));
            }
        }
        let now = circuit.answer_at(criteria, values, 0);
        let mut lasts = now.abs();
        for _ in 0..64 {
            if lasts == PASSES {
                break;
            }
            let next = circuit.answer_at(criteria, values, lasts);
            if next.signum() != now.signum() {
                break;
            }
            lasts = next.abs();
        }
        now.signum() * lasts
    }

    /// What is known of each leaf, and what follows.
    fn values(&self, record: &Record, links: &dyn Links) -> Values {
        let now = self.now.timestamp_millis();
        let mut values = self.set.circuit.values();
        for column in &self.set.columns {
            let value = column.path.value(record, links);
            match value {
                Value::Text(text) if column.folded => with_folded(text, |folded| {
                    for (leaf, probe) in &column.probes {
                        values.set(*leaf as usize, if probe.passes_text(folded) { PASSES } else { FAILS });
                    }
                }),
                value => {
                    for (leaf, probe) in &column.probes {
                        values.set(*leaf as usize, if probe.passes(value) { PASSES } else { FAILS });
                    }
                }
            }
            let since = value.as_instant().map(|at| at.timestamp_millis() - now);
            for Offset { leaf, ahead, missing } in &column.offsets {
                let value = match since.map(|since| since + ahead) {
                    None => *missing,
                    Some(..=0) => PASSES,
                    Some(ahead) => -ahead,
                };
                values.set(*leaf as usize, value);
            }
        }
        for (calendar, reached) in self.set.calendars.iter().zip(&self.reached) {
            let value = self.set.columns[calendar.column].path.value(record, links);
            let value = match reached.compare(value) {
                None => calendar.missing,
                Some(Ordering::Greater) => PASSES,
                Some(Ordering::Equal) if !calendar.past => PASSES,
                Some(_) => LATER,
            };
            values.set(calendar.leaf as usize, value);
        }
        self.set.circuit.run(&mut values);
        values
    }

    /// Asks the calendar until when a leaf fails.
    fn ask(&self, leaf: u32, record: &Record, links: &dyn Links) -> i64 {
        let found = self.set.calendars.binary_search_by_key(&leaf, |calendar| calendar.leaf);
        let at = found.ok().and_then(|place| {
            let Calendar { column, moment, past, .. } = &self.set.calendars[place];
            moment.reaches(self.now, self.set.columns[*column].path.value(record, links), *past)
        });
        at.map_or(FAILS, |at| -(at - self.now).num_milliseconds())
    }
}

/// Gathers columns and leaves.
#[derive(Default)]
struct Builder<'c> {
    columns: Vec<Column>,
    calendars: Vec<Calendar>,
    places: HashMap<(&'c Path, bool), usize>,
    leaves: HashMap<(&'c Path, &'c Condition), u32>,
    /// How many instants of change there can be, and one more for each that takes a calendar.
    moving: usize,
}

impl<'c> Builder<'c> {
    fn tree(&mut self, node: &'c Node) -> Tree<u32> {
        match node {
            Node::All(nodes) => Tree::All(nodes.iter().map(|node| self.tree(node)).collect()),
            Node::Any(nodes) => Tree::Any(nodes.iter().map(|node| self.tree(node)).collect()),
            Node::Not(node) => Tree::Not(Box::new(self.tree(node))),
            Node::Leaf { path, condition } => self.leaf(path, condition),
        }
    }

    fn leaf(&mut self, path: &'c Path, condition: &'c Condition) -> Tree<u32> {
        let next = self.leaves.len() as u32;
        let leaf = *self.leaves.entry((path, condition)).or_insert(next);
        let is_new = leaf == next;
        // What is after a moment is what the moment has not reached, or passed, yet; unless it is missing.
        let (moment, past, missing) = match condition {
            Condition::Fixed(test) => {
                if is_new {
                    let probe = Probe::new(test);
                    let column = self.column(path, probe.reads_folded(path));
                    self.columns[column].probes.push((leaf, probe));
                }
                return Tree::Leaf(leaf);
            }
            Condition::Before { moment, or_equal } => (*moment, !or_equal, FAILS),
            Condition::After { moment, or_equal } => (*moment, *or_equal, PASSES),
        };
        let day = path.field_def().field_type() == FieldType::Date;
        let is_offset = moment.unit == Unit::Milliseconds && !day;
        self.moving += if is_offset { 1 } else { 2 };
        if is_new {
            let column = self.column(path, false);
            if is_offset {
                let ahead = i64::from(past) - moment.offset;
                self.columns[column].offsets.push(Offset { leaf, ahead, missing });
            } else {
                self.calendars.push(Calendar { leaf, column, moment, day, past, missing });
            }
        }
        let reached = Tree::Leaf(leaf);
        if missing == PASSES { Tree::Not(Box::new(reached)) } else { reached }
    }

    fn column(&mut self, path: &'c Path, folded: bool) -> usize {
        let next = self.columns.len();
        let place = *self.places.entry((path, folded)).or_insert(next);
        if place == next {
            let (probes, offsets) = (Vec::new(), Vec::new());
            self.columns.push(Column { path: path.clone(), folded, probes, offsets });
        }
        place
    }
}
