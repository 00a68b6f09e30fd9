use std::num::NonZeroU32;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{Keep, Reason};

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn some(count: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(count)
}

/// The words for why each stays, `-` for one that may go.
fn words(keep: Keep, taken: &[&str]) -> Vec<String> {
    let taken: Vec<Timestamp> = taken.iter().map(|text| at(text)).collect();
    let shown = |reasons: &Vec<Reason>| {
        let words: Vec<&str> = reasons.iter().map(|reason| reason.word()).collect();
        if words.is_empty() { "-".to_owned() } else { words.join(" ") }
    };
    keep.reasons(&taken).iter().map(shown).collect()
}

#[test]
fn without_a_rule_everything_stays() {
    assert_eq!(words(Keep::default(), &["2026-11-23T01:00:00Z", "2026-11-23T02:00:00Z"]), ["no rule", "no rule"]);
    assert_eq!(Keep::default().reasons(&[]), Vec::<Vec<Reason>>::new());
}

#[test]
fn the_last_few_stay() {
    let taken = ["2026-11-23T03:00:00Z", "2026-11-23T01:00:00Z", "2026-11-23T02:00:00Z"];
    assert_eq!(words(Keep { last: some(2), ..Keep::default() }, &taken), ["newest last", "-", "last"]);
}

#[test]
fn spans_are_counted_in_utc_and_empty_ones_not_at_all() {
    let taken = [
        "2026-11-23T00:30:00+01:00", // 23:30 of the 22nd
        "2026-11-22T23:59:59Z",
        "2026-11-23T00:00:00Z",
        "2026-11-20T12:00:00Z",
        "2026-10-31T12:00:00Z",
    ];
    let daily = Keep { daily: some(3), ..Keep::default() };
    assert_eq!(words(daily, &taken), ["-", "daily", "newest daily", "daily", "-"]);
    let hourly = Keep { hourly: some(2), ..Keep::default() };
    assert_eq!(words(hourly, &taken), ["-", "hourly", "newest hourly", "-", "-"]);
    let monthly = Keep { monthly: some(2), ..Keep::default() };
    assert_eq!(words(monthly, &taken), ["-", "-", "newest monthly", "-", "monthly"]);
}

#[test]
fn a_week_begins_on_monday_also_across_the_turn_of_the_year() {
    // 31 December 2026 is a Thursday: the week of 28 December ends on 3 January.
    let taken = ["2026-12-27T23:00:00Z", "2026-12-28T01:00:00Z", "2027-01-03T23:00:00Z", "2027-01-04T00:00:00Z"];
    let weekly = Keep { weekly: some(9), ..Keep::default() };
    assert_eq!(words(weekly, &taken), ["weekly", "-", "weekly", "newest weekly"]);
}

#[test]
fn one_backup_may_stay_for_several_reasons() {
    let keep = Keep { last: some(1), daily: some(1), weekly: some(1), ..Keep::default() };
    let taken = ["2026-11-22T01:00:00Z", "2026-11-23T01:00:00Z"];
    assert_eq!(words(keep, &taken), ["-", "newest last daily weekly"]);
}

#[test]
fn of_two_at_one_moment_the_later_in_the_list_is_the_newer() {
    let taken = ["2026-11-23T01:00:00Z", "2026-11-23T01:00:00Z"];
    assert_eq!(words(Keep { last: some(1), ..Keep::default() }, &taken), ["-", "newest last"]);
}

fn rule() -> impl Strategy<Value = Option<NonZeroU32>> {
    (0_u32..6).prop_map(NonZeroU32::new)
}

prop_compose! {
    fn keeps()(last in rule(), hourly in rule(), daily in rule(), weekly in rule(), monthly in rule()) -> Keep {
        Keep { last, hourly, daily, weekly, monthly }
    }
}

/// Times over a little more than a year, many of them in the same hour or day.
fn times() -> impl Strategy<Value = Vec<Timestamp>> {
    let first = at("2026-06-01T00:00:00Z");
    let coarse = prop_oneof![0_i64..400, (0_i64..400).prop_map(|n| n * 24), (0_i64..10_000)];
    let minutes = (coarse, 0_i64..60).prop_map(|(hours, minutes)| hours * 60 + minutes);
    proptest::collection::vec(minutes.prop_map(move |m| first + SignedDuration::from_mins(m)), 0..60)
}

fn kept(keep: Keep, taken: &[Timestamp]) -> Vec<bool> {
    keep.reasons(taken).iter().map(|reasons| !reasons.is_empty()).collect()
}

/// The same rules with one of them keeping `more`.
fn raised(keep: Keep, which: usize, more: u32) -> Keep {
    let up = |rule: Option<NonZeroU32>| NonZeroU32::new(rule.map_or(0, NonZeroU32::get) + more);
    match which {
        0 => Keep { last: up(keep.last), ..keep },
        1 => Keep { hourly: up(keep.hourly), ..keep },
        2 => Keep { daily: up(keep.daily), ..keep },
        3 => Keep { weekly: up(keep.weekly), ..keep },
        _ => Keep { monthly: up(keep.monthly), ..keep },
    }
}

proptest! {
    #[test]
    fn the_newest_always_stays(keep in keeps(), taken in times()) {
        let kept = kept(keep, &taken);
        if let Some(newest) = taken.iter().max() {
            prop_assert!(taken.iter().zip(&kept).any(|(time, kept)| time == newest && *kept));
        }
    }

    #[test]
    fn keeping_more_never_removes_more(keep in keeps(), taken in times(), which in 0_usize..5, more in 1_u32..4) {
        // From no rule, which keeps everything, any rule removes more.
        prop_assume!(keep != Keep::default());
        let before = kept(keep, &taken);
        let after = kept(raised(keep, which, more), &taken);
        prop_assert!(before.iter().zip(&after).all(|(before, after)| *after || !before));
    }

    #[test]
    fn pruning_twice_removes_nothing_more(keep in keeps(), taken in times()) {
        let left: Vec<Timestamp> =
            taken.iter().zip(kept(keep, &taken)).filter(|(_, kept)| *kept).map(|(time, _)| *time).collect();
        prop_assert!(kept(keep, &left).iter().all(|kept| *kept));
    }

    #[test]
    fn a_rule_keeps_as_many_as_it_says_where_there_are_as_many(taken in times(), count in 1_u32..6) {
        let one = NonZeroU32::new(count);
        let days: std::collections::BTreeSet<_> =
            taken.iter().map(|time| time.to_zoned(jiff::tz::TimeZone::UTC).date()).collect();
        let daily = kept(Keep { daily: one, ..Keep::default() }, &taken).iter().filter(|kept| **kept).count();
        prop_assert_eq!(daily, days.len().min(count as usize));
        let last = kept(Keep { last: one, ..Keep::default() }, &taken).iter().filter(|kept| **kept).count();
        prop_assert_eq!(last, taken.len().min(count as usize));
    }

    #[test]
    fn what_a_rule_keeps_is_the_newest_of_its_span(keep in keeps(), taken in times()) {
        let reasons = keep.reasons(&taken);
        for (time, why) in taken.iter().zip(&reasons) {
            if why.contains(&Reason::Daily) {
                let day = |time: &Timestamp| time.to_zoned(jiff::tz::TimeZone::UTC).date();
                prop_assert!(taken.iter().all(|other| day(other) != day(time) || other <= time));
            }
        }
    }
}
