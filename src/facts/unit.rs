//! What `unit-status` and `unit-wait` print, as a value.

/// What a unit is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitState {
    /// It was never started.
    Never,
    /// It runs.
    Running,
    /// It ended with this exit status; 128 and a signal's number when a signal ended it.
    Exited(i32),
    /// It was started, and neither its end nor systemd's memory of it is left, as after a reboot in the middle of it.
    Gone,
}

/// A unit's state with a part of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitReport {
    /// What it is doing.
    pub state: UnitState,
    /// The part of its log that was asked for; empty when none was.
    pub log: String,
    /// Bytes of its log so far, or at the end.
    pub size: u64,
    /// The offset in bytes at which the log goes on behind `log`. Not to be counted from `log`, in which bytes that were no
    /// text are replaced.
    pub next: u64,
}

/// What is wrong with a report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a unit's report: `{0}`")]
pub struct NotAReport(String);

/// Reads what `unit-status` or `unit-wait` printed.
pub fn report(printed: &str) -> Result<UnitReport, NotAReport> {
    let (header, log) = match printed.split_once("\nlog\n") {
        Some((header, log)) => (header, log),
        None => (printed, ""),
    };
    let wrong = || NotAReport(header.chars().take(200).collect());
    let word = |name: &str| {
        let mut lines = header.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let state = match word("state").ok_or_else(wrong)? {
        "never" => UnitState::Never,
        "running" => UnitState::Running,
        "gone" => UnitState::Gone,
        "exited" => UnitState::Exited(word("rc").and_then(|rc| rc.parse().ok()).ok_or_else(wrong)?),
        _ => return Err(wrong()),
    };
    let size = word("size").and_then(|size| size.parse().ok()).ok_or_else(wrong)?;
    // Without a part of the log there is no word of where it goes on.
    let next = word("next").map_or(Some(size), |next| next.parse().ok()).ok_or_else(wrong)?;
    Ok(UnitReport { state, log: log.to_owned(), size, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(printed: &str) -> Option<(UnitState, u64, String)> {
        report(printed).ok().map(|report| (report.state, report.size, report.log))
    }

    #[test]
    fn each_state_is_read() {
        let none = String::new;
        assert_eq!(read("state never\nsize 0\n"), Some((UnitState::Never, 0, none())));
        assert_eq!(read("state running\nsize 12\n"), Some((UnitState::Running, 12, none())));
        assert_eq!(read("state gone\nsize 12\n"), Some((UnitState::Gone, 12, none())));
        assert_eq!(read("state exited\nrc 137\nsize 1\n"), Some((UnitState::Exited(137), 1, none())));
    }

    #[test]
    fn a_log_is_taken_as_it_is() {
        let printed = "state exited\nrc 0\nsize 20\nlog\nstate never\n\nlog\nend";
        assert_eq!(read(printed), Some((UnitState::Exited(0), 20, "state never\n\nlog\nend".to_owned())));
    }

    #[test]
    fn where_the_log_goes_on_is_the_nodes_word() {
        let next = |printed| report(printed).expect("a report").next;
        assert_eq!(next("state running\nsize 100\nnext 70\nlog\n\u{fffd}"), 70);
        assert_eq!(next("state running\nsize 100\n"), 100);
    }

    #[test]
    fn anything_else_is_refused() {
        for printed in
            ["", "state\n", "state odd\nsize 1\n", "state exited\nsize 1\n", "state never\n", "log\nstate never"]
        {
            assert_eq!(read(printed), None, "{printed}");
        }
    }
}
