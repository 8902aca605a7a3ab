//! Every broken store is caught by the property that is meant for it, and the unbroken one by none.

use crm_conformance::broken::{BrokenHarness, Fault, fails};
use crm_conformance::contract::{atomic, finds, keys, log, races, rules, steady, tenants, timeline, values};

/// How often a property is run at the most before it counts as blind.
const RUNS: usize = 100;

macro_rules! caught {
    ($($test:ident: $fault:ident by $module:ident::$property:ident;)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $test() {
            // Some faults show only when calls meet, which a busy machine makes rare: the property is run until they do.
            let mut broken = false;
            for _ in 0..RUNS {
                broken = broken || fails($module::$property(&BrokenHarness(Fault::$fault))).await;
            }
            assert!(broken, "{:?} was not noticed", Fault::$fault);
            let unbroken = fails($module::$property(&BrokenHarness(Fault::Nothing))).await;
            assert!(!unbroken, "the unbroken store was refused");
        }
    )+};
}

caught! {
    xt_07_a_guard_that_is_ignored_is_caught: GuardIgnored
        by races::xt_02_guards_keep_two_change_sets_from_contradicting_each_other;
    xt_02_an_ignored_guard_is_caught_without_a_race: GuardIgnored
        by atomic::xt_02_a_change_set_with_one_failed_condition_leaves_nothing;
    xt_02_a_guard_checked_before_the_commit_is_caught: GuardBeforeCommit
        by races::xt_02_guards_keep_two_change_sets_from_contradicting_each_other;
    xt_07_a_live_guard_checked_before_the_commit_is_caught: GuardBeforeCommit
        by races::xt_07_a_shared_record_is_not_deleted_under_those_who_refer_to_it;
    xt_07_absence_checked_before_the_commit_is_caught: AbsenceBeforeCommit
        by races::xt_07_a_shared_record_is_not_deleted_under_those_who_refer_to_it;
    cm_01_versions_checked_before_the_commit_are_caught: VersionBeforeCommit
        by races::cm_01_of_racing_updates_at_one_version_exactly_one_wins;
    cm_01_a_lost_update_is_caught: VersionBeforeCommit by races::cm_01_no_update_is_lost;
    xt_02_a_late_event_that_is_skipped_is_caught: LateEventSkipped
        by log::xt_02_readers_see_every_row_once_in_one_order_while_others_write;
    xt_02_an_audit_row_before_the_commit_is_caught: AuditBefore
        by atomic::xt_02_a_change_set_with_one_bad_write_leaves_nothing;
    xt_02_an_audit_row_after_the_commit_is_caught: AuditAfter
        by atomic::xt_02_a_caller_that_stops_leaves_all_or_nothing;
    xt_02_numbers_given_twice_are_caught: SealedTwice by log::xt_02_concurrent_sealers_number_each_row_once;
    xt_01_a_set_write_without_its_tenant_is_caught: TenantMissing
        by tenants::xt_01_no_write_touches_another_tenants_data;
    xt_06_a_decimal_that_was_a_float_is_caught: DecimalAsFloat
        by values::xt_06_decimals_are_never_fractions_of_two;
    xt_06_a_float_is_caught_among_generated_values: DecimalAsFloat
        by values::xt_06_generated_records_come_back_exactly;
    tl_07_a_sum_of_floats_is_caught: DecimalAsFloat by finds::tl_07_groups_count_and_sum_exactly;
    xt_03_a_key_that_is_executed_again_is_caught: KeyExecutedAgain
        by keys::xt_03_a_key_gives_its_first_result_and_nothing_is_written_again;
    xt_03_a_key_executed_again_under_load_is_caught: KeyExecutedAgain
        by keys::xt_03_of_many_with_one_key_one_is_applied;
    xt_01_a_unique_rule_that_counts_the_deleted_is_caught: UniqueForgetsDeletion
        by rules::xt_01_every_unique_rule_holds_for_what_it_counts;
    xt_02_a_commit_that_is_half_applied_is_caught: HalfApplied
        by atomic::xt_02_a_change_set_with_one_bad_write_leaves_nothing;
    xt_02_reads_without_a_snapshot_are_caught: NoSnapshot by steady::xt_02_the_reads_of_one_call_see_one_state;
    tl_01_a_deleted_customer_that_is_shown_is_caught: DeletedCustomerShown
        by timeline::tl_01_a_deleted_customer_hides_its_entries_everywhere;
    tl_03_a_page_that_goes_on_by_instant_is_caught: PageByInstant
        by timeline::tl_03_pages_of_any_size_read_each_row_once;
    tl_02_a_forgotten_viewer_is_caught: ViewerForgotten
        by timeline::tl_02_viewers_and_filters_are_those_of_the_core;
    xt_09_a_scan_by_offset_is_caught: ScanByOffset by steady::xt_09_a_scan_gives_untouched_records_exactly_once;
}
