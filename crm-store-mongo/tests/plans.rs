//! How the server answers the reads that are shipped, with 50,000 records: no collection is scanned, and a page costs
//! what it shows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod support;

use bson::{Bson, Document, doc};
use crm_core::TenantId;
use crm_core::criteria::{Filter, Path, Test};
use crm_core::store::{
    Direction, GroupQuery, Measure, Order, Query, Read, Store, TimelineAnchor, TimelineFilter, TimelineQuery,
    TokenRow, Viewer, Write,
};
use crm_core::value::Value;
use futures_util::TryStreamExt;
use support::{CARD, Fixture, SAMPLE, STAGE, at, catalog, change, entry, id, new, t, tenant, with};

const ROWS: usize = 50_000;

/// Everything in the plan that says `stage`.
fn walk(bson: &Bson, stages: &mut Vec<String>) {
    match bson {
        Bson::Document(document) => {
            if let Ok(stage) = document.get_str("stage") {
                let index = document.get_str("indexName").map(|name| format!(":{name}")).unwrap_or_default();
                stages.push(format!("{stage}{index}"));
            }
            for (key, value) in document {
                if key == "rejectedPlans" || key == "allPlansExecution" {
                    continue;
                }
                if key == "collectionScans" && number(value) > 0 {
                    stages.push("COLLSCAN in a lookup".to_owned());
                }
                walk(value, stages);
            }
        }
        Bson::Array(items) => items.iter().for_each(|item| walk(item, stages)),
        _ => {}
    }
}

fn number(bson: &Bson) -> i64 {
    match bson {
        Bson::Int32(number) => i64::from(*number),
        Bson::Int64(number) => *number,
        _ => 0,
    }
}

struct Plan {
    name: &'static str,
    stages: Vec<String>,
    examined: i64,
}

async fn explain(f: &Fixture, tenant: TenantId, name: &'static str, read: Read) -> Plan {
    let explained: Document = f.store.explain(tenant, &read).await.unwrap();
    let mut stages = Vec::new();
    walk(&Bson::Document(explained), &mut stages);
    // An explanation runs the plan to its end, also where the page ends earlier: the profiler tells what was read.
    let db = f.client.database(&f.name);
    let profile = db.collection::<Document>("system.profile");
    db.run_command(doc! { "profile": 2 }).await.unwrap();
    let started = std::time::Instant::now();
    f.store.read(tenant, &[read]).await.unwrap();
    let took = started.elapsed();
    db.run_command(doc! { "profile": 0 }).await.unwrap();
    let ran: Vec<Document> = profile
        .find(doc! { "command.aggregate": { "$exists": true } })
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    profile.drop().await.unwrap();
    let examined = ran
        .iter()
        .flat_map(|ran| ["docsExamined", "keysExamined"].map(|key| ran.get(key).map_or(0, number)))
        .sum::<i64>();
    assert!(!ran.is_empty(), "{name} is not in the profile");
    println!("{name}: {examined} examined, {took:?}, {stages:?}");
    assert!(!stages.is_empty(), "{name}");
    assert!(!stages.iter().any(|stage| stage.contains("COLLSCAN")), "{name}: {stages:?}");
    Plan { name, stages, examined }
}

impl Plan {
    fn examines_at_most(&self, most: i64) -> &Self {
        assert!(self.examined <= most, "{} examines {} (at most {most})", self.name, self.examined);
        self
    }

    fn uses(&self, index: &str) {
        let suffix = format!(":{index}");
        assert!(
            self.stages.iter().any(|stage| stage.ends_with(&suffix)),
            "{} takes no {index}: {:?}",
            self.name,
            self.stages
        );
    }
}

fn own(def: &'static crm_core::catalog::EntityDef, name: &str, test: Test) -> Filter {
    Filter::leaf(Path::own(def, name).unwrap(), test)
}

fn by(def: &'static crm_core::catalog::EntityDef, name: &str, direction: Direction) -> Vec<Order> {
    vec![Order { path: Path::own(def, name).unwrap(), direction }]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_shipped_read_scans_a_collection() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let stage = new(&STAGE);
    let roots: Vec<_> = (0..50).map(|_| new(&SAMPLE)).collect();
    f.insert(tenant, roots.clone()).await;
    f.insert(tenant, vec![stage.clone()]).await;
    let started = std::time::Instant::now();
    for chunk in 0..ROWS / 1_000 {
        let mut set = change(tenant, Vec::new());
        for place in 0..500 {
            let n = i64::try_from(chunk * 500 + place).unwrap();
            let values = [
                ("name", t(&format!("n{n}"))),
                ("label", t(&format!("L{n}"))),
                ("amount", Value::Decimal(n.into())),
                ("grade", t(["low", "mid", "high"][place % 3])),
                ("at", Value::Instant(at(n))),
                ("created_at", Value::Instant(at(n / 10))),
                ("parent_id", Value::Id(roots[place % 50].id())),
            ];
            let sample = with(new(&SAMPLE), &values);
            let links = [("stage_id", &stage), ("sample_id", &roots[place % 50])];
            let card = with(new(&CARD), &links.map(|(name, to)| (name, Value::Id(to.id()))));
            let card = with(card, &[("at", Value::Instant(at(n)))]);
            set.tokens_put.push(TokenRow { entity: "sample", id: sample.id(), token: format!("n{n}") });
            set.tokens_put.push(TokenRow { entity: "sample", id: sample.id(), token: "all".to_owned() });
            for anchor in [&roots[0], &roots[1 + place % 49]] {
                let mut row = entry(anchor.id(), n / 3, card.id());
                row.root = Some(anchor.id());
                row.primary = anchor == &roots[0];
                set.timeline_put.push(row);
            }
            set.writes.extend([Write::Insert(sample), Write::Insert(card)]);
        }
        let commit_id = set.commit_id;
        set.log = change(tenant, set.writes.clone()).log;
        set.log.iter_mut().for_each(|row| row.commit_id = commit_id);
        f.store.commit(&set).await.unwrap();
    }
    println!("{ROWS} records with log, timeline and tokens in {:?}", started.elapsed());

    let live = || Filter::live(&catalog(), &SAMPLE);
    let find = |filter: Filter, order: Vec<Order>| {
        Read::Find(Query { order, ..Query::new(&SAMPLE, live().and(filter), 50) })
    };
    let x = |name, read| explain(&f, tenant, name, read);
    let (up, down) = (Direction::Ascending, Direction::Descending);

    x("by id", find(Filter::always(), Vec::new())).await.examines_at_most(110).uses("_id_");
    x("by name", find(Filter::always(), by(&SAMPLE, "name", up)))
        .await
        .examines_at_most(110)
        .uses("samples_by_name");
    x("newest", find(Filter::always(), by(&SAMPLE, "created_at", down)))
        .await
        .examines_at_most(110)
        .uses("samples_by_creation_desc");
    x("oldest", find(Filter::always(), by(&SAMPLE, "created_at", up)))
        .await
        .examines_at_most(110)
        .uses("samples_by_creation");
    let after = at(1_200);
    let seek = Filter::Any(vec![
        own(&SAMPLE, "created_at", Test::Lt(Value::Instant(after))),
        Filter::All(vec![
            own(&SAMPLE, "created_at", Test::In(vec![Value::Instant(after)])),
            own(&SAMPLE, "id", Test::Gt(Value::Id(id()))),
        ]),
    ]);
    x("deep page", find(seek, by(&SAMPLE, "created_at", down))).await.examines_at_most(140);
    let grade = || own(&SAMPLE, "grade", Test::In(vec![t("low")]));
    x("grade, newest", find(grade(), by(&SAMPLE, "at", down)))
        .await
        .examines_at_most(110)
        .uses("samples_by_grade_desc");
    let label = own(&SAMPLE, "label", Test::In(vec![Value::Text(crm_core::format::fold("L77"))]));
    x("unique value", find(label, Vec::new())).await.examines_at_most(10).uses("sample_label_once");
    let prefix = own(&SAMPLE, "name", Test::StartsWith("n1234".to_owned()));
    x("prefix", find(prefix, by(&SAMPLE, "name", up))).await.examines_at_most(110).uses("samples_by_name");
    x("no index", find(own(&SAMPLE, "flag", Test::Exists), by(&SAMPLE, "day", up))).await.uses("_id_");
    x("get", Read::Get { def: &SAMPLE, ids: vec![roots[0].id(), roots[1].id()] }).await.examines_at_most(10);
    let tokens = |tokens: &[&str], prefix: Option<&str>| {
        let mut query = Query::new(&SAMPLE, live(), 50);
        query.tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        query.token_prefix = prefix.map(str::to_owned);
        Read::Find(query)
    };
    x("token", tokens(&["n77"], None)).await.examines_at_most(10);
    x("token and prefix", tokens(&["n77"], Some("n7"))).await;
    let cards = |filter: Filter, order| {
        Read::Find(Query { order, ..Query::new(&CARD, Filter::live(&catalog(), &CARD).and(filter), 50) })
    };
    let of_sample = own(&CARD, "sample_id", Test::In(vec![Value::Id(roots[3].id())]));
    x("children", cards(of_sample, by(&CARD, "at", down)))
        .await
        .examines_at_most(260)
        .uses("cards_by_sample_desc");
    let of_stage = own(&CARD, "stage_id", Test::In(vec![Value::Id(stage.id())]));
    x("by a link", cards(of_stage, Vec::new())).await;
    let group = |filter: Filter, by: &str| {
        let measures = vec![Measure::Count, Measure::Sum(Path::own(&SAMPLE, "amount").unwrap())];
        let by = vec![Path::own(&SAMPLE, by).unwrap()];
        Read::Group(GroupQuery { def: &SAMPLE, filter: live().and(filter), by, measures, limit: 100 })
    };
    x("groups", group(Filter::always(), "grade")).await.uses("_id_");
    x("groups of a part", group(grade(), "grade")).await;
    x("ancestors", Read::Ancestors { def: &SAMPLE, id: roots[0].id(), limit: 100 })
        .await
        .examines_at_most(10);
    x("subtree", Read::Subtree { def: &SAMPLE, id: roots[0].id(), limit: 100 })
        .await
        .uses("samples_by_parent");
    x("history", Read::History { def: &SAMPLE, id: roots[0].id(), before_version: Some(9), limit: 10 })
        .await
        .examines_at_most(10)
        .uses("log_by_record");
    x("log", Read::Log { after: 7, limit: 100 }).await.examines_at_most(210);

    let timeline = |anchor: TimelineAnchor, after: Option<i64>| {
        let after = after.map(|millis| entry(roots[0].id(), millis, id()).position());
        let viewer = Viewer { user: Some(id()), ..Viewer::default() };
        Read::Timeline(TimelineQuery {
            anchor,
            filter: TimelineFilter::default(),
            viewer,
            direction: down,
            after,
            limit: 50,
        })
    };
    let one = || TimelineAnchor::Records(vec![roots[0].id()]);
    let first = x("timeline", timeline(one(), None)).await;
    first.examines_at_most(250).uses("timeline_by_anchor");
    // 25,000 entries, three to a millisecond: the middle of page 10,000 of pages of one entry.
    let deep = x("timeline, deep", timeline(one(), Some(1_700))).await;
    assert!(deep.examined <= first.examined + 20, "{} and {}", deep.examined, first.examined);
    let some = TimelineAnchor::Records(roots[..3].iter().map(crm_core::record::Record::id).collect());
    x("timeline of three", timeline(some.clone(), None)).await.examines_at_most(270);
    x("timeline of three, deep", timeline(some, Some(1_700))).await.examines_at_most(290);
    x("timeline of all", timeline(TimelineAnchor::Tenant, Some(4_000))).await.examines_at_most(280);
    x("timeline of a user", timeline(TimelineAnchor::User(id()), None)).await.examines_at_most(10);
    f.done().await;
}
