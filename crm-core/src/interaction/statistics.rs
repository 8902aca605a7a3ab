//! How much one is in touch, on which channels, and how fast one answers (SPEC IT-12).

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use rust_decimal::Decimal;

use crate::catalog::Entity;
use crate::contact::Contact;
use crate::customer::{Customer, CustomerId};
use crate::interaction::{Direction, Interaction, InteractionType};
use crate::store::Group;
use crate::value::{Instant, Value};

/// Counts of interactions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InteractionStatistics {
    /// How many.
    pub total: i64,
    /// How many belong to records of each entity: to customers all of them, to contacts, and to further records that they
    /// name, each interaction once for an entity.
    pub by_entity: BTreeMap<String, i64>,
    /// By channel.
    pub by_type: BTreeMap<InteractionType, ChannelStatistics>,
}

/// The counts of one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelStatistics {
    /// How many.
    pub count: i64,
    /// How many of them the customers began.
    pub inbound: i64,
    /// How many have a duration.
    pub timed: i64,
    /// How long those took together, in minutes.
    pub minutes: i64,
    /// When the last one took place.
    pub last_at: Option<Instant>,
}

/// How fast inbound interactions were answered: an answer is the next outbound one with the same customer on the same
/// channel, at the same instant or later, and answers all that came in since the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseTimes {
    /// How many answers.
    pub answered: i64,
    /// How long their first inbound interactions waited together.
    pub waited: Duration,
    /// How long the longest of them waited.
    pub longest: Duration,
    /// On how many channels of customers somebody still waits.
    pub waiting: i64,
}

impl InteractionStatistics {
    /// The channel that customers choose: that of most inbound interactions, of several the one that was used last.
    pub fn preferred_channel(&self) -> Option<InteractionType> {
        let chosen = self.by_type.iter().filter(|(_, channel)| channel.inbound > 0);
        chosen.max_by_key(|(_, channel)| (channel.inbound, channel.last_at)).map(|(channel, _)| *channel)
    }

    /// From groups by channel and direction (count, minutes, last), by channel of those with a duration, and of those
    /// with a contact.
    pub(super) fn of(groups: &[Group], timed: &[Group], with_contact: &[Group]) -> Self {
        let mut statistics = Self::default();
        for group in groups {
            let Some(channel) = channel_of(group) else { continue };
            if let [Value::Int(count), minutes, last] = &group.measures[..] {
                let inbound = group.by.get(1).and_then(Value::as_text) == Some(Direction::Inbound.code());
                let of = statistics.by_type.entry(channel).or_default();
                of.count += count;
                of.inbound += if inbound { *count } else { 0 };
                of.minutes += whole(minutes);
                of.last_at = of.last_at.max(last.as_instant());
                statistics.total += count;
            }
        }
        for group in timed {
            if let (Some(channel), Some(Value::Int(count))) = (channel_of(group), group.measures.first()) {
                statistics.by_type.entry(channel).or_default().timed = *count;
            }
        }
        if let Some(Value::Int(count)) = with_contact.first().and_then(|group| group.measures.first()) {
            statistics.count_entity(Contact::def().name, *count);
        }
        statistics.count_entity(Customer::def().name, statistics.total);
        statistics
    }

    /// Counts the entities of the further records that an interaction names.
    pub(super) fn add_related(&mut self, interaction: &Interaction) {
        let entities: BTreeSet<&str> = interaction.related.iter().map(|of| &*of.entity).collect();
        // Those two are counted by their own links.
        let own = [Customer::def().name, Contact::def().name];
        for entity in entities.into_iter().filter(|entity| !own.contains(entity)) {
            self.count_entity(entity, 1);
        }
    }

    fn count_entity(&mut self, entity: &str, count: i64) {
        if count > 0 {
            *self.by_entity.entry(entity.to_owned()).or_default() += count;
        }
    }
}

impl ChannelStatistics {
    /// How long those with a duration took on average, in minutes; none when none has one.
    pub fn average_minutes(&self) -> Option<Decimal> {
        (self.timed > 0).then(|| Decimal::from(self.minutes) / Decimal::from(self.timed))
    }
}

impl ResponseTimes {
    /// How long an answer took on average; none without answers.
    pub fn average(&self) -> Option<Duration> {
        let answers = i32::try_from(self.answered).ok().filter(|answers| *answers > 0)?;
        Some(self.waited / answers)
    }
}

/// Adds up response times of interactions that come by customer, instant and direction.
#[derive(Default)]
pub(super) struct Waiting {
    customer: Option<CustomerId>,
    since: BTreeMap<InteractionType, Instant>,
    times: ResponseTimes,
}

impl Waiting {
    pub(super) fn add(&mut self, interaction: &Interaction) {
        if self.customer != Some(interaction.customer_id) {
            self.customer = Some(interaction.customer_id);
            self.times.waiting += self.since.len() as i64;
            self.since.clear();
        }
        let (channel, at) = (interaction.interaction_type, interaction.occurred_at);
        match interaction.direction {
            Direction::Inbound => drop(self.since.entry(channel).or_insert(at)),
            Direction::Outbound => {
                if let Some(since) = self.since.remove(&channel) {
                    self.times.answered += 1;
                    self.times.waited += at - since;
                    self.times.longest = self.times.longest.max(at - since);
                }
            }
        }
    }

    pub(super) fn done(mut self) -> ResponseTimes {
        self.times.waiting += self.since.len() as i64;
        self.times
    }
}

fn channel_of(group: &Group) -> Option<InteractionType> {
    InteractionType::parse(group.by.first()?.as_text()?)
}

fn whole(value: &Value) -> i64 {
    match value {
        Value::Int(whole) => *whole,
        Value::Decimal(sum) => i64::try_from(*sum).unwrap_or_default(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(customer: u128, kind: InteractionType, direction: Direction, minute: i64) -> Interaction {
        Interaction {
            customer_id: CustomerId(uuid::Uuid::from_u128(customer)),
            interaction_type: kind,
            direction,
            occurred_at: Instant::UNIX_EPOCH + Duration::minutes(minute),
            ..Interaction::default()
        }
    }

    #[test]
    fn it_12_an_answer_is_the_next_outbound_on_the_same_channel() {
        use Direction::{Inbound, Outbound};
        use InteractionType::{Chat, Email};
        let mut waiting = Waiting::default();
        for (customer, kind, direction, minute) in [
            (1, Email, Outbound, 0),
            (1, Email, Inbound, 10),
            (1, Chat, Inbound, 11),
            (1, Chat, Outbound, 11),
            (1, Email, Inbound, 12),
            (1, Email, Outbound, 40),
            (1, Email, Outbound, 50),
            (1, Chat, Inbound, 60),
            (2, Chat, Outbound, 70),
            (2, Email, Inbound, 80),
        ] {
            waiting.add(&touch(customer, kind, direction, minute));
        }
        let times = waiting.done();
        assert_eq!((times.answered, times.waiting), (2, 2));
        assert_eq!((times.waited, times.longest), (Duration::minutes(30), Duration::minutes(30)));
        assert_eq!(times.average(), Some(Duration::minutes(15)));
        assert_eq!(ResponseTimes::default().average(), None);
    }
}
