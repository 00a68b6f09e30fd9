//! Whether there is a backup, and how old it is.

use std::time::Duration;

use jiff::Timestamp;

use super::Checked;
use crate::decide::finding::{Finding, Rule};
use crate::facts::Seen;

/// The newest whole backup of the cluster at one destination; those taken in an emergency are not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewestBackup {
    /// Where.
    pub destination: String,
    /// When it was taken; `None` when there is none.
    pub taken: Seen<Option<Timestamp>>,
}

/// How old the newest backup may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub Duration);

pub(super) fn findings(checked: Checked<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = checked.backups.iter().filter_map(|newest| of(checked, newest)).collect();
    if checked.backups.is_empty() {
        let detail = "were not looked at: say with --backups where they are";
        found.push(Finding::warning(Rule::BackupAge, "backups", detail));
    }
    found
}

fn of(checked: Checked<'_>, newest: &NewestBackup) -> Option<Finding> {
    let critical = |detail: String| Some(Finding::refusal(Rule::BackupAge, &newest.destination, detail));
    match &newest.taken {
        Seen::Unknown(why) => critical(format!("its backups could not be listed: {why}")),
        Seen::Known(None) => critical("has no backup of this cluster".to_owned()),
        Seen::Known(Some(taken)) => {
            let age = u64::try_from(checked.facts.taken_at.as_second() - taken.as_second()).unwrap_or(0);
            let most = checked.age.0.as_secs();
            if age <= most {
                return None;
            }
            let (age, most) = (crate::text::age(age), crate::text::age(most));
            critical(format!("its newest backup of this cluster is {age} old; {most} are allowed"))
        }
    }
}
