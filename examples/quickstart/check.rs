//! What the store adds up, against what is known of the data.

use std::collections::BTreeMap;
use std::fmt;

use crm_core::customer::{Customer, ExternalId};
use crm_core::lifecycle::CustomerLifecycle;
use crm_core::store::Group;
use crm_core::value::Value;
use crm_core::{Context, Crm, Find, RecordId as _, Totals};
use rust_decimal::Decimal;
use serde_json::json;
use uuid::Uuid;

use crate::Result;
use crate::chinook::Chinook;
use crate::load::{SYSTEM, user_id};

/// Invoices and what they add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many invoices.
    pub invoices: i64,
    /// Their total, in US dollars.
    pub amount: Decimal,
}

/// One total, as the store computes it and as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// Of what: `overall`, `rep`, `country`, `customer`, `lifecycle`.
    pub by: &'static str,
    /// Which one.
    pub name: String,
    /// What the store says.
    pub found: Sum,
    /// The total as it should be.
    pub amount: Decimal,
    /// The number of invoices as it should be, where that is known.
    pub invoices: Option<i64>,
}

impl Total {
    /// Whether the store is right.
    pub fn agrees(&self) -> bool {
        self.found.amount == self.amount && self.invoices.is_none_or(|count| self.found.invoices == count)
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sum { invoices, amount } = self.found;
        write!(f, "{} {}: {invoices} invoices of {amount} USD, expected ", self.by, self.name)?;
        match self.invoices {
            Some(count) => write!(f, "{count} of {} USD", self.amount),
            None => write!(f, "{} USD", self.amount),
        }
    }
}

/// Asks the store for all totals that are known: overall, by employee, by country, by customer; and for what each
/// customer's lifecycle has kept of its invoices.
///
/// # Errors
/// The store does not answer.
pub async fn totals(crm: &Crm, ctx: &Context, data: &Chinook) -> Result<Vec<Total>> {
    let invoices = crm.invoices();
    let overall = invoices.totals(ctx, &Totals::default().sum("total")).await?;
    let by_rep = sums(&invoices.totals(ctx, &Totals::by(&["customer.owner_id"]).sum("total")).await?);
    let by_customer = sums(&invoices.totals(ctx, &Totals::by(&["customer_id"]).sum("total")).await?);
    let lifecycles = crm.find::<CustomerLifecycle>(ctx, &Find::all().limit(9_999)).await?.items;
    let kept = |of: CustomerLifecycle| Sum { invoices: of.purchase_count, amount: of.total_revenue };
    let by_lifecycle = lifecycles.into_iter().map(|of| (of.customer_id.uuid(), kept(of))).collect();
    // Custom fields make no groups in the store, so the customers' sums are added up here.
    let customers = crm.customers().find(ctx, &Find::all().limit(9_999)).await?.items;
    // The ids of the shop's own system, in one read.
    let of_shop = json!({ "field": "system", "operator": "eq", "value": SYSTEM });
    let ids = crm.find::<ExternalId>(ctx, &Find::matching(of_shop).limit(9_999)).await?.items;
    let ids: BTreeMap<String, Uuid> = ids.into_iter().map(|id| (id.value, id.record_id)).collect();
    let by_country = by_country(&customers, &by_customer);

    let expected = &data.expected;
    let mut totals = vec![Total {
        by: "overall",
        name: String::new(),
        found: overall.first().map(sum).unwrap_or_default(),
        amount: expected.total.0,
        invoices: Some(data.invoices.len() as i64),
    }];
    for rep in &expected.by_rep {
        let id = user_id(rep.support_rep_id);
        totals.push(Total {
            by: "rep",
            name: crm.users().get(ctx, id).await?.name,
            found: by_rep.get(&id.uuid()).copied().unwrap_or_default(),
            amount: rep.revenue.0,
            invoices: Some(rep.invoices),
        });
    }
    for (country, amount) in &expected.by_country {
        totals.push(Total {
            by: "country",
            name: country.clone(),
            found: by_country.get(country.as_str()).copied().unwrap_or_default(),
            amount: amount.0,
            invoices: None,
        });
    }
    for known in &expected.customers {
        let buyer = data.customers.iter().find(|buyer| buyer.customer_id == known.customer_id);
        let buyer = buyer.ok_or_else(|| format!("customer {} is expected, not given", known.customer_id))?;
        let id = ids.get(&known.customer_id.to_string());
        for (by, sums) in [("customer", &by_customer), ("lifecycle", &by_lifecycle)] {
            totals.push(Total {
                by,
                name: buyer.display_name(),
                found: id.and_then(|id| sums.get(id).copied()).unwrap_or_default(),
                amount: known.total.0,
                invoices: Some(known.invoices),
            });
        }
    }
    Ok(totals)
}

fn by_country<'c>(customers: &'c [Customer], sums: &BTreeMap<Uuid, Sum>) -> BTreeMap<&'c str, Sum> {
    let mut by_country = BTreeMap::<&str, Sum>::new();
    for customer in customers {
        let country = customer.custom.get("country").and_then(Value::as_text).unwrap_or("unknown");
        let sum = sums.get(&customer.id.uuid()).copied().unwrap_or_default();
        let total = by_country.entry(country).or_default();
        total.invoices += sum.invoices;
        total.amount += sum.amount;
    }
    by_country
}

/// The groups by the id that makes them.
fn sums(groups: &[Group]) -> BTreeMap<Uuid, Sum> {
    groups.iter().filter_map(|group| Some((group.by.first()?.as_id()?, sum(group)))).collect()
}

/// Count and sum of a group.
fn sum(group: &Group) -> Sum {
    match group.measures.as_slice() {
        [Value::Int(invoices), Value::Decimal(amount)] => Sum { invoices: *invoices, amount: *amount },
        _ => Sum::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_agrees_only_if_amount_and_count_do() {
        let found = Sum { invoices: 7, amount: Decimal::new(39_620, 3) };
        let right =
            Total { by: "rep", name: "X".to_owned(), found, amount: Decimal::new(3_962, 2), invoices: None };
        assert!(right.agrees());
        assert!(Total { invoices: Some(7), ..right.clone() }.agrees());
        assert!(!Total { invoices: Some(8), ..right.clone() }.agrees());
        let wrong = Total { amount: Decimal::new(3_963, 2), invoices: Some(7), ..right };
        assert!(!wrong.agrees());
        assert_eq!(wrong.to_string(), "rep X: 7 invoices of 39.620 USD, expected 7 of 39.63 USD");
    }
}
