//! The timeline: order, pages, filters, grouping (SPEC TL-01 to TL-04).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::Duration;
use crm_core::contact::ContactId;
use crm_core::customer::CustomerId;
use crm_core::directory::UserId;
use crm_core::format::{Currency, tokens};
use crm_core::interaction::{Interaction, InteractionSource, InteractionType, Sentiment};
use crm_core::invoice::{Invoice, InvoiceStatus, NewInvoice};
use crm_core::store::{Direction, TimelineFilter, TimelineRow};
use crm_core::timeline::{Anchor, TimelinePage, TimelineRequest, Visibility, by_day};
use crm_core::value::Instant;
use crm_core::{Context, Crm, Env as _, Error, Expect};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::dice::Dice;
use super::world::{ADA, BOB, KEY, RED, World, all, at, contact, seed};
use crate::{Harness, size};

/// All pages of a timeline, pinned entries first, and how many pages there were.
async fn pages(crm: &Crm, ctx: &Context, request: &TimelineRequest) -> (TimelinePage, usize) {
    let mut request = request.clone();
    let mut whole = TimelinePage::default();
    let mut count = 0;
    loop {
        let page = crm.timeline().page(ctx, &request).await.unwrap();
        assert!(page.entries.len() <= request.limit);
        assert!(count == 0 || page.pinned.is_empty(), "pinned entries are on the first page only");
        if count == 0 {
            whole.pinned = page.pinned;
        }
        count += 1;
        whole.entries.extend(page.entries);
        match page.next {
            None => return (whole, count),
            Some(next) => request.cursor = Some(next),
        }
    }
}

/// A tenant with random interactions and invoices.
struct Story {
    world: World,
    customers: Vec<CustomerId>,
    contacts: Vec<ContactId>,
    words: BTreeMap<Uuid, BTreeSet<String>>,
}

const WORDS: &[&str] = &["alpha", "Béta", "gamma ray", "DELTA", "jane.doe@example.com"];
const TAGS: &[&str] = &["urgent", "Käse", "b2b"];

impl Story {
    async fn new(harness: &dyn Harness, dice: &mut Dice, count: usize) -> Self {
        let world = World::new(harness).await;
        let (crm, now) = (world.crm.clone(), world.env.now());
        let mut story = Self { world, customers: Vec::new(), contacts: Vec::new(), words: BTreeMap::new() };
        for n in 0..3 {
            let customer = story.world.customer(&format!("Customer {n}")).await.id;
            story.customers.push(customer);
            let someone = contact(customer, "Con", &format!("Tact{n}"));
            story.contacts.push(crm.contacts().create(&story.world.ada(), someone).await.unwrap().id);
        }
        for (who, part) in
            [(story.world.ada().with_team(RED), 0), (story.world.bob(), 1), (story.world.system(), 2)]
        {
            let mut batch = Vec::new();
            for _ in 0..count / 3 {
                let which = dice.below(3);
                // Few instants, so that many entries share one.
                let steps = [
                    0,
                    1,
                    60_000,
                    86_400_000,
                    89 * 86_400_000,
                    90 * 86_400_000,
                    90 * 86_400_000 + 1,
                    400 * 86_400_000,
                ];
                batch.push(Interaction {
                    customer_id: story.customers[which],
                    contact_id: dice.maybe(2, |_| story.contacts[which]),
                    interaction_type: *dice.pick(&[
                        InteractionType::Call,
                        InteractionType::Email,
                        InteractionType::Social,
                    ]),
                    source: *dice.pick(&[InteractionSource::Manual, InteractionSource::Api]),
                    subject: dice.maybe(3, |dice| (*dice.pick(WORDS)).to_owned()),
                    description: dice.maybe(3, |dice| format!("{}\n{}", dice.pick(WORDS), dice.pick(WORDS))),
                    sentiment: dice.maybe(3, |dice| *dice.pick(&[Sentiment::Negative, Sentiment::Positive])),
                    tags: dice.some_of(TAGS, 3).iter().map(|tag| (*tag).to_owned()).collect(),
                    visibility: *dice.pick(&[
                        Visibility::All,
                        Visibility::All,
                        Visibility::Team,
                        Visibility::Private,
                    ]),
                    is_pinned: dice.one_in(12),
                    occurred_at: now + Duration::minutes(3) - Duration::milliseconds(*dice.pick(&steps)),
                    ..Interaction::default()
                });
            }
            for logged in crm.interactions().log_batch(&who, batch).await.unwrap().value {
                let text =
                    [logged.subject, logged.description].into_iter().flatten().collect::<Vec<_>>().join(" ");
                story.words.insert(logged.id.0, tokens(&text).into_iter().collect());
            }
            let mut invoices = Vec::new();
            for n in 0..count / 10 {
                let issued = now - Duration::days(dice.between(0, 120));
                let invoice = Invoice {
                    status: *dice.pick(&[InvoiceStatus::Draft, InvoiceStatus::Issued, InvoiceStatus::Paid]),
                    total: Decimal::from(dice.between(0, 99)),
                    ..Invoice::issued(
                        *dice.pick(&story.customers),
                        format!("I-{part}-{n}"),
                        issued,
                        Currency::USD,
                    )
                };
                invoices.push(NewInvoice { invoice, lines: Vec::new() });
            }
            for invoice in crm.invoices().record_batch(&who, invoices).await.unwrap().value {
                story.words.insert(invoice.id.0, tokens(&invoice.number).into_iter().collect());
            }
        }
        story
    }

    /// Every row of every anchor, as the system sees them, from the pages of single customers and contacts.
    async fn everything(&self) -> Vec<TimelineRow> {
        let mut rows = Vec::new();
        let customers = self.customers.iter().map(|id| Anchor::Customer(*id));
        for anchor in customers.chain(self.contacts.iter().map(|id| Anchor::Contact(*id))) {
            let request = TimelineRequest {
                all_time: true,
                include_future: true,
                limit: 1_000,
                ..TimelineRequest::of(anchor)
            };
            let page = self.world.crm.timeline().page(&self.world.system(), &request).await.unwrap();
            assert!(page.next.is_none());
            rows.extend(page.entries.into_iter().chain(page.pinned));
        }
        rows
    }

    /// What a question should give, by the rows alone.
    fn naive(
        &self,
        rows: &[TimelineRow],
        ctx: &Context,
        request: &TimelineRequest,
        now: Instant,
    ) -> (Vec<TimelineRow>, Vec<TimelineRow>) {
        let filter = &request.filter;
        let has = |list: &[String], value: Option<&str>| {
            list.is_empty() || value.is_some_and(|value| list.iter().any(|item| item == value))
        };
        let words: BTreeSet<String> = request.text.iter().flat_map(|text| tokens(text)).collect();
        let from = filter.from.or(if request.all_time { None } else { Some(now - Duration::days(90)) });
        let until = filter.until.or(if request.include_future { None } else { Some(now) });
        let mut found: Vec<TimelineRow> = rows
            .iter()
            .filter(|row| match &request.anchor {
                Anchor::Customer(id) => row.anchor_id == id.0,
                Anchor::Contact(id) => row.anchor_id == id.0,
                Anchor::Record(_, id) => row.anchor_id == *id,
                Anchor::User(id) => row.anchor_type == "customer" && row.actor == Some(id.0),
                Anchor::Tenant => row.anchor_type == "customer",
            })
            .filter(|row| {
                let own = row.actor.is_some() && row.actor == ctx.user_id();
                ctx.user_id().is_none()
                    || match row.visibility {
                        Visibility::All => true,
                        Visibility::Team => own || row.team.is_some_and(|team| ctx.teams.contains(&team)),
                        Visibility::Private => own,
                    }
            })
            .filter(|row| {
                has(&filter.kinds, Some(row.kind))
                    && has(&filter.subtypes, row.subtype.as_deref())
                    && has(&filter.sources, row.source.as_deref())
                    && has(&filter.sentiments, row.sentiment.as_deref())
                    && (filter.actors.is_empty()
                        || row.actor.is_some_and(|actor| filter.actors.contains(&actor)))
                    && (filter.teams.is_empty() || row.team.is_some_and(|team| filter.teams.contains(&team)))
                    && (filter.visibilities.is_empty() || filter.visibilities.contains(&row.visibility))
                    && from.is_none_or(|from| row.at >= from)
                    && until.is_none_or(|until| row.at <= until)
                    && filter.pinned.is_none_or(|pinned| row.pinned == pinned)
                    && request
                        .tags
                        .iter()
                        .all(|tag| row.tags.iter().any(|own| own.to_lowercase() == tag.to_lowercase()))
                    && words
                        .iter()
                        .all(|word| self.words.get(&row.entry_id).is_some_and(|own| own.contains(word)))
            })
            .cloned()
            .collect();
        found.sort_by(|a, b| (a.at, a.kind, a.entry_id).cmp(&(b.at, b.kind, b.entry_id)));
        if request.direction == Direction::Descending {
            found.reverse();
        }
        if filter.pinned.is_some() {
            (Vec::new(), found)
        } else {
            found.into_iter().partition(|row| row.pinned)
        }
    }
}

/// Whatever is asked, in either direction and by pages of any size: the pages are the sorted whole that a naive filter
/// over all entries gives, pinned ones first.
pub async fn tl_02_pages_and_filters_are_those_of_a_naive_filter(harness: &dyn Harness) {
    let seed = seed();
    let mut dice = Dice::new(seed);
    let story = Story::new(harness, &mut dice, 150).await;
    let rows = story.everything().await;
    let now = story.world.env.now();
    let contexts = [
        story.world.ada().with_team(RED),
        story.world.bob(),
        story.world.bob().with_team(RED),
        story.world.system(),
    ];
    let (mut shown, mut restricted) = (0, 0);
    for round in 0..size(250, 5_000) {
        let user = |dice: &mut Dice| *dice.pick(&[ADA, BOB]);
        let anchor = match dice.below(6) {
            0 => Anchor::Tenant,
            1 => Anchor::User(UserId(user(&mut dice))),
            2 => Anchor::Contact(*dice.pick(&story.contacts)),
            3 => Anchor::Record("customer".to_owned(), dice.pick(&story.customers).0),
            _ => Anchor::Customer(*dice.pick(&story.customers)),
        };
        let mut request = TimelineRequest {
            direction: *dice.pick(&[Direction::Ascending, Direction::Descending]),
            all_time: dice.one_in(2),
            include_future: dice.one_in(2),
            limit: *dice.pick(&[1, 2, 7, 50, 1_000]),
            text: if dice.one_in(4) {
                Some(
                    (*dice.pick(&["beta", "ALPHA", "ray gamma", "jane.doe@example.com", "I-0-1", "doe"]))
                        .to_owned(),
                )
            } else {
                None
            },
            tags: if dice.one_in(4) {
                dice.some_of(&["URGENT".to_owned(), "käse".to_owned(), "b2b".to_owned()], 2)
            } else {
                Vec::new()
            },
            ..TimelineRequest::of(anchor)
        };
        let texts = |dice: &mut Dice, list: &[&str]| -> Vec<String> {
            if dice.one_in(4) {
                dice.some_of(list, 2).iter().map(|item| (*item).to_owned()).collect()
            } else {
                Vec::new()
            }
        };
        request.filter = TimelineFilter {
            kinds: texts(&mut dice, &["interaction", "invoice"]),
            subtypes: texts(&mut dice, &["call", "email", "paid"]),
            sources: texts(&mut dice, &["manual", "api"]),
            sentiments: texts(&mut dice, &["negative", "positive", "neutral"]),
            actors: if dice.one_in(5) { vec![user(&mut dice)] } else { Vec::new() },
            teams: if dice.one_in(8) { vec![RED] } else { Vec::new() },
            visibilities: if dice.one_in(5) {
                vec![*dice.pick(&[Visibility::All, Visibility::Team, Visibility::Private])]
            } else {
                Vec::new()
            },
            from: if dice.one_in(5) { Some(now - Duration::days(dice.between(80, 100))) } else { None },
            until: if dice.one_in(5) { Some(now - Duration::days(dice.between(0, 2))) } else { None },
            pinned: *dice.pick(&[None, None, None, Some(true), Some(false)]),
            tokens: Vec::new(),
        };
        let ctx = dice.pick(&contexts);
        let (found, _) = pages(&story.world.crm, ctx, &request).await;
        let (pinned, entries) = story.naive(&rows, ctx, &request, now);
        assert_eq!(found.entries, entries, "seed {seed}, round {round}: {request:?}");
        assert_eq!(found.pinned, pinned, "seed {seed}, round {round}: {request:?}");
        shown += entries.len();
        restricted += usize::from(entries.len() < rows.len());
    }
    assert!(shown > 1_000 && restricted > 100, "{shown} {restricted}");
}

/// While others insert, edit without moving, and delete: what is there throughout a reading appears exactly once.
pub async fn tl_03_nothing_is_lost_or_repeated_while_others_write(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (world.crm.clone(), world.ada());
    let other = world.second(harness).await;
    let customer = world.customer("Busy").await.id;
    let now = world.env.now();
    let mut dice = Dice::new(seed());
    let touch = |dice: &mut Dice, subject: &str| Interaction {
        occurred_at: now - Duration::minutes(dice.between(0, 200)),
        ..world.touch(customer, subject)
    };
    let stay: Vec<_> = (0..300).map(|_| touch(&mut dice, "stays")).collect();
    let stay = crm.interactions().log_batch(&ctx, stay).await.unwrap().value;
    let leave: Vec<_> = (0..100).map(|_| touch(&mut dice, "leaves")).collect();
    let leave = crm.interactions().log_batch(&ctx, leave).await.unwrap().value;
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for part in 0..3 {
        let (crm, ctx, done) =
            (if part == 1 { crm.clone() } else { other.clone() }, ctx.clone(), done.clone());
        let fresh: Vec<_> = (0..200).map(|n| touch(&mut dice, &format!("new {n}"))).collect();
        let (edits, gone) = (stay.clone(), leave.clone());
        writers.push(tokio::spawn(async move {
            let mut written = 0;
            while !done.load(Ordering::SeqCst) && written < 200 {
                match part {
                    0 => {
                        crm.interactions().log(&ctx, fresh[written].clone()).await.unwrap();
                    }
                    1 => {
                        let id = edits[(written * 7) % edits.len()].id;
                        let edit = |i: &mut Interaction| i.subject = Some(format!("stays, edited {written}"));
                        crm.interactions().update(&ctx, id, Expect::Any, edit).await.unwrap();
                    }
                    _ => {
                        if written < gone.len() {
                            crm.interactions().delete(&ctx, gone[written].id, Expect::Any).await.unwrap();
                        }
                    }
                }
                written += 1;
                tokio::task::yield_now().await;
            }
            written
        }));
    }
    for reading in 0..size(6, 40) {
        let direction = if reading % 2 == 0 { Direction::Descending } else { Direction::Ascending };
        let anchor =
            [Anchor::Customer(customer), Anchor::Tenant, Anchor::User(UserId(ADA))][reading % 3].clone();
        let (page, _) =
            pages(&crm, &ctx, &TimelineRequest { direction, limit: 7, ..TimelineRequest::of(anchor) }).await;
        let mut counts: BTreeMap<Uuid, usize> = BTreeMap::new();
        for row in &page.entries {
            *counts.entry(row.entry_id).or_default() += 1;
        }
        assert!(counts.values().all(|count| *count == 1), "an entry is repeated");
        assert!(stay.iter().all(|stays| counts.contains_key(&stays.id.0)), "an entry is lost");
        let ordered = page.entries.is_sorted_by_key(|row| (row.at, row.kind, row.entry_id));
        let backward = page.entries.iter().rev().is_sorted_by_key(|row| (row.at, row.kind, row.entry_id));
        assert!(if direction == Direction::Ascending { ordered } else { backward });
    }
    done.store(true, Ordering::SeqCst);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    assert!(written > 0, "nobody wrote meanwhile");
}

/// A cursor that is forged, or of another question, user, team, tenant or key, is refused; one signed with an older
/// key that is still known is accepted. It keeps the period of the first page while the clock moves on.
pub async fn tl_03_a_cursor_is_good_for_its_own_question_only(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let customer = world.customer("Paged").await.id;
    for n in 0..5 {
        world.interaction(customer, &format!("entry {n}")).await;
    }
    let first = TimelineRequest { limit: 2, ..TimelineRequest::of(Anchor::Customer(customer)) };
    let cursor = crm.timeline().page(&ctx, &first).await.unwrap().next.unwrap();
    let next = |cursor: &str| TimelineRequest { cursor: Some(cursor.to_owned()), ..first.clone() };
    let second = crm.timeline().page(&ctx, &next(&cursor)).await.unwrap();
    assert_eq!(second.entries.len(), 2);
    let mut refused = Vec::new();
    let mut dice = Dice::new(seed());
    for _ in 0..60 {
        let mut forged = cursor.clone().into_bytes();
        let place = dice.below(forged.len());
        forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        if forged != cursor {
            refused.push((ctx.clone(), next(&forged)));
        }
    }
    for text in ["", "AAAA", "cursor", &cursor[1..], &format!("{cursor}A"), &"A".repeat(20_000)] {
        refused.push((ctx.clone(), next(text)));
    }
    for other in [
        TimelineRequest { direction: Direction::Ascending, ..next(&cursor) },
        TimelineRequest { anchor: Anchor::Tenant, ..next(&cursor) },
        TimelineRequest { all_time: true, ..next(&cursor) },
        TimelineRequest { include_future: true, ..next(&cursor) },
        TimelineRequest { tags: vec!["x".to_owned()], ..next(&cursor) },
        TimelineRequest { text: Some("entry".to_owned()), ..next(&cursor) },
        TimelineRequest {
            filter: TimelineFilter { sources: vec!["api".to_owned()], ..TimelineFilter::default() },
            ..next(&cursor)
        },
        TimelineRequest {
            filter: TimelineFilter { from: Some(at("2020-01-01T00:00:00Z")), ..TimelineFilter::default() },
            ..next(&cursor)
        },
    ] {
        refused.push((ctx.clone(), other));
    }
    let elsewhere = crm_core::TenantId(Uuid::from_u128(world.tenant.0.as_u128() + (1 << 100)));
    for other in [
        world.bob(),
        ctx.clone().with_team(RED),
        world.system(),
        Context { tenant: elsewhere, ..ctx.clone() },
    ] {
        refused.push((other, next(&cursor)));
    }
    for (who, request) in refused {
        match crm.timeline().page(&who, &request).await {
            Err(Error::Criteria(error)) => assert_eq!(error.at, "cursor"),
            other => panic!("{who:?} {request:?}: {other:?}"),
        }
    }
    let with = |keys: &[[u8; 32]]| {
        let builder = Crm::builder_shared(world.store.clone()).shared_env(world.env.clone());
        keys.iter().fold(builder, |builder, key| builder.cursor_key(*key)).build().unwrap()
    };
    assert_eq!(
        with(&[[9; 32]]).timeline().page(&ctx, &next(&cursor)).await.unwrap_err().code(),
        "invalid_criteria"
    );
    assert_eq!(
        with(&[[9; 32], KEY]).timeline().page(&ctx, &next(&cursor)).await.unwrap().entries,
        second.entries
    );
    world.env.advance(Duration::days(89) + Duration::hours(23) + Duration::minutes(30));
    let later = crm.timeline().page(&ctx, &next(&cursor)).await.unwrap();
    assert_eq!(later.entries, second.entries, "the period is that of the first page");
    assert!(crm.timeline().page(&ctx, &first).await.unwrap().entries.is_empty());
}

/// The last 90 days and nothing that is yet to come, unless asked; at the edges to the millisecond.
pub async fn tl_02_the_default_period_is_90_days_without_the_future(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, now) = (&world.crm, world.ada(), world.env.now());
    let customer = world.customer("Periods").await.id;
    let (day, ms) = (Duration::days(90), Duration::milliseconds(1));
    for (at, subject) in [(now + ms, "future"), (now, "now"), (now - day, "edge"), (now - day - ms, "past")] {
        let given = Interaction { occurred_at: at, ..world.touch(customer, subject) };
        crm.interactions().log(&ctx, given).await.unwrap();
    }
    let titles = async |all_time, include_future, filter: TimelineFilter| {
        let request = TimelineRequest {
            all_time,
            include_future,
            filter,
            ..TimelineRequest::of(Anchor::Customer(customer))
        };
        let page = crm.timeline().page(&ctx, &request).await.unwrap();
        page.entries
            .iter()
            .map(|row| row.display.title.replace("Interaction - ", ""))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(titles(false, false, TimelineFilter::default()).await, "now edge");
    assert_eq!(titles(true, false, TimelineFilter::default()).await, "now edge past");
    assert_eq!(titles(false, true, TimelineFilter::default()).await, "future now edge");
    assert_eq!(titles(true, true, TimelineFilter::default()).await, "future now edge past");
    let exact =
        TimelineFilter { from: Some(now - day - ms), until: Some(now - day), ..TimelineFilter::default() };
    assert_eq!(titles(false, false, exact).await, "edge past", "both ends are included");
    let wrong = TimelineFilter { from: Some(now), until: Some(now - ms), ..TimelineFilter::default() };
    let request = TimelineRequest { filter: wrong, ..TimelineRequest::of(Anchor::Tenant) };
    assert_eq!(crm.timeline().page(&ctx, &request).await.unwrap_err().code(), "invalid_criteria");
}

/// Days are those of the zone, also when clocks change.
pub async fn tl_04_days_are_those_of_the_zone_across_clock_changes(harness: &dyn Harness) {
    let world = World::starting(harness, at("2024-04-02T00:00:00Z")).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let customer = world.customer("Days").await.id;
    // On 2024-03-31 Berlin goes from UTC+1 to UTC+2: the day has 23 hours.
    let instants = [
        "2024-03-30T22:59:59.999Z",
        "2024-03-30T23:00:00Z",
        "2024-03-31T00:59:59Z",
        "2024-03-31T01:00:00Z",
        "2024-03-31T21:59:59.999Z",
        "2024-03-31T22:00:00Z",
        "2024-04-01T21:59:59Z",
    ];
    for instant in instants {
        let given = Interaction { occurred_at: at(instant), ..world.touch(customer, instant) };
        crm.interactions().log(&ctx, given).await.unwrap();
    }
    let page = crm.timeline().page(&ctx, &TimelineRequest::of(Anchor::Customer(customer))).await.unwrap();
    let days = |zone| {
        by_day(&page.entries, zone)
            .iter()
            .map(|day| (day.date.to_string(), day.entries.len()))
            .collect::<Vec<_>>()
    };
    let expected = |list: &[(&str, usize)]| {
        list.iter().map(|(day, count)| ((*day).to_owned(), *count)).collect::<Vec<_>>()
    };
    assert_eq!(
        days(chrono_tz::Tz::Europe__Berlin),
        expected(&[("2024-04-01", 2), ("2024-03-31", 4), ("2024-03-30", 1)])
    );
    assert_eq!(
        days(chrono_tz::Tz::UTC),
        expected(&[("2024-04-01", 1), ("2024-03-31", 4), ("2024-03-30", 2)])
    );
    assert_eq!(
        days(chrono_tz::Tz::Asia__Tokyo),
        expected(&[("2024-04-02", 1), ("2024-04-01", 2), ("2024-03-31", 4)])
    );
}

/// An invoice appears when it is issued, an entry moves with its instant, and one fact is one entry of each anchor.
pub async fn tl_01_one_fact_is_one_entry_that_follows_its_record(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, now) = (&world.crm, world.ada(), world.env.now());
    let customer = world.customer("Facts").await.id;
    let someone = crm.contacts().create(&ctx, contact(customer, "F", "A")).await.unwrap().id;
    let draft = Invoice {
        status: InvoiceStatus::Draft,
        total: Decimal::new(1234, 2),
        ..Invoice::issued(customer, "F-1", now, Currency::USD)
    };
    let invoice =
        crm.invoices().record(&ctx, NewInvoice { invoice: draft, lines: Vec::new() }).await.unwrap().id;
    // What a purchase brings with it, stages and a milestone, is left out.
    let filter = TimelineFilter {
        kinds: vec!["invoice".to_owned(), "interaction".to_owned()],
        ..TimelineFilter::default()
    };
    let entries = async |anchor| {
        let request = TimelineRequest { filter: filter.clone(), ..TimelineRequest::of(anchor) };
        crm.timeline().page(&ctx, &request).await.unwrap().entries
    };
    assert!(entries(Anchor::Tenant).await.is_empty(), "a draft is nothing that happened");
    crm.invoices().update(&ctx, invoice, Expect::Any, |i| i.status = InvoiceStatus::Issued).await.unwrap();
    let shown = entries(Anchor::Customer(customer)).await;
    assert_eq!(
        (shown.len(), shown[0].amount, shown[0].currency.as_deref()),
        (1, Some(Decimal::new(1234, 2)), Some("USD"))
    );
    assert!(shown[0].display.title.contains("12.34 USD"), "{}", shown[0].display.title);
    let talk = Interaction { contact_id: Some(someone), ..world.touch(customer, "Talk") };
    let talk = crm.interactions().log(&ctx, talk).await.unwrap().id;
    for anchor in [Anchor::Tenant, Anchor::Customer(customer)] {
        assert_eq!(
            entries(anchor).await.iter().map(|row| row.kind).collect::<Vec<_>>(),
            ["invoice", "interaction"]
        );
    }
    assert_eq!(entries(Anchor::Contact(someone)).await.len(), 1);
    let moved = now - Duration::days(3);
    let change = |i: &mut Interaction| {
        i.occurred_at = moved;
        i.contact_id = None;
    };
    crm.interactions().update(&ctx, talk, Expect::Any, change).await.unwrap();
    assert!(
        entries(Anchor::Contact(someone)).await.is_empty(),
        "the contact has nothing to do with it any more"
    );
    let now_shown = entries(Anchor::Customer(customer)).await;
    assert_eq!((now_shown.len(), now_shown[1].at), (2, moved));
    assert_eq!(all::<Interaction>(crm, &ctx).await[0].occurred_at, moved);
    crm.interactions().delete(&ctx, talk, Expect::Any).await.unwrap();
    assert_eq!(entries(Anchor::Customer(customer)).await.len(), 1);
}
