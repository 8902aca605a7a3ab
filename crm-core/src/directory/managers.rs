//! Who stands above whom: never in a ring.

use std::collections::{BTreeMap, BTreeSet};

use crate::directory::UserId;

/// How many managers may stand above a user.
pub const MAX_MANAGERS: usize = 100;

/// Why a user cannot have this manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Above {
    /// Nobody of this id is a user.
    Unknown(UserId),
    /// These stand above one another; each is below the next, and the last below the first.
    Ring(Vec<UserId>),
    /// More than [`MAX_MANAGERS`].
    TooMany,
}

/// Everyone above a user, nearest first. `manager` says whom a user is below, and `None` for who is no user.
pub(super) fn above(
    user: UserId,
    manager: impl Fn(UserId) -> Option<Option<UserId>>,
) -> Result<Vec<UserId>, Above> {
    let mut chain = Vec::new();
    let mut at = manager(user).flatten();
    while let Some(next) = at {
        if next == user {
            chain.insert(0, user);
            return Err(Above::Ring(chain));
        }
        if let Some(place) = chain.iter().position(|known| *known == next) {
            return Err(Above::Ring(chain.split_off(place)));
        }
        if chain.len() == MAX_MANAGERS {
            return Err(Above::TooMany);
        }
        let Some(further) = manager(next) else { return Err(Above::Unknown(next)) };
        chain.push(next);
        at = further;
    }
    Ok(chain)
}

/// The users in an order in which managers come before those they manage; who is in a ring comes last.
pub(super) fn top_down(managers: &BTreeMap<UserId, Option<UserId>>, users: &mut [UserId]) {
    let depth = |user: UserId| {
        let mut seen = BTreeSet::new();
        let mut at = Some(user);
        while let Some(id) = at {
            if !seen.insert(id) {
                return usize::MAX;
            }
            at = managers.get(&id).copied().flatten();
        }
        seen.len()
    };
    users.sort_by_cached_key(|user| (depth(*user), *user));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn known(managers: &BTreeMap<UserId, Option<UserId>>) -> impl Fn(UserId) -> Option<Option<UserId>> + '_ {
        |id| managers.get(&id).copied()
    }

    #[test]
    fn xt_07_a_ring_is_named_from_where_it_begins() {
        let mut managers: BTreeMap<_, _> = (1..=4).map(|n| (user(n), Some(user(n + 1)))).collect();
        managers.insert(user(5), None);
        assert_eq!(above(user(3), known(&managers)), Ok(vec![user(4), user(5)]));
        managers.insert(user(5), Some(user(2)));
        assert_eq!(above(user(2), known(&managers)), Err(Above::Ring((2..=5).map(user).collect())));
        assert_eq!(above(user(1), known(&managers)), Err(Above::Ring((2..=5).map(user).collect())));
        managers.insert(user(5), Some(user(9)));
        assert_eq!(above(user(1), known(&managers)), Err(Above::Unknown(user(9))));
        managers.insert(user(5), Some(user(5)));
        assert_eq!(above(user(5), known(&managers)), Err(Above::Ring(vec![user(5)])));
    }

    #[test]
    fn xt_07_at_most_so_many_stand_above_a_user() {
        let most = MAX_MANAGERS as u128;
        let mut managers: BTreeMap<_, _> = (0..=most).map(|n| (user(n), Some(user(n + 1)))).collect();
        managers.insert(user(most), None);
        assert_eq!(above(user(0), known(&managers)).unwrap().len(), MAX_MANAGERS);
        managers.insert(user(most), Some(user(most + 1)));
        managers.insert(user(most + 1), None);
        assert_eq!(above(user(0), known(&managers)), Err(Above::TooMany));
    }

    proptest! {
        #[test]
        fn xt_07_a_chain_ends_or_is_a_ring_and_top_down_has_managers_first(
            links in proptest::collection::vec(proptest::option::weighted(0.8, 0_u128..20), 20)
        ) {
            let managers: BTreeMap<_, _> =
                links.iter().enumerate().map(|(n, to)| (user(n as u128), to.map(user))).collect();
            let mut order: Vec<UserId> = managers.keys().copied().collect();
            top_down(&managers, &mut order);
            let place = |id: UserId| order.iter().position(|other| *other == id);
            for id in managers.keys() {
                match above(*id, known(&managers)) {
                    Ok(chain) => {
                        let mut at = *id;
                        for next in &chain {
                            prop_assert_eq!(managers[&at], Some(*next));
                            prop_assert!(place(*next) < place(at));
                            at = *next;
                        }
                        prop_assert_eq!(managers[&at], None);
                    }
                    Err(Above::Ring(ring)) => {
                        for (n, member) in ring.iter().enumerate() {
                            prop_assert_eq!(managers[member], Some(ring[(n + 1) % ring.len()]));
                        }
                        let distinct: BTreeSet<_> = ring.iter().collect();
                        prop_assert_eq!(distinct.len(), ring.len());
                    }
                    Err(other) => prop_assert!(false, "{:?}", other),
                }
            }
        }
    }
}
