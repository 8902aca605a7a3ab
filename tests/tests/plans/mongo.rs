//! The tenant's data many times over in MongoDB, and what an answer reads there.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, doc};
use crm_core::catalog::{Catalog, EntityDef, Kind};
use crm_core::store::{Read, Store as _};
use crm_core::{Env as _, SystemEnv};
use crm_store_mongo::{MongoOptions, MongoStore};
use futures_util::TryStreamExt as _;
use mongodb::Database;
use uuid::Uuid;

use crate::script::TENANT;
use crate::{COLLEAGUES, OFFICE, OTHERS, STAFF, spreads};

/// How often everything but the office is there.
const COPIES: usize = 1_500;
/// How often the log is: it has a row for every change.
const LOGS: usize = 50;
/// How many documents and index keys a question may read. All of a tenant's interactions are 7,000.
const MOST: i64 = 1_200;
/// How many documents travel together.
const CHUNK: usize = 5_000;

/// A database of its own.
pub(crate) struct Mongo {
    pub(crate) store: MongoStore,
    db: Database,
}

fn url() -> String {
    crm_test_servers::mongo_url().unwrap_or_else(|error| panic!("{error}; `cargo verify` starts one"))
}

/// Whose ids stay the same in a copy.
struct Known {
    office: Vec<Uuid>,
    staff: Vec<Uuid>,
}

impl Known {
    /// The id in copy `n` of what has this one.
    fn copy_of(&self, id: Uuid, n: usize) -> Uuid {
        let salt = |n: usize| (n as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        if self.office.contains(&id) {
            return id;
        }
        let n = if self.staff.contains(&id) { n % COLLEAGUES } else { n };
        Uuid::from_u128(id.as_u128() ^ salt(n))
    }

    /// The value in copy `n`, with a tenant of its own.
    fn copy(&self, bson: &mut Bson, n: usize, tenant: Uuid) {
        match bson {
            Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes }) => {
                let id = Uuid::from_slice(bytes).unwrap();
                let copy = if id == TENANT.0 { tenant } else { self.copy_of(id, n) };
                *bytes = copy.as_bytes().to_vec();
            }
            Bson::DateTime(at) => *at = DateTime::from_millis(at.timestamp_millis() - n as i64 * 300_000),
            Bson::Array(items) => items.iter_mut().for_each(|item| self.copy(item, n, tenant)),
            Bson::Document(document) => {
                document.iter_mut().for_each(|(_, value)| self.copy(value, n, tenant));
            }
            _ => {}
        }
    }
}

impl Mongo {
    pub(crate) async fn new() -> Self {
        let catalog = crm_core::standard_catalog().build().unwrap();
        let name = format!("t_{}", SystemEnv.new_id().simple());
        MongoStore::migrate(&url(), &name, &catalog).await.unwrap();
        let store = MongoStore::connect(&url(), &name, catalog, MongoOptions::default()).await.unwrap();
        let db = store.database().clone();
        Self { store, db }
    }

    async fn all(&self, collection: &str) -> Vec<Document> {
        let found = self.db.collection::<Document>(collection).find(doc! {}).await.unwrap();
        found.try_collect().await.unwrap()
    }

    async fn ids_of(&self, catalog: &Catalog, names: &[&str]) -> Vec<Uuid> {
        let mut ids = Vec::new();
        for name in names {
            for document in self.all(catalog.get(name).unwrap().table).await {
                let Ok(Bson::Binary(id)) = document.get_document("_id").unwrap().get("i").cloned().ok_or(())
                else {
                    panic!("{document}")
                };
                ids.push(Uuid::from_slice(&id.bytes).unwrap());
            }
        }
        ids
    }

    /// Every record of the tenant again and again: half of them there, the others with other tenants.
    pub(crate) async fn multiply(&self, catalog: &Catalog) {
        let (office, staff) = (self.ids_of(catalog, &OFFICE).await, self.ids_of(catalog, &STAFF).await);
        let known = Known { office, staff };
        let tenant_of = |n: usize| match n % 4 {
            2 => OTHERS[0],
            3 => OTHERS[1],
            _ => TENANT.0,
        };
        let everybody = [TENANT.0, OTHERS[0], OTHERS[1]];
        for def in catalog.in_link_order() {
            let copies: Vec<(usize, Uuid)> = if OFFICE.contains(&def.name) {
                OTHERS.map(|tenant| (0, tenant)).to_vec()
            } else if STAFF.contains(&def.name) {
                let colleagues = everybody.iter().flat_map(|tenant| (0..COLLEAGUES).map(|n| (n, *tenant)));
                colleagues.filter(|copy| *copy != (0, TENANT.0)).collect()
            } else {
                (1..=COPIES).map(|n| (n, tenant_of(n))).collect()
            };
            self.copy(def.table, Some(def), &known, &copies).await;
        }
        for (name, copies) in
            [("crm_timeline", COPIES), ("crm_tokens", COPIES), ("crm_log", LOGS), ("crm_keys", LOGS)]
        {
            let copies: Vec<_> = (1..=copies).map(|n| (n, tenant_of(n))).collect();
            self.copy(name, None, &known, &copies).await;
        }
    }

    async fn copy(&self, name: &str, def: Option<&EntityDef>, known: &Known, copies: &[(usize, Uuid)]) {
        let collection = self.db.collection::<Document>(name);
        let originals = self.all(name).await;
        let mut documents = Vec::new();
        for (n, tenant) in copies {
            for original in &originals {
                let mut copy = Bson::Document(original.clone());
                known.copy(&mut copy, *n, *tenant);
                let Bson::Document(mut copy) = copy else { continue };
                spread_out(name, def, &mut copy, *n);
                documents.push(copy);
            }
        }
        for chunk in documents.chunks(CHUNK) {
            collection
                .insert_many(chunk)
                .ordered(false)
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    /// What is wrong with how a question is answered: a collection is read as a whole, or more than [`MOST`] documents
    /// and keys.
    pub(crate) async fn fault(&self, read: &Read) -> Option<String> {
        let mut steps = Vec::new();
        walk(&Bson::Document(self.store.explain(TENANT, read).await.unwrap()), &mut steps);
        if let Some(step) = steps.iter().find(|step| step.contains("COLLSCAN")) {
            return Some(step.clone());
        }
        // An explanation runs the plan to its end, also where the page ends earlier: the profiler tells what was read.
        let profile = self.db.collection::<Document>("system.profile");
        self.db.run_command(doc! { "profile": 2 }).await.unwrap();
        self.store.read(TENANT, std::slice::from_ref(read)).await.unwrap();
        self.db.run_command(doc! { "profile": 0 }).await.unwrap();
        let asked = doc! { "command.aggregate": { "$exists": true } };
        let ran: Vec<Document> = profile.find(asked).await.unwrap().try_collect().await.unwrap();
        profile.drop().await.unwrap();
        assert!(!ran.is_empty(), "not in the profile: {read:?}");
        let keys = ["docsExamined", "keysExamined"];
        let examined: i64 = ran.iter().flat_map(|ran| keys.map(|key| ran.get(key).map_or(0, number))).sum();
        (examined > MOST).then(|| format!("it reads {examined}, more than {MOST}: {steps:?}"))
    }

    pub(crate) async fn done(self) {
        self.db.drop().await.unwrap();
    }
}

/// Other values where records are looked up by them, so that few have the same.
fn spread_out(collection: &str, def: Option<&EntityDef>, copy: &mut Document, n: usize) {
    if let Some(pinned) =
        ["pinned", "is_pinned"].into_iter().find(|key| copy.get_bool(key).unwrap_or_default())
    {
        copy.insert(pinned, n.is_multiple_of(100));
    }
    let key = match collection {
        "crm_tokens" | "crm_keys" => "k",
        _ => "",
    };
    if let Ok(id) = copy.get_document_mut("_id")
        && let Ok(text) = id.get_str(key)
        && !text.starts_with('#')
    {
        let text = format!("{n}{text}");
        id.insert(key, text);
    }
    if let Some(Bson::Int64(number)) = copy.get_mut("number") {
        *number += n as i64 * 100_000;
    }
    for field in def.into_iter().flat_map(|def| def.fields.iter().filter(|field| spreads(def, field))) {
        for key in [field.name.to_owned(), format!("{}_fold", field.name)] {
            match (copy.get_mut(&key), &field.kind) {
                (Some(Bson::String(text)), Kind::Text { max, .. }) => {
                    *text = format!("{n}{}", text.chars().take(max - 6).collect::<String>());
                }
                (Some(Bson::Int64(number)), Kind::Int { min, max }) => {
                    *number = (*number - min + n as i64) % (max - min + 1) + min;
                }
                _ => {}
            }
        }
    }
}

fn number(bson: &Bson) -> i64 {
    match bson {
        Bson::Int32(number) => i64::from(*number),
        Bson::Int64(number) => *number,
        _ => 0,
    }
}

/// Every step of the plan that won, with its index.
fn walk(bson: &Bson, steps: &mut Vec<String>) {
    match bson {
        Bson::Document(document) => {
            if let Ok(stage) = document.get_str("stage") {
                let index = document.get_str("indexName").map(|name| format!(":{name}")).unwrap_or_default();
                steps.push(format!("{stage}{index}"));
            }
            for (key, value) in document {
                if key == "collectionScans" && number(value) > 0 {
                    steps.push("COLLSCAN in a lookup".to_owned());
                }
                if key != "rejectedPlans" && key != "allPlansExecution" {
                    walk(value, steps);
                }
            }
        }
        Bson::Array(items) => items.iter().for_each(|item| walk(item, steps)),
        _ => {}
    }
}
