//! Unique rules and links, each one of the catalog, by name.

use crm_core::catalog::{Catalog, Entity, EntityDef, FieldType, UniqueRule};
use crm_core::contact::Contact;
use crm_core::customer::Customer;
use crm_core::record::Record;
use crm_core::store::{CommitError, WriteError};
use crm_core::value::Value;
use futures_util::future::join_all;
use uuid::Uuid;

use crate::contract::bench::{ACME, Bench, OTHER, contact, customer, id, invoice, note};
use crate::contract::dice::{complete, one_of_each, sample, sample_value, samples, seconds};
use crate::contract::extra_entity::ProjectNote;
use crate::{Harness, size};

/// A store in which each entity has its record 1, for links to lead to.
pub async fn with_firsts(harness: &dyn Harness) -> Bench {
    let bench = Bench::new(harness).await;
    for tenant in [ACME, OTHER] {
        bench
            .put(tenant, |changes| {
                for record in seconds(&bench.catalog).into_iter().chain(one_of_each(&bench.catalog, 1)) {
                    changes.insert_record(record).unwrap();
                }
            })
            .await;
    }
    bench
}

/// A record that the rule counts, with the same values for every number.
fn counted(def: &'static EntityDef, rule: &UniqueRule, n: u128) -> Record {
    let mut record = sample(def, n);
    for name in rule.fields {
        let field = &def.fields[def.index_of(name).unwrap()];
        record.set(name, sample_value(field, 77));
    }
    if let Some(flag) = rule.only_if {
        record.set(flag, Value::Bool(true));
    }
    complete(&mut record);
    record
}

async fn insert(bench: &Bench, tenant: crm_core::TenantId, record: Record) -> Result<(), CommitError> {
    bench.commit(&bench.set(tenant, |c| drop(c.insert_record(record).unwrap()))).await
}

/// Every unique rule of the catalog: what counts, what does not, for whom, and until when.
pub async fn xt_01_every_unique_rule_holds_for_what_it_counts(harness: &dyn Harness) {
    let bench = with_firsts(harness).await;
    for def in bench.catalog.entities() {
        for (place, rule) in def.uniques.iter().enumerate() {
            let base = 1_000 * (place as u128 + 1);
            let broken = Err(CommitError::Unique { rule: rule.name });
            let free = insert(&bench, ACME, counted(def, rule, base)).await;
            assert_eq!(free, Ok(()), "{}: the first", rule.name);
            assert_eq!(insert(&bench, ACME, counted(def, rule, base + 1)).await, broken, "{}", rule.name);
            let elsewhere = insert(&bench, OTHER, counted(def, rule, base + 2)).await;
            assert_eq!(elsewhere, Ok(()), "{}: another tenant's", rule.name);
            for name in rule.fields {
                let field = &def.fields[def.index_of(name).unwrap()];
                if let (true, Value::Text(value)) = (field.folded, sample_value(field, 77)) {
                    let mut louder = counted(def, rule, base + 3);
                    louder.set(name, Value::Text(value.to_uppercase()));
                    assert_eq!(insert(&bench, ACME, louder).await, broken, "{}: in capitals", rule.name);
                }
                if !field.required {
                    for n in 10..12 {
                        let mut missing = counted(def, rule, base + n);
                        missing.set(name, Value::Null);
                        let outcome = insert(&bench, ACME, missing).await;
                        assert_eq!(outcome, Ok(()), "{}: without {name}, number {n}", rule.name);
                        bench.delete(ACME, def, base + n).await;
                        let gone = bench.get(ACME, def, id(base + n)).await.unwrap();
                        bench.put(ACME, |c| c.purge_record(&gone)).await;
                    }
                }
            }
            if let Some(flag) = rule.only_if {
                for n in 20..22 {
                    let mut other = counted(def, rule, base + n);
                    other.set(flag, Value::Bool(false));
                    assert_eq!(insert(&bench, ACME, other).await, Ok(()), "{}: not counted", rule.name);
                }
            }
            if def.append_only {
                continue;
            }
            bench.delete(ACME, def, base).await;
            let again = insert(&bench, ACME, counted(def, rule, base + 4)).await;
            if rule.with_deleted {
                assert_eq!(again, broken, "{}: the deleted count", rule.name);
                continue;
            }
            assert_eq!(again, Ok(()), "{}: the deleted do not count", rule.name);
            let gone = bench.get(ACME, def, id(base)).await.unwrap();
            let back = bench.set(ACME, |c| drop(c.restore_record(&gone)));
            assert_eq!(bench.commit(&back).await, broken, "{}: restored beside its successor", rule.name);
            // In one step: the successor goes and the first comes back.
            let successor = bench.get(ACME, def, id(base + 4)).await.unwrap();
            let exchange = bench.set(ACME, |c| {
                c.restore_record(&gone);
                c.delete_record(&successor);
            });
            assert_eq!(bench.commit(&exchange).await, Ok(()), "{}: handed on in one step", rule.name);
        }
    }
}

/// Of many that take one value at the same time exactly one gets it.
pub async fn xt_01_of_many_that_take_one_unique_value_one_gets_it(harness: &dyn Harness) {
    let bench = with_firsts(harness).await;
    let benches = [bench.clone(), bench.second(harness).await];
    for round in 0..size(4, 40) as u128 {
        let tasks = (0..8).map(|n| {
            let bench = benches[n % 2].clone();
            let mut taken = invoice(10_000 + round * 10 + n as u128, 1);
            taken.number = format!("Round {round}");
            let set = bench.set(ACME, |c| drop(c.insert(&taken).unwrap()));
            tokio::spawn(async move { bench.commit(&set).await })
        });
        let outcomes: Vec<_> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1, "{outcomes:?}");
        let broken = Err(CommitError::Unique { rule: "invoice_number_once" });
        assert_eq!(outcomes.iter().filter(|o| **o == broken).count(), 7, "{outcomes:?}");
    }
}

/// A value is handed on within one change set; a mere exchange is refused before it reaches a store.
pub async fn cm_02_the_primary_contact_is_handed_on_in_one_change_set(harness: &dyn Harness) {
    let bench = with_firsts(harness).await;
    bench.insert(ACME, &[customer(2, "Owner")]).await;
    let primary = Contact { is_primary: true, ..contact(20, 2) };
    bench.insert(ACME, &[primary, contact(21, 2)]).await;
    for round in 0..4 {
        let (from, to) = if round % 2 == 0 { (20, 21) } else { (21, 20) };
        let old: Contact = bench.load(ACME, from).await;
        let new: Contact = bench.load(ACME, to).await;
        let set = bench.set(ACME, |c| {
            c.update(&new, &Contact { is_primary: true, ..new.clone() }).unwrap();
            c.update(&old, &Contact { is_primary: false, ..old.clone() }).unwrap();
        });
        assert_eq!(set.releases, 1);
        bench.commit(&set).await.unwrap();
        assert!(bench.load::<Contact>(ACME, to).await.is_primary);
        assert!(!bench.load::<Contact>(ACME, from).await.is_primary);
    }
    let promote = bench.load::<Contact>(ACME, 21).await;
    let set = bench
        .set(ACME, |c| drop(c.update(&promote, &Contact { is_primary: true, ..promote.clone() }).unwrap()));
    let broken = Err(CommitError::Unique { rule: "one_primary_per_customer" });
    assert_eq!(bench.commit(&set).await, broken);

    bench.insert(ACME, &[invoice(30, 2), invoice(31, 2)]).await;
    let (a, b): (crm_core::invoice::Invoice, crm_core::invoice::Invoice) =
        (bench.load(ACME, 30).await, bench.load(ACME, 31).await);
    let ctx = crm_core::Context::user(ACME, id(1));
    let mut changes = crm_core::command::Changes::new(&bench.catalog, &*bench.env, &ctx, "test.command");
    changes.update(&a, &crm_core::invoice::Invoice { number: b.number.clone(), ..a.clone() }).unwrap();
    changes.update(&b, &crm_core::invoice::Invoice { number: a.number.clone(), ..b.clone() }).unwrap();
    assert!(matches!(changes.finish(None), Err(WriteError::Exchange { rule: "invoice_number_once", .. })));
}

/// The entities that others complete.
fn completed(catalog: &Catalog) -> Vec<&'static EntityDef> {
    let completed = |def: &&EntityDef| {
        catalog.entities().any(|other| other.extends.is_some_and(|extends| extends.entity == def.name))
    };
    catalog.entities().filter(completed).collect()
}

/// Every link of the catalog leads to a record of the same tenant, live or deleted.
pub async fn xt_01_every_link_leads_to_a_record_of_the_same_tenant(harness: &dyn Harness) {
    let bench = with_firsts(harness).await;
    let catalog = bench.catalog.clone();
    // Records 2 of each entity, of the other tenant only; records 3, deleted.
    bench
        .put(OTHER, |c| {
            for record in one_of_each(&catalog, 2) {
                c.insert_record(record).unwrap();
            }
        })
        .await;
    bench
        .put(ACME, |c| {
            for record in one_of_each(&catalog, 3) {
                c.insert_record(record).unwrap();
            }
            // One of each that can be completed, and nothing completes yet.
            for def in completed(&catalog) {
                c.insert_record(sample(def, 4)).unwrap();
            }
        })
        .await;
    let mut number = 100;
    for def in catalog.entities() {
        if !def.append_only && def.name != "customer" {
            bench.delete(ACME, def, 3).await;
        }
    }
    bench.delete(ACME, Customer::def(), 3).await;
    for def in completed(&catalog) {
        bench.delete(ACME, def, 4).await;
    }
    for def in catalog.entities() {
        for field in def.fields.iter().filter(|field| catalog.target(&field.kind).is_some()) {
            let with = async |target: Uuid, n: u128| {
                let mut records = samples(&catalog, def, n);
                let last = records.len() - 1;
                records[last].set(field.name, Value::Id(target));
                let set = bench.set(ACME, |c| {
                    for record in records {
                        c.insert_record(record).unwrap();
                    }
                });
                bench.commit(&set).await
            };
            let dangling = Err(CommitError::Dangling { entity: def.name, field: field.name });
            for (what, target) in [("nothing", Uuid::max()), ("another tenant's", id(2))] {
                number += 1;
                let outcome = with(target, number).await;
                assert_eq!(outcome, dangling, "{}.{} to {what}", def.name, field.name);
            }
            number += 1;
            let completes = def.extending_link().is_some_and(|link| def.fields[link].name == field.name);
            let outcome = with(id(if completes { 4 } else { 3 }), number).await;
            assert_eq!(outcome, Ok(()), "{}.{} to what is deleted", def.name, field.name);
            if def.append_only || field.frozen {
                continue;
            }
            let before = bench.get(ACME, def, id(number)).await.unwrap();
            let mut after = before.clone();
            after.set(field.name, Value::Id(Uuid::max()));
            let set = bench.set(ACME, |c| drop(c.update_record(&before, after.clone()).unwrap()));
            assert_eq!(bench.commit(&set).await, dangling, "{}.{} changed", def.name, field.name);
            // Whoever decided on what has changed since is told that before anything else that is wrong.
            bench.delete(ACME, def, number).await;
            let set = bench.set(ACME, |c| drop(c.update_record(&before, after).unwrap()));
            let conflict = Err(CommitError::Conflict { entity: def.name, id: id(number) });
            assert_eq!(bench.commit(&set).await, conflict, "{}.{} too late", def.name, field.name);
        }
    }
}

/// Parents and children are inserted by one change set, in any order, also in long lines of one entity.
pub async fn cm_04_parents_and_children_come_in_one_change_set(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench
        .put(ACME, |c| {
            c.insert(&contact(20, 2)).unwrap();
            let below = |n: u128, above: u128| Customer {
                parent_id: Some(customer(above, "").id),
                ..customer(n, "Below")
            };
            c.insert(&below(2, 3)).unwrap();
            c.insert(&below(3, 4)).unwrap();
            c.insert(&customer(4, "Top")).unwrap();
            c.insert(&note(40, 2)).unwrap();
        })
        .await;
    // A circle is not the store's concern.
    let (a, b) = (bench.load::<Customer>(ACME, 4).await, bench.load::<Customer>(ACME, 2).await);
    bench.put(ACME, |c| drop(c.update(&a, &Customer { parent_id: Some(b.id), ..a.clone() }).unwrap())).await;
    assert_eq!(bench.load::<Customer>(ACME, 4).await.parent_id, Some(b.id));
    // All of it goes in one change set too.
    let mut records = Vec::new();
    for (def, n) in [
        (Customer::def(), 2),
        (Customer::def(), 3),
        (Customer::def(), 4),
        (Contact::def(), 20),
        (ProjectNote::def(), 40),
    ] {
        records.push(bench.get(ACME, def, id(n)).await.unwrap());
    }
    bench
        .put(ACME, |c| {
            for record in &records {
                c.purge_record(record);
            }
        })
        .await;
    for record in &records {
        assert_eq!(bench.get(ACME, record.def, record.id()).await, None);
        assert_eq!(bench.history(ACME, record.def, record.id()).await[0].op, crm_core::log::Op::Purge);
    }
}

/// Links whose entity a field names are ids to a store; conditions of absence see them all the same.
pub async fn xt_01_links_to_any_entity_are_kept_and_found(harness: &dyn Harness) {
    let bench = with_firsts(harness).await;
    let mut about = note(50, 1);
    about.about_type = Some("customer".to_owned());
    about.about_id = Some(id(123));
    bench.insert(ACME, &[about]).await;
    for def in bench.catalog.clone().entities() {
        for (_, field) in def.own_fields().filter(|(_, field)| field.field_type() == FieldType::Id) {
            let target = Value::Id(id(0xdead));
            let mut set = bench.set(ACME, |_| {});
            set.none_refer.push(crm_core::store::NoneRefer { def, field: field.name, id: id(0xdead) });
            assert_eq!(bench.commit(&set).await, Ok(()), "{}.{} has no {target:?}", def.name, field.name);
        }
    }
    let refers =
        |c: &mut crm_core::command::Changes<'_>| c.none_refer(ProjectNote::def(), "about_id", id(123));
    let in_use = Err(CommitError::InUse { entity: "project_note", field: "about_id", id: id(123) });
    assert_eq!(bench.commit(&bench.set(ACME, refers)).await, in_use);
    assert_eq!(bench.commit(&bench.set(OTHER, refers)).await, Ok(()), "another tenant's do not count");
    // What the change set itself writes counts as it will be, and what is deleted does not.
    let record = bench.get(ACME, ProjectNote::def(), id(50)).await.unwrap();
    bench
        .put(ACME, |c| {
            c.delete_record(&record);
            refers(c);
        })
        .await;
    let mut new = note(51, 1);
    new.about_type = Some("customer".to_owned());
    new.about_id = Some(id(123));
    let set = bench.set(ACME, |c| {
        c.insert(&new).unwrap();
        refers(c);
    });
    assert_eq!(bench.commit(&set).await, in_use);
}
