//! Stages as data (SPEC LC-01).

use std::collections::BTreeSet;

use crm_core::lifecycle::{AdvanceStage, CustomerLifecycle, LifecycleStage, StageCategory, StageId};
use crm_core::{Context, Error, Expect};
use uuid::Uuid;

use super::world::{World, all, at_once, person, seed, tally};
use crate::{Harness, size};

/// A stage before the customer's.
pub(super) fn stage(name: &str, order: i64) -> LifecycleStage {
    LifecycleStage::new(name, StageCategory::PreCustomer, order)
}

/// A stage has a place, a name that is its own in whatever writing, and a colour in one form; its category stays. The
/// name of a deleted one is free.
pub async fn lc_01_stages_are_checked_ordered_and_known_by_one_name(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, admin) = (&world.crm, world.system());
    let lifecycle = crm.lifecycle();
    world.customer("First").await;
    let long = "ß".repeat(101);
    let colored = |color: &str| LifecycleStage { color: Some(color.to_owned()), ..stage("Colored", 9) };
    for (field, wrong) in [
        ("name", stage(" ", 9)),
        ("name", stage(&long, 9)),
        ("name", stage("a\0b", 9)),
        ("name", stage("two\nlines", 9)),
        ("display_order", stage("Early", -1)),
        ("display_order", stage("Late", 1_000_001)),
        ("color", colored("#12345")),
        ("color", colored("#12345g")),
        ("color", colored("123456#")),
        ("color", colored("#1234567")),
        ("color", colored("#１２３４５６")),
        ("description", LifecycleStage { description: Some("x".repeat(5_001)), ..stage("Wordy", 9) }),
    ] {
        match lifecycle.add_stage(&admin, wrong).await {
            Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, field, "{errors:?}"),
            other => panic!("a wrong {field} was accepted: {other:?}"),
        }
    }
    let given = LifecycleStage { description: Some("e\u{301}".to_owned()), ..colored("#00aAfF") };
    let given = LifecycleStage { name: "  Straße  Ⅳ ﬁt ".to_owned(), display_order: 3, ..given };
    let keyed = admin.clone().with_key("add");
    let added = lifecycle.add_stage(&keyed, given.clone()).await.unwrap();
    assert_eq!((added.name.as_str(), added.description.as_deref()), ("Straße Ⅳ ﬁt", Some("é")));
    let again = lifecycle.add_stage(&keyed, given).await.unwrap();
    assert!(again.repeated && again.value == added.value);
    assert_eq!(lifecycle.add_stage(&keyed, stage("Other", 1)).await.unwrap_err().code(), "key_reused");
    for same in ["STRASSE IV FIT", "straße\u{a0}iv fit", "LEAD", "ｌｅａｄ", "wOn  baCK"] {
        let taken = lifecycle.add_stage(&admin, stage(same, 9)).await;
        assert!(matches!(taken, Err(Error::NotUnique { rule: "stage_name_once" })), "{same}: {taken:?}");
    }
    let racing = at_once(8, |n| {
        let (crm, admin) = (crm.clone(), admin.clone());
        let name = if n % 2 == 0 { "É clair" } else { "e\u{301} CLAIR" };
        async move { crm.lifecycle().add_stage(&admin, stage(name, 0)).await.is_ok() }
    })
    .await;
    assert_eq!(racing.into_iter().filter(|won| *won).count(), 1);
    lifecycle.add_stage(&admin, stage("E clair", 1_000_000)).await.unwrap();
    let stages = lifecycle.stages(&admin).await.unwrap();
    assert!(stages.is_sorted_by_key(|stage| stage.display_order) && stages.len() == 10);
    assert!(stages[0].display_order == 0 && stages[9].name == "E clair");
    let recast = |s: &mut LifecycleStage| s.category = StageCategory::PostCustomer;
    let recast = lifecycle.update_stage(&admin, added.id, Expect::Any, recast).await;
    assert!(matches!(&recast, Err(Error::Invalid(errors)) if errors[0].field == "category"), "{recast:?}");
    let gone = lifecycle.delete_stage(&admin, added.id, Expect::Version(1)).await.unwrap();
    assert!(gone.meta.deleted_at.is_some());
    assert_ne!(lifecycle.add_stage(&admin, stage("Strasse iv fit", 3)).await.unwrap().id, added.id);
    let theirs = Context::system(crm_core::TenantId(Uuid::from_u128(u128::from(seed()))));
    let known = stages[3].id;
    for (ctx, code) in [(&theirs, "not_found"), (&world.manager(), "forbidden")] {
        let codes = [
            lifecycle.update_stage(ctx, known, Expect::Any, |s| s.color = None).await.unwrap_err().code(),
            lifecycle.delete_stage(ctx, known, Expect::Any).await.unwrap_err().code(),
            lifecycle.allow(ctx, known, stages[4].id).await.unwrap_err().code(),
        ];
        assert_eq!(codes, [code; 3]);
    }
    assert!(lifecycle.stages(&theirs).await.unwrap().is_empty());
    assert_eq!(
        lifecycle.add_stage(&world.manager(), stage("Mine", 1)).await.unwrap_err().code(),
        "forbidden"
    );
}

/// A stage that is deleted while customers enter it, begin in it and leave it: it is deleted and no customer stands in it
/// or came from it, or it is in use and stays.
pub async fn lc_01_no_customer_stands_in_a_stage_that_is_deleted_meanwhile(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ctx, admin) =
        (world.crm.clone(), world.second(harness).await, world.ada(), world.system());
    let first = world.customer("First").await.id;
    let lead = crm.lifecycle().get(&ctx, first).await.unwrap().current_stage_id;
    let mut outcomes = Vec::new();
    for round in 0..size(8, 60) {
        // Each round has a stage before all others, where new customers begin, and one beside the Leads.
        let begin = crm.lifecycle().add_stage(&admin, stage(&format!("Begin {round}"), 0)).await.unwrap().id;
        let enter = crm.lifecycle().add_stage(&admin, stage(&format!("Enter {round}"), 2)).await.unwrap().id;
        crm.lifecycle().allow(&admin, lead, enter).await.unwrap();
        let aside = crm.lifecycle().update_stage(&admin, begin, Expect::Any, |s| s.is_active = false).await;
        aside.unwrap();
        let mut customers = Vec::new();
        for n in 0..4 {
            customers.push(world.customer(&format!("Enters {round}-{n}")).await.id);
        }
        crm.lifecycle().update_stage(&admin, begin, Expect::Any, |s| s.is_active = true).await.unwrap();
        let results = at_once(12, |n| {
            let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
            let (admin, customers) = (admin.clone(), customers.clone());
            async move {
                let deleted = |outcome: Result<_, Error>| match outcome {
                    Ok(()) => "deleted",
                    Err(Error::InUse { .. }) => "in use",
                    Err(Error::NotFound { .. }) => "deleted before",
                    Err(other) => panic!("{other:?}"),
                };
                match n % 4 {
                    0 => {
                        match crm.lifecycle().advance(&ctx, AdvanceStage::new(customers[n / 4], enter)).await
                        {
                            Ok(_) => "entered",
                            Err(Error::NotFound { entity: "lifecycle_stage", .. }) => "gone",
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                    1 => match crm.customers().create(&ctx, person("Begins")).await {
                        Ok(_) => "began",
                        Err(other) => panic!("{other:?}"),
                    },
                    2 => deleted(crm.lifecycle().delete_stage(&admin, enter, Expect::Any).await.map(drop)),
                    _ => deleted(crm.lifecycle().delete_stage(&admin, begin, Expect::Any).await.map(drop)),
                }
            }
        })
        .await;
        let stages: BTreeSet<StageId> =
            crm.lifecycle().stages(&ctx).await.unwrap().iter().map(|stage| stage.id).collect();
        for lifecycle in all::<CustomerLifecycle>(&crm, &ctx).await {
            assert!(stages.contains(&lifecycle.current_stage_id), "round {round}: {results:?}");
            assert!(lifecycle.previous_stage_id.is_none_or(|id| stages.contains(&id)), "{results:?}");
        }
        for transition in crm.lifecycle().transitions(&ctx).await.unwrap() {
            assert!(stages.contains(&transition.from_stage_id) && stages.contains(&transition.to_stage_id));
        }
        assert!(!results.contains(&"entered") || stages.contains(&enter), "round {round}: {results:?}");
        outcomes.extend(results);
        // What is still there is put aside, so that the next round's stage is where customers begin.
        for id in [begin, enter].into_iter().filter(|id| stages.contains(id)) {
            let aside = |s: &mut LifecycleStage| s.is_active = false;
            crm.lifecycle().update_stage(&admin, id, Expect::Any, aside).await.unwrap();
        }
    }
    println!("{}: {:?}", harness.name(), tally(outcomes.into_iter()));
}
