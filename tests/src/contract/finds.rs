//! Finds, groups and hierarchies.

use std::sync::Arc;

use crm_core::catalog::Entity;
use crm_core::criteria::{Filter, Test};
use crm_core::customer::Customer;
use crm_core::directory::{Team, User};
use crm_core::invoice::{Invoice, InvoiceLine};
use crm_core::store::{
    Answer, Direction, Group, GroupQuery, MAX_LIMIT, Measure, Order, Query, Read, StoreError,
};
use crm_core::value::Value;
use rust_decimal::Decimal;

use crate::contract::bench::{ACME, Bench, all, customer, id, invoice, note, path, path_through, text, user};
use crate::contract::dice::{Dice, filter, order, paths, sample, seeds, small_value};
use crate::contract::extra_entity::ProjectNote;
use crate::guide::SmallStore;
use crate::{Harness, size};

fn by(path: crm_core::criteria::Path, direction: Direction) -> Order {
    Order { path, direction }
}

/// Missing values come first, or last; folded text in any case; the id decides what is left open; links are followed.
pub async fn lc_08_finds_come_in_their_order(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench
        .insert(
            ACME,
            &[User { name: "zoe".to_owned(), ..user(1) }, User { name: "Adam".to_owned(), ..user(2) }],
        )
        .await;
    bench.insert(ACME, &[customer(10, "Customer")]).await;
    let titled = |n: u128, title: Option<&str>, rank: Option<i64>, owner: Option<u128>| ProjectNote {
        title: title.map(str::to_owned),
        rank,
        owner_id: owner.map(|n| user(n).id),
        ..note(n, 10)
    };
    bench
        .insert(
            ACME,
            &[
                titled(1, Some("beta"), Some(2), Some(1)),
                titled(2, Some("Alpha"), Some(2), Some(2)),
                titled(3, None, None, None),
                titled(4, Some("alpha"), Some(1), Some(2)),
                titled(5, Some("ALPHA"), None, Some(1)),
                titled(6, Some("Émile"), Some(3), None),
                titled(7, Some("zulu"), Some(3), Some(2)),
            ],
        )
        .await;
    let def = ProjectNote::def();
    let sorted = |order| Query { order, ..all(def) };
    use Direction::{Ascending, Descending};
    let title = || path(def, "title");
    let rank = || path(def, "rank");
    let owner = || path_through(&bench.catalog, def, &["owner_id", "name"]);
    for (what, order, expected) in [
        ("by id", vec![], vec![1, 2, 3, 4, 5, 6, 7]),
        ("folded", vec![by(title(), Ascending)], vec![3, 2, 4, 5, 1, 7, 6]),
        ("folded, down", vec![by(title(), Descending)], vec![6, 7, 1, 2, 4, 5, 3]),
        ("missing first", vec![by(rank(), Ascending)], vec![3, 5, 4, 1, 2, 6, 7]),
        ("missing last", vec![by(rank(), Descending)], vec![6, 7, 1, 2, 4, 3, 5]),
        ("two keys", vec![by(rank(), Descending), by(title(), Ascending)], vec![7, 6, 2, 1, 4, 3, 5]),
        ("a link", vec![by(owner(), Ascending)], vec![3, 6, 2, 4, 7, 1, 5]),
        ("a link and a key", vec![by(owner(), Descending), by(rank(), Ascending)], vec![5, 1, 4, 2, 7, 3, 6]),
    ] {
        assert_eq!(bench.find(ACME, sorted(order.clone())).await, expected, "{what}");
        for limit in 1..=expected.len() {
            let page = bench.find(ACME, Query { limit, ..sorted(order.clone()) }).await;
            assert_eq!(page, expected[..limit], "{what}, the first {limit}");
        }
    }
}

/// Words, their beginnings and tags find; deleted records are not found by them.
pub async fn cm_11_records_are_found_by_their_words(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let tagged = |n, name: &str, tags: &[&str]| Customer {
        tags: tags.iter().map(|t| (*t).to_owned()).collect(),
        ..customer(n, name)
    };
    bench
        .insert(
            ACME,
            &[
                tagged(1, "Anna Ångström", &["Key Account"]),
                tagged(2, "Annabel Smith", &["key account", "west"]),
                customer(3, "Smith & Söhne"),
            ],
        )
        .await;
    let def = Customer::def();
    let words =
        |tokens: &[&str]| Query { tokens: tokens.iter().map(|t| (*t).to_owned()).collect(), ..all(def) };
    let begins = |prefix: &str| Query { token_prefix: Some(prefix.to_owned()), ..all(def) };
    assert_eq!(bench.find(ACME, words(&["anna"])).await, [1]);
    assert_eq!(bench.find(ACME, words(&["smith"])).await, [2, 3]);
    assert_eq!(bench.find(ACME, words(&["smith", "sohne"])).await, [3]);
    assert_eq!(bench.find(ACME, words(&["#key account"])).await, [1, 2]);
    assert_eq!(bench.find(ACME, words(&["#key account", "smith"])).await, [2]);
    assert_eq!(bench.find(ACME, words(&["nobody"])).await, [0_u128; 0]);
    assert_eq!(bench.find(ACME, begins("ann")).await, [1, 2]);
    assert_eq!(bench.find(ACME, begins("s")).await, [2, 3]);
    assert_eq!(bench.find(ACME, begins("%")).await, [0_u128; 0], "a prefix is no pattern");
    assert_eq!(bench.find(ACME, begins("_nn")).await, [0_u128; 0]);
    assert_eq!(bench.find(ACME, Query { tokens: vec!["smith".to_owned()], ..begins("ann") }).await, [2]);
    let descending =
        Query { order: vec![by(path(def, "display_name"), Direction::Descending)], ..words(&["smith"]) };
    assert_eq!(bench.find(ACME, descending).await, [3, 2]);
    bench.change::<Customer>(ACME, 3, |c| c.display_name = "Miller".to_owned()).await;
    assert_eq!(bench.find(ACME, words(&["smith"])).await, [2]);
    assert_eq!(bench.find(ACME, words(&["miller"])).await, [3]);
    bench.delete(ACME, def, 2).await;
    assert_eq!(bench.find(ACME, words(&["smith"])).await, [0_u128; 0]);
    bench.restore(ACME, def, 2).await;
    assert_eq!(bench.find(ACME, words(&["smith"])).await, [2]);
}

/// Deleted records are there until the filter leaves them out; ids that are not known are left out of the answer.
pub async fn cm_01_deleted_records_are_read_when_asked_for(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench.insert(ACME, &[customer(1, "A"), customer(2, "B"), customer(3, "C")]).await;
    bench.insert(ACME, &[note(11, 1), note(12, 2)]).await;
    bench.delete(ACME, Customer::def(), 2).await;
    let def = Customer::def();
    assert_eq!(bench.find(ACME, all(def)).await, [1, 2, 3]);
    assert_eq!(bench.find(ACME, Query::new(def, Filter::undeleted(def), 10)).await, [1, 3]);
    let live = Filter::live(&bench.catalog, ProjectNote::def());
    assert_eq!(bench.find(ACME, Query::new(ProjectNote::def(), live, 10)).await, [11]);
    // A deleted customer's values are still seen through links.
    let name = path_through(&bench.catalog, ProjectNote::def(), &["customer_id", "display_name"]);
    let through = Filter::leaf(name, Test::In(vec![text("b")]));
    assert_eq!(bench.find(ACME, Query::new(ProjectNote::def(), through, 10)).await, [12]);
    let ids = [3, 2, 99, 1, 2].map(id).to_vec();
    let mut got = bench.records(ACME, Read::Get { def, ids }).await;
    got.sort_by_key(crm_core::record::Record::id);
    assert_eq!(got.iter().map(crm_core::record::Record::id).collect::<Vec<_>>(), [id(1), id(2), id(3)]);
    assert!(bench.records(ACME, Read::Get { def, ids: Vec::new() }).await.is_empty());
    assert!(bench.store.read(ACME, &[]).await.unwrap().is_empty(), "no question, no answer");
}

/// More than the contract offers is refused, not cut off.
pub async fn xt_01_questions_beyond_the_contract_are_refused(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench.insert(ACME, &[customer(1, "A"), customer(2, "B")]).await;
    let (def, limit) = (Customer::def(), MAX_LIMIT + 1);
    let group = |by: &[&str], limit| GroupQuery {
        def,
        filter: Filter::always(),
        by: by.iter().map(|name| path(def, name)).collect(),
        measures: vec![Measure::Count],
        limit,
    };
    let timeline = crm_core::store::TimelineQuery {
        limit,
        ..crate::contract::bench::whole_timeline(crm_core::store::TimelineAnchor::Tenant)
    };
    for read in [
        Read::Get { def, ids: (0..=MAX_LIMIT as u128).map(id).collect() },
        Read::Find(Query { limit, ..all(def) }),
        Read::Group(group(&["status"], limit)),
        Read::Group(group(&["display_name"], 1)),
        Read::Ancestors { def, id: id(1), limit },
        Read::Subtree { def, id: id(1), limit },
        Read::Timeline(timeline),
        Read::History { def, id: id(1), before_version: None, limit },
        Read::Log { after: 0, limit },
    ] {
        let what: String = format!("{read:?}").chars().take(60).collect();
        let outcome = bench.ask(ACME, read).await;
        assert!(matches!(outcome, Err(StoreError::Refused { .. })), "{what}: {outcome:?}");
    }
    assert_eq!(bench.groups(ACME, group(&["display_name"], 2)).await.len(), 2, "as many as allowed");
}

/// Sums have all their digits; groups come in order, the missing first; of nothing there is one group of zeros.
pub async fn tl_07_groups_count_and_sum_exactly(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let amount = || path(ProjectNote::def(), "amount");
    let measures = vec![
        Measure::Count,
        Measure::Sum(amount()),
        Measure::Min(amount()),
        Measure::Max(amount()),
        Measure::Sum(path(ProjectNote::def(), "rank")),
    ];
    let query = |by: &[&str]| GroupQuery {
        def: ProjectNote::def(),
        filter: Filter::undeleted(ProjectNote::def()),
        by: by.iter().map(|name| path(ProjectNote::def(), name)).collect(),
        measures: measures.clone(),
        limit: 10,
    };
    let decimal = |text: &str| Value::Decimal(text.parse().unwrap());
    let zeros = vec![Value::Int(0), decimal("0"), Value::Null, Value::Null, decimal("0")];
    assert_eq!(bench.groups(ACME, query(&[])).await, [Group { by: vec![], measures: zeros }]);
    assert_eq!(bench.groups(ACME, query(&["title"])).await, []);
    bench.insert(ACME, &[customer(1, "A"), customer(2, "B")]).await;
    let noted = |n, title: Option<&str>, amount: Option<&str>, rank| ProjectNote {
        title: title.map(str::to_owned),
        amount: amount.map(|a| a.parse().unwrap()),
        rank,
        ..note(n, 1 + n % 2)
    };
    let largest = "999999999999999.999999999999";
    bench
        .insert(
            ACME,
            &[
                noted(11, Some("b"), Some(largest), Some(3)),
                noted(12, Some("b"), Some(largest), None),
                noted(13, Some("B"), Some("-0.1"), Some(-4)),
                noted(14, None, Some("0.7"), Some(1)),
                noted(15, None, None, Some(1)),
                noted(16, Some("a"), None, None),
                noted(17, Some("a"), None, None),
            ],
        )
        .await;
    bench.delete(ACME, ProjectNote::def(), 17).await;
    let group = |by: Value, measures: [Value; 5]| Group { by: vec![by], measures: measures.to_vec() };
    let twice = "1999999999999999.999999999998";
    let expected = [
        group(Value::Null, [Value::Int(2), decimal("0.7"), decimal("0.7"), decimal("0.7"), decimal("2")]),
        group(text("B"), [Value::Int(1), decimal("-0.1"), decimal("-0.1"), decimal("-0.1"), decimal("-4")]),
        group(text("a"), [Value::Int(1), decimal("0"), Value::Null, Value::Null, decimal("0")]),
        group(text("b"), [Value::Int(2), decimal(twice), decimal(largest), decimal(largest), decimal("3")]),
    ];
    assert_eq!(bench.groups(ACME, query(&["title"])).await, expected);
    let through = GroupQuery {
        by: vec![
            path_through(&bench.catalog, ProjectNote::def(), &["customer_id", "display_name"]),
            path(ProjectNote::def(), "is_pinned"),
        ],
        measures: vec![Measure::Count],
        ..query(&[])
    };
    let found = bench.groups(ACME, through).await;
    let rows: Vec<_> =
        found.iter().map(|g| (g.by[0].clone(), g.by[1].clone(), g.measures[0].clone())).collect();
    let row = |name: &str, n| (text(name), Value::Bool(false), Value::Int(n));
    assert_eq!(rows, [row("A", 3), row("B", 3)]);
    // Through two links: the lines of an invoice by customer.
    bench.insert(ACME, &[invoice(30, 1), invoice(31, 2)]).await;
    let line = |n: u128, of: u128, amount: &str| InvoiceLine {
        id: crm_core::invoice::InvoiceLineId(id(n)),
        invoice_id: invoice(of, 1).id,
        position: n as i64,
        amount: amount.parse().unwrap(),
        ..InvoiceLine::new("Thing", Decimal::ONE, Decimal::ONE)
    };
    bench.insert(ACME, &[line(1, 30, "0.1"), line(2, 30, "0.2"), line(3, 31, "5")]).await;
    let lines = GroupQuery {
        def: InvoiceLine::def(),
        filter: Filter::live(&bench.catalog, InvoiceLine::def()),
        by: vec![path_through(&bench.catalog, InvoiceLine::def(), &["invoice_id", "customer_id"])],
        measures: vec![Measure::Sum(path(InvoiceLine::def(), "amount"))],
        limit: 10,
    };
    let expected = [(1, "0.3"), (2, "5")]
        .map(|(n, sum)| Group { by: vec![Value::Id(id(n))], measures: vec![decimal(sum)] });
    assert_eq!(bench.groups(ACME, lines).await, expected);
    assert_eq!(bench.find(ACME, Query::new(Invoice::def(), Filter::always(), 10)).await, [30, 31]);
}

/// Up: nearest first, the deleted too. Down: by depth and id, through the deleted, without them. Circles end.
pub async fn cm_04_hierarchies_are_read_up_and_down(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let below = |n, above: u128| Customer { parent_id: Some(customer(above, "").id), ..customer(n, "Below") };
    bench
        .put(ACME, |c| {
            for customer in [
                customer(5, "Top"),
                below(9, 5),
                below(6, 5),
                below(2, 9),
                below(1, 6),
                below(3, 2),
                customer(50, "Alone"),
            ] {
                c.insert(&customer).unwrap();
            }
        })
        .await;
    let def = Customer::def();
    let up = async |n, limit| {
        let found = bench.records(ACME, Read::Ancestors { def, id: id(n), limit }).await;
        found.iter().map(|r| r.id().as_u128()).collect::<Vec<_>>()
    };
    let down = async |n, limit| {
        let found = bench.records(ACME, Read::Subtree { def, id: id(n), limit }).await;
        found.iter().map(|r| r.id().as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(up(3, 100).await, [3, 2, 9, 5]);
    assert_eq!(up(3, 2).await, [3, 2]);
    assert_eq!(up(50, 10).await, [50]);
    assert_eq!(up(77, 10).await, [0_u128; 0]);
    assert_eq!(down(5, 100).await, [5, 6, 9, 1, 2, 3]);
    assert_eq!(down(5, 3).await, [5, 6, 9]);
    assert_eq!(down(50, 10).await, [50]);
    assert_eq!(down(77, 10).await, [0_u128; 0]);
    bench.delete(ACME, def, 9).await;
    assert_eq!(up(3, 100).await, [3, 2, 9, 5]);
    assert_eq!(down(5, 100).await, [5, 6, 1, 2, 3]);
    assert_eq!(down(9, 100).await, [9, 2, 3], "where it starts is shown, deleted or not");
    bench.change::<Customer>(ACME, 5, |c| c.parent_id = Some(customer(3, "").id)).await;
    assert_eq!(up(3, 100).await, [3, 2, 9, 5]);
    assert_eq!(down(2, 100).await, [2, 3, 5, 6, 1]);
}

/// Generated questions about generated records: the answer is what the core's own evaluation gives.
pub async fn lc_08_generated_questions_have_the_answer_of_the_core(harness: &dyn Harness) {
    let mut asked = 0;
    let mut found = 0;
    for seed in seeds(size(2, 12)) {
        let bench = Bench::new(harness).await;
        let oracle = Bench::over(Arc::new(SmallStore::new(bench.catalog.clone())));
        let mut dice = Dice::new(seed);
        fill_small(&[&bench, &oracle], &mut dice).await;
        let defs = [ProjectNote::def(), Customer::def(), User::def()];
        let paths: Vec<_> = defs.iter().map(|def| paths(&bench.catalog, def)).collect();
        for n in 0..size(120, 1_000) {
            let which = n % 3;
            let (def, paths) = (defs[which], &paths[which]);
            let question = Query {
                def,
                filter: filter(&mut dice, paths, 3),
                tokens: if dice.one_in(6) {
                    vec![dice.word(&["alpha", "beta", "#red", "eclair"]).to_owned()]
                } else {
                    Vec::new()
                },
                token_prefix: dice.one_in(8).then(|| dice.word(&["al", "b", "#"]).to_owned()),
                order: order(&mut dice, paths),
                limit: 1 + dice.below(40),
            };
            let grouped = GroupQuery {
                def,
                filter: question.filter.clone(),
                by: order(&mut dice, paths).into_iter().map(|step| step.path).take(2).collect(),
                measures: vec![
                    Measure::Count,
                    Measure::Sum(path(def, "version")),
                    Measure::Min(path(def, "created_at")),
                ],
                limit: 1 + dice.below(20),
            };
            let reads = [Read::Find(question.clone()), Read::Group(grouped.clone())];
            for read in reads {
                let expected = plain(oracle.ask(ACME, read.clone()).await);
                let answer = plain(bench.ask(ACME, read.clone()).await);
                assert_eq!(answer, expected, "seed {seed}, question {n}: {read:#?}");
                asked += 1;
                found += usize::from(!matches!(expected.as_str(), "Records([])" | "Groups([])"));
            }
        }
    }
    assert!(found * 3 > asked, "the questions are worth asking: {found} of {asked} have an answer");
}

/// An answer as text, with refusals reduced to their kind.
pub(crate) fn plain(answer: Result<Answer, StoreError>) -> String {
    match answer {
        Ok(Answer::Records(records)) => {
            format!(
                "Records({:?})",
                records.iter().map(|r| (r.id().as_u128(), &r.values)).collect::<Vec<_>>()
            )
        }
        Ok(Answer::Groups(groups)) => format!("Groups({groups:?})"),
        Ok(other) => format!("{other:?}"),
        Err(error) => error.code().to_owned(),
    }
}

/// Users, customers and notes with values of a small domain, the same on all benches.
async fn fill_small(benches: &[&Bench], dice: &mut Dice) {
    let mut records = Vec::new();
    for (def, count) in [(Team::def(), 6), (User::def(), 6), (Customer::def(), 20), (ProjectNote::def(), 80)]
    {
        for n in 1..=count {
            let mut record = sample(def, n);
            let unique: Vec<&str> = def.uniques.iter().flat_map(|rule| rule.fields.iter().copied()).collect();
            for (place, field) in def.own_fields() {
                let is_checked = ["budget", "currency", "starts_on", "ends_on"].contains(&field.name);
                let formatted = field.kind.field_type() == crm_core::catalog::FieldType::Text
                    && !matches!(
                        &field.kind,
                        crm_core::catalog::Kind::Text {
                            format: crm_core::catalog::Format::Line | crm_core::catalog::Format::Block,
                            ..
                        }
                    );
                if is_checked || formatted || unique.contains(&field.name) || Some(field.name) == def.parent {
                    continue;
                }
                if field.required || !dice.one_in(4) {
                    record.values[place] = small_value(dice, field.field_type());
                }
            }
            if let (Some(parent), true) = (def.parent, n > 1 && !dice.one_in(3)) {
                record.set(parent, Value::Id(id(1 + dice.below(n as usize - 1) as u128)));
            }
            records.push(record);
        }
    }
    let first = benches[0];
    for part in records.chunks(200) {
        let set = first.set(ACME, |c| {
            for record in part {
                c.insert_record(record.clone()).unwrap_or_else(|e| panic!("{} {e:?}", record.def.name));
            }
        });
        for bench in benches {
            bench.commit(&set).await.unwrap();
        }
    }
    for n in 0..25 {
        let def = [User::def(), Customer::def(), ProjectNote::def()][n % 3];
        let one = id(1 + dice.below(6) as u128);
        let record = first.get(ACME, def, one).await.unwrap();
        first.env.advance(chrono::Duration::minutes(7));
        let set = first.set(ACME, |c| {
            if record.is_live() && n % 2 == 0 {
                c.delete_record(&record)
            } else {
                c.restore_record(&record)
            };
        });
        for bench in benches {
            bench.commit(&set).await.unwrap();
        }
    }
}
