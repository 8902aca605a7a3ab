//! From factors to a score: the weighted average in whole points, shared out so that the shares add up.

use std::cmp::Reverse;

use rust_decimal::Decimal;

use crate::record::{FieldError, Validate};
use crate::score::model::DECIMALS;
use crate::score::{Breakdown, DEFAULT_LINE, Factors, ScoringModel, Share};

/// A calculated score, not yet anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// 0 to 100, the sum of what the lines add.
    pub value: i64,
    /// What each factor of the model adds.
    pub factors: Breakdown,
    /// No factor is known: the value is the model's default.
    pub needs_review: bool,
}

/// Calculates a score by a model from what is known of a customer (SPEC LC-05; seed 004, WF-LC-002).
///
/// The value is the average of the known factors by their weights, those of missing factors left out, rounded to whole
/// points, halves up. Each factor adds its part of it rounded down, and the points that this leaves go to the largest
/// remainders, the first by name among equals (Hamilton's method of the largest remainder): so the parts add up
/// to the value, a factor of 0 adds nothing, and a factor that rises never lowers the value.
///
/// # Errors
///
/// Names what is wrong with the model, a factor that is none of the model's, and a value that is not of 0 to 100.
///
/// ```
/// use crm_core::score::{Factors, ScoringModel, weigh};
/// let known = [("login_frequency", 85), ("support_tickets", 90), ("payment_history", 100), ("feature_adoption", 60)];
/// let known: Factors = known.map(|(name, value)| (name.to_owned(), value.into())).into();
/// let weighed = weigh(&ScoringModel::health(), &known)?;
/// assert_eq!(weighed.value, 83);
/// assert_eq!(weighed.factors["payment_history"].weighted, 30);
/// # Ok::<(), Vec<crm_core::record::FieldError>>(())
/// ```
pub fn weigh(model: &ScoringModel, known: &Factors) -> Result<Weighed, Vec<FieldError>> {
    let mut errors = model.check();
    errors.extend(known.iter().filter_map(|(name, value)| refused(model, name, *value)));
    if !errors.is_empty() {
        return Err(errors);
    }
    if known.is_empty() {
        let share = Share { weight: None, raw: None, weighted: model.default_score };
        let factors = Breakdown::from([(DEFAULT_LINE.to_owned(), share)]);
        return Ok(Weighed { value: model.default_score, factors, needs_review: true });
    }
    let mut factors = Breakdown::new();
    let (mut parts, mut whole) = (Vec::new(), 0);
    for (name, weight) in &model.factors {
        let raw = known.get(name).map(|value| value.round_dp(DECIMALS).normalize());
        let share = Share { weight: Some(weight.normalize()), raw, weighted: 0 };
        factors.insert(name.clone(), share);
        if let Some(raw) = raw {
            whole += millionths(*weight) * millionths(Decimal::ONE);
            parts.push((name, millionths(*weight) * millionths(raw)));
        }
    }
    // All of it in whole numbers: a part is this many of `whole`.
    let total: i128 = parts.iter().map(|(_, part)| part).sum();
    let value = points((2 * total + whole) / (2 * whole));
    let mut open = value - parts.iter().map(|(_, part)| points(part / whole)).sum::<i64>();
    parts.sort_by_key(|(name, part)| (Reverse(part % whole), *name));
    for (name, part) in parts {
        let more = i64::from(open > 0);
        open -= more;
        if let Some(share) = factors.get_mut(name) {
            share.weighted = points(part / whole) + more;
        }
    }
    Ok(Weighed { value, factors, needs_review: false })
}

fn refused(model: &ScoringModel, name: &str, value: Decimal) -> Option<FieldError> {
    let shown: String = name.chars().take(64).collect();
    if !model.factors.contains_key(name) {
        let names: Vec<&str> = model.factors.keys().map(String::as_str).collect();
        let why = format!("is no factor of the model {:?}; accepted are {}", model.name, names.join(", "));
        return Some(FieldError::new(format!("factors.{shown}"), why));
    }
    let accepted = (Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&value);
    (!accepted)
        .then(|| FieldError::new(format!("factors.{shown}"), format!("is {value}; accepted are 0 to 100")))
}

/// A number of at most six decimals and twelve digits as a whole number of millionths.
fn millionths(number: Decimal) -> i128 {
    let mut number = number;
    number.rescale(DECIMALS);
    number.mantissa()
}

/// A whole number of 0 to 100.
fn points(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::score::{Grade, ScoreType, sum};

    fn model(weights: &[(&str, &str)]) -> ScoringModel {
        let weights = weights.iter().map(|(name, weight)| ((*name).to_owned(), weight.parse().unwrap()));
        ScoringModel::new("A model", ScoreType::Health, weights.collect())
    }

    fn known(values: &[(&str, &str)]) -> Factors {
        values.iter().map(|(name, value)| ((*name).to_owned(), value.parse().unwrap())).collect()
    }

    fn weighted(weighed: &Weighed) -> Vec<i64> {
        weighed.factors.values().map(|share| share.weighted).collect()
    }

    #[test]
    fn lc_05_the_example_of_the_seed() {
        let weighed = weigh(
            &ScoringModel::health(),
            &known(&[
                ("login_frequency", "85"),
                ("support_tickets", "90"),
                ("payment_history", "100"),
                ("feature_adoption", "60"),
            ]),
        )
        .unwrap();
        // By name: adoption, logins, payments, tickets.
        assert_eq!((weighed.value, weighted(&weighed)), (83, vec![18, 17, 30, 18]));
    }

    #[test]
    fn lc_05_remainders_go_to_the_largest_and_then_by_name() {
        let thirds = model(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let weighed = weigh(&thirds, &known(&[("a", "100"), ("b", "100"), ("c", "100")])).unwrap();
        assert_eq!((weighed.value, weighted(&weighed)), (100, vec![34, 33, 33]));
        let weighed = weigh(&thirds, &known(&[("a", "0"), ("b", "1"), ("c", "0.5")])).unwrap();
        assert_eq!((weighed.value, weighted(&weighed)), (1, vec![0, 1, 0]), "a half is rounded up");
        let weighed = weigh(&thirds, &known(&[("a", "0"), ("b", "1"), ("c", "0.499999")])).unwrap();
        assert_eq!((weighed.value, weighted(&weighed)), (0, vec![0, 0, 0]));
    }

    #[test]
    fn lc_05_what_is_not_known_does_not_weigh() {
        let model = model(&[("logins", "0.2"), ("tickets", "0.3"), ("payments", "0.5")]);
        let weighed = weigh(&model, &known(&[("logins", "90"), ("tickets", "40")])).unwrap();
        assert_eq!((weighed.value, weighed.needs_review), (60, false));
        assert!(weighed.factors["payments"].is_missing() && !weighed.factors["logins"].is_missing());
        let none = weigh(&model, &Factors::new()).unwrap();
        assert_eq!((none.value, none.needs_review, none.factors.len()), (50, true, 1));
        assert_eq!(serde_json::json!(none.factors), serde_json::json!({ "default": { "weighted": 50 } }));
    }

    #[test]
    fn lc_05_wrong_factors_and_models_are_refused_by_name() {
        let good = model(&[("a", "1"), ("b", "0.000001")]);
        let too_many: Vec<(String, String)> = (0..51).map(|n| (format!("f{n}"), "1".to_owned())).collect();
        let too_many: Vec<_> =
            too_many.iter().map(|(name, weight)| (name.as_str(), weight.as_str())).collect();
        let long = "x".repeat(65);
        for weights in [
            &[][..],
            &too_many,
            &[("", "1")],
            &[("Logins", "1")],
            &[("lo gins", "1")],
            &[("löwe", "1")],
            &[("a\0", "1")],
            &[("default", "1")],
            &[(&long, "1")],
            &[("a", "0")],
            &[("a", "-1")],
            &[("a", "1000000.000001")],
            &[("a", "0.0000001")],
        ] {
            let errors = weigh(&model(weights), &Factors::new()).unwrap_err();
            assert_eq!((errors.len(), errors[0].field.as_str()), (1, "factors"), "{errors:?}");
            assert!(errors[0].to_string().contains("accepted") || weights[0].0 == "default", "{errors:?}");
        }
        assert!(model(&[(&"x".repeat(64), "1000000")]).check().is_empty());
        for (name, value) in
            [("a", "-0.000001"), ("a", "100.000001"), ("b", "79228162514264337593543950335"), ("c", "1")]
        {
            let errors = weigh(&good, &known(&[(name, value)])).unwrap_err();
            assert_eq!(errors[0].field, format!("factors.{name}"));
        }
        let rounded = weigh(&good, &known(&[("a", "33.3333333333333333333333")])).unwrap();
        assert_eq!(rounded.factors["a"].raw, Some("33.333333".parse().unwrap()));
    }

    #[test]
    fn lc_05_grades_begin_at_20_40_60_and_80() {
        let grades = [0, 19, 20, 39, 40, 59, 60, 79, 80, 100].map(|value| Grade::of(value).code());
        assert_eq!(grades, ["F", "F", "D", "D", "C", "C", "B", "B", "A", "A"]);
        assert!(Grade::A > Grade::B && Grade::D > Grade::F);
    }

    /// Weights in millionths, values in millionths or none.
    fn cases() -> impl Strategy<Value = Vec<(i64, Option<i64>)>> {
        let weight = prop_oneof![1..=1_000_000_000_000_i64, 1..=3_000_000_i64, Just(1_i64)];
        let value = prop_oneof![0..=100_000_000_i64, (0..=100_i64).prop_map(|n| n * 1_000_000)];
        proptest::collection::vec((weight, proptest::option::weighted(0.8, value)), 1..=50)
    }

    fn of(case: &[(i64, Option<i64>)]) -> (ScoringModel, Factors) {
        let name = |n: usize| format!("f{n:02}");
        let weights = case.iter().enumerate().map(|(n, (weight, _))| (name(n), Decimal::new(*weight, 6)));
        let known = case.iter().enumerate();
        let known = known.filter_map(|(n, (_, value))| Some((name(n), Decimal::new((*value)?, 6))));
        (ScoringModel::new("Any", ScoreType::Health, weights.collect()), known.collect())
    }

    proptest! {
        #[test]
        fn lc_05_a_score_is_the_rounded_average_and_the_sum_of_its_factors(case in cases()) {
            let (model, known) = of(&case);
            let weighed = weigh(&model, &known).unwrap();
            prop_assert_eq!(sum(&weighed.factors), weighed.value);
            prop_assert!((0..=100).contains(&weighed.value));
            prop_assert_eq!(weighed.needs_review, known.is_empty());
            let (mut total, mut whole) = (Decimal::ZERO, Decimal::ZERO);
            for (name, value) in &known {
                total += model.factors[name] * value;
                whole += model.factors[name];
            }
            if known.is_empty() {
                prop_assert_eq!(weighed.value, model.default_score);
            } else {
                let away = (Decimal::from(weighed.value) * whole - total) * Decimal::TWO;
                prop_assert!(away > -whole && away <= whole, "not the nearest point, halves up");
                for (name, weight) in &model.factors {
                    let share = &weighed.factors[name];
                    let exact = known.get(name).map_or(Decimal::ZERO, |value| weight * value);
                    let off = Decimal::from(share.weighted) * whole - exact;
                    prop_assert!(off.abs() < whole, "more than a point from its part");
                    prop_assert_eq!(share.is_missing(), !known.contains_key(name));
                }
            }
        }

        #[test]
        fn lc_05_a_factor_that_rises_never_lowers_the_score(case in cases(), at in 0..50_usize, by in 0..=100_000_000_i64) {
            let (model, known) = of(&case);
            let mut higher = case.clone();
            let at = at % case.len();
            higher[at].1 = higher[at].1.map(|value| (value + by).min(100_000_000));
            let (_, more) = of(&higher);
            prop_assert!(weigh(&model, &more).unwrap().value >= weigh(&model, &known).unwrap().value);
        }

        #[test]
        fn lc_05_only_the_proportion_of_weights_counts(case in cases(), times in 1..=7_i64) {
            let small: Vec<_> = case.iter().map(|(weight, value)| (weight % 100_000_000_000 + 1, *value)).collect();
            let large: Vec<_> = small.iter().map(|(weight, value)| (weight * times, *value)).collect();
            let known: Vec<_> = small.iter().filter(|(_, value)| value.is_some()).copied().collect();
            let weighed = |case: &[(i64, Option<i64>)]| {
                let (model, known) = of(case);
                weigh(&model, &known).unwrap()
            };
            prop_assert_eq!(weighted(&weighed(&small)), weighted(&weighed(&large)));
            if !known.is_empty() {
                prop_assert_eq!(weighed(&small).value, weighed(&known).value, "missing factors do not weigh");
            }
        }
    }
}
