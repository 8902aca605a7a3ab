//! A record of any entity, by name and id.

use std::borrow::Cow;

use uuid::Uuid;

use crate::catalog::Kind;
use crate::record::FieldValue;
use crate::value::Value;

/// A record of any entity of the catalog. As text it is the entity's name, a colon and the id.
///
/// ```
/// use crm_core::record::RecordRef;
/// let text = "contact:00000000-0000-0000-0000-000000000007";
/// let contact: RecordRef = text.parse().unwrap();
/// assert_eq!((contact.entity.as_ref(), contact.to_string()), ("contact", text.to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordRef {
    /// The entity's name.
    pub entity: Cow<'static, str>,
    /// The id.
    pub id: Uuid,
}

impl RecordRef {
    /// A record of an entity.
    pub fn new(entity: impl Into<Cow<'static, str>>, id: Uuid) -> Self {
        Self { entity: entity.into(), id }
    }
}

impl From<(&'static str, Uuid)> for RecordRef {
    fn from((entity, id): (&'static str, Uuid)) -> Self {
        Self::new(entity, id)
    }
}

impl std::fmt::Display for RecordRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.entity, self.id)
    }
}

impl std::str::FromStr for RecordRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(entity, id)| Some((entity, id.parse().ok()?)));
        let (entity, id) = parsed.ok_or_else(|| format!("{text:?} is not an entity, a colon and a UUID"))?;
        Ok(Self::new(entity.to_owned(), id))
    }
}

impl FieldValue for Vec<RecordRef> {
    const REQUIRED: bool = false;
    fn kind() -> Kind {
        // The name of an entity has at most 48 characters, a UUID 36.
        Kind::List { max_items: 100, max_len: 85 }
    }
    fn to_value(&self) -> Value {
        self.iter().map(ToString::to_string).collect::<Vec<_>>().to_value()
    }
    fn from_value(value: &Value) -> Result<Self, String> {
        Vec::<String>::from_value(value)?.iter().map(|text| text.parse()).collect()
    }
}
