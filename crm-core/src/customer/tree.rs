//! The hierarchy as a tree with roll-ups (SPEC CM-04).

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Error, Refusal};
use crate::contact::Contact;
use crate::context::Context;
use crate::criteria::{Filter, Path, Test};
use crate::crm::Crm;
use crate::customer::{Customer, CustomerId};
use crate::lifecycle::CustomerLifecycle;
use crate::policy::Action;
use crate::query;
use crate::store::{Answer, GroupQuery, MAX_LIMIT, Measure, Read};
use crate::value::Value;

/// A customer with those below it, and what they add up to.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomerNode {
    /// The customer.
    pub customer: Customer,
    /// Those directly below it, by id; those below a deleted one count as directly below whoever stands above that.
    pub children: Vec<CustomerNode>,
    /// How many customers: this one and all below it.
    pub customers: usize,
    /// How many contacts they have together.
    pub contacts: usize,
    /// What they have bought together, by ISO 4217 code; empty for who may not read lifecycles.
    pub revenue: BTreeMap<&'static str, Decimal>,
}

/// What is known of each customer of a tree besides itself.
#[derive(Default)]
struct Own {
    contacts: BTreeMap<Uuid, usize>,
    revenue: BTreeMap<Uuid, (&'static str, Decimal)>,
}

/// Why a tree is not read.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeRefusal {
    /// More customers than one read returns, so that the counts would be wrong.
    #[error("{MAX_LIMIT} or more customers stand below {0}; ask for the tree of one further down")]
    TooLarge(CustomerId),
}

impl Refusal for TreeRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "tree_too_large",
        }
    }
}

impl Drop for CustomerNode {
    /// Frees what is below without recursion: moved subtrees can make a tree deeper than a stack is.
    fn drop(&mut self) {
        let mut below = std::mem::take(&mut self.children);
        while let Some(mut node) = below.pop() {
            below.append(&mut node.children);
        }
    }
}

impl CustomerNode {
    /// Reads the tree: the customers in one round trip, in a second one their contacts and revenue, and who stood between
    /// where someone was deleted.
    pub(super) async fn read(crm: &Crm, ctx: &Context, id: CustomerId) -> Result<Self, Error<TreeRefusal>> {
        let (def, of) = (Customer::def(), Contact::def());
        for entity in [def.name, of.name] {
            if let Err(Error::Forbidden { action, entity }) = crm.allow(ctx, Action::Read, entity) {
                return Err(Error::Forbidden { action, entity });
            }
        }
        let missing = || Error::NotFound { entity: def.name, id: id.0 };
        let subtree = Read::Subtree { def, id: id.0, limit: MAX_LIMIT };
        let Some(Answer::Records(records)) = crm.read(ctx, &[subtree]).await?.pop() else {
            return Err(missing());
        };
        if !records.first().is_some_and(crate::record::Record::is_live) {
            return Err(missing());
        }
        if records.len() >= MAX_LIMIT {
            return Err(Error::Refused(TreeRefusal::TooLarge(id)));
        }
        let customers: Vec<Customer> = records.iter().map(Customer::from_record).collect::<Result<_, _>>()?;
        let ids: Vec<Value> = customers.iter().map(|customer| Value::Id(customer.id.0)).collect();
        let known: BTreeSet<CustomerId> = customers.iter().map(|customer| customer.id).collect();
        let gone: BTreeSet<CustomerId> =
            customers.iter().skip(1).filter_map(|c| c.parent_id).filter(|id| !known.contains(id)).collect();

        let mut reads: Vec<Read> =
            gone.iter().map(|id| Read::Ancestors { def, id: id.0, limit: MAX_LIMIT }).collect();
        if let Some(path) = Path::own(of, "customer_id") {
            let filter = Filter::leaf(path.clone(), Test::In(ids))
                .and(Filter::undeleted(of))
                .and(query::visible_filter(of, &ctx.viewer()));
            let measures = vec![Measure::Count];
            reads.push(Read::Group(GroupQuery {
                def: of,
                filter,
                by: vec![path],
                measures,
                limit: MAX_LIMIT,
            }));
        }
        let earns = CustomerLifecycle::def();
        let with_revenue = crm.allow(ctx, Action::Read, earns.name).is_ok();
        if with_revenue {
            let ids = known.iter().map(|customer| customer.0).collect();
            reads.insert(0, Read::Get { def: earns, ids });
        }
        let mut own = Own::default();
        let mut above: BTreeMap<CustomerId, CustomerId> = BTreeMap::new();
        let mut answers = crm.read(ctx, &reads).await?.into_iter();
        let lifecycles = if with_revenue { answers.next() } else { None };
        if let Some(Answer::Records(lifecycles)) = lifecycles {
            for lifecycle in lifecycles.iter().filter(|record| record.is_live()) {
                let lifecycle = CustomerLifecycle::from_record(lifecycle)?;
                if let Some(currency) = lifecycle.currency {
                    own.revenue.insert(lifecycle.id.0, (currency.code(), lifecycle.total_revenue));
                }
            }
        }
        for answer in answers {
            match answer {
                Answer::Groups(groups) => own.contacts.extend(groups.iter().filter_map(|group| {
                    let Value::Int(count) = group.measures.first()? else { return None };
                    Some((group.by.first()?.as_id()?, usize::try_from(*count).ok()?))
                })),
                Answer::Records(chain) => {
                    let near =
                        chain.iter().map(|record| CustomerId(record.id())).find(|id| known.contains(id));
                    if let (Some(first), Some(near)) = (chain.first(), near) {
                        above.insert(CustomerId(first.id()), near);
                    }
                }
                _ => {}
            }
        }
        grow(customers, &above, &own).ok_or_else(missing)
    }
}

/// Puts children below their parents, from the last to the first: parents come before children.
fn grow(
    customers: Vec<Customer>,
    above: &BTreeMap<CustomerId, CustomerId>,
    own: &Own,
) -> Option<CustomerNode> {
    let root = customers.first()?.id;
    let known: BTreeSet<CustomerId> = customers.iter().map(|customer| customer.id).collect();
    let mut below: BTreeMap<CustomerId, Vec<CustomerNode>> = BTreeMap::new();
    for customer in customers.into_iter().rev() {
        let mut children = below.remove(&customer.id).unwrap_or_default();
        children.sort_unstable_by_key(|node| node.customer.id);
        let id = customer.id;
        // Whoever was moved away between the two reads stays with the root.
        let parent = customer.parent_id.map_or(root, |parent| {
            if known.contains(&parent) { parent } else { above.get(&parent).copied().unwrap_or(root) }
        });
        let mut revenue: BTreeMap<&'static str, Decimal> =
            own.revenue.get(&id.0).copied().into_iter().collect();
        for (currency, amount) in children.iter().flat_map(|node| &node.revenue) {
            *revenue.entry(currency).or_default() += amount;
        }
        let node = CustomerNode {
            revenue,
            customers: 1 + children.iter().map(|node| node.customers).sum::<usize>(),
            contacts: own.contacts.get(&id.0).copied().unwrap_or(0)
                + children.iter().map(|node| node.contacts).sum::<usize>(),
            customer,
            children,
        };
        if id == root {
            return Some(node);
        }
        below.entry(parent).or_default().push(node);
    }
    None
}
