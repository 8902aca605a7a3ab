//! The timeline projection: order, seeking, anchors, viewers, filters.

use chrono::Duration;
use crm_core::catalog::Entity;
use crm_core::contact::Contact;
use crm_core::customer::{Customer, CustomerId};
use crm_core::interaction::{Interaction, InteractionId, InteractionSource, InteractionType, Sentiment};
use crm_core::record::Record;
use crm_core::store::{
    Direction, Query, Read, TimelineAnchor, TimelineFilter, TimelinePosition, TimelineQuery, TimelineRow,
    Viewer,
};
use crm_core::timeline::{Audience, Visibility};
use uuid::Uuid;

use crate::contract::bench::{
    ACME, Bench, all, contact, customer, id, invoice, note, start, user, whole_timeline,
};
use crate::contract::dice::{Dice, seeds};
use crate::contract::extra_entity::{ProjectNote, Visit, VisitId};
use crate::{Harness, size};

const TEAMS: [u128; 2] = [0x7e1, 0x7e2];

fn of(ids: &[u128]) -> TimelineAnchor {
    TimelineAnchor::Records(ids.iter().copied().map(id).collect())
}

fn shown(rows: &[TimelineRow]) -> Vec<(u128, u128)> {
    rows.iter().map(|row| (row.anchor_id.as_u128(), row.entry_id.as_u128())).collect()
}

/// Reads page after page until one is empty.
async fn pages(bench: &Bench, query: &TimelineQuery, limit: usize) -> Vec<TimelineRow> {
    let mut read: Vec<TimelineRow> = Vec::new();
    loop {
        let after = read.last().map(TimelineRow::position).or_else(|| query.after.clone());
        let page = bench.page(ACME, TimelineQuery { after, limit, ..query.clone() }).await;
        assert!(page.len() <= limit);
        if page.is_empty() {
            return read;
        }
        read.extend(page);
        assert!(read.len() < 10_000, "the pages never end");
    }
}

/// Rows come, change and go with their records; nothing else does.
pub async fn tl_01_rows_come_change_and_go_with_their_records(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench.insert(ACME, &[customer(1, "A"), customer(2, "B")]).await;
    bench.insert(ACME, &[contact(20, 1), contact(21, 1)]).await;
    let mut about = note(10, 1);
    about.about_type = Some("contact".to_owned());
    about.about_id = Some(id(20));
    about.title = Some("First".to_owned());
    about.tags = vec!["z".to_owned(), "a".to_owned()];
    bench.insert(ACME, &[about]).await;
    let everywhere = whole_timeline(of(&[1, 2, 20, 21]));
    let rows = bench.page(ACME, everywhere.clone()).await;
    assert_eq!(shown(&rows), [(1, 10), (20, 10)]);
    assert_eq!((rows[0].primary, rows[1].primary), (true, false));
    assert_eq!(rows[0].tags, ["a", "z"]);
    assert_eq!(rows[0].root, Some(id(1)));
    // All that is shown comes back as the core made it.
    let record = bench.get(ACME, ProjectNote::def(), id(10)).await.unwrap();
    assert_eq!(rows, crm_core::timeline::rows(&bench.catalog, &record, Some(id(1))));

    bench.change::<ProjectNote>(ACME, 10, |n| n.title = Some("Second".to_owned())).await;
    assert_eq!(bench.page(ACME, everywhere.clone()).await[0].display.title, "Second");
    bench.change::<ProjectNote>(ACME, 10, |n| n.about_id = Some(id(21))).await;
    assert_eq!(shown(&bench.page(ACME, everywhere.clone()).await), [(1, 10), (21, 10)]);
    bench.change::<ProjectNote>(ACME, 10, |n| n.happened_at += Duration::days(3)).await;
    let moved = bench.page(ACME, everywhere.clone()).await;
    assert_eq!(moved.iter().map(|row| row.at).collect::<Vec<_>>(), [start() + Duration::days(3); 2]);
    bench.change::<ProjectNote>(ACME, 10, |n| n.customer_id = Some(CustomerId(id(2)))).await;
    let rows = bench.page(ACME, everywhere.clone()).await;
    assert_eq!((shown(&rows), rows[0].root), (vec![(2, 10), (21, 10)], Some(id(2))));
    bench.delete(ACME, ProjectNote::def(), 10).await;
    assert!(bench.page(ACME, everywhere.clone()).await.is_empty());
    bench.restore(ACME, ProjectNote::def(), 10).await;
    assert_eq!(shown(&bench.page(ACME, everywhere.clone()).await), [(2, 10), (21, 10)]);
    let record = bench.get(ACME, ProjectNote::def(), id(10)).await.unwrap();
    bench.put(ACME, |c| c.purge_record(&record)).await;
    assert!(bench.page(ACME, everywhere).await.is_empty());
}

/// The order is total: equal instants go by kind, entry and anchor, and any page size reads each row once.
pub async fn tl_03_pages_of_any_size_read_each_row_once(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench.insert(ACME, &[customer(1, "A"), customer(2, "B"), customer(3, "C")]).await;
    bench.insert(ACME, &[contact(20, 1)]).await;
    let mut notes = Vec::new();
    let mut interactions = Vec::new();
    let mut invoices = Vec::new();
    for n in 0..12_u128 {
        let at = start() + Duration::milliseconds((n % 3) as i64);
        let mut written = note(100 + n, 1 + n % 3);
        written.happened_at = at;
        written.about_type = Some("contact".to_owned());
        written.about_id = (n % 2 == 0).then(|| id(20));
        notes.push(written);
        interactions.push(Interaction {
            id: InteractionId(id(100 + n)),
            customer_id: CustomerId(id(1 + n % 2)),
            occurred_at: at,
            created_by: Some(user(7).id),
            ..Interaction::default()
        });
        invoices.push(crm_core::invoice::Invoice { issued_at: at, ..invoice(300 - n, 1) });
    }
    bench.insert(ACME, &notes).await;
    bench.insert(ACME, &interactions).await;
    bench.insert(ACME, &invoices).await;
    for anchor in [
        of(&[1]),
        of(&[2, 1, 20, 1]),
        of(&[3, 99]),
        of(&[]),
        TimelineAnchor::Tenant,
        TimelineAnchor::User(id(7)),
    ] {
        let up = whole_timeline(anchor.clone());
        let rows = bench.page(ACME, up.clone()).await;
        let positions: Vec<TimelinePosition> = rows.iter().map(TimelineRow::position).collect();
        assert!(positions.is_sorted(), "{anchor:?}");
        assert!(positions.windows(2).all(|pair| pair[0] != pair[1]), "{anchor:?}");
        let expected = match &anchor {
            TimelineAnchor::Records(ids) if ids.is_empty() => 0,
            TimelineAnchor::Records(ids) if ids.len() == 1 => 4 + 6 + 12,
            TimelineAnchor::Records(ids) if ids.len() == 2 => 4,
            TimelineAnchor::Records(_) => 8 + 12 + 12 + 6,
            TimelineAnchor::User(_) => 12,
            TimelineAnchor::Tenant => 36,
        };
        assert_eq!(rows.len(), expected, "{anchor:?}");
        let down = TimelineQuery { direction: Direction::Descending, ..up.clone() };
        let mut reversed = rows.clone();
        reversed.reverse();
        assert_eq!(bench.page(ACME, down.clone()).await, reversed, "{anchor:?} newest first");
        for limit in [1, 2, 5, 7] {
            assert_eq!(pages(&bench, &up, limit).await, rows, "{anchor:?} by {limit}");
            assert_eq!(pages(&bench, &down, limit).await, reversed, "{anchor:?} newest first by {limit}");
        }
        // A place between two rows, at which no row stands.
        if let Some(middle) = rows.get(rows.len() / 2) {
            let place = TimelinePosition { kind: "interaction0".to_owned(), ..middle.position() };
            let after = bench.page(ACME, TimelineQuery { after: Some(place.clone()), ..up.clone() }).await;
            assert_eq!(after, rows.iter().filter(|row| row.position() > place).cloned().collect::<Vec<_>>());
            let before = bench.page(ACME, TimelineQuery { after: Some(place.clone()), ..down }).await;
            assert_eq!(
                before,
                reversed.iter().filter(|row| row.position() < place).cloned().collect::<Vec<_>>()
            );
        }
    }
}

/// While the customer is deleted nothing of it is shown, at no anchor; restored, all of it is, unchanged.
pub async fn tl_01_a_deleted_customer_hides_its_entries_everywhere(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench.insert(ACME, &[customer(1, "A"), customer(2, "B")]).await;
    bench.insert(ACME, &[contact(20, 1)]).await;
    let mut written = note(10, 1);
    written.owner_id = None;
    written.about_type = Some("contact".to_owned());
    written.about_id = Some(id(20));
    bench.insert(ACME, &[written, note(11, 2)]).await;
    bench.insert(ACME, &[invoice(30, 1)]).await;
    let visit = Visit {
        id: VisitId(id(40)),
        meta: crm_core::record::Meta::default(),
        note_id: note(10, 1).id,
        at: start(),
        minutes: 1,
        place: Some("Office".to_owned()),
    };
    let set = bench.set(ACME, |c| {
        c.set_root(id(10), Some(id(1)));
        c.insert(&visit).unwrap();
    });
    bench.commit(&set).await.unwrap();
    let questions = [of(&[1]), of(&[20]), of(&[10]), of(&[1, 2, 10, 20]), TimelineAnchor::Tenant];
    let mut before = Vec::new();
    for anchor in &questions {
        before.push(bench.page(ACME, whole_timeline(anchor.clone())).await);
    }
    assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 5, 4]);
    bench.delete(ACME, Customer::def(), 1).await;
    for (anchor, before) in questions.iter().zip(&before) {
        let rest: Vec<TimelineRow> = before.iter().filter(|row| row.root == Some(id(2))).cloned().collect();
        assert_eq!(bench.page(ACME, whole_timeline(anchor.clone())).await, rest, "{anchor:?}");
    }
    // Pages are as full as ever, past what is hidden.
    let first = TimelineQuery { limit: 1, ..whole_timeline(TimelineAnchor::Tenant) };
    assert_eq!(shown(&bench.page(ACME, first).await), [(2, 11)]);
    bench.restore(ACME, Customer::def(), 1).await;
    for (anchor, before) in questions.iter().zip(&before) {
        assert_eq!(bench.page(ACME, whole_timeline(anchor.clone())).await, *before, "{anchor:?} again");
    }
}

/// Entries whose record has all of these tokens; tags are tokens.
pub async fn tl_02_entries_are_found_by_the_words_of_their_records(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench.insert(ACME, &[customer(1, "A")]).await;
    let written = |n, title: &str, tags: &[&str]| ProjectNote {
        title: Some(title.to_owned()),
        tags: tags.iter().map(|t| (*t).to_owned()).collect(),
        ..note(n, 1)
    };
    bench
        .insert(
            ACME,
            &[
                written(10, "Green house", &["Plan B"]),
                written(11, "Green car", &[]),
                written(12, "House", &["plan b"]),
            ],
        )
        .await;
    let found = async |tokens: &[&str]| {
        let mut query = whole_timeline(of(&[1]));
        query.filter.tokens = tokens.iter().map(|t| (*t).to_owned()).collect();
        bench.page(ACME, query).await.iter().map(|row| row.entry_id.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(found(&["green"]).await, [10, 11]);
    assert_eq!(found(&["house", "green"]).await, [10]);
    assert_eq!(found(&["#plan b"]).await, [10, 12]);
    assert_eq!(found(&["#plan b", "car"]).await, [0_u128; 0]);
    assert_eq!(found(&["gree"]).await, [0_u128; 0], "whole tokens");
    bench.change::<ProjectNote>(ACME, 11, |n| n.title = Some("Red car".to_owned())).await;
    assert_eq!(found(&["green"]).await, [10]);
}

/// Generated entries, viewers and filters: what is shown is what the core's definitions say, in order and by page.
pub async fn tl_02_viewers_and_filters_are_those_of_the_core(harness: &dyn Harness) {
    for seed in seeds(size(2, 10)) {
        let bench = Bench::new(harness).await;
        let mut dice = Dice::new(seed);
        let rows = fill(&bench, &mut dice).await;
        let mut seen = 0;
        for n in 0..size(120, 1_000) {
            let query = question(&mut dice, &rows);
            let expected = expect(&bench, &rows, &query).await;
            seen += expected.len();
            let answer = bench.page(ACME, query.clone()).await;
            assert_eq!(answer, expected, "seed {seed}, question {n}: {query:#?}");
        }
        assert!(seen > 100, "the questions are worth asking: {seen} rows seen");
    }
}

/// The rows of generated notes and interactions of four customers, one of them deleted.
async fn fill(bench: &Bench, dice: &mut Dice) -> Vec<TimelineRow> {
    bench.insert(ACME, &(1..=4).map(|n| customer(n, "C")).collect::<Vec<_>>()).await;
    bench.insert(ACME, &(20..=23).map(|n| contact(n, n - 19)).collect::<Vec<_>>()).await;
    bench.insert(ACME, &[user(71), user(72)]).await;
    let visibilities = [Visibility::All, Visibility::Team, Visibility::Private];
    let audiences = [Audience::Internal, Audience::External];
    let mut notes = Vec::new();
    let mut interactions = Vec::new();
    for n in 0..60 {
        let mut written = note(100 + n, 1 + dice.below(4) as u128);
        written.happened_at = start() + Duration::hours(dice.below(8) as i64);
        written.visibility = *dice.pick(&visibilities);
        written.audience = *dice.pick(&audiences);
        written.is_pinned = dice.one_in(5);
        written.team = (!dice.one_in(3)).then(|| id(*dice.pick(&TEAMS)));
        written.owner_id = (!dice.one_in(3)).then(|| user(*dice.pick(&[71, 72])).id);
        written.tags = if dice.one_in(2) { vec!["red".to_owned()] } else { Vec::new() };
        notes.push(written);
        interactions.push(Interaction {
            id: InteractionId(id(200 + n)),
            customer_id: CustomerId(id(1 + dice.below(4) as u128)),
            contact_id: dice.one_in(2).then(|| contact(20 + dice.below(4) as u128, 1).id),
            occurred_at: start() + Duration::hours(dice.below(8) as i64),
            interaction_type: *dice.pick(&[InteractionType::Call, InteractionType::Email]),
            sentiment: *dice.pick(&[None, Some(Sentiment::Positive), Some(Sentiment::Negative)]),
            source: *dice.pick(&[InteractionSource::Api, InteractionSource::Manual]),
            visibility: *dice.pick(&visibilities),
            audience: *dice.pick(&audiences),
            is_pinned: dice.one_in(5),
            tags: if dice.one_in(2) { vec!["red".to_owned()] } else { Vec::new() },
            team_id: (!dice.one_in(3)).then(|| id(*dice.pick(&TEAMS))),
            created_by: (!dice.one_in(3)).then(|| user(*dice.pick(&[71, 72])).id),
            ..Interaction::default()
        });
    }
    bench.insert(ACME, &notes).await;
    bench.insert(ACME, &interactions).await;
    bench.delete(ACME, Customer::def(), 4).await;
    let mut rows = Vec::new();
    for def in [ProjectNote::def(), Interaction::def()] {
        let records = bench.records(ACME, Read::Find(all(def))).await;
        let root = |record: &Record| record.get("customer_id").as_id();
        rows.extend(
            records.iter().flat_map(|record| crm_core::timeline::rows(&bench.catalog, record, root(record))),
        );
    }
    rows.retain(|row| row.root != Some(id(4)));
    rows.sort_by_key(TimelineRow::position);
    rows
}

pub(crate) fn question(dice: &mut Dice, rows: &[TimelineRow]) -> TimelineQuery {
    let some = |dice: &mut Dice, words: &[&'static str]| -> Vec<String> {
        if dice.one_in(3) {
            (0..=dice.below(2)).map(|_| dice.word(words).to_owned()).collect()
        } else {
            Vec::new()
        }
    };
    let ids = |dice: &mut Dice, of: &[u128]| -> Vec<Uuid> {
        if dice.one_in(4) { vec![id(*dice.pick(of))] } else { Vec::new() }
    };
    let hour = |dice: &mut Dice| start() + Duration::hours(dice.below(8) as i64);
    let viewer = Viewer {
        user: (!dice.one_in(4)).then(|| id(*dice.pick(&[71, 72, 73]))),
        teams: (0..dice.below(3)).map(|_| id(*dice.pick(&TEAMS))).collect(),
        sees_all: dice.one_in(3),
        external_only: dice.one_in(6),
    };
    let filter = TimelineFilter {
        kinds: some(dice, &["project_note", "interaction", "invoice"]),
        subtypes: some(dice, &["call", "email", "grave"]),
        sources: some(dice, &["api", "manual"]),
        actors: ids(dice, &[71, 72]),
        teams: ids(dice, &TEAMS),
        visibilities: if dice.one_in(4) {
            vec![*dice.pick(&[Visibility::All, Visibility::Team])]
        } else {
            Vec::new()
        },
        sentiments: some(dice, &["positive", "negative", "neutral"]),
        from: dice.one_in(3).then(|| hour(dice)),
        until: dice.one_in(3).then(|| hour(dice)),
        tokens: if dice.one_in(5) { vec!["#red".to_owned()] } else { Vec::new() },
        pinned: dice.one_in(4).then(|| dice.one_in(2)),
    };
    let anchor = match dice.below(5) {
        0 => TimelineAnchor::Tenant,
        1 => TimelineAnchor::User(id(*dice.pick(&[71, 72]))),
        _ => TimelineAnchor::Records(
            (0..=dice.below(4)).map(|_| id(*dice.pick(&[1, 2, 3, 4, 20, 21, 22]))).collect(),
        ),
    };
    let direction = if dice.one_in(2) { Direction::Ascending } else { Direction::Descending };
    let after = (!rows.is_empty() && dice.one_in(2)).then(|| dice.pick(rows).position());
    TimelineQuery { anchor, filter, viewer, direction, after, limit: 1 + dice.below(30) }
}

/// What the definitions of the core say.
async fn expect(bench: &Bench, rows: &[TimelineRow], query: &TimelineQuery) -> Vec<TimelineRow> {
    let mut tagged = Vec::new();
    if !query.filter.tokens.is_empty() {
        for def in [ProjectNote::def(), Interaction::def(), Contact::def()] {
            let found = Query { tokens: query.filter.tokens.clone(), ..all(def) };
            tagged.extend(bench.records(ACME, Read::Find(found)).await.iter().map(|r| (r.def.name, r.id())));
        }
    }
    let mut expected: Vec<TimelineRow> = rows
        .iter()
        .filter(|row| match &query.anchor {
            TimelineAnchor::Records(ids) => ids.contains(&row.anchor_id),
            TimelineAnchor::User(user) => row.primary && row.actor == Some(*user),
            TimelineAnchor::Tenant => row.primary,
        })
        .filter(|row| query.viewer.sees(row) && query.filter.passes(row))
        .filter(|row| query.filter.tokens.is_empty() || tagged.contains(&(row.kind, row.entry_id)))
        .filter(|row| {
            query.after.as_ref().is_none_or(|after| match query.direction {
                Direction::Ascending => row.position() > *after,
                Direction::Descending => row.position() < *after,
            })
        })
        .cloned()
        .collect();
    if query.direction == Direction::Descending {
        expected.reverse();
    }
    expected.truncate(query.limit);
    expected
}
