//! Small things every room that meets people's text needs: durations as people write them, lists, the nearest word.
//!
//! Pure, and knows nothing of clusters.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// A number that nothing follows.
    #[error("`{0}` has no unit; h, m and s are the units")]
    Unitless(String),
    /// No number where one has to be.
    #[error("a whole number has to come before each of the units h, m and s")]
    Number,
    /// Another unit.
    #[error("{} is not a unit; h, m and s are", quoted(&.0.to_string()))]
    Unit(char),
    /// `5s1m`, `1m1m`.
    #[error("the units have to come in the order h, m, s, each once at most")]
    Order,
    /// More seconds than can be counted.
    #[error("it is too long")]
    Long,
}

/// The units of a duration, in the order in which they are written.
const UNITS: [(char, u64); 3] = [('h', 3600), ('m', 60), ('s', 1)];

/// Reads a duration as people write it: `90s`, `10m`, `1m30s`, `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    let (mut rest, mut seconds, mut units) = (text, 0_u64, UNITS.as_slice());
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let unit = tail.chars().next();
        if number.is_empty() {
            return Err(DurationError::Number);
        }
        let unit = unit.ok_or_else(|| DurationError::Unitless(number.to_owned()))?;
        let worth = take_unit(&mut units, unit)?;
        let number = number.parse::<u64>().map_err(|_| DurationError::Long)?;
        seconds = number.checked_mul(worth).and_then(|more| seconds.checked_add(more)).ok_or(DurationError::Long)?;
        rest = &tail[unit.len_utf8()..];
    }
    Ok(Duration::from_secs(seconds))
}

/// What one `unit` is worth in seconds; leaves only the smaller units for what follows.
fn take_unit(units: &mut &[(char, u64)], unit: char) -> Result<u64, DurationError> {
    if let Some(at) = units.iter().position(|(letter, _)| *letter == unit) {
        let worth = units[at].1;
        *units = &units[at + 1..];
        Ok(worth)
    } else if UNITS.iter().any(|(letter, _)| *letter == unit) {
        Err(DurationError::Order)
    } else {
        Err(DurationError::Unit(unit))
    }
}

/// Writes a duration as [`parse_duration`] reads it; parts of a second are left away.
pub fn show_duration(duration: Duration) -> String {
    let mut left = duration.as_secs();
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (letter, worth) in UNITS {
        if left >= worth {
            text += &(left / worth).to_string();
            text.push(letter);
            left %= worth;
        }
    }
    text
}

/// `10 s`, `1 min 30 s`, `10 min`.
pub fn seconds(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, s) => format!("{s} s"),
        (m, 0) => format!("{m} min"),
        (m, s) => format!("{m} min {s} s"),
    }
}

/// How long ago: `5 min`, `26 h`, `3 days`.
pub fn age(seconds: u64) -> String {
    match (seconds / 60, seconds / 3600, seconds / 86400) {
        (minutes, 0 | 1, _) => format!("{minutes} min"),
        (_, hours, 0 | 1) => format!("{hours} h"),
        (_, _, days) => format!("{days} days"),
    }
}

/// `512 B`, `20.5 KiB`, `1.9 GiB`.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// Of `words`, the one that `word` most likely was meant to be, when it is near enough to be a slip.
pub fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Two slips in a word of six letters, never more than three: beyond that a suggestion is a guess.
    let most = (word.chars().count() / 3).clamp(1, 3);
    let measured = words.into_iter().map(|other| (strsim::damerau_levenshtein(word, other), other));
    measured.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, other)| other)
}

/// `a`, `a and b`, `a, b and c`; with `or` as well, or whatever `last` joins with.
pub fn list<T: AsRef<str>>(items: &[T], last: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [most @ .., end] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} {last} {}", most.join(", "), end.as_ref())
        }
    }
}

/// `1 node`, `3 nodes`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `word` between backticks, fit for one line of a message: control characters escaped, the middle of a long one left out.
pub fn quoted(word: &str) -> String {
    // Longer than any name that is allowed to be on a line, shorter than a terminal is wide.
    const MOST: usize = 60;
    let letters: Vec<char> = word.chars().collect();
    let show = |part: &[char]| -> String {
        part.iter().flat_map(|c| if is_printable(*c) { vec![*c] } else { c.escape_unicode().collect() }).collect()
    };
    if letters.len() <= MOST {
        format!("`{}`", show(&letters))
    } else {
        format!("`{}…{}`", show(&letters[..MOST / 2]), show(&letters[letters.len() - MOST / 4..]))
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// `text` as a terminal may have it: what would move its cursor, colour it or turn a line around is taken out. Line ends stay.
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || is_printable(*c)).collect()
}

/// Neither a control character nor one that turns the direction of a line or hides in it.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_as_people_write_them() {
        let table = [
            ("5s", Ok(5)),
            ("10m", Ok(600)),
            ("1m30s", Ok(90)),
            ("90s", Ok(90)),
            ("2h5s", Ok(7205)),
            ("", Err(DurationError::Empty)),
            ("90", Err(DurationError::Unitless("90".to_owned()))),
            ("1m30", Err(DurationError::Unitless("30".to_owned()))),
            ("m", Err(DurationError::Number)),
            ("-5s", Err(DurationError::Number)),
            ("1.5m", Err(DurationError::Unit('.'))),
            ("1d", Err(DurationError::Unit('d'))),
            ("5 s", Err(DurationError::Unit(' '))),
            ("5s1m", Err(DurationError::Order)),
            ("1m1m", Err(DurationError::Order)),
            ("99999999999999999999s", Err(DurationError::Long)),
            ("9999999999999999999h", Err(DurationError::Long)),
        ];
        for (text, expected) in table {
            assert_eq!(parse_duration(text), expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn nearest_words() {
        let words = ["name", "address", "roles", "labels"];
        assert_eq!(nearest("adress", words), Some("address"));
        assert_eq!(nearest("nmae", words), Some("name"));
        assert_eq!(nearest("label", words), Some("labels"));
        assert_eq!(nearest("port", words), None);
        assert_eq!(nearest("", words), None);
    }

    #[test]
    fn lists_and_counts() {
        assert_eq!(list::<&str>(&[], "or"), "");
        assert_eq!(list(&["a"], "or"), "a");
        assert_eq!(list(&["a", "b", "c"], "or"), "a, b or c");
        assert_eq!((count(1, "node"), count(3, "node")), ("1 node".to_owned(), "3 nodes".to_owned()));
    }

    #[test]
    fn quoted_words_stay_on_their_line() {
        assert_eq!(quoted("a b"), "`a b`");
        assert_eq!(quoted("a\n\u{1b}[31m"), "`a\\u{a}\\u{1b}[31m`");
        assert_eq!(quoted("\u{202e}x"), "`\\u{202e}x`");
        assert!(quoted(&"x".repeat(500)).chars().count() < 60);
    }

    proptest! {
        #[test]
        fn durations_come_back(seconds in 0_u64..1_000_000) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }

        #[test]
        fn any_text_is_a_duration_or_not(text in "\\PC*") {
            let _ = parse_duration(&text);
        }
    }
}
