//! `crm.segments()`.

use serde_json::{Value as Json, json};

use crate::catalog::{Entity, system};
use crate::command::Error;
use crate::context::Context;
use crate::criteria::{Criteria, Filter, Path, Scope, Test};
use crate::crm::{Crm, Done};
use crate::customer::{Customer, CustomerId, Expect};
use crate::query::{Find, Page, visible_filter};
use crate::segment::{
    AddSegmentMembers, CountSegment, CreateSegment, DeleteSegment, Judged, RemoveSegmentMembers, Segment,
    SegmentId, SegmentMember, SegmentRefusal, UpdateSegment,
};
use crate::store::{Answer, Query, Read};
use crate::value::{Value, truncate};

/// Segments: create, read, change, delete, find; who is in one, and which ones a customer is in.
#[derive(Clone, Copy)]
pub struct Segments<'a> {
    crm: &'a Crm,
}

/// What criteria would choose.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentPreview {
    /// How many customers meet the criteria.
    pub count: i64,
    /// The first of them, in order of their ids.
    pub page: Page<Customer>,
}

type Outcome<T> = Result<Done<T>, Error<SegmentRefusal>>;

const MOST_COUNTS: usize = 8;
const LARGEST_PAGE: usize = crate::store::MAX_LIMIT - 1;

impl<'a> Segments<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Creates a segment: a dynamic one has criteria, which are checked against the customer, a static one has none.
    /// Its name is its own among live segments, whatever the case of its letters.
    pub async fn create(&self, ctx: &Context, segment: Segment) -> Outcome<Segment> {
        self.crm.run(ctx, &CreateSegment { segment }).await
    }

    /// Changes a segment's name, description, criteria or activity by a function over it, which is called again if
    /// others were faster. Counting does not make an expected version old.
    pub async fn update(
        &self,
        ctx: &Context,
        id: SegmentId,
        expect: Expect,
        change: impl Fn(&mut Segment) + Send + Sync,
    ) -> Outcome<Segment> {
        self.crm.run(ctx, &UpdateSegment { id, expect, change: &change }).await
    }

    /// Deletes a segment. Nobody is a member of it any more, and its name is free.
    pub async fn delete(&self, ctx: &Context, id: SegmentId, expect: Expect) -> Outcome<Segment> {
        self.crm.run(ctx, &DeleteSegment { id, expect }).await
    }

    /// The segment.
    pub async fn get(&self, ctx: &Context, id: SegmentId) -> Result<Segment, Error> {
        self.crm.get(ctx, id).await
    }

    /// A page of the segments that meet criteria.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Segment>, Error> {
        self.crm.find(ctx, find).await
    }

    /// What criteria would choose now, before anything is saved: how many, and the first `limit` of them, 1 to 9,999
    /// (SPEC LC-10). Count and page are of one snapshot.
    pub async fn preview(
        &self,
        ctx: &Context,
        criteria: Json,
        limit: usize,
    ) -> Result<SegmentPreview, Error> {
        let find = Find::matching(criteria).limit(limit);
        let (page, count) = self.crm.find_and_count::<Customer>(ctx, &find).await?;
        Ok(SegmentPreview { count, page })
    }

    /// How many customers are in the segment now, active or not.
    pub async fn count(&self, ctx: &Context, segment: SegmentId) -> Result<i64, Error> {
        self.count_members(ctx, &self.get(ctx, segment).await?).await
    }

    /// A page of the customers that are in the segment now, active or not, in order of their ids; `limit` is 1 to 9,999,
    /// `after` what the page before returned as next. A cursor of a dynamic segment ends with a change of its criteria.
    pub async fn members(
        &self,
        ctx: &Context,
        segment: SegmentId,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Page<Customer>, Error> {
        let segment = self.get(ctx, segment).await?;
        let cursor = after.map(str::to_owned);
        if let Some(criteria) = &segment.criteria {
            let find = Find { cursor, ..Find::matching(criteria.clone()).limit(limit) };
            return self.crm.find(ctx, &find).await;
        }
        let find =
            Find { cursor, ..Find::matching(of_segment(segment.id)).ascending("customer_id").limit(limit) };
        let page = self.crm.find::<SegmentMember>(ctx, &find).await?;
        let ids: Vec<CustomerId> = page.items.iter().map(|member| member.customer_id).collect();
        Ok(Page { items: self.crm.get_many(ctx, &ids).await?, next: page.next })
    }

    /// Whether the customer is in the segment now, active or not.
    pub async fn contains(
        &self,
        ctx: &Context,
        segment: SegmentId,
        customer: CustomerId,
    ) -> Result<bool, Error> {
        let segment = self.get(ctx, segment).await?;
        self.crm.get::<Customer>(ctx, customer).await?;
        let Some(criteria) = &segment.criteria else {
            let of = json!({ "all": [
                of_segment(segment.id),
                { "field": "customer_id", "operator": "eq", "value": customer },
            ] });
            return Ok(self.crm.count::<SegmentMember>(ctx, of).await? > 0);
        };
        let def = Customer::def();
        let catalog = self.crm.store().catalog();
        let zone = self.crm.settings_of(ctx).await?.tz();
        let criteria = Criteria::parse(criteria, def, &Scope::new(catalog, zone))?;
        let filter = Filter::leaf(Path::system(def, system::ID), Test::In(vec![Value::Id(customer.0)]))
            .and(criteria.at(truncate(self.crm.env().now())))
            .and(Filter::live(catalog, def))
            .and(visible_filter(def, &ctx.viewer()));
        let answers = self.crm.read(ctx, &[Read::Find(Query::new(def, filter, 1))]).await?;
        Ok(matches!(answers.as_slice(), [Answer::Records(found)] if !found.is_empty()))
    }

    /// Counts the customers that are in the segment now and keeps the count with the segment. Editors at the same time
    /// are not disturbed: when the criteria were changed meanwhile, it counts again.
    pub async fn refresh(&self, ctx: &Context, segment: SegmentId) -> Outcome<Segment> {
        let mut counts = 0;
        loop {
            let stored = self.get(ctx, segment).await.map_err(Error::widen)?;
            let at = truncate(self.crm.env().now());
            let count = self.count_members(ctx, &stored).await.map_err(Error::widen)?;
            let command = CountSegment { id: segment, criteria: stored.criteria, count, at };
            counts += 1;
            match self.crm.run(ctx, &command).await {
                Err(Error::Refused(SegmentRefusal::Edited(_))) if counts < MOST_COUNTS => {}
                outcome => return outcome,
            }
        }
    }

    /// Adds live customers to a static segment, all or none; gives the new memberships. At most
    /// [`MAX_MEMBERS_AT_ONCE`](crate::segment::MAX_MEMBERS_AT_ONCE); those that are members already stay it.
    pub async fn add(
        &self,
        ctx: &Context,
        segment: SegmentId,
        customers: &[CustomerId],
    ) -> Outcome<Vec<SegmentMember>> {
        self.crm.run(ctx, &AddSegmentMembers { segment, customers: customers.to_vec() }).await
    }

    /// Removes live customers from a static segment, all or none; gives the memberships that ended. At most
    /// [`MAX_MEMBERS_AT_ONCE`](crate::segment::MAX_MEMBERS_AT_ONCE); those that are no members are left alone.
    pub async fn remove(
        &self,
        ctx: &Context,
        segment: SegmentId,
        customers: &[CustomerId],
    ) -> Outcome<Vec<SegmentMember>> {
        self.crm.run(ctx, &RemoveSegmentMembers { segment, customers: customers.to_vec() }).await
    }

    /// The active segments that the customer is in now, by name. Criteria are judged here, on the customer and the
    /// records that their paths lead to: one round for each link of the longest path, however many segments there are
    /// (up to 9,999 are read at once).
    pub async fn of_customer(&self, ctx: &Context, customer: CustomerId) -> Result<Vec<Segment>, Error> {
        let record = self.crm.get::<Customer>(ctx, customer).await?.to_record();
        let active = json!({ "field": "is_active", "operator": "eq", "value": true });
        let segments: Vec<Segment> = self.every(ctx, Find::matching(active).ascending("name")).await?;
        let of = json!({ "field": "customer_id", "operator": "eq", "value": customer });
        let memberships: Vec<SegmentMember> = self.every(ctx, Find::matching(of)).await?;
        let judged = Judged::new(self.crm, segments, &memberships, self.crm.settings_of(ctx).await?.tz())?;
        let links = self.crm.links_of(ctx, &record, &judged.paths()).await?;
        Ok(judged.of(&record, &links, truncate(self.crm.env().now())))
    }

    async fn count_members(&self, ctx: &Context, segment: &Segment) -> Result<i64, Error> {
        match &segment.criteria {
            Some(criteria) => self.crm.count::<Customer>(ctx, criteria.clone()).await,
            None => self.crm.count::<SegmentMember>(ctx, of_segment(segment.id)).await,
        }
    }

    /// All records that a question finds, in pages as large as there are.
    async fn every<E: Entity>(&self, ctx: &Context, find: Find) -> Result<Vec<E>, Error> {
        let mut find = find.limit(LARGEST_PAGE);
        let mut found = Vec::new();
        loop {
            let mut page = self.crm.find::<E>(ctx, &find).await?;
            found.append(&mut page.items);
            match page.next {
                Some(next) => find.cursor = Some(next),
                None => return Ok(found),
            }
        }
    }
}

fn of_segment(segment: SegmentId) -> Json {
    json!({ "field": "segment_id", "operator": "eq", "value": segment })
}
