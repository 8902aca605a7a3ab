//! One multi-document transaction, driven by hand: nothing is tried again behind our back.

use bson::raw::{RawArrayBuf, RawDocumentBuf, cstr};
use bson::{Document, doc};
use crm_core::store::{CommitError, StoreError};
use futures_util::TryStreamExt;
use mongodb::ClientSession;
use mongodb::error::Error;
use mongodb::options::{Acknowledgment, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern};

use crate::error::{DUPLICATE, corrupt, is_lost, is_transient, is_unknown_commit, store_error};
use crate::inner::Inner;

/// The most bytes of entries in one command; a command is a document and so at most 16 MiB.
const MAX_BYTES: usize = 12 << 20;
/// The most entries in one command.
const MAX_ENTRIES: usize = 50_000;
/// How often a commit with unknown outcome is asked for again.
const COMMIT_TRIES: u32 = 3;

/// Why a transaction did not do what was asked of it. It is over then.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Other work was in the way; nothing was applied.
    Transient,
    /// The server was lost; whether the transaction was applied is not known.
    Unknown(StoreError),
    /// An entry met a duplicate key.
    Duplicate { collection: &'static str, index: String, place: usize },
    /// An entry matched nothing.
    Mismatch { collection: &'static str },
    /// The server failed.
    Store(StoreError),
    /// The change set is refused.
    Commit(CommitError),
}

/// What a batch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Insert,
    /// Each entry must match one document.
    Update,
    /// Entries may match none.
    UpdateAny,
    /// Each entry must match one document.
    Delete,
    /// Entries may match none.
    DeleteAny,
}

/// Entries for one collection, sent in as few commands as fit.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) collection: &'static str,
    pub(crate) verb: Verb,
    entries: Vec<RawDocumentBuf>,
}

impl Batch {
    pub(crate) fn new(collection: &'static str, verb: Verb) -> Self {
        Self { collection, verb, entries: Vec::new() }
    }

    pub(crate) fn push(&mut self, entry: &Document) -> Result<(), Failure> {
        let raw = RawDocumentBuf::try_from(entry).map_err(|_| {
            Failure::Store(corrupt(format!("what is written to {} is no BSON", self.collection)))
        })?;
        self.entries.push(raw);
        Ok(())
    }

    fn chunks(&self) -> Vec<&[RawDocumentBuf]> {
        let mut chunks = Vec::new();
        let (mut start, mut bytes) = (0, 0);
        for (place, entry) in self.entries.iter().enumerate() {
            let size = entry.as_bytes().len() + 16;
            if place > start && (bytes + size > MAX_BYTES || place - start >= MAX_ENTRIES) {
                chunks.push(&self.entries[start..place]);
                (start, bytes) = (place, 0);
            }
            bytes += size;
        }
        if start < self.entries.len() {
            chunks.push(&self.entries[start..]);
        }
        chunks
    }

    fn command(&self, entries: &[RawDocumentBuf], max_time: i64) -> RawDocumentBuf {
        let mut array = RawArrayBuf::new();
        for entry in entries {
            array.push(entry.as_ref());
        }
        let mut command = RawDocumentBuf::new();
        match self.verb {
            Verb::Insert => {
                command.append(cstr!("insert"), self.collection);
                command.append(cstr!("documents"), array);
            }
            Verb::Update | Verb::UpdateAny => {
                command.append(cstr!("update"), self.collection);
                command.append(cstr!("updates"), array);
            }
            Verb::Delete | Verb::DeleteAny => {
                command.append(cstr!("delete"), self.collection);
                command.append(cstr!("deletes"), array);
            }
        }
        command.append(cstr!("ordered"), true);
        command.append(cstr!("maxTimeMS"), max_time);
        command
    }
}

/// A transaction under way: snapshot reads, majority writes.
pub(crate) struct Transaction<'a> {
    inner: &'a Inner,
    session: Session<'a>,
}

enum Session<'a> {
    Own(Box<ClientSession>),
    Lent(&'a mut ClientSession),
}

impl<'a> Transaction<'a> {
    /// Starts one. The server hears of it with the first command.
    pub(crate) async fn start(inner: &'a Inner) -> Result<Self, StoreError> {
        let failed = |error: Error| store_error("starting a transaction", &error);
        let mut session = inner.client.start_session().await.map_err(failed)?;
        session
            .start_transaction()
            .read_concern(ReadConcern::snapshot())
            .write_concern(WriteConcern::builder().w(Acknowledgment::Majority).build())
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .max_commit_time(inner.options.max_time)
            .await
            .map_err(failed)?;
        Ok(Self { inner, session: Session::Own(Box::new(session)) })
    }

    /// Joins one that somebody else started and will end.
    pub(crate) fn lent(inner: &'a Inner, session: &'a mut ClientSession) -> Self {
        Self { inner, session: Session::Lent(session) }
    }

    fn session(&mut self) -> &mut ClientSession {
        match &mut self.session {
            Session::Own(session) => session,
            Session::Lent(session) => session,
        }
    }

    /// Makes it so.
    pub(crate) async fn commit(mut self) -> Result<(), Failure> {
        let mut attempt = 1;
        loop {
            self.inner.count();
            match self.session().commit_transaction().await {
                Ok(()) => return Ok(()),
                Err(error) if is_unknown_commit(&error) && attempt < COMMIT_TRIES => {
                    crate::timing::rest(attempt).await;
                    attempt += 1;
                }
                Err(error) if is_unknown_commit(&error) => {
                    self.end_session().await;
                    return Err(Failure::Unknown(store_error("committing", &error)));
                }
                Err(error) => return Err(failure("committing", &error)),
            }
        }
    }

    /// Ends the session on the server, and with it a transaction that may still be open there because no commit ever
    /// arrived: it would stand in the way for a minute. One that was committed stays so.
    async fn end_session(&mut self) {
        self.inner.count();
        let kill = doc! { "killSessions": [self.session().id().clone()] };
        if self.inner.client.database("admin").run_command(kill).await.is_err() {
            tracing::debug!("a session with a lost commit could not be ended");
        }
    }

    /// Gives it up. The server does so too when it does not hear this.
    pub(crate) async fn abort(mut self) {
        self.inner.count();
        if self.session().abort_transaction().await.is_err() {
            tracing::debug!("a transaction was over before it was given up");
        }
    }

    /// Runs a batch.
    pub(crate) async fn run(&mut self, batch: &Batch) -> Result<(), Failure> {
        let what = format!("writing to {}", batch.collection);
        let mut offset = 0;
        for chunk in batch.chunks() {
            let command = batch.command(chunk, self.inner.max_time_ms());
            self.inner.count();
            let db = self.inner.db.clone();
            let answer = db.run_raw_command(command).session(self.session()).await;
            let answer = answer.map_err(|error| failure(&what, &error))?;
            check(batch, chunk.len(), offset, &answer, &what)?;
            offset += chunk.len();
        }
        Ok(())
    }

    /// Runs a command.
    pub(crate) async fn command(&mut self, mut command: Document, what: &str) -> Result<Document, Failure> {
        command.insert("maxTimeMS", self.inner.max_time_ms());
        self.inner.count();
        let db = self.inner.db.clone();
        db.run_command(command).session(self.session()).await.map_err(|error| failure(what, &error))
    }

    /// Runs an aggregation.
    pub(crate) async fn aggregate(
        &mut self,
        collection: &str,
        stages: Vec<Document>,
        what: &str,
    ) -> Result<Vec<Document>, Failure> {
        self.inner.count();
        let max_time = self.inner.options.max_time;
        let collection = self.inner.db.collection::<Document>(collection);
        let session = self.session();
        let aggregate =
            collection.aggregate(stages).max_time(max_time).batch_size(100_000).session(&mut *session);
        let found = match aggregate.await {
            Ok(mut cursor) => cursor.stream(session).try_collect().await,
            Err(error) => Err(error),
        };
        found.map_err(|error| failure(what, &error))
    }
}

/// What an error of the driver means for a transaction.
fn failure(what: &str, error: &Error) -> Failure {
    if is_lost(error) {
        Failure::Unknown(store_error(what, error))
    } else if is_transient(error) {
        Failure::Transient
    } else {
        Failure::Store(store_error(what, error))
    }
}

/// Reads a write command's answer: refusals of single entries do not fail the command.
fn check(batch: &Batch, sent: usize, offset: usize, answer: &Document, what: &str) -> Result<(), Failure> {
    let errors = answer.get_array("writeErrors").ok();
    if let Some(error) = errors.and_then(|errors| errors.first()).and_then(bson::Bson::as_document) {
        let code = error.get_i32("code").unwrap_or(0);
        if code == DUPLICATE {
            let message = error.get_str("errmsg").unwrap_or_default();
            let place = usize::try_from(error.get_i32("index").unwrap_or(0)).unwrap_or(0);
            return Err(Failure::Duplicate {
                collection: batch.collection,
                index: index_name(message).to_owned(),
                place: offset + place,
            });
        }
        return Err(Failure::Store(StoreError::Failed { what: what.to_owned(), code: code.to_string() }));
    }
    let matched = usize::try_from(answer.get_i32("n").unwrap_or(0)).unwrap_or(0);
    let all = matches!(batch.verb, Verb::Insert | Verb::Update | Verb::Delete);
    if all && matched != sent {
        return Err(Failure::Mismatch { collection: batch.collection });
    }
    Ok(())
}

/// The index that a duplicate key was found in. The message is the only place that names it:
/// `… collection: DATABASE.COLLECTION index: NAME dup key: …`.
fn index_name(message: &str) -> &str {
    message
        .split_once(" index: ")
        .and_then(|(_, rest)| rest.split_once(" dup key"))
        .map_or("", |(name, _)| name.trim())
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_the_index() {
        let message = "E11000 duplicate key error collection: db.customers index: customers_email dup key: { a: \" index: x\" }";
        assert_eq!(index_name(message), "customers_email");
        assert_eq!(
            index_name("E11000 duplicate key error collection: a.b index: _id_ dup key: { _id: 2 }"),
            "_id_"
        );
        assert_eq!(index_name("something else"), "");
    }

    #[test]
    fn big_batches_are_sent_in_several_commands() {
        let mut batch = Batch::new("x", Verb::Insert);
        for _ in 0..5 {
            assert!(batch.push(&doc! { "text": "a".repeat(5 << 20) }).is_ok());
        }
        assert_eq!(batch.chunks().iter().map(|chunk| chunk.len()).collect::<Vec<_>>(), [2, 2, 1]);
    }
}
