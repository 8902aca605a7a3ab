//! What the figures were measured on.

use std::process::Command;

/// The names and versions of the packages measured, from the lock file.
const PACKAGES: [&str; 6] = ["sqlx", "mongodb", "bson", "tokio", "datalogic-rs", "itertools"];

/// Today, as the machine says.
pub(crate) fn date() -> String {
    output("date", &["-u", "+%Y-%m-%d"]).unwrap_or_else(|| "unknown".to_owned())
}

/// Processor, memory, compiler, packages.
pub(crate) fn facts() -> Vec<(String, String)> {
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned)?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let unknown = || "unknown".to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        .map_or_else(unknown, |kib| format!("{:.0} GiB", kib / 1_048_576.0));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown").to_owned();
    let mut facts = vec![
        ("Processor".to_owned(), field("/proc/cpuinfo", "model name").unwrap_or_else(unknown)),
        ("Cores".to_owned(), cores.to_string()),
        ("Memory".to_owned(), memory),
        ("Load at the end (others use the machine too)".to_owned(), load),
        ("Compiler".to_owned(), output("rustc", &["--version"]).unwrap_or_else(unknown)),
    ];
    let lock = include_str!("../../Cargo.lock");
    for package in PACKAGES {
        let entry = format!("name = \"{package}\"\nversion = \"");
        if let Some((_, rest)) = lock.split_once(&entry) {
            facts.push((package.to_owned(), rest.split('"').next().unwrap_or_default().to_owned()));
        }
    }
    facts
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
