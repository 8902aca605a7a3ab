//! What can be done with behaviour events, as pure decisions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::behavior::{BehaviorEvent, BehaviorEventId};
use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::contact::{ContactId, check_contact, contact_needs};
use crate::criteria::{Filter, Path, Test};
use crate::customer::{Customer, CustomerId, at_place, input_of, live_customer};
use crate::policy::Action;
use crate::record::{FieldError, Unreadable};
use crate::store::{MAX_LIMIT, MAX_WRITES, Query};
use crate::value::Value;

/// Why a behaviour event is not recorded.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BehaviorRefusal {
    /// The contact belongs to another customer and has no role at this one.
    #[error(
        "contact {contact} neither belongs to customer {customer} nor has a role there; leave it out, or give it one"
    )]
    ForeignContact {
        /// The contact.
        contact: ContactId,
        /// The event's customer.
        customer: CustomerId,
    },
}

impl Refusal for BehaviorRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::ForeignContact { .. } => "foreign_contact",
        }
    }
}

type Decision<T> = Result<T, Decline<BehaviorRefusal>>;

/// The source and the id there.
type Key = (String, String);

/// Records behaviour events, all or none. One whose external id is known for its source is not recorded again and not
/// changed: the one that is stored is returned in its place.
#[derive(Clone, Debug)]
pub struct RecordBehavior {
    /// The events, at most [`MAX_WRITES`].
    pub events: Vec<BehaviorEvent>,
}

impl Command for RecordBehavior {
    type Output = Vec<BehaviorEvent>;
    type Refusal = BehaviorRefusal;

    fn name(&self) -> &'static str {
        "behavior.record"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "behavior_event")
    }

    fn input(&self) -> Json {
        self.events.iter().map(input_of).collect()
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == "behavior_event_external_id"
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        if self.events.len() > MAX_WRITES {
            return Vec::new();
        }
        let customers = self.events.iter().map(|event| event.customer_id.0).collect();
        let mut needs = vec![Need::Records(Customer::def(), customers)];
        let mut by_source = BTreeMap::<String, Vec<Value>>::new();
        for (source, id) in self.events.iter().filter_map(key) {
            by_source.entry(source).or_default().push(Value::Text(id));
        }
        needs.extend(by_source.into_iter().filter_map(|(source, ids)| known(source, ids)));
        let named = self.events.iter().filter_map(|event| Some((event.contact_id?, event.customer_id)));
        needs.extend(contact_needs(named, loaded));
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let of = self.events.len();
        if of > MAX_WRITES {
            let why = format!("are {of}; accepted are at most {MAX_WRITES} at once");
            return Err(Decline::Invalid(vec![FieldError::new("events", why)]));
        }
        // Where a repeated event stands in the answer: what was stored before, or came earlier in the batch.
        let mut known = self.stored(loaded)?;
        let mut recorded = Vec::with_capacity(of);
        for (place, given) in self.events.iter().enumerate() {
            live_customer(given.customer_id, loaded)?;
            let key = key(given);
            if let Some(known) = key.as_ref().and_then(|key| known.get(key)) {
                recorded.push(known.clone());
                continue;
            }
            let refuse = |contact, customer| BehaviorRefusal::ForeignContact { contact, customer };
            check_contact(given.contact_id, given.customer_id, loaded, refuse)?;
            let event = changes
                .has_occurred(given.occurred_at, "only what a customer has done is recorded")
                .and_then(|()| changes.insert(given))
                .map_err(|errors| at_place(errors, place, of))?;
            changes.event(
                "behavior.recorded",
                json!({
                    "behavior_event_id": event.id,
                    "customer_id": event.customer_id,
                    "behavior_type": event.behavior_type,
                }),
            );
            known.extend(key.map(|key| (key, event.clone())));
            recorded.push(event);
        }
        Ok(recorded)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        let asked: BTreeSet<Key> = self.events.iter().filter_map(key).collect();
        // What was known by its external id was not written the first time.
        let mut known = self.stored(loaded).ok()?;
        let mut without_id = Vec::new();
        for (_, id, _) in written {
            let event: BehaviorEvent = loaded.get(BehaviorEventId(*id)).ok().flatten()?;
            match key(&event).filter(|key| asked.contains(key)) {
                Some(key) => _ = known.insert(key, event),
                None => without_id.push(event),
            }
        }
        let mut without_id = without_id.into_iter();
        let recalled = self.events.iter().map(|given| match key(given) {
            None => without_id.next(),
            Some(key) => known.get(&key).cloned(),
        });
        recalled.collect()
    }
}

impl RecordBehavior {
    /// The events that are stored already.
    fn stored(&self, loaded: &Loaded) -> Result<BTreeMap<Key, BehaviorEvent>, Unreadable> {
        let sources: BTreeSet<String> =
            self.events.iter().filter_map(key).map(|(source, _)| source).collect();
        let mut stored = BTreeMap::new();
        for source in sources {
            let events = loaded.all::<BehaviorEvent>(&list_of(&source))?;
            stored.extend(events.into_iter().filter_map(|event| Some((key(&event)?, event))));
        }
        Ok(stored)
    }
}

/// Source and external id in the form that is stored; none without an id.
fn key(event: &BehaviorEvent) -> Option<Key> {
    let source = crate::format::clean_line(&event.source).ok()?;
    let id = crate::format::clean_line(event.external_id.as_ref()?).ok()?;
    (!id.is_empty()).then_some((source, id))
}

fn known(source: String, ids: Vec<Value>) -> Option<Need> {
    let def = BehaviorEvent::def();
    let name = list_of(&source);
    let filter = Filter::eq(def, "source", Value::Text(source))?
        .and(Filter::leaf(Path::own(def, "external_id")?, Test::In(ids)))
        .and(Filter::undeleted(def));
    Some(Need::Find(name, Box::new(Query::new(def, filter, MAX_LIMIT))))
}

fn list_of(source: &str) -> String {
    format!("known of {source}")
}
