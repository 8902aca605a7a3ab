//! Writers, and what they were told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crm_core::contact::ContactId;
use crm_core::customer::CustomerId;
use crm_core::interaction::InteractionId;
use crm_core::store::StoreError;
use crm_core::{Crm, Env, SystemEnv, TenantId};
use uuid::Uuid;

use crate::deed::{Command, Deed, Failure, Written};

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % below as u64).unwrap()
    }
}

/// What the callers know.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Acknowledged, with what was written.
    pub(crate) acknowledged: Vec<(Command, Written)>,
    /// Without an answer, or refused by the deadline.
    pub(crate) unknown: Vec<(Command, Failure)>,
    /// What must not happen.
    pub(crate) violations: Vec<String>,
    customers: Vec<CustomerId>,
    contacts: Vec<(CustomerId, ContactId)>,
}

/// What the writers share.
pub(crate) struct World {
    pub(crate) tenant: TenantId,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) stop: AtomicBool,
    /// How many commands are under way.
    pub(crate) under_way: AtomicUsize,
    /// Whether every caller waits for its answer, however long it takes.
    pub(crate) patient: AtomicBool,
}

/// How long the callers wait that do not wait for ever: the others get their answer after the restart, because the
/// stores do again what was interrupted.
const PATIENCE: Duration = Duration::from_millis(300);

impl World {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            tenant: TenantId(SystemEnv.new_id()),
            ledger: Mutex::default(),
            stop: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            patient: AtomicBool::new(false),
        })
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.ledger.lock().unwrap().acknowledged.len()
    }

    /// Waits till so many commands are acknowledged: the writers have found the server again by themselves.
    pub(crate) async fn reach(&self, count: usize) {
        let reached = async {
            while self.acknowledged() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let most = Duration::from_mins(1);
        assert!(tokio::time::timeout(most, reached).await.is_ok(), "the writers do not recover");
    }

    /// Does one command and notes what the caller learns.
    async fn issue(&self, crm: &Crm, command: Command, waits: bool) -> Option<Written> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let outcome = if waits || self.patient.load(Ordering::SeqCst) {
            command.perform(crm, self.tenant).await
        } else {
            let outcome = tokio::time::timeout(PATIENCE, command.perform(crm, self.tenant)).await;
            outcome.unwrap_or(Err(Failure::GaveUp))
        };
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        let mut ledger = self.ledger.lock().unwrap();
        match outcome {
            Ok(done) if done.repeated => {
                ledger.violations.push(format!("{command:?} is new and was answered as a repeat"));
                None
            }
            Ok(done) => {
                note(&mut ledger, &command.deed, &done.written);
                ledger.acknowledged.push((command, done.written.clone()));
                Some(done.written)
            }
            Err(failure) => {
                if let Failure::Other(why) = &failure {
                    ledger.violations.push(format!("{command:?}: {why}"));
                }
                if let Failure::Store(error) = &failure
                    && !matches!(error, StoreError::Unavailable { .. } | StoreError::Timeout { .. })
                {
                    ledger.violations.push(format!("{command:?}: {error}"));
                }
                ledger.unknown.push((command, failure));
                None
            }
        }
    }

    /// Writes until it is told to stop. Interactions are changed by the writer that logged them only, so that none of
    /// its commands may be refused. Who does not wait drops its call in the middle.
    pub(crate) async fn write(self: Arc<Self>, crm: Crm, seed: u64, waits: bool) {
        let mut dice = Dice(seed);
        let mut mine = Vec::new();
        while !self.stop.load(Ordering::SeqCst) {
            let command = self.draw(&mut dice, &mut mine);
            let logs = matches!(command.deed, Deed::Log { .. });
            let changed = if let Deed::ChangeInteraction { id, .. } = command.deed { Some(id) } else { None };
            match self.issue(&crm, command, waits).await {
                Some(written) if logs => {
                    mine.extend(written.iter().map(|(_, id, _)| InteractionId(*id)));
                }
                Some(_) => {}
                None => {
                    // Left as it is, so that the change can be repeated in the end.
                    mine.retain(|id| Some(*id) != changed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    fn draw(&self, dice: &mut Dice, mine: &mut Vec<InteractionId>) -> Command {
        let id = SystemEnv.new_id();
        let word = |n: usize| ["red", "green", "blue", "grey"][n];
        let text = format!("{} x{}", word(dice.roll(4)), &id.simple().to_string()[20..]);
        let (customers, contacts) = {
            let ledger = self.ledger.lock().unwrap();
            (ledger.customers.clone(), ledger.contacts.clone())
        };
        // The first few are everybody's, so that writers meet.
        let customer = (!customers.is_empty()).then(|| customers[dice.roll(customers.len().min(12))]);
        let kind = dice.roll(20);
        let deed = match (customer, kind) {
            (None, _) | (_, 0) => {
                Deed::CreateCustomer { name: text, external: vec![format!("a{id}"), format!("b{id}")] }
            }
            (Some(id), 1..=3) => Deed::RenameCustomer { id, name: text, tag: word(dice.roll(4)).to_owned() },
            (Some(customer), 4..=5) => Deed::CreateContact {
                customer,
                name: text,
                email: format!("{}@example.com", id.simple()),
                primary: dice.roll(2) == 0,
            },
            (_, 6..=8) if !contacts.is_empty() => {
                Deed::MakePrimary { contact: contacts[dice.roll(contacts.len())].1 }
            }
            (_, 9..=11) if !mine.is_empty() => Deed::ChangeInteraction {
                id: mine[dice.roll(mine.len())],
                subject: text,
                pinned: dice.roll(4) == 0,
            },
            (_, 12) if !mine.is_empty() => {
                Deed::DeleteInteraction { id: mine.swap_remove(dice.roll(mine.len())) }
            }
            (Some(customer), _) => {
                let contact = contacts.iter().find(|(of, _)| *of == customer).map(|(_, contact)| *contact);
                let external = (0..=dice.roll(3)).map(|n| format!("{n}-{id}")).collect();
                Deed::Log { customer, contact, external, subject: text }
            }
        };
        Command { id, deed }
    }
}

/// New records that others may use from now on.
fn note(ledger: &mut Ledger, deed: &Deed, written: &Written) {
    let new = |entity: &str| -> Vec<Uuid> {
        written.iter().filter(|(e, _, version)| e == entity && *version == 1).map(|(_, id, _)| *id).collect()
    };
    match deed {
        Deed::CreateCustomer { .. } => ledger.customers.extend(new("customer").into_iter().map(CustomerId)),
        Deed::CreateContact { customer, .. } => {
            ledger.contacts.extend(new("contact").into_iter().map(|id| (*customer, ContactId(id))));
        }
        _ => {}
    }
}
