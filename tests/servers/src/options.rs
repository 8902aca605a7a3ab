//! How a server is started.

use std::time::Duration;

/// Whether a commit survives the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing is forced to disk: for ordinary tests. What was committed survives a killed server process in
    /// MongoDB up to its last journal write, and in PostgreSQL up to the last 0.6 s.
    Fast,
    /// A commit is on disk when it is acknowledged, as in production: for tests that kill the server.
    Durable,
}

/// How a server is started; [`Options::fast`] is the default.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether a commit survives the machine.
    pub durability: Durability,
    /// Further settings, which replace this crate's own: names of `postgresql.conf`, or `mongod`'s options without
    /// their dashes (`setParameter`, with a value `name=value`, may be repeated).
    pub settings: Vec<(String, String)>,
    /// How long a start may take.
    pub start_timeout: Duration,
}

impl Options {
    /// Nothing is forced to disk.
    pub fn fast() -> Self {
        Self { durability: Durability::Fast, settings: Vec::new(), start_timeout: Duration::from_mins(1) }
    }

    /// A commit is on disk when it is acknowledged.
    pub fn durable() -> Self {
        Self { durability: Durability::Durable, ..Self::fast() }
    }

    /// Adds a setting.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// This crate's own settings with the caller's over them.
    pub(crate) fn over(&self, own: &[(&str, &str)]) -> Vec<(String, String)> {
        let replaced =
            |name: &str| name != "setParameter" && self.settings.iter().any(|(set, _)| set == name);
        let own = own.iter().filter(|(name, _)| !replaced(name));
        own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .chain(self.settings.iter().cloned())
            .collect()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::fast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_replaces_ours_and_parameters_add_up() {
        let options = Options::durable().with("a", "2").with("setParameter", "y=2");
        let all = options.over(&[("a", "1"), ("b", "1"), ("setParameter", "x=1")]);
        let all: Vec<_> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(all, ["b=1", "setParameter=x=1", "a=2", "setParameter=y=2"]);
    }
}
