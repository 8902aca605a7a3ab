//! What can be done with notes, as pure decisions.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::customer::{Customer, CustomerId, Expect, at_place, input_of, live_customer};
use crate::directory::{User, UserId};
use crate::note::{Note, NoteId, has_sensitive_data};
use crate::policy::Action;
use crate::record::{FieldError, RecordRef};
use crate::timeline::direct_root;

/// Why a note is not written or changed.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteRefusal {
    /// The note names a customer and a record of another one.
    #[error(
        "{record} belongs to customer {owner}, not {customer}; leave the note's customer out or name {owner}"
    )]
    ForeignRecord {
        /// The record that the note is about.
        record: RecordRef,
        /// Its customer.
        owner: CustomerId,
        /// The note's customer.
        customer: CustomerId,
    },
    /// Somebody else wrote the note.
    #[error("the visibility of note {0} is changed by its writer, or by somebody who may override notes")]
    NotTheWriter(NoteId),
}

impl Refusal for NoteRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::ForeignRecord { .. } => "foreign_record",
            Self::NotTheWriter(_) => "not_the_writer",
        }
    }
}

type Decision<T> = Result<T, Decline<NoteRefusal>>;

/// Writes notes, all or none.
///
/// The writer is the acting user, the team their first unless one is named. A note about a record that one link leads
/// from to a customer is that customer's: hidden with it, and back with it.
#[derive(Clone, Debug)]
pub struct CreateNotes {
    /// The notes, at most [`MAX_WRITES`](crate::store::MAX_WRITES).
    pub notes: Vec<Note>,
}

impl Command for CreateNotes {
    type Output = Vec<Note>;
    type Refusal = NoteRefusal;

    fn name(&self) -> &'static str {
        "notes.create"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "note")
    }

    fn input(&self) -> Json {
        self.notes.iter().map(input_of).collect()
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        let customers = self.notes.iter().filter_map(|note| Some(note.customer_id?.0)).collect();
        let mentioned = self.notes.iter().flat_map(|note| &note.mentions);
        vec![
            Need::Records(Customer::def(), customers),
            Need::Records(User::def(), mentioned.map(|user| user.id).collect()),
            Need::Readable(self.notes.iter().filter_map(related).collect()),
        ]
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let mut written = Vec::with_capacity(self.notes.len());
        for (place, given) in self.notes.iter().enumerate() {
            let at = |decline| match decline {
                Decline::Invalid(errors) => Decline::Invalid(at_place(errors, place, self.notes.len())),
                other => other,
            };
            let mut note = given.clone();
            settle_customer(&mut note, loaded, changes).map_err(at)?;
            check_mentions(&[], &note, loaded).map_err(at)?;
            note.created_by = changes.context().user_id().map(UserId);
            note.team_id = note.team_id.or(changes.context().teams.first().copied());
            note.has_sensitive_data = is_sensitive(&note);
            let note = changes.insert(&note).map_err(|errors| at(Decline::Invalid(errors)))?;
            changes.event("note.created", ids(&note));
            tell(None, &note, changes);
            written.push(note);
        }
        Ok(written)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        written.iter().map(|(_, id, _)| loaded.get(NoteId(*id)).ok().flatten()).collect()
    }
}

/// Changes or deletes one note. One that the actor may not see is not found.
pub struct UpdateNote<'f> {
    /// The note.
    pub id: NoteId,
    /// Which version it applies to.
    pub expect: Expect,
    /// Whether it is deleted instead of changed.
    pub delete: bool,
    /// Whether the actor may change the visibility of what somebody else wrote: has [`Action::Override`] on notes.
    pub may_override: bool,
    /// What changes. Called again when others were faster.
    pub change: &'f (dyn Fn(&mut Note) + Send + Sync),
}

impl Command for UpdateNote<'_> {
    type Output = Note;
    type Refusal = NoteRefusal;

    fn name(&self) -> &'static str {
        if self.delete { "notes.delete" } else { "notes.update" }
    }

    fn permission(&self) -> (Action, &'static str) {
        (if self.delete { Action::Delete } else { Action::Write }, "note")
    }

    fn input(&self) -> Json {
        let mut sample = Note::new(("customer", Uuid::nil()), "");
        (self.change)(&mut sample);
        json!([self.id, self.expect.to_json(), self.delete, input_of(&sample)])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = vec![Need::Records(Note::def(), vec![self.id.0])];
        if let Ok(Some(mut note)) = loaded.live::<Note>(self.id) {
            needs.push(Need::Records(Customer::def(), note.customer_id.iter().map(|id| id.0).collect()));
            (self.change)(&mut note);
            needs.push(Need::Records(User::def(), note.mentions.iter().map(|user| user.id).collect()));
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let missing = || Decline::NotFound("note", self.id.0);
        let before: Note = loaded.live(self.id)?.ok_or_else(missing)?;
        if let Some(customer) = before.customer_id {
            loaded.live::<Customer>(customer)?.ok_or_else(missing)?;
        }
        if !crate::query::visible(&before.to_record(), &changes.context().viewer()) {
            return Err(missing());
        }
        self.expect.check("note", self.id.0, before.meta.version)?;
        if self.delete {
            let after = changes.delete_record(&before.to_record());
            changes.event("note.deleted", ids(&before));
            return Ok(Note::from_record(&after)?);
        }
        let mut after = before.clone();
        (self.change)(&mut after);
        let user = changes.context().user_id().map(UserId);
        let is_writer = user.is_some() && user == before.created_by;
        if after.visibility != before.visibility && !is_writer && !self.may_override {
            return Err(Decline::Refused(NoteRefusal::NotTheWriter(self.id)));
        }
        check_mentions(&before.mentions, &after, loaded)?;
        after.has_sensitive_data = is_sensitive(&after);
        let after = changes.update(&before, &after)?;
        if after.meta.version != before.meta.version {
            changes.event("note.updated", ids(&after));
            tell(Some(&before), &after, changes);
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

/// The record that the note is about, beside a customer.
fn related(note: &Note) -> Option<RecordRef> {
    Some(RecordRef::new(note.related_type.clone()?, note.related_id?))
}

/// Checks what the note is about, and says which customer it is read through.
fn settle_customer(note: &mut Note, loaded: &Loaded, changes: &Changes<'_>) -> Decision<()> {
    if let Some(customer) = note.customer_id {
        live_customer(customer, loaded)?;
    }
    let Some(reference) = related(note) else {
        // Half of a reference is refused with the record's other fields.
        if note.customer_id.is_some() || note.related_id.is_some() || note.related_type.is_some() {
            return Ok(());
        }
        let why = "is missing, and so is related_id; say what the note is about";
        return Err(Decline::Invalid(vec![FieldError::new("customer_id", why)]));
    };
    let field =
        if changes.catalog().get(&reference.entity).is_some() { "related_id" } else { "related_type" };
    let record = loaded.readable(field, &reference, changes.catalog())?;
    let is_customer = record.def == Customer::def();
    let owner = if is_customer { Some(record.id()) } else { direct_root(changes.catalog(), record) };
    let Some(owner) = owner.map(CustomerId) else { return Ok(()) };
    match note.customer_id.replace(owner) {
        Some(customer) if customer != owner => {
            return Err(Decline::Refused(NoteRefusal::ForeignRecord { record: reference, owner, customer }));
        }
        _ => {}
    }
    if is_customer {
        (note.related_type, note.related_id) = (None, None);
    }
    Ok(())
}

/// Refuses mentions of anything but users, and new ones of users that the directory does not have.
fn check_mentions(known: &[RecordRef], note: &Note, loaded: &Loaded) -> Decision<()> {
    for user in &note.mentions {
        if user.entity != "user" {
            let entity: String = user.entity.chars().take(48).collect();
            let why = format!("names a record of {entity:?}; only users are mentioned");
            return Err(Decline::Invalid(vec![FieldError::new("mentions", why)]));
        }
        if !known.contains(user) {
            loaded.live::<User>(UserId(user.id))?.ok_or(Decline::NotFound("user", user.id))?;
        }
    }
    Ok(())
}

fn is_sensitive(note: &Note) -> bool {
    has_sensitive_data(&note.content) || note.title.as_deref().is_some_and(has_sensitive_data)
}

fn ids(note: &Note) -> Json {
    json!({
        "note_id": note.id,
        "customer_id": note.customer_id,
        "related": related(note).map(|record| record.to_string()),
    })
}

/// Tells who is newly mentioned, and that a note has become one to review.
fn tell(before: Option<&Note>, after: &Note, changes: &mut Changes<'_>) {
    let known = before.map_or(&[][..], |note| &note.mentions);
    let users: Vec<Uuid> = after.mentions.iter().filter(|m| !known.contains(m)).map(|m| m.id).collect();
    if !users.is_empty() {
        changes.event("note.mentioned", json!({ "note_id": after.id, "user_ids": users }));
    }
    if after.has_sensitive_data && !before.is_some_and(|note| note.has_sensitive_data) {
        changes.event("note.flagged", json!({ "note_id": after.id, "customer_id": after.customer_id }));
    }
}
