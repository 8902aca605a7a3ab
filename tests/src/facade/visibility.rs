//! Who sees which notes and interactions (SPEC IT-02): one law on all read paths.

use crm_core::catalog::Entity;
use crm_core::contact::ContactId;
use crm_core::customer::CustomerId;
use crm_core::directory::UserId;
use crm_core::interaction::{Interaction, InteractionId};
use crm_core::log::{Actor, ActorKind};
use crm_core::note::{Note, NoteId};
use crm_core::timeline::{Anchor, Audience, TimelineChange, TimelineRequest, Visibility};
use crm_core::value::Value;
use crm_core::{Context, Crm, Error, Expect, Find, Totals};
use futures_util::StreamExt as _;
use uuid::Uuid;

use super::dice::Dice;
use super::world::{ADA, BOB, RED, World, contact, seed};
use crate::{Harness, size};

const BLUE: Uuid = Uuid::from_u128(0xb1e);
const CYD: Uuid = Uuid::from_u128(0xc1d);
const DAN: Uuid = Uuid::from_u128(0xda4);

/// What the model knows of a note or interaction.
#[derive(Clone, Debug)]
struct Item {
    id: Uuid,
    is_note: bool,
    customer: Option<CustomerId>,
    contact: Option<ContactId>,
    by: Option<Uuid>,
    team: Option<Uuid>,
    visibility: Visibility,
    audience: Audience,
    pinned: bool,
}

/// The law.
fn sees(viewer: &Context, item: &Item) -> bool {
    match viewer.actor.kind {
        ActorKind::System => true,
        ActorKind::Customer => item.audience == Audience::External && item.visibility == Visibility::All,
        ActorKind::User => match item.visibility {
            Visibility::All => true,
            Visibility::Team => {
                item.by == viewer.actor.id || item.team.is_some_and(|team| viewer.teams.contains(&team))
            }
            Visibility::Private => item.by == viewer.actor.id,
        },
    }
}

fn sorted(ids: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.collect();
    ids.sort_unstable();
    ids
}

/// Writes random notes and interactions of a few writers.
struct Scene {
    world: World,
    customers: [CustomerId; 2],
    contacts: [ContactId; 2],
    writers: Vec<Context>,
    items: Vec<Item>,
}

impl Scene {
    async fn new(harness: &dyn Harness) -> Self {
        let world = World::new(harness).await;
        let customers = [world.customer("First").await.id, world.customer("Second").await.id];
        let mut contacts = Vec::new();
        for customer in customers {
            let someone = contact(customer, "Some", "One");
            contacts.push(world.crm.contacts().create(&world.ada(), someone).await.unwrap().id);
        }
        let user = |id| Context::user(world.tenant, id);
        let writers = vec![
            user(ADA).with_team(RED),
            user(BOB).with_team(BLUE).with_team(RED),
            user(CYD).with_team(BLUE),
            world.system(),
        ];
        Self { customers, contacts: [contacts[0], contacts[1]], writers, items: Vec::new(), world }
    }

    /// The staff who look, from inside and outside of the teams.
    fn staff(&self) -> Vec<(&'static str, Context)> {
        let mate = Context::user(self.world.tenant, Uuid::from_u128(0x4ed)).with_team(RED);
        let other = Context::user(self.world.tenant, DAN);
        let mut staff =
            vec![("team mate", mate), ("manager", other.clone().with_role("manager")), ("other", other)];
        staff.extend(["Ada", "Bob", "Cyd", "system"].into_iter().zip(self.writers.iter().cloned()));
        staff
    }

    fn portal(&self, customer: CustomerId) -> Context {
        Context { actor: Actor { kind: ActorKind::Customer, id: Some(customer.0) }, ..self.world.ada() }
    }

    async fn write(&mut self, dice: &mut Dice, count: usize) {
        let crm = &self.world.crm;
        for _ in 0..count {
            let writer = dice.pick(&self.writers).clone();
            let which = dice.below(2);
            let (customer, someone) = (self.customers[which], self.contacts[which]);
            let visibility = *dice.pick(&[Visibility::All, Visibility::Team, Visibility::Private]);
            let audience = *dice.pick(&[Audience::Internal, Audience::External]);
            let is_pinned = dice.one_in(4);
            if dice.one_in(2) {
                let contact_id = dice.maybe(2, |_| someone);
                let given = Interaction {
                    visibility,
                    audience,
                    is_pinned,
                    contact_id,
                    ..self.world.touch(customer, "word")
                };
                let stored = crm.interactions().log(&writer, given).await.unwrap().value;
                self.items.push(Item {
                    id: stored.id.0,
                    is_note: false,
                    customer: Some(customer),
                    contact: contact_id,
                    by: writer.user_id(),
                    team: writer.teams.first().copied(),
                    visibility,
                    audience,
                    pinned: is_pinned,
                });
                continue;
            }
            let (about, customer, someone) = match dice.below(3) {
                0 => (("customer", customer.0), Some(customer), None),
                1 => (("contact", someone.0), Some(customer), Some(someone)),
                _ => (("user", BOB), None, None),
            };
            let given = Note { visibility, audience, is_pinned, ..Note::new(about, "a word") };
            let stored = crm.notes().create(&writer, given).await.unwrap().value;
            self.items.push(Item {
                id: stored.id.0,
                is_note: true,
                customer,
                contact: someone,
                by: writer.user_id(),
                team: writer.teams.first().copied(),
                visibility,
                audience,
                pinned: is_pinned,
            });
        }
    }

    /// Changes visibility, audience and pin of some, and deletes some.
    async fn change(&mut self, dice: &mut Dice) {
        let (crm, system) = (&self.world.crm, self.world.system());
        let mut kept = Vec::new();
        for mut item in std::mem::take(&mut self.items) {
            item.visibility =
                *dice.pick(&[item.visibility, Visibility::All, Visibility::Team, Visibility::Private]);
            item.audience = *dice.pick(&[item.audience, Audience::Internal, Audience::External]);
            item.pinned = item.pinned != dice.one_in(4);
            let deleted = dice.one_in(6);
            let ctx = match item.by {
                Some(user) => self.writers.iter().find(|writer| writer.user_id() == Some(user)).unwrap(),
                None => &system,
            };
            if item.is_note {
                let id = NoteId(item.id);
                let change = |note: &mut Note| {
                    (note.visibility, note.audience, note.is_pinned) =
                        (item.visibility, item.audience, item.pinned);
                };
                crm.notes().update(ctx, id, Expect::Any, change).await.unwrap();
                if deleted {
                    crm.notes().delete(ctx, id, Expect::Any).await.unwrap();
                }
            } else {
                let id = InteractionId(item.id);
                let change = |i: &mut Interaction| {
                    (i.visibility, i.audience, i.is_pinned) = (item.visibility, item.audience, item.pinned);
                };
                crm.interactions().update(ctx, id, Expect::Any, change).await.unwrap();
                if deleted {
                    crm.interactions().delete(ctx, id, Expect::Any).await.unwrap();
                }
            }
            if !deleted {
                kept.push(item);
            }
        }
        self.items = kept;
    }

    /// Compares all read paths with the law, while this customer is deleted.
    async fn check(&self, deleted: Option<CustomerId>) {
        let crm = &self.world.crm;
        let there: Vec<&Item> =
            self.items.iter().filter(|item| deleted.is_none() || item.customer != deleted).collect();
        for (who, ctx) in self.staff() {
            let visible: Vec<&Item> = there.iter().copied().filter(|item| sees(&ctx, item)).collect();
            let of = |is_note| visible.iter().filter(move |item| item.is_note == is_note).map(|item| item.id);
            let ids = |is_note| self.items.iter().filter(move |i| i.is_note == is_note).map(|i| i.id);
            records::<Note>(crm, &ctx, who, ids(true).map(NoteId).collect(), &sorted(of(true))).await;
            let interactions = ids(false).map(InteractionId).collect();
            records::<Interaction>(crm, &ctx, who, interactions, &sorted(of(false))).await;
            timelines(self, &ctx, who, &visible, deleted).await;
            self.profiles(&ctx, who, &visible, deleted).await;
            let audits = ["manager", "system"].contains(&who);
            for item in &self.items {
                let history = if item.is_note {
                    crm.log().history::<Note>(&ctx, NoteId(item.id)).await.map(|changes| changes.len())
                } else {
                    crm.log()
                        .history::<Interaction>(&ctx, InteractionId(item.id))
                        .await
                        .map(|changes| changes.len())
                };
                assert_eq!(history.is_ok(), audits, "{who} reads the history: {history:?}");
            }
            assert_eq!(crm.log().next(&ctx, who, 10).await.is_ok(), audits, "{who} reads the log");
        }
        for customer in self.customers.into_iter().filter(|customer| Some(*customer) != deleted) {
            let ctx = self.portal(customer);
            let own: Vec<&Item> =
                there.iter().copied().filter(|item| item.customer == Some(customer)).collect();
            let visible: Vec<&Item> = own.into_iter().filter(|item| sees(&ctx, item)).collect();
            page(crm, &ctx, "customer", Anchor::Customer(customer), &visible).await;
            let forbidden = [
                crm.find::<Note>(&ctx, &Find::all()).await.map(drop),
                crm.totals::<Note>(&ctx, &Totals::default()).await.map(drop),
                crm.timeline().page(&ctx, &TimelineRequest::of(Anchor::Tenant)).await.map(drop),
                crm.timeline().watch(&ctx, Anchor::Tenant).await.map(drop),
                crm.log().next(&ctx, "customer", 10).await.map(drop),
            ];
            assert!(
                forbidden.iter().all(|answer| matches!(answer, Err(Error::Forbidden { .. }))),
                "{forbidden:?}"
            );
        }
    }
}

impl Scene {
    /// Reads the 360° views and the statistics of customers.
    async fn profiles(&self, ctx: &Context, who: &str, visible: &[&Item], deleted: Option<CustomerId>) {
        let crm = &self.world.crm;
        let mut counted = 0;
        for customer in self.customers.into_iter().filter(|customer| Some(*customer) != deleted) {
            let of = |item: &&&Item| !item.is_note && item.customer == Some(customer);
            let expected: Vec<Uuid> = visible.iter().filter(of).map(|item| item.id).collect();
            let touches = crm.profiles().of(ctx, customer).await.unwrap().touches;
            let statistics = crm.profiles().statistics(ctx, customer).await.unwrap();
            let count = expected.len() as i64;
            assert_eq!((touches.last_30_days, statistics.interactions), (count, count), "{who} counts");
            assert_eq!(touches.latest.len(), expected.len().min(5), "{who} views the latest");
            assert!(
                touches.latest.iter().all(|touch| expected.contains(&touch.id.0)),
                "{who} views {touches:?}"
            );
            counted += count;
        }
        let statistics = crm.interactions().statistics(ctx, None).await.unwrap();
        assert_eq!(statistics.total, counted, "{who} reads statistics");
    }
}

/// Reads by id, by criteria, by words, and counts.
async fn records<E: Entity>(crm: &Crm, ctx: &Context, who: &str, ids: Vec<E::Id>, expected: &[Uuid])
where
    E::Id: crm_core::RecordId + Copy,
{
    use crm_core::RecordId as _;
    for id in &ids {
        let got = crm.get::<E>(ctx, *id).await;
        assert_eq!(got.is_ok(), expected.contains(&id.uuid()), "{who} gets {}", id.uuid());
    }
    let uuid = |entity: E| entity.id().uuid();
    let many = sorted(crm.get_many::<E>(ctx, &ids).await.unwrap().into_iter().map(uuid));
    assert_eq!(many, expected, "{who} gets many");
    for find in [Find::all(), Find::search("word"), Find::search("wo").descending("created_at")] {
        let found = crm.find::<E>(ctx, &find.clone().limit(9_999)).await.unwrap().items;
        assert_eq!(sorted(found.into_iter().map(uuid)), expected, "{who} finds by {find:?}");
    }
    let totals = crm.totals::<E>(ctx, &Totals::default()).await.unwrap();
    let count = totals.first().map_or(Value::Int(0), |group| group.measures[0].clone());
    assert_eq!(count, Value::Int(expected.len() as i64), "{who} counts");
}

/// Reads the timelines of customers, contacts, users and the tenant.
async fn timelines(scene: &Scene, ctx: &Context, who: &str, visible: &[&Item], deleted: Option<CustomerId>) {
    let crm = &scene.world.crm;
    let only = |keep: &dyn Fn(&Item) -> bool| -> Vec<&Item> {
        visible.iter().copied().filter(|item| keep(item)).collect()
    };
    page(crm, ctx, who, Anchor::Tenant, visible).await;
    for user in [ADA, BOB, CYD] {
        page(crm, ctx, who, Anchor::User(UserId(user)), &only(&|item| item.by == Some(user))).await;
    }
    let of_bob = Anchor::Record("user".to_owned(), BOB);
    page(crm, ctx, who, of_bob, &only(&|item| item.customer.is_none())).await;
    for (customer, someone) in scene.customers.into_iter().zip(scene.contacts) {
        let anchors = [Anchor::Customer(customer), Anchor::Contact(someone)];
        if Some(customer) == deleted {
            for anchor in anchors {
                let hidden = crm.timeline().page(ctx, &TimelineRequest::of(anchor)).await;
                assert!(matches!(hidden, Err(Error::NotFound { .. })), "{who}: {hidden:?}");
            }
            continue;
        }
        let [of_customer, of_contact] = anchors;
        page(crm, ctx, who, of_customer, &only(&|item| item.customer == Some(customer))).await;
        page(crm, ctx, who, of_contact, &only(&|item| item.contact == Some(someone))).await;
    }
}

/// Reads one timeline, with and without words: pinned entries are a block of their own before the others.
async fn page(crm: &Crm, ctx: &Context, who: &str, anchor: Anchor, expected: &[&Item]) {
    for text in [None, Some("word".to_owned())] {
        let request = TimelineRequest { text, limit: 1_000, ..TimelineRequest::of(anchor.clone()) };
        let page = crm.timeline().page(ctx, &request).await.unwrap();
        for (rows, pinned) in [(&page.pinned, true), (&page.entries, false)] {
            let shown = sorted(rows.iter().map(|row| row.entry_id));
            let model = sorted(expected.iter().filter(|item| item.pinned == pinned).map(|item| item.id));
            assert_eq!(shown, model, "{who} reads {anchor:?}, pinned: {pinned}");
            assert!(rows.is_sorted_by(|a, b| a.at >= b.at));
        }
    }
}

/// Whatever is written, changed and deleted by whom: each viewer sees by get, find, search, totals, timelines of every
/// kind, views, statistics and the log what the law says; a deleted customer hides its part, and brings it back.
pub async fn it_02_every_read_path_shows_what_the_viewer_may_see(harness: &dyn Harness) {
    let mut scene = Scene::new(harness).await;
    let mut dice = Dice::new(seed());
    scene.write(&mut dice, size(40, 300)).await;
    scene.check(None).await;
    scene.change(&mut dice).await;
    scene.check(None).await;
    let (first, ada) = (scene.customers[0], scene.world.ada());
    scene.world.crm.customers().delete(&ada, first, Expect::Any).await.unwrap();
    scene.check(Some(first)).await;
    scene.world.crm.customers().restore(&ada, first).await.unwrap();
    scene.check(None).await;
}

/// Whoever watches a customer's or the tenant's timeline is told of all that they may see, and of nothing else.
pub async fn it_02_watching_tells_what_the_viewer_may_see(harness: &dyn Harness) {
    let mut scene = Scene::new(harness).await;
    let crm = scene.world.crm.clone();
    let customer = scene.customers[0];
    let mut watchers = Vec::new();
    let mut viewers = scene.staff();
    viewers.push(("customer", scene.portal(customer)));
    for (who, ctx) in viewers {
        for anchor in [Anchor::Customer(customer), Anchor::Tenant] {
            if who != "customer" || anchor != Anchor::Tenant {
                let stream = crm.timeline().watch(&ctx, anchor.clone()).await.unwrap();
                watchers.push((who, ctx.clone(), anchor, stream));
            }
        }
    }
    scene.write(&mut Dice::new(seed()), size(40, 300)).await;
    // Reading the log gives all that was written its place, so that what comes now is last.
    crm.log().next(&scene.world.manager(), "places", 1).await.unwrap();
    let last = Note {
        visibility: Visibility::All,
        audience: Audience::External,
        ..Note::new(("customer", customer.0), "that is all")
    };
    let last = crm.notes().create(&scene.world.ada(), last).await.unwrap().id;
    for (who, ctx, anchor, mut stream) in watchers {
        let mut told = Vec::new();
        loop {
            match stream.next().await.unwrap().unwrap() {
                TimelineChange::Put(row) if row.entry_id == last.0 => break,
                TimelineChange::Put(row) => told.push(row.entry_id),
                removed @ TimelineChange::Removed(_) => panic!("{who}: {removed:?}"),
            }
        }
        let here = |item: &&Item| anchor == Anchor::Tenant || item.customer == Some(customer);
        let expected = scene.items.iter().filter(here).filter(|item| sees(&ctx, item)).map(|item| item.id);
        assert_eq!(sorted(told.into_iter()), sorted(expected), "{who} watches {anchor:?}");
    }
}
