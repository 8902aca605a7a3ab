//! Renewals (SPEC LC-11).

use chrono::{Duration, NaiveDate};
use crm_core::customer::CustomerId;
use crm_core::format::Currency;
use crm_core::journey::{Milestone, MilestoneType};
use crm_core::renewal::{Renewal, RenewalRefusal, RenewalStatus};
use crm_core::timeline::{Anchor, Audience, TimelineRequest};
use crm_core::value::Value;
use crm_core::{Context, Env as _, Error, Expect, Find, Totals};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::dice::Dice;
use super::world::{World, all, is, matching, seed};
use crate::{Harness, size};

pub(super) const STATUSES: [RenewalStatus; 5] = [
    RenewalStatus::Upcoming,
    RenewalStatus::InProgress,
    RenewalStatus::Paused,
    RenewalStatus::Renewed,
    RenewalStatus::Lost,
];

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A renewal of a leap day's.
pub(super) fn renewal(customer: CustomerId, status: RenewalStatus) -> Renewal {
    Renewal { status, ..Renewal::new(customer, "Gold plan", day("2024-02-29")) }
}

/// Any walk of a renewal is that of the listed steps; it is closed when it is decided, for good, and each that is renewed
/// is a milestone of the same commit.
pub async fn lc_11_a_renewal_follows_its_table(harness: &dyn Harness) {
    use RenewalStatus::{InProgress, Lost, Paused, Renewed, Upcoming};
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let listed = [
        (Upcoming, InProgress),
        (Upcoming, Paused),
        (InProgress, Renewed),
        (InProgress, Lost),
        (InProgress, Paused),
        (Paused, Upcoming),
        (Paused, InProgress),
        (Paused, Lost),
    ];
    let seed = seed();
    let mut dice = Dice::new(seed);
    let customer = world.customer("Walker").await.id;
    let (mut renewed, mut steps) = (0, 0);
    for _ in 0..size(12, 100) {
        let begin = *dice.pick(&STATUSES);
        let created = crm.renewals().create(&ctx, renewal(customer, begin)).await;
        let mut now = match created {
            Ok(done) => done.value,
            Err(error) => {
                assert!(begin.is_closed() && error.code() == "renewal_begins_closed", "{error:?}");
                continue;
            }
        };
        assert!(!begin.is_closed());
        for _ in 0..8 {
            let to = *dice.pick(&STATUSES);
            world.env.advance(Duration::milliseconds(1));
            let done = crm.renewals().set_status(&ctx, now.id, to).await;
            match done {
                Ok(done) if to == now.status => assert!(done.written.is_empty() && done.value == now),
                Ok(done) => {
                    assert!(listed.contains(&(now.status, to)), "seed {seed}: {:?} to {to:?}", now.status);
                    let closed_at = to.is_closed().then(|| world.env.now());
                    assert_eq!((done.status, done.closed_at), (to, closed_at));
                    assert_eq!(done.written.iter().any(|(e, ..)| e == "milestone"), to == Renewed);
                    (renewed, steps) = (renewed + usize::from(to == Renewed), steps + 1);
                    now = done.value;
                }
                Err(Error::Refused(RenewalRefusal::Closed { id, status })) => {
                    assert!(now.status.is_closed() && (id, status) == (now.id, now.status));
                }
                Err(Error::Refused(RenewalRefusal::Transition { from, to: asked })) => {
                    assert_eq!((from, asked), (now.status, to));
                    assert!(
                        !listed.contains(&(from, to)) && !from.is_closed(),
                        "seed {seed}: {from:?} to {to:?}"
                    );
                }
                Err(other) => panic!("seed {seed}: {other:?}"),
            }
            assert_eq!(crm.renewals().get(&ctx, now.id).await.unwrap(), now);
        }
    }
    let milestones = all::<Milestone>(crm, &ctx).await;
    assert_eq!(milestones.len(), renewed, "seed {seed}");
    assert!(milestones.iter().all(|m| m.milestone_type == MilestoneType::Renewal && m.created_by.is_some()));
    let mut told = 0;
    for status in STATUSES {
        told += world.told(&format!("renewal.{}", status.code())).await.len();
    }
    assert_eq!(told, steps, "one event a step");
}

/// Wrong input is refused with its field and nothing is stored; leap days, currencies of any decimals, odd text and ids
/// are kept; who may not, another tenant and a deleted customer change nothing.
pub async fn lc_11_a_renewal_is_checked_and_read_through_its_customer(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let customer = world.customer("Careful").await.id;
    let good = || renewal(customer, RenewalStatus::InProgress);
    let worth = |amount: &str, code: &str| Renewal {
        amount: Some(amount.parse().unwrap()),
        currency: Some(Currency::parse(code).unwrap()),
        ..good()
    };
    for (field, wrong) in [
        ("subject", Renewal { subject: " \u{a0}".to_owned(), ..good() }),
        ("subject", Renewal { subject: "ß".repeat(201), ..good() }),
        ("subject", Renewal { subject: "a\0".to_owned(), ..good() }),
        ("due_on", Renewal { due_on: day("+10000-01-01"), ..good() }),
        ("due_on", Renewal { due_on: day("0000-12-31"), ..good() }),
        ("amount", worth("1.001", "EUR")),
        ("amount", worth("0.1", "JPY")),
        ("amount", worth("-0.01", "EUR")),
        ("amount", worth("1000000000000000", "EUR")),
        ("currency", Renewal { currency: None, ..worth("1", "EUR") }),
        ("currency", Renewal { amount: None, ..worth("1", "EUR") }),
    ] {
        match crm.renewals().create(&ctx, wrong).await {
            Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, field, "{errors:?}"),
            other => panic!("a wrong {field} was accepted: {other:?}"),
        }
    }
    assert!(all::<Renewal>(crm, &ctx).await.is_empty());
    let keyed = ctx.clone().with_key("once");
    let given = Renewal {
        subject: "e\u{301}\u{202e}\u{1F600}".to_owned(),
        closed_at: Some(world.env.now()),
        ..worth("999999999999.999", "KWD")
    };
    let first = crm.renewals().create(&keyed, given.clone()).await.unwrap();
    assert_eq!((first.subject.as_str(), first.closed_at), ("é\u{202e}\u{1F600}", None));
    assert_eq!(crm.renewals().get(&ctx, first.id).await.unwrap(), first.value);
    let again = crm.renewals().create(&keyed, given).await.unwrap();
    assert!(again.repeated && again.value == first.value && again.written == first.written);
    assert_eq!(crm.renewals().create(&keyed, good()).await.unwrap_err().code(), "key_reused");
    let early = Renewal { due_on: day("0001-01-01"), ..worth("0", "JPY") };
    crm.renewals().create(&ctx, early).await.unwrap();
    let dues: Vec<_> =
        crm.renewals().of_customer(&ctx, customer).await.unwrap().iter().map(|r| r.due_on).collect();
    assert_eq!(dues, [day("0001-01-01"), day("2024-02-29")]);
    let leap = matching::<Renewal>(crm, &ctx, is("due_on", "eq", "2024-02-29")).await;
    assert_eq!(leap, std::slice::from_ref(&first.value));

    let forge = |r: &mut Renewal| (r.closed_at, r.due_on) = (Some(world.env.now()), day("2028-02-29"));
    let moved = crm.renewals().update(&ctx, first.id, Expect::Version(1), forge).await.unwrap();
    assert_eq!(
        (moved.closed_at, moved.due_on, world.told("renewal.updated").await.len()),
        (None, day("2028-02-29"), 1)
    );
    let stale = crm.renewals().update(&ctx, first.id, Expect::Version(1), |_| ()).await;
    assert_eq!(stale.unwrap_err().code(), "version_conflict");
    let close = |r: &mut Renewal| r.status = RenewalStatus::Renewed;
    let keyed = ctx.clone().with_key("close");
    let closed = crm.renewals().update(&keyed, first.id, Expect::Any, close).await.unwrap();
    let again = crm.renewals().update(&keyed, first.id, Expect::Any, close).await.unwrap();
    assert!(again.repeated && again.value == closed.value && all::<Milestone>(crm, &ctx).await.len() == 1);
    let reword = |r: &mut Renewal| r.subject = "Other".to_owned();
    let reworded = crm.renewals().update(&ctx, first.id, Expect::Any, reword).await;
    assert_eq!(reworded.unwrap_err().code(), "renewal_closed");

    let mut request = TimelineRequest::of(Anchor::Customer(customer));
    request.filter.kinds = vec!["renewal".to_owned()];
    request.filter.subtypes = vec!["renewed".to_owned()];
    let rows = crm.timeline().page(&ctx, &request).await.unwrap().entries;
    assert_eq!((rows.len(), rows[0].entry_id, rows[0].at), (1, first.id.0, closed.closed_at.unwrap()));
    assert_eq!((rows[0].audience, rows[0].currency.as_deref()), (Audience::Internal, Some("KWD")));
    assert_eq!(rows[0].amount, Some("999999999999.999".parse().unwrap()));
    let found = crm.renewals().find(&ctx, &Find::search("gold")).await.unwrap().items;
    assert_eq!(found.len(), 1);
    let totals = Totals::by(&["status"]).sum("amount");
    let sums = crm.renewals().totals(&ctx, &totals).await.unwrap();
    let renewed = sums.iter().find(|group| group.by == [Value::Text("renewed".to_owned())]).unwrap();
    assert_eq!(
        renewed.measures,
        [Value::Int(1), Value::Decimal("999999999999.999".parse::<Decimal>().unwrap())]
    );

    let theirs = Context::system(crm_core::TenantId(Uuid::from_u128(u128::from(seed()))));
    let reader = Context { roles: vec!["reader".to_owned()], ..world.ada() };
    for (ctx, code) in [(&theirs, "not_found"), (&reader, "forbidden")] {
        let codes = [
            crm.renewals().create(ctx, good()).await.unwrap_err().code(),
            crm.renewals().set_status(ctx, found[0].id, RenewalStatus::Paused).await.unwrap_err().code(),
        ];
        assert_eq!(codes, [code; 2]);
    }
    assert!(all::<Renewal>(crm, &theirs).await.is_empty());
    assert_eq!(crm.renewals().get(&theirs, first.id).await.unwrap_err().code(), "not_found");
    assert!(crm.renewals().get(&reader, first.id).await.is_ok());
    crm.customers().delete(&ctx, customer, Expect::Any).await.unwrap();
    let codes = [
        crm.renewals().create(&ctx, good()).await.unwrap_err().code(),
        crm.renewals().set_status(&ctx, found[0].id, RenewalStatus::Paused).await.unwrap_err().code(),
        crm.renewals().get(&ctx, first.id).await.unwrap_err().code(),
        crm.timeline().page(&ctx, &request).await.unwrap_err().code(),
    ];
    assert_eq!(codes, ["not_found"; 4]);
    assert!(all::<Renewal>(crm, &ctx).await.is_empty());
    crm.customers().restore(&ctx, customer).await.unwrap();
    assert_eq!(crm.timeline().page(&ctx, &request).await.unwrap().entries, rows);
}
