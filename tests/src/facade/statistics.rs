//! Statistics of interactions (SPEC IT-12).

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use crm_core::interaction::{
    ChannelStatistics, Direction, Interaction, InteractionStatistics, InteractionType, ResponseTimes,
};
use crm_core::record::RecordRef;
use crm_core::timeline::Visibility;
use crm_core::{Env as _, Error};

use super::dice::Dice;
use super::world::{ADA, BOB, RED, World, all, contact, is, matching, seed};
use crate::{Harness, size};

fn naive(touches: &[Interaction]) -> InteractionStatistics {
    let mut statistics =
        InteractionStatistics { total: touches.len() as i64, ..InteractionStatistics::default() };
    for touch in touches {
        let mut entities = BTreeSet::from(["customer"]);
        entities.extend(touch.contact_id.map(|_| "contact"));
        let others = touch.related.iter().map(|of| &*of.entity);
        entities.extend(others.filter(|entity| !["customer", "contact"].contains(entity)));
        for entity in entities {
            *statistics.by_entity.entry(entity.to_owned()).or_default() += 1;
        }
        let of: &mut ChannelStatistics = statistics.by_type.entry(touch.interaction_type).or_default();
        of.count += 1;
        of.inbound += i64::from(touch.direction == Direction::Inbound);
        of.timed += i64::from(touch.duration_minutes.is_some());
        of.minutes += touch.duration_minutes.unwrap_or_default();
        of.last_at = of.last_at.max(Some(touch.occurred_at));
    }
    statistics
}

/// For each inbound that opens a wait, looks for the first outbound after it.
fn naive_times(touches: &[Interaction]) -> ResponseTimes {
    let mut times = ResponseTimes::default();
    let mut streams: BTreeMap<_, Vec<&Interaction>> = BTreeMap::new();
    for touch in touches {
        streams.entry((touch.customer_id, touch.interaction_type)).or_default().push(touch);
    }
    for mut stream in streams.into_values() {
        stream.sort_by_key(|touch| (touch.occurred_at, touch.direction == Direction::Outbound));
        let mut rest = &stream[..];
        while let Some(first) = rest.iter().position(|touch| touch.direction == Direction::Inbound) {
            rest = &rest[first..];
            let Some(answer) = rest.iter().position(|touch| touch.direction == Direction::Outbound) else {
                times.waiting += 1;
                break;
            };
            let waited = rest[answer].occurred_at - rest[0].occurred_at;
            times.answered += 1;
            times.waited += waited;
            times.longest = times.longest.max(waited);
            rest = &rest[answer..];
        }
    }
    times
}

/// Counts, durations, preferred channel and response times are those of a naive count of what the viewer sees, of all and
/// of those that meet criteria.
pub async fn it_12_statistics_are_those_of_a_naive_count(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, seed) = (&world.crm, seed());
    let mut dice = Dice::new(seed);
    let customers = [world.customer("First").await.id, world.customer("Second").await.id];
    let someone = crm.contacts().create(&world.ada(), contact(customers[0], "Some", "One")).await.unwrap().id;
    let related = [
        RecordRef::new("customer", customers[0].0),
        RecordRef::new("contact", someone.0),
        RecordRef::new("user", BOB),
        RecordRef::new("user", ADA),
    ];
    for writer in [world.ada().with_team(RED), world.bob(), world.system()] {
        let mut batch = Vec::new();
        for n in 0..size(40, 300) {
            let which = dice.below(2);
            batch.push(Interaction {
                interaction_type: *dice.pick(&[
                    InteractionType::Call,
                    InteractionType::Email,
                    InteractionType::Chat,
                ]),
                direction: *dice.pick(&[Direction::Inbound, Direction::Outbound]),
                duration_minutes: dice.maybe(2, |dice| dice.between(0, 90)),
                contact_id: dice.maybe(2, |_| someone).filter(|_| which == 0),
                visibility: *dice.pick(&[Visibility::All, Visibility::Team, Visibility::Private]),
                related: dice.some_of(&related, 3),
                // Few instants, so that an answer often takes no time.
                occurred_at: world.env.now() - Duration::hours(dice.between(0, 40)),
                ..world.touch(customers[which], &format!("Touch {n}"))
            });
        }
        crm.interactions().log_batch(&writer, batch).await.unwrap();
    }
    for ctx in [world.ada(), world.ada().with_team(RED), world.bob(), world.system()] {
        let calls = is("interaction_type", "in", vec!["call", "chat"]);
        for criteria in [None, Some(calls), Some(is("customer_id", "eq", customers[1].0.to_string()))] {
            let seen: Vec<Interaction> = match &criteria {
                None => all(crm, &ctx).await,
                Some(criteria) => matching(crm, &ctx, criteria.clone()).await,
            };
            let found = crm.interactions().statistics(&ctx, criteria.clone()).await.unwrap();
            assert_eq!(found, naive(&seen), "seed {seed}");
            let most = found.by_type.values().map(|of| of.inbound).max();
            let preferred = found.preferred_channel().map(|channel| found.by_type[&channel].inbound);
            assert_eq!(preferred, most.filter(|most| *most > 0), "seed {seed}");
            let times = crm.interactions().response_times(&ctx, criteria).await.unwrap();
            assert_eq!(times, naive_times(&seen), "seed {seed}");
        }
    }
    crm.customers().delete(&world.ada(), customers[0], crm_core::Expect::Any).await.unwrap();
    let left: Vec<Interaction> = all(crm, &world.system()).await;
    assert_eq!(crm.interactions().statistics(&world.system(), None).await.unwrap(), naive(&left));
    assert_eq!(crm.interactions().response_times(&world.system(), None).await.unwrap(), naive_times(&left));
    let wrong = crm.interactions().statistics(&world.ada(), Some(is("nonsense", "eq", 1))).await;
    assert!(matches!(wrong, Err(Error::Criteria(_))), "{wrong:?}");
}
