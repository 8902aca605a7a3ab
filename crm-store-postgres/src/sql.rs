//! Statements with their values.

use sqlx::postgres::{PgArguments, Postgres};
use sqlx::{Arguments, AssertSqlSafe, Encode, Type};

/// The values of a statement in the making; each is given its `$n`.
#[derive(Debug, Default)]
pub(crate) struct Args {
    values: PgArguments,
    count: usize,
    failed: bool,
}

impl Args {
    /// Adds a value and returns its placeholder.
    pub(crate) fn bind<'q, T>(&mut self, value: T) -> String
    where
        T: Encode<'q, Postgres> + Type<Postgres>,
    {
        self.failed |= self.values.add(value).is_err();
        self.count += 1;
        format!("${}", self.count)
    }

    /// The statement of this text.
    pub(crate) fn into_sql(self, text: String) -> Sql {
        Sql { text, args: self }
    }
}

/// A statement ready to run. Its text depends on the shape of the question only, never on its values, so that
/// the server's prepared statements are found again.
#[derive(Debug)]
pub(crate) struct Sql {
    text: String,
    args: Args,
}

impl Sql {
    /// The same values with another text around this one's.
    pub(crate) fn wrap(self, text: impl FnOnce(&str) -> String) -> Self {
        Self { text: text(&self.text), args: self.args }
    }

    /// The query for the driver.
    pub(crate) fn query(self) -> Result<sqlx::query::Query<'static, Postgres, PgArguments>, sqlx::Error> {
        if self.args.failed {
            return Err(sqlx::Error::Encode("a value cannot be sent".into()));
        }
        // The text is made of names that the catalog has checked and of placeholders.
        Ok(sqlx::query_with(AssertSqlSafe(self.text), self.args.values))
    }
}

/// The smallest text above every text with this prefix, in binary order; `None` when there is none.
pub(crate) fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// A list of text in the form that PostgreSQL reads: array columns travel so inside `UNNEST`, which would flatten
/// an array of arrays.
pub(crate) fn array_literal(items: &[String]) -> String {
    let mut text = String::with_capacity(2 + items.iter().map(|item| item.len() + 3).sum::<usize>());
    text.push('{');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        text.push('"');
        for c in item.chars() {
            if matches!(c, '"' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push('"');
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::{after_prefix, array_literal};

    #[test]
    fn a_prefix_ends_where_the_next_one_begins() {
        assert_eq!(after_prefix("ab").as_deref(), Some("ac"));
        assert_eq!(after_prefix("a\u{D7FF}").as_deref(), Some("a\u{E000}"));
        assert_eq!(after_prefix("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10FFFF}"), None);
    }

    #[test]
    fn list_items_cannot_break_out() {
        let items = ["a,b".to_owned(), "\"\\{}".to_owned(), "NULL".to_owned(), String::new()];
        assert_eq!(array_literal(&items), r#"{"a,b","\"\\{}","NULL",""}"#);
        assert_eq!(array_literal(&[]), "{}");
    }
}
