//! Counts and sums by group.

use std::collections::BTreeMap;

use crm_core::criteria::Path;
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
        for record in self.candidates(query.def.name, &query.filter) {
            if !query.filter.holds(record, self) {
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
