//! What is known of a field: its type, limits, comparison, search and privacy rule.

use crate::value::Value;

/// A field of an entity.
#[derive(Clone, Debug)]
pub struct FieldDef {
    /// The name in records, columns, documents and criteria paths.
    pub name: &'static str,
    /// Type and limits.
    pub kind: Kind,
    /// Whether a record without it is refused.
    pub required: bool,
    /// Compared, ordered and made unique by its folded form ([`crate::format::fold`]): case does not count.
    /// Stores keep the folded form beside the text, in a column or key with the suffix `_fold`.
    pub folded: bool,
    /// Its words are found by search.
    pub search: bool,
    /// Cannot change after the insert.
    pub frozen: bool,
    /// What erasure makes of it.
    pub privacy: Privacy,
}

impl FieldDef {
    /// The column or key that comparisons read: the folded form's where there is one.
    pub fn compare_column(&self) -> std::borrow::Cow<'static, str> {
        if self.folded { format!("{}_fold", self.name).into() } else { self.name.into() }
    }
}

/// The type of a field with its limits.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Yes or no.
    Bool,
    /// A whole number within bounds, both included.
    Int {
        /// The smallest accepted.
        min: i64,
        /// The largest accepted.
        max: i64,
    },
    /// An exact decimal with at most `scale` digits after the point and at most fifteen before it.
    Decimal {
        /// Digits after the point.
        scale: u32,
    },
    /// Text of at most `max` characters, in one of the known formats.
    Text {
        /// Characters (Unicode scalar values), not bytes.
        max: usize,
        /// What the text must look like.
        format: Format,
    },
    /// One of the codes. `ordered` codes compare by their place in the list.
    Enum {
        /// The accepted codes.
        codes: &'static [&'static str],
        /// Whether `lt`, `gt` and the like make sense.
        ordered: bool,
    },
    /// A point in time.
    Instant,
    /// A calendar day.
    Date,
    /// The id of a record of the named entity.
    Link {
        /// The entity's name.
        entity: &'static str,
    },
    /// The id of a record of the entity that another field of this record names.
    AnyLink {
        /// The text or enum field that holds the entity's name.
        entity_in: &'static str,
    },
    /// A UUID that is not a link within the catalog.
    Id,
    /// A set of short texts, kept sorted and without repeats.
    List {
        /// How many at most.
        max_items: usize,
        /// Characters of each at most.
        max_len: usize,
    },
    /// The embedder's own fields by name.
    Custom,
    /// Structured settings; not readable by criteria.
    Json,
}

/// A kind without its limits, as criteria and adapters need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// [`Kind::Bool`].
    Bool,
    /// [`Kind::Int`].
    Int,
    /// [`Kind::Decimal`].
    Decimal,
    /// [`Kind::Text`] and [`Kind::Enum`].
    Text,
    /// [`Kind::Instant`].
    Instant,
    /// [`Kind::Date`].
    Date,
    /// [`Kind::Id`] and the links.
    Id,
    /// [`Kind::List`].
    List,
    /// [`Kind::Custom`].
    Custom,
    /// [`Kind::Json`].
    Json,
}

impl Kind {
    /// The type without limits.
    pub fn field_type(&self) -> FieldType {
        match self {
            Self::Bool => FieldType::Bool,
            Self::Int { .. } => FieldType::Int,
            Self::Decimal { .. } => FieldType::Decimal,
            Self::Text { .. } | Self::Enum { .. } => FieldType::Text,
            Self::Instant => FieldType::Instant,
            Self::Date => FieldType::Date,
            Self::Id | Self::Link { .. } | Self::AnyLink { .. } => FieldType::Id,
            Self::List { .. } => FieldType::List,
            Self::Custom => FieldType::Custom,
            Self::Json => FieldType::Json,
        }
    }
}

/// What a text field accepts beyond its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One line of any text.
    Line,
    /// Any text, line breaks included.
    Block,
    /// An e-mail address, RFC 5321.
    Email,
    /// A telephone number as given, normalised by the entity's rules.
    Phone,
    /// ISO 3166-1 alpha-2.
    Country,
    /// ISO 4217.
    Currency,
    /// An http or https address.
    Url,
    /// A name of the IANA time zone database.
    Zone,
    /// A language tag, BCP 47.
    Language,
}

/// What erasure makes of a field (SPEC PR-04).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Privacy {
    /// Says nothing about a person; kept.
    Keep,
    /// Personal; replaced.
    Personal(Mask),
}

/// What stands in a personal field after erasure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mask {
    /// Nothing.
    Null,
    /// This text.
    Text(&'static str),
    /// This text and the first eight hexadecimal digits of SHA-256 of the record's id.
    Pseudonym(&'static str),
}

impl Mask {
    /// The value that replaces the personal one in the record with this id.
    pub fn apply(self, id: uuid::Uuid) -> Value {
        use sha2::{Digest, Sha256};
        match self {
            Self::Null => Value::Null,
            Self::Text(text) => Value::Text(text.to_owned()),
            Self::Pseudonym(prefix) => {
                let digest = Sha256::digest(id.as_bytes());
                Value::Text(format!(
                    "{prefix}{:02x}{:02x}{:02x}{:02x}",
                    digest[0], digest[1], digest[2], digest[3]
                ))
            }
        }
    }
}
