//! What the directory refuses: rings of managers, leavers whom nobody follows, wrong teams (SPEC XT-07, CM-10).

use std::collections::{BTreeMap, BTreeSet};

use crm_core::customer::Customer;
use crm_core::directory::{Assignee, DirectoryRefusal, MAX_MANAGERS, Team, TeamId, User, UserId};
use crm_core::sweep::{SweepAction, SweepRefusal};
use crm_core::{Context, Error, Expect, Find};
use uuid::Uuid;

use super::dice::Dice;
use super::directory::{leave, nth, owned, put, worker};
use super::world::{ADA, BOB, GONE, World, all, at_once, is, matching, seed, tally};
use crate::{Harness, size};

/// Who has nobody to take over stays, with everything: the refusal says what would be accepted. Who owns nothing may
/// go. A put does not deactivate, and a sweep deletes no user.
pub async fn cm_10_an_owner_leaves_only_when_somebody_takes_over(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, system) = (&world.crm, world.ada(), world.system());
    // Below Gone, who is not active, below nobody.
    let below_gone = worker(1, Some(UserId(GONE)));
    put(&world, vec![below_gone.clone(), worker(2, None)]).await;
    let customer = crm.customers().create(&ctx, owned(nth(1), "Kept")).await.unwrap().id;
    let refused = crm.users().deactivate(&system, nth(1)).await;
    assert!(
        matches!(&refused, Err(Error::Refused(DirectoryRefusal::NoSuccessor(id))) if *id == nth(1)),
        "{refused:?}"
    );
    assert!(refused.unwrap_err().to_string().contains("pool_id"));
    assert!(crm.users().get(&ctx, nth(1)).await.unwrap().is_active, "nothing is changed");
    assert_eq!(crm.users().deactivate(&system, nth(2)).await.unwrap(), 0, "who owns nothing may go");
    let unknown = crm.users().deactivate(&system, nth(404)).await.unwrap_err();
    assert_eq!(unknown.code(), "not_found");
    let put = crm.users().put(&system, vec![User { is_active: false, ..below_gone }]).await;
    assert!(
        matches!(&put, Err(Error::Refused(DirectoryRefusal::Deactivation(id))) if *id == nth(1)),
        "{put:?}"
    );
    for entity in ["user", "assignee"] {
        let sweep = crm.sweeps().plan(&system, entity, None, SweepAction::Delete, "clean up").await;
        assert!(matches!(sweep, Err(Error::Refused(SweepRefusal::Kept { .. }))), "{sweep:?}");
    }
    crm.settings().update(&system, |settings| settings.pool_id = Some(UserId(BOB))).await.unwrap();
    assert_eq!(crm.users().deactivate(&system, nth(1)).await.unwrap(), 1);
    assert_eq!(crm.customers().get(&ctx, customer).await.unwrap().owner_id, Some(UserId(BOB)));
    // Who has nobody above and gets a customer at the very moment: either stays with it, or is gone without one.
    crm.settings().update(&system, |settings| settings.pool_id = None).await.unwrap();
    let mut stayed = 0;
    for round in 0..size(10, 60) {
        let user = nth(100 + round);
        crm.users().put(&system, vec![worker(100 + round, None)]).await.unwrap();
        let results = at_once(4, |n| {
            let (crm, ctx, system) = (crm.clone(), ctx.clone(), system.clone());
            async move {
                if n == round % 4 {
                    return crm.users().deactivate(&system, user).await.map(|_| ()).map_err(|e| e.code());
                }
                // In some rounds they come later.
                for _ in 0..round % 4 {
                    crm.users().get(&ctx, user).await.unwrap();
                }
                crm.customers().create(&ctx, owned(user, "At once")).await.map(|_| ()).map_err(|e| e.code())
            }
        })
        .await;
        let theirs = matching::<Customer>(crm, &ctx, is("owner_id", "eq", user.0.to_string())).await.len();
        let active = crm.users().get(&ctx, user).await.unwrap().is_active;
        stayed += usize::from(active);
        assert_eq!(active, results[round % 4].is_err());
        assert!(active || theirs == 0, "gone, and {theirs} are left: {results:?}");
        for (n, result) in results.iter().enumerate().filter_map(|(n, r)| Some((n, r.err()?))) {
            let fits: &[&str] =
                if n == round % 4 { &["no_successor", "in_use"] } else { &["customer_owner"] };
            assert!(fits.contains(&result), "{results:?}");
        }
    }
    println!("{}: {stayed} of {} stayed", harness.name(), size(10, 60));
}

/// A customer that was deleted stays with its owner; once restored, it is with who takes over from an owner who has
/// left.
pub async fn cm_10_a_restored_customer_is_with_who_takes_over(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, system) = (&world.crm, world.ada(), world.system());
    put(&world, vec![worker(1, None), worker(2, Some(nth(1))), worker(3, Some(nth(2)))]).await;
    let mut customers = Vec::new();
    for n in 0..4 {
        let customer = crm.customers().create(&ctx, owned(nth(3), &format!("Deleted {n}"))).await.unwrap();
        crm.customers().delete(&ctx, customer.id, Expect::Any).await.unwrap();
        customers.push(customer.id);
    }
    let restored = async |n: usize| {
        let done = crm.customers().restore(&ctx, customers[n]).await;
        done.map(|done| done.owner_id).map_err(|error| error.code())
    };
    assert_eq!(restored(0).await, Ok(Some(nth(3))), "an active owner keeps it");
    crm.customers().delete(&ctx, customers[0], Expect::Any).await.unwrap();
    assert_eq!(crm.users().deactivate(&system, nth(3)).await.unwrap(), 0, "the deleted ones stay");
    assert_eq!(restored(0).await, Ok(Some(nth(2))));
    let history = crm.log().history::<Customer>(&world.manager(), customers[0]).await.unwrap();
    let told: Vec<_> = history[0].row.body.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(told, ["customer.restored", "customer.updated", "customer.owner_changed"]);
    assert_eq!(crm.users().deactivate(&system, nth(2)).await.unwrap(), 1);
    assert_eq!(restored(1).await, Ok(Some(nth(1))));
    crm.settings().update(&system, |settings| settings.pool_id = Some(UserId(BOB))).await.unwrap();
    assert_eq!(crm.users().deactivate(&system, nth(1)).await.unwrap(), 2);
    assert_eq!(restored(2).await, Ok(Some(UserId(BOB))));
    crm.settings().update(&system, |settings| settings.pool_id = None).await.unwrap();
    assert_eq!(restored(3).await, Err("no_successor"));
    assert_eq!(crm.customers().get(&ctx, customers[3]).await.unwrap_err().code(), "not_found");
    let stored = crm.users().get(&ctx, nth(1)).await.unwrap();
    put(&world, vec![User { is_active: true, ..stored }]).await;
    assert_eq!(restored(3).await, Ok(Some(nth(1))));
}

/// Nobody stands above themselves: a ring of any length is refused by name, within a batch and across what is stored;
/// so is a manager who is not there, and one too many.
pub async fn xt_07_a_ring_of_managers_is_refused(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, system) = (&world.crm, world.ada(), world.system());
    let refused = async |users: Vec<User>| match crm.users().put(&system, users).await {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    // Within a batch: nothing of it is stored.
    let batch = (0..5).map(|n| worker(n, Some(nth((n + 1) % 5)))).collect();
    let DirectoryRefusal::ManagerRing(ring) = refused(batch).await else { panic!("no ring") };
    assert_eq!(ring, (0..5).map(nth).collect::<Vec<_>>());
    assert_eq!(all::<User>(crm, &ctx).await.len(), 3);
    assert_eq!(refused(vec![worker(0, Some(nth(0)))]).await, DirectoryRefusal::ManagerRing(vec![nth(0)]));
    let unknown = DirectoryRefusal::Manager { user: nth(0), manager: nth(404) };
    assert_eq!(refused(vec![worker(0, Some(nth(404)))]).await, unknown);
    // As deep as may be, put in one batch from the bottom up.
    let chain = (0..=MAX_MANAGERS).rev().map(|n| worker(n, n.checked_sub(1).map(nth)));
    put(&world, chain.collect()).await;
    let deeper = worker(MAX_MANAGERS + 1, Some(nth(MAX_MANAGERS)));
    assert_eq!(refused(vec![deeper]).await, DirectoryRefusal::TooManyManagers(nth(MAX_MANAGERS + 1)));
    for length in [2, 3, 50, MAX_MANAGERS + 1] {
        let above = worker(0, Some(nth(length - 1)));
        let refusal = refused(vec![above]).await;
        let DirectoryRefusal::ManagerRing(ring) = &refusal else { panic!("{refusal:?}") };
        assert_eq!(
            ring.iter().collect::<BTreeSet<_>>(),
            (0..length).map(nth).collect::<Vec<_>>().iter().collect()
        );
        assert!(refusal.to_string().contains(&nth(length - 1).to_string()), "{refusal}");
    }
    // Partly stored, partly in the batch.
    let refusal = refused(vec![worker(200, Some(nth(40))), worker(0, Some(nth(200)))]).await;
    assert!(matches!(refusal, DirectoryRefusal::ManagerRing(ring) if ring.len() == 42));
    // The same two exchange places in one batch, which is no ring.
    put(&world, vec![worker(1, None), worker(0, Some(nth(1)))]).await;
    let below = crm.users().find(&ctx, &Find::matching(is("manager.name", "eq", "worker 1"))).await.unwrap();
    assert_eq!(below.items.iter().map(|user| user.id).collect::<Vec<_>>(), [nth(0), nth(2)]);
    // Any sequence of random moves, in batches, is a forest as a naive walk sees it.
    let seed = seed();
    let mut dice = Dice::new(seed);
    let mut model: BTreeMap<UserId, Option<UserId>> = (300..312).map(|n| (nth(n), None)).collect();
    put(&world, (300..312).map(|n| worker(n, None)).collect()).await;
    let mut said = Vec::new();
    for _ in 0..size(100, 1_000) {
        let mut next = model.clone();
        let mut batch = BTreeMap::new();
        for _ in 0..dice.between(1, 4) {
            let n = 300 + dice.below(12);
            let manager = dice.maybe(4, |dice| nth(300 + dice.below(12)));
            next.insert(nth(n), manager);
            batch.insert(n, worker(n, manager));
        }
        let forest = next.keys().all(|user| {
            let walk = std::iter::successors(Some(*user), |at| next[at]);
            walk.take(14).count() < 14
        });
        let done = crm.users().put(&system, batch.into_values().collect()).await;
        assert_eq!(done.is_ok(), forest, "seed {seed}: {done:?}");
        said.push(if forest { "put" } else { "ring" });
        if forest {
            model = next;
        }
    }
    println!("{}: {:?}", harness.name(), tally(said.into_iter()));
    let stored = all::<User>(crm, &ctx).await.into_iter().map(|user| (user.id, user.manager_id));
    let stored: BTreeMap<_, _> = stored.filter(|(id, _)| model.contains_key(id)).collect();
    assert_eq!(stored, model, "seed {seed}");
}

/// Of those who would close a ring at the same time, each in a process of its own, exactly one is refused.
pub async fn xt_07_of_those_who_close_a_ring_at_once_one_is_refused(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, system) = (world.crm.clone(), world.second(harness).await, world.system());
    for round in 0..size(10, 100) {
        let length = 2 + round % 3;
        let first = round * 10;
        put(&world, (0..length).map(|n| worker(first + n, None)).collect()).await;
        let results = at_once(length, |n| {
            let (crm, system) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, system.clone());
            let moved = worker(first + n, Some(nth(first + (n + 1) % length)));
            async move { crm.users().put(&system, vec![moved]).await.map(|_| ()) }
        })
        .await;
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1, "{results:?}");
        let ring = |r: &Result<(), _>| matches!(r, Err(Error::Refused(DirectoryRefusal::ManagerRing(ring))) if ring.len() == length);
        assert_eq!(results.iter().filter(|result| ring(result)).count(), 1, "{results:?}");
    }
}

/// Pool and data protection officer are active users: nobody else is named, and who is named does not leave before
/// another one is; of a naming and a leaving at once, one is refused.
pub async fn xt_07_pool_and_data_protection_officer_are_active(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, system) = (world.crm.clone(), world.ada(), world.system());
    for user in [GONE, Uuid::from_u128(404), world.tenant.0] {
        for field in ["pool_id", "data_protection_officer_id"] {
            let settings = crm.settings();
            let named = settings.update(&system, |settings| match field {
                "pool_id" => settings.pool_id = Some(UserId(user)),
                _ => settings.data_protection_officer_id = Some(UserId(user)),
            });
            match named.await {
                Err(Error::Invalid(errors)) => {
                    assert_eq!((errors[0].field.as_str(), errors.len()), (field, 1));
                    assert!(errors[0].why.contains("active user"), "{errors:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(crm.settings().get(&ctx).await.unwrap().meta.version, 0, "nothing is stored");
    put(&world, vec![worker(1, Some(UserId(ADA)))]).await;
    let name = |settings: &mut crm_core::tenant::Settings| {
        settings.pool_id = Some(UserId(BOB));
        settings.data_protection_officer_id = Some(nth(1));
    };
    crm.settings().update(&system, name).await.unwrap();
    for (user, setting) in [(UserId(BOB), "pool_id"), (nth(1), "data_protection_officer_id")] {
        let refused = crm.users().deactivate(&system, user).await;
        let Err(Error::Refused(refusal)) = refused else { panic!("{refused:?}") };
        assert_eq!(refusal, DirectoryRefusal::InSettings { user, setting });
        assert!(refusal.to_string().contains(setting));
    }
    crm.settings().update(&system, |settings| settings.pool_id = Some(UserId(ADA))).await.unwrap();
    crm.users().deactivate(&system, UserId(BOB)).await.unwrap();
    // The settings can be changed otherwise although who is named was so long ago.
    crm.settings().update(&system, |settings| settings.zone = "Asia/Tokyo".to_owned()).await.unwrap();
    let other = world.second(harness).await;
    let mut named = 0;
    for round in 0..size(12, 100) {
        let user = nth(100 + round);
        put(&world, vec![worker(100 + round, None)]).await;
        let results = at_once(2, |n| {
            let (crm, system) = (if n == 0 { crm.clone() } else { other.clone() }, system.clone());
            async move {
                if n == 0 {
                    // In some rounds it comes later.
                    for _ in 0..round % 4 {
                        crm.users().get(&system, user).await.unwrap();
                    }
                    let done = crm.settings().update(&system, |s| s.pool_id = Some(user)).await;
                    return done.map(|_| ()).map_err(|error| error.code());
                }
                crm.users().deactivate(&system, user).await.map(|_| ()).map_err(|error| error.code())
            }
        })
        .await;
        let active = crm.users().get(&ctx, user).await.unwrap().is_active;
        match results.as_slice() {
            [Ok(()), Err("user_in_settings" | "in_use")] => assert!(active),
            [Err("invalid"), Ok(())] => assert!(!active),
            _ => panic!("{results:?}"),
        }
        named += usize::from(active);
        assert_eq!(crm.settings().get(&ctx).await.unwrap().pool_id == Some(user), active);
    }
    println!("{}: {named} of {} were named first", harness.name(), size(12, 100));
}

/// Teams are put before their users; their names are unique in any case; what is wrong is refused and not stored.
pub async fn xt_07_teams_are_kept_and_users_belong_to_them(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, system) = (&world.crm, world.ada(), world.system());
    let team = |n: u128, name: &str| Team {
        id: TeamId(Uuid::from_u128(n)),
        name: name.to_owned(),
        ..Team::default()
    };
    let sales = Team { lead_id: Some(UserId(ADA)), ..team(1, "  Straße West ") };
    let kept = crm.teams().put(&system, vec![sales.clone(), team(2, "Support")]).await.unwrap().value;
    assert_eq!(
        (kept[0].name.as_str(), kept[0].lead_id, kept[0].meta.version),
        ("Straße West", Some(UserId(ADA)), 1)
    );
    assert!(
        crm.teams().put(&system, vec![sales]).await.unwrap().written.is_empty(),
        "a repeat changes nothing"
    );
    assert_eq!(crm.teams().get(&ctx, TeamId(Uuid::from_u128(1))).await.unwrap(), kept[0]);
    let taken = crm.teams().put(&system, vec![team(3, "STRASSE west")]).await.unwrap_err();
    assert!(matches!(taken, Error::NotUnique { rule: "team_name_once" }), "{taken:?}");
    let renamed = crm.teams().put(&system, vec![team(1, "North")]).await.unwrap();
    let freed = crm.teams().put(&system, vec![team(3, "Straße West")]).await.unwrap();
    assert_eq!((renamed[0].meta.version, freed[0].meta.version), (2, 1));
    let named = crm.teams().find(&ctx, &Find::matching(is("name", "starts_with", "NOR"))).await.unwrap();
    assert_eq!(named.items, [renamed[0].clone()]);
    for name in ["", " \t", "a\0b", "two\nlines", &"é".repeat(201)] {
        let refused = crm.teams().put(&system, vec![team(4, "Fine"), team(5, name)]).await.unwrap_err();
        let Error::Invalid(errors) = refused else { panic!("{name:?}: {refused:?}") };
        assert_eq!(errors[0].field, "[1].name");
    }
    assert_eq!(crm.teams().put(&system, vec![team(0, "Nobody's")]).await.unwrap_err().code(), "no_id");
    assert_eq!(all::<Team>(crm, &ctx).await.len(), 3);
    // Users with a role and a team.
    let agent = User {
        role: Some("Key Account Manager 🦊".to_owned()),
        team_id: Some(TeamId(Uuid::from_u128(2))),
        ..worker(1, Some(UserId(ADA)))
    };
    let stored = crm.users().put(&system, vec![agent.clone()]).await.unwrap().value.remove(0);
    assert_eq!(
        (&stored.role, stored.team_id, stored.manager_id),
        (&agent.role, agent.team_id, agent.manager_id)
    );
    let found = matching::<User>(crm, &ctx, is("team.name", "eq", "support")).await;
    assert_eq!(found, std::slice::from_ref(&stored));
    let nowhere = User { team_id: Some(TeamId(Uuid::from_u128(404))), ..worker(2, None) };
    let refused = crm.users().put(&system, vec![worker(3, None), nowhere]).await;
    let expected = DirectoryRefusal::Team { user: nth(2), team: TeamId(Uuid::from_u128(404)) };
    assert!(matches!(&refused, Err(Error::Refused(refusal)) if *refusal == expected), "{refused:?}");
    for role in ["a\0b", "two\nlines", &"é".repeat(51)] {
        let user = User { role: Some(role.to_owned()), ..worker(4, None) };
        let refused = crm.users().put(&system, vec![user]).await.unwrap_err();
        let Error::Invalid(errors) = refused else { panic!("{role:?}: {refused:?}") };
        assert_eq!(errors[0].field, "role");
    }
    assert_eq!(crm.users().put(&system, vec![User::default()]).await.unwrap_err().code(), "no_id");
    assert_eq!(all::<User>(crm, &ctx).await.len(), 4, "nothing of what was refused is stored");
    // That a user is active is one record, whatever is put how often.
    put(&world, vec![User { role: None, ..agent }]).await;
    leave(crm, &system, nth(1)).await.unwrap();
    put(&world, vec![User { is_active: true, ..stored }]).await;
    let assignees: Vec<_> =
        all::<Assignee>(crm, &ctx).await.iter().map(|one| (one.id, one.meta.version)).collect();
    assert_eq!(
        assignees,
        [(UserId(ADA), 1), (UserId(BOB), 1), (nth(1), 3)]
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
}

/// Users are put, deactivated and synced by who administers, and by nobody else; to others the names of those who left
/// are not even counted.
pub async fn xt_07_only_who_administers_changes_the_directory(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, system) = (&world.crm, world.system());
    crm.customers().create(&world.ada(), owned(UserId(BOB), "Kept")).await.unwrap();
    let before = super::tenants::dump(crm, world.tenant).await;
    for ctx in [world.ada(), world.manager(), Context { roles: vec!["reader".to_owned()], ..world.bob() }] {
        let codes = [
            crm.users().put(&ctx, vec![worker(1, None)]).await.unwrap_err().code(),
            crm.users().deactivate(&ctx, UserId(BOB)).await.unwrap_err().code(),
            crm.users().hand_over_piece(&ctx, UserId(GONE)).await.unwrap_err().code(),
            crm.users().handovers(&ctx).await.unwrap_err().code(),
            crm.users().sync(&ctx).await.unwrap_err().code(),
            crm.teams().put(&ctx, vec![Team::default()]).await.unwrap_err().code(),
        ];
        assert_eq!(codes, ["forbidden"; 6]);
        assert_eq!(crm.users().get(&ctx, UserId(BOB)).await.unwrap().name, "Bob");
    }
    assert_eq!(super::tenants::dump(crm, world.tenant).await, before);
    assert_eq!(crm.users().sync(&system).await.unwrap_err().code(), "no_directory");
    // A key in the context names the request, not one of the pieces.
    let keyed = system.with_key("leaves");
    assert_eq!(crm.users().deactivate(&keyed, UserId(BOB)).await.unwrap(), 1);
    assert_eq!(crm.users().deactivate(&keyed, UserId(BOB)).await.unwrap(), 0);
}
