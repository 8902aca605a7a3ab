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
pub mod dice;
pub mod differential;
pub mod extra_entity;
pub mod finds;
pub mod keys;
pub mod log;
pub mod mutants;
pub mod races;
pub mod rules;
pub mod steady;
pub mod tenants;
pub mod timeline;
pub mod values;

/// One test for each property of the contract. The expression gives the harness and is evaluated for each.
#[macro_export]
macro_rules! contract_properties {
    ($harness:expr) => {
        $crate::__contract_tests! { $harness;
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
            rules::{
                xt_01_every_unique_rule_holds_for_what_it_counts,
                xt_01_of_many_that_take_one_unique_value_one_gets_it,
                cm_02_the_primary_contact_is_handed_on_in_one_change_set,
                xt_01_every_link_leads_to_a_record_of_the_same_tenant,
                cm_04_parents_and_children_come_in_one_change_set,
                xt_01_links_to_any_entity_are_kept_and_found,
            }
            tenants::{
                xt_01_no_read_sees_another_tenants_data,
                xt_01_two_tenants_with_the_same_ids_read_their_own,
                xt_01_no_write_touches_another_tenants_data,
                xt_01_conditions_see_only_their_own_tenant,
            }
            keys::{
                xt_03_a_key_gives_its_first_result_and_nothing_is_written_again,
                xt_03_a_failed_change_set_keeps_no_key,
                xt_03_of_many_with_one_key_one_is_applied,
                xt_03_old_keys_are_forgotten,
            }
            mutants::{
                xt_01_another_tenants_words_find_nothing,
                xt_02_all_answers_of_a_call_are_of_one_moment,
                xt_02_expectations_that_contradict_each_other_are_a_conflict,
                xt_02_rows_sealed_one_by_one_are_in_order,
                xt_02_versions_are_in_order_whatever_the_clocks_said,
                xt_03_a_keyed_change_set_of_nothing_committed_again_is_a_success,
                xt_07_a_long_change_set_and_a_deletion_exclude_each_other,
            }
            values::{
                xt_06_generated_records_come_back_exactly,
                xt_06_updates_come_back_exactly,
                xt_06_decimals_are_never_fractions_of_two,
                xt_06_what_is_empty_comes_back_as_missing,
            }
            finds::{
                lc_08_finds_come_in_their_order,
                cm_11_records_are_found_by_their_words,
                cm_01_deleted_records_are_read_when_asked_for,
                xt_01_questions_beyond_the_contract_are_refused,
                tl_07_groups_count_and_sum_exactly,
                cm_04_hierarchies_are_read_up_and_down,
                lc_08_generated_questions_have_the_answer_of_the_core,
            }
            timeline::{
                tl_01_rows_come_change_and_go_with_their_records,
                tl_03_pages_of_any_size_read_each_row_once,
                tl_01_a_deleted_customer_hides_its_entries_everywhere,
                tl_02_entries_are_found_by_the_words_of_their_records,
                tl_02_viewers_and_filters_are_those_of_the_core,
            }
            log::{
                xt_02_sealing_numbers_and_chains_the_log,
                pr_08_log_rows_come_back_as_they_were_written,
                pr_08_erasing_private_parts_keeps_the_chain,
                xt_02_readers_see_every_row_once_in_one_order_while_others_write,
                xt_02_concurrent_sealers_number_each_row_once,
                xt_02_acknowledged_positions_never_move_back,
                xt_02_a_commit_wakes_those_who_listen,
            }
            steady::{
                xt_02_the_reads_of_one_call_see_one_state,
                xt_09_a_scan_is_all_pages_in_one,
                xt_09_a_scan_gives_untouched_records_exactly_once,
            }
            differential::{
                xt_01_random_work_has_the_same_outcome_as_on_another_store,
            }
        }
    };
}

/// The tests that [`contract_properties!`](crate::contract_properties) lists.
#[doc(hidden)]
#[macro_export]
macro_rules! __contract_tests {
    ($harness:expr; $($module:ident::{ $($property:ident),+ $(,)? })+) => {
        mod contract {
            use super::*;
            $($(
                #[tokio::test(flavor = "multi_thread")]
                async fn $property() {
                    $crate::contract::$module::$property(&$harness).await;
                }
            )+)+
        }
    };
}
