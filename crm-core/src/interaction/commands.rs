//! What can be done with interactions, as pure decisions.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::contact::{ContactId, check_contact, contact_needs};
use crate::criteria::{Filter, Path, Test};
use crate::customer::{Customer, CustomerId, Expect, at_place, input_of, live_customer};
use crate::directory::UserId;
use crate::interaction::{
    Direction, Interaction, InteractionId, InteractionSource, InteractionType, ReplyStatus,
};
use crate::policy::Action;
use crate::record::RecordRef;
use crate::store::Query;
use crate::value::Value;

/// Days after which recording an interaction counts as backdating, unless the tenant's settings say otherwise.
pub const BACKDATED_AFTER_DAYS: i64 = 30;

/// Why an interaction is not logged or changed.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InteractionRefusal {
    /// The contact belongs to another customer and has no role at this one.
    #[error("contact {contact} neither belongs to customer {customer} nor has a role there")]
    ForeignContact {
        /// The contact.
        contact: ContactId,
        /// The interaction's customer.
        customer: CustomerId,
    },
    /// The external id is known for its source, and the actor may not see what has it.
    #[error("{external_id} of {origin} is logged already, as an interaction that the actor may not see")]
    Hidden {
        /// The source's code.
        origin: &'static str,
        /// The id there.
        external_id: String,
    },
}

impl Refusal for InteractionRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::ForeignContact { .. } => "foreign_contact",
            Self::Hidden { .. } => "external_id_hidden",
        }
    }
}

type Decision<T> = Result<T, Decline<InteractionRefusal>>;

/// Logs interactions, all or none. One whose external id is known for its source is not logged again and not
/// changed: the one that is stored is returned in its place, or refused if the actor may not see it.
#[derive(Clone, Debug)]
pub struct LogInteractions {
    /// The interactions, at most [`MAX_WRITES`](crate::store::MAX_WRITES).
    pub interactions: Vec<Interaction>,
}

impl Command for LogInteractions {
    type Output = Vec<Interaction>;
    type Refusal = InteractionRefusal;

    fn name(&self) -> &'static str {
        "interactions.log"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "interaction")
    }

    fn input(&self) -> Json {
        self.interactions.iter().map(input_of).collect()
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == "interaction_external_id"
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs =
            vec![Need::Records(Customer::def(), self.interactions.iter().map(|i| i.customer_id.0).collect())];
        let mut by_source = BTreeMap::<&str, Vec<Value>>::new();
        for interaction in &self.interactions {
            if let Some(id) = external_id(interaction) {
                by_source.entry(interaction.source.code()).or_default().push(Value::Text(id));
            }
        }
        needs.extend(by_source.into_iter().filter_map(|(source, ids)| known(source, ids)));
        needs.push(Need::Readable(self.interactions.iter().flat_map(|i| i.related.clone()).collect()));
        let named = self.interactions.iter().filter_map(|i| Some((i.contact_id?, i.customer_id)));
        needs.extend(contact_needs(named, loaded));
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let backdated_after = loaded.settings(changes.context().tenant)?.backdated_after_days;
        let mut logged: Vec<Interaction> = Vec::with_capacity(self.interactions.len());
        let mut fresh = BTreeMap::new();
        let known = self.stored(loaded)?;
        for (place, given) in self.interactions.iter().enumerate() {
            let of = self.interactions.len();
            live_customer(given.customer_id, loaded)?;
            if let Some(id) = external_id(given) {
                let key = (given.source, id.clone());
                if let Some(earlier) = fresh.get(&key) {
                    let earlier: &usize = earlier;
                    logged.push(logged[*earlier].clone());
                    continue;
                }
                if let Some(stored) = known.get(&key) {
                    if !may_see(stored, changes) {
                        let origin = given.source.code();
                        return Err(Decline::Refused(InteractionRefusal::Hidden { origin, external_id: id }));
                    }
                    logged.push(stored.clone());
                    continue;
                }
                fresh.insert(key, place);
            }
            check_contact(given.contact_id, given.customer_id, loaded, foreign_contact)?;
            check_related(&[], given, loaded, changes).map_err(|decline| match decline {
                Decline::Invalid(errors) => Decline::Invalid(at_place(errors, place, of)),
                other => other,
            })?;
            let advice = "an interaction has taken place already, plan an activity instead";
            changes.has_occurred(given.occurred_at, advice).map_err(|errors| at_place(errors, place, of))?;
            let mut interaction = given.clone();
            interaction.is_backdated =
                changes.now() - interaction.occurred_at > Duration::days(backdated_after);
            interaction.created_by = changes.context().user_id().map(UserId);
            interaction.team_id = interaction.team_id.or(changes.context().teams.first().copied());
            if interaction.reply_status == ReplyStatus::None && waits_for_reply(&interaction) {
                interaction.reply_status = ReplyStatus::Awaiting;
            }
            let interaction = changes.insert(&interaction).map_err(|errors| at_place(errors, place, of))?;
            changes.event(
                "interaction.logged",
                json!({
                    "interaction_id": interaction.id,
                    "customer_id": interaction.customer_id,
                    "interaction_type": interaction.interaction_type,
                }),
            );
            logged.push(interaction);
        }
        Ok(logged)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        let key = |interaction: &Interaction| Some((interaction.source, external_id(interaction)?));
        let asked: BTreeSet<_> = self.interactions.iter().filter_map(key).collect();
        // What was known by its external id was not written the first time.
        let mut known = self.stored(loaded).ok()?;
        let mut without_id = Vec::new();
        for (_, id, _) in written {
            let stored = loaded.get(InteractionId(*id)).ok().flatten()?;
            match key(&stored).filter(|key| asked.contains(key)) {
                Some(key) => _ = known.insert(key, stored),
                None => without_id.push(stored),
            }
        }
        let mut without_id = without_id.into_iter();
        let recalled = self.interactions.iter().map(|given| match key(given) {
            None => without_id.next(),
            Some(key) => known.get(&key).cloned(),
        });
        recalled.collect()
    }
}

impl LogInteractions {
    /// The interactions that are stored already, by source and external id.
    fn stored(&self, loaded: &Loaded) -> Decision<BTreeMap<(InteractionSource, String), Interaction>> {
        let sources: BTreeSet<InteractionSource> = self.interactions.iter().map(|i| i.source).collect();
        let mut stored = BTreeMap::new();
        for source in sources {
            for interaction in loaded.all::<Interaction>(&format!("known {}", source.code()))? {
                if let Some(id) = interaction.external_id.clone() {
                    stored.insert((source, id), interaction);
                }
            }
        }
        Ok(stored)
    }
}

/// Changes one interaction by a function over it.
pub struct UpdateInteraction<'f> {
    /// The interaction.
    pub id: InteractionId,
    /// Which version it applies to.
    pub expect: Expect,
    /// Whether it is deleted instead of changed.
    pub delete: bool,
    /// What changes. Called again when others were faster.
    pub change: &'f (dyn Fn(&mut Interaction) + Send + Sync),
}

impl Command for UpdateInteraction<'_> {
    type Output = Interaction;
    type Refusal = InteractionRefusal;

    fn name(&self) -> &'static str {
        if self.delete { "interactions.delete" } else { "interactions.update" }
    }

    fn permission(&self) -> (Action, &'static str) {
        (if self.delete { Action::Delete } else { Action::Write }, "interaction")
    }

    fn input(&self) -> Json {
        let mut sample = Interaction::default();
        (self.change)(&mut sample);
        json!([self.id, self.expect.to_json(), self.delete, input_of(&sample)])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = vec![Need::Records(Interaction::def(), vec![self.id.0])];
        if let Ok(Some(mut interaction)) = loaded.live::<Interaction>(self.id) {
            needs.push(Need::Records(Customer::def(), vec![interaction.customer_id.0]));
            (self.change)(&mut interaction);
            needs.push(Need::Readable(interaction.related.clone()));
            let named = interaction.contact_id.map(|contact| (contact, interaction.customer_id));
            needs.extend(contact_needs(named.into_iter(), loaded));
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let missing = || Decline::NotFound("interaction", self.id.0);
        let before: Interaction = loaded.live(self.id)?.ok_or_else(missing)?;
        loaded.live::<Customer>(before.customer_id)?.ok_or_else(missing)?;
        if !may_see(&before, changes) {
            return Err(missing());
        }
        self.expect.check("interaction", self.id.0, before.meta.version)?;
        let ids = json!({ "interaction_id": self.id, "customer_id": before.customer_id });
        if self.delete {
            let after = changes.delete_record(&before.to_record());
            changes.event("interaction.deleted", ids);
            return Ok(Interaction::from_record(&after)?);
        }
        let mut after = before.clone();
        (self.change)(&mut after);
        if after.contact_id != before.contact_id {
            check_contact(after.contact_id, after.customer_id, loaded, foreign_contact)?;
        }
        check_related(&before.related, &after, loaded, changes)?;
        let after = changes.update(&before, &after)?;
        if after.meta.version != before.meta.version {
            changes.event("interaction.updated", ids);
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Refuses new links to records that the actor may not read.
fn check_related(
    known: &[RecordRef],
    interaction: &Interaction,
    loaded: &Loaded,
    changes: &Changes<'_>,
) -> Decision<()> {
    for reference in interaction.related.iter().filter(|reference| !known.contains(reference)) {
        loaded.readable("related", reference, changes.catalog())?;
    }
    Ok(())
}

fn may_see(interaction: &Interaction, changes: &Changes<'_>) -> bool {
    crate::query::visible(&interaction.to_record(), &changes.context().viewer())
}

fn waits_for_reply(interaction: &Interaction) -> bool {
    use InteractionType::{Chat, Email, Sms, Social, Whatsapp};
    interaction.direction == Direction::Inbound
        && matches!(interaction.interaction_type, Email | Chat | Sms | Whatsapp | Social)
}

fn external_id(interaction: &Interaction) -> Option<String> {
    let id = crate::format::clean_line(interaction.external_id.as_ref()?).ok()?;
    (!id.is_empty()).then_some(id)
}

fn known(source: &str, ids: Vec<Value>) -> Option<Need> {
    let def = Interaction::def();
    let filter = Filter::eq(def, "source", Value::Text(source.to_owned()))?
        .and(Filter::leaf(Path::own(def, "external_id")?, Test::In(ids)))
        .and(Filter::undeleted(def));
    let limit = crate::store::MAX_LIMIT;
    let query = Query::new(def, filter, limit);
    Some(Need::Find(format!("known {source}"), Box::new(query)))
}

fn foreign_contact(contact: ContactId, customer: CustomerId) -> InteractionRefusal {
    InteractionRefusal::ForeignContact { contact, customer }
}
