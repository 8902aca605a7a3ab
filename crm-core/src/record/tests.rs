//! Tests of what enters a record.

use proptest::prelude::*;

use crate::catalog::Entity;
use crate::customer::Customer;
use crate::interaction::Interaction;
use crate::record::FieldError;
use crate::value::Value;

fn errors(customer: &Customer) -> Vec<FieldError> {
    customer.to_record().clean()
}

fn named(name: &str) -> Customer {
    Customer { display_name: name.to_owned(), ..Customer::default() }
}

#[test]
fn cm_01_each_wrong_field_is_named_with_what_would_be_accepted() {
    let wrong = Customer {
        email: Some("nobody".to_owned()),
        preferred_language: Some("no such language".to_owned()),
        tags: vec!["x".repeat(51)],
        custom: [("a.b".to_owned(), Value::Bool(true))].into(),
        ..named("")
    };
    let found: Vec<String> = errors(&wrong).into_iter().map(|error| error.field).collect();
    assert_eq!(found, ["display_name", "email", "tags", "preferred_language", "custom"]);
}

#[test]
fn cm_01_text_is_bounded_in_characters_and_free_of_control_characters() {
    assert!(errors(&named(&"ü".repeat(200))).is_empty());
    assert!(errors(&named(&"ü".repeat(201)))[0].why.contains("at most 200"));
    assert!(!errors(&named("a\0b")).is_empty());
    assert!(!errors(&named("two\nlines")).is_empty());
}

#[test]
fn xt_06_instants_are_truncated_to_milliseconds_and_kept_within_four_digit_years() {
    let mut record = Interaction {
        occurred_at: "2024-02-29T12:00:00.123456789Z".parse().unwrap(),
        customer_id: crate::customer::CustomerId(uuid::Uuid::from_u128(1)),
        ..Interaction::default()
    }
    .to_record();
    assert_eq!(record.clean(), []);
    assert_eq!(record.get("occurred_at").to_json(), "2024-02-29T12:00:00.123Z");
    record.set("occurred_at", Value::Instant(chrono::DateTime::<chrono::Utc>::MAX_UTC));
    assert!(record.clean()[0].why.contains("1 to 9999"));
}

proptest! {
    #[test]
    fn cm_01_cleaning_twice_is_cleaning_once(name in "\\PC{1,40}", tags in prop::collection::vec("\\PC{0,20}", 0..5)) {
        let mut once = Customer { tags, ..named(&name) }.to_record();
        prop_assume!(once.clean().is_empty());
        let mut twice = once.clone();
        prop_assert_eq!(twice.clean(), vec![]);
        prop_assert_eq!(&twice, &once);
        let back = Customer::from_record(&once).unwrap();
        prop_assert_eq!(back.to_record(), once);
    }
}

#[test]
fn pr_04_every_personal_field_of_every_entity_has_a_mask_that_is_a_valid_value() {
    for def in crate::standard_entities() {
        let mut record =
            crate::record::Record::new(def, uuid::Uuid::from_u128(7), &crate::record::Meta::default());
        for (place, field) in def.own_fields() {
            if let crate::catalog::Privacy::Personal(mask) = field.privacy {
                record.values[place] = mask.apply(record.id());
            }
        }
        let masked: Vec<&str> = def
            .own_fields()
            .filter(|(_, field)| matches!(field.privacy, crate::catalog::Privacy::Personal(_)))
            .map(|(_, field)| field.name)
            .collect();
        let wrong: Vec<FieldError> =
            record.clean().into_iter().filter(|error| masked.contains(&error.field.as_str())).collect();
        assert_eq!(wrong, [], "{}", def.name);
    }
}
