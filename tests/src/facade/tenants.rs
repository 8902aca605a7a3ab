//! Tenants do not reach each other (SPEC XT-01).

use crm_core::approval::{Approval, ApprovalId, ApprovalRequest, BulkDeletion};
use crm_core::behavior::{BehaviorEvent, BehaviorType};
use crm_core::catalog::Entity;
use crm_core::contact::{Contact, ContactRole};
use crm_core::customer::{Customer, CustomerId, ExternalId, ExternalKey};
use crm_core::directory::{Assignee, Team, TeamId, User, UserId};
use crm_core::format::Currency;
use crm_core::interaction::Interaction;
use crm_core::invoice::{Invoice, InvoiceId, InvoiceLine, NewInvoice};
use crm_core::journey::{Milestone, MilestoneId, MilestoneType};
use crm_core::lifecycle::{
    AdvanceStage, CustomerLifecycle, LifecycleHistory, LifecycleStage, StageTransition,
};
use crm_core::renewal::{Renewal, RenewalId, RenewalStatus};
use crm_core::score::{Factors, Score, ScoreType, ScoringModel};
use crm_core::timeline::{Anchor, TimelineRequest};
use crm_core::{Context, Crm, Env as _, Expect, Find, TenantId, Totals};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::world::{ADA, BOB, World, all, contact, is, matching, person};
use crate::Harness;

/// The ids of everything that one tenant has.
struct Estate {
    top: CustomerId,
    below: CustomerId,
    contact: Contact,
    interaction: Interaction,
    invoice: InvoiceId,
    user: UserId,
    team: TeamId,
    milestone: MilestoneId,
    event: BehaviorEvent,
    renewal: RenewalId,
    approval: ApprovalId,
}

/// Fills a tenant with some of everything.
async fn furnish(world: &World, ctx: &Context) -> Estate {
    let crm = &world.crm;
    let system = Context::system(ctx.tenant);
    let team = Team { id: TeamId(ctx.tenant.0), name: "Secret team".to_owned(), ..Team::default() };
    let team = crm.teams().put(&system, vec![team]).await.unwrap()[0].id;
    let user = User {
        id: UserId(ctx.tenant.0),
        name: "Secret user".to_owned(),
        manager_id: Some(UserId(ADA)),
        team_id: Some(team),
        ..User::default()
    };
    let user = crm.users().put(&system, vec![user]).await.unwrap()[0].id;
    let theirs = Customer { owner_id: Some(user), ..person("Secret customer") };
    crm.customers().create(ctx, theirs).await.unwrap();
    let keys = vec![ExternalKey::new("shop", "1")];
    let top = crm.customers().create_with_ids(ctx, person("Secret Holding"), keys).await.unwrap().id;
    let below = Customer { parent_id: Some(top), ..person("Secret Branch") };
    let below = crm.customers().create(ctx, below).await.unwrap().id;
    let someone = Contact { is_primary: true, ..contact(top, "Secret", "Agent") };
    let contact = crm.contacts().create(ctx, someone).await.unwrap().value;
    crm.contacts().add_role(ctx, contact.id, below, "advisor").await.unwrap();
    let talk = Interaction {
        contact_id: Some(contact.id),
        external_id: Some("m-1".to_owned()),
        tags: vec!["secret".to_owned()],
        ..world.touch(top, "Secret talk")
    };
    let interaction = crm.interactions().log(ctx, talk).await.unwrap().value;
    let pinned = Interaction { is_pinned: true, ..world.touch(top, "Secret pin") };
    crm.interactions().log(ctx, pinned).await.unwrap();
    let invoice = Invoice::issued(top, "R-1", world.env.now(), Currency::USD);
    let lines = vec![InvoiceLine::new("Secret service", Decimal::TWO, Decimal::TEN)];
    let invoice = crm.invoices().record(ctx, NewInvoice { invoice, lines }).await.unwrap().id;
    let scores = crm.scores();
    scores.put_model(&Context::system(ctx.tenant), ScoringModel::health()).await.unwrap();
    scores.record(ctx, top, ScoreType::Health, Factors::new()).await.unwrap();
    let now = world.env.now();
    let milestone = Milestone::new(top, MilestoneType::FirstContact, now);
    let milestone = crm.journey().reach(ctx, milestone).await.unwrap().id;
    let event = BehaviorEvent {
        contact_id: Some(contact.id),
        external_id: Some("e-1".to_owned()),
        ..BehaviorEvent::new(top, BehaviorType::Login, "app", now)
    };
    let event = crm.behavior().record(ctx, event).await.unwrap().value;
    let renewal = Renewal::new(top, "Secret plan", now.date_naive());
    let renewal = crm.renewals().create(ctx, renewal).await.unwrap().id;
    let (entity, criteria) = ("customer".to_owned(), is("display_name", "eq", "Secret Branch"));
    let request = ApprovalRequest::BulkDelete { entity, criteria, reason: "Secret reason".to_owned() };
    let approval = crm.approvals().request(ctx, request).await.unwrap().id;
    Estate { top, below, contact, interaction, invoice, user, team, milestone, event, renewal, approval }
}

/// Everything that all reads together show of a tenant.
pub(super) async fn dump(crm: &Crm, tenant: TenantId) -> Vec<String> {
    async fn of<E: Entity + std::fmt::Debug>(crm: &Crm, ctx: &Context, into: &mut Vec<String>) {
        into.extend(all::<E>(crm, ctx).await.iter().map(|record| format!("{record:?}")));
        let groups = crm.totals::<E>(ctx, &Totals::default()).await.unwrap();
        into.extend(groups.iter().map(|group| format!("{}: {group:?}", E::def().name)));
    }
    let ctx = Context::system(tenant);
    let mut shown = Vec::new();
    of::<Approval>(crm, &ctx, &mut shown).await;
    of::<Customer>(crm, &ctx, &mut shown).await;
    of::<Contact>(crm, &ctx, &mut shown).await;
    of::<ContactRole>(crm, &ctx, &mut shown).await;
    of::<ExternalId>(crm, &ctx, &mut shown).await;
    of::<Interaction>(crm, &ctx, &mut shown).await;
    of::<Invoice>(crm, &ctx, &mut shown).await;
    of::<InvoiceLine>(crm, &ctx, &mut shown).await;
    of::<Milestone>(crm, &ctx, &mut shown).await;
    of::<BehaviorEvent>(crm, &ctx, &mut shown).await;
    of::<Renewal>(crm, &ctx, &mut shown).await;
    of::<CustomerLifecycle>(crm, &ctx, &mut shown).await;
    of::<LifecycleHistory>(crm, &ctx, &mut shown).await;
    of::<LifecycleStage>(crm, &ctx, &mut shown).await;
    of::<StageTransition>(crm, &ctx, &mut shown).await;
    of::<Score>(crm, &ctx, &mut shown).await;
    of::<ScoringModel>(crm, &ctx, &mut shown).await;
    of::<User>(crm, &ctx, &mut shown).await;
    of::<Assignee>(crm, &ctx, &mut shown).await;
    of::<Team>(crm, &ctx, &mut shown).await;
    shown.push(format!("{:?}", crm.settings().get(&ctx).await.unwrap()));
    let request = TimelineRequest {
        all_time: true,
        include_future: true,
        limit: 1_000,
        ..TimelineRequest::of(Anchor::Tenant)
    };
    shown.push(format!("{:?}", crm.timeline().page(&ctx, &request).await.unwrap()));
    let rows = crm.log().next(&ctx, "dump", 10_000).await.unwrap();
    shown.extend(rows.iter().map(|row| format!("{row:?}")));
    shown
}

/// Whatever one tenant calls with the ids of another finds nothing and changes nothing, though both have records with
/// the same external ids and numbers.
pub async fn xt_01_another_tenants_ids_find_nothing_and_change_nothing(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let crm = &world.crm;
    let other = TenantId(Uuid::from_u128(world.tenant.0.as_u128() + (1 << 100)));
    world.employ(other).await;
    let theirs = furnish(&world, &Context::user(other, ADA)).await;
    furnish(&world, &world.ada()).await;
    let before = dump(crm, other).await;
    let own = dump(crm, world.tenant).await;
    let mine = world.customer("Mine").await.id;
    let my_contact = crm.contacts().create(&world.ada(), contact(mine, "My", "Own")).await.unwrap().id;

    for ctx in [world.ada().with_role("admin"), world.system(), world.bob()] {
        let manager = ctx.clone().with_role("manager");
        let since = world.env.now();
        // Every read by id.
        let mut codes = vec![
            crm.customers().get(&ctx, theirs.top).await.unwrap_err().code(),
            crm.customers().subtree(&ctx, theirs.top).await.unwrap_err().code(),
            crm.contacts().get(&ctx, theirs.contact.id).await.unwrap_err().code(),
            crm.interactions().get(&ctx, theirs.interaction.id).await.unwrap_err().code(),
            crm.invoices().get(&ctx, theirs.invoice).await.unwrap_err().code(),
            crm.users().get(&ctx, theirs.user).await.unwrap_err().code(),
            crm.teams().get(&ctx, theirs.team).await.unwrap_err().code(),
            crm.approvals().get(&ctx, theirs.approval).await.unwrap_err().code(),
            crm.log().history::<Customer>(&manager, theirs.top).await.unwrap_err().code(),
            crm.log().history::<Interaction>(&manager, theirs.interaction.id).await.unwrap_err().code(),
            crm.log().as_of::<Customer>(&manager, theirs.top, since).await.unwrap_err().code(),
        ];
        codes.extend([
            crm.lifecycle().get(&ctx, theirs.top).await.unwrap_err().code(),
            crm.journey().get(&ctx, theirs.milestone).await.unwrap_err().code(),
            crm.behavior().get(&ctx, theirs.event.id).await.unwrap_err().code(),
            crm.renewals().get(&ctx, theirs.renewal).await.unwrap_err().code(),
        ]);
        for anchor in [
            Anchor::Customer(theirs.top),
            Anchor::Contact(theirs.contact.id),
            Anchor::Record("interaction".to_owned(), theirs.interaction.id.0),
            Anchor::Record("invoice".to_owned(), theirs.invoice.0),
        ] {
            codes.push(crm.timeline().page(&ctx, &TimelineRequest::of(anchor)).await.unwrap_err().code());
        }
        // Every change by id.
        let any = Expect::Any;
        codes.extend([
            crm.customers().update(&ctx, theirs.top, any, |c| c.is_vip = true).await.unwrap_err().code(),
            crm.customers().set_parent(&ctx, theirs.below, None).await.unwrap_err().code(),
            crm.customers().delete(&ctx, theirs.top, any).await.unwrap_err().code(),
            crm.customers().restore(&ctx, theirs.top).await.unwrap_err().code(),
            crm.contacts().create(&ctx, contact(theirs.top, "A", "B")).await.unwrap_err().code(),
            crm.contacts()
                .update(&ctx, theirs.contact.id, any, |c| c.do_not_contact = true)
                .await
                .unwrap_err()
                .code(),
            crm.contacts().set_primary(&ctx, theirs.contact.id).await.unwrap_err().code(),
            crm.contacts().delete(&ctx, theirs.contact.id, any).await.unwrap_err().code(),
            crm.contacts().add_role(&ctx, theirs.contact.id, mine, "spy").await.unwrap_err().code(),
            crm.contacts().add_role(&ctx, my_contact, theirs.top, "spy").await.unwrap_err().code(),
            crm.interactions().log(&ctx, world.touch(theirs.top, "spy")).await.unwrap_err().code(),
            crm.interactions()
                .update(&ctx, theirs.interaction.id, any, |i| i.is_pinned = true)
                .await
                .unwrap_err()
                .code(),
            crm.interactions().mark_replied(&ctx, theirs.interaction.id).await.unwrap_err().code(),
            crm.interactions().delete(&ctx, theirs.interaction.id, any).await.unwrap_err().code(),
            crm.invoices()
                .update(&ctx, theirs.invoice, any, |i| i.amount_paid = i.total)
                .await
                .unwrap_err()
                .code(),
        ]);
        let system = world.system();
        codes.extend([
            crm.users().deactivate(&system, theirs.user).await.unwrap_err().code(),
            crm.users().hand_over_piece(&system, theirs.user).await.unwrap_err().code(),
        ]);
        let own_stage = crm.lifecycle().stages(&ctx).await.unwrap()[1].id;
        let foreign = BehaviorEvent { customer_id: mine, external_id: None, ..theirs.event.clone() };
        let milestone = Milestone::new(theirs.top, MilestoneType::Upsell, since);
        codes.extend([
            crm.lifecycle().advance(&ctx, AdvanceStage::new(theirs.top, own_stage)).await.unwrap_err().code(),
            crm.journey().reach(&ctx, milestone).await.unwrap_err().code(),
            crm.journey().update(&ctx, theirs.milestone, any, |m| m.details = None).await.unwrap_err().code(),
            crm.journey().delete(&ctx, theirs.milestone, any).await.unwrap_err().code(),
            crm.behavior().record(&ctx, theirs.event.clone()).await.unwrap_err().code(),
            crm.behavior().record(&ctx, foreign).await.unwrap_err().code(),
            crm.renewals()
                .create(&ctx, Renewal::new(theirs.top, "spy", since.date_naive()))
                .await
                .unwrap_err()
                .code(),
            crm.renewals().set_status(&ctx, theirs.renewal, RenewalStatus::Paused).await.unwrap_err().code(),
        ]);
        codes.extend([
            crm.invoices().issue(&ctx, theirs.invoice, any).await.unwrap_err().code(),
            crm.profiles().of(&ctx, theirs.top).await.unwrap_err().code(),
            crm.profiles().statistics(&ctx, theirs.top).await.unwrap_err().code(),
            crm.approvals().approve(&manager, theirs.approval, any, None).await.unwrap_err().code(),
            crm.approvals().reject(&ctx, theirs.approval, any, None).await.unwrap_err().code(),
        ]);
        let with_contact = Interaction { contact_id: Some(theirs.contact.id), ..world.touch(mine, "spy") };
        codes.push(crm.interactions().log(&ctx, with_contact).await.unwrap_err().code());
        let invoice = Invoice::issued(theirs.top, "SPY", world.env.now(), Currency::USD);
        codes.push(
            crm.invoices().record(&ctx, NewInvoice { invoice, lines: Vec::new() }).await.unwrap_err().code(),
        );
        let health = ScoreType::Health;
        let known = Factors::from([("payment_history".to_owned(), Decimal::ONE)]);
        codes.push(crm.scores().record(&ctx, theirs.top, health, known).await.unwrap_err().code());
        assert!(codes.iter().all(|code| *code == "not_found"), "{codes:?}");
        let below = Customer { parent_id: Some(theirs.top), ..person("Spy") };
        let refused = [
            crm.customers().set_parent(&ctx, mine, Some(theirs.top)).await.unwrap_err().code(),
            crm.customers().create(&ctx, below).await.unwrap_err().code(),
        ];
        assert_eq!(refused, ["customer_parent"; 2]);
        let user = User { name: "Spy".to_owned(), ..all::<User>(crm, &ctx).await[0].clone() };
        let below = User { manager_id: Some(theirs.user), ..user.clone() };
        let within = User { team_id: Some(theirs.team), ..user };
        let owned = Customer { owner_id: Some(theirs.user), ..person("Spy") };
        let refused = [
            crm.users().put(&system, vec![below]).await.unwrap_err().code(),
            crm.users().put(&system, vec![within]).await.unwrap_err().code(),
            crm.settings().update(&system, |s| s.pool_id = Some(theirs.user)).await.unwrap_err().code(),
            crm.customers().create(&ctx, owned).await.unwrap_err().code(),
        ];
        assert_eq!(refused, ["user_manager", "user_team", "invalid", "customer_owner"]);
        assert!(crm.users().handovers(&system).await.unwrap().is_empty());
        // Every question that could name them.
        assert!(crm.customers().get_many(&ctx, &[theirs.top, theirs.below]).await.unwrap().is_empty());
        assert!(crm.contacts().of_customer(&ctx, theirs.top).await.unwrap().is_empty());
        let by = |field: &str| is(field, "eq", theirs.top.to_string());
        assert!(crm.scores().of_customer(&ctx, theirs.top).await.unwrap().is_empty());
        assert_eq!(crm.scores().trend(&ctx, theirs.top, health).await.unwrap(), None);
        assert_eq!(crm.scores().distribution(&ctx, health).await.unwrap().total(), 1, "only its own");
        let risky = crm.scores().at_risk(&ctx, health, 101, 99, None).await.unwrap().items;
        assert!(risky.len() == 1 && risky[0].customer_id != theirs.top);
        let stale = crm.scores().stale(&ctx, health, 99, None).await.unwrap().items;
        assert!(stale.iter().all(|stale| stale.customer != theirs.top && stale.customer != theirs.below));
        assert_eq!(crm.scores().models(&ctx).await.unwrap().len(), 1);
        assert!(matching::<Score>(crm, &ctx, by("customer_id")).await.is_empty());
        assert!(matching::<CustomerLifecycle>(crm, &ctx, by("id")).await.is_empty());
        assert!(matching::<Customer>(crm, &ctx, by("id")).await.is_empty());
        assert!(matching::<Customer>(crm, &ctx, by("parent_id")).await.is_empty());
        let of_team = is("team_id", "eq", theirs.team.to_string());
        assert!(matching::<User>(crm, &ctx, of_team).await.is_empty());
        assert!(matching::<Contact>(crm, &ctx, by("customer_id")).await.is_empty());
        assert!(matching::<ContactRole>(crm, &ctx, by("contact.customer_id")).await.is_empty());
        assert!(matching::<ExternalId>(crm, &ctx, by("record_id")).await.is_empty());
        assert!(matching::<Interaction>(crm, &ctx, by("customer.id")).await.is_empty());
        assert!(matching::<Invoice>(crm, &ctx, by("customer_id")).await.is_empty());
        assert!(matching::<Milestone>(crm, &ctx, by("customer_id")).await.is_empty());
        assert!(matching::<BehaviorEvent>(crm, &ctx, by("customer.id")).await.is_empty());
        assert!(matching::<Renewal>(crm, &ctx, by("customer_id")).await.is_empty());
        assert!(matching::<InvoiceLine>(crm, &ctx, by("invoice.customer_id")).await.is_empty());
        assert!(
            matching::<Approval>(crm, &ctx, is("id", "eq", theirs.approval.to_string())).await.is_empty()
        );
        let open = crm.approvals().pending(&ctx, 50, None).await.unwrap().items;
        assert!(open.len() == 1 && open[0].id != theirs.approval);
        for none in [
            crm.customers().delete_matching(&ctx, by("id"), "spy").await.unwrap().value,
            crm.interactions().delete_matching(&ctx, by("customer_id"), "spy").await.unwrap().value,
        ] {
            assert_eq!(none, BulkDeletion::Deleted(0));
        }
        let totals = Totals::default().matching(by("customer_id")).sum("total");
        let sums = crm.invoices().totals(&ctx, &totals).await.unwrap();
        assert_eq!(format!("{:?}", sums[0].measures), "[Int(0), Decimal(0)]");
        for found in crm.customers().search(&ctx, "secret", 50).await.unwrap() {
            assert!(found.id != theirs.top && found.id != theirs.below);
        }
        for found in crm.interactions().find(&ctx, &Find::search("secret talk")).await.unwrap().items {
            assert_ne!(found.id, theirs.interaction.id);
        }
        let known = crm.customers().by_external_id(&ctx, &ExternalKey::new("shop", "1")).await.unwrap();
        assert_ne!(known.unwrap().id, theirs.top, "each tenant has its own id");
        for anchor in [Anchor::Tenant, Anchor::User(UserId(ADA)), Anchor::User(UserId(BOB))] {
            let page = crm.timeline().page(&ctx, &TimelineRequest::of(anchor)).await.unwrap();
            let rows = page.entries.iter().chain(&page.pinned);
            assert!(rows.filter(|row| row.root == Some(theirs.top.0)).count() == 0);
        }
        let rows = crm.log().next(&manager, "reader", 10_000).await.unwrap();
        assert!(
            !rows.is_empty()
                && rows.iter().all(|row| row.record_id != theirs.top.0 && row.root != Some(theirs.top.0))
        );
        crm.log().acknowledge(&manager, "spy", rows.len() as i64).await.unwrap();
        crm.users()
            .put(
                &Context::system(world.tenant),
                vec![User { name: "Other Ada".to_owned(), ..all::<User>(crm, &ctx).await[0].clone() }],
            )
            .await
            .unwrap();
        crm.settings().update(&world.system(), |s| s.zone = "Asia/Tokyo".to_owned()).await.unwrap();
    }
    assert_eq!(dump(crm, other).await, before, "the other tenant is not as it was");
    assert_ne!(dump(crm, world.tenant).await, own, "the dump shows changes");
    let rows = crm.log().next(&Context::system(other), "spy", 10_000).await.unwrap();
    assert!(!rows.is_empty(), "the position of another tenant's consumer moved");
}

/// A record of one tenant may have the id of another's: they are two records.
pub async fn xt_01_the_same_id_in_two_tenants_is_two_records(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let crm = &world.crm;
    let other = TenantId(Uuid::from_u128(world.tenant.0.as_u128() + (1 << 100)));
    let (here, there) = (world.system(), Context::system(other));
    let id = CustomerId(Uuid::from_u128(7));
    crm.customers().create(&here, Customer { id, ..person("Here") }).await.unwrap();
    crm.customers().create(&there, Customer { id, ..person("There") }).await.unwrap();
    crm.customers().update(&here, id, Expect::Version(1), |c| c.is_vip = true).await.unwrap();
    crm.customers().delete(&there, id, Expect::Version(1)).await.unwrap();
    let found = crm.customers().get(&here, id).await.unwrap();
    assert_eq!((found.display_name.as_str(), found.is_vip, found.meta.version), ("Here", true, 2));
    assert_eq!(crm.customers().search(&here, "here", 10).await.unwrap(), [found]);
    assert!(crm.customers().search(&there, "there", 10).await.unwrap().is_empty());
}
