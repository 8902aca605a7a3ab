//! Finds, one condition and order at a time. That indexes never change an answer is shown in `model`.

use crm_core::criteria::{Filter, Test};
use crm_core::store::{MAX_LIMIT, Query, Read, Store, StoreError};
use crm_core::value::Value;

use crate::find::After;
use crate::key;
use crate::plan::{Source, Wanted, choose};
use crate::schema::Schema;
use crate::tenant::Tenant;
use crate::testing::*;

async fn filled() -> crate::MemoryStore {
    let store = store();
    put(&store, &[record(&USER, 50, &[("name", txt("Uma"))]), record(&USER, 51, &[("name", txt("Ada"))])])
        .await;
    let owner = |n| ("owner_id", Value::Id(id(n)));
    put(
        &store,
        &[
            customer(1, &[("name", txt("beta")), ("score", Value::Int(5)), owner(50)]),
            customer(2, &[("name", txt("Alpha")), ("score", Value::Int(7)), owner(51)]),
            customer(3, &[("name", txt("Beta")), ("score", Value::Int(5))]),
            customer(4, &[("name", txt("gamma")), ("parent_id", Value::Id(id(1)))]),
        ],
    )
    .await;
    store
}

async fn found(store: &crate::MemoryStore, query: Query) -> Vec<u128> {
    ids(store, Read::Find(query)).await
}

#[tokio::test]
async fn missing_values_come_first_going_up_and_last_going_down() {
    let store = filled().await;
    assert_eq!(found(&store, query(Filter::always(), vec![up("score")])).await, [4, 1, 3, 2]);
    assert_eq!(found(&store, query(Filter::always(), vec![down("score")])).await, [2, 1, 3, 4]);
}

#[tokio::test]
async fn folded_fields_sort_and_compare_by_their_folded_form() {
    let store = filled().await;
    assert_eq!(found(&store, query(Filter::always(), vec![up("name")])).await, [2, 1, 3, 4]);
    assert_eq!(found(&store, query(eq("name", txt("beta")), vec![down("id")])).await, [3, 1]);
    let starts = leaf(&CUSTOMER, "name", Test::StartsWith("b".to_owned()));
    assert_eq!(found(&store, query(starts, vec![])).await, [1, 3]);
}

#[tokio::test]
async fn sorts_and_conditions_go_through_links() {
    let store = filled().await;
    let sorted = query(Filter::always(), vec![up("owner_id.name")]);
    assert_eq!(found(&store, sorted).await, [3, 4, 2, 1]);
    let grandparent = Filter::leaf(path(&CUSTOMER, "parent_id.owner_id.name"), Test::In(vec![txt("Uma")]));
    assert_eq!(found(&store, query(grandparent.clone(), vec![])).await, [4]);
    let not = Filter::Not(Box::new(grandparent));
    assert_eq!(found(&store, query(not, vec![])).await, [1, 2, 3]);
}

#[tokio::test]
async fn tokens_restrict_together() {
    let store = filled().await;
    let mut change = change(Vec::new());
    for (n, word) in [(1, "red"), (1, "blue"), (2, "red"), (3, "reddish"), (4, "blue")] {
        change.tokens_put.push(token("customer", n, word));
    }
    change.tokens_put.push(token("user", 50, "red"));
    store.commit(&change).await.unwrap();
    let with = |tokens: &[&str], prefix: Option<&str>| Query {
        tokens: tokens.iter().map(|&token| token.to_owned()).collect(),
        token_prefix: prefix.map(str::to_owned),
        ..query(Filter::always(), vec![down("score")])
    };
    assert_eq!(found(&store, with(&["red"], None)).await, [2, 1]);
    assert_eq!(found(&store, with(&["red", "blue"], None)).await, [1]);
    assert_eq!(found(&store, with(&[], Some("red"))).await, [2, 1, 3]);
    assert_eq!(found(&store, with(&["blue"], Some("re"))).await, [1]);
    assert_eq!(found(&store, with(&["green"], None)).await, [0; 0]);
    change.commit_id = id(900);
    change.tokens_drop = vec![token("customer", 1, "red")];
    change.tokens_put.clear();
    store.commit(&change).await.unwrap();
    assert_eq!(found(&store, with(&["red"], None)).await, [2]);
}

#[tokio::test]
async fn questions_outside_the_contract_are_refused() {
    let store = filled().await;
    let refused = |read| {
        let store = &store;
        async move { matches!(ask(store, read).await, Err(StoreError::Refused { .. })) }
    };
    let all = || query(Filter::always(), vec![]);
    assert!(refused(Read::Find(Query { limit: 0, ..all() })).await);
    assert!(refused(Read::Find(Query { limit: MAX_LIMIT + 1, ..all() })).await);
    assert!(refused(Read::Find(Query { def: &STRANGER, ..all() })).await);
    assert!(refused(Read::Find(Query { def: &USER, filter: eq("score", Value::Int(1)), ..all() })).await);
    assert!(refused(Read::Find(query(Filter::always(), vec![up("tags")]))).await);
    let mut lost = path(&CUSTOMER, "parent_id.score");
    lost.links[0].1 = CUSTOMER.index_of("score").unwrap();
    assert!(refused(Read::Find(query(Filter::leaf(lost, Test::Exists), vec![]))).await);
    assert!(refused(Read::Get { def: &STRANGER, ids: vec![] }).await);
    assert!(refused(Read::Get { def: &CUSTOMER, ids: vec![id(1); MAX_LIMIT + 1] }).await);
    assert!(refused(Read::Ancestors { def: &USER, id: id(1), limit: 1 }).await);
    assert!(refused(Read::Log { after: 0, limit: 0 }).await);
    assert!(!refused(Read::Find(Query { limit: MAX_LIMIT, ..all() })).await);
}

#[tokio::test]
async fn get_returns_each_known_record_once() {
    let store = filled().await;
    let asked = vec![id(3), id(99), id(1), id(3)];
    assert_eq!(ids(&store, Read::Get { def: &CUSTOMER, ids: asked }).await, [1, 3]);
}

/// A tenant of 2,000 customers, as large as a plan needs to be worth it.
fn large() -> Tenant {
    let schema = std::sync::Arc::new(Schema::new(catalog()));
    let place = schema.place("customer").unwrap();
    let mut tenant = Tenant::new(schema.clone());
    for n in 0..2_000_u128 {
        let status = ["active", "lead", "lost"][(n % 3) as usize];
        let values = [
            ("email", txt(&format!("{n}@x"))),
            ("status", txt(status)),
            ("score", Value::Int((n / 10) as i64)),
            ("parent_id", if n > 0 { Value::Id(id(n / 100)) } else { Value::Null }),
        ];
        tenant.tables[place].put(&schema.tables[place], customer(n, &values)).unwrap();
    }
    tenant
}

fn looked_at(tenant: &Tenant, query: &Query) -> usize {
    let (table, schema) = tenant.table("customer").unwrap();
    let wanted =
        Wanted { filter: &query.filter, order: Some(&query.order), limit: query.limit, listed: None };
    match choose(table, schema, &wanted) {
        Source::All => table.len(),
        Source::Ids(ids) => ids.len(),
        Source::Spans(spans) if spans.complete => query.limit,
        Source::Spans(spans) => table.index(spans.index).count(&spans.parts, usize::MAX),
    }
}

#[test]
fn an_index_is_used_where_one_serves() {
    let tenant = large();
    let live = || Filter::live(&catalog(), &CUSTOMER);
    let asked = |filter: Filter, order| Query { limit: 20, ..query(live().and(filter), order) };
    let most = |query: Query| looked_at(&tenant, &query);
    assert_eq!(most(asked(eq("id", Value::Id(id(7))), vec![])), 1);
    assert!(most(asked(eq("email", txt("7@x")), vec![up("name")])) <= 20, "a unique rule finds its record");
    assert!(most(asked(eq("status", txt("lead")), vec![down("score")])) <= 20, "fixed, then in order");
    assert!(most(asked(Filter::always(), vec![down("created_at")])) <= 20, "in order");
    assert!(most(asked(eq("parent_id", Value::Id(id(3))), vec![up("name")])) <= 100, "a link");
    let both = asked(
        eq("status", txt("lead")).and(leaf(&CUSTOMER, "score", Test::Ge(Value::Int(190)))),
        vec![up("name")],
    );
    assert!(most(both) < 50, "fixed, then a range");
    let two = asked(leaf(&CUSTOMER, "status", Test::In(vec![txt("lead"), txt("lost")])), vec![up("score")]);
    assert!(most(two) <= 40, "two parts of an index, joined");
    // Deleted records are not in the unique rule's index: it must not be used for them.
    let all = query(eq("email", txt("7@x")), vec![]);
    assert_eq!(tenant.find(&all, 5, None).len(), 1);
    assert!(most(all) > 1);
}

#[test]
fn a_place_continues_behind_its_record_in_every_mix_of_directions() {
    let tenant = large();
    let orders = [
        vec![],
        vec![up("score")],
        vec![down("score")],
        vec![up("status"), down("score")],
        vec![down("status"), up("score")],
        vec![down("status"), down("name")],
        vec![down("created_at")],
        vec![up("parent_id.score"), down("score")],
    ];
    let not_lost = Filter::Not(Box::new(eq("status", txt("lost"))));
    let one_of = leaf(&CUSTOMER, "status", Test::In(vec![txt("lead"), txt("active")]));
    for (order, filter) in orders.iter().flat_map(|order| [(order, &not_lost), (order, &one_of)]) {
        let all = query(filter.clone(), order.clone());
        let at_once: Vec<_> = tenant.find(&all, 10_000, None).iter().map(|r| r.id()).collect();
        assert_eq!(at_once.len(), 1_334);
        let mut in_parts = Vec::new();
        let mut after = None;
        loop {
            let part = tenant.find(&all, 97, after.as_ref());
            let Some(last) = part.last() else { break };
            after = Some(After::record(&tenant, order, last));
            in_parts.extend(part.iter().map(|r| r.id()));
        }
        assert_eq!(in_parts, at_once, "{order:?}");
    }
}

#[test]
fn a_key_ends_with_its_id() {
    assert_eq!(key::id_of(&[&[9, 9][..], id(5).as_bytes()].concat()), id(5));
}
