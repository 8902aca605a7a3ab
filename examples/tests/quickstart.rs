//! The quickstart on every store. The servers are those of `cargo verify`; a missing one is a failure.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use crm_core::{Env as _, SystemEnv};
use crm_examples::options::shipped_data;
use crm_examples::store::Place;
use crm_examples::{Outcome, Result, quickstart};
use mongodb::Client;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Records of the data: users, customers, their external ids, contacts, accounts, addresses, segments, their members,
/// invoices, lines.
const GIVEN: i64 = 8 + 59 + 59 + 59 + 10 + 59 + 3 + 5 + 412 + 2_240;

/// What the library adds: that each of eight users is active; stages and transitions; a lifecycle and a first purchase
/// for each customer; its three steps to the stage of customers, which change its status; and one change of its
/// lifecycle for each batch in which it buys; the step of the 18 silent ones to the stage at risk, with its milestone; a
/// scoring model, and each customer's score, which stands in its lifecycle too.
const ADDED: i64 = 8 + 7 + 15 + 59 * (1 + 1 + 3 + 1) + 209 + 18 * 3 + 1 + 59 * 2;

const RECORDS: i64 = GIVEN + ADDED;

/// A place that nobody else uses, and what to keep open for it.
struct Fresh {
    place: Place,
    /// Memory is gone with its last handle; a server is connected to again each time, as by another process.
    memory: Option<std::sync::Arc<dyn crm_core::store::Store>>,
}

fn unique() -> String {
    format!("crm_quickstart_{}", SystemEnv.new_id().simple())
}

impl Fresh {
    async fn of(kind: &str) -> Self {
        let (place, memory) = match kind {
            "memory" => (Place::Memory, Some(Place::Memory.open().await.unwrap())),
            "postgres" => {
                let url = crm_test_servers::postgres_url().unwrap();
                (Place::Postgres { url, schema: unique() }, None)
            }
            _ => {
                let url = crm_test_servers::mongo_url().unwrap();
                (Place::Mongo { url, database: unique() }, None)
            }
        };
        Self { place, memory }
    }

    /// Runs the quickstart; what it did and what it printed.
    async fn run(&self, data: &Path) -> Result<(Outcome, String)> {
        let store = match &self.memory {
            Some(store) => store.clone(),
            None => self.place.open().await?,
        };
        let mut printed = Vec::new();
        let outcome = quickstart(store, &self.place, data, &mut printed, &mut |_, _, _| ()).await?;
        Ok((outcome, String::from_utf8(printed)?))
    }

    async fn drop(self) {
        match self.place {
            Place::Memory => {}
            Place::Postgres { url, schema } => {
                let mut connection = PgConnection::connect(&url).await.unwrap();
                let text = AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE"));
                sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
            }
            Place::Mongo { url, database } => {
                Client::with_uri_str(url).await.unwrap().database(&database).drop().await.unwrap();
            }
        }
    }
}

/// The shipped data with one file changed, in a folder of its own that goes with it.
struct Changed(PathBuf);

impl Changed {
    fn new(file: &str, change: impl Fn(&str) -> String) -> Self {
        let folder = std::env::temp_dir().join(unique());
        fs::create_dir(&folder).unwrap();
        for entry in fs::read_dir(shipped_data()).unwrap() {
            let from = entry.unwrap().path();
            let text = fs::read_to_string(&from).unwrap();
            let name = from.file_name().unwrap();
            let text = if name == file { change(&text) } else { text };
            fs::write(folder.join(name), text).unwrap();
        }
        Self(folder)
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is printed after the account of loading, which names the store and the time.
fn shown(printed: &str) -> &str {
    &printed[printed.find("The customer that chinook knows").unwrap()..]
}

async fn again(fresh: Fresh) {
    let reference = Fresh::of("memory").await.run(&shipped_data()).await.unwrap().1;

    let (first, printed) = fresh.run(&shipped_data()).await.unwrap();
    assert_eq!((first.differing, first.agreeing), (vec![], 1 + 3 + 24 + 59 + 59));
    assert_eq!((first.loaded.repeated, first.loaded.log, first.loaded.log_added), (0, RECORDS, RECORDS));
    assert_eq!(shown(&printed), shown(&reference));

    let (second, printed) = fresh.run(&shipped_data()).await.unwrap();
    assert!(second.loaded.nothing_to_do());
    assert_eq!((second.loaded.log, second.loaded.log_added), (RECORDS, 0));
    assert_eq!((second.differing, second.loaded.counts), (vec![], first.loaded.counts));
    assert_eq!(shown(&printed), shown(&reference));
    assert!(printed.contains("nothing to do: loaded before"), "{printed}");
    fresh.drop().await;
}

async fn stopped(fresh: Fresh) {
    // The last line belongs to the last batch: the batches before it are committed, that one is refused.
    let odd = Changed::new("invoice_lines.csv", |text| {
        let line = text.trim_end().rsplit('\n').next().unwrap();
        assert!(line.ends_with(",1.99,1"), "{line}");
        text.replace(line, &line.replace(",1.99,1", ",1.98,1"))
    });
    let error = fresh.run(&odd.0).await.unwrap_err().to_string();
    assert!(error.contains("its lines add up to 1.98"), "{error}");

    let (outcome, _) = fresh.run(&shipped_data()).await.unwrap();
    let loaded = outcome.loaded;
    // Users, customers, contacts, ten accounts, addresses and all but the last batch of invoices.
    assert_eq!((loaded.repeated, loaded.commands), (17, 100));
    assert!(loaded.log_added > 0 && loaded.log == RECORDS, "{} of {}", loaded.log_added, loaded.log);
    assert_eq!((outcome.differing, outcome.agreeing), (vec![], 146));
    fresh.drop().await;
}

macro_rules! on_each_store {
    ($($store:ident),*) => {$(
        mod $store {
            #[tokio::test]
            async fn xt_03_a_second_run_changes_nothing_and_totals_are_as_expected() {
                super::again(super::Fresh::of(stringify!($store)).await).await;
            }

            #[tokio::test]
            async fn xt_03_a_run_goes_on_where_the_one_before_was_stopped() {
                super::stopped(super::Fresh::of(stringify!($store)).await).await;
            }
        }
    )*};
}

on_each_store!(memory, postgres, mongo);

#[tokio::test]
async fn a_total_that_differs_is_reported() {
    let wrong = Changed::new("expected.json", |text| {
        assert_eq!(text.matches("\"revenue\": 775.4\n").count(), 1);
        text.replace("\"revenue\": 775.4\n", "\"revenue\": 775.41\n")
    });
    let (outcome, printed) = Fresh::of("memory").await.run(&wrong.0).await.unwrap();
    let line = "rep Margaret Park: 140 invoices of 775.4 USD, expected 140 of 775.41 USD";
    assert_eq!((outcome.differing, outcome.agreeing), (vec![line.to_owned()], 145));
    assert!(printed.contains(&format!("DIFFERS: {line}")), "{printed}");
}

#[tokio::test]
async fn cm_10_numbers_that_are_not_valid_are_kept_and_shown() {
    let (outcome, printed) = Fresh::of("memory").await.run(&shipped_data()).await.unwrap();
    let names: Vec<&str> = outcome.loaded.odd_phones.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Kara Nielsen", "Luis Rojas", "Manoj Pareek"]);
    assert!(outcome.loaded.odd_phones.iter().all(|(_, raw)| printed.contains(raw)));
    assert!(printed.lines().all(|line| line.chars().count() <= 100), "wider than a terminal: {printed}");
}
