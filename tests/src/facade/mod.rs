//! What an embedding service sees, over a `Crm`.
//!
//! Each function is one property, named after the row of the specification that it proves. It builds a [`Crm`](crm_core::Crm)
//! (crm_core::Crm) over an empty store of the harness and panics when the property does not hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::large_futures,
    clippy::assigning_clones,
    reason = "these are tests, published as a library"
)]

mod criteria_data;
mod criteria_naive;
mod dice;
mod raw;
mod world;

pub mod accounts;
pub mod addresses;
pub mod approval_refusals;
pub mod approvals;
pub mod approved_steps;
pub mod at_once;
pub mod behavior;
pub mod bulk;
pub mod churn;
pub mod contacts;
mod counting;
pub mod criteria;
pub mod customers;
pub mod directory;
pub mod directory_refusals;
pub mod directory_sync;
pub mod finding;
pub mod hierarchy;
pub mod interactions;
pub mod journey;
pub mod lifecycle;
pub mod log;
pub mod money;
pub mod notes;
pub mod profiles;
pub mod purchases;
pub mod races;
pub mod recalculation;
pub mod refusals;
pub mod related;
pub mod relationships;
pub mod renewals;
pub mod scores;
pub mod segments;
pub mod stages;
pub mod statistics;
pub mod steps;
pub mod sweeping;
pub mod tenants;
pub mod timeline;
pub mod visibility;
pub mod watch;

/// One test for each property of the facade.
#[macro_export]
macro_rules! facade_properties {
    ($harness:expr) => {
        $crate::__facade_tests! { $harness;
            customers::cm_01_a_customer_keeps_every_field_and_counts_its_versions,
            customers::cm_01_a_deleted_customer_hides_all_that_is_read_through_it_and_brings_it_back,
            customers::cm_01_an_external_id_belongs_to_one_live_customer,
            customers::cm_01_an_owner_is_an_active_user_and_a_parent_a_live_customer,
            accounts::cm_03_an_organization_has_one_account_and_a_person_none,
            accounts::cm_03_an_account_is_kept_in_normal_form_and_counts_its_versions,
            accounts::cm_03_a_tax_id_is_checked_by_the_rules_of_its_country,
            accounts::cm_03_customers_are_found_by_their_accounts,
            addresses::cm_05_a_new_default_demotes_the_old_one,
            addresses::cm_05_a_type_has_one_default_whatever_happens_at_once,
            addresses::cm_05_an_address_is_checked_and_read_through_its_customer,
            addresses::cm_05_a_geocoder_fills_the_coordinates_and_never_stands_in_the_way,
            approval_refusals::xt_04_deciding_on_others_requests_takes_a_right_of_its_own,
            approval_refusals::xt_08_what_cannot_be_carried_out_goes_on_waiting,
            approval_refusals::xt_08_wrong_requests_are_refused,
            approvals::xt_08_a_repeat_gives_the_first_result,
            approvals::xt_08_a_request_ends_once_whatever_is_tried,
            approvals::xt_08_a_request_expires_at_its_instant,
            approvals::xt_08_of_many_who_decide_at_once_one_does,
            approvals::xt_08_what_is_approved_is_done_and_the_request_forgotten,
            bulk::cm_10_a_wrong_bulk_deletion_is_refused,
            bulk::cm_10_more_than_a_hundred_customers_are_deleted_after_an_approval,
            bulk::it_01_a_bulk_deletion_deletes_what_a_find_finds,
            bulk::it_01_a_bulk_deletion_takes_what_the_actor_may_see,
            bulk::it_01_what_is_changed_meanwhile_is_judged_again,
            contacts::cm_02_a_customer_has_one_primary_contact_whatever_happens_at_once,
            contacts::cm_02_email_is_checked_and_phone_normalised_in_the_tenants_region,
            contacts::cm_02_a_contact_has_roles_at_further_customers,
            hierarchy::cm_04_the_hierarchy_stays_a_forest_while_many_move_at_once,
            hierarchy::cm_04_a_cycle_and_too_deep_a_hierarchy_are_refused,
            hierarchy::cm_04_a_tree_rolls_up_what_is_below,
            hierarchy::cm_04_a_tree_is_read_whole_while_many_move_at_once,
            relationships::cm_04_relationships_are_unique_dated_and_seen_from_both_ends,
            relationships::cm_04_of_the_same_relationship_there_is_one_and_the_hierarchy_is_elsewhere,
            tenants::xt_01_another_tenants_ids_find_nothing_and_change_nothing,
            tenants::xt_01_the_same_id_in_two_tenants_is_two_records,
            races::cm_01_of_many_with_one_expected_version_exactly_one_wins,
            races::cm_01_without_an_expected_version_all_of_many_changes_are_made,
            races::cm_01_a_child_inserted_while_its_customer_is_deleted_is_refused_or_hidden,
            races::cm_06_an_owner_who_is_deactivated_meanwhile_gets_no_new_customers,
            races::xt_03_a_key_used_many_times_at_once_is_carried_out_once,
            directory::xt_07_what_a_leaver_owned_goes_to_the_nearest_active_manager_or_the_pool,
            directory::xt_07_nothing_is_left_behind_when_many_give_while_some_leave,
            directory::cm_06_many_customers_of_one_owner_are_created_at_once,
            directory::xt_07_a_deactivation_that_was_interrupted_goes_on,
            directory_refusals::cm_10_an_owner_leaves_only_when_somebody_takes_over,
            directory_refusals::cm_10_a_restored_customer_is_with_who_takes_over,
            directory::xt_07_records_of_the_embedders_own_go_with_the_customers,
            directory_refusals::xt_07_a_ring_of_managers_is_refused,
            directory_refusals::xt_07_of_those_who_close_a_ring_at_once_one_is_refused,
            directory_refusals::xt_07_pool_and_data_protection_officer_are_active,
            directory_refusals::xt_07_teams_are_kept_and_users_belong_to_them,
            directory_refusals::xt_07_only_who_administers_changes_the_directory,
            directory_sync::xt_07_a_sync_leaves_what_the_directory_says,
            directory_sync::xt_07_a_sync_tells_what_it_cannot_take_over,
            directory_sync::xt_07_a_sync_does_what_was_interrupted,
            interactions::it_01_an_external_id_of_a_source_is_logged_once,
            interactions::it_01_backdating_is_flagged_and_the_future_refused,
            interactions::it_01_the_contact_belongs_to_the_customer_or_has_a_role_there,
            interactions::it_02_visibility_holds_on_every_path,
            interactions::it_02_logging_a_known_external_id_hands_out_nothing_private,
            notes::it_02_a_note_is_about_a_customer_or_any_record_and_hidden_with_its_customer,
            notes::it_02_what_looks_like_a_card_or_social_security_number_is_flagged_once,
            notes::it_02_each_user_who_is_newly_mentioned_is_told_once,
            notes::it_02_only_its_writer_or_who_overrides_changes_the_visibility,
            notes::it_02_notes_are_found_by_words_of_title_and_content,
            notes::it_02_wrong_notes_are_refused_and_nothing_is_stored,
            notes::it_02_many_change_one_note_at_once_and_none_is_lost,
            visibility::it_02_every_read_path_shows_what_the_viewer_may_see,
            visibility::it_02_watching_tells_what_the_viewer_may_see,
            watch::tl_11_watching_tells_puts_and_removals,
            watch::tl_11_watching_tells_what_leaves,
            related::it_01_an_interaction_is_in_the_timelines_of_all_it_belongs_to,
            related::it_01_a_link_to_nothing_is_refused_by_name,
            criteria::lc_08_every_operator_on_every_type_has_one_answer,
            criteria::lc_08_random_trees_have_one_answer,
            criteria::lc_08_the_instant_of_the_next_change_is_exact,
            criteria::lc_08_errors_point_at_the_place,
            criteria::lc_08_records_that_complete_one_customer_are_told_apart,
            timeline::tl_01_one_fact_is_one_entry_that_follows_its_record,
            timeline::tl_02_pages_and_filters_are_those_of_a_naive_filter,
            timeline::tl_02_the_default_period_is_90_days_without_the_future,
            timeline::tl_03_nothing_is_lost_or_repeated_while_others_write,
            timeline::tl_03_a_cursor_is_good_for_its_own_question_only,
            timeline::tl_04_days_are_those_of_the_zone_across_clock_changes,
            finding::it_01_an_export_is_all_pages_in_one,
            finding::cm_11_the_pages_of_any_sort_are_the_sorted_whole,
            finding::cm_11_search_finds_words_beginnings_addresses_and_numbers,
            finding::cm_11_a_cursor_of_another_question_is_refused,
            lifecycle::lc_01_racing_first_customers_bring_the_default_stages_once,
            lifecycle::lc_02_a_random_walk_is_that_of_the_model,
            lifecycle::lc_02_one_of_many_wins_and_backward_needs_the_override,
            at_once::lc_02_what_all_areas_write_at_once_agrees,
            at_once::tl_11_what_is_told_of_a_journey_makes_its_timeline,
            at_once::pr_08_what_shares_an_id_has_its_own_history,
            behavior::lc_11_an_event_that_arrives_again_is_recorded_once,
            behavior::lc_11_any_order_of_arrival_gives_the_same_timeline,
            behavior::lc_11_the_contact_belongs_to_the_customer_or_has_a_role_there,
            behavior::lc_11_wrong_events_are_refused_and_old_ones_swept,
            churn::lc_11_churn_pauses_renewals_and_alerts_sales,
            churn::lc_11_no_renewal_of_a_customer_who_left_is_active_whatever_happens_at_once,
            churn::lc_11_leaving_pauses_as_many_as_there_may_be,
            journey::lc_11_a_milestone_reached_once_is_one_among_racing_writers,
            journey::lc_11_milestones_are_those_of_a_model,
            journey::lc_11_milestones_are_highlighted_in_the_timeline,
            journey::lc_11_wrong_milestones_are_refused_and_repeats_change_nothing,
            approved_steps::lc_02_a_step_that_takes_approval_is_taken_with_it_once,
            approved_steps::lc_02_an_approved_step_is_decided_on_what_is_then_there,
            purchases::lc_04_a_batch_counts_what_it_writes_for_its_customers,
            purchases::lc_04_a_later_purchase_is_not_the_first,
            purchases::lc_04_at_the_bounds_it_is_counted_exactly_or_refused,
            purchases::lc_04_an_invoice_of_nothing_tells_of_no_purchase,
            purchases::lc_04_the_totals_are_those_of_the_invoices,
            purchases::lc_04_a_repeated_request_counts_once,
            purchases::lc_04_a_purchase_leads_to_the_stage_of_customers,
            purchases::lc_04_revenue_is_in_one_currency_at_the_recorded_rate,
            statistics::it_12_statistics_are_those_of_a_naive_count,
            profiles::tl_05_a_view_is_what_each_service_says,
            profiles::tl_05_segments_do_not_depend_on_what_is_withheld,
            profiles::tl_05_panels_add_what_other_systems_know,
            profiles::tl_05_a_view_is_of_a_live_customer_of_the_tenant,
            profiles::tl_07_statistics_are_those_of_a_naive_count,
            purchases::cm_10_a_missing_tax_id_blocks_invoicing,
            log::xt_02_each_command_tells_events_without_anything_personal,
            log::xt_02_all_consumers_see_one_order_and_nothing_is_lost,
            log::xt_03_a_repeat_of_any_command_changes_nothing,
            log::pr_08_history_and_as_of_equal_what_was_recorded,
            log::pr_08_the_history_of_json_is_proven,
            renewals::lc_11_a_renewal_follows_its_table,
            renewals::lc_11_a_renewal_is_checked_and_read_through_its_customer,
            refusals::cm_01_wrong_input_is_refused_with_its_field_and_nothing_is_stored,
            refusals::cm_01_an_id_that_is_taken_is_refused,
            refusals::xt_04_each_role_may_do_its_own,
            refusals::xt_06_instants_are_truncated_to_milliseconds,
            refusals::xt_11_settings_decide_zone_region_and_currency,
            scores::lc_05_a_score_is_the_sum_of_its_factors_and_stands_in_the_lifecycle,
            scores::lc_05_grades_begin_at_20_40_60_and_80,
            scores::lc_05_a_score_is_stale_from_the_exact_millisecond,
            scores::lc_05_no_calculation_is_lost_whatever_happens_at_once,
            scores::lc_05_one_model_of_a_type_is_active,
            scores::lc_05_wrong_factors_are_refused_and_a_repeat_gives_the_first_score,
            scores::lc_05_every_list_says_what_the_scores_say,
            recalculation::lc_05_a_recalculation_goes_on_after_failures_and_resumes,
            recalculation::lc_05_a_model_that_changes_meanwhile_is_the_one_that_counts,
            recalculation::lc_05_who_is_deleted_meanwhile_is_left_out,
            recalculation::lc_05_contended_customers_fail_alone_and_lists_take_fixed_rounds,
            segments::lc_08_a_segment_is_checked_when_it_is_written,
            segments::lc_08_a_name_belongs_to_one_live_segment,
            segments::lc_08_static_members_are_those_of_a_set,
            segments::lc_08_members_are_added_all_or_none,
            segments::lc_08_a_member_that_many_add_at_once_is_added_once,
            segments::lc_10_a_preview_is_what_the_segment_will_have,
            segments::lc_08_all_ways_to_ask_for_membership_agree_at_every_instant,
            segments::lc_08_counting_breaks_no_edit,
            segments::xt_01_another_tenants_segments_are_not_found,
            stages::lc_01_stages_are_checked_ordered_and_known_by_one_name,
            stages::lc_01_no_customer_stands_in_a_stage_that_is_deleted_meanwhile,
            steps::lc_02_advances_of_many_are_each_decided_on_what_they_see,
            steps::lc_02_a_step_is_refused_or_repeated_and_changes_nothing,
            steps::lc_03_history_is_only_added_to_and_keeps_the_names_of_then,
            sweeping::lc_04_what_others_rest_on_is_not_swept_away,
            sweeping::pr_04_a_live_customer_keeps_its_lifecycle,
            sweeping::pr_04_a_masked_journey_goes_on_and_tells_nothing,
            sweeping::pr_04_bulk_work_keeps_its_criteria_until_it_is_done,
            money::tl_08_lines_round_half_to_even_in_the_currencys_minor_unit,
            money::tl_08_a_total_that_is_not_the_sum_of_the_lines_is_refused,
            money::tl_08_totals_by_owner_and_currency_are_exact,
        }
    };
}

/// Makes a test of each property.
#[doc(hidden)]
#[macro_export]
macro_rules! __facade_tests {
    ($harness:expr; $($module:ident :: $name:ident,)*) => {
        mod facade {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $name() {
                    $crate::facade::$module::$name(&$harness).await;
                }
            )*
        }
    };
}
