//! Two tenants with the same ids: nothing of one is seen or changed under the other.

use crm_core::TenantId;
use crm_core::catalog::Entity;
use crm_core::criteria::Filter;
use crm_core::customer::Customer;
use crm_core::directory::User;
use crm_core::store::{
    Answer, CommitError, Direction, Group, GroupQuery, Guard, MAX_LIMIT, Measure, NoneRefer, Query, Read,
    TimelineAnchor, Write,
};
use futures_util::TryStreamExt;

use crate::Harness;
use crate::contract::bench::{
    ACME, Bench, Everything, OTHER, all, claim, contact, customer, id, invoice, note, user, whole_timeline,
};
use crate::contract::extra_entity::ProjectNote;

const TOKENS: [&str; 4] = ["shared", "hierarchy", "#label", "given"];

/// The same ids for both tenants; only names tell whose they are.
async fn fill(bench: &Bench, tenant: TenantId, whose: &str) {
    let set = bench.keyed(tenant, Some(claim("filled", whose)), |c| {
        c.insert(&user(1)).unwrap();
        c.insert(&user(2)).unwrap();
        let mut top = customer(10, &format!("Shared {whose}"));
        top.owner_id = Some(user(1).id);
        top.tags = vec!["label".to_owned()];
        c.insert(&top).unwrap();
        c.insert(&Customer { parent_id: Some(top.id), ..customer(11, &format!("Hierarchy {whose}")) })
            .unwrap();
        c.insert(&customer(12, &format!("Lonely {whose}"))).unwrap();
        c.insert(&contact(20, 10)).unwrap();
        c.insert(&invoice(30, 10)).unwrap();
        let mut written = note(40, 10);
        written.title = Some(format!("Shared note {whose}"));
        written.owner_id = Some(user(1).id);
        c.insert(&written).unwrap();
    });
    bench.commit(&set).await.unwrap();
    bench.change::<Customer>(tenant, 12, |c| c.is_vip = true).await;
    bench.store.acknowledge(tenant, "consumer", 1).await.unwrap();
}

async fn everything(bench: &Bench, tenant: TenantId) -> Everything {
    bench
        .everything(
            tenant,
            &[(Customer::def(), id(12)), (Customer::def(), id(50))],
            &TOKENS,
            &["filled", "new"],
        )
        .await
}

/// Every kind of read, under a tenant that has nothing, finds nothing of another.
pub async fn xt_01_no_read_sees_another_tenants_data(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    fill(&bench, OTHER, "other").await;
    bench.store.seal_log(OTHER, 100).await.unwrap();
    let def = Customer::def();
    let group = GroupQuery {
        def,
        filter: Filter::always(),
        by: Vec::new(),
        measures: vec![Measure::Count],
        limit: 1,
    };
    let reads = vec![
        Read::Get { def, ids: vec![id(10), id(11), id(12)] },
        Read::Find(all(def)),
        Read::Find(Query { tokens: vec!["shared".to_owned()], ..all(def) }),
        Read::Find(Query { token_prefix: Some("sha".to_owned()), ..all(def) }),
        Read::Group(group),
        Read::Group(GroupQuery {
            by: vec![crate::contract::bench::path(def, "status")],
            ..GroupQuery {
                def,
                filter: Filter::always(),
                by: Vec::new(),
                measures: vec![Measure::Count],
                limit: 5,
            }
        }),
        Read::Ancestors { def, id: id(11), limit: 10 },
        Read::Subtree { def, id: id(10), limit: 10 },
        Read::Timeline(whole_timeline(TimelineAnchor::Records(vec![id(10)]))),
        Read::Timeline(whole_timeline(TimelineAnchor::User(id(1)))),
        Read::Timeline(whole_timeline(TimelineAnchor::Tenant)),
        Read::Key { command: "test.command", key: "filled".to_owned() },
        Read::History { def, id: id(10), before_version: None, limit: 10 },
        Read::Log { after: 0, limit: 10 },
        Read::LogHead,
        Read::Position { consumer: "consumer".to_owned() },
    ];
    let answers = bench.store.read(ACME, &reads).await.unwrap();
    assert_eq!(answers.len(), reads.len());
    for (read, answer) in reads.iter().zip(&answers) {
        let nothing = match answer {
            Answer::Records(records) => records.is_empty(),
            Answer::Groups(groups) => {
                groups.is_empty()
                    || *groups == [Group { by: Vec::new(), measures: vec![crm_core::value::Value::Int(0)] }]
            }
            Answer::Timeline(rows) => rows.is_empty(),
            Answer::Key(key) => key.is_none(),
            Answer::Log(rows) => rows.is_empty(),
            Answer::Position(number) => *number == 0,
        };
        assert!(nothing, "{read:?} found {answer:?}");
    }
    let scanned: Vec<_> = bench.store.scan(ACME, all(def)).try_collect().await.unwrap();
    assert!(scanned.is_empty());
    // And under the tenant itself the same reads find something: they do not miss for another reason.
    for (read, answer) in reads.iter().zip(bench.store.read(OTHER, &reads).await.unwrap()) {
        let something = match answer {
            Answer::Records(records) => !records.is_empty(),
            Answer::Groups(groups) => groups[0].measures[0] == crm_core::value::Value::Int(3),
            Answer::Timeline(rows) => !rows.is_empty(),
            Answer::Key(key) => key.is_some(),
            Answer::Log(rows) => !rows.is_empty(),
            Answer::Position(number) => number > 0,
        };
        assert!(something, "{read:?}");
    }
}

/// With both tenants filled alike, each reads its own.
pub async fn xt_01_two_tenants_with_the_same_ids_read_their_own(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    fill(&bench, ACME, "acme").await;
    fill(&bench, OTHER, "other").await;
    for (tenant, whose) in [(ACME, "acme"), (OTHER, "other")] {
        let found = everything(&bench, tenant).await;
        assert_eq!(found.records["customer"].len(), 3);
        assert_eq!(found.keys[0].as_ref().unwrap().result, whose);
        let text = format!("{found:?}");
        let stranger = if whose == "acme" { " other" } else { " acme" };
        assert!(
            text.contains(&format!("Shared {whose}")) && !text.contains(stranger),
            "{whose} reads its own"
        );
        let query = Query {
            order: vec![crm_core::store::Order {
                path: crate::contract::bench::path_through(
                    &bench.catalog,
                    ProjectNote::def(),
                    &["customer_id", "display_name"],
                ),
                direction: Direction::Ascending,
            }],
            ..all(ProjectNote::def())
        };
        assert_eq!(bench.find(tenant, query).await, [40], "no row for each tenant's customer");
    }
}

/// Whatever one tenant writes, the other's data stays as it was, to the last log row and token.
pub async fn xt_01_no_write_touches_another_tenants_data(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    fill(&bench, ACME, "acme").await;
    fill(&bench, OTHER, "other").await;
    let before = everything(&bench, OTHER).await;
    let get = async |def, n| bench.get(ACME, def, id(n)).await.unwrap();

    bench.change::<Customer>(ACME, 10, |c| c.display_name = "Renamed".to_owned()).await;
    assert_eq!(everything(&bench, OTHER).await, before, "after an update");
    bench.change::<ProjectNote>(ACME, 40, |n| n.happened_at += chrono::Duration::days(1)).await;
    assert_eq!(everything(&bench, OTHER).await, before, "after a timeline row was replaced");
    bench.delete(ACME, Customer::def(), 10).await;
    assert_eq!(everything(&bench, OTHER).await, before, "after a customer was deleted");
    bench.restore(ACME, Customer::def(), 10).await;
    let many = (11..=12).map(async |n| bench.load::<Customer>(ACME, n).await);
    let many = futures_util::future::join_all(many).await;
    bench
        .put(ACME, |c| {
            for before in &many {
                c.update(before, &Customer { is_blocked: true, ..before.clone() }).unwrap();
            }
        })
        .await;
    assert_eq!(everything(&bench, OTHER).await, before, "after an update of several");
    bench.delete(ACME, ProjectNote::def(), 40).await;
    assert_eq!(everything(&bench, OTHER).await, before, "after a timeline row was dropped");
    let lonely = get(Customer::def(), 12).await;
    let mut erase = bench.set(ACME, |c| c.erase_log(&lonely));
    erase.erase_log.push((User::def(), id(1)));
    bench.commit(&erase).await.unwrap();
    assert_eq!(everything(&bench, OTHER).await, before, "after log rows were erased");
    let own = bench.history(ACME, Customer::def(), id(12)).await;
    assert!(own.iter().all(|row| row.private.is_none()), "its own were");
    bench.put(ACME, |c| c.purge_record(&lonely)).await;
    assert_eq!(everything(&bench, OTHER).await, before, "after a purge");
    bench
        .commit(&bench.keyed(ACME, Some(claim("new", "x")), |c| {
            drop(c.insert(&customer(50, "Shared new")).unwrap());
        }))
        .await
        .unwrap();
    bench.store.seal_log(ACME, 100).await.unwrap();
    bench.store.acknowledge(ACME, "consumer", 9).await.unwrap();
    bench.store.expire_keys(ACME, crate::contract::bench::at("2999-01-01T00:00:00Z"), 100).await.unwrap();
    assert_eq!(everything(&bench, OTHER).await, before, "after all of it");
    assert_eq!(bench.position(OTHER, Read::Position { consumer: "consumer".to_owned() }).await, 1);
    assert_eq!(bench.position(OTHER, Read::LogHead).await, 0);
    // What was handed in by hand, without the core: rows that only the other tenant has.
    let mut by_hand = bench.set(ACME, |c| drop(c.insert(&customer(51, "By hand")).unwrap()));
    let row = before.timeline[0].iter().find(|row| row.kind == "project_note").unwrap();
    by_hand.timeline_drop.push(row.key());
    by_hand.tokens_drop.push(crm_core::store::TokenRow {
        entity: "customer",
        id: id(12),
        token: "lonely".to_owned(),
    });
    bench.commit(&by_hand).await.unwrap();
    assert_eq!(everything(&bench, OTHER).await, before, "after rows were dropped by hand");
}

/// Guards, versions and conditions of absence look at the own tenant only.
pub async fn xt_01_conditions_see_only_their_own_tenant(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    fill(&bench, ACME, "acme").await;
    bench.insert(OTHER, &[user(7)]).await;
    let acme = bench.get(ACME, Customer::def(), id(12)).await.unwrap();
    let conflict = |entity, n| Err(CommitError::Conflict { entity, id: id(n) });
    let guards = [
        (Guard::Version { def: Customer::def(), id: id(12), version: 2 }, conflict("customer", 12)),
        (Guard::Live { def: User::def(), id: id(1) }, conflict("user", 1)),
        (Guard::Live { def: User::def(), id: id(7) }, Ok(())),
    ];
    for (guard, expected) in guards {
        let mut set = bench.set(OTHER, |_| {});
        set.guards.push(guard);
        assert_eq!(bench.commit(&set).await, expected, "{guard:?}");
    }
    for (n, write) in [
        (12, Write::Purge(acme.clone())),
        (12, {
            let mut after = acme.clone();
            after.set("version", crm_core::value::Value::Int(3));
            Write::Update { before: acme.clone(), after }
        }),
    ] {
        let mut set = bench.set(OTHER, |c| drop(c.insert(&customer(60, "Row")).unwrap()));
        set.writes = vec![write];
        assert_eq!(bench.commit(&set).await, conflict("customer", n));
    }
    let mut set = bench.set(OTHER, |_| {});
    set.none_refer.push(NoneRefer { def: Customer::def(), field: "owner_id", id: id(1) });
    bench.commit(&set).await.unwrap();
    bench.commit(&bench.keyed(OTHER, Some(claim("filled", "free")), |_| {})).await.unwrap();
    assert_eq!(
        bench.records(ACME, Read::Find(Query::new(Customer::def(), Filter::always(), MAX_LIMIT))).await.len(),
        3
    );
}
