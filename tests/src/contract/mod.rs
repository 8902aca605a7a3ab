//! What a store promises, over change sets and reads.
//!
//! Each property is an `async fn` over a [`Harness`](crate::Harness) that panics where the promise is broken; its
//! name begins with the row of the specification that rests on it. [`contract_properties!`](crate::contract_properties)
//! lists them all.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a property fails by a panic"
)]

pub mod atomic;
pub mod bench;
pub mod extra_entity;
pub mod races;

/// One test for each property of the contract. The expression gives the harness and is evaluated for each.
#[macro_export]
macro_rules! contract_properties {
    ($harness:expr) => {
        $crate::contract_tests! { $harness;
            atomic::{
                xt_02_a_change_set_with_one_bad_write_leaves_nothing,
                xt_02_a_change_set_with_one_failed_condition_leaves_nothing,
                xt_02_a_change_set_that_the_contract_forbids_is_refused,
                xt_02_the_largest_change_set_is_applied,
                xt_03_a_change_set_committed_again_changes_nothing,
                xt_03_a_change_set_committed_by_many_at_once_is_applied_once,
                xt_03_a_change_set_of_nothing_is_applied,
            }
            races::{
                cm_01_of_racing_updates_at_one_version_exactly_one_wins,
                cm_01_of_racing_inserts_of_one_id_exactly_one_wins,
                cm_01_no_update_is_lost,
                xt_02_guards_keep_two_change_sets_from_contradicting_each_other,
                xt_07_a_shared_record_is_not_deleted_under_those_who_refer_to_it,
                xt_07_many_who_refer_to_one_shared_record_all_pass,
                xt_02_opposite_orders_do_not_deadlock,
            }
        }
    };
}

/// The tests that [`contract_properties!`](crate::contract_properties) lists.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_tests {
    ($harness:expr; $($module:ident::{ $($property:ident),+ $(,)? })+) => {
        $($(
            #[tokio::test(flavor = "multi_thread")]
            async fn $property() {
                $crate::contract::$module::$property(&$harness).await;
            }
        )+)+
    };
}
