//! Joining sorted streams into one: several anchors, outside systems, shards.

use std::hint::select_unpredictable;

/// Merges streams that are each sorted by a key, smallest first, into one that is.
///
/// A loser tree: one comparison for each level and item, half of what a heap needs (Knuth, The Art of Computer
/// Programming 3, 5.4.1). Items with equal keys come in the order of their streams. The tree holds copies of the keys,
/// and the way up is chosen without branches: which of two random keys is smaller cannot be predicted.
///
/// ```
/// let merged: Vec<_> = crm_core::timeline::merge([vec![1, 4], vec![2, 3], vec![]], |n| *n).collect();
/// assert_eq!(merged, [1, 2, 3, 4]);
/// ```
pub fn merge<S, T, K>(streams: impl IntoIterator<Item = S>, key: fn(&T) -> K) -> Merge<S::IntoIter, T, K>
where
    S: IntoIterator<Item = T>,
    K: Ord + Copy,
{
    let mut merge = Merge { streams: Vec::new(), heads: Vec::new(), losers: Vec::new(), winner: None, key };
    for stream in streams {
        let mut stream = stream.into_iter();
        if let Some(head) = stream.next() {
            merge.heads.push(head);
            merge.streams.push(stream);
        }
    }
    merge.build();
    merge
}

/// The joined stream of [`merge`].
pub struct Merge<I, T, K> {
    /// The streams that have not ended.
    streams: Vec<I>,
    /// The next item of each.
    heads: Vec<T>,
    /// At each node the key and stream that lost there; the first place is not used.
    losers: Vec<(K, usize)>,
    /// The key and stream of the next item.
    winner: Option<(K, usize)>,
    key: fn(&T) -> K,
}

/// Whether a key of a stream comes before another.
#[inline]
#[expect(clippy::needless_bitwise_bool, reason = "no branch, for which way it goes cannot be predicted")]
fn before<K: Ord>(a: &(K, usize), b: &(K, usize)) -> bool {
    (a.0 < b.0) | ((a.0 == b.0) & (a.1 < b.1))
}

impl<I: Iterator<Item = T>, T, K: Ord + Copy> Merge<I, T, K> {
    /// Plays all matches: with `n` streams, stream `s` starts at node `n + s` and the winner leaves node 1.
    fn build(&mut self) {
        let mut nodes: Vec<(K, usize)> =
            self.heads.iter().enumerate().map(|(stream, head)| ((self.key)(head), stream)).collect();
        let count = nodes.len();
        self.winner = nodes.first().copied();
        nodes.extend_from_within(..);
        self.losers = nodes[..count].to_vec();
        for node in (1..count).rev() {
            let (left, right) = (nodes[2 * node], nodes[2 * node + 1]);
            let (winner, loser) = if before(&left, &right) { (left, right) } else { (right, left) };
            nodes[node] = winner;
            self.losers[node] = loser;
            self.winner = Some(winner);
        }
    }
}

impl<I: Iterator<Item = T>, T, K: Ord + Copy> Iterator for Merge<I, T, K> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let (_, stream) = self.winner?;
        let Some(next) = self.streams[stream].next() else {
            // Streams end rarely: the tree of those that are left is built again.
            drop(self.streams.remove(stream));
            let item = self.heads.remove(stream);
            self.build();
            return Some(item);
        };
        let mut candidate = ((self.key)(&next), stream);
        let item = std::mem::replace(&mut self.heads[stream], next);
        let mut node = usize::midpoint(stream, self.losers.len());
        while node > 0 {
            let loser = self.losers[node];
            let lost = before(&loser, &candidate);
            self.losers[node] = select_unpredictable(lost, candidate, loser);
            candidate = select_unpredictable(lost, loser, candidate);
            node /= 2;
        }
        self.winner = Some(candidate);
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tl_01_merging_sorted_streams_is_sorting_them_all(mut streams in prop::collection::vec(prop::collection::vec(0_u8..20, 0..20), 0..20)) {
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

        #[test]
        fn tl_01_merging_reads_no_more_than_one_item_ahead_of_each_stream(
            lengths in prop::collection::vec(0_u32..40, 0..20),
            taken in 0_usize..200,
        ) {
            let pulled = std::cell::Cell::new(0);
            let streams: Vec<_> = lengths.iter().map(|length| (0..*length).inspect(|_| pulled.set(pulled.get() + 1))).collect();
            let given = super::merge(streams, |n| *n).take(taken).count();
            prop_assert!(pulled.get() <= given + lengths.len(), "{} items were read to give {given}", pulled.get());
        }
    }
}
