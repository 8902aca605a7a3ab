//! What is asked of one value, prepared for being asked often.

use std::cmp::Ordering;

use memchr::memmem::Finder;
use uuid::Uuid;

use crate::catalog::Kind;
use crate::criteria::tree::Weight;
use crate::criteria::{Path, Test};
use crate::format::{fold, folded_starts_with, with_folded};
use crate::value::{Instant, Value};

/// A [`Test`], sorted by the type of its literals.
#[derive(Clone, Debug)]
pub(super) enum Probe {
    /// Nothing passes.
    Nothing,
    /// What is not missing.
    Present,
    /// This truth value.
    Bool(bool),
    /// This id.
    Id(Uuid),
    /// One of these ids, which are sorted.
    Ids(Vec<Uuid>),
    /// This text.
    Text(Box<[u8]>),
    /// One of these texts, which are sorted.
    Texts(Vec<Box<[u8]>>),
    /// One of these values.
    Values(Vec<Value>),
    /// An instant on this side of the bound.
    Instant(Side, Instant),
    /// A value on this side of the bound.
    Bound(Side, Value),
    /// Text that contains this one, or a list with it.
    Contains(Box<Finder<'static>>),
    /// Text that starts with this one; whether that one is ASCII and folded.
    StartsWith(Box<[u8]>, bool),
}

/// A side of a bound.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Below,
    UpTo,
    Above,
    From,
}

/// Up to so many texts are looked through faster than searched.
const FEW: usize = 8;

impl Probe {
    pub(super) fn new(test: &Test) -> Self {
        match test {
            Test::Exists => Self::Present,
            Test::In(values) => Self::one_of(values),
            Test::Lt(bound) => Self::bound(Side::Below, bound),
            Test::Le(bound) => Self::bound(Side::UpTo, bound),
            Test::Gt(bound) => Self::bound(Side::Above, bound),
            Test::Ge(bound) => Self::bound(Side::From, bound),
            Test::Contains(part) => Self::Contains(Box::new(Finder::new(part).into_owned())),
            Test::StartsWith(part) => Self::StartsWith(bytes(part), part.is_ascii() && fold(part) == *part),
        }
    }

    fn one_of(values: &[Value]) -> Self {
        match values {
            [] => return Self::Nothing,
            [Value::Bool(truth)] => return Self::Bool(*truth),
            [Value::Id(id)] => return Self::Id(*id),
            [Value::Text(text)] => return Self::Text(bytes(text)),
            _ => {}
        }
        if let Some(mut ids) = values.iter().map(Value::as_id).collect::<Option<Vec<_>>>() {
            ids.sort_unstable();
            return Self::Ids(ids);
        }
        if let Some(texts) = values.iter().map(Value::as_text).collect::<Option<Vec<_>>>() {
            let mut texts: Vec<Box<[u8]>> = texts.into_iter().map(bytes).collect();
            texts.sort_unstable();
            return Self::Texts(texts);
        }
        Self::Values(values.to_vec())
    }

    fn bound(side: Side, bound: &Value) -> Self {
        match bound {
            Value::Instant(at) => Self::Instant(side, *at),
            other => Self::Bound(side, other.clone()),
        }
    }

    /// Whether a value passes. A text is compared as it is.
    #[inline]
    pub(super) fn passes(&self, value: &Value) -> bool {
        if let Value::Text(text) = value {
            return self.passes_text(text.as_bytes());
        }
        match self {
            Self::Present => !value.is_missing(),
            Self::Bool(truth) => matches!(value, Value::Bool(found) if found == truth),
            Self::Id(id) => matches!(value, Value::Id(found) if found == id),
            Self::Ids(ids) => matches!(value, Value::Id(found) if ids.binary_search(found).is_ok()),
            Self::Values(values) => values.iter().any(|item| value.compare(item) == Some(Ordering::Equal)),
            Self::Instant(side, bound) => matches!(value, Value::Instant(at) if side.has(at.cmp(bound))),
            Self::Bound(side, bound) => value.compare(bound).is_some_and(|order| side.has(order)),
            Self::Contains(part) => {
                matches!(value, Value::List(items) if items.iter().any(|item| item.as_bytes() == part.needle()))
            }
            Self::Nothing | Self::Text(_) | Self::Texts(_) | Self::StartsWith(..) => false,
        }
    }

    /// Whether the folded form of a text passes.
    pub(super) fn passes_folded(&self, text: &str) -> bool {
        match self {
            Self::StartsWith(part, true) => folded_starts_with(text, part),
            _ => with_folded(text, |folded| self.passes_text(folded)),
        }
    }

    /// Whether a text passes; given as bytes, in whose order texts compare.
    pub(super) fn passes_text(&self, text: &[u8]) -> bool {
        let same = |value: &Value| matches!(value, Value::Text(value) if value.as_bytes() == text);
        if text.is_empty() {
            return false;
        }
        match self {
            Self::Present => true,
            Self::Text(only) => **only == *text,
            Self::Texts(texts) if texts.len() <= FEW => texts.iter().any(|one| **one == *text),
            Self::Texts(texts) => texts.binary_search_by(|one| (**one).cmp(text)).is_ok(),
            Self::Values(values) => values.iter().any(same),
            Self::Bound(side, Value::Text(bound)) => side.has(text.cmp(bound.as_bytes())),
            Self::Contains(part) => part.find(text).is_some(),
            Self::StartsWith(part, _) => text.starts_with(part),
            Self::Nothing
            | Self::Bool(_)
            | Self::Id(_)
            | Self::Ids(_)
            | Self::Instant(..)
            | Self::Bound(..) => false,
        }
    }

    /// What it costs, in half misses of the cache, and how often it passes where nothing is known of the records.
    /// The shares are the usual guesses: Selinger et al., "Access path selection", 1979.
    pub(super) fn weight(&self, path: &Path) -> Weight {
        let codes = |some: usize| match path.field_def().kind {
            Kind::Enum { codes, .. } => some as f32 / codes.len().max(1) as f32,
            _ => (some as f32 / 10.0).min(0.5),
        };
        let (cost, holds) = match self {
            Self::Nothing => (0.0, 0.0),
            Self::Present | Self::Bool(_) => (2.0, 0.5),
            Self::Id(_) => (2.0, 0.1),
            Self::Ids(ids) => (3.0, codes(ids.len())),
            Self::Instant(..) => (2.0, 1.0 / 3.0),
            Self::Bound(..) => (3.0, 1.0 / 3.0),
            Self::Text(_) => (4.0, codes(1)),
            Self::Texts(texts) => (4.0, codes(texts.len())),
            Self::Values(values) => (4.0, codes(values.len())),
            Self::Contains(_) => (6.0, 0.2),
            Self::StartsWith(..) => (5.0, 0.1),
        };
        let folded = if self.reads_folded(path) { 1.0 } else { 0.0 };
        // The way to it: a map with its keys, or trees of records.
        let (custom, given) = if path.custom.is_some() { (10.0, 0.5) } else { (0.0, 1.0) };
        let links = 20.0 * path.links.len() as f32;
        Weight { cost: cost + folded + custom + links, holds: holds * given }
    }

    /// Whether it is asked of the folded text.
    pub(super) fn reads_folded(&self, path: &Path) -> bool {
        path.field_def().folded && !matches!(self, Self::Present)
    }
}

impl Side {
    fn has(self, order: Ordering) -> bool {
        match self {
            Self::Below => order.is_lt(),
            Self::UpTo => order.is_le(),
            Self::Above => order.is_gt(),
            Self::From => order.is_ge(),
        }
    }
}

fn bytes(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}
