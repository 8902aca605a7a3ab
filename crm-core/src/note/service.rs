//! `crm.notes()`.

use crate::catalog::Entity;
use crate::command::Error;
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::Expect;
use crate::note::{CreateNotes, Note, NoteId, NoteRefusal, UpdateNote};
use crate::policy::Action;
use crate::query::{Find, Page, visible};

/// Notes: write, change, delete, read, find, search.
///
/// ```
/// use crm_core::note::Note;
/// use crm_core::customer::CustomerId;
/// use crm_core::timeline::Visibility;
/// let customer = CustomerId(uuid::Uuid::from_u128(7));
/// let note = Note { is_pinned: true, ..Note::new(("customer", customer.0), "Call before ten") };
/// assert_eq!((note.customer_id, note.visibility), (Some(customer), Visibility::Team));
/// ```
#[derive(Clone, Copy)]
pub struct Notes<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<Done<T>, Error<NoteRefusal>>;

impl<'a> Notes<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Writes a note about a customer or any other live record that the actor may see.
    pub async fn create(&self, ctx: &Context, note: Note) -> Outcome<Note> {
        Ok(self.create_batch(ctx, vec![note]).await?.map(|mut list| list.remove(0)))
    }

    /// Writes many notes, all or none; at most [`MAX_WRITES`](crate::store::MAX_WRITES).
    pub async fn create_batch(&self, ctx: &Context, notes: Vec<Note>) -> Outcome<Vec<Note>> {
        self.crm.run(ctx, &CreateNotes { notes }).await
    }

    /// Changes a note by a function over it, which is called again if others were faster. Its visibility is changed
    /// by its writer, or by somebody with [`Action::Override`] on notes.
    pub async fn update(
        &self,
        ctx: &Context,
        id: NoteId,
        expect: Expect,
        change: impl Fn(&mut Note) + Send + Sync,
    ) -> Outcome<Note> {
        self.change(ctx, id, expect, false, &change).await
    }

    /// Deletes a note.
    pub async fn delete(&self, ctx: &Context, id: NoteId, expect: Expect) -> Outcome<Note> {
        self.change(ctx, id, expect, true, &|_| {}).await
    }

    /// The note, if the actor may see it.
    pub async fn get(&self, ctx: &Context, id: NoteId) -> Result<Note, Error> {
        self.crm.get(ctx, id).await
    }

    /// The notes with these ids, in their order; those that the actor may not see are left out.
    pub async fn get_many(&self, ctx: &Context, ids: &[NoteId]) -> Result<Vec<Note>, Error> {
        self.crm.get_many(ctx, ids).await
    }

    /// A page of the notes that meet criteria and that the actor may see.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Note>, Error> {
        self.crm.find(ctx, find).await
    }

    /// Notes by words of their title and content; the last word may be its beginning.
    pub async fn search(&self, ctx: &Context, text: &str, limit: usize) -> Result<Vec<Note>, Error> {
        Ok(self.crm.find(ctx, &Find::search(text).limit(limit)).await?.items)
    }

    async fn change(
        &self,
        ctx: &Context,
        id: NoteId,
        expect: Expect,
        delete: bool,
        change: &(dyn Fn(&mut Note) + Send + Sync),
    ) -> Outcome<Note> {
        let may_override = self.crm.allow(ctx, Action::Override, "note").is_ok();
        let done = self.crm.run(ctx, &UpdateNote { id, expect, delete, may_override, change }).await?;
        // A repeat gives the note as it is now, which its writer may have made private since.
        if done.repeated && !visible(&done.to_record(), &ctx.viewer()) {
            return Err(Error::NotFound { entity: "note", id: id.0 });
        }
        Ok(done)
    }
}
