//! What somebody else has to decide on (SPEC XT-08).

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, TimeZone as _, Utc};
use crm_core::approval::{
    Approval, ApprovalId, ApprovalRefusal, ApprovalRequest, ApprovalStatus, EXPIRE_BATCH,
};
use crm_core::command::{Changes, Command, Decline, Loaded, Need, NoRefusal};
use crm_core::directory::UserId;
use crm_core::interaction::Interaction;
use crm_core::log::{Actor, ActorKind, LogRow};
use crm_core::policy::{Action, Policy};
use crm_core::record::Meta;
use crm_core::sweep::{Sweep, SweepAction, SweepRefusal};
use crm_core::timeline::Visibility;
use crm_core::value::{Instant, truncate};
use crm_core::{Context, Crm, Env as _, Error, Expect, Find, Page};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::dice::Dice;
use super::tenants::dump;
use super::world::{ADA, BOB, World, all, at_once, is, process, seed, tally};
use crate::{Harness, size};

const CYD: Uuid = Uuid::from_u128(0xc1d);
const DAN: Uuid = Uuid::from_u128(0xda4);

/// A request to delete records.
fn deletion(entity: &str, criteria: Json) -> ApprovalRequest {
    ApprovalRequest::BulkDelete { entity: entity.to_owned(), criteria, reason: "Asked by letter".to_owned() }
}

/// A request to delete all customers of a name.
fn named(name: &str) -> ApprovalRequest {
    deletion("customer", is("display_name", "eq", name))
}

/// A user in a role.
fn someone(world: &World, id: Uuid, role: &str) -> Context {
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
struct Plant(Vec<Approval>);

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
fn planted(id: u128, command: &str, input: Json, expires_at: Instant) -> Approval {
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
async fn walk(crm: &Crm, ctx: &Context, limit: usize) -> Vec<ApprovalId> {
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

/// What the command within declines is declined, nothing of it is half done, and the request goes on waiting; so does
/// one whose command this version does not know, and one that was erased. Each can still be rejected.
pub async fn xt_08_what_cannot_be_carried_out_goes_on_waiting(harness: &dyn Harness) {
    let catalog = crate::contract::extra_entity::catalog();
    let world = World::knowing(harness, catalog, super::world::at(super::world::START)).await;
    let (crm, ada, dan) = (&world.crm, world.ada(), someone(&world, DAN, "admin"));
    let soon = world.env.now() + Duration::days(1);
    let customer = world.customer("Subject").await.id;
    let input =
        |entity: &str, criteria: Json| json!({ "entity": entity, "criteria": criteria, "reason": "x" });
    let vip = || is("is_vip", "eq", true);
    let cases = [
        ("sweeps.delete", input("planet", vip()), "sweep_entity"),
        ("sweeps.delete", input("visit", json!({ "all": [] })), "sweep_append_only"),
        ("sweeps.purge", input("customer", is("colour", "eq", "red")), "invalid_criteria"),
        ("sweeps.purge", json!({ "entity": "customer" }), "store_corrupt"),
        ("rockets.launch", input("customer", vip()), "store_corrupt"),
    ];
    let mut all_planted: Vec<Approval> = (1..)
        .zip(&cases)
        .map(|(id, (command, input, _))| planted(id, command, input.clone(), soon))
        .collect();
    let about = Approval {
        customer_id: Some(customer),
        ..planted(77, "sweeps.delete", input("customer", vip()), soon)
    };
    all_planted.push(about.clone());
    crm.run(&ada, &Plant(all_planted.clone())).await.unwrap();
    let rows = log_of(&world).await.len();
    for (approval, (command, _, code)) in all_planted.iter().zip(&cases) {
        for expect in [Expect::Any, Expect::Version(1)] {
            let refused = crm.approvals().approve(&dan, approval.id, expect, None).await.unwrap_err();
            assert_eq!(refused.code(), *code, "{command}: {refused}");
        }
        let stored = crm.approvals().get(&ada, approval.id).await.unwrap();
        assert_eq!((stored.status, stored.meta.version), (ApprovalStatus::Pending, 1));
        assert_eq!(stored.request, approval.request);
    }
    let inner = crm.approvals().approve(&dan, all_planted[1].id, Expect::Any, None).await.unwrap_err();
    assert!(
        matches!(inner, Error::Refused(ApprovalRefusal::Sweep(SweepRefusal::AppendOnly(name))) if name == "visit")
    );

    // One that is about a customer is hidden with it.
    crm.customers().delete(&ada, customer, Expect::Any).await.unwrap();
    for outcome in [
        crm.approvals().approve(&dan, about.id, Expect::Any, None).await.map(|done| done.value),
        crm.approvals().reject(&dan, about.id, Expect::Any, None).await.map(|done| done.value),
    ] {
        assert!(matches!(outcome, Err(Error::NotFound { entity: "approval", id }) if id == about.id.0));
    }
    assert_eq!(crm.approvals().get(&ada, about.id).await.unwrap_err().code(), "not_found");
    assert_eq!(walk(crm, &ada, 3).await.len(), cases.len());
    assert!(all::<Sweep>(crm, &dan).await.is_empty());
    assert_eq!(log_of(&world).await.len(), rows + 1, "something of what was refused is stored");
    crm.customers().restore(&ada, customer).await.unwrap();

    // What was erased is not carried out any more.
    let sweep = crm.sweeps().plan(&dan, "approval", None, SweepAction::Mask, "erasure").await.unwrap().id;
    crm.sweeps().run(&dan, sweep).await.unwrap();
    let erased = crm.approvals().approve(&dan, about.id, Expect::Any, None).await.unwrap_err();
    assert!(matches!(erased, Error::Refused(ApprovalRefusal::Erased(id)) if id == about.id), "{erased:?}");
    for approval in &all_planted {
        let rejected = crm.approvals().reject(&dan, approval.id, Expect::Any, Some("no")).await.unwrap();
        assert_eq!((rejected.status, rejected.request.is_none()), (ApprovalStatus::Rejected, true));
    }
    assert_eq!(all::<Sweep>(crm, &dan).await.len(), 1, "the one that has erased");
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
    let ends: [(&str, fn(String, Json) -> ApprovalRequest); 4] = [
        ("delete", |entity, criteria| ApprovalRequest::BulkDelete {
            entity,
            criteria,
            reason: "Letter 7".to_owned(),
        }),
        ("purge", |entity, criteria| ApprovalRequest::Purge {
            entity,
            criteria,
            reason: "Letter 7".to_owned(),
        }),
        ("reject", |entity, criteria| ApprovalRequest::Purge {
            entity,
            criteria,
            reason: "Letter 7".to_owned(),
        }),
        ("expire", |entity, criteria| ApprovalRequest::Purge {
            entity,
            criteria,
            reason: "Letter 7".to_owned(),
        }),
    ];
    for (end, request) in ends {
        let request = request("interaction".to_owned(), is("subject", "eq", "Erika Muster"));
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

/// Wrong requests are refused with what is wrong, and nothing is stored.
pub async fn xt_08_wrong_requests_are_refused(harness: &dyn Harness) {
    let catalog = crate::contract::extra_entity::catalog();
    let leap_day = super::world::at("2024-02-29T12:00:00.000999Z");
    let world = World::knowing(harness, catalog, leap_day).await;
    let (crm, ada, dan) = (&world.crm, world.ada(), someone(&world, DAN, "admin"));
    let open = crm.approvals().request(&ada, named("Open")).await.unwrap();
    let before = dump(crm, world.tenant).await;
    let everything = || json!({ "all": [] });
    let refused = async |request: ApprovalRequest, code: &str| {
        let both = [
            crm.approvals().request(&ada, request.clone()).await,
            crm.approvals().request(&ada.clone().with_key("wrong"), request.clone()).await,
        ];
        for outcome in both {
            let error = outcome.unwrap_err();
            assert_eq!(error.code(), code, "{request:?}: {error}");
            assert!(error.to_string().len() < 1_000, "{error}");
        }
    };
    let long = "é".repeat(100_000);
    for entity in ["", "planet", "Customer", "customer\0", "customer ", &long] {
        refused(deletion(entity, everything()), "sweep_entity").await;
    }
    refused(deletion("visit", everything()), "sweep_append_only").await;
    let deep = (0..40).fold(everything(), |inner, _| json!({ "not": inner }));
    for criteria in [
        json!(null),
        json!("all"),
        json!([]),
        json!({ "all": {} }),
        is("colour", "eq", "red"),
        is("display_name", "like", "A"),
        is("display_name", "eq", "a\0b"),
        is("created_at", "lt", "yesterday"),
        json!({ "field": "created_at", "operator": "lt", "value": "now", "zone": "Mars" }),
        deep,
    ] {
        refused(deletion("customer", criteria.clone()), "invalid_criteria").await;
        let (entity, reason) = ("customer".to_owned(), "x".to_owned());
        refused(ApprovalRequest::Purge { entity, criteria, reason }, "invalid_criteria").await;
    }
    let invalid = async |request: ApprovalRequest, expires_at: Option<Instant>, field: &str| {
        let outcome = match expires_at {
            None => crm.approvals().request(&ada, request).await,
            Some(at) => crm.approvals().request_until(&ada, request, at).await,
        };
        match outcome {
            Err(Error::Invalid(errors)) => {
                assert_eq!(errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), [field]);
                assert!(errors[0].why.len() > 10 && errors[0].why.len() < 400, "{errors:?}");
            }
            other => panic!("{field}: {other:?}"),
        }
    };
    for reason in ["", " \t ", "a\0b", "two\nlines", &"é".repeat(501), &long] {
        let (entity, criteria) = ("customer".to_owned(), everything());
        let reason = reason.to_owned();
        let purge = ApprovalRequest::Purge {
            entity: entity.clone(),
            criteria: criteria.clone(),
            reason: reason.clone(),
        };
        invalid(purge, None, "reason").await;
        invalid(ApprovalRequest::BulkDelete { entity, criteria, reason }, None, "reason").await;
    }
    let many: Json = (0..900).map(|n| is("display_name", "eq", format!("{n:0>100}"))).collect();
    invalid(deletion("customer", json!({ "any": many })), None, "request").await;
    let now = truncate(world.env.now());
    for at in [
        now,
        now - Duration::milliseconds(1),
        now + Duration::microseconds(999),
        now + Duration::days(365) + Duration::milliseconds(1),
        Utc.with_ymd_and_hms(1, 1, 1, 0, 0, 0).unwrap(),
        Utc.with_ymd_and_hms(9999, 12, 31, 0, 0, 0).unwrap(),
        DateTime::<Utc>::MAX_UTC,
        DateTime::<Utc>::MIN_UTC,
    ] {
        invalid(named("When"), Some(at), "expires_at").await;
    }
    for note in ["a\0b", "two\nlines", &"é".repeat(501)] {
        for outcome in [
            crm.approvals().approve(&dan, open.id, Expect::Any, Some(note)).await,
            crm.approvals().reject(&dan, open.id, Expect::Any, Some(note)).await,
        ] {
            assert!(matches!(outcome, Err(Error::Invalid(errors)) if errors[0].field == "decision_note"));
        }
    }
    for (id, code) in [(Uuid::nil(), "not_found"), (Uuid::from_u128(404), "not_found")] {
        let id = ApprovalId(id);
        assert_eq!(crm.approvals().approve(&dan, id, Expect::Any, None).await.unwrap_err().code(), code);
        assert_eq!(crm.approvals().reject(&ada, id, Expect::Any, None).await.unwrap_err().code(), code);
        assert_eq!(crm.approvals().get(&ada, id).await.unwrap_err().code(), code);
    }
    assert_eq!(dump(crm, world.tenant).await, before, "something of what was refused is stored");
    assert!(all::<Sweep>(crm, &dan).await.is_empty());

    let last = crm.approvals().request_until(&ada, named("Last"), now + Duration::days(365)).await.unwrap();
    assert_eq!(last.expires_at, super::world::at("2025-02-28T12:00:00Z"));
    let odd = deletion("customer", is("display_name", "eq", "a\u{FEFF}\u{1F600}b"));
    let kept = crm.approvals().request(&ada, odd.clone()).await.unwrap();
    assert_eq!(crm.approvals().get(&ada, kept.id).await.unwrap().asked().unwrap(), Some(odd));
}

/// A policy that lets everybody do everything, portals included; but users neither approve nor delete customers.
struct Generous;

impl Policy for Generous {
    fn allows(&self, ctx: &Context, action: Action, entity: &str) -> bool {
        ctx.has_role("admin")
            || !matches!((action, entity), (Action::Delete, "customer") | (Action::Approve, _))
    }
}

/// Who may ask, approve, reject, mark and read.
pub async fn xt_04_deciding_on_others_requests_takes_a_right_of_its_own(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let crm = &world.crm;
    let portal = Context {
        actor: Actor { kind: ActorKind::Customer, id: Some(BOB) },
        ..someone(&world, BOB, "admin")
    };
    let roles = [
        ("none", Context { roles: Vec::new(), ..world.bob() }, "......"),
        ("portal", portal, "......"),
        ("reader", someone(&world, BOB, "reader"), "g....."),
        ("user", someone(&world, BOB, "user"), "gqw..."),
        ("manager", someone(&world, BOB, "manager"), "gqwr.."),
        ("admin", someone(&world, BOB, "admin"), "gqwrae"),
    ];
    for (name, ctx, may) in roles {
        let fresh = async || crm.approvals().request(&world.ada(), named(name)).await.unwrap().id;
        let mut codes = Vec::new();
        let mut tried = |letter: char, code: Option<&'static str>| codes.push((letter, code));
        let id = fresh().await;
        tried('g', crm.approvals().get(&ctx, id).await.err().map(|e| e.code()));
        tried('g', crm.approvals().find(&ctx, &Find::all()).await.err().map(|e| e.code()));
        tried('g', crm.approvals().pending(&ctx, 5, None).await.err().map(|e| e.code()));
        let own = crm.approvals().request(&ctx, named(name)).await;
        tried('q', own.as_ref().err().map(Error::code));
        if let Ok(own) = own {
            // Withdrawing takes no more than asking.
            tried('w', crm.approvals().reject(&ctx, own.id, Expect::Any, None).await.err().map(|e| e.code()));
        }
        tried('r', crm.approvals().reject(&ctx, id, Expect::Any, None).await.err().map(|e| e.code()));
        let id = fresh().await;
        tried('a', crm.approvals().approve(&ctx, id, Expect::Any, None).await.err().map(|e| e.code()));
        tried('e', crm.approvals().expire(&ctx).await.err().map(|e| e.code()));
        for (letter, code) in codes {
            let expected = if may.contains(letter) { None } else { Some("forbidden") };
            assert_eq!(code, expected, "{name}: {letter}");
        }
    }
    // A manager may approve, but not what takes an admin; the refusal says what is missing.
    let id = crm.approvals().request(&world.ada(), named("Manager")).await.unwrap().id;
    let manager = someone(&world, BOB, "manager");
    let refused = crm.approvals().approve(&manager, id, Expect::Any, None).await;
    assert!(matches!(refused, Err(Error::Forbidden { action: "purge", entity: "sweep" })), "{refused:?}");
    // Nobody approves what they asked for, in whatever role; the system has no second pair of eyes either.
    let own = crm.approvals().approve(&someone(&world, ADA, "admin"), id, Expect::Any, None).await;
    assert!(matches!(own, Err(Error::Refused(ApprovalRefusal::OwnRequest(of))) if of == id));
    let systems = crm.approvals().request(&world.system(), named("System")).await.unwrap().id;
    let own = crm.approvals().approve(&world.system(), systems, Expect::Any, None).await.unwrap_err();
    assert_eq!(own.code(), "own_request");
    let done =
        crm.approvals().approve(&someone(&world, DAN, "admin"), systems, Expect::Any, None).await.unwrap();
    assert_eq!((done.requested_by, done.decided_by), (None, Some(UserId(DAN))));
    // What the system asked for is not a user's to withdraw.
    let systems = crm.approvals().request(&world.system(), named("System")).await.unwrap().id;
    let user = someone(&world, BOB, "user");
    let refused = crm.approvals().reject(&user, systems, Expect::Any, None).await;
    assert!(
        matches!(refused, Err(Error::Forbidden { action: "approve", entity: "approval" })),
        "{refused:?}"
    );

    // Asking to delete takes what deleting takes. Where customers ask, one does not withdraw what another asked for.
    let strict = Crm::builder_shared(world.store.clone())
        .shared_env(world.env.clone())
        .cursor_key(super::world::KEY)
        .policy(Generous)
        .build()
        .unwrap();
    for request in [
        named("X"),
        ApprovalRequest::Purge {
            entity: "customer".to_owned(),
            criteria: json!({ "all": [] }),
            reason: "x".to_owned(),
        },
    ] {
        let refused = strict.approvals().request(&user, request.clone()).await;
        assert!(
            matches!(refused, Err(Error::Forbidden { action: "delete", entity: "customer" })),
            "{refused:?}"
        );
        strict.approvals().request(&world.system(), request).await.unwrap();
    }
    strict.approvals().request(&user, deletion("note", json!({ "all": [] }))).await.unwrap();
    let customer = |id| Context {
        actor: Actor { kind: ActorKind::Customer, id: Some(Uuid::from_u128(id)) },
        ..someone(&world, BOB, "portal")
    };
    let theirs =
        strict.approvals().request(&customer(1), deletion("note", json!({ "all": [] }))).await.unwrap();
    for ctx in [customer(2), user] {
        let refused = strict.approvals().reject(&ctx, theirs.id, Expect::Any, None).await;
        assert!(matches!(refused, Err(Error::Forbidden { action: "approve", .. })), "{refused:?}");
    }
    let done = strict.approvals().approve(&someone(&world, DAN, "admin"), theirs.id, Expect::Any, None).await;
    assert_eq!(done.unwrap().requested_by, None);
}
