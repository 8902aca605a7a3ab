//! Running a command: load, decide, commit; on a conflict, again.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Error, Loaded, Need, Refusal};
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::policy::Action;
use crate::store::{Answer, CommitError, KeyClaim, KeyRecord, MAX_LIMIT, Read, StoreError};
use crate::tenant::Settings;
use crate::value::{Value, truncate};

const LONGEST_KEY: usize = 200;

impl Crm {
    /// Runs a command of this library or of the embedder's own.
    ///
    /// Without a conflict this is one read for each round of [`Command::needs`] and one commit. When a record has
    /// changed in between, it is loaded and decided again, until the builder's deadline.
    #[tracing::instrument(level = "debug", name = "crm.command", skip_all, fields(command = command.name()))]
    pub async fn run<C: Command>(
        &self,
        ctx: &Context,
        command: &C,
    ) -> Result<Done<C::Output>, Error<C::Refusal>> {
        let started = self.env().ticks();
        let outcome = self.run_until(ctx, command, started + self.inner.deadline).await;
        self.warn_if_slow(command.name(), started);
        outcome
    }

    async fn run_until<C: Command>(
        &self,
        ctx: &Context,
        command: &C,
        deadline: std::time::Duration,
    ) -> Result<Done<C::Output>, Error<C::Refusal>> {
        let (action, entity) = command.permission();
        if !self.inner.policy.allows(ctx, action, entity) {
            return Err(Error::Forbidden { action: action.code(), entity });
        }
        let digest = key_digest(ctx, command)?;
        let mut attempt = 0;
        let mut broken = None;
        loop {
            let (loaded, used) = self.load(ctx, command, digest.is_some()).await?;
            if let (Some(record), Some(digest)) = (used, &digest) {
                return self.recall(ctx, command, &record, digest).await;
            }
            let store = &*self.inner.store;
            let mut changes = Changes::new(store.catalog(), self.env(), ctx, command.name());
            changes.not_before(&loaded);
            let value = command.decide(&loaded, &mut changes)?;
            let written = changes.written();
            if changes.is_empty() && digest.is_none() {
                return Ok(Done { value, written, repeated: false });
            }
            let claim = digest.as_ref().map(|digest| KeyClaim {
                command: command.name(),
                key: ctx.key.clone().unwrap_or_default(),
                record: KeyRecord {
                    digest: digest.clone(),
                    result: serde_json::to_string(&written).unwrap_or_default(),
                    at: truncate(self.env().now()),
                },
            });
            let set = changes.finish(claim)?;
            loop {
                match store.commit(&set).await {
                    Ok(()) => return Ok(Done { value, written, repeated: false }),
                    Err(CommitError::Contended) => self.pause(&mut attempt, deadline).await?,
                    Err(CommitError::Conflict { .. }) => {
                        self.pause(&mut attempt, deadline).await?;
                        break;
                    }
                    Err(CommitError::Dangling { entity, field }) => {
                        let why =
                            format!("leads to no {entity}'s record of this tenant; name one that exists");
                        return Err(Error::Invalid(vec![crate::record::FieldError::new(field, why)]));
                    }
                    Err(CommitError::Unique { rule }) if command.resolves(rule) || broken != Some(rule) => {
                        // What was taken in the meantime is seen now; what was taken all along stays an error.
                        broken = Some(rule);
                        self.pause(&mut attempt, deadline).await?;
                        break;
                    }
                    Err(CommitError::Unique { rule }) => return Err(Error::NotUnique { rule }),
                    Err(CommitError::InUse { entity, field, id }) => {
                        return Err(Error::InUse { entity, field, id });
                    }
                    Err(CommitError::KeyUsed(record)) => {
                        let digest = digest.as_deref().unwrap_or_default();
                        return self.recall(ctx, command, &record, digest).await;
                    }
                    Err(CommitError::Invalid(error)) => return Err(error.into()),
                    Err(CommitError::Store(error)) => return Err(error.into()),
                }
            }
        }
    }

    /// Loads what a command needs, round by round; with it the tenant's settings and the idempotency key.
    async fn load<C: Command>(
        &self,
        ctx: &Context,
        command: &C,
        with_key: bool,
    ) -> Result<(Loaded, Option<KeyRecord>), Error<C::Refusal>> {
        let mut loaded = Loaded::default();
        let mut used = None;
        let mut wanted = vec![Need::Records(Settings::def(), vec![ctx.tenant.0])];
        let mut ask_key = with_key;
        loop {
            wanted.extend(command.needs(&loaded));
            let mut needs: Vec<Need> = Vec::new();
            for need in wanted.drain(..).filter_map(|need| loaded.lacks(need)) {
                join(&mut needs, need);
            }
            let mut reads: Vec<Read> = needs.iter().flat_map(|need| self.reads_of(ctx, need)).collect();
            if std::mem::take(&mut ask_key) {
                reads.push(Read::Key { command: command.name(), key: ctx.key.clone().unwrap_or_default() });
            }
            if reads.is_empty() {
                return Ok((loaded, used));
            }
            let mut answers = self.inner.store.read(ctx.tenant, &reads).await?.into_iter();
            for need in needs {
                let reads = self.reads_of(ctx, &need).len();
                take(&mut loaded, need, reads, &mut answers)?;
            }
            if let Some(Answer::Key(key)) = answers.next() {
                used = key;
                if used.is_some() {
                    return Ok((loaded, used));
                }
            }
        }
    }

    /// Answers a repeat: the ids and versions of the first time, the records as they are now.
    async fn recall<C: Command>(
        &self,
        ctx: &Context,
        command: &C,
        record: &KeyRecord,
        digest: &str,
    ) -> Result<Done<C::Output>, Error<C::Refusal>> {
        if record.digest != digest {
            return Err(Error::KeyReused);
        }
        let corrupt = || StoreError::Corrupt { what: "the result of an idempotency key".to_owned() };
        let written: Vec<(String, Uuid, i64)> =
            serde_json::from_str(&record.result).map_err(|_| corrupt())?;
        let mut needs: Vec<Need> = Vec::new();
        for (entity, id, _) in &written {
            let def = self.inner.store.catalog().get(entity).ok_or_else(corrupt)?;
            join(&mut needs, Need::Records(def, vec![*id]));
        }
        let (mut loaded, _) = self.load(ctx, command, false).await?;
        needs = needs.into_iter().filter_map(|need| loaded.lacks(need)).collect();
        let reads: Vec<Read> = needs.iter().flat_map(|need| self.reads_of(ctx, need)).collect();
        if !reads.is_empty() {
            let mut answers = self.inner.store.read(ctx.tenant, &reads).await?.into_iter();
            for need in needs {
                let reads = self.reads_of(ctx, &need).len();
                take(&mut loaded, need, reads, &mut answers)?;
            }
        }
        let gone = || match written.first() {
            Some((entity, id, _)) => Error::NotFound {
                entity: self.inner.store.catalog().get(entity).map_or("record", |def| def.name),
                id: *id,
            },
            // Nothing was written the first time: what was there already is gone.
            None => Error::NotFound { entity: command.permission().1, id: Uuid::nil() },
        };
        let value = command.recall(&loaded, &written).ok_or_else(gone)?;
        Ok(Done { value, written, repeated: true })
    }

    fn reads_of(&self, ctx: &Context, need: &Need) -> Vec<Read> {
        match need {
            Need::Records(def, ids) => {
                ids.chunks(MAX_LIMIT).map(|ids| Read::Get { def, ids: ids.to_vec() }).collect()
            }
            Need::Find(_, query) => vec![Read::Find((**query).clone())],
            Need::Ancestors(_, def, id) => vec![Read::Ancestors { def, id: *id, limit: MAX_LIMIT }],
            Need::Readable(references) => {
                let mut by_entity = BTreeMap::<&str, Vec<Value>>::new();
                for reference in references {
                    by_entity.entry(&reference.entity).or_default().push(Value::Id(reference.id));
                }
                let catalog = self.inner.store.catalog();
                let known =
                    by_entity.into_iter().filter_map(|(entity, ids)| Some((catalog.get(entity)?, ids)));
                let allowed = known.filter(|(def, _)| self.inner.policy.allows(ctx, Action::Read, def.name));
                let queries = allowed.flat_map(|(def, ids)| {
                    let chunks: Vec<_> = ids.chunks(MAX_LIMIT).map(<[Value]>::to_vec).collect();
                    chunks.into_iter().map(move |ids| Read::Find(self.readable(ctx, def, ids)))
                });
                queries.collect()
            }
        }
    }

    async fn pause<R: Refusal>(
        &self,
        attempt: &mut u32,
        deadline: std::time::Duration,
    ) -> Result<(), Error<R>> {
        if self.env().ticks() >= deadline {
            return Err(Error::Contended);
        }
        *attempt += 1;
        self.inner.store.rest(*attempt).await;
        Ok(())
    }

    pub(super) fn warn_if_slow(&self, call: &'static str, started: std::time::Duration) {
        let took = self.env().ticks().saturating_sub(started);
        if took >= self.inner.slow_call {
            tracing::warn!(call, took_ms = took.as_millis() as u64, "slow call");
        }
    }
}

/// The digest of the input and of who gives it, when the request carries a key.
fn key_digest<C: Command>(ctx: &Context, command: &C) -> Result<Option<String>, Error<C::Refusal>> {
    let Some(key) = &ctx.key else { return Ok(None) };
    if key.is_empty() || key.len() > LONGEST_KEY || key.contains('\0') {
        let why = format!("accepted are 1 to {LONGEST_KEY} bytes of text without U+0000");
        return Err(Error::Invalid(vec![crate::record::FieldError::new("idempotency key", why)]));
    }
    // The actor belongs to it: a repeat hands out what the first one gave, which others may not see.
    let actor = (ctx.actor.kind, ctx.actor.id, command.input());
    Ok(Some(crate::log::hex(&Sha256::digest(serde_json::json!(actor).to_string()))))
}

/// Adds a need, joining records of one entity into one read.
fn join(needs: &mut Vec<Need>, need: Need) {
    if let Need::Records(def, ids) = &need {
        for other in needs.iter_mut() {
            if let Need::Records(same, others) = other
                && same == def
            {
                others.extend(ids);
                others.sort_unstable();
                others.dedup();
                return;
            }
        }
    }
    if let Need::Readable(references) = &need
        && let Some(Need::Readable(others)) = needs.iter_mut().find(|n| matches!(n, Need::Readable(_)))
    {
        others.extend(references.iter().cloned());
        others.sort_unstable();
        others.dedup();
        return;
    }
    if let Need::Find(name, _) | Need::Ancestors(name, ..) = &need
        && needs
            .iter()
            .any(|n| matches!(n, Need::Find(other, _) | Need::Ancestors(other, ..) if other == name))
    {
        return;
    }
    needs.push(need);
}

fn take(
    loaded: &mut Loaded,
    need: Need,
    reads: usize,
    answers: &mut impl Iterator<Item = Answer>,
) -> Result<(), StoreError> {
    let mut records = || match answers.next() {
        Some(Answer::Records(records)) => Ok(records),
        _ => Err(StoreError::Corrupt { what: "an answer of another kind than was asked for".to_owned() }),
    };
    match need {
        Need::Records(def, ids) => {
            for chunk in ids.chunks(MAX_LIMIT) {
                loaded.add_records(def, chunk, records()?);
            }
        }
        Need::Find(name, _) | Need::Ancestors(name, ..) => loaded.add_list(name, records()?),
        Need::Readable(references) => {
            let mut found = Vec::new();
            for _ in 0..reads {
                found.append(&mut records()?);
            }
            loaded.add_readable(references, found);
        }
    }
    Ok(())
}
