//! The same random work on two stores: every outcome and every answer is the same.
//!
//! The other store is the memory store; the memory store itself is compared with the store of the
//! [guide](crate::guide), which looks at everything and has no index that could be wrong.

use std::sync::Arc;

use chrono::Duration;
use crm_core::catalog::{Entity, EntityDef, FieldType};
use crm_core::command::Changes;
use crm_core::contact::Contact;
use crm_core::criteria::Path;
use crm_core::customer::{Customer, ExternalId};
use crm_core::directory::User;
use crm_core::interaction::Interaction;
use crm_core::invoice::Invoice;
use crm_core::record::Record;
use crm_core::store::{
    Answer, ChangeSet, CommitError, GroupQuery, Guard, MAX_LIMIT, Measure, NoneRefer, Query, Read, Store,
    StoreError,
};
use crm_core::value::Value;
use crm_core::{Context, Env, TenantId};
use crm_store_memory::MemoryStore;
use futures_util::TryStreamExt;

use crate::contract::bench::{ACME, Bench, OTHER, at, claim, id, start, text};
use crate::contract::dice::{Dice, filter, order, paths, sample, seeds, small_value};
use crate::contract::extra_entity::{ProjectNote, Visit};
use crate::contract::timeline::question;
use crate::guide::SmallStore;
use crate::{Harness, size};

const IDS: usize = 7;

fn entities() -> [&'static EntityDef; 8] {
    [
        User::def(),
        Customer::def(),
        Contact::def(),
        Invoice::def(),
        Interaction::def(),
        ExternalId::def(),
        ProjectNote::def(),
        Visit::def(),
    ]
}

/// Random work of all kinds, in two tenants with the same ids.
pub async fn xt_01_random_work_has_the_same_outcome_as_on_another_store(harness: &dyn Harness) {
    let mut applied = 0;
    let mut refused = 0;
    for seed in seeds(size(2, 20)) {
        let bench = Bench::new(harness).await;
        let other: Arc<dyn Store> = if harness.name() == "memory" {
            Arc::new(SmallStore::new(bench.catalog.clone()))
        } else {
            Arc::new(MemoryStore::new(bench.catalog.clone()))
        };
        let other = Bench { store: other, ..bench.clone() };
        let mut work = Work { dice: Dice::new(seed), bench, other, before: Vec::new(), seed };
        for step in 0..size(150, 1_500) {
            work.bench.env.advance(Duration::seconds(work.dice.below(3) as i64));
            let tenant = if work.dice.one_in(4) { OTHER } else { ACME };
            match work.dice.below(20) {
                0 => work.tend(tenant, step).await,
                1..=7 => work.ask(tenant, step).await,
                _ => match work.commit(tenant, step).await {
                    Ok(()) => applied += 1,
                    Err(_) => refused += 1,
                },
            }
        }
        work.compare_all().await;
    }
    assert!(applied > 20 && refused > 20, "work worth comparing: {applied} applied, {refused} refused");
}

struct Work {
    dice: Dice,
    bench: Bench,
    other: Bench,
    before: Vec<ChangeSet>,
    seed: u64,
}

impl Work {
    async fn commit(&mut self, tenant: TenantId, step: usize) -> Result<(), CommitError> {
        let set = match self.dice.below(12) {
            0 if !self.before.is_empty() => self.dice.pick(&self.before).clone(),
            _ => match self.change_set(tenant).await {
                Some(set) => set,
                None => return Ok(()),
            },
        };
        let (found, expected) = (self.bench.commit(&set).await, self.other.commit(&set).await);
        assert!(
            alike(&set, &found, &expected),
            "seed {}, step {step}: {found:?}, not {expected:?}, for {}",
            self.seed,
            brief(&set)
        );
        if found.is_ok() && !set.log.is_empty() {
            self.before.push(set);
        }
        found
    }

    /// Up to three writes, with conditions that hold or do not. `None` when the core refuses them.
    async fn change_set(&mut self, tenant: TenantId) -> Option<ChangeSet> {
        let env = Arc::clone(&self.bench.env);
        let catalog = self.bench.catalog.clone();
        let ctx = Context::user(tenant, id(0xac7));
        let mut changes = Changes::new(&catalog, &*env, &ctx, "test.command");
        let mut used = Vec::new();
        for _ in 0..=self.dice.below(3) {
            let def = *self.dice.pick(&entities());
            let number = 1 + self.dice.below(IDS) as u128;
            if used.contains(&(def.name, number)) {
                continue;
            }
            used.push((def.name, number));
            let stored = self.other.get(tenant, def, id(number)).await;
            self.write(&mut changes, tenant, def, number, stored).await?;
        }
        let conditions = self.conditions(tenant).await;
        let key = self.dice.one_in(4).then(|| {
            let mut key = claim(&format!("k{}", self.dice.below(8)), "result");
            key.record.at = env.now();
            key
        });
        let mut set = changes.finish(key).ok()?;
        // As the core does: what is written needs no guard.
        let written: Vec<_> = set.writes.iter().map(|write| (write.def(), write.record().id())).collect();
        set.guards.extend(conditions.0.into_iter().filter(|guard| !written.contains(&guard.target())));
        set.none_refer.extend(conditions.1);
        Some(set)
    }

    async fn write(
        &mut self,
        changes: &mut Changes<'_>,
        tenant: TenantId,
        def: &'static EntityDef,
        number: u128,
        stored: Option<Record>,
    ) -> Option<()> {
        if def == Visit::def() {
            let note = self.other.get(tenant, ProjectNote::def(), id(1)).await;
            changes.set_root(id(number), note.and_then(|note| note.get("customer_id").as_id()));
        }
        let Some(mut stored) = stored.filter(|_| !self.dice.one_in(12)) else {
            let record = self.vary(sample(def, number));
            return changes.insert_record(record).ok().map(drop);
        };
        if self.dice.one_in(10) {
            let version = (stored.version() + if self.dice.one_in(2) { 1 } else { -1 }).max(1);
            stored.set("version", Value::Int(version));
        }
        match self.dice.below(10) {
            0 => changes.purge_record(&stored),
            1 if def.append_only => changes.erase_log(&stored),
            _ if def.append_only => {}
            1..=3 if stored.is_live() => drop(changes.delete_record(&stored)),
            1..=3 => drop(changes.restore_record(&stored)),
            _ => {
                let after = self.vary(stored.clone());
                changes.update_record(&stored, after).ok()?;
            }
        }
        Some(())
    }

    /// Other values in some fields, of a domain so small that rules break and conditions hit.
    fn vary(&mut self, mut record: Record) -> Record {
        let def = record.def;
        let new = record.version() == 0;
        for (place, field) in def.own_fields() {
            if (field.frozen && !new) || self.dice.one_in(2) {
                continue;
            }
            let n = self.dice.below(4);
            let value = match field.name {
                "number" | "slug" | "code" | "external_id" => {
                    text(&format!("{}{n}", if self.dice.one_in(2) { "n" } else { "N" }))
                }
                "system" | "value" => text(&format!("v{n}")),
                "email" => {
                    text(&format!("{}{n}@example.com", if self.dice.one_in(2) { "mail" } else { "Mail" }))
                }
                "serial" => Value::Int(n as i64),
                "total" | "amount_paid" | "budget" | "currency" | "due_on" | "starts_on" | "ends_on" => {
                    continue;
                }
                _ if !is_free(field) => continue,
                _ => match small_value(&mut self.dice, field.field_type()) {
                    // A link that leads to nothing, now and then.
                    Value::Id(_) if self.dice.one_in(30) => Value::Id(id(0xdead)),
                    Value::Id(_) => Value::Id(id(1 + self.dice.below(IDS) as u128)),
                    value => value,
                },
            };
            record.values[place] = if !field.required && self.dice.one_in(4) { Value::Null } else { value };
        }
        record
    }

    async fn conditions(&mut self, tenant: TenantId) -> (Vec<Guard>, Vec<NoneRefer>) {
        let (mut guards, mut absent) = (Vec::new(), Vec::new());
        if self.dice.one_in(3) {
            let def = *self.dice.pick(&entities());
            let target = id(1 + self.dice.below(IDS) as u128);
            let stored = self.other.get(tenant, def, target).await;
            let off = i64::from(self.dice.one_in(4));
            guards.push(match stored {
                Some(record) if self.dice.one_in(2) => {
                    Guard::Version { def, id: target, version: record.version() + off }
                }
                _ => Guard::Live { def, id: target },
            });
        }
        if self.dice.one_in(6) {
            let links = [
                (Customer::def(), "owner_id"),
                (Contact::def(), "customer_id"),
                (ProjectNote::def(), "about_id"),
                (ExternalId::def(), "record_id"),
                (User::def(), "manager_id"),
            ];
            let (def, field) = *self.dice.pick(&links);
            absent.push(NoneRefer { def, field, id: id(1 + self.dice.below(IDS + 2) as u128) });
        }
        (guards, absent)
    }

    /// What is neither a change set nor a question.
    async fn tend(&mut self, tenant: TenantId, step: usize) {
        let place = format!("seed {}, step {step}", self.seed);
        let (a, b) = (&self.bench.store, &self.other.store);
        match self.dice.below(3) {
            0 => assert_eq!(
                a.seal_log(tenant, MAX_LIMIT).await,
                b.seal_log(tenant, MAX_LIMIT).await,
                "{place}"
            ),
            1 => {
                let number = self.dice.below(20) as i64;
                a.acknowledge(tenant, "consumer", number).await.unwrap();
                b.acknowledge(tenant, "consumer", number).await.unwrap();
            }
            _ => {
                let before = start() + Duration::seconds(self.dice.below(200) as i64);
                let (found, expected) =
                    (a.expire_keys(tenant, before, 100).await, b.expire_keys(tenant, before, 100).await);
                assert_eq!(found, expected, "{place}");
            }
        }
    }

    async fn ask(&mut self, tenant: TenantId, step: usize) {
        let reads: Vec<Read> = (0..=self.dice.below(3)).map(|_| self.read()).collect();
        let found = self.bench.store.read(tenant, &reads).await;
        let expected = self.other.store.read(tenant, &reads).await;
        let (found, expected) = (settled(&reads, found), settled(&reads, expected));
        assert_eq!(found, expected, "seed {}, step {step}: {reads:#?}", self.seed);
        if let Read::Find(query) = &reads[0] {
            let scan = |store: &Arc<dyn Store>| store.scan(tenant, query.clone());
            let found: Vec<Record> = scan(&self.bench.store).try_collect().await.unwrap();
            let expected: Vec<Record> = scan(&self.other.store).try_collect().await.unwrap();
            assert_eq!(found, expected, "seed {}, step {step}: a scan of {query:#?}", self.seed);
        }
    }

    fn read(&mut self) -> Read {
        let def = *self.dice.pick(&entities());
        let paths = paths(&self.bench.catalog, def);
        let dice = &mut self.dice;
        let hierarchy = [User::def(), Customer::def(), ProjectNote::def()];
        let target = id(1 + dice.below(IDS + 1) as u128);
        let limit = 1 + dice.below(12);
        match dice.below(12) {
            0 => Read::Get { def, ids: (0..4).map(|_| id(1 + dice.below(IDS + 2) as u128)).collect() },
            1..=3 => Read::Find(find(dice, def, &paths)),
            4 => Read::Group(GroupQuery {
                def,
                filter: filter(dice, &paths, 2),
                by: order(dice, &paths).into_iter().map(|step| step.path).take(2).collect(),
                measures: vec![
                    Measure::Count,
                    Measure::Sum(Path::own(def, "version").unwrap()),
                    Measure::Max(Path::own(def, "updated_at").unwrap()),
                ],
                limit: 1 + dice.below(20),
            }),
            5 => Read::Ancestors { def: dice.pick::<&EntityDef>(&hierarchy), id: target, limit },
            6 => Read::Subtree { def: dice.pick::<&EntityDef>(&hierarchy), id: target, limit },
            7..=8 => Read::Timeline(timeline(dice)),
            9 => Read::Key { command: "test.command", key: format!("k{}", dice.below(9)) },
            10 => Read::History {
                def,
                id: target,
                before_version: dice.one_in(3).then(|| 1 + dice.below(5) as i64),
                limit: MAX_LIMIT,
            },
            _ => match dice.below(3) {
                0 => Read::Log { after: dice.below(30) as i64, limit },
                1 => Read::LogHead,
                _ => Read::Position { consumer: "consumer".to_owned() },
            },
        }
    }

    /// Everything of both tenants, sealed and read to the end.
    async fn compare_all(&self) {
        for tenant in [ACME, OTHER] {
            let also: Vec<_> =
                entities().into_iter().flat_map(|def| (1..=IDS as u128).map(move |n| (def, id(n)))).collect();
            let tokens = ["alpha", "beta", "zz", "#red", "#green", "t1"];
            let keys = ["k0", "k1", "k2", "k3"];
            for bench in [&self.bench, &self.other] {
                bench.store.seal_log(tenant, MAX_LIMIT).await.unwrap();
            }
            let mut found = self.bench.everything(tenant, &also, &tokens, &keys).await;
            let mut expected = self.other.everything(tenant, &also, &tokens, &keys).await;
            for side in [&mut found, &mut expected] {
                for rows in side.history.values_mut() {
                    rows.sort_by_key(|row| (row.version, row.commit_id));
                }
            }
            assert_eq!(found, expected, "seed {}", self.seed);
            let log = Read::Log { after: 0, limit: MAX_LIMIT };
            let rows = self.bench.log(tenant, log.clone()).await;
            assert_eq!(rows, self.other.log(tenant, log).await, "seed {}", self.seed);
            crm_core::log::verify(&rows, 0, crm_core::log::GENESIS).unwrap();
        }
    }
}

fn is_free(field: &crm_core::catalog::FieldDef) -> bool {
    use crm_core::catalog::{Format, Kind};
    match &field.kind {
        Kind::Text { format, .. } => matches!(format, Format::Line | Format::Block),
        Kind::Enum { .. } | Kind::Json => false,
        Kind::Int { min, .. } => *min <= -2,
        kind => !matches!(kind.field_type(), FieldType::Json),
    }
}

fn find(dice: &mut Dice, def: &'static EntityDef, paths: &[Path]) -> Query {
    Query {
        def,
        filter: filter(dice, paths, 2),
        tokens: if dice.one_in(4) {
            vec![dice.word(&["alpha", "beta", "#red"]).to_owned()]
        } else {
            Vec::new()
        },
        token_prefix: dice.one_in(8).then(|| dice.word(&["al", "z", "#"]).to_owned()),
        order: order(dice, paths),
        limit: 1 + dice.below(12),
    }
}

fn timeline(dice: &mut Dice) -> crm_core::store::TimelineQuery {
    let mut query = question(dice, &[]);
    query.viewer.sees_all = true;
    query.filter.from = dice.one_in(4).then(|| at("2024-05-01T13:00:00Z"));
    query
}

/// A change set without the declarations of its entities.
fn brief(set: &ChangeSet) -> String {
    let writes = set.writes.iter().map(|write| {
        let (kind, version) = match write {
            crm_core::store::Write::Insert(_) => ("insert", 0),
            crm_core::store::Write::Update { before, .. } => ("update", before.version()),
            crm_core::store::Write::Purge(record) => ("purge", record.version()),
        };
        let (def, record) = (write.def(), write.record());
        let links = def.own_fields().filter_map(|(place, field)| {
            record.values[place].as_id().map(|id| format!("{}={}", field.name, id.as_u128()))
        });
        let live = if record.is_live() { "" } else { " deleted" };
        format!(
            "{kind} {} {} at {version}{live} ({})",
            def.name,
            record.id().as_u128(),
            links.collect::<Vec<_>>().join(" ")
        )
    });
    let guards = set.guards.iter().map(|guard| match guard {
        Guard::Version { def, id, version } => format!("guard {} {} at {version}", def.name, id.as_u128()),
        Guard::Live { def, id } => format!("guard {} {} live", def.name, id.as_u128()),
    });
    let absent =
        set.none_refer.iter().map(|n| format!("none {}.{} = {}", n.def.name, n.field, n.id.as_u128()));
    let key = set.key.iter().map(|key| format!("key {}", key.key));
    writes.chain(guards).chain(absent).chain(key).collect::<Vec<_>>().join("; ")
}

/// Answers in the form in which two stores must agree.
fn settled(reads: &[Read], answers: Result<Vec<Answer>, StoreError>) -> Result<Vec<String>, &'static str> {
    let answers = answers.map_err(|error| error.code())?;
    let each = reads.iter().zip(answers).map(|(read, answer)| match (read, answer) {
        (Read::Get { .. }, Answer::Records(mut records)) => {
            records.sort_by_key(Record::id);
            format!("{records:?}")
        }
        (Read::Find(_) | Read::Ancestors { .. } | Read::Subtree { .. }, Answer::Records(records)) => {
            format!("{:?}", records.iter().map(|r| (r.def.name, &r.values)).collect::<Vec<_>>())
        }
        // A record that was purged and inserted again has versions twice.
        (Read::History { .. }, Answer::Log(mut rows)) => {
            rows.sort_by_key(|row| (row.version, row.commit_id));
            format!("{rows:?}")
        }
        (_, answer) => format!("{answer:?}"),
    });
    Ok(each.collect())
}

/// The same outcome: applied by both, or refused by both. When a change set is wrong in several ways the contract
/// leaves open which of them is named (the key alone comes before all else). Of one update or purge without conditions
/// the version comes first: whoever decided on what has changed must learn that, not what else is wrong.
fn alike(set: &ChangeSet, found: &Result<(), CommitError>, expected: &Result<(), CommitError>) -> bool {
    let rule = |error: &CommitError| {
        matches!(error, CommitError::Unique { .. } | CommitError::Dangling { .. } | CommitError::InUse { .. })
    };
    let conflict = |error: &CommitError| matches!(error, CommitError::Conflict { .. });
    let is_update = set.writes.len() == 1 && set.writes[0].expected_version().is_some();
    let single = is_update && set.guards.is_empty() && set.none_refer.is_empty();
    match (found, expected) {
        (Err(a), Err(b)) if rule(a) && rule(b) => true,
        (Err(a), Err(b)) if !single && (rule(a) || conflict(a)) && (rule(b) || conflict(b)) => true,
        (a, b) => a == b,
    }
}
