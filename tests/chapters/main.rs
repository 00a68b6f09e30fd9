//! The lab chapters: real nodes, real etcd, real kubeadm. They run one after another over one lab, in the order of their
//! names, and each says where it starts. `make test-lab` brings the lab up and runs them; by hand, with a fresh lab:
//! `cargo test --test chapters -- --ignored --test-threads=1 --nocapture`.

mod back;
mod backups;
mod beginning;
mod caring;
mod chance;
mod discovering;
mod faults;
mod growing;
mod journal;
mod killing;
mod lab;
mod operators;
mod outcome;
mod programs;
mod raising;
mod raising_stacked;
mod refusing;
mod renewing;
mod restoring;
mod run;
#[path = "../stores/s3.rs"]
#[expect(dead_code, reason = "another test's server, of which not all is needed here")]
mod s3;
mod secrets;
mod stacked;
mod storm;
mod watching;
mod writing;

/// Starts from a fresh lab: 1.20.2, etcd 3.4.23. Leaves it as it was.
#[test]
#[ignore = "needs the lab"]
fn chapter_01_skips_are_refused_and_planning_changes_nothing() {
    lab::all_ready();
    refusing::skips_are_refused_and_planning_changes_nothing();
    discovering::what_is_discovered_plans_no_change();
    discovering::what_is_checked_needs_only_a_backup("inventories/lab.toml");
}

/// Starts from a fresh lab. Leaves it as it was.
#[test]
#[ignore = "needs the lab"]
fn chapter_02_a_skipped_minor_of_etcd_is_refused() {
    refusing::a_skipped_minor_of_etcd_is_refused();
}

/// Starts from a fresh lab. Leaves it as it was.
#[test]
#[ignore = "needs the lab"]
fn chapter_03_an_unreachable_worker_is_said_before_anything_changes() {
    refusing::an_unreachable_worker_is_said_before_anything_changes();
}

/// Starts from a fresh lab. Leaves it as it was.
#[test]
#[ignore = "needs the lab"]
fn chapter_04_a_cluster_that_is_not_as_planned_is_left_alone() {
    refusing::a_cluster_that_is_not_as_planned_is_left_alone();
}

/// Starts from 1.20.2 and etcd 3.4.23. Leaves 1.21.14 and etcd 3.5.16.
#[test]
#[ignore = "needs the lab"]
fn chapter_05_the_cluster_is_raised_under_load() {
    raising::the_cluster_is_raised_under_load();
}

/// Starts from 1.21.14 and etcd 3.5.16. Leaves 1.22.17 and etcd 3.5.30.
#[test]
#[ignore = "needs the lab"]
fn chapter_06_a_run_that_is_killed_again_and_again_goes_on() {
    killing::a_run_that_is_killed_again_and_again_goes_on();
}

/// Starts from a lab that it makes anew. Leaves 1.21.14 and etcd 3.5.16.
#[test]
#[ignore = "needs the lab"]
fn chapter_07_killed_thirty_times_by_chance() {
    lab::lab_ok(&["up", "--fresh"]);
    storm::killed_thirty_times_by_chance();
}

/// Starts from a lab that it makes anew. Leaves 1.21.14 and etcd 3.5.16.
#[test]
#[ignore = "needs the lab"]
fn chapter_08_every_fault_is_survived() {
    lab::lab_ok(&["up", "--fresh"]);
    faults::every_fault_is_survived();
}

/// Starts from 1.21.14 and etcd 3.5.16. Leaves 1.22.17 and etcd 3.5.30.
#[test]
#[ignore = "needs the lab"]
fn chapter_09_one_operator_follows_another() {
    operators::one_operator_follows_another();
}

/// Starts from a lab that it makes anew. Leaves 1.21.14 and etcd 3.5.16.
#[test]
#[ignore = "needs the lab"]
fn chapter_10_what_failed_goes_back() {
    lab::lab_ok(&["up", "--fresh"]);
    back::what_failed_goes_back();
}

/// Starts from a lab that it makes anew. Leaves 1.20.2 and etcd 3.5.16.
#[test]
#[ignore = "needs the lab"]
fn chapter_11_etcd_comes_back_from_a_snapshot() {
    lab::lab_ok(&["up", "--fresh"]);
    restoring::etcd_comes_back_from_a_snapshot();
}

/// Starts from a lab that it makes anew, with etcd 3.3.25. Leaves 1.20.2 and etcd 3.5.16.
#[test]
#[ignore = "needs the lab"]
fn chapter_12_etcd_is_looked_after() {
    lab::lab_ok(&["up", "--fresh", "--etcd", "3.3.25"]);
    caring::etcd_is_looked_after();
}

/// Starts from any lab with external etcd that is well. Leaves it as it was.
#[test]
#[ignore = "needs the lab"]
fn chapter_13_timers_take_backups() {
    caring::timers_take_backups("etcd1");
    backups::backups_go_everywhere("inventories/lab.toml", "lab", "etcd2");
}

/// Starts from a lab that it makes anew, with etcd on the control planes. Leaves it so.
#[test]
#[ignore = "needs the lab"]
fn chapter_14_a_stacked_etcd_is_looked_after_like_an_external_one() {
    lab::lab_ok(&["up", "--fresh", "--stacked"]);
    stacked::a_stacked_etcd_is_looked_after_like_an_external_one();
}

/// Starts from a lab that it makes anew. Leaves 1.20.2 and etcd 3.5.16, whose programs are of no package: the next one has to be
/// made anew.
#[test]
#[ignore = "needs the lab"]
fn chapter_15_etcd_is_raised_from_an_archive() {
    lab::lab_ok(&["up", "--fresh"]);
    programs::etcd_is_raised_from_an_archive();
}

/// Starts from a lab that it makes anew, with etcd 3.5.16 on the control planes. Leaves it so.
#[test]
#[ignore = "needs the lab"]
fn chapter_16_a_stacked_etcd_of_3_5_is_restored_too() {
    lab::lab_ok(&["up", "--fresh", "--stacked", "--etcd", "3.5.16"]);
    stacked::a_stacked_etcd_of_3_5_is_restored_too();
}

/// Starts from a lab that it makes anew, with etcd on the control planes. Leaves 1.22.17 and etcd 3.5.16.
#[test]
#[ignore = "needs the lab"]
fn chapter_17_a_stacked_cluster_is_raised_with_its_etcd() {
    lab::lab_ok(&["up", "--fresh", "--stacked"]);
    raising_stacked::a_stacked_cluster_is_raised_with_its_etcd();
}

/// Starts from bare machines that it makes anew. Leaves 1.20.2 and etcd 3.4.23.
#[test]
#[ignore = "needs the lab"]
fn chapter_18_a_cluster_begins_on_bare_machines() {
    lab::lab_ok(&["up", "--bare"]);
    beginning::an_external_etcd_and_its_cluster_begin();
}

/// Starts from bare machines that it makes anew. Leaves 1.20.2 with etcd on the control planes.
#[test]
#[ignore = "needs the lab"]
fn chapter_19_a_cluster_begins_with_etcd_on_its_control_planes() {
    lab::lab_ok(&["up", "--bare", "--stacked"]);
    beginning::a_cluster_with_a_stacked_etcd_begins();
    lab::lab_ok(&["up", "--bare", "--stacked"]);
    beginning::a_node_that_is_lost_while_it_joins_joins_later();
}

/// Starts from a lab that it makes anew, with etcd on the control planes. Leaves it so, at 1.20.2.
#[test]
#[ignore = "needs the lab"]
fn chapter_20_nodes_are_lost_replaced_removed_and_added() {
    lab::lab_ok(&["up", "--fresh", "--stacked"]);
    growing::nodes_are_lost_replaced_removed_and_added();
}

/// Starts from a lab that it makes anew. Leaves it so, with certificates of etcd that end a year later.
#[test]
#[ignore = "needs the lab"]
fn chapter_21_certificates_are_renewed_under_a_writer() {
    lab::lab_ok(&["up", "--fresh"]);
    renewing::certificates_are_renewed_under_a_writer();
}
