//! Pages of the timeline.

use crm_core::store::{
    Answer, Direction, Read, Store, TimelineAnchor, TimelineFilter, TimelinePosition, TimelineQuery,
    TimelineRow, Viewer,
};
use crm_core::timeline::{Audience, Visibility};

use crate::MemoryStore;
use crate::testing::*;

fn everything(anchor: TimelineAnchor) -> TimelineQuery {
    TimelineQuery {
        anchor,
        filter: TimelineFilter::default(),
        viewer: Viewer { sees_all: true, ..Viewer::default() },
        direction: Direction::Descending,
        after: None,
        limit: 100,
    }
}

fn of(anchors: &[u128]) -> TimelineQuery {
    everything(TimelineAnchor::Records(anchors.iter().map(|n| id(*n)).collect()))
}

async fn page(store: &MemoryStore, query: TimelineQuery) -> Vec<TimelineRow> {
    match ask(store, Read::Timeline(query)).await.unwrap() {
        Answer::Timeline(rows) => rows,
        other => panic!("timeline expected, {other:?} found"),
    }
}

async fn entries(store: &MemoryStore, query: TimelineQuery) -> Vec<u128> {
    page(store, query).await.iter().map(|row| row.entry_id.as_u128()).collect()
}

async fn show(store: &MemoryStore, rows: Vec<TimelineRow>) {
    let mut change = change(Vec::new());
    change.timeline_put = rows;
    store.commit(&change).await.unwrap();
}

#[tokio::test]
async fn tl_01_the_order_is_total_both_ways() {
    let store = store();
    let other_kind = TimelineRow { kind: "call", ..row(1, 5, 9) };
    show(&store, vec![row(1, 5, 2), row(1, 5, 1), other_kind, row(1, 3, 4), row(2, 4, 7)]).await;
    assert_eq!(entries(&store, of(&[1])).await, [2, 1, 9, 4]);
    let up = |query| TimelineQuery { direction: Direction::Ascending, ..query };
    assert_eq!(entries(&store, up(of(&[1]))).await, [4, 9, 1, 2]);
    // Several anchors are one stream, however often one is named.
    assert_eq!(entries(&store, of(&[2, 1, 2])).await, [2, 1, 9, 7, 4]);
    assert_eq!(entries(&store, up(of(&[1, 2, 3]))).await, [4, 7, 9, 1, 2]);
    assert_eq!(entries(&store, of(&[])).await, [0; 0]);
}

#[tokio::test]
async fn an_entry_at_several_anchors_appears_for_each_and_once_for_the_tenant() {
    let store = store();
    let second = TimelineRow { primary: false, ..row(2, 5, 1) };
    show(&store, vec![row(1, 5, 1), second]).await;
    let anchors: Vec<u128> =
        page(&store, of(&[1, 2])).await.iter().map(|row| row.anchor_id.as_u128()).collect();
    assert_eq!(anchors, [2, 1]);
    assert_eq!(entries(&store, everything(TimelineAnchor::Tenant)).await, [1]);
}

#[tokio::test]
async fn a_row_replaces_the_one_of_its_key_and_is_dropped_by_it() {
    let store = store();
    show(&store, vec![row(1, 5, 1), row(1, 6, 2)]).await;
    show(&store, vec![TimelineRow { actor: Some(id(8)), ..row(1, 9, 1) }]).await;
    assert_eq!(entries(&store, of(&[1])).await, [1, 2]);
    assert_eq!(entries(&store, everything(TimelineAnchor::User(id(8)))).await, [1]);
    let mut drop = change(Vec::new());
    drop.timeline_drop = vec![row(1, 0, 1).key()];
    store.commit(&drop).await.unwrap();
    for anchor in [TimelineAnchor::Records(vec![id(1)]), TimelineAnchor::Tenant] {
        assert_eq!(entries(&store, everything(anchor)).await, [2]);
    }
    assert_eq!(entries(&store, everything(TimelineAnchor::User(id(8)))).await, [0; 0]);
}

#[tokio::test]
async fn tl_03_cursors_lose_and_repeat_nothing_while_others_write() {
    for direction in [Direction::Ascending, Direction::Descending] {
        let store = store();
        let rows: Vec<TimelineRow> = (0..60).map(|n| row(1 + n % 3, (n / 7) as i64, 100 + n)).collect();
        show(&store, rows).await;
        let query = TimelineQuery { direction, limit: 7, ..of(&[1, 2, 3]) };
        let all = entries(&store, TimelineQuery { limit: 100, ..query.clone() }).await;
        assert_eq!(all.len(), 60);
        let mut seen = Vec::new();
        let mut after: Option<TimelinePosition> = None;
        let mut turn = 0;
        loop {
            let rows = page(&store, TimelineQuery { after: after.clone(), ..query.clone() }).await;
            let Some(last) = rows.last() else { break };
            after = Some(last.position());
            seen.extend(rows.iter().map(|row| row.entry_id.as_u128()));
            // Behind the cursor: seen only by those who start again.
            turn += 1;
            let behind = if direction == Direction::Ascending { -5 } else { 500 };
            show(&store, vec![row(2, behind, 1_000 + turn)]).await;
        }
        assert_eq!(seen, all);
        let from_start = entries(&store, TimelineQuery { limit: 100, ..query }).await;
        assert_eq!(from_start.len(), 60 + turn as usize);
    }
}

#[tokio::test]
async fn tl_03_a_cursor_of_an_unknown_kind_still_has_its_place() {
    let store = store();
    show(&store, vec![row(1, 5, 1), row(1, 5, 2), row(1, 4, 3)]).await;
    // A page that an outside system shares ended between entries of the same instant.
    let after = |kind: &str, seconds| {
        Some(TimelinePosition { at: at(seconds), kind: kind.to_owned(), entry_id: id(9), anchor_id: id(1) })
    };
    let from = |after| TimelineQuery { after, ..of(&[1]) };
    assert_eq!(entries(&store, from(after("zendesk", 5))).await, [2, 1, 3]);
    assert_eq!(entries(&store, from(after("email", 5))).await, [3]);
    assert_eq!(entries(&store, from(after("zendesk", 3))).await, [0; 0]);
}

#[tokio::test]
async fn tl_02_the_period_includes_both_ends_also_with_a_cursor() {
    let store = store();
    show(&store, (0..10).map(|n| row(1, i64::from(n), 10 + n as u128)).collect()).await;
    let filter = TimelineFilter { from: Some(at(2)), until: Some(at(5)), ..TimelineFilter::default() };
    let query = TimelineQuery { filter, ..of(&[1]) };
    assert_eq!(entries(&store, query.clone()).await, [15, 14, 13, 12]);
    let everywhere = TimelineQuery { anchor: TimelineAnchor::Tenant, ..query.clone() };
    assert_eq!(entries(&store, everywhere).await, [15, 14, 13, 12]);
    let behind = |seconds, direction| {
        let after =
            Some(TimelinePosition { anchor_id: id(1), ..row(1, seconds, 10 + seconds as u128).position() });
        TimelineQuery { after, direction, ..query.clone() }
    };
    assert_eq!(entries(&store, behind(4, Direction::Descending)).await, [13, 12]);
    assert_eq!(entries(&store, behind(9, Direction::Descending)).await, [15, 14, 13, 12]);
    assert_eq!(entries(&store, behind(1, Direction::Descending)).await, [0; 0]);
    assert_eq!(entries(&store, behind(4, Direction::Ascending)).await, [15]);
    assert_eq!(entries(&store, behind(1, Direction::Ascending)).await, [12, 13, 14, 15]);
    assert_eq!(entries(&store, behind(7, Direction::Ascending)).await, [0; 0]);
}

#[tokio::test]
async fn tl_02_filters_viewers_and_tokens_restrict() {
    let store = store();
    let by = |visibility, entry| TimelineRow {
        visibility,
        actor: Some(id(8)),
        team: Some(id(7)),
        ..row(1, 5, entry)
    };
    let mut outside = row(1, 5, 4);
    outside.audience = Audience::External;
    outside.subtype = Some("email".to_owned());
    outside.pinned = true;
    let rows = vec![by(Visibility::All, 1), by(Visibility::Team, 2), by(Visibility::Private, 3), outside];
    show(&store, rows).await;
    let seen_by = |viewer| entries(&store, TimelineQuery { viewer, ..of(&[1]) });
    assert_eq!(seen_by(Viewer::default()).await, [4, 1]);
    assert_eq!(seen_by(Viewer { teams: vec![id(7)], ..Viewer::default() }).await, [4, 2, 1]);
    assert_eq!(seen_by(Viewer { user: Some(id(8)), ..Viewer::default() }).await, [4, 3, 2, 1]);
    assert_eq!(seen_by(Viewer { external_only: true, sees_all: true, ..Viewer::default() }).await, [4]);
    let passing = |filter| entries(&store, TimelineQuery { filter, ..of(&[1]) });
    let none = TimelineFilter::default;
    assert_eq!(passing(TimelineFilter { subtypes: vec!["email".to_owned()], ..none() }).await, [4]);
    assert_eq!(
        passing(TimelineFilter { actors: vec![id(8)], pinned: Some(false), ..none() }).await,
        [3, 2, 1]
    );
    let mut change = change(Vec::new());
    change.tokens_put = vec![token("note", 2, "#red"), token("note", 3, "#red"), token("note", 3, "word")];
    store.commit(&change).await.unwrap();
    assert_eq!(passing(TimelineFilter { tokens: vec!["#red".to_owned()], ..none() }).await, [3, 2]);
    let both = vec!["#red".to_owned(), "word".to_owned()];
    assert_eq!(passing(TimelineFilter { tokens: both, ..none() }).await, [3]);
}

#[tokio::test]
async fn entries_of_a_deleted_customer_are_hidden_and_come_back() {
    let store = store();
    put(&store, &[customer(1, &[])]).await;
    let through = |root, entry| TimelineRow { root: Some(id(root)), ..row(1, 5, entry) };
    show(&store, vec![through(1, 10), through(99, 11), row(1, 5, 12)]).await;
    let tenant = || everything(TimelineAnchor::Tenant);
    assert_eq!(entries(&store, tenant()).await, [12, 10]);
    let mut now = get(&store, &CUSTOMER, 1).await.unwrap();
    commit(&store, vec![delete(&now)]).await.unwrap();
    assert_eq!(entries(&store, tenant()).await, [12]);
    now = get(&store, &CUSTOMER, 1).await.unwrap();
    commit(&store, vec![update(&now, &[("deleted_at", crm_core::value::Value::Null)])]).await.unwrap();
    assert_eq!(entries(&store, of(&[1])).await, [12, 10]);
}

#[tokio::test]
async fn xt_01_timelines_end_at_the_tenant() {
    let store = store();
    show(&store, vec![row(1, 5, 1)]).await;
    for anchor in [TimelineAnchor::Records(vec![id(1)]), TimelineAnchor::Tenant] {
        let read = Read::Timeline(everything(anchor));
        assert!(
            matches!(&store.read(OTHER, &[read]).await.unwrap()[..], [Answer::Timeline(rows)] if rows.is_empty())
        );
    }
}
