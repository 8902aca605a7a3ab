//! A command of an embedder's that knows no rules.

use crm_core::command::{Changes, Command, Decline, Loaded, Need, NoRefusal};
use crm_core::policy::Action;
use crm_core::record::Record;
use serde_json::Value as Json;
use uuid::Uuid;

/// An embedder's own command, which writes records as they are.
pub(super) enum Raw {
    /// New ones.
    Insert(Vec<Record>),
    /// One instead of another.
    Update(Box<(Record, Record)>),
    /// One less.
    Delete(Box<Record>),
}

impl Command for Raw {
    type Output = ();
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        "tests.raw"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "customer")
    }

    fn input(&self) -> Json {
        Json::Null
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        Vec::new()
    }

    fn decide(&self, _: &Loaded, changes: &mut Changes<'_>) -> Result<(), Decline<NoRefusal>> {
        match self {
            Self::Insert(records) => {
                for record in records {
                    changes.insert_record(record.clone())?;
                }
            }
            Self::Update(both) => drop(changes.update_record(&both.0, both.1.clone())?),
            Self::Delete(record) => drop(changes.delete_record(record)),
        }
        Ok(())
    }

    fn recall(&self, _: &Loaded, _: &[(String, Uuid, i64)]) -> Option<()> {
        Some(())
    }
}
