//! Retention as people think of it: the last few, one an hour, a day, a week, a month. Pure: which backups stay and which
//! may go, from their times alone.
//!
//! A rule keeps the newest backup of each of the last so many hours (days, weeks, months) that have one: a machine that was
//! off for a month does not lose what it had. Hours, days, ISO weeks and months are counted in UTC, so that no clock change
//! makes one longer.

use std::num::NonZeroU32;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// How many to keep, by each rule; a backup stays when one rule wants it. Without any rule everything stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// The newest so many.
    pub last: Option<NonZeroU32>,
    /// The newest of each of so many hours.
    pub hourly: Option<NonZeroU32>,
    /// The newest of each of so many days.
    pub daily: Option<NonZeroU32>,
    /// The newest of each of so many weeks, Monday to Sunday.
    pub weekly: Option<NonZeroU32>,
    /// The newest of each of so many months.
    pub monthly: Option<NonZeroU32>,
}

/// Why a backup stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is the newest there is.
    Newest,
    /// One of the last.
    Last,
    /// The newest of its hour.
    Hourly,
    /// The newest of its day.
    Daily,
    /// The newest of its week.
    Weekly,
    /// The newest of its month.
    Monthly,
    /// No rule was given.
    NoRule,
}

impl Reason {
    /// The word for it in a report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::NoRule => "no rule",
        }
    }
}

/// The span of time of which a rule keeps the newest backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    /// The backup alone, by its place in the order: no two share one.
    Place(usize),
    Hour(Date, i8),
    Day(Date),
    Week(i16, i8),
    Month(i16, i8),
}

impl Keep {
    /// Each rule that is asked for, with how many it keeps.
    fn rules(&self) -> impl Iterator<Item = (Reason, NonZeroU32)> {
        let all = [
            (Reason::Last, self.last),
            (Reason::Hourly, self.hourly),
            (Reason::Daily, self.daily),
            (Reason::Weekly, self.weekly),
            (Reason::Monthly, self.monthly),
        ];
        all.into_iter().filter_map(|(reason, count)| count.map(|count| (reason, count)))
    }

    /// Why each of the backups `taken` at these times stays, in the same order; one without a reason may go. The newest
    /// always has one. Of two that were taken at the same moment, the later in the list counts as the newer.
    pub fn reasons(&self, taken: &[Timestamp]) -> Vec<Vec<Reason>> {
        if *self == Self::default() {
            return vec![vec![Reason::NoRule]; taken.len()];
        }
        let mut newest_first: Vec<usize> = (0..taken.len()).collect();
        newest_first.sort_by_key(|index| std::cmp::Reverse((taken[*index], *index)));
        let mut reasons = vec![Vec::new(); taken.len()];
        if let Some(newest) = newest_first.first() {
            reasons[*newest].push(Reason::Newest);
        }
        for (reason, count) in self.rules() {
            let (mut left, mut held) = (count.get(), None);
            for (place, index) in newest_first.iter().enumerate() {
                let span = span(reason, taken[*index], place);
                if held == Some(span) {
                    continue;
                }
                if left == 0 {
                    break;
                }
                (left, held) = (left - 1, Some(span));
                reasons[*index].push(reason);
            }
        }
        reasons
    }
}

fn span(reason: Reason, taken: Timestamp, place: usize) -> Span {
    let time = taken.to_zoned(TimeZone::UTC).datetime();
    let date = time.date();
    match reason {
        Reason::Newest | Reason::Last | Reason::NoRule => Span::Place(place),
        Reason::Hourly => Span::Hour(date, time.hour()),
        Reason::Daily => Span::Day(date),
        Reason::Weekly => {
            let week = date.iso_week_date();
            Span::Week(week.year(), week.week())
        }
        Reason::Monthly => Span::Month(date.year(), date.month()),
    }
}

#[cfg(test)]
mod tests;
