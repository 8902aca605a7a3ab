//! Segments: what is written, who is in one, and that all ways to ask give one answer (SPEC LC-08, LC-10).

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use crm_core::customer::{Customer, CustomerId};
use crm_core::directory::UserId;
use crm_core::segment::{Segment, SegmentId, SegmentMember, SegmentRefusal};
use crm_core::{Context, Crm, Env as _, Error, Expect, Find, TenantId};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::criteria::tree;
use super::criteria_data::Data;
use super::dice::Dice;
use super::world::{ADA, World, all, at_once, is, person, seed, tally};
use crate::{Harness, size};

/// All members, page by page.
async fn walk(crm: &Crm, ctx: &Context, segment: SegmentId, limit: usize) -> Vec<CustomerId> {
    let mut members = Vec::new();
    let mut after = None;
    loop {
        let page = crm.segments().members(ctx, segment, limit, after.as_deref()).await.unwrap();
        members.extend(page.items.iter().map(|customer| customer.id));
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert!(members.is_sorted_by(|a, b| a < b), "one order, each once: {members:?}");
    members
}

async fn people(world: &World, count: usize) -> Vec<CustomerId> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(world.customer(&format!("Member {n}")).await.id);
    }
    ids
}

/// What is wrong with a segment is said with its place, and nothing of it is stored; its type stays.
pub async fn lc_08_a_segment_is_checked_when_it_is_written(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let vip = is("is_vip", "eq", true);
    let deep = (0..40).fold(vip.clone(), |inner, _| json!({ "not": inner }));
    let many = json!({ "field": "source", "operator": "eq", "value": "web" });
    let many = json!({ "any": (0..60).map(|_| json!({ "all": vec![many.clone(); 50] })).collect::<Json>() });
    for (at, criteria) in [
        ("", json!([])),
        ("", json!("all")),
        ("", many),
        ("field", is("account_number", "eq", 1)),
        ("all[1].operator", json!({ "all": [vip, is("owner.name", "like", "A")] })),
        ("any[0].not.value", json!({ "any": [{ "not": is("status", "eq", "great") }] })),
        ("value", is("created_at", "gte", "now-3M")),
        ("value", is("owner.name", "eq", "a\0b")),
        ("zone", json!({ "field": "created_at", "operator": "lt", "value": "now", "zone": "Mars" })),
        ("value", is("display_name", "contains", "")),
        ("", json!({ "all": { "field": "is_vip" } })),
    ] {
        let created = crm.segments().create(&ctx, Segment::dynamic("Bad", criteria.clone())).await;
        let previewed = crm.segments().preview(&ctx, criteria.clone(), 10).await;
        match created {
            Err(Error::Criteria(error)) => {
                assert_eq!(error.at, at, "{criteria}: {error}");
                assert!(error.why.len() > 10 && error.why.len() < 1_000, "{error}");
            }
            other => panic!("{criteria}: {other:?}"),
        }
        assert!(criteria.to_string().len() > 100_000 || previewed.is_err(), "{criteria}");
    }
    let nested = crm.segments().create(&ctx, Segment::dynamic("Deep", deep)).await;
    assert_eq!(nested.unwrap_err().code(), "invalid_criteria");
    let long = Some("é".repeat(5_001));
    for (field, segment) in [
        ("name", Segment::fixed("")),
        ("name", Segment::fixed(" \t")),
        ("name", Segment::fixed("é".repeat(101))),
        ("name", Segment::fixed("a\0b")),
        ("name", Segment::fixed("two\nlines")),
        ("description", Segment { description: long, ..Segment::fixed("A") }),
        ("description", Segment { description: Some("\0".to_owned()), ..Segment::fixed("A") }),
        ("criteria", Segment { criteria: None, ..Segment::dynamic("A", json!({})) }),
        ("criteria", Segment { criteria: Some(is("is_vip", "eq", true)), ..Segment::fixed("A") }),
    ] {
        match crm.segments().create(&ctx, segment).await {
            Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, field, "{errors:?}"),
            other => panic!("{field}: {other:?}"),
        }
    }
    assert!(all::<Segment>(crm, &ctx).await.is_empty());

    let forged = Segment {
        member_count: Some(9),
        created_by: Some(UserId(Uuid::from_u128(5))),
        ..Segment::dynamic("  Straße  der Großen ", is("is_vip", "eq", true))
    };
    let made = crm.segments().create(&ctx, forged).await.unwrap().value;
    assert_eq!((made.member_count, made.created_by), (None, Some(UserId(ADA))));
    assert_eq!(crm.segments().get(&ctx, made.id).await.unwrap(), made);
    let change = |id, change: fn(&mut Segment)| {
        let ctx = ctx.clone();
        async move { crm.segments().update(&ctx, id, Expect::Any, change).await.map(|done| done.value) }
    };
    let bad = change(made.id, |s| s.criteria = Some(is("nothing", "eq", 1))).await.unwrap_err();
    assert_eq!(bad.code(), "invalid_criteria");
    assert_eq!(change(made.id, |s| s.criteria = None).await.unwrap_err().code(), "invalid");
    let retyped = change(made.id, |s| s.r#type = crm_core::segment::SegmentType::Static).await;
    assert_eq!(retyped.unwrap_err().code(), "invalid");
    let counted = change(made.id, |s| (s.member_count, s.edited_version) = (Some(5), 77)).await.unwrap();
    assert_eq!(counted, made, "what the library keeps is not the caller's to change");
    assert_eq!(crm.segments().get(&ctx, made.id).await.unwrap(), made);
    let reader = Context { roles: vec!["reader".to_owned()], ..world.ada() };
    assert_eq!(crm.segments().get(&reader, made.id).await.unwrap(), made);
    for code in [
        crm.segments().create(&reader, Segment::fixed("Reader's")).await.unwrap_err().code(),
        crm.segments()
            .update(&reader, made.id, Expect::Any, |s| s.is_active = false)
            .await
            .unwrap_err()
            .code(),
        crm.segments().delete(&reader, made.id, Expect::Any).await.unwrap_err().code(),
        crm.segments().add(&reader, made.id, &[]).await.unwrap_err().code(),
        crm.segments().remove(&reader, made.id, &[]).await.unwrap_err().code(),
        crm.segments().refresh(&reader, made.id).await.unwrap_err().code(),
    ] {
        assert_eq!(code, "forbidden");
    }
}

/// Names are unique whatever their case, also at once; that of a deleted segment is free, and nothing shows its members.
pub async fn lc_08_a_name_belongs_to_one_live_segment(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    let names = ["Key Accounts", "KEY ACCOUNTS", "key accounts", " Key accounts "];
    let results = at_once(16, |n| {
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
        async move { crm.segments().create(&ctx, Segment::fixed(names[n % names.len()])).await }
    })
    .await;
    let made: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(made.len(), 1);
    for result in &results {
        assert!(matches!(result, Ok(_) | Err(Error::NotUnique { rule: "segment_name_once" })), "{result:?}");
    }
    let first = made[0].id;
    let member = world.customer("Member").await.id;
    crm.segments().add(&ctx, first, &[member]).await.unwrap();
    assert_eq!(crm.segments().of_customer(&ctx, member).await.unwrap().len(), 1);
    let stale = crm.segments().delete(&ctx, first, Expect::Version(9)).await.unwrap_err();
    assert_eq!(stale.code(), "version_conflict");
    crm.segments().delete(&ctx, first, Expect::Version(1)).await.unwrap();
    assert!(crm.segments().of_customer(&ctx, member).await.unwrap().is_empty());
    for code in [
        crm.segments().get(&ctx, first).await.unwrap_err().code(),
        crm.segments().members(&ctx, first, 10, None).await.unwrap_err().code(),
        crm.segments().contains(&ctx, first, member).await.unwrap_err().code(),
        crm.segments().count(&ctx, first).await.unwrap_err().code(),
        crm.segments().add(&ctx, first, &[member]).await.unwrap_err().code(),
        crm.segments().refresh(&ctx, first).await.unwrap_err().code(),
    ] {
        assert_eq!(code, "not_found");
    }
    let second = crm.segments().create(&ctx, Segment::fixed("KEY accounts")).await.unwrap().id;
    assert!(walk(&crm, &ctx, second, 10).await.is_empty(), "a new segment of an old name has no members");
}

/// A random sequence of additions, removals, deletions and restorings, beside a set: members, counts, events.
pub async fn lc_08_static_members_are_those_of_a_set(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let mut dice = Dice::new(seed());
    let ids = people(&world, 12).await;
    let segment = crm.segments().create(&ctx, Segment::fixed("By hand")).await.unwrap().id;
    let (mut members, mut gone) = (BTreeSet::new(), BTreeSet::new());
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..size(60, 1_000) {
        let mut named = dice.some_of(&ids, 3);
        if dice.one_in(2) {
            named.extend(named.clone());
        }
        let hidden = named.iter().any(|id| gone.contains(id));
        let of: BTreeSet<CustomerId> = named.iter().copied().collect();
        match dice.below(4) {
            0 | 1 if hidden => {
                let refused = crm.segments().add(&ctx, segment, &named).await.unwrap_err();
                assert!(matches!(refused, Error::NotFound { entity: "customer", .. }), "{refused}");
            }
            0 | 1 => {
                let added = crm.segments().add(&ctx, segment, &named).await.unwrap();
                let new: BTreeSet<_> = added.iter().map(|member| member.customer_id).collect();
                assert_eq!(new, &of - &members);
                *told.entry("segment.member_added").or_default() += new.len();
                members.extend(of);
            }
            2 if !hidden => {
                let removed = crm.segments().remove(&ctx, segment, &named).await.unwrap();
                let old: BTreeSet<_> = removed.iter().map(|member| member.customer_id).collect();
                assert_eq!(old, &of & &members);
                *told.entry("segment.member_removed").or_default() += old.len();
                members = &members - &of;
            }
            _ => {
                let id = *dice.pick(&ids);
                if gone.remove(&id) {
                    crm.customers().restore(&ctx, id).await.unwrap();
                } else {
                    crm.customers().delete(&ctx, id, Expect::Any).await.unwrap();
                    gone.insert(id);
                }
            }
        }
        let shown: Vec<CustomerId> = members.difference(&gone).copied().collect();
        assert_eq!(walk(crm, &ctx, segment, 1 + dice.below(6)).await, shown);
        assert_eq!(crm.segments().count(&ctx, segment).await.unwrap(), shown.len() as i64);
        let id = *dice.pick(&ids);
        match crm.segments().contains(&ctx, segment, id).await {
            Ok(contains) => assert_eq!(contains, shown.contains(&id)),
            Err(error) => assert!(error.code() == "not_found" && gone.contains(&id), "{error}"),
        }
    }
    let mut events = BTreeMap::new();
    loop {
        let rows = crm.log().next(&world.system(), "segments", 1_000).await.unwrap();
        let Some(last) = rows.last().and_then(|row| row.number) else { break };
        for event in rows.iter().flat_map(|row| &row.body.events) {
            if event.name.starts_with("segment.member") {
                *events.entry(event.name.clone()).or_default() += 1;
            }
        }
        crm.log().acknowledge(&world.system(), "segments", last).await.unwrap();
    }
    let told: BTreeMap<String, usize> = told
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| (name.to_owned(), count))
        .collect();
    assert_eq!(events, told);
}

/// At most 500 at once, only customers that are there, only static segments; what is refused changes nothing.
pub async fn lc_08_members_are_added_all_or_none(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let ids = people(&world, 3).await;
    let fixed = crm.segments().create(&ctx, Segment::fixed("By hand")).await.unwrap().id;
    let dynamic = Segment::dynamic("By rule", is("is_vip", "eq", false));
    let dynamic = crm.segments().create(&ctx, dynamic).await.unwrap().id;
    let refused = crm.segments().add(&ctx, dynamic, &ids).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(SegmentRefusal::Dynamic(id)) if id == dynamic), "{refused}");
    let refused = crm.segments().remove(&ctx, dynamic, &ids).await.unwrap_err();
    assert_eq!(refused.code(), "segment_dynamic");
    let with_unknown = [ids[0], CustomerId(Uuid::from_u128(404)), ids[1]];
    assert_eq!(crm.segments().add(&ctx, fixed, &with_unknown).await.unwrap_err().code(), "not_found");
    let many: Vec<CustomerId> = (0..501).map(|n| ids[n % 3]).collect();
    assert_eq!(crm.segments().add(&ctx, fixed, &many).await.unwrap_err().code(), "invalid");
    assert_eq!(crm.segments().remove(&ctx, fixed, &many).await.unwrap_err().code(), "invalid");
    assert!(all::<SegmentMember>(crm, &ctx).await.is_empty());
    assert!(crm.segments().add(&ctx, fixed, &[]).await.unwrap().is_empty());
    let drafts = (0..500).map(|n| (person(&format!("Batch {n}")), Vec::new())).collect();
    let batch: Vec<CustomerId> = crm
        .customers()
        .create_batch(&ctx, drafts)
        .await
        .unwrap()
        .iter()
        .map(|customer| customer.id)
        .collect();
    let key = ctx.clone().with_key("all of them");
    let first = crm.segments().add(&key, fixed, &batch).await.unwrap();
    assert_eq!(first.len(), 500);
    let again = crm.segments().add(&key, fixed, &batch).await.unwrap();
    assert!(again.repeated && again.value == first.value, "a repeat gives the first result");
    assert_eq!(crm.segments().add(&key, fixed, &ids).await.unwrap_err().code(), "key_reused");
    assert_eq!(
        walk(crm, &ctx, fixed, 99).await,
        batch.iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    );
    crm.segments().update(&ctx, fixed, Expect::Any, |s| s.is_active = false).await.unwrap();
    assert!(
        crm.segments().contains(&ctx, fixed, batch[7]).await.unwrap(),
        "an inactive one keeps its members"
    );
    assert_eq!(crm.segments().count(&ctx, fixed).await.unwrap(), 500);
    let listed = crm.segments().of_customer(&ctx, batch[7]).await.unwrap();
    assert_eq!(listed.iter().map(|segment| segment.id).collect::<Vec<_>>(), [dynamic]);
}

/// However many add the same member, in two processes, it is added once; then the same for removing it.
pub async fn lc_08_a_member_that_many_add_at_once_is_added_once(harness: &dyn Harness) {
    const TASKS: usize = 64;
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    let segment = crm.segments().create(&ctx, Segment::fixed("Popular")).await.unwrap().id;
    let member = world.customer("Wanted").await.id;
    for adds in [true, false, true] {
        let changed = at_once(TASKS, |n| {
            let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
            async move {
                let service = crm.segments();
                let done = if adds {
                    service.add(&ctx, segment, &[member]).await
                } else {
                    service.remove(&ctx, segment, &[member]).await
                };
                done.unwrap().len()
            }
        })
        .await;
        assert_eq!(changed.iter().sum::<usize>(), 1, "{changed:?}");
        assert_eq!(walk(&crm, &ctx, segment, 10).await.len(), usize::from(adds));
    }
}

/// A preview says, before anything is saved, what the segment will have; its pages are the whole, and their cursors are
/// good for it only.
pub async fn lc_10_a_preview_is_what_the_segment_will_have(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.system());
    let mut dice = Dice::new(seed());
    let data = Data::fill(&world, &mut dice, 40).await;
    let mut segment = None;
    let mut sizes = Vec::new();
    for _ in 0..size(40, 400) {
        let criteria = tree(&mut dice, "customer", 3, data.now);
        let preview = crm.segments().preview(&ctx, criteria.clone(), 5).await.unwrap();
        let id = match segment {
            None => crm.segments().create(&ctx, Segment::dynamic("It", criteria)).await.unwrap().id,
            Some(id) => {
                let change = |s: &mut Segment| s.criteria = Some(criteria.clone());
                crm.segments().update(&ctx, id, Expect::Any, change).await.unwrap().id
            }
        };
        segment = Some(id);
        let limit = 1 + dice.below(9);
        let members = walk(crm, &ctx, id, limit).await;
        assert_eq!(preview.count, members.len() as i64);
        assert_eq!(preview.count, crm.segments().count(&ctx, id).await.unwrap());
        let first: Vec<CustomerId> = preview.page.items.iter().map(|customer| customer.id).collect();
        assert_eq!(first, members[..members.len().min(5)]);
        assert_eq!(preview.page.next.is_some(), members.len() > 5);
        sizes.push(members.len());
    }
    assert!(sizes.iter().any(|size| *size > 5) && sizes.contains(&0), "{sizes:?}");
    let everyone =
        crm.segments().create(&ctx, Segment::dynamic("All", json!({ "all": [] }))).await.unwrap().id;
    let some = crm.segments().create(&ctx, Segment::fixed("Some")).await.unwrap().id;
    // Segments of the same criteria ask the same question, and its cursor is good for both.
    let other = |s: &mut Segment| s.criteria = Some(is("is_blocked", "eq", false));
    crm.segments().update(&ctx, segment.unwrap(), Expect::Any, other).await.unwrap();
    let cursor = crm.segments().members(&ctx, everyone, 3, None).await.unwrap().next.unwrap();
    for (segment, limit, after) in [
        (some, 3, cursor.as_str()),
        (segment.unwrap(), 3, cursor.as_str()),
        (everyone, 3, "forged"),
        (everyone, 0, cursor.as_str()),
        (everyone, 10_000, cursor.as_str()),
    ] {
        let refused = crm.segments().members(&ctx, segment, limit, Some(after)).await.unwrap_err();
        assert_eq!(refused.code(), "invalid_criteria");
    }
    let change = |s: &mut Segment| s.criteria = Some(is("is_vip", "eq", true));
    crm.segments().update(&ctx, everyone, Expect::Any, change).await.unwrap();
    let ended = crm.segments().members(&ctx, everyone, 3, Some(&cursor)).await.unwrap_err();
    assert_eq!(ended.code(), "invalid_criteria", "the pages of other criteria are not joined");
}

/// Every member is in its segment, and its segment among its own, whoever is asked.
async fn agree(
    world: &World,
    segments: &[Segment],
    dice: &mut Dice,
) -> BTreeMap<SegmentId, BTreeSet<CustomerId>> {
    let (crm, ctx) = (&world.crm, world.system());
    let customers: Vec<CustomerId> = all::<Customer>(crm, &ctx).await.iter().map(|c| c.id).collect();
    let mut members: BTreeMap<SegmentId, BTreeSet<CustomerId>> = BTreeMap::new();
    for segment in segments {
        let of: BTreeSet<_> = walk(crm, &ctx, segment.id, 1 + dice.below(20)).await.into_iter().collect();
        for _ in 0..4 {
            let id = *dice.pick(&customers);
            let contains = crm.segments().contains(&ctx, segment.id, id).await.unwrap();
            assert_eq!(contains, of.contains(&id), "{segment:?}: {id}");
        }
        members.insert(segment.id, of);
    }
    for id in customers {
        let of = crm.segments().of_customer(&ctx, id).await.unwrap();
        let of: BTreeSet<SegmentId> = of.iter().map(|segment| segment.id).collect();
        let expected: BTreeSet<SegmentId> =
            segments.iter().filter(|s| s.is_active && members[&s.id].contains(&id)).map(|s| s.id).collect();
        let differ: Vec<_> =
            segments.iter().filter(|s| of.contains(&s.id) != expected.contains(&s.id)).collect();
        assert!(differ.is_empty(), "{id}: {differ:?}");
    }
    members
}

/// The segments of a customer, the members of a segment and whether one contains the other agree, for random customers
/// and criteria through links and relative to now, before and after time alone moves members in and out.
pub async fn lc_08_all_ways_to_ask_for_membership_agree_at_every_instant(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.system());
    let seed = seed();
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    crm.settings().update(&ctx, |s| s.zone = "Europe/Berlin".to_owned()).await.unwrap();
    let data = Data::fill(&world, &mut dice, 30).await;
    let parents: Vec<CustomerId> = all::<Customer>(crm, &ctx).await.iter().map(|c| c.id).collect();
    let mut last = None;
    for n in 0..12 {
        world.env.advance(*dice.pick(&[Duration::milliseconds(1), Duration::hours(7), Duration::days(2)]));
        let parent_id = dice.maybe(3, |dice| *dice.pick(&parents));
        let given = Customer { parent_id, ..person(&format!("Later {n}")) };
        last = Some(crm.customers().create(&world.ada(), given).await.unwrap().value);
    }
    let last = last.unwrap();
    let mut segments = vec![
        Segment::dynamic("Recent", is("created_at", "gte", "now-30d")),
        Segment::dynamic("Ada's", is("owner.name", "eq", "ADA")),
        Segment { is_active: false, ..Segment::dynamic("Resting", is("created_at", "lt", "now-30d")) },
    ];
    for n in 0..size(30, 300) {
        let field = *dice.pick(&["created_at", "updated_at", "parent.created_at", "parent.owner.created_at"]);
        let moment = *dice.pick(&["now-30d", "now-29d", "today-1M", "today", "now", "today-4w", "now-720h"]);
        let moves = is(field, dice.pick::<&str>(&["lt", "lte", "gt", "gte", "eq"]), moment);
        let random = tree(&mut dice, "customer", 3, data.now);
        let join = *dice.pick(&["all", "any"]);
        let criteria = if dice.one_in(4) { random } else { json!({ join: [random, moves] }) };
        segments
            .push(Segment { is_active: !dice.one_in(8), ..Segment::dynamic(format!("Rule {n}"), criteria) });
    }
    segments.extend((0..6).map(|n| Segment { is_active: n > 0, ..Segment::fixed(format!("Hand {n}")) }));
    let mut made = Vec::new();
    for segment in segments {
        let segment = crm.segments().create(&ctx, segment).await.unwrap().value;
        if segment.criteria.is_none() {
            let some = dice.some_of(&parents, 3);
            crm.segments().add(&ctx, segment.id, &some).await.unwrap();
        }
        made.push(segment);
    }
    let (recent, resting) = (made[0].id, made[2].id);
    let mut answers = vec![agree(&world, &made, &mut dice).await];
    assert!(answers[0][&recent].contains(&last.id) && !answers[0][&made[1].id].is_empty());
    let to_the_edge = last.meta.created_at + Duration::days(30) - world.env.now();
    for (step, is_recent) in [
        (Duration::days(28), true),
        (to_the_edge - Duration::days(28), true),
        (Duration::milliseconds(1), false),
        (Duration::days(3), false),
    ] {
        world.env.advance(step);
        let now = agree(&world, &made, &mut dice).await;
        assert_eq!(now[&recent].contains(&last.id), is_recent, "at {}", world.env.now());
        assert_eq!(now[&resting].contains(&last.id), !is_recent, "at {}", world.env.now());
        answers.push(now);
    }
    let flips: usize = answers
        .windows(2)
        .map(|pair| {
            pair[1].iter().map(|(id, of)| pair[0][id].symmetric_difference(of).count()).sum::<usize>()
        })
        .sum();
    let nonempty = answers[0].values().filter(|of| !of.is_empty()).count();
    assert!(flips > 40, "time alone moved {flips}");
    println!("{}: {} segments, {nonempty} not empty; time alone moved {flips}", harness.name(), made.len());
}

/// Counting breaks no edit: of editors that expect the same version one wins as without it, and a count is never kept
/// for other criteria than it was made by.
pub async fn lc_08_counting_breaks_no_edit(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    for n in 0..6 {
        let given = Customer { is_vip: n < 2, ..person(&format!("Counted {n}")) };
        crm.customers().create(&ctx, given).await.unwrap();
    }
    let vip = is("is_vip", "eq", true);
    let made = crm.segments().create(&ctx, Segment::dynamic("Counted", vip.clone())).await.unwrap().value;
    let counted = crm.segments().refresh(&ctx, made.id).await.unwrap().value;
    assert_eq!((counted.member_count, counted.last_calculated_at), (Some(2), Some(world.env.now())));
    let edited = crm
        .segments()
        .update(&ctx, made.id, Expect::Version(1), |s| s.description = Some("x".to_owned()))
        .await;
    let edited = edited.unwrap().value;
    assert_eq!((edited.member_count, edited.meta.version), (Some(2), 3));
    let stale =
        crm.segments().update(&ctx, made.id, Expect::Version(2), |s| s.name = "Stale".to_owned()).await;
    assert!(matches!(stale, Err(Error::VersionConflict { expected: 2, found: 3, .. })), "{stale:?}");
    let ahead =
        crm.segments().update(&ctx, made.id, Expect::Version(4), |s| s.name = "Ahead".to_owned()).await;
    assert_eq!(ahead.unwrap_err().code(), "version_conflict");
    let key = ctx.clone().with_key("count");
    let once = crm.segments().refresh(&key, made.id).await.unwrap();
    world.env.advance(Duration::hours(1));
    let again = crm.segments().refresh(&key, made.id).await.unwrap();
    assert!(again.repeated && again.written == once.written);
    for round in 0..size(6, 40) {
        let read = crm.segments().get(&ctx, made.id).await.unwrap().meta.version;
        world.env.advance(Duration::seconds(1));
        let results = at_once(16, |n| {
            let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
            let value = is("is_vip", "eq", n % 4 == 1);
            async move {
                if n % 4 > 1 {
                    return crm
                        .segments()
                        .refresh(&ctx, made.id)
                        .await
                        .map_or_else(|error| error.code(), |_| "counted");
                }
                let name = format!("Edit {n} of {round}");
                let edit = |s: &mut Segment| (s.name, s.criteria) = (name.clone(), Some(value.clone()));
                let edit = crm.segments().update(&ctx, made.id, Expect::Version(read), edit).await;
                edit.map_or_else(|error| error.code(), |_| "edited")
            }
        })
        .await;
        let results = tally(results.into_iter());
        assert_eq!(results.get("edited"), Some(&1), "{results:?}");
        assert_eq!(results.get("version_conflict"), Some(&7), "{results:?}");
        assert_eq!(results.get("counted"), Some(&8), "{results:?}");
        let stored = crm.segments().get(&ctx, made.id).await.unwrap();
        let of = if stored.criteria == Some(vip.clone()) { 2 } else { 4 };
        assert!(stored.member_count.is_none_or(|count| count == of), "{stored:?}");
        assert_eq!(stored.member_count.is_some(), stored.last_calculated_at.is_some());
    }
    let members = crm.segments().create(&ctx, Segment::fixed("By hand")).await.unwrap().id;
    let someone = world.customer("Someone").await.id;
    crm.segments().add(&ctx, members, &[someone]).await.unwrap();
    assert_eq!(crm.segments().refresh(&ctx, members).await.unwrap().member_count, Some(1));
}

/// Another tenant's segments and customers are not found, and nothing of theirs changes.
pub async fn xt_01_another_tenants_segments_are_not_found(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let crm = &world.crm;
    let tenant = TenantId(Uuid::from_u128(world.tenant.0.as_u128() + (1 << 100)));
    world.employ(tenant).await;
    let owner = Context::user(tenant, ADA);
    let theirs = crm.customers().create(&owner, person("Theirs")).await.unwrap().id;
    let fixed = crm.segments().create(&owner, Segment::fixed("Same name")).await.unwrap().id;
    crm.segments().add(&owner, fixed, &[theirs]).await.unwrap();
    let everyone =
        crm.segments().create(&owner, Segment::dynamic("All", json!({ "all": [] }))).await.unwrap().id;
    let mine = world.customer("Mine").await.id;
    let own = crm.segments().create(&world.ada(), Segment::fixed("Same name")).await.unwrap().id;
    for ctx in [world.ada().with_role("admin"), world.system()] {
        for id in [fixed, everyone] {
            for code in [
                crm.segments().get(&ctx, id).await.unwrap_err().code(),
                crm.segments().members(&ctx, id, 10, None).await.unwrap_err().code(),
                crm.segments().count(&ctx, id).await.unwrap_err().code(),
                crm.segments().contains(&ctx, id, mine).await.unwrap_err().code(),
                crm.segments().refresh(&ctx, id).await.unwrap_err().code(),
                crm.segments().add(&ctx, id, &[mine]).await.unwrap_err().code(),
                crm.segments().remove(&ctx, id, &[mine]).await.unwrap_err().code(),
                crm.segments()
                    .update(&ctx, id, Expect::Any, |s| s.is_active = false)
                    .await
                    .unwrap_err()
                    .code(),
                crm.segments().delete(&ctx, id, Expect::Any).await.unwrap_err().code(),
                crm.segments().add(&ctx, own, &[theirs]).await.unwrap_err().code(),
                crm.segments().remove(&ctx, own, &[theirs]).await.unwrap_err().code(),
                crm.segments().contains(&ctx, own, theirs).await.unwrap_err().code(),
                crm.segments().of_customer(&ctx, theirs).await.unwrap_err().code(),
            ] {
                assert_eq!(code, "not_found");
            }
        }
        assert_eq!(crm.segments().preview(&ctx, json!({ "all": [] }), 10).await.unwrap().count, 1);
        assert_eq!(crm.segments().find(&ctx, &Find::all()).await.unwrap().items.len(), 1);
    }
    assert_eq!(walk(crm, &owner, everyone, 10).await, [theirs]);
    assert_eq!(walk(crm, &owner, fixed, 10).await, [theirs]);
}
