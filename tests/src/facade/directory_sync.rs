//! Taking users and teams over from the embedder's directory (SPEC XT-07).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use crm_core::customer::Customer;
use crm_core::directory::{
    Directory, DirectoryError, DirectoryPage, DirectoryRefusal, SyncReport, Team, TeamId, User, UserId,
};
use crm_core::record::Meta;
use crm_core::{Context, Crm, Error};
use uuid::Uuid;

use super::dice::Dice;
use super::directory::worker;
use super::world::{ADA, BOB, KEY, World, all, at_once, is, matching, person, seed};
use crate::{Harness, size};

/// What the directory says, and how it says it.
#[derive(Default)]
struct Staff {
    teams: BTreeMap<TeamId, Team>,
    users: BTreeMap<UserId, User>,
    /// Users in this order; those of the map, unless given.
    order: Vec<UserId>,
    /// Users on a page.
    page: usize,
    /// Answers before it fails once.
    fails_after: Option<usize>,
    /// How often it was asked.
    asked: usize,
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Staff>>);

#[async_trait]
impl Directory for Told {
    async fn page(&self, _: &Context, after: Option<&str>) -> Result<DirectoryPage, DirectoryError> {
        let mut staff = self.0.lock().unwrap();
        staff.asked += 1;
        match staff.fails_after {
            Some(0) => {
                staff.fails_after = None;
                return Err(DirectoryError("timeout".to_owned()));
            }
            Some(left) => staff.fails_after = Some(left - 1),
            None => {}
        }
        let from: usize = after.map_or(0, |after| after.parse().unwrap());
        let order: Vec<UserId> =
            if staff.order.is_empty() { staff.users.keys().copied().collect() } else { staff.order.clone() };
        let until = (from + staff.page.max(1)).min(order.len());
        Ok(DirectoryPage {
            teams: if from == 0 { staff.teams.values().cloned().collect() } else { Vec::new() },
            users: order[from..until].iter().map(|id| staff.users[id].clone()).collect(),
            next: (until < order.len()).then(|| until.to_string()),
        })
    }
}

/// A process of the world that has this directory.
fn told(world: &World, directory: &Told) -> Crm {
    let built = Crm::builder_shared(world.store.clone())
        .shared_env(world.env.clone())
        .cursor_key(KEY)
        .deadline(Duration::from_mins(2))
        .directory(directory.clone());
    built.build().unwrap()
}

fn nth(n: usize) -> UserId {
    worker(n, None).id
}

fn team(n: usize) -> TeamId {
    TeamId(Uuid::from_u128(0x7ea0 + n as u128))
}

/// What is stored of users, without versions and instants.
async fn users(crm: &Crm, ctx: &Context) -> BTreeMap<UserId, User> {
    let plain = |user: User| (user.id, User { meta: Meta::default(), ..user });
    all::<User>(crm, ctx).await.into_iter().map(plain).collect()
}

/// One of the changes that happen in a staff department. The managers stay a forest.
fn change(dice: &mut Dice, staff: &mut Staff, next: &mut usize) {
    let known: Vec<UserId> = staff.users.keys().copied().collect();
    let some = *dice.pick(&known);
    match dice.below(8) {
        0 | 1 => {
            let user = User {
                email: dice.maybe(3, |_| format!("worker{next}@staff.example.com")),
                team_id: dice.maybe(3, |dice| team(dice.below(3))),
                ..worker(*next, dice.maybe(3, |_| some))
            };
            staff.users.insert(user.id, user);
            *next += 1;
        }
        2..=4 => {
            // Somebody stands below somebody else, who stood below them perhaps.
            let above = *dice.pick(&known);
            let managers: BTreeMap<_, _> =
                staff.users.iter().map(|(id, user)| (*id, user.manager_id)).collect();
            let chain: BTreeSet<_> = std::iter::successors(Some(above), |at| managers[at]).collect();
            if above == some {
                staff.users.entry(some).and_modify(|user| user.manager_id = None);
            } else {
                if chain.contains(&some) {
                    let freed = managers[&some];
                    staff.users.entry(above).and_modify(|user| user.manager_id = freed);
                    let again: Vec<_> =
                        chain.iter().filter(|id| managers[id] == Some(some)).copied().collect();
                    for id in again.into_iter().filter(|id| *id != above) {
                        staff.users.entry(id).and_modify(|user| user.manager_id = freed);
                    }
                }
                staff.users.entry(some).and_modify(|user| user.manager_id = Some(above));
            }
        }
        5 => _ = staff.users.entry(some).and_modify(|user| user.is_active = !user.is_active),
        6 => {
            let name = format!("Renamed {}", dice.below(1_000));
            staff.users.entry(some).and_modify(|user| user.name = name);
        }
        _ => {
            let (n, name) = (dice.below(3), format!("Team {}", dice.below(1_000)));
            staff.teams.entry(team(n)).and_modify(|team| team.name = format!("{name} {n}"));
        }
    }
}

/// After any changes in the directory, read in pages of any size in any order, with failures in between, a sync leaves
/// what the directory says, its report counts what was changed, no customer is with who left, and a second one finds
/// nothing to do.
pub async fn xt_07_a_sync_leaves_what_the_directory_says(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let seed = seed();
    let mut dice = Dice::new(seed);
    let directory = Told::default();
    let crm = told(&world, &directory);
    let (ctx, system) = (world.ada(), world.system());
    let employed = users(&crm, &ctx).await;
    {
        let mut staff = directory.0.lock().unwrap();
        staff.users = employed;
        staff.teams = (0..3)
            .map(|n| (team(n), Team { id: team(n), name: format!("Team {n}"), ..Team::default() }))
            .collect();
    }
    crm.settings().update(&system, |settings| settings.pool_id = Some(UserId(ADA))).await.unwrap();
    let (mut next, mut sum) = (0, SyncReport::default());
    for round in 0..size(12, 80) {
        let (before, teams_before) = (users(&crm, &ctx).await, all::<Team>(&crm, &ctx).await);
        let said = {
            let mut staff = directory.0.lock().unwrap();
            for _ in 0..dice.between(0, 12) {
                change(&mut dice, &mut staff, &mut next);
            }
            // The pool stays.
            staff.users.entry(UserId(ADA)).and_modify(|ada| ada.is_active = true);
            staff.order = staff.users.keys().copied().collect();
            for n in (1..staff.order.len()).rev() {
                let other = dice.below(n + 1);
                staff.order.swap(n, other);
            }
            staff.page = 1 + dice.below(12);
            staff.fails_after = dice.maybe(2, |dice| dice.below(3));
            (staff.users.clone(), staff.teams.clone())
        };
        let owners: Vec<UserId> = before.values().filter(|user| user.is_active).map(|user| user.id).collect();
        for n in 0..5 {
            let customer =
                Customer { owner_id: Some(*dice.pick(&owners)), ..person(&format!("C{round}-{n}")) };
            crm.customers().create(&ctx, customer).await.unwrap();
        }
        let leavers: BTreeSet<UserId> = said
            .0
            .values()
            .filter(|user| !user.is_active && before.get(&user.id).is_some_and(|b| b.is_active))
            .map(|user| user.id)
            .collect();
        let customers: Vec<Customer> = all(&crm, &ctx).await;
        let theirs =
            customers.iter().filter(|c| c.owner_id.is_some_and(|owner| leavers.contains(&owner))).count();
        let first = crm.users().sync(&system).await;
        let failed = first.is_err();
        directory.0.lock().unwrap().fails_after = None;
        let report = match first {
            Ok(report) => report,
            Err(Error::Refused(DirectoryRefusal::Unavailable(why))) => {
                assert_eq!(why, "timeout");
                // What it told is there; the rest comes with the next.
                crm.users().sync(&system).await.unwrap()
            }
            Err(other) => panic!("seed {seed}: {other:?}"),
        };
        assert_eq!(report.refused, [], "seed {seed}, round {round}");
        assert_eq!(users(&crm, &ctx).await, said.0, "seed {seed}, round {round}");
        let teams: Vec<Team> = all(&crm, &ctx).await;
        assert!(teams.iter().all(|team| said.1[&team.id].name == team.name) && teams.len() == 3);
        assert_eq!(
            (report.deactivated, report.reassigned),
            (leavers.len(), theirs),
            "seed {seed}, round {round}"
        );
        assert!(matching::<Customer>(&crm, &ctx, is("owner.is_active", "eq", false)).await.is_empty());
        if !failed {
            let new = said.0.keys().filter(|id| !before.contains_key(id)).count() + 3 - teams_before.len();
            let differ = |user: &&User| {
                before.get(&user.id).is_some_and(|b| {
                    *b != **user && *b != User { is_active: b.is_active, ..(**user).clone() }
                        || (!b.is_active && user.is_active)
                })
            };
            let renamed = teams_before.iter().filter(|team| said.1[&team.id].name != team.name).count();
            let changed = said.0.values().filter(differ).count() + renamed;
            assert_eq!((report.added, report.changed), (new, changed), "seed {seed}, round {round}");
        }
        assert_eq!(
            crm.users().sync(&system).await.unwrap(),
            SyncReport::default(),
            "seed {seed}, round {round}"
        );
        sum.added += report.added;
        sum.changed += report.changed;
        sum.deactivated += report.deactivated;
        sum.reassigned += report.reassigned;
    }
    println!("{}: {sum:?}", harness.name());
    assert!(sum.added > 3 && sum.changed > 0, "seed {seed}: {sum:?}");
}

/// What cannot be taken over is told, one by one, and all the rest is: wrong values, a taken address, a ring, managers
/// and teams that are nowhere, who is in the settings, who has nobody to take over. Once it is put right, the next sync
/// takes it over.
pub async fn xt_07_a_sync_tells_what_it_cannot_take_over(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let directory = Told::default();
    let crm = told(&world, &directory);
    let (ctx, system) = (world.ada(), world.system());
    crm.users()
        .put(&system, vec![worker(1, None), worker(2, None), worker(3, Some(UserId(ADA)))])
        .await
        .unwrap();
    crm.settings()
        .update(&system, |settings| settings.data_protection_officer_id = Some(nth(1)))
        .await
        .unwrap();
    for (owner, name) in [(nth(2), "Kept"), (nth(3), "Given")] {
        crm.customers().create(&ctx, Customer { owner_id: Some(owner), ..person(name) }).await.unwrap();
    }
    let gone = |n: usize| User { is_active: false, ..worker(n, (n == 3).then_some(UserId(ADA))) };
    let fine: Vec<User> =
        (100..160).map(|n| worker(n, Some(nth(100 + (n - 100) / 2)).filter(|m| *m != nth(n)))).collect();
    let mut wrong = vec![
        (gone(1), "user_in_settings"),
        (gone(2), "no_successor"),
        (User { name: String::new(), ..worker(4, None) }, "invalid"),
        (User { email: Some("ada@staff.example.com".to_owned()), ..worker(5, None) }, "not_unique"),
        (User { team_id: Some(team(9)), ..worker(6, None) }, "user_team"),
        (worker(7, Some(nth(404))), "user_manager"),
        (User { id: UserId(Uuid::nil()), ..worker(8, None) }, "no_id"),
    ];
    {
        let mut staff = directory.0.lock().unwrap();
        staff.page = 1_000;
        staff.users = fine
            .iter()
            .chain(wrong.iter().map(|(user, _)| user))
            .map(|user| (user.id, user.clone()))
            .collect();
        staff.users.insert(nth(3), gone(3));
        // Two who stand above one another.
        staff.users.insert(nth(10), worker(10, Some(nth(11))));
        staff.users.insert(nth(11), worker(11, Some(nth(10))));
        staff.teams.insert(team(1), Team { id: team(1), name: "a\0b".to_owned(), ..Team::default() });
        staff.teams.insert(team(2), Team { id: team(2), name: "Fine".to_owned(), ..Team::default() });
    }
    let report = crm.users().sync(&system).await.unwrap();
    let refused: BTreeMap<Uuid, &str> = report.refused.iter().map(|one| (one.id, one.code)).collect();
    let mut expected: BTreeMap<Uuid, &str> = wrong.iter().map(|(user, code)| (user.id.0, *code)).collect();
    expected.insert(team(1).0, "invalid");
    expected.extend(refused.iter().filter(|(_, code)| **code == "manager_ring"));
    assert_eq!(refused, expected, "{report:?}");
    let ring: Vec<_> = report.refused.iter().filter(|one| one.code == "manager_ring").collect();
    assert!(ring.len() == 1 && [nth(10).0, nth(11).0].contains(&ring[0].id), "{ring:?}");
    assert!(report.refused.iter().all(|one| one.why.len() > 20), "{report:?}");
    assert_eq!((report.deactivated, report.reassigned), (1, 1), "{report:?}");
    let stored = users(&crm, &ctx).await;
    assert!(fine.iter().all(|user| stored[&user.id] == *user), "the others are taken over");
    assert!(stored[&nth(1)].is_active && stored[&nth(2)].is_active && !stored[&nth(3)].is_active);
    assert!(
        !stored.contains_key(&nth(4))
            && !stored.contains_key(&nth(5))
            && stored[&nth(7)].manager_id.is_none()
    );
    assert!(stored[&UserId(BOB)].is_active, "who is not named stays");
    // Put right: the officer is another one, there is a pool, and the values are fine.
    let name = |settings: &mut crm_core::tenant::Settings| {
        settings.pool_id = Some(UserId(BOB));
        settings.data_protection_officer_id = Some(UserId(ADA));
    };
    crm.settings().update(&system, name).await.unwrap();
    {
        let mut staff = directory.0.lock().unwrap();
        for (user, _) in wrong.drain(2..) {
            staff.users.remove(&user.id);
        }
        staff.users.insert(nth(11), worker(11, None));
        staff.teams.remove(&team(1));
    }
    let report = crm.users().sync(&system).await.unwrap();
    assert_eq!((report.refused.as_slice(), report.deactivated, report.reassigned), (&[][..], 2, 1));
    let kept = matching::<Customer>(&crm, &ctx, is("display_name", "eq", "Kept")).await;
    assert_eq!(kept[0].owner_id, Some(UserId(BOB)));
}

/// A deactivation that died in between is done by the next sync; syncs at once do nothing twice; who may not administer
/// makes nobody ask; a directory that goes round in a circle is left.
pub async fn xt_07_a_sync_does_what_was_interrupted(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let directory = Told::default();
    let (crm, other) = (told(&world, &directory), told(&world, &directory));
    let (ctx, system) = (world.ada(), world.system());
    for part in 0..2 {
        let of_bob = |n| Customer { owner_id: Some(UserId(BOB)), ..person(&format!("Customer {part}-{n}")) };
        let batch = (0..350).map(|n| (of_bob(n), Vec::new())).collect();
        crm.customers().create_batch(&ctx, batch).await.unwrap();
    }
    let leave = crm_core::directory::DeactivateUser { id: UserId(BOB), catalog: crm.store().catalog() };
    crm.run(&system, &leave).await.unwrap();
    assert_eq!(crm.users().hand_over_piece(&system, UserId(BOB)).await.unwrap(), Some(500));
    assert_eq!(crm.users().sync(&ctx).await.unwrap_err().code(), "forbidden");
    assert_eq!(directory.0.lock().unwrap().asked, 0);
    let employed = users(&crm, &ctx).await;
    {
        let mut staff = directory.0.lock().unwrap();
        staff.users = employed;
        staff.users.extend((0..40).map(|n| (nth(n), worker(n, n.checked_sub(1).map(|n| nth(n / 2))))));
        staff.page = 7;
    }
    let reports = at_once(4, |n| {
        let (crm, system) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, system.clone());
        async move { crm.users().sync(&system).await.unwrap() }
    })
    .await;
    assert_eq!(reports.iter().map(|report| report.reassigned).sum::<usize>(), 200, "{reports:?}");
    assert_eq!(users(&crm, &ctx).await, directory.0.lock().unwrap().users);
    assert!(all::<Customer>(&crm, &ctx).await.iter().all(|c| c.owner_id == Some(UserId(ADA))));
    assert!(reports.iter().all(|report| report.deactivated == 0));
    struct Circle;
    #[async_trait]
    impl Directory for Circle {
        async fn page(&self, _: &Context, _: Option<&str>) -> Result<DirectoryPage, DirectoryError> {
            Ok(DirectoryPage { next: Some("again".to_owned()), ..DirectoryPage::default() })
        }
    }
    let circle = Crm::builder_shared(world.store.clone()).cursor_key(KEY).directory(Circle).build().unwrap();
    assert_eq!(circle.users().sync(&system).await.unwrap_err().code(), "directory_unavailable");
}
