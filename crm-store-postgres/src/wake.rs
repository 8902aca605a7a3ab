//! Waking those who wait for commits: one listening connection for all streams of a store.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{self, Either};
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::{Mutex, broadcast};
use uuid::Uuid;

/// How many wake-ups a stream may fall behind before they are merged into one.
const BACKLOG: usize = 256;

/// A tenant, or all of them after the connection was lost for a while.
type News = Option<Uuid>;
type Sender = Arc<Mutex<Option<broadcast::Sender<News>>>>;

/// The listener of a store, there while a stream is.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    sender: Sender,
}

/// The channel of a schema.
pub(crate) fn channel(schema: &str) -> String {
    format!("crm_wake_{schema}")
}

impl Wakes {
    /// A stream of the tenant's wake-ups from now on.
    pub(crate) async fn subscribe(
        &self,
        pool: &PgPool,
        schema: &str,
        tenant: Uuid,
    ) -> Result<BoxStream<'static, ()>, sqlx::Error> {
        let mut sender = self.sender.lock().await;
        let receiver = if let Some(sender) = &*sender {
            sender.subscribe()
        } else {
            let mut listener = PgListener::connect_with(pool).await?;
            listener.listen(&channel(schema)).await?;
            let (new, receiver) = broadcast::channel(BACKLOG);
            *sender = Some(new.clone());
            tokio::spawn(pass_on(listener, new, Arc::clone(&self.sender)));
            receiver
        };
        Ok(stream::unfold(receiver, move |mut receiver| async move {
            loop {
                match receiver.recv().await {
                    Ok(Some(other)) if other != tenant => {}
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return Some(((), receiver)),
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
        .boxed())
    }
}

/// Passes notifications on until nobody waits for them.
async fn pass_on(mut listener: PgListener, sender: broadcast::Sender<News>, shared: Sender) {
    loop {
        let heard = {
            let next = std::pin::pin!(listener.try_recv());
            let closed = std::pin::pin!(sender.closed());
            match future::select(next, closed).await {
                Either::Left((heard, _)) => Some(heard),
                Either::Right(_) => None,
            }
        };
        match heard {
            None => {
                let mut shared = shared.lock().await;
                if sender.receiver_count() == 0 {
                    *shared = None;
                    return;
                }
            }
            Some(Ok(Some(notification))) => {
                if let Ok(tenant) = notification.payload().parse() {
                    // Nobody may be waiting any more; the next turn sees that.
                    let _ = sender.send(Some(tenant));
                }
            }
            // The connection was lost and made anew: something may have been missed.
            Some(Ok(None)) => {
                let _ = sender.send(None);
            }
            Some(Err(sqlx::Error::PoolClosed)) => {
                *shared.lock().await = None;
                return;
            }
            Some(Err(_)) => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let _ = sender.send(None);
            }
        }
    }
}
