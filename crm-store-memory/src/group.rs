//! Counts and sums by group.

use std::collections::BTreeMap;

use crm_core::criteria::{Matcher, Path};
use crm_core::record::Record;
use crm_core::store::{Group, GroupQuery, Measure, StoreError};
use crm_core::value::Value;
use rust_decimal::Decimal;

use crate::key;
use crate::tenant::Tenant;

/// A measure under way.
enum Running {
    Count(i64),
    Sum(ExactSum),
    Min(Value),
    Max(Value),
}

/// A sum of decimals without rounding: whole units, and units of the 28th digit after the point.
#[derive(Default)]
struct ExactSum {
    whole: i128,
    fraction: i128,
}

const DIGITS: u32 = 28;
const UNIT: i128 = 10_i128.pow(DIGITS);

impl Tenant {
    /// The groups in order of their values.
    pub(crate) fn group(&self, query: &GroupQuery) -> Result<Vec<Group>, StoreError> {
        let mut groups: BTreeMap<Vec<u8>, (Vec<Value>, Vec<Running>)> = BTreeMap::new();
        let start = || query.measures.iter().map(Running::new).collect::<Vec<_>>();
        if query.by.is_empty() {
            groups.insert(Vec::new(), (Vec::new(), start()));
        }
        let mut at = Vec::new();
        let matcher = Matcher::new(&query.filter);
        for record in self.candidates(query.def.name, &query.filter) {
            if !matcher.holds(record, self) {
                continue;
            }
            at.clear();
            for path in &query.by {
                key::push(&mut at, path.value(record, self));
            }
            if let Some((_, running)) = groups.get_mut(&at) {
                self.add(running, &query.measures, record)?;
                continue;
            }
            if groups.len() == query.limit {
                let why =
                    format!("there are more than {} groups; narrow the filter or group by less", query.limit);
                return Err(StoreError::Refused { why });
            }
            let by = query.by.iter().map(|path| present(path.value(record, self))).collect();
            let mut running = start();
            self.add(&mut running, &query.measures, record)?;
            groups.insert(at.clone(), (by, running));
        }
        let finish = |(by, running): (Vec<Value>, Vec<Running>)| {
            let measures = running.into_iter().map(Running::finish).collect::<Result<_, _>>()?;
            Ok(Group { by, measures })
        };
        groups.into_values().map(finish).collect()
    }

    fn add(&self, running: &mut [Running], measures: &[Measure], record: &Record) -> Result<(), StoreError> {
        for (running, measure) in running.iter_mut().zip(measures) {
            running.add(|path| path.value(record, self), measure)?;
        }
        Ok(())
    }
}

impl Running {
    fn new(measure: &Measure) -> Self {
        match measure {
            Measure::Count => Self::Count(0),
            Measure::Sum(_) => Self::Sum(ExactSum::default()),
            Measure::Min(_) => Self::Min(Value::Null),
            Measure::Max(_) => Self::Max(Value::Null),
        }
    }

    fn add<'a>(&mut self, value: impl Fn(&Path) -> &'a Value, measure: &Measure) -> Result<(), StoreError> {
        match (self, measure) {
            (Self::Count(count), _) => *count += 1,
            (Self::Sum(sum), Measure::Sum(path)) => match value(path) {
                Value::Decimal(number) => sum.add(*number)?,
                Value::Int(number) => sum.add(Decimal::from(*number))?,
                _ => {}
            },
            (Self::Min(least), Measure::Min(path)) => {
                let value = value(path);
                if !value.is_missing() && (least.is_missing() || value.sort_order(least).is_lt()) {
                    *least = value.clone();
                }
            }
            (Self::Max(most), Measure::Max(path)) => {
                let value = value(path);
                if value.sort_order(most).is_gt() {
                    *most = value.clone();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Value, StoreError> {
        Ok(match self {
            Self::Count(count) => Value::Int(count),
            Self::Sum(sum) => Value::Decimal(sum.finish()?),
            Self::Min(value) | Self::Max(value) => value,
        })
    }
}

impl ExactSum {
    fn add(&mut self, number: Decimal) -> Result<(), StoreError> {
        let unit = 10_i128.pow(number.scale());
        let mantissa = number.mantissa();
        self.fraction += (mantissa % unit) * 10_i128.pow(DIGITS - number.scale());
        self.whole += mantissa / unit + self.fraction / UNIT;
        self.fraction %= UNIT;
        if self.whole.unsigned_abs() < 1 << 96 { Ok(()) } else { Err(too_large()) }
    }

    fn finish(self) -> Result<Decimal, StoreError> {
        let whole = Decimal::try_from_i128_with_scale(self.whole, 0).map_err(|_| too_large())?;
        let fraction =
            Decimal::try_from_i128_with_scale(self.fraction, DIGITS).map_err(|_| too_large())?.normalize();
        let sum = whole.checked_add(fraction).ok_or_else(too_large)?;
        // The addition rounds what has too many digits.
        if sum.checked_sub(whole) == Some(fraction) { Ok(sum.normalize()) } else { Err(too_large()) }
    }
}

fn present(value: &Value) -> Value {
    if value.is_missing() { Value::Null } else { value.clone() }
}

fn too_large() -> StoreError {
    StoreError::Refused { why: "a sum has more than 28 digits; narrow the filter".to_owned() }
}

#[cfg(test)]
mod tests {
    use crm_core::criteria::Filter;
    use crm_core::store::{Answer, Read};

    use super::*;
    use crate::testing::*;

    async fn groups(store: &crate::MemoryStore, query: GroupQuery) -> Vec<Group> {
        match ask(store, Read::Group(query)).await.unwrap() {
            Answer::Groups(groups) => groups,
            other => panic!("groups expected, {other:?} found"),
        }
    }

    fn all(by: &[&str], measures: Vec<Measure>) -> GroupQuery {
        let by = by.iter().map(|name| path(&CUSTOMER, name)).collect();
        GroupQuery { def: &CUSTOMER, filter: Filter::always(), by, measures, limit: 10 }
    }

    fn decimal(units: i64, scale: u32) -> Value {
        Value::Decimal(Decimal::new(units, scale))
    }

    fn four(path: &Path) -> Vec<Measure> {
        let (sum, min) = (Measure::Sum(path.clone()), Measure::Min(path.clone()));
        vec![Measure::Count, sum, min, Measure::Max(path.clone())]
    }

    #[tokio::test]
    async fn without_records_there_is_one_group_of_zeros_or_none() {
        let store = store();
        let zeros = vec![Value::Int(0), decimal(0, 0), Value::Null, Value::Null];
        let found = groups(&store, all(&[], four(&path(&CUSTOMER, "balance")))).await;
        assert_eq!(found, [Group { by: vec![], measures: zeros }]);
        assert_eq!(groups(&store, all(&["status"], vec![Measure::Count])).await, []);
    }

    #[tokio::test]
    async fn groups_stand_in_order_and_sums_are_exact() {
        let store = store();
        let balance = |n, status: &str, units| {
            let values = [("status", txt(status)), ("balance", decimal(units, 2)), ("currency", txt("EUR"))];
            customer(n, &values)
        };
        let rows =
            [balance(1, "lost", 10), balance(2, "active", 20), balance(3, "lost", 5), customer(4, &[])];
        put(&store, &rows).await;
        let found = groups(&store, all(&["status"], four(&path(&CUSTOMER, "balance")))).await;
        let group = |by, count, sum, min, max| Group {
            by: vec![by],
            measures: vec![Value::Int(count), sum, min, max],
        };
        assert_eq!(
            found,
            [
                group(Value::Null, 1, decimal(0, 0), Value::Null, Value::Null),
                group(txt("active"), 1, decimal(2, 1), decimal(20, 2), decimal(20, 2)),
                group(txt("lost"), 2, decimal(15, 2), decimal(5, 2), decimal(10, 2)),
            ]
        );
        let ints = groups(&store, all(&[], vec![Measure::Sum(path(&CUSTOMER, "version"))])).await;
        assert_eq!(ints[0].measures, [decimal(4, 0)]);
    }

    #[tokio::test]
    async fn groups_take_values_as_stored_and_through_links() {
        let store = store();
        put(&store, &[record(&USER, 9, &[("name", txt("Uma"))])]).await;
        let owned = |n, name: &str| customer(n, &[("name", txt(name)), ("owner_id", Value::Id(id(9)))]);
        put(&store, &[owned(1, "Same"), owned(2, "same")]).await;
        assert_eq!(groups(&store, all(&["name"], vec![])).await.len(), 2);
        let by_owner = groups(&store, all(&["owner_id.name"], vec![Measure::Count])).await;
        assert_eq!(by_owner, [Group { by: vec![txt("Uma")], measures: vec![Value::Int(2)] }]);
    }

    #[tokio::test]
    async fn more_groups_than_the_limit_are_refused() {
        let store = store();
        put(&store, &[customer(1, &[]), customer(2, &[])]).await;
        let ask_for = |limit| ask(&store, Read::Group(GroupQuery { limit, ..all(&["name"], vec![]) }));
        assert!(matches!(ask_for(1).await, Err(StoreError::Refused { .. })));
        assert!(ask_for(2).await.is_ok());
    }

    #[test]
    fn sums_never_round() {
        let mut sum = ExactSum::default();
        let parts = [
            "79228162514264337593543950335",
            "-79228162514264337593543950335",
            "0.0000000000000000000000000001",
        ];
        for part in parts {
            sum.add(part.parse().unwrap()).unwrap();
        }
        assert_eq!(sum.finish(), Ok("0.0000000000000000000000000001".parse().unwrap()));
        let mut sum = ExactSum::default();
        for part in ["79228162514264337593543950335", "0.1"] {
            sum.add(part.parse().unwrap()).unwrap();
        }
        assert!(sum.finish().is_err());
        let mut sum = ExactSum::default();
        for part in ["0.7", "0.7", "-2"] {
            sum.add(part.parse().unwrap()).unwrap();
        }
        assert_eq!(sum.finish(), Ok(Decimal::new(-6, 1)));
    }
}
