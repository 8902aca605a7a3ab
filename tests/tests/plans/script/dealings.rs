//! What is done with customers, and the stages they go through.

use chrono::{Duration, NaiveDate};
use crm_core::approval::ApprovalRequest;
use crm_core::behavior::{BehaviorEvent, BehaviorType};
use crm_core::format::Currency;
use crm_core::interaction::{Interaction, InteractionSource, ReplyStatus};
use crm_core::invoice::{Invoice, InvoiceLine, InvoiceStatus, NewInvoice};
use crm_core::journey::{Milestone, MilestoneType};
use crm_core::lifecycle::{AdvanceStage, LifecycleStage};
use crm_core::renewal::{Renewal, RenewalStatus};
use crm_core::timeline::Visibility;
use crm_core::{Expect, Find, Totals};
use rust_decimal::Decimal;
use serde_json::json;
use uuid::Uuid;

use super::{Family, Work, is};

impl Work {
    /// Interactions, invoices, renewals, behaviour, milestones.
    pub(super) async fn dealings(&self, family: &Family) {
        let (crm, ctx, firm, now) = (&self.crm, &self.ada, family.firm, self.now);
        let jo = crm.contacts().of_customer(ctx, firm).await.unwrap()[0].id;
        self.call("interactions.log");
        let touch = |subject: &str, hours: i64| Interaction {
            customer_id: firm,
            contact_id: Some(jo),
            subject: Some(subject.to_owned()),
            occurred_at: now - Duration::hours(hours),
            duration_minutes: Some(5),
            tags: vec!["urgent".to_owned()],
            ..Interaction::default()
        };
        let imported = Interaction {
            source: InteractionSource::Api,
            external_id: Some("mail-1".to_owned()),
            ..touch("An offer", 1)
        };
        let offer = crm.interactions().log(ctx, imported).await.unwrap().id;
        let wait = Interaction { reply_status: ReplyStatus::Awaiting, ..touch("A question", 2) };
        let wait = crm.interactions().log(ctx, wait).await.unwrap().id;
        for n in 3..7 {
            crm.interactions().log(ctx, touch("A talk", n)).await.unwrap();
        }
        let private = Interaction { visibility: Visibility::Private, ..touch("In confidence", 9) };
        crm.interactions().log(&self.bob, private).await.unwrap();
        self.call("interactions.update");
        crm.interactions().update(ctx, offer, Expect::Any, |of| of.is_pinned = true).await.unwrap();
        self.call("interactions.delete");
        let gone = crm.interactions().log(ctx, touch("Wrong", 8)).await.unwrap().id;
        crm.interactions().delete(ctx, gone, Expect::Any).await.unwrap();
        self.call("interactions.find");
        crm.interactions().get(ctx, offer).await.unwrap();
        let of_firm = is("customer_id", "eq", firm.to_string());
        let deep = Find::matching(of_firm.clone()).descending("occurred_at").limit(1);
        let next = crm.interactions().find(ctx, &deep).await.unwrap().next.unwrap();
        for find in [
            deep.after(next),
            Find::matching(is("contact_id", "eq", jo.0.to_string())).descending("occurred_at"),
            Find::matching(is("interaction_type", "eq", "call")).descending("occurred_at"),
            Find::search("offer"),
        ] {
            crm.interactions().find(ctx, &find).await.unwrap();
        }
        self.call("interactions.awaiting_reply");
        crm.interactions().awaiting_reply(ctx, 50).await.unwrap();
        crm.interactions().mark_replied(ctx, wait).await.unwrap();
        self.call("interactions.statistics");
        crm.interactions().statistics(ctx, Some(of_firm.clone())).await.unwrap();
        self.call("interactions.statistics of all");
        crm.interactions().statistics(ctx, None).await.unwrap();
        self.call("interactions.response_times");
        crm.interactions().response_times(ctx, Some(of_firm.clone())).await.unwrap();
        self.call("interactions.response_times of all");
        crm.interactions().response_times(ctx, None).await.unwrap();
        self.call("interactions.delete_matching");
        let wrong = json!({ "all": [of_firm.clone(), is("subject", "eq", "Nothing")] });
        crm.interactions().delete_matching(ctx, wrong, "it is wrong").await.unwrap();
        self.call("invoices");
        let invoice = |number: &str, status| NewInvoice {
            invoice: Invoice {
                status,
                due_on: Some(now.date_naive() + Duration::days(9)),
                ..Invoice::issued(firm, number, now - Duration::hours(3), Currency::USD)
            },
            lines: vec![InvoiceLine::new("Steel", Decimal::TWO, Decimal::TEN)],
        };
        let issued = crm.invoices().record(ctx, invoice("I-1", InvoiceStatus::Issued)).await.unwrap().id;
        let draft = crm.invoices().record(ctx, invoice("I-2", InvoiceStatus::Draft)).await.unwrap().id;
        crm.invoices().issue(ctx, draft, Expect::Any).await.unwrap();
        crm.invoices().update(ctx, issued, Expect::Any, |of| of.status = InvoiceStatus::Void).await.unwrap();
        crm.invoices().get(ctx, draft).await.unwrap();
        for find in [
            Find::matching(of_firm.clone()).descending("issued_at"),
            Find::matching(is("status", "eq", "issued")).ascending("due_on"),
            Find::matching(is("number", "eq", "I-2")),
        ] {
            crm.invoices().find(ctx, &find).await.unwrap();
        }
        self.call("invoices.totals");
        crm.invoices()
            .totals(ctx, &Totals::by(&["customer.owner.name", "currency"]).sum("total"))
            .await
            .unwrap();
        self.call("renewals");
        let due = NaiveDate::from_ymd_opt(2024, 9, 1).unwrap();
        let renewal = crm.renewals().create(ctx, Renewal::new(firm, "Steel", due)).await.unwrap().id;
        crm.renewals().update(ctx, renewal, Expect::Any, |of| of.subject = "Iron".to_owned()).await.unwrap();
        crm.renewals().set_status(ctx, renewal, RenewalStatus::Paused).await.unwrap();
        crm.renewals().get(ctx, renewal).await.unwrap();
        crm.renewals().of_customer(ctx, firm).await.unwrap();
        crm.renewals()
            .find(ctx, &Find::matching(is("status", "eq", "upcoming")).ascending("due_on"))
            .await
            .unwrap();
        self.call("renewals.totals");
        crm.renewals().totals(ctx, &Totals::by(&["status"])).await.unwrap();
        self.call("behavior");
        let event = BehaviorEvent {
            contact_id: Some(jo),
            external_id: Some("click-1".to_owned()),
            ..BehaviorEvent::new(firm, BehaviorType::default(), "shop", now - Duration::hours(4))
        };
        let event = crm.behavior().record(ctx, event).await.unwrap().id;
        crm.behavior().get(ctx, event).await.unwrap();
        let r#type = is("behavior_type", "eq", BehaviorType::default().code());
        for criteria in [of_firm.clone(), is("contact_id", "eq", jo.0.to_string()), r#type] {
            crm.behavior().find(ctx, &Find::matching(criteria).descending("occurred_at")).await.unwrap();
        }
        self.call("behavior.totals");
        crm.behavior().totals(ctx, &Totals::by(&["behavior_type"]).matching(of_firm)).await.unwrap();
        self.call("journey");
        let reached = |r#type, days| Milestone::new(firm, r#type, now - Duration::days(days));
        let upsell = crm.journey().reach(ctx, reached(MilestoneType::Upsell, 2)).await.unwrap().id;
        crm.journey().reach(ctx, reached(MilestoneType::OnboardingComplete, 3)).await.unwrap();
        crm.journey()
            .update(ctx, upsell, Expect::Any, |of| of.occurred_at -= Duration::days(1))
            .await
            .unwrap();
        crm.journey().get(ctx, upsell).await.unwrap();
        let page = crm.journey().of_customer(ctx, firm, 1, None).await.unwrap();
        crm.journey().of_customer(ctx, firm, 1, page.next).await.unwrap();
        let started = is("milestone_type", "eq", "onboarding_complete");
        crm.journey().find(ctx, &Find::matching(started).descending("occurred_at")).await.unwrap();
        crm.journey().delete(ctx, upsell, Expect::Any).await.unwrap();
    }

    /// Stages and steps.
    pub(super) async fn lifecycle(&self, family: &Family) {
        let (crm, ctx, person) = (&self.crm, &self.ada, family.person);
        self.call("lifecycle.stages");
        let stages = crm.lifecycle().stages(ctx).await.unwrap();
        crm.lifecycle().transitions(ctx).await.unwrap();
        let now_in = crm.lifecycle().get(ctx, person).await.unwrap().current_stage_id;
        let spare = LifecycleStage { name: "Spare".to_owned(), display_order: 90, ..stages[0].clone() };
        let spare = LifecycleStage { id: crm_core::lifecycle::StageId(Uuid::nil()), ..spare };
        let spare = crm.lifecycle().add_stage(ctx, spare).await.unwrap().id;
        crm.lifecycle().update_stage(ctx, spare, Expect::Any, |of| of.display_order = 91).await.unwrap();
        crm.lifecycle().allow(ctx, now_in, spare).await.unwrap();
        self.call("lifecycle.advance");
        crm.lifecycle().advance(ctx, AdvanceStage::new(person, spare)).await.unwrap();
        let back = AdvanceStage {
            override_rules: true,
            reason: Some("a mistake".to_owned()),
            ..AdvanceStage::new(person, now_in)
        };
        crm.lifecycle().advance(ctx, back).await.unwrap();
        self.call("lifecycle.delete_stage");
        crm.lifecycle().forbid(ctx, now_in, spare).await.unwrap();
        let never = LifecycleStage {
            id: crm_core::lifecycle::StageId(Uuid::nil()),
            name: "Never".to_owned(),
            display_order: 95,
            ..stages[0].clone()
        };
        let never = crm.lifecycle().add_stage(ctx, never).await.unwrap().id;
        crm.lifecycle().delete_stage(ctx, never, Expect::Any).await.unwrap();
        self.call("lifecycle.history");
        crm.lifecycle().history(ctx, person).await.unwrap();
        self.call("approvals");
        crm.lifecycle().allow_with_approval(ctx, now_in, spare).await.unwrap();
        let step =
            || ApprovalRequest::AdvanceStage { customer: person, to: spare, reason: Some("Now".to_owned()) };
        for _ in 0..2 {
            crm.approvals().request(&self.bob, step()).await.unwrap();
        }
        let soon = self.now + Duration::days(1);
        crm.approvals().request_until(&self.bob, step(), soon).await.unwrap();
        let page = crm.approvals().pending(ctx, 1, None).await.unwrap();
        crm.approvals().pending(ctx, 1, page.next.as_deref()).await.unwrap();
        let waiting = crm.approvals().pending(ctx, 50, None).await.unwrap().items;
        crm.approvals().get(ctx, waiting[0].id).await.unwrap();
        crm.approvals().reject(ctx, waiting[0].id, Expect::Any, None).await.unwrap();
        crm.approvals().approve(ctx, waiting[1].id, Expect::Any, None).await.unwrap();
        let of_person = is("customer_id", "eq", person.to_string());
        crm.approvals().find(ctx, &Find::matching(of_person)).await.unwrap();
        self.call("approvals.expire");
        crm.approvals().expire(&self.system).await.unwrap();
    }
}
