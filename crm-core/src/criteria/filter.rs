//! The tree that stores push down.

use crate::catalog::{Catalog, EntityDef, FieldDef};
use crate::value::Value;

/// A condition on records of one entity, at one instant.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All hold; true for none.
    All(Vec<Filter>),
    /// At least one holds; false for none.
    Any(Vec<Filter>),
    /// It does not hold. A missing value makes a leaf false and so this true.
    Not(Box<Filter>),
    /// One field.
    Leaf(Leaf),
}

/// One field and what is asked of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Which field.
    pub path: Path,
    /// What of it.
    pub test: Test,
}

/// A field, through any number of to-one links. A link that is missing or leads nowhere makes the value missing;
/// a linked record that is deleted still has its values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The links to follow: the entity that holds each and the place of its field. The place of the id stands for the
    /// way to a record that completes this one and has the same id ([`EntityDef::extends`]).
    pub links: Vec<(&'static EntityDef, usize)>,
    /// The entity that has the field.
    pub def: &'static EntityDef,
    /// The place of the field.
    pub field: usize,
    /// The key, when the field is [`Kind::Custom`](crate::catalog::Kind::Custom).
    pub custom: Option<String>,
}

/// What is asked of a value. Literals are of the field's type, folded where the field is; for custom fields the
/// literal's type must be the value's, or the answer is false.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// It is not missing.
    Exists,
    /// It equals one of these; false for none. On a list: never used.
    In(Vec<Value>),
    /// It is less.
    Lt(Value),
    /// It is less or equal.
    Le(Value),
    /// It is greater.
    Gt(Value),
    /// It is greater or equal.
    Ge(Value),
    /// The text contains this one, which is not empty; a list has this item exactly.
    Contains(String),
    /// The text starts with this one, which is not empty.
    StartsWith(String),
}

impl Path {
    /// The path of an own field of an entity, by name.
    pub fn own(def: &'static EntityDef, name: &str) -> Option<Self> {
        def.index_of(name).map(|field| Self { links: Vec::new(), def, field, custom: None })
    }

    /// The path of a system field.
    pub fn system(def: &'static EntityDef, field: usize) -> Self {
        Self { links: Vec::new(), def, field, custom: None }
    }

    /// The field's declaration.
    pub fn field_def(&self) -> &'static FieldDef {
        &self.def.fields[self.field]
    }
}

impl Filter {
    /// True for every record.
    pub fn always() -> Self {
        Self::All(Vec::new())
    }

    /// A leaf.
    pub fn leaf(path: Path, test: Test) -> Self {
        Self::Leaf(Leaf { path, test })
    }

    /// The field, by name, equals the value. `None` when the entity has no such field.
    pub fn eq(def: &'static EntityDef, name: &str, value: Value) -> Option<Self> {
        Path::own(def, name).map(|path| Self::leaf(path, Test::In(vec![value])))
    }

    /// Both hold.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All(mut a), Self::All(b)) => {
                a.extend(b);
                Self::All(a)
            }
            (Self::All(mut a), other) => {
                a.push(other);
                Self::All(a)
            }
            (first, Self::All(mut b)) => {
                b.insert(0, first);
                Self::All(b)
            }
            (first, other) => Self::All(vec![first, other]),
        }
    }

    /// Only records that are not deleted themselves.
    pub fn undeleted(def: &'static EntityDef) -> Self {
        let deleted = Self::leaf(Path::system(def, crate::catalog::system::DELETED_AT), Test::Exists);
        Self::Not(Box::new(deleted))
    }

    /// Only live records, of live customers: what every ordinary read asks.
    pub fn live(catalog: &Catalog, def: &'static EntityDef) -> Self {
        use crate::catalog::system::DELETED_AT;
        let live = |path| Self::Not(Box::new(Self::leaf(path, Test::Exists)));
        let mut all = vec![live(Path::system(def, DELETED_AT))];
        if let Some(links) = catalog.root_path(def)
            && let Some((holder, place)) = links.last()
            && let Some(root) = catalog.target(&holder.fields[*place].kind)
        {
            all.push(live(Path { links, def: root, field: DELETED_AT, custom: None }));
        }
        Self::All(all)
    }
}
