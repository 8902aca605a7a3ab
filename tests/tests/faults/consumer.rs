//! A consumer of the log that checks what it is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crm_core::log::LogRow;
use crm_core::store::StoreError;
use crm_core::{Context, Crm, Error, TenantId};

/// What identifies a row, in the order it came.
pub(crate) type Seen = Vec<(uuid::Uuid, i32)>;

/// A named consumer, and all that it has been given.
pub(crate) struct Consumer {
    pub(crate) crm: Crm,
    pub(crate) tenant: TenantId,
    pub(crate) name: String,
    pub(crate) seen: Seen,
    /// How many rows came again.
    pub(crate) again: usize,
}

fn identity(row: &LogRow) -> (uuid::Uuid, i32) {
    (row.commit_id, row.ordinal)
}

impl Consumer {
    pub(crate) fn new(crm: Crm, tenant: TenantId, name: &str) -> Self {
        Self { crm, tenant, name: name.to_owned(), seen: Vec::new(), again: 0 }
    }

    /// One piece: rows come without a gap after those that came before, and what comes again is what it was. Returns
    /// whether there was any.
    pub(crate) async fn step(&mut self, limit: usize) -> Result<bool, StoreError> {
        let ctx = Context::system(self.tenant);
        let rows = match self.crm.log().next(&ctx, &self.name, limit).await {
            Ok(rows) => rows,
            Err(Error::Store(error)) => return Err(error),
            Err(other) => panic!("{other}"),
        };
        for row in &rows {
            let place = usize::try_from(row.number.unwrap()).unwrap();
            if place <= self.seen.len() {
                self.again += 1;
                assert_eq!(
                    self.seen[place - 1],
                    identity(row),
                    "{}: number {place} is another row",
                    self.name
                );
            } else {
                assert_eq!(place, self.seen.len() + 1, "{}: a row was skipped", self.name);
                self.seen.push(identity(row));
            }
        }
        let Some(last) = rows.last() else { return Ok(false) };
        match self.crm.log().acknowledge(&ctx, &self.name, last.number.unwrap()).await {
            Ok(()) => Ok(true),
            Err(Error::Store(error)) => Err(error),
            Err(other) => panic!("{other}"),
        }
    }

    /// Reads until there is nothing left once it is told to stop; a store that does not answer is asked again.
    pub(crate) async fn follow(mut self, stop: Arc<AtomicBool>) -> Self {
        loop {
            let stopping = stop.load(Ordering::SeqCst);
            match self.step(100).await {
                Ok(true) => {}
                Ok(false) if stopping => return self,
                Ok(false) | Err(StoreError::Unavailable { .. } | StoreError::Timeout { .. }) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(other) => panic!("{}: {other}", self.name),
            }
        }
    }
}
