use std::collections::BTreeMap;
use std::time::Duration;

use super::{Metrics, MetricsError};

fn all() -> Metrics {
    let time = |text: &str| Some(text.parse().expect("a time"));
    Metrics {
        cluster: "lab".to_owned(),
        last_success: time("2026-11-23T01:03:19Z"),
        size: Some(1_234_567),
        duration: Some(Duration::from_millis(3_050)),
        verified: Some(true),
        proven: Some(false),
        last_proven: time("2026-11-22T03:00:00Z"),
    }
}

/// Reads the text format as its specification has it (version 0.0.4), stricter than Prometheus does: HELP, then TYPE, then the
/// samples of each metric once, every line ended. Returns the samples with their labels.
fn strictly(text: &str) -> BTreeMap<String, (BTreeMap<String, String>, f64)> {
    let good = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    };
    assert!(text.is_empty() || text.ends_with('\n'), "the last line has an end");
    let (mut samples, mut lines) = (BTreeMap::new(), text.lines());
    while let Some(help) = lines.next() {
        let (name, words) =
            help.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).expect("HELP comes first");
        assert!(good(name) && !words.is_empty() && !words.contains('\\'), "{help}");
        assert_eq!(lines.next(), Some(format!("# TYPE {name} gauge").as_str()));
        let sample = lines.next().expect("a sample");
        let labelled =
            sample.strip_prefix(name).expect("the sample is the metric's").strip_prefix('{').expect("labels");
        let mut labels = BTreeMap::new();
        let (label, rest) = labelled.split_once("=\"").expect("a label");
        assert!(good(label) && !label.contains(':'), "{sample}");
        let (mut value, mut rest) = (String::new(), rest.chars());
        loop {
            match rest.next().expect("the value ends") {
                '"' => break,
                '\\' => value.push(match rest.next() {
                    Some('n') => '\n',
                    Some(c @ ('\\' | '"')) => c,
                    other => panic!("{other:?} was escaped"),
                }),
                c => value.push(c),
            }
        }
        labels.insert(label.to_owned(), value);
        let number = rest.as_str().strip_prefix("} ").expect("one label, one space");
        let number: f64 = number.parse().expect("a number, and no timestamp, which the collector refuses");
        assert!(samples.insert(name.to_owned(), (labels, number)).is_none(), "{name} once");
    }
    samples
}

#[test]
fn what_is_written_is_the_text_format() {
    let samples = strictly(&all().to_text());
    let lab = BTreeMap::from([("cluster".to_owned(), "lab".to_owned())]);
    let expected = [
        ("duration_seconds", 3.05),
        ("last_proven_timestamp_seconds", 1_795_316_400.0),
        ("last_success_timestamp_seconds", 1_795_395_799.0),
        ("proven", 0.0),
        ("size_bytes", 1_234_567.0),
        ("verified", 1.0),
    ];
    let expected: BTreeMap<String, _> =
        expected.map(|(name, value)| (format!("windlass_etcd_backup_{name}"), (lab.clone(), value))).into();
    assert_eq!(samples, expected);
    assert_eq!(strictly(&Metrics::new("lab").to_text()).len(), 0);
    let strange = Metrics { cluster: "a\\b\"c\nd".to_owned(), ..all() };
    assert_eq!(strictly(&strange.to_text())["windlass_etcd_backup_proven"].0["cluster"], "a\\b\"c\nd");
}

#[test]
fn what_was_written_is_read_again() {
    assert_eq!(Metrics::parse(&all().to_text(), "lab"), Ok(all()));
    assert_eq!(Metrics::parse("", "lab"), Ok(Metrics::new("lab")));
    let failed = Metrics { verified: None, size: None, ..all() };
    assert_eq!(Metrics::parse(&failed.to_text(), "lab"), Ok(failed));
}

#[test]
fn a_file_of_somebody_elses_is_refused() {
    let text = all().to_text();
    assert_eq!(Metrics::parse(&text, "other"), Err(MetricsError::Cluster("lab".to_owned())));
    for (line, other) in [
        (1, "node_load1 3\n".to_owned()),
        (1, "# my own notes\n".to_owned()),
        (1, "# HELP node_load1 x\n".to_owned()),
        (3, text.replace("} 1795395799", "} soon")),
        (12, text.replace("verified{cluster=\"lab\"} 1", "verified{cluster=\"lab\"} 2")),
    ] {
        match Metrics::parse(&other, "lab") {
            Err(MetricsError::Line { line: found, .. }) => assert_eq!(found, line, "{other}"),
            parsed => panic!("{other}: {parsed:?}"),
        }
    }
}
