//! Requests and decisions that are refused, and who may make them (SPEC XT-04, XT-08).

use chrono::{DateTime, Duration, TimeZone as _, Utc};
use crm_core::approval::{Approval, ApprovalId, ApprovalRefusal, ApprovalRequest, ApprovalStatus};
use crm_core::directory::UserId;
use crm_core::log::{Actor, ActorKind};
use crm_core::policy::{Action, Policy};
use crm_core::sweep::{Sweep, SweepAction, SweepRefusal};
use crm_core::value::{Instant, truncate};
use crm_core::{Context, Crm, Env as _, Error, Expect, Find};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::approvals::{DAN, Plant, deletion, log_of, named, planted, someone, walk};
use super::tenants::dump;
use super::world::{ADA, BOB, World, all, is};
use crate::Harness;

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
