//! `crm.profiles()`.

use std::collections::BTreeMap;

use chrono::Duration;
use futures_util::future::{join, join_all};
use rust_decimal::Decimal;
use serde_json::Value as Json;

use crate::account::Account;
use crate::address::Address;
use crate::catalog::{Entity, EntityDef};
use crate::command::{Error, Loaded};
use crate::contact::{Contact, ContactRole};
use crate::context::Context;
use crate::criteria::{Filter, Path, Test};
use crate::crm::Crm;
use crate::customer::{Customer, CustomerId, CustomerType};
use crate::directory::User;
use crate::interaction::Interaction;
use crate::invoice::{Invoice, InvoiceStatus};
use crate::journey::Milestone;
use crate::lifecycle::{CustomerLifecycle, LifecycleStage};
use crate::policy::Action;
use crate::profile::questions::Questions;
use crate::profile::{
    Customer360, Financial, PanelError, Person, ProfileStatistics, ProfileWarning, SentimentScore, Touches,
};
use crate::score::{CurrentScore, Score};
use crate::segment::{Judged, Segment, SegmentMember};
use crate::store::{Direction, MAX_LIMIT, Measure, Read};
use crate::tenant::Settings;
use crate::value::{Instant, Value, truncate};

/// Customers as a whole.
#[derive(Clone, Copy)]
pub struct Profiles<'a> {
    crm: &'a Crm,
}

impl<'a> Profiles<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Everything that is known of a customer, as far as the actor may see it. Asks the store twice, and once more for
    /// each link beyond the first of the longest path in the criteria of active segments; the
    /// [`Panel`](crate::profile::Panel)s are asked all at once.
    #[tracing::instrument(level = "debug", name = "crm.customer_360", skip_all)]
    pub async fn of(&self, ctx: &Context, customer: CustomerId) -> Result<Customer360, Error> {
        let crm = self.crm;
        crm.allow(ctx, Action::Read, Customer::def().name)?;
        let now = truncate(crm.env().now());
        let mut asked = Questions::about(crm, ctx, customer);
        let found = asked.ask(Read::Find(crm.readable(ctx, Customer::def(), vec![Value::Id(customer.0)])));
        let settings = asked.ask(Read::Get { def: Settings::def(), ids: vec![ctx.tenant.0] });
        let account = asked.get(Account::def(), customer.0);
        let lifecycle = asked.get(CustomerLifecycle::def(), customer.0);
        let first = [("is_default", Direction::Descending), ("address_type", Direction::Ascending)];
        let addresses = asked.find::<Address>(None, &first, 100);
        let primary = [
            ("is_primary", Direction::Descending),
            ("last_name", Direction::Ascending),
            ("first_name", Direction::Ascending),
        ];
        let contacts = asked.find::<Contact>(None, &primary, 1_000);
        let roles = asked.find::<ContactRole>(None, &[("created_at", Direction::Ascending)], 1_000);
        let milestones = asked.find::<Milestone>(None, &[("occurred_at", Direction::Descending)], 20);
        let scores = asked.find::<Score>(None, &[("score_type", Direction::Ascending)], 100);
        let memberships = asked.find::<SegmentMember>(None, &[], MAX_LIMIT);
        let judged = asked.allowed(Segment::def()).then(Judged::question).flatten();
        let segments = judged.map(|read| asked.ask(read));
        let (shows_owner, shows_stage) = (asked.allowed(User::def()), asked.allowed(LifecycleStage::def()));
        let recent = asked.find::<Invoice>(not_draft(), &[("issued_at", Direction::Descending)], 5);
        let sum = |name| Path::own(Invoice::def(), name).map(Measure::Sum);
        let due = Path::own(Invoice::def(), "due_on").map(Measure::Min);
        let open = asked.group::<Invoice>(open(), &["currency"], [sum("total"), sum("amount_paid"), due]);
        let newest = [("occurred_at", Direction::Descending)];
        let latest = asked.find::<Interaction>(between(None, now), &newest, 5);
        let since = between(Some(now - Duration::days(30)), now);
        let in_30_days = asked.group::<Interaction>(since, &[], []);

        let mut answers = asked.answers().await?;
        let missing = || Error::NotFound { entity: Customer::def().name, id: customer.0 };
        let customer: Customer = answers.one(found)?.ok_or_else(missing)?;
        let settings = answers.one(settings)?.unwrap_or_else(|| Settings::of(ctx.tenant));
        let (account, lifecycle) = (answers.one::<Account>(account)?, answers.one(lifecycle)?);
        let roles: Vec<ContactRole> = answers.all(roles)?;
        let memberships: Vec<SegmentMember> = answers.all(memberships)?;
        let segments: Vec<Segment> =
            segments.map(|place| answers.all(place)).transpose()?.unwrap_or_default();
        let judged = Judged::new(crm, segments, &memberships, settings.tz())?;

        let linked = self.linked(ctx, &customer, account.as_ref(), lifecycle.as_ref(), &roles, &judged);
        let (panels, linked) = join(self.panels(ctx, &customer), linked).await;
        let (links, foreign) = linked?;
        let record = customer.to_record();
        let own = answers.all(contacts)?.into_iter().map(|contact| Person { contact, role: None });
        let people: Vec<Person> = own.chain(foreign).collect();
        let lonely = customer.r#type == CustomerType::Organization && people.is_empty();
        let warned = lonely && !answers.withheld.contains(&Contact::def().name);
        let today = now.with_timezone(&settings.tz()).date_naive();
        let latest: Vec<Interaction> = answers.all(latest)?;
        // Segments may have been judged by what the actor may not read.
        let owner = customer.owner_id.filter(|_| shows_owner);
        let current = lifecycle.as_ref().filter(|_| shows_stage);
        let stage = |of: &CustomerLifecycle| links.live::<LifecycleStage>(of.current_stage_id);
        Ok(Customer360 {
            owner: owner.map(|owner| links.live::<User>(owner)).transpose()?.flatten(),
            account,
            addresses: answers.all(addresses)?,
            people,
            stage: current.map(stage).transpose()?.flatten(),
            lifecycle,
            scores: answers.all(scores)?.into_iter().map(|score| CurrentScore::at(now, score)).collect(),
            milestones: answers.all(milestones)?,
            segments: judged.of(&record, &links, now),
            financial: Financial::of(answers.all(recent)?, &answers.groups(open)?, today),
            touches: Touches {
                last_at: latest.first().map(|last| last.occurred_at),
                last_30_days: count_of(&answers.groups(in_30_days)?),
                latest,
            },
            panels,
            warnings: warned.then_some(ProfileWarning::NoContacts).into_iter().collect(),
            withheld: std::mem::take(&mut answers.withheld),
            as_of: now,
            customer,
        })
    }

    /// What a customer has bought, and how one was in touch with it, as far as the actor sees it. Asks the store once.
    #[tracing::instrument(level = "debug", name = "crm.profile_statistics", skip_all)]
    pub async fn statistics(&self, ctx: &Context, customer: CustomerId) -> Result<ProfileStatistics, Error> {
        let crm = self.crm;
        crm.allow(ctx, Action::Read, Customer::def().name)?;
        let now = truncate(crm.env().now());
        let def = Interaction::def();
        let mut asked = Questions::about(crm, ctx, customer);
        let found = asked.ask(Read::Find(crm.readable(ctx, Customer::def(), vec![Value::Id(customer.0)])));
        let lifecycle = asked.get(CustomerLifecycle::def(), customer.0);
        let at = || Path::own(def, "occurred_at");
        let all = asked.group::<Interaction>(None, &[], [at().map(Measure::Min), at().map(Measure::Max)]);
        let judged = asked.group::<Interaction>(None, &["sentiment"], []);
        let ago = |days| now - Duration::days(days);
        let recent = asked.group::<Interaction>(between(Some(ago(90)), now), &["sentiment"], []);
        let before = asked.group::<Interaction>(between(Some(ago(180)), ago(90)), &["sentiment"], []);
        let mut answers = asked.answers().await?;
        let missing = || Error::NotFound { entity: Customer::def().name, id: customer.0 };
        answers.one::<Customer>(found)?.ok_or_else(missing)?;
        let mut statistics = ProfileStatistics::default();
        if let Some(lifecycle) = answers.one(lifecycle)? {
            statistics.add_purchases(&lifecycle);
        }
        statistics.add_interactions(&answers.groups(all)?);
        statistics.sentiment = SentimentScore::of(&answers.groups(judged)?);
        let recent = SentimentScore::of(&answers.groups(recent)?);
        let before = SentimentScore::of(&answers.groups(before)?);
        statistics.sentiment_trend = recent.zip(before).map(|(recent, before)| recent.since(before));
        Ok(statistics)
    }

    /// What the customer and its records lead to: owner, stage, people of other customers, and whatever the segments'
    /// criteria ask about.
    async fn linked(
        &self,
        ctx: &Context,
        customer: &Customer,
        account: Option<&Account>,
        lifecycle: Option<&CustomerLifecycle>,
        roles: &[ContactRole],
        judged: &Judged,
    ) -> Result<(Loaded, Vec<Person>), Error> {
        let readable = |def: &'static EntityDef| self.crm.allow(ctx, Action::Read, def.name).is_ok();
        // What is withheld is not known here, but there: segments are judged by it as they are elsewhere.
        let mut known = Loaded::default();
        let of = [
            (Account::def(), account.map(Entity::to_record)),
            (CustomerLifecycle::def(), lifecycle.map(Entity::to_record)),
        ];
        for (def, found) in of.into_iter().filter(|(def, _)| readable(def)) {
            known.add_records(def, &[customer.id.0], found.into_iter().collect());
        }
        let shown: [(&'static EntityDef, Option<_>); 2] = [
            (User::def(), customer.owner_id.map(|owner| owner.0)),
            (LifecycleStage::def(), lifecycle.map(|of| of.current_stage_id.0)),
        ];
        let shown = shown.into_iter().filter(|(def, _)| readable(def));
        let extra: Vec<_> = shown.filter_map(|(def, id)| Some((def, id?))).collect();
        let foreign = roles.iter().map(|role| Value::Id(role.contact_id.0)).collect();
        let people = (!roles.is_empty() && readable(Contact::def()))
            .then(|| self.crm.readable(ctx, Contact::def(), foreign));
        let paths = judged.paths();
        let (links, people) =
            self.crm.links_beside(ctx, &customer.to_record(), &paths, known, extra, people).await?;
        let named = people.iter().map(Contact::from_record).collect::<Result<Vec<_>, _>>()?;
        let role = |contact: &Contact| roles.iter().find(|role| role.contact_id == contact.id);
        let person = |contact: Contact| Person { role: role(&contact).map(|of| of.role.clone()), contact };
        Ok((links, named.into_iter().map(person).collect()))
    }

    async fn panels(&self, ctx: &Context, customer: &Customer) -> BTreeMap<String, Result<Json, PanelError>> {
        let shown = self
            .crm
            .panels()
            .iter()
            .map(async |panel| (panel.name().to_owned(), panel.show(ctx, customer).await));
        join_all(shown).await.into_iter().collect()
    }
}

fn count_of(groups: &[crate::store::Group]) -> i64 {
    match groups.first().and_then(|group| group.measures.first()) {
        Some(Value::Int(count)) => *count,
        _ => 0,
    }
}

/// Interactions after the one instant, up to the other.
fn between(after: Option<Instant>, until: Instant) -> Option<Filter> {
    let at = |test| Path::own(Interaction::def(), "occurred_at").map(|path| Filter::leaf(path, test));
    let until = at(Test::Le(Value::Instant(until)))?;
    match after {
        Some(after) => Some(until.and(at(Test::Gt(Value::Instant(after)))?)),
        None => Some(until),
    }
}

fn has_status(statuses: &[InvoiceStatus]) -> Option<Filter> {
    let codes = statuses.iter().map(|status| Value::Text(status.code().to_owned())).collect();
    Path::own(Invoice::def(), "status").map(|path| Filter::leaf(path, Test::In(codes)))
}

/// Invoices of more than nothing that are still to be paid.
fn open() -> Option<Filter> {
    let total = Path::own(Invoice::def(), "total")?;
    let more = Filter::leaf(total, Test::Gt(Value::Decimal(Decimal::ZERO)));
    has_status(&[InvoiceStatus::Issued, InvoiceStatus::PartlyPaid]).map(|open| open.and(more))
}

fn not_draft() -> Option<Filter> {
    has_status(&[InvoiceStatus::Draft]).map(|draft| Filter::Not(Box::new(draft)))
}
