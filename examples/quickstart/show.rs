//! What a service can ask, printed for a person.

use std::io::Write;

use crm_core::criteria::CriteriaError;
use crm_core::lifecycle::CustomerLifecycle;
use crm_core::profile::Customer360;
use crm_core::score::{CurrentScore, ScoreType};
use crm_core::store::Direction;
use crm_core::timeline::{Anchor, TimelineRequest, by_day};
use crm_core::value::Value;
use crm_core::{Context, Crm, Error as CrmError, Find, Totals};
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use crate::Result;
use crate::check::Total;
use crate::chinook::Chinook;
use crate::load::{Loaded, SYSTEM, external_key};
use crate::store::Place;

type Out<'o> = &'o mut (dyn Write + Send);

fn title(out: Out<'_>, text: &str) -> Result<()> {
    writeln!(out, "\n{text}\n{}", "-".repeat(text.chars().count()))?;
    Ok(())
}

/// What was loaded.
///
/// # Errors
/// The output cannot be written.
pub fn loaded(out: Out<'_>, place: &Place, loaded: &Loaded) -> Result<()> {
    let [users, customers, contacts, accounts, addresses, invoices, lines, segments] = loaded.counts;
    let organizations = loaded.organizations;
    title(out, &format!("Chinook, a music shop, as of 2011-12-31, {place}"))?;
    for (what, count, note) in [
        ("users", users, "the shop's employees".to_owned()),
        (
            "customers",
            customers,
            format!("{organizations} organizations, {} individuals", customers - organizations),
        ),
        ("contacts", contacts, "the primary one of each customer".to_owned()),
        ("accounts", accounts, "one of each organization".to_owned()),
        ("addresses", addresses, "for billing".to_owned()),
        ("segments", segments, "two by criteria, one by hand".to_owned()),
        ("invoices", invoices, format!("with {lines} lines")),
    ] {
        writeln!(out, "  {what:<10}{count:>5}  {note}")?;
    }
    let (commands, log, took) = (loaded.commands, loaded.log, loaded.took.as_secs_f64());
    if loaded.nothing_to_do() && loaded.log_added == 0 {
        writeln!(
            out,
            "  nothing to do: loaded before; the change log has {log} rows, as it had ({took:.2} s)"
        )?;
    } else {
        let added = loaded.log_added;
        writeln!(
            out,
            "  {commands} commands; the change log has {log} rows, {added} of them new ({took:.2} s)"
        )?;
    }
    if !loaded.odd_phones.is_empty() {
        writeln!(
            out,
            "  {} telephone numbers are not valid ones and kept as given:",
            loaded.odd_phones.len()
        )?;
        for (name, raw) in &loaded.odd_phones {
            writeln!(out, "    {name:<22}{raw}")?;
        }
    }
    Ok(())
}

/// All of one customer in one call, found by the shop's own number for it, and the first page of its timeline.
///
/// # Errors
/// The store does not answer, or the output cannot be written.
pub async fn customer(out: Out<'_>, crm: &Crm, ctx: &Context, data: &Chinook) -> Result<()> {
    let Some(buyer) = data.customers.first() else { return Ok(()) };
    let key = external_key(buyer);
    let Some(customer) = crm.customers().by_external_id(ctx, &key).await? else { return Ok(()) };
    title(out, &format!("The customer that {SYSTEM} knows as {}: all of it in one call", key.value))?;
    let view = crm.profiles().of(ctx, customer.id).await?;
    whole(out, &view)?;

    let zone = crm.settings().get(ctx).await?.tz();
    let mut request = TimelineRequest {
        all_time: true,
        direction: Direction::Ascending,
        limit: 5,
        ..TimelineRequest::of(Anchor::Customer(customer.id))
    };
    title(out, "Its timeline: a page of 5, oldest first, by day; milestones with a star")?;
    let page = crm.timeline().page(ctx, &request).await?;
    for day in by_day(&page.entries, zone) {
        writeln!(out, "  {}", day.date.format("%A, %-d %B %Y"))?;
        for entry in day.entries {
            writeln!(out, "  {} {}", if entry.highlight { "*" } else { " " }, entry.display.title)?;
        }
    }
    if page.next.is_some() {
        request.cursor = page.next;
        let rest = crm.timeline().page(ctx, &request).await?.entries;
        let last = rest.last().map(|entry| entry.display.title.as_str()).unwrap_or_default();
        writeln!(out, "    and {} on the next page, ending with {last}", rest.len())?;
    }
    Ok(())
}

fn whole(out: Out<'_>, view: &Customer360) -> Result<()> {
    let customer = &view.customer;
    writeln!(out, "  {}", customer.display_name)?;
    let (kind, status) = (customer.r#type.code(), customer.status.code());
    let owner = view.owner.as_ref().map_or("nobody", |owner| &owner.name);
    writeln!(out, "  {kind}, {status}; tags: {}; owner: {owner}", customer.tags.join(", "))?;
    for person in &view.people {
        let contact = &person.contact;
        let role = if contact.is_primary { "primary contact" } else { "contact" };
        let (first, last) = (&contact.first_name, &contact.last_name);
        let (email, phone) =
            (contact.email.as_deref().unwrap_or_default(), contact.phone_e164.as_deref().unwrap_or_default());
        writeln!(out, "  {role}: {first} {last}, {email}, {phone}")?;
    }
    for address in &view.addresses {
        let (street, city, country) = (&address.street_line_1, &address.city, address.country.code());
        let code = address.postal_code.as_deref().unwrap_or_default();
        writeln!(out, "  {} address: {street}, {code} {city}, {country}", address.address_type.code())?;
    }
    if let (Some(lifecycle), Some(stage)) = (&view.lifecycle, &view.stage) {
        let (count, revenue) = (lifecycle.purchase_count, money(lifecycle.total_revenue));
        writeln!(out, "  stage: {}, after {} steps", stage.name, lifecycle.stage_changes)?;
        if let (Some(first), Some(last)) = (lifecycle.first_purchase_date, lifecycle.last_purchase_date) {
            writeln!(out, "  bought {count} times from {first} to {last}, for {revenue} USD")?;
        }
    }
    for CurrentScore { score, .. } in &view.scores {
        let parts = score.factors.iter().map(|(name, line)| format!("{name} {}", line.weighted));
        let (value, grade) = (score.score_value, score.grade.code());
        let parts = parts.collect::<Vec<_>>().join(" + ");
        writeln!(out, "  {} score: {value}, {grade} = {parts}", score.score_type.code())?;
    }
    let last = view.financial.recent.first().map(|invoice| invoice.number.as_str()).unwrap_or_default();
    writeln!(out, "  payments: {}; last invoice: {last}", view.financial.status.code())?;
    let segments: Vec<_> = view.segments.iter().map(|segment| segment.name.as_str()).collect();
    writeln!(out, "  segments: {}", segments.join(", "))?;
    Ok(())
}

/// Three questions in the language of criteria, with their answers; and one that is refused.
///
/// # Errors
/// The store does not answer, or the output cannot be written.
pub async fn questions(out: Out<'_>, crm: &Crm, ctx: &Context) -> Result<()> {
    title(out, "Three questions, as JSON, checked when they are asked")?;

    let organizations = json!({ "all": [
        { "field": "type", "operator": "eq", "value": "organization" },
        { "field": "owner.name", "operator": "eq", "value": "Jane Peacock" },
    ] });
    criteria(out, "Which organizations does Jane Peacock look after?", &organizations)?;
    customers(out, crm, ctx, organizations).await?;

    let with_fax = json!({ "all": [
        { "field": "custom.country", "operator": "eq", "value": "USA" },
        { "field": "tags", "operator": "contains", "value": "fax" },
    ] });
    criteria(out, "Which customers in the USA have a fax?", &with_fax)?;
    customers(out, crm, ctx, with_fax).await?;

    let large = json!({ "all": [
        { "field": "total", "operator": "gt", "value": "20" },
        { "field": "issued_at", "operator": "gte", "value": "today-3y" },
    ] });
    criteria(out, "Which invoices of the last three years are over 20 dollars?", &large)?;
    let found = crm.invoices().find(ctx, &Find::matching(large).ascending("issued_at")).await?.items;
    let ids: Vec<_> = found.iter().map(|invoice| invoice.customer_id).collect();
    let buyers = crm.customers().get_many(ctx, &ids).await?;
    for invoice in &found {
        let buyer = buyers.iter().find(|customer| customer.id == invoice.customer_id);
        let name = buyer.map(|customer| customer.display_name.as_str()).unwrap_or_default();
        let (day, total) = (invoice.issued_at.format("%Y-%m-%d"), money(invoice.total));
        writeln!(out, "    -> {day}  invoice {:>3}  {total:>6} USD  {name}", invoice.number)?;
    }

    let wrong = json!({ "field": "total", "operator": "gt", "value": "twenty" });
    if let Err(CrmError::Criteria(CriteriaError { at, why })) =
        crm.invoices().find(ctx, &Find::matching(wrong)).await
    {
        writeln!(out, "\n  Is the total over \"twenty\"? Refused at {at}:\n    {why}")?;
    }
    Ok(())
}

/// The segments with their members, as they are at this instant.
///
/// # Errors
/// The store does not answer, or the output cannot be written.
pub async fn segments(out: Out<'_>, crm: &Crm, ctx: &Context) -> Result<()> {
    title(out, "Segments, right at every instant")?;
    for segment in crm.segments().find(ctx, &Find::all().ascending("name")).await?.items {
        let members = crm.segments().members(ctx, segment.id, 100, None).await?.items;
        let mut names: Vec<_> = members.iter().map(|customer| customer.display_name.as_str()).collect();
        names.sort_unstable();
        writeln!(out, "  {} ({}), {} members", segment.name, segment.r#type.code(), names.len())?;
        writeln!(out, "    {}", names.join(", "))?;
    }
    Ok(())
}

/// How many customers stand in each stage, and what they have brought.
///
/// # Errors
/// The store does not answer, or the output cannot be written.
pub async fn stages(out: Out<'_>, crm: &Crm, ctx: &Context) -> Result<()> {
    title(out, "Where the customers stand: who buys becomes a customer")?;
    let asked = Totals::by(&["current_stage_id"]).sum("total_revenue");
    let groups = crm.totals::<CustomerLifecycle>(ctx, &asked).await?;
    for stage in crm.lifecycle().stages(ctx).await? {
        let group = groups.iter().find(|group| group.by.first().and_then(Value::as_id) == Some(stage.id.0));
        if let Some([Value::Int(count), Value::Decimal(revenue)]) = group.map(|group| &group.measures[..]) {
            writeln!(out, "  {:<14}{count:>4} {:>9} USD", stage.name, money(*revenue))?;
        }
    }
    Ok(())
}

/// How healthy the customers are, and who needs somebody.
///
/// # Errors
/// The store does not answer, or the output cannot be written.
pub async fn health(out: Out<'_>, crm: &Crm, ctx: &Context) -> Result<()> {
    title(out, "Health, by a model that is data")?;
    let spread = crm.scores().distribution(ctx, ScoreType::Health).await?;
    let grades = spread.by_grade.iter().rev().map(|(grade, count)| format!("{} {count}", grade.code()));
    writeln!(out, "  {}", grades.collect::<Vec<_>>().join(", "))?;
    let weakest = crm.scores().at_risk(ctx, ScoreType::Health, 60, 3, None).await?.items;
    let ids: Vec<_> = weakest.iter().map(|score| score.customer_id).collect();
    let names = crm.customers().get_many(ctx, &ids).await?;
    for (score, customer) in weakest.iter().zip(names) {
        writeln!(out, "  {:>3} {}", score.score_value, customer.display_name)?;
    }
    Ok(())
}

/// Search by the beginning of a word.
///
/// # Errors
/// The store does not answer, or the output cannot be written.
pub async fn search(out: Out<'_>, crm: &Crm, ctx: &Context) -> Result<()> {
    title(out, "Search by words, the last one by its beginning")?;
    for text in ["koh", "st", "banco bra", "+55 (12) 3923-5555"] {
        let found = crm.customers().search(ctx, text, 5).await?;
        let names: Vec<_> = found.iter().map(|customer| customer.display_name.as_str()).collect();
        writeln!(
            out,
            "  {text:<20}{}",
            if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
        )?;
    }
    Ok(())
}

/// What the store adds up.
///
/// # Errors
/// The output cannot be written.
pub fn totals(out: Out<'_>, totals: &[Total]) -> Result<()> {
    title(out, "Totals in USD, added up by the store")?;
    let of = |by: &'static str| totals.iter().filter(move |total| total.by == by);
    for total in of("overall") {
        let (amount, invoices) = (money(total.found.amount), total.found.invoices);
        writeln!(out, "  {:<22}{amount:>9}  {invoices} invoices", "overall")?;
    }
    for total in of("rep") {
        let (amount, invoices) = (money(total.found.amount), total.found.invoices);
        writeln!(out, "  {:<22}{amount:>9}  {invoices} invoices", total.name)?;
    }
    writeln!(out)?;
    let countries: Vec<&Total> = of("country").collect();
    for row in countries.chunks(3) {
        let cells = row.iter().map(|total| format!("{:<16}{:>8}", total.name, money(total.found.amount)));
        writeln!(out, "  {}", cells.collect::<Vec<_>>().join("    "))?;
    }
    writeln!(out)?;
    let differing: Vec<&Total> = totals.iter().filter(|total| !total.agrees()).collect();
    let (all, customers) = (totals.len(), of("customer").count());
    let agreeing = all - differing.len();
    writeln!(
        out,
        "  {agreeing} of {all} totals are as expected; {customers} customers' by their invoices and by their lifecycles"
    )?;
    for total in differing {
        writeln!(out, "  DIFFERS: {total}")?;
    }
    Ok(())
}

/// A question and its JSON, one condition a line.
fn criteria(out: Out<'_>, question: &str, json: &Json) -> Result<()> {
    writeln!(out, "\n  {question}")?;
    let conditions = json.get("all").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    writeln!(out, "    {{ \"all\": [")?;
    for (place, condition) in conditions.iter().enumerate() {
        let comma = if place + 1 < conditions.len() { "," } else { "" };
        writeln!(out, "      {condition}{comma}")?;
    }
    writeln!(out, "    ] }}")?;
    Ok(())
}

async fn customers(out: Out<'_>, crm: &Crm, ctx: &Context, criteria: Json) -> Result<()> {
    let found = crm.customers().find(ctx, &Find::matching(criteria).ascending("display_name")).await?.items;
    for customer in found {
        writeln!(out, "    -> {}", customer.display_name)?;
    }
    Ok(())
}

/// An amount with two decimals and thousands apart.
fn money(amount: Decimal) -> String {
    let text = format!("{:.2}", amount.abs());
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    let groups: Vec<&str> =
        whole.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    format!("{}{}.{cents}", if amount.is_sign_negative() { "-" } else { "" }, groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_two_decimals_and_thousands_apart() {
        for (cents, text) in
            [(0, "0.00"), (99, "0.99"), (123_450, "1,234.50"), (-100_000_000, "-1,000,000.00")]
        {
            assert_eq!(money(Decimal::new(cents, 2)), text);
        }
        assert_eq!(money(Decimal::new(7754, 1)), "775.40");
    }
}
