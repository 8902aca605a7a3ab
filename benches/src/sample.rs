//! Data that looks like what a service has: the same in every run.

use chrono::Duration;
use crm_core::contact::{Contact, ContactId};
use crm_core::customer::{Customer, CustomerId, CustomerStatus};
use crm_core::interaction::{Direction, Interaction, InteractionType, Outcome as Result_};
use crm_core::value::Instant;

/// A small generator of numbers that only look random (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A generator of its own sequence.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// One of a list.
    pub(crate) fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// Words of a vocabulary of 4,096, frequent ones often.
    pub(crate) fn words(&mut self, count: u64) -> String {
        let word = |random: &mut Self| {
            // The product of two numbers favours small ones, much as language does.
            let rank = (random.below(4_096) * random.below(4_096)) >> 12;
            let syllables = [
                "ka", "ren", "mo", "til", "san", "ber", "do", "lu", "fin", "ar", "pe", "gor", "is", "na",
                "ve", "ott",
            ];
            let mut word = String::new();
            for place in 0..3 {
                word.push_str(syllables[(rank >> (place * 4) & 15) as usize]);
            }
            word
        };
        (0..count).map(|_| word(self)).collect::<Vec<_>>().join(" ")
    }
}

/// Customers to hang the rest on.
pub(crate) fn customers(random: &mut Random, count: usize) -> Vec<Customer> {
    (0..count)
        .map(|n| Customer {
            display_name: format!("{} {n}", random.words(2)),
            email: Some(format!("c{n}@example.com")),
            status: random.one_of(&[
                CustomerStatus::Active,
                CustomerStatus::Prospect,
                CustomerStatus::Churned,
            ]),
            ..Customer::default()
        })
        .collect()
}

/// One contact for each customer.
pub(crate) fn contacts(random: &mut Random, customers: &[Customer]) -> Vec<Contact> {
    customers
        .iter()
        .map(|customer| Contact {
            customer_id: customer.id,
            first_name: random.words(1),
            last_name: random.words(1),
            ..Contact::default()
        })
        .collect()
}

/// Makes interactions of some customers and their contacts, none of them twice.
#[derive(Debug)]
pub(crate) struct Interactions {
    random: Random,
    people: Vec<(CustomerId, ContactId)>,
    now: Instant,
    made: u64,
}

impl Interactions {
    /// Interactions of these people, of the year before `now`.
    pub(crate) fn new(people: Vec<(CustomerId, ContactId)>, now: Instant) -> Self {
        Self { random: Random::new(11), people, now, made: 0 }
    }

    /// The next ones.
    pub(crate) fn batch(&mut self, count: usize) -> Vec<Interaction> {
        (0..count).map(|_| self.one()).collect()
    }

    fn one(&mut self) -> Interaction {
        let random = &mut self.random;
        self.made += 1;
        let (customer_id, contact_id) = random.one_of(&self.people);
        let (subject, description) = (4 + random.below(3), 11 + random.below(4));
        Interaction {
            customer_id,
            contact_id: Some(contact_id),
            interaction_type: random.one_of(&[
                InteractionType::Email,
                InteractionType::Call,
                InteractionType::Chat,
            ]),
            direction: random.one_of(&[Direction::Inbound, Direction::Outbound]),
            subject: Some(random.words(subject)),
            description: Some(random.words(description)),
            occurred_at: self.now - Duration::seconds(random.below(365 * 86_400) as i64),
            duration_minutes: Some(random.below(60) as i64),
            outcome: Some(random.one_of(&[Result_::Successful, Result_::NoAnswer, Result_::Completed])),
            external_id: Some(format!("ext-{}", self.made)),
            tags: if self.made.is_multiple_of(4) { vec![random.words(1)] } else { Vec::new() },
            ..Interaction::default()
        }
    }
}
