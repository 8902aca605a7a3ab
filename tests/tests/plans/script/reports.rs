//! What is asked about customers, and what ends.

use crm_core::customer::Customer;
use crm_core::directory::UserId;
use crm_core::score::{Recalculation, ScoreType, ScoringModel, Which};
use crm_core::segment::Segment;
use crm_core::store::Direction;
use crm_core::sweep::SweepAction;
use crm_core::timeline::{Anchor, TimelineRequest};
use crm_core::{Expect, Find};

use super::{ADA, BOB, EVE, Family, Work, is, logins};

impl Work {
    pub(super) async fn scores(&self, family: &Family) {
        let (crm, ctx, of) = (&self.crm, &self.ada, ScoreType::Health);
        self.call("scores.put_model");
        crm.scores().put_model(ctx, ScoringModel::new("Simple", of, logins(1))).await.unwrap();
        crm.scores().models(ctx).await.unwrap();
        self.call("scores.record");
        for (customer, number) in [(family.firm, 20), (family.branch, 60)] {
            crm.scores().record(ctx, customer, of, logins(number)).await.unwrap();
        }
        self.call("scores.recalculate");
        crm.scores().recalculate(&self.system, &Recalculation::of(of)).await.unwrap();
        let of_bob = Which::Matching(is("owner_id", "eq", BOB.to_string()));
        let asked = Recalculation { which: of_bob, ..Recalculation::of(of) };
        crm.scores().recalculate(&self.system, &asked).await.unwrap();
        self.call("scores.of_customer");
        crm.scores().of_customer(ctx, family.firm).await.unwrap();
        crm.scores().trend(ctx, family.firm, of).await.unwrap();
        self.call("scores.at_risk");
        let page = crm.scores().at_risk(ctx, of, 50, 1, None).await.unwrap();
        crm.scores().at_risk(ctx, of, 50, 1, page.next.as_deref()).await.unwrap();
        self.call("scores.stale");
        let page = crm.scores().stale(ctx, of, 1, None).await.unwrap();
        crm.scores().stale(ctx, of, 1, page.next.as_deref()).await.unwrap();
        self.call("scores.distribution");
        crm.scores().distribution(ctx, of).await.unwrap();
        self.call("scores.find");
        crm.scores()
            .find(ctx, &Find::matching(is("customer_id", "eq", family.firm.to_string())))
            .await
            .unwrap();
    }

    pub(super) async fn segments(&self, family: &Family) {
        let (crm, ctx) = (&self.crm, &self.ada);
        self.call("segments");
        let of_bob = is("owner_id", "eq", BOB.to_string());
        let fixed = crm.segments().create(ctx, Segment::fixed("By hand")).await.unwrap().id;
        let dynamic = crm.segments().create(ctx, Segment::dynamic("Bob's", of_bob.clone())).await.unwrap().id;
        crm.segments()
            .update(ctx, fixed, Expect::Any, |of| of.description = Some("Few".to_owned()))
            .await
            .unwrap();
        let all = [family.firm, family.branch, family.person];
        crm.segments().add(ctx, fixed, &all).await.unwrap();
        crm.segments().remove(ctx, fixed, &all[2..]).await.unwrap();
        crm.segments().find(ctx, &Find::all().ascending("name")).await.unwrap();
        self.call("segments.members");
        for segment in [fixed, dynamic] {
            let page = crm.segments().members(ctx, segment, 1, None).await.unwrap();
            crm.segments().members(ctx, segment, 1, page.next.as_deref()).await.unwrap();
        }
        self.call("segments.contains");
        for segment in [fixed, dynamic] {
            crm.segments().contains(ctx, segment, family.firm).await.unwrap();
        }
        self.call("segments.of_customer");
        crm.segments().of_customer(ctx, family.firm).await.unwrap();
        self.call("segments.count");
        crm.segments().refresh(ctx, fixed).await.unwrap();
        crm.segments().refresh(ctx, dynamic).await.unwrap();
        self.call("segments.preview");
        crm.segments().preview(ctx, is("is_vip", "eq", true), 50).await.unwrap();
        self.call("segments.delete");
        let gone = crm.segments().create(ctx, Segment::fixed("Gone")).await.unwrap().id;
        crm.segments().delete(ctx, gone, Expect::Any).await.unwrap();
    }

    pub(super) async fn timelines(&self, family: &Family) {
        let (crm, ctx) = (&self.crm, &self.ada);
        let jo = crm.contacts().of_customer(ctx, family.firm).await.unwrap()[0].id;
        let anchors = [
            ("timeline.page of a customer", Anchor::Customer(family.firm)),
            ("timeline.page of a contact", Anchor::Contact(jo)),
            ("timeline.page of a user", Anchor::User(UserId(ADA))),
            ("timeline.page of the tenant", Anchor::Tenant),
        ];
        for (call, anchor) in anchors {
            self.call(call);
            let first = TimelineRequest { limit: 1, ..TimelineRequest::of(anchor) };
            let next = crm.timeline().page(ctx, &first).await.unwrap().next;
            assert!(next.is_some(), "{call}");
            let mut all = vec![TimelineRequest { cursor: next, ..first.clone() }];
            let oldest = TimelineRequest { direction: Direction::Ascending, ..first.clone() };
            all.push(TimelineRequest { all_time: true, include_future: true, ..oldest });
            all.push(TimelineRequest { text: Some("offer".to_owned()), ..first.clone() });
            all.push(TimelineRequest { tags: vec!["urgent".to_owned()], ..first.clone() });
            let mut filtered = first.clone();
            filtered.filter.kinds = vec!["interaction".to_owned(), "note".to_owned()];
            all.push(filtered);
            let mut filtered = first.clone();
            filtered.filter.actors = vec![ADA];
            all.push(filtered);
            let mut filtered = first;
            filtered.filter.pinned = Some(true);
            all.push(filtered);
            for request in all {
                crm.timeline().page(ctx, &request).await.unwrap();
            }
        }
    }

    pub(super) async fn profiles_and_log(&self, family: &Family) {
        let (crm, ctx, firm) = (&self.crm, &self.ada, family.firm);
        self.call("profiles.of");
        crm.profiles().of(ctx, firm).await.unwrap();
        crm.profiles().of(ctx, family.branch).await.unwrap();
        self.call("profiles.statistics");
        crm.profiles().statistics(ctx, firm).await.unwrap();
        self.call("log");
        let rows = crm.log().next(ctx, "reader", 100).await.unwrap();
        crm.log().acknowledge(ctx, "reader", rows.last().unwrap().number.unwrap()).await.unwrap();
        crm.log().history::<Customer>(ctx, firm).await.unwrap();
        crm.log().as_of::<Customer>(ctx, firm, self.now).await.unwrap();
        crm.log().verify(ctx).await.unwrap().unwrap();
        self.call("expire_keys");
        crm.expire_keys(ctx).await.unwrap();
    }

    /// Sweeps, and a user who leaves.
    pub(super) async fn ends(&self) {
        let (crm, ctx) = (&self.crm, &self.system);
        for (entity, criteria, action) in [
            ("interaction", is("subject", "eq", "Wrong"), SweepAction::Delete),
            ("customer", is("display_name", "eq", "Nobody"), SweepAction::Mask),
            ("note", is("title", "eq", "Nothing"), SweepAction::Purge),
        ] {
            self.call("sweeps");
            let sweep =
                crm.sweeps().plan(ctx, entity, Some(criteria), action, "It is time").await.unwrap().id;
            crm.sweeps().run(ctx, sweep).await.unwrap();
        }
        self.call("users.deactivate");
        crm.users().deactivate(ctx, UserId(EVE)).await.unwrap();
        self.call("users.handovers");
        crm.users().handovers(ctx).await.unwrap();
    }
}
