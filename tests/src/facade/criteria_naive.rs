//! A second evaluator of criteria, written from the JSON form and the structs alone.

use std::cmp::Ordering;

use chrono::{Duration, Months, NaiveDate};
use chrono_tz::Tz;
use crm_core::contact::Contact;
use crm_core::customer::Customer;
use crm_core::directory::User;
use crm_core::format::fold;
use crm_core::value::{Instant, Value};
use rust_decimal::Decimal;
use serde_json::Value as Json;
use uuid::Uuid;

use super::criteria_data::Data;

/// A value, as simple as can be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plain {
    Missing,
    Bool(bool),
    Number(Decimal),
    Text(String),
    Folded(String),
    Ranked(usize),
    Instant(Instant),
    Day(NaiveDate),
    List(Vec<String>),
}

use Plain::Missing;

fn text(value: &str) -> Plain {
    if value.is_empty() { Missing } else { Plain::Text(value.to_owned()) }
}

fn folded(value: &str) -> Plain {
    if value.is_empty() { Missing } else { Plain::Folded(fold(value)) }
}

fn maybe<T>(value: Option<&T>, plain: impl Fn(&T) -> Plain) -> Plain {
    value.map_or(Missing, plain)
}

fn id(value: Uuid) -> Plain {
    Plain::Text(value.to_string())
}

fn list(items: &[String]) -> Plain {
    if items.is_empty() { Missing } else { Plain::List(items.to_vec()) }
}

impl Data {
    fn user(&self, of: Option<Uuid>, path: &[&str]) -> Plain {
        let Some(user) = of.and_then(|of| self.users.get(&of)) else { return Missing };
        let User { id: own, name, email, .. } = user;
        match path {
            [] | ["id"] => id(own.0),
            ["name"] => folded(name),
            ["email"] => maybe(email.as_ref(), |email| folded(email)),
            other => panic!("{other:?}"),
        }
    }

    fn customer(&self, of: Option<Uuid>, path: &[&str]) -> Plain {
        let Some(customer) = of.and_then(|of| self.customers.get(&of)) else { return Missing };
        let Customer { display_name, status, source, email, tags, is_vip, custom, meta, .. } = customer;
        match path {
            [] | ["id"] => id(customer.id.0),
            ["display_name"] => folded(display_name),
            ["status"] => text(status.code()),
            ["source"] => maybe(source.as_ref(), |source| text(source.code())),
            ["email"] => maybe(email.as_ref(), |email| folded(email)),
            ["preferred_language"] => maybe(customer.preferred_language.as_ref(), |tag| text(tag)),
            ["tags"] => list(tags),
            ["is_vip"] => Plain::Bool(*is_vip),
            ["created_at"] => Plain::Instant(meta.created_at),
            ["version"] => Plain::Number(meta.version.into()),
            ["owner_id"] => maybe(customer.owner_id.as_ref(), |owner| id(owner.0)),
            ["parent_id"] => maybe(customer.parent_id.as_ref(), |parent| id(parent.0)),
            ["owner", rest @ ..] => self.user(customer.owner_id.map(|id| id.0), rest),
            ["parent", rest @ ..] => self.customer(customer.parent_id.map(|id| id.0), rest),
            ["custom", key] => match custom.get(*key) {
                None => Missing,
                Some(Value::Text(value)) => text(value),
                Some(Value::Decimal(value)) => Plain::Number(*value),
                Some(Value::Bool(value)) => Plain::Bool(*value),
                Some(Value::Instant(value)) => Plain::Instant(*value),
                Some(Value::List(items)) => list(items),
                Some(other) => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn contact(&self, of: Option<Uuid>, path: &[&str]) -> Plain {
        let Some(contact) = of.and_then(|of| self.contacts.get(&of)) else { return Missing };
        let Contact { last_name, email, customer_id, .. } = contact;
        match path {
            ["last_name"] => folded(last_name),
            ["email"] => maybe(email.as_ref(), |email| folded(email)),
            ["customer", rest @ ..] => self.customer(Some(customer_id.0), rest),
            other => panic!("{other:?}"),
        }
    }

    /// The value of a path of one record.
    pub(super) fn value(&self, entity: &str, of: Uuid, path: &[&str]) -> Plain {
        match entity {
            "customer" => self.customer(Some(of), path),
            "interaction" => {
                let it = &self.interactions[&of];
                match path {
                    ["subject"] => maybe(it.subject.as_ref(), |subject| text(subject)),
                    ["category"] => maybe(it.category.as_ref(), |category| text(category)),
                    ["occurred_at"] => Plain::Instant(it.occurred_at),
                    ["duration_minutes"] => {
                        maybe(it.duration_minutes.as_ref(), |n| Plain::Number((*n).into()))
                    }
                    ["sentiment"] => {
                        maybe(it.sentiment.as_ref(), |sentiment| Plain::Ranked(*sentiment as usize))
                    }
                    ["tags"] => list(&it.tags),
                    ["team_id"] => maybe(it.team_id.as_ref(), |team| id(*team)),
                    ["is_backdated"] => Plain::Bool(it.is_backdated),
                    ["customer", rest @ ..] => self.customer(Some(it.customer_id.0), rest),
                    ["contact", rest @ ..] => self.contact(it.contact_id.map(|id| id.0), rest),
                    other => panic!("{other:?}"),
                }
            }
            "invoice" => self.invoice(of, path),
            _ => {
                let line = &self.lines[&of];
                match path {
                    ["description"] => text(&line.description),
                    ["quantity"] => Plain::Number(line.quantity),
                    ["amount"] => Plain::Number(line.amount),
                    ["position"] => Plain::Number(line.position.into()),
                    ["invoice", rest @ ..] => self.invoice(line.invoice_id.0, rest),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn invoice(&self, of: Uuid, path: &[&str]) -> Plain {
        let invoice = &self.invoices[&of];
        match path {
            ["number"] => text(&invoice.number),
            ["total"] => Plain::Number(invoice.total),
            ["due_on"] => maybe(invoice.due_on.as_ref(), |day| Plain::Day(*day)),
            ["issued_at"] => Plain::Instant(invoice.issued_at),
            ["customer", rest @ ..] => self.customer(Some(invoice.customer_id.0), rest),
            other => panic!("{other:?}"),
        }
    }

    /// Whether a record meets criteria at an instant.
    pub(super) fn meets(&self, entity: &str, of: Uuid, json: &Json, zone: Tz, now: Instant) -> bool {
        let each = |key: &str| {
            json[key].as_array().map(|items| items.iter().map(|j| self.meets(entity, of, j, zone, now)))
        };
        if let Some(mut items) = each("all") {
            return items.all(|item| item);
        }
        if let Some(mut items) = each("any") {
            return items.any(|item| item);
        }
        if json.get("not").is_some() {
            return !self.meets(entity, of, &json["not"], zone, now);
        }
        let zone = json["zone"].as_str().map_or(zone, |name| name.parse().unwrap());
        let path: Vec<&str> = json["field"].as_str().unwrap().split('.').collect();
        let value = self.value(entity, of, &path);
        leaf(&value, json["operator"].as_str().unwrap(), &json["value"], zone, now)
    }
}

fn leaf(value: &Plain, operator: &str, literal: &Json, zone: Tz, now: Instant) -> bool {
    let order = |literal: &Json| compare(value, literal, zone, now);
    match operator {
        "exists" => (*value != Missing) == literal.as_bool().unwrap_or(true),
        "eq" => order(literal) == Some(Ordering::Equal),
        "ne" => !leaf(value, "eq", literal, zone, now),
        "in" => literal.as_array().unwrap().iter().any(|item| order(item) == Some(Ordering::Equal)),
        "not_in" => !leaf(value, "in", literal, zone, now),
        "lt" => order(literal) == Some(Ordering::Less),
        "gt" => order(literal) == Some(Ordering::Greater),
        "lte" => matches!(order(literal), Some(Ordering::Less | Ordering::Equal)),
        "gte" => matches!(order(literal), Some(Ordering::Greater | Ordering::Equal)),
        "between" => leaf(value, "gte", &literal[0], zone, now) && leaf(value, "lte", &literal[1], zone, now),
        "contains" | "starts_with" => {
            let part = literal.as_str().unwrap();
            let found = |whole: &str, part: &str| {
                if operator == "contains" { whole.contains(part) } else { whole.starts_with(part) }
            };
            match value {
                Plain::Text(whole) => found(whole, part),
                Plain::Folded(whole) => found(whole, &fold(part)),
                Plain::List(items) => operator == "contains" && items.iter().any(|item| item == part),
                _ => false,
            }
        }
        other => panic!("{other}"),
    }
}

fn compare(value: &Plain, literal: &Json, zone: Tz, now: Instant) -> Option<Ordering> {
    match (value, literal) {
        (Plain::Bool(value), Json::Bool(literal)) => Some(value.cmp(literal)),
        (Plain::Number(value), Json::Number(literal)) => {
            Some(value.cmp(&literal.to_string().parse().unwrap()))
        }
        (Plain::Number(value), Json::String(literal)) => {
            literal.parse().ok().map(|literal| value.cmp(&literal))
        }
        (Plain::Text(value), Json::String(literal)) => {
            let special = relative(literal, zone, now).is_some() || literal.parse::<Instant>().is_ok();
            if special { None } else { Some(value.as_bytes().cmp(literal.as_bytes())) }
        }
        (Plain::Folded(value), Json::String(literal)) => Some(value.as_bytes().cmp(fold(literal).as_bytes())),
        (Plain::Ranked(rank), Json::String(literal)) => Some(
            rank.cmp(&["negative", "neutral", "positive"].iter().position(|code| code == literal).unwrap()),
        ),
        (Plain::Instant(value), Json::String(literal)) => {
            let fixed = literal.parse::<Instant>().ok();
            Some(value.cmp(&relative(literal, zone, now).map(|(at, _)| at).or(fixed)?))
        }
        (Plain::Day(value), Json::String(literal)) => {
            let fixed = literal.parse::<NaiveDate>().ok();
            Some(value.cmp(&relative(literal, zone, now).map(|(_, day)| day).or(fixed)?))
        }
        _ => None,
    }
}

/// `now-90d`, `today+1M`: as an instant and as a day.
fn relative(text: &str, zone: Tz, now: Instant) -> Option<(Instant, NaiveDate)> {
    let day_of = |at: Instant| at.with_timezone(&zone).date_naive();
    let split = |rest: &str| -> Option<(i64, String)> {
        if rest.is_empty() {
            return Some((0, "d".to_owned()));
        }
        let unit = rest.chars().last()?;
        Some((rest[..rest.len() - unit.len_utf8()].parse().ok()?, unit.to_string()))
    };
    if let Some((count, unit)) = text.strip_prefix("now").and_then(split) {
        let at = now
            + match unit.as_str() {
                "s" => Duration::seconds(count),
                "m" => Duration::minutes(count),
                "h" => Duration::hours(count),
                "d" => Duration::hours(24 * count),
                "w" => Duration::hours(7 * 24 * count),
                _ => return None,
            };
        return Some((at, day_of(at)));
    }
    let (count, unit) = text.strip_prefix("today").and_then(split)?;
    let months = |each: i64| Months::new((count * each).unsigned_abs() as u32);
    let today = day_of(now);
    let day = match (unit.as_str(), count < 0) {
        ("d", _) => today + Duration::days(count),
        ("w", _) => today + Duration::days(7 * count),
        ("M", false) => today + months(1),
        ("M", true) => today - months(1),
        ("y", false) => today + months(12),
        ("y", true) => today - months(12),
        _ => return None,
    };
    // The first quarter of an hour that a calendar on the wall shows as this day.
    let mut start = day.and_time(chrono::NaiveTime::MIN).and_utc() - Duration::hours(15);
    while day_of(start) < day {
        start += Duration::minutes(15);
    }
    Some((start, day))
}
