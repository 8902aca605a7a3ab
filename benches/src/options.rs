//! What the command line asks for.

use std::path::PathBuf;

use crate::Outcome;

/// The parts, in the order of the results.
pub(crate) const PARTS: [&str; 7] =
    ["ingest", "timeline", "trips", "criteria", "merge", "pushdown", "profile"];

/// What the command line asks for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    only: Vec<String>,
    /// Small sizes.
    pub(crate) quick: bool,
    /// The date of the results.
    pub(crate) date: Option<String>,
    /// Where the results are written.
    pub(crate) out: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments after the program's name.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut options = Self::default();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--quick" => options.quick = true,
                "--date" => options.date = Some(value()?),
                "--out" => options.out = Some(value()?.into()),
                "--only" => {
                    let part = value()?;
                    if !PARTS.contains(&part.as_str()) {
                        return Err(format!("{part:?} is none of {}", PARTS.join(", ")).into());
                    }
                    options.only.push(part);
                }
                _ => return Err(format!("{arg:?} is unknown; use --only, --quick, --date or --out").into()),
            }
        }
        if options.out.is_none() && options.only.is_empty() && !options.quick {
            options.out = Some(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md")));
        }
        Ok(options)
    }

    /// Whether a part is to be run.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// Whether any part needs PostgreSQL and MongoDB.
    pub(crate) fn needs_servers(&self) -> bool {
        ["ingest", "timeline", "trips", "pushdown", "profile"].iter().any(|part| self.wants(part))
    }

    /// One of two sizes.
    pub(crate) fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}
