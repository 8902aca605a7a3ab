//! A store that notes every question it is asked, and hands everything on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use crm_core::TenantId;
use crm_core::catalog::EntityDef;
use crm_core::criteria::{Filter, Path, Test};
use crm_core::record::Record;
use crm_core::store::{Answer, GroupQuery, Layer, Measure, Query, Read, Store, StoreError};
use futures_util::stream::BoxStream;

/// Questions with fewer records on a page are explained as those for a page of this size, which is what is asked
/// for in earnest.
pub(crate) const PAGE: usize = 51;

/// A question, and which call asked it first.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The service and its function: `customers.find`.
    pub(crate) call: &'static str,
    /// What is asked, without the values: the same for two questions that one plan serves.
    pub(crate) shape: String,
    /// What is asked.
    pub(crate) read: Read,
}

/// What was asked until now.
#[derive(Clone, Default)]
pub(crate) struct Noted(Arc<Mutex<(&'static str, BTreeMap<String, Question>)>>);

impl Noted {
    /// Says which call comes next.
    pub(crate) fn call(&self, call: &'static str) {
        self.0.lock().unwrap().0 = call;
    }

    /// One question of each shape.
    pub(crate) fn questions(&self) -> Vec<Question> {
        self.0.lock().unwrap().1.values().cloned().collect()
    }

    fn add(&self, read: &Read) {
        let mut read = read.clone();
        match &mut read {
            Read::Find(query) => query.limit = query.limit.max(PAGE),
            Read::Timeline(query) => query.limit = query.limit.max(PAGE),
            _ => {}
        }
        let shape = shape(&read);
        let (call, known) = &mut *self.0.lock().unwrap();
        known.entry(shape.clone()).or_insert(Question { call, shape, read });
    }
}

/// Notes the questions to a store.
pub(crate) struct Recorder {
    store: Arc<dyn Store>,
    noted: Noted,
}

impl Recorder {
    /// The store over another one, and what it notes.
    pub(crate) fn over(store: Arc<dyn Store>) -> (Self, Noted) {
        let noted = Noted::default();
        (Self { store, noted: noted.clone() }, noted)
    }
}

fn path(path: &Path) -> String {
    let links = path.links.iter().map(|(def, place)| format!("{}.", def.fields[*place].name));
    links.collect::<String>() + path.field_def().name
}

fn filter(of: &Filter) -> String {
    let list = |all: &[Filter], by: &str| {
        let parts: Vec<String> = all.iter().map(filter).collect();
        format!("({})", parts.join(by))
    };
    match of {
        Filter::All(all) => list(all, " and "),
        Filter::Any(any) => list(any, " or "),
        Filter::Not(not) => format!("not {}", filter(not)),
        Filter::Leaf(leaf) => {
            let test = match &leaf.test {
                Test::Exists => "exists",
                Test::In(one) if one.len() == 1 => "=",
                Test::In(_) => "in",
                Test::Lt(_) => "<",
                Test::Le(_) => "<=",
                Test::Gt(_) => ">",
                Test::Ge(_) => ">=",
                Test::Contains(_) => "contains",
                Test::StartsWith(_) => "starts with",
            };
            format!("{} {test}", path(&leaf.path))
        }
    }
}

fn group(query: &GroupQuery) -> String {
    let measure = |measure: &Measure| match measure {
        Measure::Count => "count".to_owned(),
        Measure::Sum(of) => format!("sum {}", path(of)),
        Measure::Min(of) => format!("min {}", path(of)),
        Measure::Max(of) => format!("max {}", path(of)),
    };
    let measures: Vec<String> = query.measures.iter().map(measure).collect();
    let by: Vec<String> = query.by.iter().map(path).collect();
    format!(
        "{} of {} where {} by {}",
        measures.join(", "),
        query.def.name,
        filter(&query.filter),
        by.join(", ")
    )
}

/// A question in words, without the values in it.
fn shape(read: &Read) -> String {
    let named = |what: &str, def: &EntityDef| format!("{what} {}", def.name);
    match read {
        Read::Get { def, ids } => format!("get {} {}", if ids.len() == 1 { "one" } else { "many" }, def.name),
        Read::Find(query) => {
            let mut text =
                format!("find {} of {} where {}", query.limit, query.def.name, filter(&query.filter));
            for order in &query.order {
                write!(text, ", {} {:?}", path(&order.path), order.direction).unwrap();
            }
            if !query.tokens.is_empty() || query.token_prefix.is_some() {
                write!(text, ", by {} words, prefix: {}", query.tokens.len(), query.token_prefix.is_some())
                    .unwrap();
            }
            text
        }
        Read::Group(query) => group(query),
        Read::Ancestors { def, .. } => named("ancestors of", def),
        Read::Subtree { def, .. } => named("subtree of", def),
        Read::Timeline(query) => {
            let anchor = match &query.anchor {
                crm_core::store::TimelineAnchor::Records(ids) => format!("{} records", ids.len()),
                crm_core::store::TimelineAnchor::User(_) => "a user".to_owned(),
                crm_core::store::TimelineAnchor::Tenant => "the tenant".to_owned(),
            };
            let asked = &query.filter;
            format!(
                "timeline of {anchor}, {:?}, deep: {}, from: {}, until: {}, pinned: {:?}, {} tokens, lists: {:?}",
                query.direction,
                query.after.is_some(),
                asked.from.is_some(),
                asked.until.is_some(),
                asked.pinned,
                asked.tokens.len(),
                [
                    asked.kinds.len(),
                    asked.subtypes.len(),
                    asked.sources.len(),
                    asked.actors.len(),
                    asked.teams.len(),
                    asked.visibilities.len(),
                    asked.sentiments.len(),
                ],
            )
        }
        Read::Key { .. } => "key".to_owned(),
        Read::History { def, before_version, .. } => {
            format!("history of {}, before: {}", def.name, before_version.is_some())
        }
        Read::Log { .. } => "log".to_owned(),
        Read::LogHead => "head of the log".to_owned(),
        Read::Position { .. } => "position of a consumer".to_owned(),
    }
}

#[async_trait]
impl Layer for Recorder {
    fn within(&self) -> &dyn Store {
        &*self.store
    }

    async fn read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, StoreError> {
        for read in reads {
            self.noted.add(read);
        }
        self.store.read(tenant, reads).await
    }

    fn scan(&self, tenant: TenantId, query: Query) -> BoxStream<'static, Result<Record, StoreError>> {
        self.noted.add(&Read::Find(query.clone()));
        self.store.scan(tenant, query)
    }
}
