//! Finding records page by page.

use serde_json::{Value as Json, json};

use crate::catalog::{EntityDef, FieldType, system};
use crate::criteria::{Criteria, CriteriaError, Filter, Links, Path, Scope, Test};
use crate::cursor::{CursorKeys, question_digest};
use crate::format::{self, Country};
use crate::id::TenantId;
use crate::query::visible_filter;
use crate::record::Record;
use crate::store::{Direction, Order, Query, Viewer};
use crate::value::{Instant, Value};

/// Which records, in what order, how many.
///
/// ```
/// use crm_core::Find;
/// let find = Find::matching(serde_json::json!({ "field": "status", "operator": "eq", "value": "active" }))
///     .descending("created_at")
///     .limit(20);
/// assert_eq!(find.limit, 20);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Find {
    /// Criteria in their JSON form; `None` for all.
    pub criteria: Option<Json>,
    /// Words that the record is found by; the last one may be the beginning of a word. Letters' case and accents do
    /// not count. A telephone number is found in any format.
    pub text: Option<String>,
    /// The sort: paths and directions. By id where it leaves the order open.
    pub order: Vec<(String, Direction)>,
    /// How many on a page, 1 to 9,999.
    pub limit: usize,
    /// Where to go on: what the page before returned.
    pub cursor: Option<String>,
}

/// A page and where the next one begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The records.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` on the last.
    pub next: Option<String>,
}

/// One record more is read, to know whether there is a next page.
const LARGEST_PAGE: usize = crate::store::MAX_LIMIT - 1;
const DEFAULT_PAGE: usize = 50;

impl Find {
    /// All records, 50 on a page.
    pub fn all() -> Self {
        Self { limit: DEFAULT_PAGE, ..Self::default() }
    }

    /// The records that meet criteria.
    pub fn matching(criteria: Json) -> Self {
        Self { criteria: Some(criteria), ..Self::all() }
    }

    /// The records that are found by these words.
    pub fn search(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::all() }
    }

    /// Sorts by a path, smallest first, missing values before all.
    pub fn ascending(mut self, path: &str) -> Self {
        self.order.push((path.to_owned(), Direction::Ascending));
        self
    }

    /// Sorts by a path, largest first, missing values last.
    pub fn descending(mut self, path: &str) -> Self {
        self.order.push((path.to_owned(), Direction::Descending));
        self
    }

    /// How many on a page.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Goes on after the page that returned this cursor.
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// Whether the answer depends on the tenant's zone or region.
    pub(crate) fn depends_on_settings(&self) -> bool {
        fn relative(json: &Json) -> bool {
            match json {
                Json::String(text) => text.starts_with("now") || text.starts_with("today"),
                Json::Array(items) => items.iter().any(relative),
                Json::Object(map) => map.values().any(relative),
                _ => false,
            }
        }
        let digits = |text: &String| text.chars().filter(|c| c.is_numeric()).count() >= 5;
        self.criteria.as_ref().is_some_and(relative) || self.text.as_ref().is_some_and(digits)
    }

    /// Checks the question and makes the store's query of it.
    #[expect(clippy::too_many_arguments, reason = "everything a question depends on, once")]
    pub(crate) fn prepare(
        &self,
        def: &'static EntityDef,
        scope: &Scope<'_>,
        region: Option<Country>,
        now: Instant,
        viewer: &Viewer,
        tenant: TenantId,
        keys: &CursorKeys,
    ) -> Result<Prepared, CriteriaError> {
        let refuse = |at: &str, why: String| CriteriaError { at: at.to_owned(), why };
        if self.limit == 0 || self.limit > LARGEST_PAGE {
            return Err(refuse("limit", format!("is {}; accepted are 1 to {LARGEST_PAGE}", self.limit)));
        }
        let mut filter = match &self.criteria {
            None => Filter::always(),
            Some(json) => Criteria::parse(json, def, scope)?.at(now),
        };
        let mut order = Vec::new();
        for (place, (text, direction)) in self.order.iter().enumerate() {
            let path = scope.path(text, def).map_err(|why| refuse(&format!("order[{place}]"), why))?;
            if !sortable(&path) {
                return Err(refuse(&format!("order[{place}]"), format!("{text} has no order")));
            }
            order.push(Order { path, direction: *direction });
        }
        let (tokens, token_prefix) = match &self.text {
            None => (Vec::new(), None),
            Some(text) => search_tokens(text, region),
        };
        if self.text.is_some() && tokens.is_empty() && token_prefix.is_none() {
            return Err(refuse(
                "text",
                "has no word in it; search for at least one letter or digit".to_owned(),
            ));
        }
        let question = question_digest(&json!({
            "entity": def.name,
            "criteria": self.criteria,
            "text": self.text,
            "order": self.order.iter().map(|(path, direction)| json!([path, *direction == Direction::Ascending]))
                .collect::<Json>(),
            "user": viewer.user.map(|id| id.to_string()),
            "teams": viewer.teams.iter().map(ToString::to_string).collect::<Json>(),
            "sees": [viewer.sees_all, viewer.external_only],
        }));
        if let Some(cursor) = &self.cursor {
            let place = keys.verify(tenant, &question, cursor)?;
            let seek = seek(def, &order, &place).ok_or_else(|| {
                refuse("cursor", "is from another version; ask for the first page".to_owned())
            })?;
            filter = filter.and(seek);
        }
        filter = filter.and(Filter::live(scope.catalog, def)).and(visible_filter(def, viewer));
        let query = Query { def, filter, tokens, token_prefix, order, limit: self.limit + 1 };
        Ok(Prepared { query, limit: self.limit, question })
    }
}

/// A checked question.
pub(crate) struct Prepared {
    pub(crate) query: Query,
    pub(crate) limit: usize,
    question: String,
}

impl Prepared {
    /// The cursor of what comes after this record.
    pub(crate) fn cursor_after(
        &self,
        record: &Record,
        links: &dyn Links,
        tenant: TenantId,
        keys: &CursorKeys,
    ) -> String {
        let mut place: Vec<Json> =
            self.query.order.iter().map(|order| order.path.comparable(record, links).to_json()).collect();
        place.push(json!(record.id().to_string()));
        keys.sign(tenant, &self.question, &Json::Array(place))
    }
}

fn sortable(path: &Path) -> bool {
    use crate::catalog::Kind;
    !matches!(path.field_def().field_type(), FieldType::List | FieldType::Custom | FieldType::Json)
        && !matches!(path.field_def().kind, Kind::Enum { ordered: true, .. })
}

/// The tokens of a search: a telephone number becomes its E.164 form, the last word a beginning.
fn search_tokens(text: &str, region: Option<Country>) -> (Vec<String>, Option<String>) {
    let phone = format::phone(text, region);
    let is_number = text.chars().all(|c| c.is_numeric() || " +-()./".contains(c));
    if let (true, true, Some(e164)) = (is_number, phone.valid, &phone.e164) {
        return (format::tokens(e164), None);
    }
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let last = if text.ends_with(char::is_whitespace) { None } else { words.pop() };
    let mut tokens = format::tokens(&words.join(" "));
    let prefix = last.and_then(|word| {
        // Of `jane.doe@exam` only the part after the last sign is a beginning.
        let begins = word
            .char_indices()
            .rev()
            .find(|(_, c)| !c.is_alphanumeric())
            .map_or(0, |(at, c)| at + c.len_utf8());
        let (whole, beginning) = word.split_at(begins);
        tokens.append(&mut format::tokens(whole));
        let mut of_beginning = format::tokens(beginning);
        if of_beginning.len() == 1 {
            of_beginning.pop()
        } else {
            tokens.append(&mut of_beginning);
            None
        }
    });
    tokens.sort_unstable();
    tokens.dedup();
    (tokens, prefix)
}

/// What comes after a place in the order: (k1 after v1) or (k1 = v1 and k2 after v2) …, with a bound on the first
/// key that an index can begin at.
fn seek(def: &'static EntityDef, order: &[Order], place: &Json) -> Option<Filter> {
    let place = place.as_array().filter(|place| place.len() == order.len() + 1)?;
    let mut alternatives = Vec::new();
    let mut equal: Vec<Filter> = Vec::new();
    let mut bound = None;
    for (order, json) in order.iter().zip(place) {
        let value = key_value(&order.path, json)?;
        let leaf = |test| Filter::leaf(order.path.clone(), test);
        let missing = Filter::Not(Box::new(leaf(Test::Exists)));
        let required = order.path.links.is_empty() && order.path.field_def().required;
        let after = match (order.direction, &value) {
            (Direction::Ascending, Value::Null) => leaf(Test::Exists),
            (Direction::Ascending, value) => leaf(Test::Gt(value.clone())),
            (Direction::Descending, Value::Null) => Filter::Any(Vec::new()),
            (Direction::Descending, value) if required => leaf(Test::Lt(value.clone())),
            (Direction::Descending, value) => {
                Filter::Any(vec![leaf(Test::Lt(value.clone())), missing.clone()])
            }
        };
        if alternatives.is_empty() {
            bound = match (order.direction, &value) {
                (_, Value::Null) => None,
                (Direction::Ascending, value) => Some(leaf(Test::Ge(value.clone()))),
                (Direction::Descending, value) => required.then(|| leaf(Test::Le(value.clone()))),
            };
        }
        let mut steps = equal.clone();
        steps.push(after);
        alternatives.push(Filter::All(steps));
        equal.push(if value == Value::Null { missing } else { leaf(Test::In(vec![value])) });
    }
    let id = place.last()?.as_str()?.parse().ok()?;
    equal.push(Filter::leaf(Path::system(def, system::ID), Test::Gt(Value::Id(id))));
    alternatives.push(Filter::All(equal));
    let seek = if alternatives.len() == 1 { alternatives.remove(0) } else { Filter::Any(alternatives) };
    Some(match bound {
        Some(bound) => Filter::All(vec![bound, seek]),
        None => seek,
    })
}

/// A key of the sort back from its JSON form, null for a missing value; `None` for one that cannot be.
fn key_value(path: &Path, json: &Json) -> Option<Value> {
    crate::log::value_from_json(path.field_def(), json)
}
