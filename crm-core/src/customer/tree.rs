//! The hierarchy as a tree with roll-ups (SPEC CM-04).

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Error, Refusal};
use crate::contact::Contact;
use crate::context::Context;
use crate::criteria::{Filter, Path, Test};
use crate::crm::Crm;
use crate::customer::{Customer, CustomerId};
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
    /// Reads the tree: the customers in one round trip, in a second one their contacts, and who stood between where
    /// someone was deleted.
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
        let mut contacts: BTreeMap<Uuid, usize> = BTreeMap::new();
        let mut above: BTreeMap<CustomerId, CustomerId> = BTreeMap::new();
        for answer in crm.read(ctx, &reads).await? {
            match answer {
                Answer::Groups(groups) => contacts.extend(groups.iter().filter_map(|group| {
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
        grow(customers, &above, &contacts).ok_or_else(missing)
    }
}

/// Puts children below their parents, from the last to the first: parents come before children.
fn grow(
    customers: Vec<Customer>,
    above: &BTreeMap<CustomerId, CustomerId>,
    contacts: &BTreeMap<Uuid, usize>,
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
        let node = CustomerNode {
            customers: 1 + children.iter().map(|node| node.customers).sum::<usize>(),
            contacts: contacts.get(&id.0).copied().unwrap_or(0)
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
