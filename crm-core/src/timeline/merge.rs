//! Joining sorted streams into one: several anchors, outside systems, shards.

use std::cmp::Ordering;

/// Merges streams that are each sorted by a key, smallest first, into one that is.
///
/// A loser tree: one comparison for each level and item, half of what a heap needs (Knuth, The Art of Computer
/// Programming 3, 5.4.1). Items with equal keys come in the order of their streams.
///
/// ```
/// let merged: Vec<_> = crm_core::timeline::merge([vec![1, 4], vec![2, 3], vec![]], |n| *n).collect();
/// assert_eq!(merged, [1, 2, 3, 4]);
/// ```
pub fn merge<S, T, K>(streams: impl IntoIterator<Item = S>, key: fn(&T) -> K) -> Merge<S::IntoIter, T, K>
where
    S: IntoIterator<Item = T>,
    K: Ord,
{
    let mut streams: Vec<_> = streams.into_iter().map(IntoIterator::into_iter).collect();
    let heads: Vec<_> = streams.iter_mut().map(|stream| head(stream, key)).collect();
    let mut merge = Merge { losers: vec![usize::MAX; heads.len().max(1)], streams, heads, winner: 0, key };
    merge.build();
    merge
}

/// The joined stream of [`merge`].
pub struct Merge<I, T, K> {
    streams: Vec<I>,
    heads: Vec<Option<(K, T)>>,
    losers: Vec<usize>,
    winner: usize,
    key: fn(&T) -> K,
}

fn head<I: Iterator<Item = T>, T, K>(stream: &mut I, key: fn(&T) -> K) -> Option<(K, T)> {
    stream.next().map(|item| (key(&item), item))
}

impl<I: Iterator<Item = T>, T, K: Ord> Merge<I, T, K> {
    /// Whether the head of stream `a` comes before that of `b`; an ended stream comes last.
    fn before(&self, a: usize, b: usize) -> bool {
        match (&self.heads[a], &self.heads[b]) {
            (Some((x, _)), Some((y, _))) => x.cmp(y).then(a.cmp(&b)) == Ordering::Less,
            (x, y) => x.is_some() && y.is_none(),
        }
    }

    fn build(&mut self) {
        let count = self.heads.len();
        for stream in 0..count {
            let mut candidate = stream;
            let mut node = usize::midpoint(stream, count);
            while node > 0 {
                if self.losers[node] == usize::MAX {
                    self.losers[node] = candidate;
                    candidate = usize::MAX;
                    break;
                }
                if self.before(self.losers[node], candidate) {
                    std::mem::swap(&mut self.losers[node], &mut candidate);
                }
                node /= 2;
            }
            if candidate != usize::MAX {
                self.winner = candidate;
            }
        }
    }

    fn replay(&mut self) {
        let mut candidate = self.winner;
        let mut node = usize::midpoint(candidate, self.heads.len());
        while node > 0 {
            if self.before(self.losers[node], candidate) {
                std::mem::swap(&mut self.losers[node], &mut candidate);
            }
            node /= 2;
        }
        self.winner = candidate;
    }
}

impl<I: Iterator<Item = T>, T, K: Ord> Iterator for Merge<I, T, K> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let stream = self.streams.get_mut(self.winner)?;
        let next = head(stream, self.key);
        let (_, item) = std::mem::replace(&mut self.heads[self.winner], next)?;
        self.replay();
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tl_01_merging_sorted_streams_is_sorting_them_all(mut streams in prop::collection::vec(prop::collection::vec(0_u8..20, 0..20), 0..12)) {
            for stream in &mut streams {
                stream.sort_unstable();
            }
            let tagged: Vec<Vec<(u8, usize)>> =
                streams.iter().enumerate().map(|(n, s)| s.iter().map(|v| (*v, n)).collect()).collect();
            let mut expected: Vec<(u8, usize)> = tagged.concat();
            expected.sort_unstable();
            let merged: Vec<(u8, usize)> = super::merge(tagged, |(v, _)| *v).collect();
            prop_assert_eq!(merged, expected);
        }
    }
}
