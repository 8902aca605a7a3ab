//! Random choices that can be repeated: SplitMix64 (Steele, Lea and Flood 2014) from a seed.

/// A source of choices.
pub(super) struct Dice {
    state: u64,
}

impl Dice {
    /// The choices of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) }
    }

    /// The next 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// A number between two, both included.
    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + (self.bits() % (to - from + 1) as u64) as i64
    }

    /// True once in so many times.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of a list.
    pub(super) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// Something, or once in so many times nothing.
    pub(super) fn maybe<T>(&mut self, nothing_in: usize, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.one_in(nothing_in) { None } else { Some(make(self)) }
    }

    /// A few of a list, in its order.
    pub(super) fn some_of<T: Clone>(&mut self, list: &[T], one_in: usize) -> Vec<T> {
        list.iter().filter(|_| self.one_in(one_in)).cloned().collect()
    }
}
