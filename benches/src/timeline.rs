//! The first page of a long timeline beside one that lies deep in it.

use std::time::Instant as Clock;

use crm_core::Crm;
use crm_core::customer::Customer;
use crm_core::store::{
    Answer, Direction, Read, TimelineAnchor, TimelineFilter, TimelinePosition, TimelineQuery,
};
use crm_core::timeline::{Anchor, TimelineRequest};
use sqlx::AssertSqlSafe;

use crate::bed::{Bed, Kind, TENANT, ctx};
use crate::fill::fill;
use crate::measure::Times;
use crate::options::Options;
use crate::report::{Aim, Report};
use crate::{Failure, Outcome};

const PART: &str = "timeline";
const PAGE: usize = 50;
/// The page size at which the way to the deep page is walked.
const STRIDE: usize = 1_000;

/// Measures it.
pub(crate) async fn run(bed: &Bed, options: &Options, report: &mut Report) -> Outcome {
    let pages = options.size(10_000, 2_000);
    let entries = pages * PAGE + 10_000;
    for kind in bed.all("timeline").await? {
        of(bed, kind, pages, entries, options, report).await?;
    }
    report.note(
        PART,
        format!(
            "One customer with {entries} entries. The first line of each store asks the store for the same page of the \
             timeline twice, from the top and behind a position {} entries down; its ratio is what the aim bounds. The \
             second is `crm.timeline().page` with everything around it; its first page brings the pinned entries as well, \
             which later ones need not. Entries lie in the table in the order of time, as they do where they are logged as \
             they happen.",
            pages * PAGE
        ),
    );
    Ok(())
}

async fn of(
    bed: &Bed,
    kind: Kind,
    pages: usize,
    entries: usize,
    options: &Options,
    report: &mut Report,
) -> Outcome {
    let crm = kind.crm()?;
    let new = Customer { display_name: "Long Story Ltd".to_owned(), ..Customer::default() };
    let customer = crm.customers().create(&ctx(), new).await?.value;
    fill(bed, &kind, customer.id, entries).await?;
    let mut request = TimelineRequest::of(Anchor::Customer(customer.id));
    request.all_time = true;
    let (cursor, position) = walk(&crm, &request, pages * PAGE).await?;
    let query = TimelineQuery {
        anchor: TimelineAnchor::Records(vec![customer.id.0]),
        filter: TimelineFilter { pinned: Some(false), ..TimelineFilter::default() },
        viewer: ctx().viewer(),
        direction: Direction::Descending,
        after: None,
        limit: PAGE + 1,
    };
    let first = [Read::Timeline(query.clone())];
    let deep = [Read::Timeline(TimelineQuery { after: Some(position.clone()), ..query })];
    let deep_request = TimelineRequest { cursor: Some(cursor), ..request.clone() };
    let mut times: [Times; 4] = std::array::from_fn(|_| Times::default());
    for round in 0..options.size(1_000, 60) {
        // Each page comes first in every other round, so that neither always follows what was done before.
        let places = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for place in places {
            let started = Clock::now();
            let answer = crm.store().read(TENANT, [&first, &deep][place]).await?;
            times[place].push(started.elapsed());
            match answer.first() {
                Some(Answer::Timeline(rows)) if rows.len() == PAGE + 1 => {}
                _ => return Err("a page is not full".into()),
            }
        }
        for place in places {
            let started = Clock::now();
            let page = crm.timeline().page(&ctx(), [&request, &deep_request][place]).await?;
            times[2 + place].push(started.elapsed());
            if page.entries.len() != PAGE {
                return Err("a page is not full".into());
            }
        }
    }
    let [first, deep, first_page, deep_page] = times.map(|times| times.median());
    let name = kind.name();
    let aim = Aim::AtMost(if matches!(kind, Kind::Memory(_)) { 3.0 } else { 1.2 });
    report.cost(PART, format!("{name}: page {pages}, the store"), deep, ("page 1", first), Some(aim));
    report.cost(PART, format!("{name}: page {pages}, the facade"), deep_page, ("page 1", first_page), None);
    if let Kind::Postgres { schema, walled: false, .. } = &kind {
        let offset = by_offset(bed, schema, pages * PAGE).await?;
        report.cost(
            PART,
            format!("{name}: page {pages} by OFFSET, by hand"),
            offset,
            ("page 1", first),
            None,
        );
    }
    Ok(())
}

/// Reads to the page after so many entries: its cursor, and the last entry before it.
async fn walk(crm: &Crm, request: &TimelineRequest, entries: usize) -> Outcome<(String, TimelinePosition)> {
    let mut request = TimelineRequest { limit: STRIDE, ..request.clone() };
    let short = || Failure::from("the timeline ended too early");
    for step in 1.. {
        let page = crm.timeline().page(&ctx(), &request).await?;
        let next = page.next.ok_or_else(short)?;
        if step * STRIDE >= entries {
            let last = page.entries.last().ok_or_else(short)?;
            return Ok((next, last.position()));
        }
        request.cursor = Some(next);
    }
    Err(short())
}

/// What somebody pays who skips instead of seeking.
async fn by_offset(bed: &Bed, schema: &str, skip: usize) -> Outcome<f64> {
    let mut connection = bed.admin().await?;
    let text = format!(
        "SELECT * FROM {schema}.crm_timeline WHERE tenant = $1 AND NOT pinned ORDER BY at DESC, kind DESC, entry_id DESC \
         LIMIT 50 OFFSET {skip}"
    );
    let mut times = Times::default();
    for _ in 0..5 {
        let started = Clock::now();
        sqlx::query(AssertSqlSafe(text.clone())).bind(TENANT.0).fetch_all(&mut connection).await?;
        times.push(started.elapsed());
    }
    Ok(times.median())
}
