//! Reads beyond conditions: groups, hierarchies, tokens, the timeline, snapshots and limits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod support;

use std::collections::BTreeMap;

use crm_core::criteria::{Filter, Path, Test};
use crm_core::record::Record;
use crm_core::store::{
    Answer, Direction, Group, GroupQuery, Measure, Order, Query, Read, Store, StoreError, TimelineAnchor,
    TimelineFilter, TimelineQuery, TimelineRow, TokenRow, Viewer, Write,
};
use crm_core::timeline::{Audience, Visibility};
use crm_core::value::Value;
use futures_util::TryStreamExt;
use rust_decimal::Decimal;
use support::{CARD, Fixture, SAMPLE, at, change, deleted, entry, id, new, next, t, tenant, with};
use uuid::Uuid;

fn path(name: &str) -> Path {
    Path::own(&SAMPLE, name).unwrap()
}

async fn groups(
    f: &Fixture,
    tenant: crm_core::TenantId,
    query: GroupQuery,
) -> Result<Vec<Group>, StoreError> {
    f.store.read(tenant, &[Read::Group(query)]).await.map(|mut answers| match answers.remove(0) {
        Answer::Groups(groups) => groups,
        other => panic!("{other:?}"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn small_reads_go_together_and_large_ones_are_whole() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let of_grade = |grade: &str, count: usize| -> Vec<Record> {
        (0..count).map(|_| with(new(&SAMPLE), &[("grade", t(grade))])).collect()
    };
    let (few, many) = (of_grade("low", 3), of_grade("high", 60));
    f.insert(tenant, [few.clone(), many.clone()].concat()).await;
    let find = |grade: &str, limit| {
        let filter = Filter::leaf(path("grade"), Test::In(vec![t(grade)]));
        Read::Find(Query::new(&SAMPLE, filter, limit))
    };
    let ids: Vec<Uuid> = few.iter().map(Record::id).collect();
    let small = [
        Read::Get { def: &SAMPLE, ids: ids.clone() },
        Read::Key { command: "none", key: "none".to_owned() },
        find("low", 1_000),
        Read::Get { def: &CARD, ids },
        find("high", 10),
    ];
    let sizes = |answers: Vec<Answer>| -> Vec<usize> {
        let size = |answer| match answer {
            Answer::Records(records) => records.len(),
            Answer::Key(None) => 0,
            other => panic!("{other:?}"),
        };
        answers.into_iter().map(size).collect()
    };
    let before = f.store.commands();
    assert_eq!(sizes(f.store.read(tenant, &small).await.unwrap()), [3, 0, 3, 0, 10]);
    assert_eq!(f.store.commands() - before, 1);
    let large = [find("low", 1_000), find("high", 1_000)];
    let before = f.store.commands();
    assert_eq!(sizes(f.store.read(tenant, &large).await.unwrap()), [3, 60]);
    assert_eq!(f.store.commands() - before, 2);
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_are_exact() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let measures = || {
        vec![
            Measure::Count,
            Measure::Sum(path("amount")),
            Measure::Sum(path("count")),
            Measure::Min(path("name")),
            Measure::Max(path("day")),
        ]
    };
    let query = |by: Vec<Path>, limit| GroupQuery {
        def: &SAMPLE,
        filter: Filter::always(),
        by,
        measures: measures(),
        limit,
    };
    let zero = Value::Decimal(Decimal::ZERO);
    let nothing =
        Group { by: Vec::new(), measures: vec![Value::Int(0), zero.clone(), zero, Value::Null, Value::Null] };
    assert_eq!(groups(&f, tenant, query(Vec::new(), 1)).await.unwrap(), [nothing]);
    assert_eq!(groups(&f, tenant, query(vec![path("grade")], 1)).await.unwrap(), []);
    let amount = |text: &str| Value::Decimal(text.parse().unwrap());
    let day = |text: &str| Value::Date(text.parse().unwrap());
    let rows = [
        ("low", "0.1", i64::MAX, "b", "2024-01-01"),
        ("low", "0.2", i64::MAX, "a", "2023-01-01"),
        ("high", "999999999999999.999999", 1, "z", "2022-01-01"),
        ("high", "999999999999999.999999", 1, "y", "2022-01-02"),
    ];
    let mut records: Vec<Record> = rows
        .iter()
        .map(|(grade, sum, count, name, on)| {
            let values = [("grade", t(grade)), ("amount", amount(sum)), ("count", Value::Int(*count))];
            with(with(new(&SAMPLE), &values), &[("name", t(name)), ("day", day(on))])
        })
        .collect();
    records.push(new(&SAMPLE));
    f.insert(tenant, records).await;
    f.insert(support::tenant(), vec![with(new(&SAMPLE), &[("amount", amount("5"))])]).await;
    let group = |by: Value, count, sum: &str, total: &str, name: Value, on: Value| Group {
        by: vec![by],
        measures: vec![Value::Int(count), amount(sum), amount(total), name, on],
    };
    let expected = [
        group(Value::Null, 1, "0", "0", Value::Null, Value::Null),
        group(t("high"), 2, "1999999999999999.999998", "2", t("y"), day("2022-01-02")),
        group(t("low"), 2, "0.3", "18446744073709551614", t("a"), day("2024-01-01")),
    ];
    assert_eq!(groups(&f, tenant, query(vec![path("grade")], 3)).await.unwrap(), expected);
    let too_many = groups(&f, tenant, query(vec![path("grade")], 2)).await;
    assert!(matches!(too_many, Err(StoreError::Refused { .. })), "{too_many:?}");
    f.done().await;
}

fn tree(f: &Fixture, read: Read) -> impl Future<Output = Vec<Uuid>> {
    let store = f.store.clone();
    let tenant = TENANT.with(std::cell::Cell::get);
    async move {
        match store.read(tenant, &[read]).await.unwrap().remove(0) {
            Answer::Records(records) => records.iter().map(Record::id).collect(),
            other => panic!("{other:?}"),
        }
    }
}

thread_local! {
    static TENANT: std::cell::Cell<crm_core::TenantId> = const { std::cell::Cell::new(crm_core::TenantId(Uuid::nil())) };
}

#[tokio::test]
async fn hierarchies_are_followed_up_and_down() {
    let f = Fixture::new().await;
    let tenant = tenant();
    TENANT.with(|cell| cell.set(tenant));
    let child = |parent: &Record| with(new(&SAMPLE), &[("parent_id", Value::Id(parent.id()))]);
    let top = new(&SAMPLE);
    let (a, b) = (child(&top), child(&top));
    let (a1, a2, b1) = (child(&a), child(&a), child(&b));
    let a11 = child(&a1);
    f.insert(tenant, [&top, &a, &b, &a1, &a2, &b1, &a11].map(Clone::clone).to_vec()).await;
    f.store.commit(&change(tenant, vec![deleted(&a1)])).await.unwrap();
    // The same ids elsewhere hang together in another way.
    f.insert(support::tenant(), vec![with(a11.clone(), &[("parent_id", Value::Null)])]).await;
    let up = |id, limit| tree(&f, Read::Ancestors { def: &SAMPLE, id, limit });
    let down = |id, limit| tree(&f, Read::Subtree { def: &SAMPLE, id, limit });
    assert_eq!(up(a11.id(), 10).await, [a11.id(), a1.id(), a.id(), top.id()]);
    assert_eq!(up(a11.id(), 2).await, [a11.id(), a1.id()]);
    assert_eq!(up(a11.id(), 1).await, [a11.id()]);
    assert_eq!(up(id(), 10).await, [] as [Uuid; 0]);
    let mut second = [a.id(), b.id()];
    let mut third = [a2.id(), b1.id()];
    second.sort();
    third.sort();
    let all = [&[top.id()], &second[..], &third[..], &[a11.id()]].concat();
    assert_eq!(down(top.id(), 10).await, all);
    assert_eq!(down(top.id(), 4).await, all[..4]);
    assert_eq!(down(a1.id(), 10).await, [a1.id(), a11.id()], "the record itself, though deleted");
    // A circle ends.
    let stored = f.get(tenant, &SAMPLE, top.id()).await.unwrap();
    f.store
        .commit(&change(tenant, vec![next(&stored, &[("parent_id", Value::Id(a11.id()))])]))
        .await
        .unwrap();
    assert_eq!(up(a11.id(), 10).await, [a11.id(), a1.id(), a.id(), top.id()]);
    assert_eq!(down(top.id(), 10).await, all);
    let flat = f.store.read(tenant, &[Read::Subtree { def: &CARD, id: id(), limit: 1 }]).await;
    assert!(matches!(flat, Err(StoreError::Refused { .. })));
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_find_records() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let texts = ["anna mueller", "anna meier", "annabel mueller", "bert", "anna mueller"];
    let records: Vec<Record> = texts.iter().map(|name| with(new(&SAMPLE), &[("name", t(name))])).collect();
    for (place, record) in records.iter().enumerate() {
        let mut set = change(tenant, vec![Write::Insert(record.clone())]);
        let words = texts[place].split(' ').chain((place == 4).then_some("#vip"));
        set.tokens_put = words
            .map(|word| TokenRow { entity: "sample", id: record.id(), token: word.to_owned() })
            .collect();
        // Another entity's tokens and another tenant's are not these.
        set.tokens_put.push(TokenRow { entity: "card", id: records[3].id(), token: "anna".to_owned() });
        if place > 0 {
            set.tokens_put.pop();
        }
        f.store.commit(&set).await.unwrap();
        let mut elsewhere = set.clone();
        elsewhere.tenant = support::tenant();
        f.store.commit(&elsewhere).await.unwrap();
    }
    let find = async |tokens: &[&str], prefix: Option<&str>, limit| {
        let mut query = Query::new(&SAMPLE, Filter::always(), limit);
        query.tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        query.token_prefix = prefix.map(str::to_owned);
        query.order = vec![Order { path: path("name"), direction: Direction::Descending }];
        let found = f.find(tenant, query).await;
        found
            .iter()
            .map(|found| records.iter().position(|record| record == found).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(find(&["anna"], None, 10).await, [0, 4, 1]);
    assert_eq!(find(&["anna", "mueller"], None, 10).await, [0, 4]);
    assert_eq!(find(&["anna", "mueller", "anna"], None, 1).await, [0]);
    assert_eq!(find(&["mueller"], Some("ann"), 10).await, [2, 0, 4]);
    assert_eq!(find(&["anna"], Some("anna"), 10).await, [0, 4, 1]);
    assert_eq!(find(&[], Some("b"), 10).await, [3]);
    assert_eq!(find(&[], Some("m"), 10).await, [2, 0, 4, 1]);
    assert_eq!(find(&["#vip"], None, 10).await, [4]);
    assert_eq!(find(&["nobody"], Some("a"), 10).await, [] as [usize; 0]);
    let mut set = change(tenant, vec![next(&records[4], &[])]);
    set.tokens_drop = vec![TokenRow { entity: "sample", id: records[4].id(), token: "#vip".to_owned() }];
    f.store.commit(&set).await.unwrap();
    assert_eq!(find(&["#vip"], None, 10).await, [] as [usize; 0]);
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_is_what_its_definition_says() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let roots: Vec<Record> = (0..4).map(|_| new(&SAMPLE)).collect();
    f.insert(tenant, roots.clone()).await;
    f.store.commit(&change(tenant, vec![deleted(&roots[3])])).await.unwrap();
    let (users, teams) = ([id(), id()], [id(), id()]);
    let mut rows: Vec<TimelineRow> = Vec::new();
    for place in 0..300_usize {
        let entry_id = id();
        let pick = |of: usize, salt: usize| (place * 7 + salt * 13 + place / of) % of;
        for anchor in 0..=usize::from(place % 5 == 0) {
            let mut row =
                entry(roots[(place + anchor) % 3].id(), i64::try_from(place / 6).unwrap(), entry_id);
            row.primary = anchor == 0;
            row.kind = ["card", "sample", "note"][pick(3, 0)];
            row.root = [None, Some(roots[0].id()), Some(roots[3].id()), Some(roots[1].id())][pick(4, 1)];
            row.actor = [None, Some(users[0]), Some(users[1])][pick(3, 2)];
            row.team = [None, Some(teams[0]), Some(teams[1])][pick(3, 3)];
            row.visibility = [Visibility::All, Visibility::Team, Visibility::Private][pick(3, 4)];
            row.audience = [Audience::Internal, Audience::External][pick(2, 5)];
            row.pinned = pick(4, 6) == 0;
            row.subtype = [None, Some("call".to_owned())][pick(2, 7)].clone();
            row.sentiment = [None, Some("positive".to_owned())][pick(2, 8)].clone();
            row.amount = (pick(3, 9) == 0).then(|| "1.5".parse().unwrap());
            row.tags = vec!["a".to_owned()];
            rows.push(row);
        }
    }
    let mut set = change(tenant, Vec::new());
    set.timeline_put = rows.clone();
    let tagged: Vec<Uuid> =
        rows.iter().filter(|row| row.primary).step_by(3).map(|row| row.entry_id).collect();
    for row in rows.iter().filter(|row| row.primary && tagged.contains(&row.entry_id)) {
        set.tokens_put.push(TokenRow { entity: row.kind, id: row.entry_id, token: "#x".to_owned() });
    }
    f.store.commit(&set).await.unwrap();
    let filters = [
        TimelineFilter::default(),
        TimelineFilter { kinds: vec!["card".to_owned(), "note".to_owned()], ..TimelineFilter::default() },
        TimelineFilter { subtypes: vec!["call".to_owned()], pinned: Some(true), ..TimelineFilter::default() },
        TimelineFilter { actors: vec![users[0]], teams: teams.to_vec(), ..TimelineFilter::default() },
        TimelineFilter {
            visibilities: vec![Visibility::Team],
            from: Some(at(10)),
            ..TimelineFilter::default()
        },
        TimelineFilter {
            sentiments: vec!["positive".to_owned()],
            until: Some(at(30)),
            ..TimelineFilter::default()
        },
        TimelineFilter {
            tokens: vec!["#x".to_owned()],
            from: Some(at(5)),
            until: Some(at(40)),
            ..TimelineFilter::default()
        },
    ];
    let viewers = [
        Viewer { sees_all: true, ..Viewer::default() },
        Viewer { user: Some(users[0]), teams: vec![teams[1]], ..Viewer::default() },
        Viewer { user: Some(users[1]), external_only: true, ..Viewer::default() },
        Viewer::default(),
    ];
    let anchors = [
        TimelineAnchor::Records(vec![roots[0].id()]),
        TimelineAnchor::Records(vec![roots[0].id(), roots[1].id(), roots[0].id()]),
        TimelineAnchor::User(users[0]),
        TimelineAnchor::Tenant,
    ];
    let live: BTreeMap<Uuid, bool> =
        roots.iter().map(|root| (root.id(), root.id() != roots[3].id())).collect();
    let mut seen = 0;
    for filter in &filters {
        for viewer in &viewers {
            for anchor in &anchors {
                for direction in [Direction::Descending, Direction::Ascending] {
                    let mut expected: Vec<&TimelineRow> = rows
                        .iter()
                        .filter(|row| match anchor {
                            TimelineAnchor::Records(ids) => ids.contains(&row.anchor_id),
                            TimelineAnchor::User(user) => row.primary && row.actor == Some(*user),
                            TimelineAnchor::Tenant => row.primary,
                        })
                        .filter(|row| filter.passes(row) && viewer.sees(row))
                        .filter(|row| row.root.is_none_or(|root| live[&root]))
                        .filter(|row| filter.tokens.is_empty() || tagged.contains(&row.entry_id))
                        .collect();
                    expected.sort_by_key(|row| row.position());
                    if direction == Direction::Descending {
                        expected.reverse();
                    }
                    let mut found = Vec::new();
                    let mut query = TimelineQuery {
                        anchor: anchor.clone(),
                        filter: filter.clone(),
                        viewer: viewer.clone(),
                        direction,
                        after: None,
                        limit: 37,
                    };
                    loop {
                        let answer =
                            f.store.read(tenant, &[Read::Timeline(query.clone())]).await.unwrap().remove(0);
                        let Answer::Timeline(page) = answer else { panic!() };
                        let full = page.len() == 37;
                        query.after = page.last().map(TimelineRow::position);
                        found.extend(page);
                        if !full {
                            break;
                        }
                    }
                    assert!(
                        found.iter().eq(expected.iter().copied()),
                        "{query:?}: {} of {}",
                        found.len(),
                        expected.len()
                    );
                    seen += found.len();
                }
            }
        }
    }
    assert!(seen > 2_000, "{seen}");
    // Replaced by its key, and dropped.
    let mut set = change(tenant, Vec::new());
    let replaced = TimelineRow { at: at(1_000_000), root: None, ..rows[0].clone() };
    set.timeline_put = vec![replaced.clone()];
    set.timeline_drop = rows[1..].iter().map(TimelineRow::key).collect();
    f.store.commit(&set).await.unwrap();
    let query = TimelineQuery {
        anchor: TimelineAnchor::Tenant,
        filter: TimelineFilter::default(),
        viewer: viewers[0].clone(),
        direction: Direction::Descending,
        after: None,
        limit: 10,
    };
    let answer = f.store.read(tenant, &[Read::Timeline(query)]).await.unwrap().remove(0);
    assert!(matches!(&answer, Answer::Timeline(found) if *found == [replaced]), "{answer:?}");
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_full_however_many_records_of_deleted_customers_stand_before_it() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let (gone, there) = (new(&SAMPLE), new(&SAMPLE));
    f.insert(tenant, vec![gone.clone(), there.clone()]).await;
    let cards: Vec<Record> = (0..400)
        .map(|n| {
            let of = if n % 40 == 7 { &there } else { &gone };
            let when = if n % 3 == 0 { Value::Null } else { Value::Instant(at(n / 5)) };
            with(
                new(&CARD),
                &[("sample_id", Value::Id(of.id())), ("at", when), ("name", t(&format!("{}", n % 2)))],
            )
        })
        .collect();
    let alone = new(&CARD);
    f.insert(tenant, cards.iter().cloned().chain([alone.clone()]).collect()).await;
    f.store.commit(&change(tenant, vec![deleted(&gone)])).await.unwrap();
    let orders: [&[(&str, Direction)]; 5] = [
        &[],
        &[("at", Direction::Ascending)],
        &[("at", Direction::Descending)],
        &[("name", Direction::Descending), ("at", Direction::Ascending)],
        &[("id", Direction::Descending)],
    ];
    let catalog = support::catalog();
    for order in orders {
        let order: Vec<Order> = order
            .iter()
            .map(|(name, direction)| Order { path: Path::own(&CARD, name).unwrap(), direction: *direction })
            .collect();
        let mut expected: Vec<&Record> = cards
            .iter()
            .filter(|card| *card.get("sample_id") == Value::Id(there.id()))
            .chain([&alone])
            .collect();
        expected.sort_by(|a, b| {
            let by = |step: &Order| {
                let order = a.values[step.path.field].sort_order(&b.values[step.path.field]);
                if step.direction == Direction::Ascending { order } else { order.reverse() }
            };
            order.iter().map(by).find(|order| order.is_ne()).unwrap_or_else(|| a.id().cmp(&b.id()))
        });
        for limit in [1, 3, 11, 12, 100] {
            let filter = Filter::live(&catalog, &CARD);
            let query = Query { order: order.clone(), ..Query::new(&CARD, filter, limit) };
            let found = f.find(tenant, query.clone()).await;
            assert!(
                found.iter().eq(expected.iter().copied().take(limit)),
                "{order:?} {limit}: {}",
                found.len()
            );
            let scanned: Vec<Record> = f.store.scan(tenant, query).try_collect().await.unwrap();
            assert!(scanned.iter().eq(expected.iter().copied()));
        }
    }
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_reads_see_one_moment() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let (a, b) =
        (with(new(&SAMPLE), &[("count", Value::Int(0))]), with(new(&CARD), &[("at", Value::Instant(at(0)))]));
    f.insert(tenant, vec![a.clone(), b.clone()]).await;
    let writer = {
        let (store, mut a, mut b) = (f.store.clone(), a.clone(), b.clone());
        tokio::spawn(async move {
            for _ in 0..60 {
                let writes = vec![next(&a, &[]), next(&b, &[])];
                (a, b) = (writes[0].record().clone(), writes[1].record().clone());
                store.commit(&change(tenant, writes)).await.unwrap();
            }
        })
    };
    let mut last = 0;
    while !writer.is_finished() {
        let reads = [
            Read::Get { def: &SAMPLE, ids: vec![a.id()] },
            Read::Find(Query::new(&CARD, Filter::leaf(Path::own(&CARD, "at").unwrap(), Test::Exists), 10)),
        ];
        let answers = f.store.read(tenant, &reads).await.unwrap();
        let [Answer::Records(first), Answer::Records(second)] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(first[0].version(), second[0].version());
        assert!(first[0].version() >= last, "time goes on");
        last = first[0].version();
    }
    writer.await.unwrap();
    assert_eq!(f.get(tenant, &SAMPLE, a.id()).await.unwrap().version(), 61, "what was committed is read");
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_have_no_limit_and_reads_have() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let records: Vec<Record> = (0..2_500).map(|n| with(new(&SAMPLE), &[("count", Value::Int(n))])).collect();
    f.insert(tenant, records.clone()).await;
    let mut query = Query::new(&SAMPLE, Filter::leaf(path("count"), Test::Ge(Value::Int(100))), 3);
    query.order = vec![Order { path: path("count"), direction: Direction::Descending }];
    let found: Vec<Record> = f.store.scan(tenant, query.clone()).try_collect().await.unwrap();
    assert!(found.iter().eq(records[100..].iter().rev()));
    assert_eq!(f.find(tenant, query.clone()).await.len(), 3);
    query.limit = 10_001;
    let refused = f.store.read(tenant, &[Read::Find(query)]).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })));
    let all = Read::Get { def: &SAMPLE, ids: records.iter().map(Record::id).chain([id()]).collect() };
    let Answer::Records(found) = f.store.read(tenant, &[all]).await.unwrap().remove(0) else { panic!() };
    assert_eq!(found.len(), 2_500);
    f.done().await;
}
