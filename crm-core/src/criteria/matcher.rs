//! A filter, prepared for many records.

use crate::criteria::probe::Probe;
use crate::criteria::tree::{Tree, Weighed};
use crate::criteria::{Filter, Leaf, Links, Path};
use crate::record::Record;
use crate::value::Value;

/// What tells the records that meet a filter from those that do not.
#[derive(Clone, Debug)]
pub struct Matcher {
    tree: Tree<Question>,
}

#[derive(Clone, Debug)]
struct Question {
    probe: Probe,
    path: Path,
    folded: bool,
}

impl Matcher {
    /// Prepares a filter.
    pub fn new(filter: &Filter) -> Self {
        Self { tree: tree(filter).0 }
    }

    /// Whether a record of the filter's entity meets it.
    pub fn holds(&self, record: &Record, links: &dyn Links) -> bool {
        self.tree.holds(&mut |question| question.passes(record, links))
    }
}

impl Question {
    #[inline]
    fn passes(&self, record: &Record, links: &dyn Links) -> bool {
        match self.path.value(record, links) {
            Value::Text(text) if self.folded => self.probe.passes_folded(text),
            value => self.probe.passes(value),
        }
    }
}

fn tree(filter: &Filter) -> Weighed<Question> {
    match filter {
        Filter::All(filters) => Tree::all(filters.iter().map(tree).collect()),
        Filter::Any(filters) => Tree::any(filters.iter().map(tree).collect()),
        Filter::Not(filter) => Tree::not(tree(filter)),
        Filter::Leaf(Leaf { path, test }) => {
            let probe = Probe::new(test);
            let (folded, weight) = (probe.reads_folded(path), probe.weight(path));
            (Tree::Leaf(Question { probe, path: path.clone(), folded }), weight)
        }
    }
}
