//! The command line.

use std::path::PathBuf;

use crate::store::Place;

/// What `--help` prints.
pub const HELP: &str = "\
cargo run --example quickstart -- [OPTIONS]

Loads the sales of a music shop (Chinook: 59 customers, 412 invoices) into a store, shows what a service
can ask, and compares totals with what is known of the data. Ends with 0 when all agree.

  --store memory          keep everything in this process (the default)
  --store postgres://…    in the schema crm_quickstart of a PostgreSQL database
  --store mongodb://…     in the database that the address names, or crm_quickstart, of a replica set
  --data DIR              other data of the same form; a store keeps one set
  --help                  this

`cargo verify --servers` starts a PostgreSQL and a MongoDB to try, and prints their addresses.";

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Run with this store and this data.
    Run {
        /// The store.
        place: Place,
        /// The folder with the data.
        data: PathBuf,
    },
    /// Print [`HELP`].
    Help,
}

/// The data that comes with the example.
pub fn shipped_data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/chinook")
}

impl Request {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// For an unknown or incomplete one; says what is accepted.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = args.into_iter();
        let (mut place, mut data) = (Place::Memory, shipped_data());
        while let Some(arg) = args.next() {
            let (name, joined) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (arg.as_str(), None),
            };
            let mut value = |what: &str| {
                let given = joined.clone().or_else(|| args.next());
                given.filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} needs {what}"))
            };
            match name {
                "--store" => place = Place::parse(&value("memory, postgres://… or mongodb://…")?)?,
                "--data" => data = PathBuf::from(value("a folder")?),
                "--help" | "-h" => return Ok(Self::Help),
                // An address that lost its flag may hold a password.
                _ => {
                    let shown = if name.contains("://") { "an address without a flag" } else { name };
                    return Err(format!("{shown} is unknown; accepted are --store, --data and --help"));
                }
            }
        }
        Ok(Self::Run { place, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, String> {
        Request::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn without_arguments_the_shipped_data_goes_into_memory() {
        assert_eq!(parse(""), Ok(Request::Run { place: Place::Memory, data: shipped_data() }));
        assert!(shipped_data().join("customers.csv").is_file());
    }

    #[test]
    fn values_stand_beside_their_flag_or_joined_to_it() {
        let data = PathBuf::from("a/b");
        let place = Place::parse("mongodb://h/d?replicaSet=rs0").unwrap();
        let expected = Request::Run { place, data };
        assert_eq!(parse("--data a/b --store mongodb://h/d?replicaSet=rs0"), Ok(expected.clone()));
        assert_eq!(parse("--data=a/b --store=mongodb://h/d?replicaSet=rs0"), Ok(expected));
        assert_eq!(parse("--data a --help"), Ok(Request::Help));
    }

    #[test]
    fn what_is_unknown_or_incomplete_is_refused_with_what_is_accepted() {
        for (line, says) in [
            ("--stroe memory", "--stroe is unknown; accepted are --store"),
            ("memory", "memory is unknown"),
            ("--store", "--store needs memory, postgres://"),
            ("--data=", "--data needs a folder"),
            ("--store mysql://h", "none of memory"),
        ] {
            let refusal = parse(line).unwrap_err();
            assert!(refusal.contains(says), "{line}: {refusal}");
        }
        assert!(!parse("postgres://u:secret@h").unwrap_err().contains("secret"));
    }
}
