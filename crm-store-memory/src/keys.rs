//! What idempotency keys gave, for one tenant.

use std::collections::{BTreeMap, BTreeSet};

use crm_core::store::{KeyClaim, KeyRecord};
use crm_core::value::Instant;

/// Results by (command, key), and in the order in which they were claimed.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    results: BTreeMap<(String, String), KeyRecord>,
    by_age: BTreeSet<(Instant, (String, String))>,
}

impl Keys {
    pub(crate) fn get(&self, command: &str, key: &str) -> Option<&KeyRecord> {
        self.results.get(&(command.to_owned(), key.to_owned()))
    }

    pub(crate) fn claim(&mut self, claim: &KeyClaim) {
        let name = (claim.command.to_owned(), claim.key.clone());
        self.by_age.insert((claim.record.at, name.clone()));
        self.results.insert(name, claim.record.clone());
    }

    /// Forgets up to `limit` keys claimed before this instant, the oldest first.
    pub(crate) fn expire(&mut self, before: Instant, limit: usize) -> usize {
        let mut gone = 0;
        while gone < limit
            && self.by_age.first().is_some_and(|(at, _)| *at < before)
            && let Some((_, name)) = self.by_age.pop_first()
        {
            self.results.remove(&name);
            gone += 1;
        }
        gone
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&(String, String), &KeyRecord)> {
        self.results.iter()
    }
}
