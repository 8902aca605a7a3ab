//! Many questions about one customer, asked of the store at once.

use uuid::Uuid;

use crate::catalog::{Entity, EntityDef};
use crate::command::Error;
use crate::context::Context;
use crate::criteria::{Filter, Path};
use crate::crm::Crm;
use crate::customer::CustomerId;
use crate::policy::Action;
use crate::query::visible_filter;
use crate::record::Record;
use crate::store::{Answer, Direction, Group, GroupQuery, Measure, Order, Query, Read, StoreError};
use crate::value::Value;

/// The place of an answer; none for what the actor may not read.
#[derive(Clone, Copy)]
pub(super) struct Place(Option<usize>);

/// Questions, until they are asked.
pub(super) struct Questions<'a> {
    crm: &'a Crm,
    ctx: &'a Context,
    customer: CustomerId,
    reads: Vec<Read>,
    withheld: Vec<&'static str>,
}

/// Their answers.
pub(super) struct Answers {
    answers: Vec<Option<Answer>>,
    /// The entities that the actor may not read.
    pub(super) withheld: Vec<&'static str>,
}

impl<'a> Questions<'a> {
    pub(super) fn about(crm: &'a Crm, ctx: &'a Context, customer: CustomerId) -> Self {
        Self { crm, ctx, customer, reads: Vec::new(), withheld: Vec::new() }
    }

    /// A question that needs no permission of its own.
    pub(super) fn ask(&mut self, read: Read) -> Place {
        self.reads.push(read);
        Place(Some(self.reads.len() - 1))
    }

    /// Records by id.
    pub(super) fn get(&mut self, def: &'static EntityDef, id: Uuid) -> Place {
        if self.allowed(def) { self.ask(Read::Get { def, ids: vec![id] }) } else { Place(None) }
    }

    /// The customer's records of an entity, as far as the actor sees them.
    pub(super) fn find<E: Entity>(
        &mut self,
        filter: Option<Filter>,
        order: &[(&str, Direction)],
        limit: usize,
    ) -> Place {
        let def = E::def();
        let Some(of_customer) = self.of_customer(def) else { return Place(None) };
        let order = order.iter().filter_map(|(field, direction)| {
            Path::own(def, field).map(|path| Order { path, direction: *direction })
        });
        let filter = filter.map_or(of_customer.clone(), |filter| of_customer.and(filter));
        self.ask(Read::Find(Query { order: order.collect(), ..Query::new(def, filter, limit) }))
    }

    /// Groups of the customer's records of an entity, as far as the actor sees them; each counted first.
    pub(super) fn group<E: Entity>(
        &mut self,
        filter: Option<Filter>,
        by: &[&str],
        measures: impl IntoIterator<Item = Option<Measure>>,
    ) -> Place {
        let def = E::def();
        let Some(of_customer) = self.of_customer(def) else { return Place(None) };
        let filter = filter.map_or(of_customer.clone(), |filter| of_customer.and(filter));
        let by = by.iter().filter_map(|field| Path::own(def, field)).collect();
        let measures = std::iter::once(Measure::Count).chain(measures.into_iter().flatten()).collect();
        self.ask(Read::Group(GroupQuery { def, filter, by, measures, limit: crate::store::MAX_LIMIT }))
    }

    /// Asks all of them, in one round trip, of one snapshot.
    pub(super) async fn answers(self) -> Result<Answers, Error> {
        let answers = self.crm.read(self.ctx, &self.reads).await?;
        Ok(Answers { answers: answers.into_iter().map(Some).collect(), withheld: self.withheld })
    }

    fn of_customer(&mut self, def: &'static EntityDef) -> Option<Filter> {
        let of = Filter::eq(def, "customer_id", Value::Id(self.customer.0))?;
        self.allowed(def).then(|| of.and(Filter::undeleted(def)).and(visible_filter(def, &self.ctx.viewer())))
    }

    /// Whether the actor may read an entity; if not, it is withheld.
    pub(super) fn allowed(&mut self, def: &'static EntityDef) -> bool {
        let allowed = self.crm.allow(self.ctx, Action::Read, def.name).is_ok();
        if !allowed && !self.withheld.contains(&def.name) {
            self.withheld.push(def.name);
        }
        allowed
    }
}

impl Answers {
    /// The records, live or not.
    pub(super) fn records(&mut self, place: Place) -> Result<Vec<Record>, Error> {
        match self.take(place)? {
            None => Ok(Vec::new()),
            Some(Answer::Records(records)) => Ok(records),
            Some(_) => Err(wrong()),
        }
    }

    /// The live records as structs.
    pub(super) fn all<E: Entity>(&mut self, place: Place) -> Result<Vec<E>, Error> {
        let live = self.records(place)?.into_iter().filter(Record::is_live);
        live.map(|record| E::from_owned(record).map_err(Error::from)).collect()
    }

    /// The only live record.
    pub(super) fn one<E: Entity>(&mut self, place: Place) -> Result<Option<E>, Error> {
        Ok(self.all(place)?.pop())
    }

    /// The groups.
    pub(super) fn groups(&mut self, place: Place) -> Result<Vec<Group>, Error> {
        match self.take(place)? {
            None => Ok(Vec::new()),
            Some(Answer::Groups(groups)) => Ok(groups),
            Some(_) => Err(wrong()),
        }
    }

    fn take(&mut self, place: Place) -> Result<Option<Answer>, Error> {
        let Place(Some(place)) = place else { return Ok(None) };
        self.answers.get_mut(place).and_then(Option::take).map(Some).ok_or_else(wrong)
    }
}

fn wrong() -> Error {
    StoreError::Corrupt { what: "an answer of another kind than was asked for".to_owned() }.into()
}
