//! `crm.timeline()`.

use chrono::Duration;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::Error;
use crate::contact::{Contact, ContactId};
use crate::context::Context;
use crate::criteria::{CriteriaError, Filter, Path, Test};
use crate::crm::Crm;
use crate::cursor::question_digest;
use crate::customer::{Customer, CustomerId};
use crate::directory::UserId;
use crate::log::ActorKind;
use crate::policy::Action;
use crate::query::visible_filter;
use crate::store::{
    Answer, Direction, Query, Read, TimelineAnchor, TimelineFilter, TimelinePosition, TimelineQuery,
    TimelineRow,
};
use crate::value::{Instant, Value, format_instant, parse_instant, truncate};

/// Whose timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// A customer's.
    Customer(CustomerId),
    /// A contact's.
    Contact(ContactId),
    /// That of any record of the catalog, by entity and id.
    Record(String, Uuid),
    /// What a user did.
    User(UserId),
    /// All of the tenant's.
    Tenant,
}

/// A question to a timeline.
///
/// ```
/// use crm_core::timeline::{Anchor, TimelineRequest};
/// let mut request = TimelineRequest::of(Anchor::Tenant);
/// request.filter.kinds = vec!["interaction".into()];
/// request.tags = vec!["urgent".into()];
/// assert_eq!(request.limit, 50);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineRequest {
    /// Whose.
    pub anchor: Anchor,
    /// Which entries. Without `from`, the last 90 days; without `until`, nothing that is yet to come.
    pub filter: TimelineFilter,
    /// Words that the entry's record is found by.
    pub text: Option<String>,
    /// Tags; the entry has all of them.
    pub tags: Vec<String>,
    /// From the very beginning instead of the last 90 days.
    pub all_time: bool,
    /// What is yet to come as well.
    pub include_future: bool,
    /// Newest first, or oldest first.
    pub direction: Direction,
    /// How many on a page, 1 to 1,000; 50 unless set.
    pub limit: usize,
    /// Where to go on: what the page before returned.
    pub cursor: Option<String>,
}

impl TimelineRequest {
    /// The newest 50 entries of the last 90 days.
    pub fn of(anchor: Anchor) -> Self {
        Self {
            anchor,
            filter: TimelineFilter::default(),
            text: None,
            tags: Vec::new(),
            all_time: false,
            include_future: false,
            direction: Direction::Descending,
            limit: 50,
            cursor: None,
        }
    }
}

/// A page of a timeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimelinePage {
    /// The pinned entries that meet the filter, at most 100: on the first page only, and never among `entries`.
    pub pinned: Vec<TimelineRow>,
    /// The entries in order of (instant, kind, id).
    pub entries: Vec<TimelineRow>,
    /// The cursor of the next page; `None` on the last.
    pub next: Option<String>,
}

const DEFAULT_DAYS: i64 = 90;
const LARGEST_PAGE: usize = 1_000;
const MOST_PINNED: usize = 100;

/// Timelines.
#[derive(Clone, Copy)]
pub struct Timelines<'a> {
    pub(super) crm: &'a Crm,
}

impl<'a> Timelines<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// A page: one round trip, at a cost that does not depend on how deep it is (SPEC TL-03).
    ///
    /// An entry that is there, with the same instant, visibility and pin, throughout a reading of all pages appears
    /// exactly once; one that is inserted behind the cursor appears when the reading starts again.
    #[tracing::instrument(level = "debug", name = "crm.timeline", skip_all)]
    pub async fn page(&self, ctx: &Context, request: &TimelineRequest) -> Result<TimelinePage, Error> {
        self.allow(ctx, &request.anchor)?;
        let asked = self.prepare(ctx, request)?;
        let mut reads = vec![Read::Timeline(asked.query.clone())];
        let anchor = anchor_record(self.crm, &request.anchor)?;
        if let Some((def, id)) = anchor {
            let filter =
                Filter::leaf(Path::system(def, crate::catalog::system::ID), Test::In(vec![Value::Id(id)]));
            let filter = filter.and(Filter::live(self.crm.store().catalog(), def));
            reads.push(Read::Find(Query::new(def, filter.and(visible_filter(def, &ctx.viewer())), 1)));
        }
        if request.cursor.is_none() && request.filter.pinned.is_none() {
            let mut pinned = asked.query.clone();
            pinned.filter.pinned = Some(true);
            pinned.limit = MOST_PINNED;
            reads.push(Read::Timeline(pinned));
        }
        let mut answers = self.crm.read(ctx, &reads).await?.into_iter();
        let mut page = TimelinePage::default();
        if let Some(Answer::Timeline(entries)) = answers.next() {
            page.entries = entries;
        }
        if let Some((def, id)) = anchor
            && !matches!(answers.next(), Some(Answer::Records(found)) if !found.is_empty())
        {
            return Err(Error::NotFound { entity: def.name, id });
        }
        if let Some(Answer::Timeline(pinned)) = answers.next() {
            page.pinned = pinned;
        }
        if page.entries.len() > request.limit {
            page.entries.truncate(request.limit);
            page.next = page.entries.last().map(|last| {
                let TimelinePosition { at, kind, entry_id, anchor_id } = last.position();
                let place = json!({
                    "after": [format_instant(at), kind, entry_id.to_string(), anchor_id.to_string()],
                    "from": asked.query.filter.from.map(format_instant),
                    "until": asked.query.filter.until.map(format_instant),
                });
                self.crm.cursors().sign(ctx.tenant, &asked.question, &place)
            });
        }
        Ok(page)
    }

    /// A customer reads their own timeline and no other, whatever the policy says.
    pub(super) fn allow(self, ctx: &Context, anchor: &Anchor) -> Result<(), Error> {
        self.crm.allow(ctx, Action::Read, "timeline")?;
        let own = ctx.actor.id.map(|id| Anchor::Customer(CustomerId(id)));
        if ctx.actor.kind == ActorKind::Customer && own.as_ref() != Some(anchor) {
            return Err(Error::Forbidden { action: Action::Read.code(), entity: "timeline" });
        }
        Ok(())
    }

    fn prepare(self, ctx: &Context, request: &TimelineRequest) -> Result<Asked, CriteriaError> {
        let refuse = |at: &str, why: String| CriteriaError { at: at.to_owned(), why };
        if request.limit == 0 || request.limit > LARGEST_PAGE {
            return Err(refuse("limit", format!("is {}; accepted are 1 to {LARGEST_PAGE}", request.limit)));
        }
        let catalog = self.crm.store().catalog();
        if let Some(unknown) = request.filter.kinds.iter().find(|kind| catalog.get(kind).is_none()) {
            let known: Vec<_> =
                catalog.entities().filter(|def| def.entry.is_some()).map(|def| def.name).collect();
            return Err(refuse("kinds", format!("{unknown:?} is none of {}", known.join(", "))));
        }
        let mut filter = request.filter.clone();
        let mut tokens: Vec<String> =
            request.text.iter().flat_map(|text| crate::format::tokens(text)).collect();
        if request.text.is_some() && tokens.is_empty() {
            return Err(refuse(
                "text",
                "has no word in it; search for at least one letter or digit".to_owned(),
            ));
        }
        tokens.extend(request.tags.iter().map(|tag| crate::command::tag_token(tag)));
        filter.tokens = tokens;
        let question = question_of(ctx, request);
        let now = truncate(self.crm.env().now());
        let after = match &request.cursor {
            None => {
                if filter.from.is_none() && !request.all_time {
                    filter.from = Some(now - Duration::days(DEFAULT_DAYS));
                }
                if filter.until.is_none() && !request.include_future {
                    filter.until = Some(now);
                }
                None
            }
            Some(cursor) => {
                let place = self.crm.cursors().verify(ctx.tenant, &question, cursor)?;
                let instant = |key: &str| place.get(key).and_then(Json::as_str).and_then(parse_instant);
                filter.from = instant("from");
                filter.until = instant("until");
                let position = position(&place);
                Some(position.ok_or_else(|| {
                    refuse("cursor", "is from another version; ask for the first page".to_owned())
                })?)
            }
        };
        if let (Some(from), Some(until)) = (request.filter.from, request.filter.until)
            && from > until
        {
            return Err(refuse("from", format!("{from} is after until, {until}; exchange the two")));
        }
        if filter.pinned.is_none() {
            filter.pinned = Some(false);
        }
        let anchor = match &request.anchor {
            Anchor::Customer(id) => TimelineAnchor::Records(vec![id.0]),
            Anchor::Contact(id) => TimelineAnchor::Records(vec![id.0]),
            Anchor::Record(_, id) => TimelineAnchor::Records(vec![*id]),
            Anchor::User(id) => TimelineAnchor::User(id.0),
            Anchor::Tenant => TimelineAnchor::Tenant,
        };
        let limit = request.limit + 1;
        let query = TimelineQuery {
            anchor,
            filter,
            viewer: ctx.viewer(),
            direction: request.direction,
            after,
            limit,
        };
        Ok(Asked { query, question })
    }
}

struct Asked {
    query: TimelineQuery,
    question: String,
}

/// The record that the anchor is, if it is one.
pub(super) fn anchor_record(
    crm: &Crm,
    anchor: &Anchor,
) -> Result<Option<(&'static crate::catalog::EntityDef, Uuid)>, CriteriaError> {
    Ok(match anchor {
        Anchor::Customer(id) => Some((Customer::def(), id.0)),
        Anchor::Contact(id) => Some((Contact::def(), id.0)),
        Anchor::Record(entity, id) => {
            let def = crm.store().catalog().get(entity).ok_or_else(|| CriteriaError {
                at: "anchor".to_owned(),
                why: format!("{entity:?} is not an entity of the catalog"),
            })?;
            Some((def, *id))
        }
        Anchor::User(_) | Anchor::Tenant => None,
    })
}

/// Everything that must be the same on the next page.
fn question_of(ctx: &Context, request: &TimelineRequest) -> String {
    let filter = &request.filter;
    let viewer = ctx.viewer();
    let ids = |ids: &[Uuid]| ids.iter().map(ToString::to_string).collect::<Json>();
    let instant = |at: Option<Instant>| at.map(format_instant);
    question_digest(&json!({
        "anchor": format!("{:?}", request.anchor),
        "kinds": filter.kinds,
        "subtypes": filter.subtypes,
        "sources": filter.sources,
        "actors": ids(&filter.actors),
        "teams": ids(&filter.teams),
        "visibilities": filter.visibilities,
        "sentiments": filter.sentiments,
        "from": instant(filter.from),
        "until": instant(filter.until),
        "pinned": filter.pinned,
        "text": request.text,
        "tags": request.tags,
        "all_time": request.all_time,
        "include_future": request.include_future,
        "newest_first": request.direction == Direction::Descending,
        "user": viewer.user.map(|id| id.to_string()),
        "viewer_teams": ids(&viewer.teams),
        "sees": [viewer.sees_all, viewer.external_only],
    }))
}

fn position(place: &Json) -> Option<TimelinePosition> {
    let [at, kind, entry_id, anchor_id] = place.get("after")?.as_array()?.as_slice() else { return None };
    Some(TimelinePosition {
        at: parse_instant(at.as_str()?)?,
        kind: kind.as_str()?.to_owned(),
        entry_id: entry_id.as_str()?.parse().ok()?,
        anchor_id: anchor_id.as_str()?.parse().ok()?,
    })
}
