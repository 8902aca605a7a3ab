//! The command line.

/// What `--help` prints.
pub(crate) const HELP: &str = "\
cargo verify [--fast] [-- ARGS]   check everything, as continuous integration does
cargo verify --servers            only start the servers, print how to reach them, and wait

Steps: format, lints, documentation, both servers (PostgreSQL and mongod are found or installed, run as an
unprivileged user on free ports, and are gone afterwards), all tests with their documentation examples.

  --fast      only the servers and the tests
  --servers   only the servers, until Ctrl-C or Ctrl-D
  -- ARGS     passed on to `cargo test`, such as `-- -p crm-core merge`
  --help      this

CRM_POSTGRES_URL, CRM_MONGO_URL   use these servers instead of starting any
CRM_SERVER_CACHE                  where installed servers and scratch folders lie";

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything.
    All,
    /// Servers and tests.
    Fast,
    /// Servers only.
    Servers,
    /// The help text.
    Help,
    /// The process that cleans up after a killed runner; not for people.
    Watchdog,
}

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// What to do.
    pub(crate) mode: Mode,
    /// Arguments for `cargo test`.
    pub(crate) rest: Vec<String>,
}

impl Request {
    /// Parses the arguments after the program's name; the error says what is accepted.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut mode = Mode::All;
        while let Some(arg) = args.next() {
            mode = match arg.as_str() {
                "--fast" => Mode::Fast,
                "--servers" => Mode::Servers,
                "--watchdog" => Mode::Watchdog,
                "--help" | "-h" => Mode::Help,
                "--" => return Ok(Self { mode, rest: args.collect() }),
                other => {
                    return Err(format!(
                        "`{other}` is unknown: --fast, --servers, --help or `-- ARGS for cargo test`"
                    ));
                }
            };
        }
        Ok(Self { mode, rest: Vec::new() })
    }

    /// The arguments of cargo for the tests: of the whole workspace, unless the caller names packages (which cargo
    /// would ignore beside `--workspace`).
    pub(crate) fn test_args(&self) -> Vec<&str> {
        let mut own = self.rest.iter().take_while(|arg| *arg != "--");
        let names_packages = own.any(|arg| arg.starts_with("--package") || arg.starts_with("-p"));
        let mut args = vec!["test"];
        if !names_packages {
            args.extend(["--workspace", "--exclude", "crm-benches"]);
        }
        args.extend(self.rest.iter().map(String::as_str));
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, String> {
        Request::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_follows_two_dashes_is_for_cargo_test() {
        let request = parse("--fast -- -p crm-core -- --help").unwrap();
        assert_eq!(request.mode, Mode::Fast);
        assert_eq!(request.rest, ["-p", "crm-core", "--", "--help"]);
        assert_eq!(parse("").unwrap().mode, Mode::All);
    }

    #[test]
    fn the_whole_workspace_is_tested_unless_packages_are_named() {
        let args = |line: &str| parse(line).unwrap().test_args().join(" ");
        assert_eq!(args("--fast"), "test --workspace --exclude crm-benches");
        assert_eq!(args("-- -p crm-core merge"), "test -p crm-core merge");
        assert_eq!(args("-- --package=crm-core"), "test --package=crm-core");
        assert_eq!(args("-- name -- -p"), "test --workspace --exclude crm-benches name -- -p");
    }

    #[test]
    fn an_unknown_flag_is_refused_with_the_known_ones() {
        assert!(parse("--quick").unwrap_err().contains("--fast"));
    }
}
