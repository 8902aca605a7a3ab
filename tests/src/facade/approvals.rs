//! What somebody else has to decide on (SPEC XT-08).

use std::collections::BTreeMap;

use chrono::Duration;
use crm_core::approval::{
    Approval, ApprovalId, ApprovalRefusal, ApprovalRequest, ApprovalStatus, EXPIRE_BATCH,
};
use crm_core::command::{Changes, Command, Decline, Loaded, Need, NoRefusal};
use crm_core::directory::UserId;
use crm_core::interaction::Interaction;
use crm_core::log::LogRow;
use crm_core::policy::Action;
use crm_core::record::Meta;
use crm_core::sweep::Sweep;
use crm_core::timeline::Visibility;
use crm_core::value::Instant;
use crm_core::{Context, Crm, Env as _, Error, Expect, Page};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::dice::Dice;
use super::world::{ADA, BOB, World, all, at_once, is, process, seed, tally};
use crate::{Harness, size};

const CYD: Uuid = Uuid::from_u128(0xc1d);
pub(super) const DAN: Uuid = Uuid::from_u128(0xda4);

/// A request to delete records.
pub(super) fn deletion(entity: &str, criteria: Json) -> ApprovalRequest {
    ApprovalRequest::BulkDelete { entity: entity.to_owned(), criteria, reason: "Asked by letter".to_owned() }
}

/// A request to delete all customers of a name.
pub(super) fn named(name: &str) -> ApprovalRequest {
    deletion("customer", is("display_name", "eq", name))
}

/// A user in a role.
pub(super) fn someone(world: &World, id: Uuid, role: &str) -> Context {
    Context { roles: vec![role.to_owned()], ..Context::user(world.tenant, id) }
}

/// All rows of the log, whose chain holds.
pub(super) async fn log_of(world: &World) -> Vec<LogRow> {
    world.crm.log().verify(&world.system()).await.unwrap().unwrap();
    world.crm.log().next(&world.system(), "approvals", 10_000).await.unwrap()
}

/// How often each event of these was told, by name.
pub(super) async fn told(world: &World, prefixes: &[&str]) -> BTreeMap<String, usize> {
    let rows = log_of(world).await;
    let names = rows.iter().flat_map(|row| &row.body.events).map(|event| event.name.as_str());
    tally(names.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))))
}

/// Stores approvals as another version of the library may have left them.
pub(super) struct Plant(pub(super) Vec<Approval>);

impl Command for Plant {
    type Output = ();
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        "tests.plant"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "approval")
    }

    fn input(&self) -> Json {
        Json::Null
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        Vec::new()
    }

    fn decide(&self, _: &Loaded, changes: &mut Changes<'_>) -> Result<(), Decline<NoRefusal>> {
        for approval in &self.0 {
            changes.insert(approval)?;
        }
        Ok(())
    }

    fn recall(&self, _: &Loaded, _: &[(String, Uuid, i64)]) -> Option<()> {
        Some(())
    }
}

/// A pending approval that Ada has asked for, of a command with its input.
pub(super) fn planted(id: u128, command: &str, input: Json, expires_at: Instant) -> Approval {
    Approval {
        id: ApprovalId(Uuid::from_u128(id)),
        meta: Meta::default(),
        command: command.to_owned(),
        entity: "customer".to_owned(),
        customer_id: None,
        request: Some(input),
        reason: None,
        status: ApprovalStatus::Pending,
        requested_by: Some(UserId(ADA)),
        expires_at,
        decided_by: None,
        decided_at: None,
        decision_note: None,
        sweep_id: None,
    }
}

/// What the model knows of a request.
struct Asked {
    id: ApprovalId,
    by: Option<Uuid>,
    expires_at: Instant,
    stored: ApprovalStatus,
    decided: Option<(Option<Uuid>, Instant)>,
}

impl Asked {
    fn status(&self, now: Instant) -> ApprovalStatus {
        if self.stored == ApprovalStatus::Pending && self.expires_at <= now {
            return ApprovalStatus::Expired;
        }
        self.stored
    }

    fn version(&self) -> i64 {
        if self.stored == ApprovalStatus::Pending { 1 } else { 2 }
    }
}

/// A random sequence of requests, decisions and passing time beside a small model: from pending to one end, and never
/// again; each approved one is carried out once, and nothing else is.
pub async fn xt_08_a_request_ends_once_whatever_is_tried(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let crm = &world.crm;
    let seed = seed();
    let mut dice = Dice::new(seed);
    let actors = [
        (someone(&world, ADA, "user"), "w"),
        (someone(&world, BOB, "manager"), "wr"),
        (someone(&world, CYD, "admin"), "wra"),
        (someone(&world, DAN, "admin"), "wra"),
        (world.system(), "wra"),
    ];
    let mut model: Vec<Asked> = Vec::new();
    let mut outcomes = BTreeMap::<String, usize>::new();
    for step in 0..size(250, 4_000) {
        world.env.advance(Duration::milliseconds(dice.between(0, 2)));
        let now = world.env.now();
        let (ctx, may) = dice.pick(&actors);
        if model.is_empty() || dice.one_in(4) {
            let expires_at = now + Duration::milliseconds(dice.between(1, 30));
            let name = format!("Nobody {step}");
            let approval = crm.approvals().request_until(ctx, named(&name), expires_at).await.unwrap().value;
            assert_eq!((approval.requested_by, approval.expires_at), (ctx.user_id().map(UserId), expires_at));
            let stored = ApprovalStatus::Pending;
            model.push(Asked { id: approval.id, by: ctx.user_id(), expires_at, stored, decided: None });
            continue;
        }
        if dice.one_in(12) {
            let due: Vec<&mut Asked> = model
                .iter_mut()
                .filter(|asked| asked.stored == ApprovalStatus::Pending && asked.expires_at <= now)
                .collect();
            assert_eq!(crm.approvals().expire(&world.system()).await.unwrap(), due.len(), "seed {seed}");
            for asked in due {
                asked.stored = ApprovalStatus::Expired;
                asked.decided = Some((None, asked.expires_at));
            }
        }
        // Most can happen to those that nobody has decided on.
        let open: Vec<usize> =
            (0..model.len()).filter(|place| model[*place].stored == ApprovalStatus::Pending).collect();
        let place =
            if open.is_empty() || dice.one_in(4) { dice.below(model.len()) } else { *dice.pick(&open) };
        let asked = &mut model[place];
        let approve = dice.one_in(2);
        let expect = match dice.below(6) {
            0 => Expect::Version(asked.version()),
            1 => Expect::Version(3),
            _ => Expect::Any,
        };
        let own = asked.by == ctx.user_id();
        let withdraws = own && asked.by.is_some();
        let expected = match asked.status(now) {
            _ if approve && !may.contains('r') => "forbidden",
            ApprovalStatus::Expired => "expired",
            ApprovalStatus::Approved | ApprovalStatus::Rejected => "already_decided",
            ApprovalStatus::Pending if expect == Expect::Version(3) => "version_conflict",
            ApprovalStatus::Pending if approve && own => "own_request",
            ApprovalStatus::Pending if approve && !may.contains('a') => "forbidden",
            ApprovalStatus::Pending if !approve && !withdraws && !may.contains('r') => "forbidden",
            ApprovalStatus::Pending => "done",
        };
        let outcome = if approve {
            crm.approvals().approve(ctx, asked.id, expect, Some("seen")).await
        } else {
            crm.approvals().reject(ctx, asked.id, expect, Some("seen")).await
        };
        let found = outcome.as_ref().map_or_else(Error::code, |_| "done");
        assert_eq!(found, expected, "seed {seed}, step {step}: approve {approve}, {outcome:?}");
        *outcomes.entry(format!("{} {found}", if approve { "approve" } else { "reject" })).or_default() += 1;
        if expected == "done" {
            asked.stored = if approve { ApprovalStatus::Approved } else { ApprovalStatus::Rejected };
            asked.decided = Some((ctx.user_id(), now));
        }
        let stored = crm.approvals().get(ctx, asked.id).await.unwrap();
        let pending = asked.stored == ApprovalStatus::Pending;
        assert_eq!(stored.status, asked.stored, "seed {seed}, step {step}");
        assert_eq!((stored.status_at(now), stored.meta.version), (asked.status(now), asked.version()));
        assert_eq!(stored.decided_at.map(|at| (stored.decided_by.map(|user| user.0), at)), asked.decided);
        assert_eq!((stored.request.is_some(), stored.asked().unwrap().is_some()), (pending, pending));
        assert_eq!(stored.sweep_id.is_some(), asked.stored == ApprovalStatus::Approved);
        if dice.one_in(8) {
            let mut open: Vec<_> =
                model.iter().filter(|asked| asked.status(now) == ApprovalStatus::Pending).collect();
            open.sort_by_key(|asked| (asked.expires_at, asked.id));
            let open: Vec<ApprovalId> = open.iter().map(|asked| asked.id).collect();
            assert_eq!(walk(crm, ctx, 1 + dice.below(4)).await, open, "seed {seed}, step {step}");
        }
    }
    println!("{}: {outcomes:?}", harness.name());
    let count = |status| model.iter().filter(|asked| asked.stored == status).count();
    let sweeps = all::<Sweep>(crm, &world.system()).await;
    assert_eq!(sweeps.len(), count(ApprovalStatus::Approved), "seed {seed}");
    let mut told = told(&world, &["approval.", "sweep."]).await;
    let mut heard = |name: &str| told.remove(name).unwrap_or_default();
    assert_eq!(heard("approval.requested"), model.len());
    assert_eq!(heard("approval.approved"), count(ApprovalStatus::Approved));
    assert_eq!(heard("sweep.planned"), count(ApprovalStatus::Approved));
    assert_eq!(heard("approval.rejected"), count(ApprovalStatus::Rejected));
    assert_eq!(heard("approval.expired"), count(ApprovalStatus::Expired));
    assert!(told.is_empty(), "{told:?}");
}

/// The ids of all pages of what can be decided on.
pub(super) async fn walk(crm: &Crm, ctx: &Context, limit: usize) -> Vec<ApprovalId> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let Page { items, next } = crm.approvals().pending(ctx, limit, after.as_deref()).await.unwrap();
        assert!(items.len() <= limit);
        ids.extend(items.iter().map(|approval| approval.id));
        match next {
            Some(next) => after = Some(next),
            None => return ids,
        }
    }
}

/// Of many who decide at once, in two processes, one does, and what is approved is planned once: approvers only;
/// approvers and rejecters; approvers, and a process whose clock says that the time is over.
pub async fn xt_08_of_many_who_decide_at_once_one_does(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other) = (world.crm.clone(), world.second(harness).await);
    let (late, _) = process(&harness.second_handle(&world.store).await, world.env.now() + Duration::days(14));
    let system = world.system();
    let (mut approved, mut ends) = (0, Vec::new());
    for round in 0..size(9, 60) {
        let request = named(&format!("Contended {round}"));
        let id = crm.approvals().request(&world.ada(), request).await.unwrap().id;
        let results = at_once(16, |n| {
            let crm = if n % 2 == 0 { crm.clone() } else { other.clone() };
            let (late, system) = (late.clone(), system.clone());
            let ctx = someone(&world, Uuid::from_u128(0x1000 + n as u128), "admin");
            let kind = if n % 4 == 3 { round % 3 } else { 0 };
            async move {
                let outcome = match kind {
                    0 => crm.approvals().approve(&ctx, id, Expect::Any, None).await.map(|done| done.value),
                    1 => crm.approvals().reject(&ctx, id, Expect::Any, None).await.map(|done| done.value),
                    _ => {
                        return match late.approvals().expire(&system).await.unwrap() {
                            0 => Err("already_decided"),
                            count => Ok((ApprovalStatus::Expired, None, count)),
                        };
                    }
                };
                match outcome {
                    Ok(after) => {
                        assert_eq!(after.decided_by.map(|user| user.0), ctx.user_id());
                        Ok((after.status, after.decided_by, 1))
                    }
                    Err(Error::Refused(
                        ApprovalRefusal::AlreadyDecided { id: of, .. }
                        | ApprovalRefusal::Expired { id: of, .. },
                    )) => {
                        assert_eq!(of, id);
                        Err("already_decided")
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
        .await;
        let done: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(done.len(), 1, "round {round}: {results:?}");
        let (status, by, count) = done[0];
        let stored = crm.approvals().get(&system, id).await.unwrap();
        assert_eq!((stored.status, stored.decided_by, *count), (*status, *by, 1));
        ends.push(status.code());
        approved += usize::from(*status == ApprovalStatus::Approved);
        let history = crm.log().history::<Approval>(&world.manager(), id).await.unwrap();
        assert_eq!(history.len(), 2, "asked and ended");
        assert_eq!(all::<Sweep>(&crm, &system).await.len(), approved, "planned other than once");
    }
    println!("{}: {:?}", harness.name(), tally(ends.into_iter()));
}

/// Approving under a key many times at once is done once, and all get its result; so are asking and rejecting. The key
/// with other input is refused.
pub async fn xt_08_a_repeat_gives_the_first_result(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other) = (world.crm.clone(), world.second(harness).await);
    let ada = world.ada().with_key("ask");
    let asked = at_once(8, |n| {
        let (crm, ada) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ada.clone());
        async move { crm.approvals().request(&ada, named("Once")).await.unwrap() }
    })
    .await;
    assert!(
        asked.windows(2).all(|pair| pair[0].value == pair[1].value && pair[0].written == pair[1].written)
    );
    assert_eq!(asked.iter().filter(|done| !done.repeated).count(), 1);
    assert_eq!(all::<Approval>(&crm, &ada).await.len(), 1);
    assert!(matches!(crm.approvals().request(&ada, named("Other")).await, Err(Error::KeyReused)));

    let id = asked[0].id;
    let dan = someone(&world, DAN, "admin").with_key("approve");
    let approved = at_once(8, |n| {
        let (crm, dan) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, dan.clone());
        async move { crm.approvals().approve(&dan, id, Expect::Version(1), Some("fine")).await.unwrap() }
    })
    .await;
    assert!(
        approved.windows(2).all(|pair| pair[0].value == pair[1].value && pair[0].written == pair[1].written)
    );
    assert_eq!(approved.iter().filter(|done| !done.repeated).count(), 1);
    assert_eq!(approved[0].decision_note.as_deref(), Some("fine"));
    assert_eq!(all::<Sweep>(&crm, &dan).await.len(), 1);
    let otherwise = crm.approvals().approve(&dan, id, Expect::Version(1), None).await;
    assert!(matches!(otherwise, Err(Error::KeyReused)));
    world.env.advance(Duration::days(20));
    let later = crm.approvals().approve(&dan, id, Expect::Version(1), Some("fine")).await.unwrap();
    assert!(later.repeated && later.value == approved[0].value, "a repeat after the expiry");
    let without = Context { key: None, ..dan };
    let again = crm.approvals().approve(&without, id, Expect::Any, None).await.unwrap_err();
    let status = ApprovalStatus::Approved;
    assert!(
        matches!(again, Error::Refused(ApprovalRefusal::AlreadyDecided { id: of, status: by }) if of == id && by == status)
    );
    assert!(again.to_string().contains("approved already"), "{again}");

    let id = crm.approvals().request(&world.ada(), named("Twice")).await.unwrap().id;
    let ada = world.ada().with_key("withdraw");
    let first = crm.approvals().reject(&ada, id, Expect::Any, None).await.unwrap();
    let second = crm.approvals().reject(&ada, id, Expect::Any, None).await.unwrap();
    assert!(!first.repeated && second.repeated && first.value == second.value);
}

/// A request can be decided on until the last millisecond before its expiry, and from then on by nobody, though nobody
/// has marked it; marking changes nothing but the mark.
pub async fn xt_08_a_request_expires_at_its_instant(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ada, dan) = (&world.crm, world.ada(), someone(&world, DAN, "admin"));
    let start = world.env.now();
    let usual = crm.approvals().request(&ada, named("Usual")).await.unwrap();
    assert_eq!(usual.expires_at, start + Duration::days(14));
    // What is finer than a millisecond is cut off.
    let expiry = start + Duration::milliseconds(1_000);
    let until = |name: &str, at| {
        let request = named(name);
        let ada = ada.clone();
        async move { crm.approvals().request_until(&ada, request, at).await.unwrap().value }
    };
    let approved = until("Approved", expiry + Duration::nanoseconds(999_999)).await;
    assert_eq!(approved.expires_at, expiry);
    let lapsed = until("Lapsed", expiry).await;
    let withdrawn = until("Withdrawn", expiry).await;
    let later = until("Later", expiry + Duration::milliseconds(1)).await;

    world.env.advance(Duration::milliseconds(999));
    assert_eq!(walk(crm, &ada, 10).await.len(), 5);
    assert_eq!(crm.approvals().expire(&world.system()).await.unwrap(), 0);
    assert_eq!(lapsed.status_at(world.env.now()), ApprovalStatus::Pending);
    let done = crm.approvals().approve(&dan, approved.id, Expect::Any, None).await.unwrap();
    assert_eq!((done.status, done.decided_at), (ApprovalStatus::Approved, Some(world.env.now())));

    world.env.advance(Duration::milliseconds(1));
    assert_eq!(lapsed.status_at(world.env.now()), ApprovalStatus::Expired);
    assert_eq!(done.status_at(world.env.now()), ApprovalStatus::Approved);
    assert_eq!(walk(crm, &ada, 1).await, [later.id, usual.id]);
    for marked in [false, true] {
        let refused = crm.approvals().approve(&dan, lapsed.id, Expect::Any, None).await.unwrap_err();
        let is_expired = matches!(refused, Error::Refused(ApprovalRefusal::Expired { id, at }) if id == lapsed.id && at == expiry);
        assert!(is_expired, "{refused:?}");
        let refused = crm.approvals().reject(&ada, withdrawn.id, Expect::Any, None).await.unwrap_err();
        assert_eq!(refused.code(), "expired");
        let stored = crm.approvals().get(&ada, lapsed.id).await.unwrap();
        assert_eq!(stored.status_at(world.env.now()), ApprovalStatus::Expired);
        assert_eq!(stored.status == ApprovalStatus::Expired, marked);
        if !marked {
            world.env.advance(Duration::days(1));
            assert_eq!(crm.approvals().expire(&world.system()).await.unwrap(), 3);
            assert_eq!(crm.approvals().expire(&world.system()).await.unwrap(), 0);
        }
    }
    let stored = crm.approvals().get(&ada, lapsed.id).await.unwrap();
    assert_eq!((stored.decided_at, stored.decided_by, stored.request), (Some(expiry), None, None));
    assert_eq!(all::<Sweep>(crm, &dan).await.len(), 1);

    // Many at once, in more than one batch.
    let count = EXPIRE_BATCH + 7;
    let input = json!({ "entity": "customer", "criteria": is("is_vip", "eq", true), "reason": "x" });
    let soon = world.env.now() + Duration::seconds(1);
    let many = (1..=count).map(|n| planted(n as u128, "sweeps.delete", input.clone(), soon)).collect();
    crm.run(&ada, &Plant(many)).await.unwrap();
    world.env.advance(Duration::seconds(1));
    let ctx = world.system().with_key("tick");
    assert_eq!(crm.approvals().expire(&ctx).await.unwrap(), count);
    assert_eq!(told(&world, &["approval.expired"]).await["approval.expired"], count + 3);
}

/// What is asked for is done by running the bulk work that the approval has planned, once, on the records that meet the
/// criteria when it is approved; whoever asked need not see them. What the request held of a person is then forgotten,
/// also by the log, however it ends.
pub async fn xt_08_what_is_approved_is_done_and_the_request_forgotten(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, dan) = (&world.crm, someone(&world, DAN, "admin"));
    let ada = world.ada().with_origin(crm_core::log::Origin {
        ip: Some("203.0.113.7".to_owned()),
        user_agent: None,
        source: None,
    });
    let customer = world.customer("Talker").await.id;
    let kept = world.interaction(customer, "Nobody").await.id;
    let first = world.interaction(customer, "Erika Muster").await.id;
    for end in ["delete", "purge", "reject", "expire"] {
        let criteria = is("subject", "eq", "Erika Muster");
        let (entity, reason) = ("interaction".to_owned(), "Letter 7".to_owned());
        let request = match end {
            "delete" => ApprovalRequest::BulkDelete { entity, criteria, reason },
            _ => ApprovalRequest::Purge { entity, criteria, reason },
        };
        let asked = crm.approvals().request(&ada, request.clone()).await.unwrap().value;
        assert_eq!((asked.asked().unwrap(), asked.reason.as_deref()), (Some(request), Some("Letter 7")));
        assert_eq!((asked.entity.as_str(), asked.customer_id), ("interaction", None));
        assert_eq!(asked.command, if end == "delete" { "sweeps.delete" } else { "sweeps.purge" });
        if end == "delete" {
            let visibility = Visibility::Private;
            let hidden = Interaction { visibility, ..world.touch(customer, "Erika Muster") };
            crm.interactions().log(&world.bob(), hidden).await.unwrap();
        }
        let lasting = |rows: &[LogRow]| -> Vec<String> {
            rows.iter().filter(|row| row.entity == "approval").map(|row| format!("{:?}", row.body)).collect()
        };
        assert!(
            lasting(&log_of(&world).await)
                .iter()
                .all(|row| !row.contains("Muster") && !row.contains("Letter"))
        );
        match end {
            "reject" => _ = crm.approvals().reject(&dan, asked.id, Expect::Any, None).await.unwrap(),
            "expire" => {
                world.env.advance(Duration::days(14));
                assert_eq!(crm.approvals().expire(&world.system()).await.unwrap(), 1);
            }
            _ => {
                let done = crm.approvals().approve(&dan, asked.id, Expect::Any, None).await.unwrap();
                let sweep = done.sweep_id.unwrap();
                let written: Vec<&str> = done.written.iter().map(|(entity, ..)| entity.as_str()).collect();
                assert_eq!(written, ["sweep", "approval"], "one commit");
                let planned: Sweep = crm.get(&dan, sweep).await.unwrap();
                assert_eq!((planned.changed, planned.is_done), (0, false));
                assert_eq!(planned.reason, format!("approval {}", asked.id));
                // The second one was logged after it was asked for, and is not for who asked to see.
                assert_eq!(crm.sweeps().run(&dan, sweep).await.unwrap().changed, 2);
                assert_eq!(crm.sweeps().run(&dan, sweep).await.unwrap().changed, 2);
            }
        }
        let ended = crm.approvals().get(&ada, asked.id).await.unwrap();
        assert!(ended.request.is_none() && ended.reason.is_some());
        let rows = log_of(&world).await;
        for row in rows.iter().filter(|row| row.record_id == asked.id.0) {
            assert!(row.private.is_none(), "{row:?}");
            assert_eq!(row.body.events[0].data["approval_id"], json!(asked.id));
        }
        assert!(lasting(&rows).iter().all(|row| !row.contains("Muster") && !row.contains("Letter")));
        let still = all::<Interaction>(crm, &world.system()).await;
        assert_eq!(still.iter().map(|interaction| interaction.id).collect::<Vec<_>>(), [kept]);
        let history = crm.log().history::<Interaction>(&world.manager(), first).await.unwrap();
        assert_eq!(history.len(), if end == "delete" { 2 } else { 3 }, "{end}");
    }
}
