//! Many conditions over the same leaves, joined without a branch that depends on a record.
//!
//! A value says whether something holds and for how long that is certain: it is positive for what holds and negative
//! for what does not, and the larger either is the longer it lasts; `i64::MAX` and its negative last for ever. All of
//! some hold as long as the first of them to end, and fail as long as the last of those that fail: that is the
//! minimum. At least one of some is the maximum, the negative of the minimum of their negatives. So one kind of gate
//! is enough, and each value stands beside its negative.

use std::ops::Range;

use crate::criteria::tree::Tree;

/// The gates of all conditions, each after what it joins.
#[derive(Clone, Debug)]
pub(super) struct Circuit {
    /// Where a gate's inputs end, and those of the next begin.
    ends: Vec<u32>,
    /// Places of values: the leaves' first, then those of the gates.
    inputs: Vec<u32>,
    outputs: Vec<Output>,
    leaves: usize,
}

/// One condition.
#[derive(Clone, Debug)]
struct Output {
    place: u32,
    gates: Range<usize>,
}

/// The values of leaves and gates.
#[derive(Clone, Debug)]
pub(super) struct Values(Vec<i64>);

impl Circuit {
    /// The circuit of conditions over so many leaves.
    pub(super) fn new(leaves: usize, trees: &[Tree<u32>]) -> Self {
        let mut circuit = Self { ends: Vec::new(), inputs: Vec::new(), outputs: Vec::new(), leaves };
        for tree in trees {
            let from = circuit.ends.len();
            let place = circuit.lay(tree);
            circuit.outputs.push(Output { place, gates: from..circuit.ends.len() });
        }
        circuit
    }

    fn lay(&mut self, tree: &Tree<u32>) -> u32 {
        match tree {
            Tree::Leaf(leaf) => 2 * leaf,
            Tree::Not(tree) => negative(self.lay(tree)),
            Tree::All(trees) => self.gate(trees, |place| place),
            Tree::Any(trees) => negative(self.gate(trees, negative)),
        }
    }

    fn gate(&mut self, trees: &[Tree<u32>], sign: fn(u32) -> u32) -> u32 {
        let inputs: Vec<u32> = trees.iter().map(|tree| sign(self.lay(tree))).collect();
        if let [only] = inputs.as_slice() {
            return *only;
        }
        self.inputs.extend(inputs);
        self.ends.push(self.inputs.len() as u32);
        2 * (self.leaves + self.ends.len() - 1) as u32
    }

    /// Room for the values; all of the leaves are to be set.
    pub(super) fn values(&self) -> Values {
        Values(vec![0; 2 * (self.leaves + self.ends.len())])
    }

    /// Finds the values of all gates from those of the leaves.
    pub(super) fn run(&self, values: &mut Values) {
        let mut from = 0;
        for (gate, end) in self.ends.iter().enumerate() {
            let to = *end as usize;
            let inputs = self.inputs[from..to].iter();
            let least = inputs.fold(i64::MAX, |least, place| least.min(values.0[*place as usize]));
            values.set(self.leaves + gate, least);
            from = to;
        }
    }

    /// The values of all conditions, after a run.
    pub(super) fn answers(&self, values: &Values) -> impl Iterator<Item = i64> {
        self.outputs.iter().map(|output| values.0[output.place as usize])
    }

    /// The value of one condition at a later instant, when all that lasts no longer than until then has turned.
    pub(super) fn answer_at(&self, condition: usize, values: &mut Values, at: i64) -> i64 {
        let value = |values: &[i64], place: u32| match values[place as usize] {
            value if place as usize >= 2 * self.leaves || value.abs() > at => value,
            value => -value.signum() * i64::MAX,
        };
        let Output { place, gates } = &self.outputs[condition];
        let mut from = self.start(gates.start);
        for gate in gates.clone() {
            let to = self.ends[gate] as usize;
            let inputs = self.inputs[from..to].iter();
            let least = inputs.fold(i64::MAX, |least, place| least.min(value(&values.0, *place)));
            values.set(self.leaves + gate, least);
            from = to;
        }
        value(&values.0, *place)
    }

    /// The leaves of one condition.
    pub(super) fn leaves(&self, condition: usize) -> impl Iterator<Item = u32> {
        let Output { place, gates } = &self.outputs[condition];
        let inputs = &self.inputs[self.start(gates.start)..self.start(gates.end)];
        let places = inputs.iter().chain([place]).map(|place| place / 2);
        places.filter(|place| (*place as usize) < self.leaves)
    }

    fn start(&self, gate: usize) -> usize {
        gate.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }
}

impl Values {
    /// Replaces the value of a leaf, or of a gate counted after the leaves.
    pub(super) fn set(&mut self, place: usize, value: i64) {
        self.0[2 * place] = value;
        self.0[2 * place + 1] = -value;
    }

    /// The value of a leaf.
    pub(super) fn get(&self, leaf: usize) -> i64 {
        self.0[2 * leaf]
    }
}

fn negative(place: u32) -> u32 {
    place ^ 1
}
