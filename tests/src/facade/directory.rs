//! Users who come, move and leave, and what becomes of their customers (SPEC XT-07, CM-10).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crm_core::customer::{Customer, CustomerId, CustomerRefusal};
use crm_core::directory::{
    Assignee, DeactivateUser, DirectoryRefusal, MAX_MANAGERS, Team, TeamId, User, UserId,
};
use crm_core::sweep::{SweepAction, SweepRefusal};
use crm_core::{Context, Crm, Error, Expect, Find};
use serde_json::json;
use uuid::Uuid;

use super::dice::Dice;
use super::world::{ADA, BOB, GONE, World, all, at_once, is, matching, person, seed, tally};
use crate::contract::extra_entity::{ProjectNote, ProjectNoteId};
use crate::{Harness, size};

const TASKS: usize = 64;

/// A user's id, by number.
fn nth(n: usize) -> UserId {
    UserId(Uuid::from_u128(0x1000 + n as u128))
}

/// An active user below a manager.
pub(super) fn worker(n: usize, manager: Option<UserId>) -> User {
    User { id: nth(n), name: format!("Worker {n}"), manager_id: manager, ..User::default() }
}

async fn put(world: &World, users: Vec<User>) {
    world.crm.users().put(&world.system(), users).await.unwrap();
}

fn owned(owner: UserId, name: &str) -> Customer {
    Customer { owner_id: Some(owner), ..person(name) }
}

/// Takes a user out of service and dies before anything is handed over.
async fn leave(crm: &Crm, ctx: &Context, id: UserId) -> Result<(), Error<DirectoryRefusal>> {
    crm.run(ctx, &DeactivateUser { id, catalog: crm.store().catalog() }).await.map(|_| ())
}

/// Who owns each customer that is not deleted.
async fn owners(crm: &Crm, ctx: &Context) -> BTreeMap<CustomerId, Option<UserId>> {
    all::<Customer>(crm, ctx).await.into_iter().map(|customer| (customer.id, customer.owner_id)).collect()
}

/// What should be stored.
#[derive(Default)]
struct Model {
    active: BTreeMap<UserId, bool>,
    manager: BTreeMap<UserId, Option<UserId>>,
    pool: Option<UserId>,
    /// The owner of each customer, and whether it is deleted.
    customers: BTreeMap<CustomerId, (Option<UserId>, bool)>,
}

impl Model {
    fn above(&self, user: UserId) -> Vec<UserId> {
        let mut chain = Vec::new();
        let mut at = self.manager[&user];
        while let Some(next) = at.filter(|next| !chain.contains(next)) {
            chain.push(next);
            at = self.manager[&next];
        }
        chain
    }

    fn successor(&self, user: UserId) -> Option<UserId> {
        self.above(user).into_iter().find(|above| self.active[above]).or(self.pool)
    }

    fn keeper(&self, user: UserId) -> Option<UserId> {
        if self.active[&user] { Some(user) } else { self.successor(user) }
    }

    fn live(&self) -> BTreeMap<CustomerId, Option<UserId>> {
        self.customers.iter().filter(|(_, (_, gone))| !gone).map(|(id, (owner, _))| (*id, *owner)).collect()
    }

    fn of(&self, user: UserId) -> Vec<CustomerId> {
        self.live().into_iter().filter(|(_, owner)| *owner == Some(user)).map(|(id, _)| id).collect()
    }

    fn left(&self) -> Vec<(UserId, i64)> {
        let inactive = self.active.iter().filter(|(_, active)| !**active);
        inactive.map(|(user, _)| (*user, self.of(*user).len() as i64)).filter(|(_, n)| *n > 0).collect()
    }

    fn leave(&mut self, user: UserId) -> Result<(), &'static str> {
        if !self.active[&user] {
            return Ok(());
        }
        if self.pool == Some(user) {
            return Err("user_in_settings");
        }
        if self.successor(user).is_none() && !self.of(user).is_empty() {
            return Err("no_successor");
        }
        self.active.insert(user, false);
        Ok(())
    }

    fn hand_over(&mut self, user: UserId) -> Result<usize, &'static str> {
        let theirs = self.of(user);
        if self.active[&user] || theirs.is_empty() {
            return Ok(0);
        }
        let to = self.successor(user).ok_or("no_successor")?;
        for customer in &theirs {
            self.customers.insert(*customer, (Some(to), false));
        }
        Ok(theirs.len())
    }
}

/// A world with its model.
struct Play {
    world: World,
    model: Model,
    dice: Dice,
    users: Vec<UserId>,
}

/// What was told, or the code of the refusal.
type Said = Result<usize, &'static str>;

impl Play {
    async fn new(harness: &dyn Harness, seed: u64) -> Self {
        let world = World::new(harness).await;
        put(&world, (0..5).map(|n| worker(n, None)).collect()).await;
        let mut model = Model::default();
        for user in all::<User>(&world.crm, &world.ada()).await {
            model.active.insert(user.id, user.is_active);
            model.manager.insert(user.id, user.manager_id);
        }
        let users = model.active.keys().copied().collect();
        Self { world, model, dice: Dice::new(seed), users }
    }

    /// A customer of the model that is deleted, or is not.
    fn some_customer(&mut self, gone: bool) -> Option<CustomerId> {
        let fits = |(id, (_, is_gone)): (&CustomerId, &(_, bool))| (*is_gone == gone).then_some(*id);
        let some: Vec<CustomerId> = self.model.customers.iter().filter_map(fits).collect();
        (!some.is_empty()).then(|| *self.dice.pick(&some))
    }

    /// Does something; gives what was told and what the model says.
    async fn step(&mut self, step: usize) -> (Said, Said) {
        let (crm, ctx, system) = (self.world.crm.clone(), self.world.ada(), self.world.system());
        let user = *self.dice.pick(&self.users);
        let may_own = if self.model.active[&user] { Ok(0) } else { Err("customer_owner") };
        match self.dice.below(16) {
            0..=2 => {
                let done = crm.customers().create(&ctx, owned(user, &format!("Customer {step}"))).await;
                if let Ok(done) = &done {
                    self.model.customers.insert(done.id, (Some(user), false));
                }
                (done.map(|_| 0).map_err(|error| error.code()), may_own)
            }
            3 => {
                let Some(id) = self.some_customer(false) else { return (Ok(0), Ok(0)) };
                let give = |customer: &mut Customer| customer.owner_id = Some(user);
                let done = crm.customers().update(&ctx, id, Expect::Any, give).await;
                // Whoever has it may keep it.
                let expected = if self.model.customers[&id].0 == Some(user) { Ok(0) } else { may_own };
                if expected.is_ok() {
                    self.model.customers.insert(id, (Some(user), false));
                }
                (done.map(|_| 0).map_err(|error| error.code()), expected)
            }
            4 | 5 => {
                let Some(id) = self.some_customer(false) else { return (Ok(0), Ok(0)) };
                crm.customers().delete(&ctx, id, Expect::Any).await.unwrap();
                self.model.customers.entry(id).and_modify(|(_, gone)| *gone = true);
                (Ok(0), Ok(0))
            }
            6 | 7 => {
                let Some(id) = self.some_customer(true) else { return (Ok(0), Ok(0)) };
                let done = crm.customers().restore(&ctx, id).await;
                let keeper = self.model.customers[&id].0.and_then(|owner| self.model.keeper(owner));
                if keeper.is_some() {
                    self.model.customers.insert(id, (keeper, false));
                }
                let expected = keeper.map(|_| 0).ok_or("no_successor");
                (done.map(|_| 0).map_err(|error| error.code()), expected)
            }
            8 | 9 => {
                let done = crm.users().deactivate(&system, user).await;
                let expected = self.model.leave(user).and_then(|()| self.model.hand_over(user));
                (done.map_err(|error| error.code()), expected)
            }
            10 => {
                let done = leave(&crm, &system, user).await;
                (done.map(|()| 0).map_err(|error| error.code()), self.model.leave(user).map(|()| 0))
            }
            11..=13 => {
                // Another manager, and active again.
                let manager = self.dice.maybe(4, |dice| *dice.pick(&self.users));
                let stored = crm.users().get(&ctx, user).await.unwrap();
                let done = crm
                    .users()
                    .put(&system, vec![User { manager_id: manager, is_active: true, ..stored }])
                    .await;
                let ring =
                    manager.is_some_and(|above| above == user || self.model.above(above).contains(&user));
                if !ring {
                    self.model.manager.insert(user, manager);
                    self.model.active.insert(user, true);
                }
                let expected = if ring { Err("manager_ring") } else { Ok(0) };
                (done.map(|_| 0).map_err(|error| error.code()), expected)
            }
            14 => {
                let pool = self.dice.maybe(3, |_| user);
                let done = crm.settings().update(&system, |settings| settings.pool_id = pool).await;
                let fits = pool == self.model.pool || pool.is_none_or(|pool| self.model.active[&pool]);
                if fits {
                    self.model.pool = pool;
                }
                let expected = if fits { Ok(0) } else { Err("invalid") };
                (done.map(|_| 0).map_err(|error| error.code()), expected)
            }
            _ => {
                let piece = crm.users().hand_over_piece(&system, user).await;
                (
                    piece.map(|piece| piece.unwrap_or(0)).map_err(|error| error.code()),
                    self.model.hand_over(user),
                )
            }
        }
    }
}

/// After any sequence of changes of managers, pool and customers, of deactivations, whole or interrupted, and of
/// returns, the customers are with whom a naive model says; once the interrupted ones are done, no customer is with a
/// user who is not active. Each change of an owner is told once.
pub async fn xt_07_what_a_leaver_owned_goes_to_the_nearest_active_manager_or_the_pool(harness: &dyn Harness) {
    let seed = seed();
    let mut play = Play::new(harness, seed).await;
    let (crm, ctx, system) = (play.world.crm.clone(), play.world.ada(), play.world.system());
    let mut said = Vec::new();
    for step in 0..size(250, 2_500) {
        let (told, expected) = play.step(step).await;
        assert_eq!(told, expected, "seed {seed}, step {step}");
        said.push(told.err().unwrap_or("done"));
        if step % 10 == 9 {
            assert_eq!(owners(&crm, &ctx).await, play.model.live(), "seed {seed}, step {step}");
            let left = crm.users().handovers(&system).await.unwrap();
            assert_eq!(left, play.model.left(), "seed {seed}, step {step}");
        }
    }
    let counts = tally(said.into_iter());
    println!("{}: {counts:?}", harness.name());
    for code in ["done", "customer_owner", "manager_ring", "no_successor", "user_in_settings", "invalid"] {
        assert!(!crate::is_full() || counts.contains_key(code), "seed {seed}: {code} never came up");
    }
    // With a pool, what was interrupted comes to its end.
    let pool = *play.users.iter().find(|user| play.model.active[user]).unwrap_or(&nth(0));
    if !play.model.active[&pool] {
        let stored = crm.users().get(&ctx, pool).await.unwrap();
        crm.users().put(&system, vec![User { is_active: true, ..stored }]).await.unwrap();
        play.model.active.insert(pool, true);
    }
    crm.settings().update(&system, |settings| settings.pool_id = Some(pool)).await.unwrap();
    play.model.pool = Some(pool);
    for (user, left) in crm.users().handovers(&system).await.unwrap() {
        assert_eq!(crm.users().deactivate(&system, user).await.unwrap() as i64, left, "seed {seed}");
        play.model.hand_over(user).unwrap();
    }
    assert_eq!(owners(&crm, &ctx).await, play.model.live(), "seed {seed}");
    assert!(crm.users().handovers(&system).await.unwrap().is_empty());
    assert!(matching::<Customer>(&crm, &ctx, is("owner.is_active", "eq", false)).await.is_empty());
    let mut told: BTreeMap<CustomerId, Option<UserId>> = BTreeMap::new();
    let manager = play.world.manager();
    loop {
        let rows = crm.log().next(&manager, "owners", 10_000).await.unwrap();
        let Some(last) = rows.last().and_then(|row| row.number) else { break };
        crm.log().acknowledge(&manager, "owners", last).await.unwrap();
        for row in rows {
            for event in row.body.events.iter().filter(|event| event.name == "customer.owner_changed") {
                let user =
                    |name: &str| serde_json::from_value::<Option<UserId>>(event.data[name].clone()).unwrap();
                let before = told.insert(CustomerId(row.record_id), user("to"));
                assert!(before.is_none_or(|before| before == user("from")), "seed {seed}: {row:?}");
            }
        }
    }
    for (customer, owner) in told {
        assert_eq!(play.model.customers[&customer].0, owner, "seed {seed}");
    }
}

/// Many create, take over, delete and restore customers of users who leave at the same time: once all have returned,
/// no customer is with a user who is not active, and nothing is left to be done.
pub async fn xt_07_nothing_is_left_behind_when_many_give_while_some_leave(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    let seed = seed();
    let mut said = Vec::new();
    for round in 0..size(3, 20) {
        let team: Vec<UserId> = (0..4).map(|n| nth(round * 10 + n)).collect();
        let people = (0..4).map(|n| worker(round * 10 + n, (n > 0).then(|| team[n - 1]))).collect();
        put(&world, people).await;
        crm.settings().update(&world.system(), |s| s.pool_id = Some(UserId(BOB))).await.unwrap();
        let batch = (0..16).map(|n| (owned(team[n % 4], &format!("Old {n}")), Vec::new())).collect();
        let known: Vec<CustomerId> =
            crm.customers().create_batch(&ctx, batch).await.unwrap().iter().map(|c| c.id).collect();
        for id in &known[..8] {
            crm.customers().delete(&ctx, *id, Expect::Any).await.unwrap();
        }
        let codes = at_once(TASKS, |n| {
            let mut dice = Dice::new(seed + (round * TASKS + n) as u64);
            let crm = if n % 2 == 0 { crm.clone() } else { other.clone() };
            let (ctx, system) = (ctx.clone(), world.system());
            let (user, old, gone) = (*dice.pick(&team), *dice.pick(&known[8..]), *dice.pick(&known[..8]));
            let leaver = (n % 20 == 7).then(|| team[3 - n / 20]);
            let deed = dice.below(3);
            async move {
                if let Some(leaver) = leaver {
                    crm.users().deactivate(&system, leaver).await.unwrap();
                    return "left";
                }
                let given = match deed {
                    0 => crm.customers().create(&ctx, owned(user, &format!("New {n}"))).await,
                    1 => crm.customers().update(&ctx, old, Expect::Any, |c| c.owner_id = Some(user)).await,
                    _ => crm.customers().restore(&ctx, gone).await,
                };
                match given {
                    Ok(_) => "given",
                    Err(Error::Refused(CustomerRefusal::Owner(_))) => "refused",
                    Err(Error::Refused(CustomerRefusal::NotDeleted(_))) => "there already",
                    Err(other) => panic!("seed {seed}: {other:?}"),
                }
            }
        })
        .await;
        let behind = matching::<Customer>(&crm, &ctx, is("owner.is_active", "eq", false)).await;
        assert!(behind.is_empty(), "seed {seed}: {behind:?}");
        assert!(crm.users().handovers(&world.system()).await.unwrap().is_empty());
        // The first of the team stays, and so has all that the others had.
        let stay: BTreeSet<_> = (0..=round).map(|round| Some(nth(round * 10))).collect();
        assert!(owners(&crm, &ctx).await.values().all(|owner| stay.contains(owner)), "seed {seed}");
        said.extend(codes);
    }
    println!("{}: {:?}", harness.name(), tally(said.into_iter()));
}

/// Many customers of one owner are created at once by two processes: none is refused, for nobody stands in the way of
/// another who gives to the same user.
pub async fn cm_06_many_customers_of_one_owner_are_created_at_once(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    let started = Instant::now();
    let count = size(2 * TASKS, 10 * TASKS);
    at_once(count, |n| {
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
        async move { crm.customers().create(&ctx, owned(UserId(BOB), &format!("Of Bob {n}"))).await.unwrap().id }
    })
    .await;
    let took = started.elapsed().as_secs_f64();
    println!("{}: {count} customers of one owner, {:.0} a second", harness.name(), count as f64 / took);
    assert_eq!(matching::<Customer>(&crm, &ctx, is("owner_id", "eq", BOB.to_string())).await.len(), count);
}

/// More than one piece: what is left is told, a process that dies in between loses nothing, several go on at once and
/// do nothing twice, and a repeat does nothing.
pub async fn xt_07_a_deactivation_that_was_interrupted_goes_on(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ctx, system) =
        (world.crm.clone(), world.second(harness).await, world.ada(), world.system());
    let (count, bob) = (size(1_203, 5_202), UserId(BOB));
    for part in 0..3 {
        let batch = (0..count / 3).map(|n| (owned(bob, &format!("Customer {part}-{n}")), Vec::new()));
        let batch: Vec<_> = batch.collect();
        for chunk in batch.chunks(450) {
            crm.customers().create_batch(&ctx, chunk.to_vec()).await.unwrap();
        }
    }
    leave(&crm, &system, bob).await.unwrap();
    let left = async || crm.users().handovers(&system).await.unwrap();
    assert_eq!(left().await, [(bob, count as i64)], "out of service, and all is to do");
    assert_eq!(crm.users().hand_over_piece(&system, bob).await.unwrap(), Some(500));
    assert_eq!(left().await, [(bob, count as i64 - 500)]);
    let moved = at_once(4, |n| {
        let (crm, system) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, system.clone());
        async move { crm.users().deactivate(&system, bob).await.unwrap() }
    })
    .await;
    assert_eq!(moved.iter().sum::<usize>(), count - 500, "{moved:?}");
    assert!(left().await.is_empty());
    assert_eq!(crm.users().deactivate(&system, bob).await.unwrap(), 0, "a repeat does nothing");
    assert_eq!(crm.users().hand_over_piece(&system, bob).await.unwrap(), None);
    let now: Vec<Customer> = all(&crm, &ctx).await;
    assert!(now.iter().all(|c| c.owner_id == Some(UserId(ADA)) && c.meta.version == 2), "each moved once");
    assert_eq!(now.len(), count);
    let history = crm.log().history::<User>(&world.manager(), bob).await.unwrap();
    assert_eq!((history.len(), history[0].row.body.events[0].name.as_str()), (2, "user.deactivated"));
    let history = crm.log().history::<Customer>(&world.manager(), now[0].id).await.unwrap();
    let told: Vec<_> = history[0].row.body.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(told, ["customer.updated", "customer.owner_changed"]);
    assert_eq!(history[0].row.body.events[1].data["to"], json!(ADA));
    // Active again, Bob can be given customers again; what went stays where it is.
    let stored = crm.users().get(&ctx, bob).await.unwrap();
    put(&world, vec![User { is_active: true, ..stored }]).await;
    crm.customers().create(&ctx, owned(bob, "Anew")).await.unwrap();
    assert_eq!(
        crm.users().hand_over_piece(&system, bob).await.unwrap(),
        None,
        "who is active keeps what is theirs"
    );
    assert_eq!(matching::<Customer>(&crm, &ctx, is("owner_id", "eq", BOB.to_string())).await.len(), 1);
}

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

/// What the embedder keeps in an entity of its own is handed over too, together with the customers.
pub async fn xt_07_records_of_the_embedders_own_go_with_the_customers(harness: &dyn Harness) {
    let catalog = crm_core::standard_catalog().with::<ProjectNote>().build().unwrap();
    let world = World::knowing(harness, catalog, super::world::at(super::world::START)).await;
    let (crm, ctx, system) = (&world.crm, world.ada(), world.system());
    let note = |n: usize, owner| ProjectNote {
        id: ProjectNoteId(Uuid::from_u128(n as u128 + 1)),
        owner_id: Some(UserId(owner)),
        happened_at: super::world::at(super::world::START),
        ..ProjectNote::default()
    };
    for chunk in [0..300, 300..620] {
        let owner = |n: usize| if n.is_multiple_of(31) { ADA } else { BOB };
        let notes: Vec<ProjectNote> = chunk.map(|n| note(n, owner(n))).collect();
        crm.run(&ctx, &PutNotes(notes)).await.unwrap();
    }
    crm.customers().create(&ctx, owned(UserId(BOB), "Of Bob")).await.unwrap();
    leave(crm, &system, UserId(BOB)).await.unwrap();
    assert_eq!(crm.users().handovers(&system).await.unwrap(), [(UserId(BOB), 601)]);
    assert_eq!(crm.users().hand_over_piece(&system, UserId(BOB)).await.unwrap(), Some(500));
    assert_eq!(crm.users().deactivate(&system, UserId(BOB)).await.unwrap(), 101);
    let notes: Vec<ProjectNote> = all(crm, &ctx).await;
    assert!(notes.len() == 620 && notes.iter().all(|note| note.owner_id == Some(UserId(ADA))));
    assert_eq!(notes.iter().filter(|note| note.meta.version == 1).count(), 20, "Ada's own are not touched");
}

/// Inserts notes.
struct PutNotes(Vec<ProjectNote>);

impl crm_core::command::Command for PutNotes {
    type Output = ();
    type Refusal = crm_core::command::NoRefusal;

    fn name(&self) -> &'static str {
        "project_notes.put"
    }

    fn permission(&self) -> (crm_core::policy::Action, &'static str) {
        (crm_core::policy::Action::Write, "project_note")
    }

    fn input(&self) -> serde_json::Value {
        json!(self.0.iter().map(|note| note.id).collect::<Vec<_>>())
    }

    fn needs(&self, _: &crm_core::command::Loaded) -> Vec<crm_core::command::Need> {
        Vec::new()
    }

    fn decide(
        &self,
        _: &crm_core::command::Loaded,
        changes: &mut crm_core::command::Changes<'_>,
    ) -> Result<(), crm_core::command::Decline<crm_core::command::NoRefusal>> {
        for note in &self.0 {
            changes.insert(note)?;
        }
        Ok(())
    }

    fn recall(&self, _: &crm_core::command::Loaded, _: &[(String, Uuid, i64)]) -> Option<()> {
        Some(())
    }
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
