//! Notes (SPEC IT-02).

use std::collections::BTreeSet;

use crm_core::customer::CustomerId;
use crm_core::format::{Currency, tokens};
use crm_core::interaction::Interaction;
use crm_core::invoice::{Invoice, NewInvoice};
use crm_core::log::Event;
use crm_core::note::{Note, NoteId, NoteRefusal};
use crm_core::record::RecordRef;
use crm_core::timeline::{Anchor, TimelineRequest, Visibility};
use crm_core::{Context, Env as _, Error, Expect, TenantId};
use serde_json::json;
use uuid::Uuid;

use super::dice::Dice;
use super::world::{ADA, BOB, GONE, RED, World, all, at_once, contact, person, seed};
use crate::contract::extra_entity::{self, ProjectNote};
use crate::{Harness, size};

type Change = fn(&mut Note);

const WORDS: &[&str] = &["apple", "Émile", "straße", "pear", "quince", "Ω", "日本", "fig"];

/// A note of everybody's about a customer.
fn open(customer: CustomerId, content: &str) -> Note {
    Note { visibility: Visibility::All, ..Note::new(("customer", customer.0), content) }
}

fn about(note: &Note) -> Option<RecordRef> {
    Some(RecordRef::new(note.related_type.clone()?, note.related_id?))
}

/// All events since the consumer asked last.
async fn events(world: &World, consumer: &str) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let rows = world.crm.log().next(&world.manager(), consumer, 500).await.unwrap();
        let Some(last) = rows.last().and_then(|row| row.number) else { return events };
        world.crm.log().acknowledge(&world.manager(), consumer, last).await.unwrap();
        events.extend(rows.into_iter().flat_map(|row| row.body.events));
    }
}

fn named<'e>(events: &'e [Event], name: &str) -> Vec<&'e Event> {
    events.iter().filter(|event| event.name == name).collect()
}

/// A note is about a customer, or about any record that the actor may see, also one of the embedder's own; the record's
/// customer is the note's, and hides it and brings it back.
pub async fn it_02_a_note_is_about_a_customer_or_any_record_and_hidden_with_its_customer(
    harness: &dyn Harness,
) {
    let start = super::world::at(super::world::START);
    let world = World::knowing(harness, extra_entity::catalog(), start).await;
    let (crm, ada, bob) = (&world.crm, world.ada(), world.bob());
    let (home, away) = (world.customer("Home").await.id, world.customer("Away").await.id);
    let someone = crm.contacts().create(&ada, contact(home, "Some", "One")).await.unwrap().id;
    let invoice = Invoice::issued(home, "N-1", world.env.now(), Currency::USD);
    let invoice = crm.invoices().record(&ada, NewInvoice { invoice, lines: Vec::new() }).await.unwrap().id;
    let secret = Interaction { visibility: Visibility::Private, ..world.touch(home, "secret") };
    let secret = crm.interactions().log(&ada, secret).await.unwrap().id;
    let project = ProjectNote {
        customer_id: Some(home),
        owner_id: Some(crm_core::directory::UserId(ADA)),
        happened_at: world.env.now(),
        visibility: Visibility::Private,
        ..ProjectNote::default()
    };
    let project = put(&world, project).await;
    let loose = ProjectNote { happened_at: world.env.now(), ..ProjectNote::default() };
    let loose = put(&world, loose).await;
    let cases: Vec<(RecordRef, Option<CustomerId>, bool)> = vec![
        (("customer", home.0).into(), Some(home), true),
        (("contact", someone.0).into(), Some(home), true),
        (("invoice", invoice.0).into(), Some(home), true),
        (("interaction", secret.0).into(), Some(home), false),
        (("project_note", loose).into(), None, true),
        (("user", BOB).into(), None, true),
    ];
    let mut written = Vec::new();
    for (record, owner, bob_sees) in &cases {
        let note = Note { visibility: Visibility::All, ..Note::new(record.clone(), "about it") };
        let note = crm.notes().create(&ada, note).await.unwrap().value;
        assert_eq!(note.customer_id, *owner, "{record}");
        assert_eq!(about(&note), Some(record.clone()).filter(|record| record.entity != "customer"));
        assert_eq!((note.created_by.map(|user| user.0), note.is_pinned), (Some(ADA), false));
        let anchor = Anchor::Record(record.entity.clone().into_owned(), record.id);
        let page = crm.timeline().page(&ada, &TimelineRequest::of(anchor)).await.unwrap();
        assert_eq!(page.entries.iter().filter(|row| row.entry_id == note.id.0).count(), 1, "{record}");
        let theirs = crm.notes().create(&bob, Note::new(record.clone(), "theirs")).await;
        match theirs {
            Ok(_) => assert!(bob_sees, "{record}"),
            Err(Error::NotFound { entity, id }) => {
                assert_eq!((entity, id, *bob_sees), (&*record.entity, record.id, false));
            }
            other => panic!("{record}: {other:?}"),
        }
        written.push(note);
    }
    let hidden = crm.notes().create(&bob, Note::new(("project_note", project), "theirs")).await;
    assert_eq!(hidden.unwrap_err().code(), "not_found");
    // Named twice, the customer must be the same.
    let twice = |customer, record: RecordRef| Note {
        related_type: Some(record.entity.into_owned()),
        related_id: Some(record.id),
        ..open(customer, "twice")
    };
    let same = crm.notes().create(&ada, twice(home, ("contact", someone.0).into())).await.unwrap().value;
    assert_eq!((same.customer_id, same.related_id), (Some(home), Some(someone.0)));
    let loosely = crm.notes().create(&ada, twice(away, ("project_note", loose).into())).await.unwrap().value;
    assert_eq!(loosely.customer_id, Some(away), "a record without a customer leaves the note's");
    for record in [RecordRef::new("contact", someone.0), RecordRef::new("customer", home.0)] {
        match crm.notes().create(&ada, twice(away, record.clone())).await {
            Err(Error::Refused(NoteRefusal::ForeignRecord { record: named, owner, customer })) => {
                assert_eq!((named, owner, customer), (record, home, away));
            }
            other => panic!("{other:?}"),
        }
    }
    // Hidden with the customer, and back with it.
    let visible =
        async |ctx: &Context| all::<Note>(crm, ctx).await.iter().map(|note| note.id).collect::<Vec<_>>();
    let before = visible(&world.system()).await;
    crm.customers().delete(&ada, home, Expect::Any).await.unwrap();
    for (note, (record, owner, _)) in written.iter().zip(&cases) {
        assert_eq!(crm.notes().get(&ada, note.id).await.is_ok(), owner.is_none(), "{record}");
        let change = crm.notes().update(&ada, note.id, Expect::Any, |note| note.is_pinned = true).await;
        assert_eq!(change.is_ok(), owner.is_none(), "{record}");
        let tenant = crm.timeline().page(&ada, &TimelineRequest::of(Anchor::Tenant)).await.unwrap();
        let shown = tenant.entries.iter().chain(&tenant.pinned).any(|row| row.entry_id == note.id.0);
        assert_eq!(shown, owner.is_none(), "{record}");
        let again = crm.notes().create(&ada, Note::new(record.clone(), "too late")).await;
        assert_eq!(again.is_ok(), owner.is_none(), "{record}");
        if let Ok(done) = again {
            crm.notes().delete(&ada, done.id, Expect::Any).await.unwrap();
        }
    }
    crm.customers().restore(&ada, home).await.unwrap();
    assert_eq!(visible(&world.system()).await, before);
    for note in &written[..4] {
        assert_eq!(crm.notes().get(&ada, note.id).await.unwrap(), *note, "back as it was");
    }
    // Another tenant's records are none of ours.
    let stranger = Context::user(TenantId(Uuid::from_u128(u128::from(seed()))), ADA);
    for (record, ..) in &cases {
        let note = crm.notes().create(&stranger, Note::new(record.clone(), "stranger")).await;
        assert_eq!(note.unwrap_err().code(), "not_found", "{record}");
    }
    assert_eq!(crm.notes().get(&stranger, written[0].id).await.unwrap_err().code(), "not_found");
    let change = crm.notes().delete(&stranger, written[0].id, Expect::Any).await;
    assert_eq!(change.unwrap_err().code(), "not_found");
}

/// Stores a record of the embedder's own.
pub(super) async fn put(world: &World, note: ProjectNote) -> Uuid {
    use crm_core::catalog::Entity as _;
    let command = Put(note);
    let done = world.crm.run(&world.ada(), &command).await.unwrap();
    done.value.id().0
}

struct Put(ProjectNote);

impl crm_core::command::Command for Put {
    type Output = ProjectNote;
    type Refusal = crm_core::command::NoRefusal;
    fn name(&self) -> &'static str {
        "project_notes.put"
    }
    fn permission(&self) -> (crm_core::policy::Action, &'static str) {
        (crm_core::policy::Action::Write, "project_note")
    }
    fn input(&self) -> serde_json::Value {
        json!(self.0.title)
    }
    fn needs(&self, _: &crm_core::command::Loaded) -> Vec<crm_core::command::Need> {
        Vec::new()
    }
    fn decide(
        &self,
        _: &crm_core::command::Loaded,
        changes: &mut crm_core::command::Changes<'_>,
    ) -> Result<ProjectNote, crm_core::command::Decline<crm_core::command::NoRefusal>> {
        Ok(changes.insert(&self.0)?)
    }
    fn recall(
        &self,
        loaded: &crm_core::command::Loaded,
        written: &[(String, Uuid, i64)],
    ) -> Option<ProjectNote> {
        loaded.get(extra_entity::ProjectNoteId(written.first()?.1)).ok().flatten()
    }
}

/// Through any edits the flag is what the text says, whoever sets it; becoming flagged is one event; no event or code
/// of the log carries any of the text.
pub async fn it_02_what_looks_like_a_card_or_social_security_number_is_flagged_once(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ada) = (&world.crm, world.ada());
    let customer = world.customer("Careless").await.id;
    let texts = [
        ("plain", false),
        ("card 4111 1111 1111 1111 until 08/26", true),
        ("card 4111 1111 1111 1112", false),
        ("number 123-45-6789", true),
        ("number 666-45-6789", false),
        ("telephone 202-555-0143", false),
    ];
    let mut dice = Dice::new(seed());
    events(&world, "flags").await;
    for _ in 0..size(4, 40) {
        let (text, mut flagged) = *dice.pick(&texts);
        let given = Note { has_sensitive_data: dice.one_in(2), ..open(customer, text) };
        let note = crm.notes().create(&ada, given).await.unwrap().value;
        let (mut title, mut content) = (texts[0], (text, flagged));
        assert_eq!(note.has_sensitive_data, flagged, "{text}");
        let mut expected = usize::from(flagged);
        for _ in 0..6 {
            if dice.one_in(2) {
                title = *dice.pick(&texts);
            } else {
                content = *dice.pick(&texts);
            }
            let forged = dice.one_in(2);
            let change = |note: &mut Note| {
                note.title = Some(title.0.to_owned());
                note.content = content.0.to_owned();
                note.has_sensitive_data = forged;
            };
            let after = crm.notes().update(&ada, note.id, Expect::Any, change).await.unwrap().value;
            assert_eq!(after.has_sensitive_data, title.1 || content.1, "{title:?} {content:?}");
            expected += usize::from(after.has_sensitive_data && !flagged);
            flagged = after.has_sensitive_data;
        }
        crm.notes().delete(&ada, note.id, Expect::Any).await.unwrap();
        let told = events(&world, "flags").await;
        assert_eq!(named(&told, "note.flagged").len(), expected);
        assert_eq!((named(&told, "note.created").len(), named(&told, "note.deleted").len()), (1, 1));
        let ids = json!({ "note_id": note.id, "customer_id": customer, "related": null });
        assert_eq!(named(&told, "note.created")[0].data, ids);
        for event in &told {
            let text = event.data.to_string();
            assert!(
                !["plain", "card", "number", "4111", "6789"].iter().any(|word| text.contains(word)),
                "{text}"
            );
        }
    }
}

/// Whatever the edits, mentions are users that exist, each once; of each user is told when they are newly mentioned,
/// and not again.
pub async fn it_02_each_user_who_is_newly_mentioned_is_told_once(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ada) = (&world.crm, world.ada());
    let customer = world.customer("Talked about").await.id;
    let users = [ADA, BOB, GONE];
    let mut dice = Dice::new(seed());
    events(&world, "mentions").await;
    let choose = |dice: &mut Dice| -> Vec<Uuid> { (0..dice.below(5)).map(|_| *dice.pick(&users)).collect() };
    let refs = |ids: &[Uuid]| ids.iter().map(|id| RecordRef::new("user", *id)).collect::<Vec<_>>();
    let mut known: BTreeSet<Uuid> = BTreeSet::new();
    let mut note: Option<Note> = None;
    for round in 0..size(24, 400) {
        let chosen = choose(&mut dice);
        let once: Vec<Uuid> = chosen.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let stored = match &note {
            None => {
                let given = Note { mentions: refs(&chosen), ..open(customer, "hello @you") };
                crm.notes().create(&ada, given).await.unwrap().value
            }
            Some(note) => {
                let change = |note: &mut Note| note.mentions = refs(&chosen);
                crm.notes().update(&ada, note.id, Expect::Any, change).await.unwrap().value
            }
        };
        assert_eq!(stored.mentions, refs(&once), "round {round}");
        let fresh: Vec<Uuid> = once.iter().copied().filter(|id| !known.contains(id)).collect();
        let told = events(&world, "mentions").await;
        let told: Vec<_> = named(&told, "note.mentioned").iter().map(|event| event.data.clone()).collect();
        let expected = json!({ "note_id": stored.id, "user_ids": fresh });
        assert_eq!(told, if fresh.is_empty() { Vec::new() } else { vec![expected] }, "round {round}");
        known = once.into_iter().collect();
        note = Some(stored);
    }
    let id = note.unwrap().id;
    let nobody = Uuid::from_u128(404);
    for (wrong, code) in [
        (RecordRef::new("user", nobody), "not_found"),
        (RecordRef::new("customer", customer.0), "invalid"),
        (RecordRef::new("us\0er", ADA), "invalid"),
    ] {
        let given = Note { mentions: vec![wrong.clone()], ..open(customer, "wrong") };
        assert_eq!(crm.notes().create(&ada, given).await.unwrap_err().code(), code);
        let change = |note: &mut Note| note.mentions = vec![wrong.clone()];
        assert_eq!(crm.notes().update(&ada, id, Expect::Any, change).await.unwrap_err().code(), code);
    }
    assert!(events(&world, "mentions").await.is_empty());
}

/// Whoever sees a note may change its text; its visibility only its writer, or who may override. What the actor does
/// not see is not found, also by a repeat of a change that was made while it could be seen.
pub async fn it_02_only_its_writer_or_who_overrides_changes_the_visibility(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ada, bob) = (&world.crm, world.ada().with_team(RED), world.bob().with_team(RED));
    let customer = world.customer("Shared").await.id;
    let note = crm.notes().create(&ada, Note::new(("customer", customer.0), "ours")).await.unwrap().value;
    assert_eq!(
        (note.visibility, note.team_id),
        (Visibility::Team, Some(RED)),
        "the writer's team unless set"
    );
    let set = async |ctx: &Context, visibility| {
        let change = move |note: &mut Note| note.visibility = visibility;
        crm.notes().update(ctx, note.id, Expect::Any, change).await
    };
    let keyed = bob.clone().with_key("bob's");
    let text = |note: &mut Note| note.content = "Bob was here".to_owned();
    crm.notes().update(&keyed, note.id, Expect::Any, text).await.unwrap();
    match set(&bob, Visibility::All).await {
        Err(Error::Refused(NoteRefusal::NotTheWriter(id))) => assert_eq!(id, note.id),
        other => panic!("{other:?}"),
    }
    set(&bob.clone().with_role("manager"), Visibility::All).await.unwrap();
    set(&world.system(), Visibility::Team).await.unwrap();
    assert!(crm.notes().update(&keyed, note.id, Expect::Any, text).await.unwrap().repeated);
    set(&ada, Visibility::Private).await.unwrap();
    let manager = bob.clone().with_role("manager");
    for ctx in [&bob, &manager, &keyed] {
        let codes = [
            crm.notes().get(ctx, note.id).await.unwrap_err().code(),
            crm.notes().update(ctx, note.id, Expect::Any, text).await.unwrap_err().code(),
            crm.notes()
                .update(ctx, note.id, Expect::Version(99), |n| n.is_pinned = true)
                .await
                .unwrap_err()
                .code(),
            crm.notes().delete(ctx, note.id, Expect::Any).await.unwrap_err().code(),
        ];
        // The key of another change is refused as such, before anything is looked at.
        let third = if ctx.key.is_some() { "key_reused" } else { "not_found" };
        assert_eq!(codes, ["not_found", "not_found", third, "not_found"]);
    }
    assert_eq!(crm.notes().get(&ada, note.id).await.unwrap().content, "Bob was here");
    // What the system wrote has no writer.
    let due = crm.notes().create(&world.system(), open(customer, "due")).await.unwrap().value;
    assert_eq!(due.created_by, None);
    let mine =
        crm.notes().update(&ada, due.id, Expect::Any, |note| note.visibility = Visibility::Private).await;
    assert_eq!(mine.unwrap_err().code(), "not_the_writer");
    // Who wrote it, about what and for which team does not change.
    let frozen: [(&str, Change); 4] = [
        ("created_by", |note| note.created_by = Some(crm_core::directory::UserId(BOB))),
        ("team_id", |note| note.team_id = Some(Uuid::from_u128(1))),
        ("customer_id", |note| note.customer_id = None),
        ("related_id", |note| (note.related_type, note.related_id) = (Some("user".to_owned()), Some(ADA))),
    ];
    for (field, change) in frozen {
        match crm.notes().update(&world.system(), note.id, Expect::Any, change).await {
            Err(Error::Invalid(errors)) => {
                assert!(errors.iter().any(|error| error.field == field), "{errors:?}");
            }
            other => panic!("{field}: {other:?}"),
        }
    }
    let stale = crm.notes().delete(&ada, note.id, Expect::Version(1)).await;
    assert_eq!(stale.unwrap_err().code(), "version_conflict");
}

/// The words of title and content, of every version only the last, are what a note is found by.
pub async fn it_02_notes_are_found_by_words_of_title_and_content(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ada) = (&world.crm, world.ada());
    let customer = world.customer("Library").await.id;
    let mut dice = Dice::new(seed());
    let phrase = |dice: &mut Dice| format!("{}, {}!", dice.pick(WORDS), dice.pick(WORDS));
    let mut notes = Vec::new();
    for _ in 0..size(20, 300) {
        let title = dice.maybe(2, phrase);
        let given = Note { title, ..open(customer, &phrase(&mut dice)) };
        let mut note = crm.notes().create(&ada, given).await.unwrap().value;
        if dice.one_in(3) {
            let text = phrase(&mut dice);
            let change = |note: &mut Note| note.content = text.clone();
            note = crm.notes().update(&ada, note.id, Expect::Any, change).await.unwrap().value;
        }
        if dice.one_in(5) {
            crm.notes().delete(&ada, note.id, Expect::Any).await.unwrap();
        } else {
            notes.push(note);
        }
    }
    for word in WORDS {
        for text in [(*word).to_owned(), format!("{} ", word.to_uppercase())] {
            let mut found: Vec<NoteId> =
                crm.notes().search(&ada, &text, 999).await.unwrap().iter().map(|note| note.id).collect();
            found.sort_unstable();
            let has = |note: &&Note| {
                let title = note.title.as_deref().unwrap_or_default();
                let of_note = tokens(&format!("{title}\n{}", note.content));
                tokens(word).iter().all(|token| of_note.contains(token))
            };
            let mut expected: Vec<NoteId> = notes.iter().filter(has).map(|note| note.id).collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}

/// Bad input is refused with its field, all of a batch or none; at the limits it is taken.
pub async fn it_02_wrong_notes_are_refused_and_nothing_is_stored(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ada) = (&world.crm, world.ada());
    let customer = world.customer("Strict").await.id;
    let long = |count: usize| "é".repeat(count);
    let good = || open(customer, "good");
    let cases: Vec<(&str, Note)> = vec![
        ("content", open(customer, "")),
        ("content", open(customer, " \n\t ")),
        ("content", open(customer, "a\0b")),
        ("content", open(customer, &long(50_001))),
        ("title", Note { title: Some(long(201)), ..good() }),
        ("title", Note { title: Some("a\0".to_owned()), ..good() }),
        ("customer_id", Note { customer_id: None, ..good() }),
        ("related_type", Note::new(("opportunity", Uuid::from_u128(1)), "of no entity")),
        ("related_type", Note::new(RecordRef::new("a\0b", Uuid::from_u128(1)), "odd")),
        ("related_type", Note::new(RecordRef::new(long(5_000), Uuid::from_u128(1)), "long")),
        ("related_type", Note::new(RecordRef::new("", Uuid::from_u128(1)), "empty")),
        ("related", Note { related_type: Some("user".to_owned()), ..good() }),
        ("related", Note { related_id: Some(ADA), ..good() }),
    ];
    for (field, note) in cases {
        match crm.notes().create_batch(&ada, vec![good(), note.clone()]).await {
            Err(Error::Invalid(errors)) => {
                assert!(errors.iter().all(|error| error.field.starts_with("[1].")), "{errors:?}");
                assert!(errors.iter().any(|error| error.field.contains(field)), "{field}: {errors:?}");
                assert!(errors.iter().all(|error| error.to_string().len() < 500), "{errors:?}");
            }
            other => panic!("{field} of {note:?}: {other:?}"),
        }
    }
    let gone = crm.customers().create(&ada, person("Gone")).await.unwrap().id;
    crm.customers().delete(&ada, gone, Expect::Any).await.unwrap();
    for id in [gone, CustomerId(Uuid::from_u128(404)), CustomerId(Uuid::nil())] {
        assert_eq!(crm.notes().create(&ada, open(id, "nobody's")).await.unwrap_err().code(), "not_found");
    }
    assert!(all::<Note>(crm, &world.system()).await.is_empty());
    let largest = Note { title: Some(long(200)), ..open(customer, &long(50_000)) };
    let largest = crm.notes().create(&ada, largest).await.unwrap().value;
    assert_eq!(crm.notes().get(&ada, largest.id).await.unwrap(), largest);
    let empty = crm.notes().update(&ada, largest.id, Expect::Any, |note| note.content.clear()).await;
    assert_eq!(empty.unwrap_err().code(), "invalid");
    let reader = Context { roles: vec!["reader".to_owned()], ..world.ada() };
    assert_eq!(crm.notes().create(&reader, good()).await.unwrap_err().code(), "forbidden");
    assert_eq!(crm.notes().delete(&reader, largest.id, Expect::Any).await.unwrap_err().code(), "forbidden");
    assert!(crm.notes().get(&reader, largest.id).await.is_ok());
}

/// Of many writers at once with one expected version one wins, without one all do; a key is carried out once.
pub async fn it_02_many_change_one_note_at_once_and_none_is_lost(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ada) = (world.crm.clone(), world.second(harness).await, world.ada());
    let customer = world.customer("Busy").await.id;
    let keyed = ada.clone().with_key("once");
    let made = at_once(16, |n| {
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, keyed.clone());
        async move { crm.notes().create(&ctx, open(customer, "one")).await.unwrap() }
    })
    .await;
    let id = made[0].id;
    assert!(made.iter().all(|done| done.id == id) && made.iter().filter(|done| !done.repeated).count() == 1);
    let results = at_once(16, |n| {
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ada.clone());
        async move {
            let change = |note: &mut Note| note.content = format!("{} {n}", note.content);
            crm.notes().update(&ctx, id, Expect::Version(1), change).await.map(|done| done.value)
        }
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    at_once(16, |n| {
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ada.clone());
        async move {
            let change = |note: &mut Note| note.content = format!("{} w{n}", note.content);
            crm.notes().update(&ctx, id, Expect::Any, change).await.unwrap();
        }
    })
    .await;
    let note = crm.notes().get(&ada, id).await.unwrap();
    assert_eq!(note.meta.version, 18);
    let words: BTreeSet<&str> = note.content.split(' ').filter(|word| word.starts_with('w')).collect();
    assert_eq!(words.len(), 16, "{}", note.content);
    assert_eq!(all::<Note>(&crm, &ada).await.len(), 1);
}
