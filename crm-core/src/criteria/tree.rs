//! Leaves, joined; and the order of asking them that decides soonest.

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum Tree<L> {
    /// All hold.
    All(Vec<Tree<L>>),
    /// At least one holds.
    Any(Vec<Tree<L>>),
    /// It does not hold.
    Not(Box<Tree<L>>),
    /// It passes.
    Leaf(L),
}

/// How dear a condition is, and how likely.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    /// What it costs to ask, in any unit.
    pub(super) cost: f32,
    /// How often it holds, from 0 to 1.
    pub(super) holds: f32,
}

/// A condition with its weight.
pub(super) type Weighed<L> = (Tree<L>, Weight);

impl<L> Tree<L> {
    /// Whether it holds, given which leaves pass. Of a group no leaf is asked after the one that decides.
    #[inline]
    pub(super) fn holds(&self, passes: &mut impl FnMut(&L) -> bool) -> bool {
        match self {
            Self::Leaf(leaf) => passes(leaf),
            other => other.joined(passes),
        }
    }

    fn joined(&self, passes: &mut impl FnMut(&L) -> bool) -> bool {
        match self {
            Self::All(trees) => trees.iter().all(|tree| tree.holds(passes)),
            Self::Any(trees) => trees.iter().any(|tree| tree.holds(passes)),
            Self::Not(tree) => !tree.holds(passes),
            Self::Leaf(leaf) => passes(leaf),
        }
    }

    /// All of them, first what costs least for each record that it rules out.
    pub(super) fn all(mut trees: Vec<Weighed<L>>) -> Weighed<L> {
        trees.sort_by(|(_, a), (_, b)| a.rank(a.holds).total_cmp(&b.rank(b.holds)));
        let (mut cost, mut holds) = (0.0, 1.0);
        for (_, weight) in &trees {
            cost += holds * weight.cost;
            holds *= weight.holds;
        }
        (Self::All(trees.into_iter().map(|(tree, _)| tree).collect()), Weight { cost, holds })
    }

    /// At least one of them, first what costs least for each record that it lets in.
    pub(super) fn any(mut trees: Vec<Weighed<L>>) -> Weighed<L> {
        trees.sort_by(|(_, a), (_, b)| a.rank(1.0 - a.holds).total_cmp(&b.rank(1.0 - b.holds)));
        let (mut cost, mut fails) = (0.0, 1.0);
        for (_, weight) in &trees {
            cost += fails * weight.cost;
            fails *= 1.0 - weight.holds;
        }
        (Self::Any(trees.into_iter().map(|(tree, _)| tree).collect()), Weight { cost, holds: 1.0 - fails })
    }

    /// The opposite.
    pub(super) fn not((tree, weight): Weighed<L>) -> Weighed<L> {
        (Self::Not(Box::new(tree)), Weight { holds: 1.0 - weight.holds, ..weight })
    }
}

impl Weight {
    /// The cost for each record that is decided, when this share is not.
    fn rank(self, open: f32) -> f32 {
        self.cost / (1.0 - open).max(f32::MIN_POSITIVE)
    }
}
