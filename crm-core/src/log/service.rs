//! `crm.log()`.

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use uuid::Uuid;

use crate::catalog::{Entity, EntityDef};
use crate::command::Error;
use crate::context::Context;
use crate::crm::Crm;
use crate::id::RecordId;
use crate::log::{AsOf, Change, GENESIS, LogRow, as_of, changes, verify};
use crate::policy::Action;
use crate::record::FieldError;
use crate::store::{Answer, MAX_LIMIT, Read, StoreError};
use crate::value::{Instant, truncate};

/// The change log of a tenant.
#[derive(Clone, Copy)]
pub struct Logs<'a> {
    crm: &'a Crm,
}

const SEAL_BATCH: usize = 1_000;

impl<'a> Logs<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// The next rows for a named consumer (SPEC XT-02): after the last one it acknowledged, in the one order that
    /// all consumers see, at most `limit`. Delivered at least once: until they are acknowledged they come again.
    pub async fn next(&self, ctx: &Context, consumer: &str, limit: usize) -> Result<Vec<LogRow>, Error> {
        self.crm.allow(ctx, Action::Audit, "log")?;
        consumer_name(consumer)?;
        if limit == 0 || limit > MAX_LIMIT {
            let why = format!("is {limit}; accepted are 1 to {MAX_LIMIT}");
            return Err(Error::Invalid(vec![FieldError::new("limit", why)]));
        }
        let read = Read::Position { consumer: consumer.to_owned() };
        let position = match self.crm.read(ctx, &[read]).await?.pop() {
            Some(Answer::Position(position)) => position,
            _ => 0,
        };
        Ok(self.after(ctx, position, limit).await?)
    }

    /// Says that a consumer has done its work up to and including this row's number.
    pub async fn acknowledge(&self, ctx: &Context, consumer: &str, number: i64) -> Result<(), Error> {
        self.crm.allow(ctx, Action::Audit, "log")?;
        consumer_name(consumer)?;
        let head = self.head(ctx).await?;
        if number < 1 || number > head {
            let why = format!(
                "is {number}; the log has the numbers 1 to {head}, acknowledge one that was delivered"
            );
            return Err(Error::Invalid(vec![FieldError::new("number", why)]));
        }
        Ok(self.crm.store().acknowledge(ctx.tenant, consumer, number).await?)
    }

    /// All rows from now on, in order, as they come. Ends after an error of the store.
    pub async fn subscribe(
        &self,
        ctx: &Context,
    ) -> Result<BoxStream<'static, Result<LogRow, StoreError>>, Error> {
        self.crm.allow(ctx, Action::Audit, "log")?;
        let wakes = self.crm.store().wakes(ctx.tenant).await?;
        let position = self.head(ctx).await?;
        let state = (self.crm.clone(), ctx.clone(), wakes, position, Vec::new().into_iter());
        Ok(futures_util::stream::try_unfold(
            state,
            |(crm, ctx, mut wakes, mut position, mut ready)| async move {
                loop {
                    if let Some(row) = ready.next() {
                        return Ok(Some((row, (crm, ctx, wakes, position, ready))));
                    }
                    let batch = crm.log().after(&ctx, position, SEAL_BATCH).await?;
                    match batch.last().and_then(|row: &LogRow| row.number) {
                        Some(last) => {
                            position = last;
                            ready = batch.into_iter();
                        }
                        None if wakes.next().await.is_none() => return Ok(None),
                        None => {}
                    }
                }
            },
        )
        .boxed())
    }

    /// What happened to a record, newest first, at most the last 10,000 changes: who, when, from where, and each
    /// field before and after.
    pub async fn history<E: Entity>(&self, ctx: &Context, id: E::Id) -> Result<Vec<Change>, Error> {
        self.crm.allow(ctx, Action::Audit, E::def().name)?;
        let (current, rows) = self.rows_of(ctx, E::def(), id.uuid()).await?;
        Ok(changes(current.as_ref(), &rows))
    }

    /// A record as it was at an instant (SPEC PR-08). Values that were erased since then come back as what the log
    /// still knows, and their fields are named.
    pub async fn as_of<E: Entity>(&self, ctx: &Context, id: E::Id, at: Instant) -> Result<AsOf, Error> {
        self.crm.allow(ctx, Action::Audit, E::def().name)?;
        let (current, rows) = self.rows_of(ctx, E::def(), id.uuid()).await?;
        Ok(as_of(current, &rows, truncate(at)))
    }

    /// Checks the chain of hashes of the tenant's whole log; the number of rows that hold. Reads it in pieces.
    pub async fn verify(&self, ctx: &Context) -> Result<Result<i64, crate::log::ChainBreak>, Error> {
        self.crm.allow(ctx, Action::Audit, "log")?;
        let (mut number, mut hash) = (0, GENESIS.to_owned());
        loop {
            let rows = self.after(ctx, number, SEAL_BATCH).await?;
            if rows.is_empty() {
                return Ok(Ok(number));
            }
            match verify(&rows, number, &hash) {
                Ok((last, last_hash)) => (number, hash) = (last, last_hash.to_owned()),
                Err(broken) => return Ok(Err(broken)),
            }
        }
    }

    /// Seals what is committed and reads what comes after a number.
    pub(crate) async fn after(
        &self,
        ctx: &Context,
        number: i64,
        limit: usize,
    ) -> Result<Vec<LogRow>, StoreError> {
        self.crm.store().seal_log(ctx.tenant, SEAL_BATCH).await?;
        match self.crm.read(ctx, &[Read::Log { after: number, limit }]).await?.pop() {
            Some(Answer::Log(rows)) => Ok(rows),
            _ => Ok(Vec::new()),
        }
    }

    /// The number of the last committed row.
    pub(crate) async fn head(&self, ctx: &Context) -> Result<i64, StoreError> {
        while self.crm.store().seal_log(ctx.tenant, SEAL_BATCH).await? == SEAL_BATCH {}
        match self.crm.read(ctx, &[Read::LogHead]).await?.pop() {
            Some(Answer::Position(number)) => Ok(number),
            _ => Ok(0),
        }
    }

    async fn rows_of(
        &self,
        ctx: &Context,
        def: &'static EntityDef,
        id: Uuid,
    ) -> Result<(Option<crate::record::Record>, Vec<LogRow>), Error> {
        let reads = [
            Read::Get { def, ids: vec![id] },
            Read::History { def, id, before_version: None, limit: MAX_LIMIT },
        ];
        let mut answers = self.crm.read(ctx, &reads).await?.into_iter();
        let (Some(Answer::Records(mut found)), Some(Answer::Log(rows))) = (answers.next(), answers.next())
        else {
            return Ok((None, Vec::new()));
        };
        if rows.is_empty() {
            return Err(Error::NotFound { entity: def.name, id });
        }
        Ok((found.pop(), rows))
    }
}

fn consumer_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > 100 || name.contains('\0') {
        let why = "accepted are 1 to 100 bytes of text without U+0000";
        return Err(Error::Invalid(vec![FieldError::new("consumer", why)]));
    }
    Ok(())
}
