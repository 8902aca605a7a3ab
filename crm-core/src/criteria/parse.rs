//! The checked tree and its JSON form.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use crate::catalog::{Catalog, EntityDef, FieldType};
use crate::criteria::check::{CriteriaError, Scope, condition};
use crate::criteria::{Filter, Leaf, Moment, Path, Test};
use crate::value::Instant;

/// Criteria of one entity, checked against the catalog.
///
/// The JSON form is that of seed 004:
///
/// ```json
/// { "all": [
///     { "field": "status", "operator": "in", "value": ["active", "prospect"] },
///     { "field": "owner.name", "operator": "starts_with", "value": "Jane" },
///     { "not": { "field": "created_at", "operator": "lt", "value": "now-90d", "zone": "Europe/Berlin" } }
/// ] }
/// ```
///
/// Operators: `eq`, `ne`, `gt`, `gte`, `lt`, `lte`, `in`, `not_in`, `between`, `contains`, `starts_with`, `exists`.
#[derive(Clone, Debug, PartialEq)]
pub struct Criteria {
    /// The entity whose records are chosen.
    pub def: &'static EntityDef,
    /// The tree.
    pub root: Node,
    /// The JSON it was read from.
    pub source: Json,
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// All hold.
    All(Vec<Node>),
    /// At least one holds.
    Any(Vec<Node>),
    /// It does not hold.
    Not(Box<Node>),
    /// One field.
    Leaf {
        /// Which.
        path: Path,
        /// What is asked.
        condition: Condition,
    },
}

/// What is asked of a field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Something fixed.
    Fixed(Test),
    /// The field is before the moment, or at it if `or_equal`.
    Before {
        /// When.
        moment: Moment,
        /// Whether the moment itself counts.
        or_equal: bool,
    },
    /// The field is after the moment, or at it if `or_equal`.
    After {
        /// When.
        moment: Moment,
        /// Whether the moment itself counts.
        or_equal: bool,
    },
}

impl Criteria {
    /// Reads and checks the JSON form. Errors point at the place (`all[1].value`) and say what would be accepted.
    pub fn parse(json: &Json, def: &'static EntityDef, scope: &Scope<'_>) -> Result<Self, CriteriaError> {
        let root = scope.node(json, def, &mut String::new(), 0)?;
        Ok(Self { def, root, source: json.clone() })
    }

    /// Criteria that every record meets.
    pub fn everything(def: &'static EntityDef) -> Self {
        Self { def, root: Node::All(Vec::new()), source: json!({ "all": [] }) }
    }

    /// The tree at one instant.
    pub fn at(&self, now: Instant) -> Filter {
        self.root.at(now)
    }

    /// The fields that the criteria read, as `entity.field`: a change of anything else cannot change the answer.
    pub fn reads(&self) -> BTreeSet<String> {
        let mut fields = BTreeSet::new();
        for path in self.paths() {
            for (def, place) in &path.links {
                fields.insert(format!("{}.{}", def.name, def.fields[*place].name));
            }
            fields.insert(format!("{}.{}", path.def.name, path.field_def().name));
        }
        fields
    }

    /// The paths of all conditions: whoever judges a record needs the records that they lead to.
    pub fn paths(&self) -> Vec<&Path> {
        fn collect<'a>(node: &'a Node, into: &mut Vec<&'a Path>) {
            match node {
                Node::All(nodes) | Node::Any(nodes) => nodes.iter().for_each(|node| collect(node, into)),
                Node::Not(node) => collect(node, into),
                Node::Leaf { path, .. } => into.push(path),
            }
        }
        let mut paths = Vec::new();
        collect(&self.root, &mut paths);
        paths
    }
}

impl Node {
    /// The node at one instant.
    pub fn at(&self, now: Instant) -> Filter {
        match self {
            Self::All(nodes) => Filter::All(nodes.iter().map(|node| node.at(now)).collect()),
            Self::Any(nodes) => Filter::Any(nodes.iter().map(|node| node.at(now)).collect()),
            Self::Not(node) => Filter::Not(Box::new(node.at(now))),
            Self::Leaf { path, condition } => {
                Filter::Leaf(Leaf { path: path.clone(), test: condition.at(path, now) })
            }
        }
    }
}

impl Condition {
    /// What is asked at one instant.
    fn at(&self, path: &Path, now: Instant) -> Test {
        let moment = |moment: &Moment| moment.value(now, path.field_def().field_type() == FieldType::Date);
        match self {
            Self::Fixed(test) => test.clone(),
            Self::Before { moment: when, or_equal: false } => Test::Lt(moment(when)),
            Self::Before { moment: when, or_equal: true } => Test::Le(moment(when)),
            Self::After { moment: when, or_equal: false } => Test::Gt(moment(when)),
            Self::After { moment: when, or_equal: true } => Test::Ge(moment(when)),
        }
    }
}

impl Scope<'_> {
    pub(super) fn node(
        &self,
        json: &Json,
        def: &'static EntityDef,
        at: &mut String,
        depth: usize,
    ) -> Result<Node, CriteriaError> {
        const DEEPEST: usize = 32;
        let refuse = |at: &str, why: String| CriteriaError { at: at.to_owned(), why };
        if depth > DEEPEST {
            return Err(refuse(at, format!("the criteria are nested more than {DEEPEST} deep")));
        }
        let Json::Object(map) = json else {
            return Err(refuse(at, format!("{} found; expected an object such as {EXAMPLE}", kind_of(json))));
        };
        let groups: Vec<&str> =
            ["all", "any", "not"].into_iter().filter(|key| map.contains_key(*key)).collect();
        match groups.as_slice() {
            [] => self.leaf(map, def, at),
            [_] if map.len() > 1 => {
                let other = map.keys().find(|key| *key != groups[0]).map_or("", String::as_str);
                Err(refuse(at, format!("{other} stands beside {}; an object has one of the two", groups[0])))
            }
            ["not"] => {
                let length = at.len();
                push(at, "not");
                let node = self.node(&map["not"], def, at, depth + 1)?;
                at.truncate(length);
                Ok(Node::Not(Box::new(node)))
            }
            [group] => {
                let Json::Array(items) = &map[*group] else {
                    return Err(refuse(at, format!("{group} is followed by a list of conditions")));
                };
                if items.len() > MOST_ITEMS {
                    return Err(refuse(at, format!("{group} lists at most {MOST_ITEMS} conditions")));
                }
                let length = at.len();
                let mut nodes = Vec::with_capacity(items.len());
                for (place, item) in items.iter().enumerate() {
                    push(at, &format!("{group}[{place}]"));
                    nodes.push(self.node(item, def, at, depth + 1)?);
                    at.truncate(length);
                }
                Ok(if *group == "all" { Node::All(nodes) } else { Node::Any(nodes) })
            }
            _ => Err(refuse(at, format!("{} stand together; nest one in the other", groups.join(" and ")))),
        }
    }

    fn leaf(
        &self,
        map: &Map<String, Json>,
        def: &'static EntityDef,
        at: &str,
    ) -> Result<Node, CriteriaError> {
        let place = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
        if let Some(key) =
            map.keys().find(|key| !["field", "operator", "value", "zone"].contains(&key.as_str()))
        {
            return Err(CriteriaError {
                at: place(key),
                why: format!("unknown; a condition has field, operator, value and zone, as in {EXAMPLE}"),
            });
        }
        let text = |key: &str| match map.get(key) {
            Some(Json::String(text)) => Ok(text.as_str()),
            Some(other) => {
                Err(CriteriaError { at: place(key), why: format!("{} found; expected text", kind_of(other)) })
            }
            None => {
                Err(CriteriaError { at: at.to_owned(), why: format!("{key} is missing, as in {EXAMPLE}") })
            }
        };
        let path = self.path(text("field")?, def).map_err(|why| CriteriaError { at: place("field"), why })?;
        let zone = match map.get("zone") {
            None => self.zone,
            Some(_) => crate::format::zone(text("zone")?)
                .map_err(|error| CriteriaError { at: place("zone"), why: error.to_string() })?,
        };
        condition(&path, text("operator")?, map.get("value"), zone)
            .map_err(|(key, why)| CriteriaError { at: place(key), why })
    }
}

const MOST_ITEMS: usize = 1_000;
const EXAMPLE: &str = r#"{"field": "status", "operator": "eq", "value": "active"}"#;

fn push(at: &mut String, step: &str) {
    if !at.is_empty() {
        at.push('.');
    }
    at.push_str(step);
}

pub(super) fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a truth value",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

impl<'a> Scope<'a> {
    /// A scope over the catalog, with the zone of conditions that name none.
    pub fn new(catalog: &'a Catalog, zone: chrono_tz::Tz) -> Self {
        Self { catalog, zone }
    }
}
