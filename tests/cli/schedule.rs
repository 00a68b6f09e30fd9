//! The schedule below a root of the test's own: what is written, that systemd takes it, and what is refused.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::place::{Place, Ran, read};

const UNITS: [&str; 4] = [
    "windlass-etcd-backup.service",
    "windlass-etcd-backup.timer",
    "windlass-etcd-prove.service",
    "windlass-etcd-prove.timer",
];

fn install(place: &Place, options: &[&str], backup: &[&str]) -> Ran {
    let root = place.text("root");
    place.windlass(&[&["etcd", "schedule", "install", "--root", &root], options, &["--"], backup].concat())
}

fn unit(place: &Place, name: &str) -> String {
    read(&place.path("root/etc/systemd/system").join(name))
}

fn left(place: &Place) -> Vec<String> {
    let listed = std::fs::read_dir(place.path("root/etc/systemd/system")).expect("a folder");
    let mut names: Vec<String> =
        listed.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[test]
fn what_is_installed_runs_the_backup_and_systemd_takes_it() {
    let place = Place::new();
    let environment = place.write("s3.env", "AWS_ACCESS_KEY_ID=x\n");
    std::fs::set_permissions(&environment, std::fs::Permissions::from_mode(0o600)).expect("closed");
    let backup = [
        "--local",
        "--cluster",
        "lab",
        "--to",
        "/srv/etcd",
        "--to",
        "s3://backups/lab",
        "--keep-daily",
        "7",
        "--metrics",
        "/var/lib/node/etcd.prom",
    ];
    let options =
        ["--on-calendar", "Mon..Fri 02:30", "--environment-file", &environment, "--identity", "/etc/windlass/key"];
    let ran = install(&place, &options, &backup);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.ends_with(
        "then: systemctl daemon-reload && systemctl enable --now windlass-etcd-backup.timer windlass-etcd-prove.timer\n"
    ));
    assert_eq!(left(&place), UNITS);
    let windlass = env!("CARGO_BIN_EXE_windlass");
    let service = unit(&place, UNITS[0]);
    assert!(service.contains(&format!("\nExecStart={windlass} etcd backup {}\n", backup.join(" "))), "{service}");
    for line in ["/srv/etcd", "/var/lib/node", &place.text("state")] {
        assert!(service.contains(&format!("\nReadWritePaths={line}\n")), "{service}");
    }
    assert!(service.contains(&format!("\nEnvironmentFile={environment}\n")) && !service.contains("AWS_"), "{service}");
    assert!(unit(&place, UNITS[1]).contains("\nOnCalendar=Mon..Fri 02:30\n"));
    let proof = unit(&place, UNITS[2]);
    let words = "etcd verify --prove --identity /etc/windlass/key --metrics /var/lib/node/etcd.prom --cluster lab /srv/etcd \
         s3://backups/lab";
    assert!(proof.contains(&format!("\nExecStart={windlass} {words}\n")), "{proof}");
    systemd_takes(&place);

    let shown = place.windlass(&["etcd", "schedule", "show", "--root", &place.text("root")]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(shown.out.contains("  OnCalendar=Mon..Fri 02:30\n  RandomizedDelaySec=1800\n"), "{}", shown.out);
}

/// No word of systemd's about any of the units.
fn systemd_takes(place: &Place) {
    let paths = UNITS.map(|name| place.path("root/etc/systemd/system").join(name));
    let said = match Command::new("systemd-analyze").arg("verify").args(&paths).output() {
        Ok(said) => said,
        // A machine without systemd has nothing to say of its units.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => panic!("{error}"),
    };
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    let about_ours: Vec<&str> = words.lines().filter(|line| line.contains("windlass")).collect();
    assert!(said.status.success() && about_ours.is_empty(), "{words}");
}

#[test]
fn it_is_installed_again_and_taken_away_and_nothing_else_is() {
    let place = Place::new();
    let root = place.text("root");
    assert_eq!(install(&place, &[], &["--local", "--cluster", "lab", "--to", "/srv/etcd"]).code, 0);
    let other = place.path("root/etc/systemd/system/windlass-other.timer");
    std::fs::write(&other, "mine").expect("written");
    assert_eq!(install(&place, &["--no-prove"], &["--local", "--cluster", "lab", "--to", "/srv/etcd"]).code, 0);
    assert_eq!(left(&place), [UNITS[0], UNITS[1], "windlass-other.timer"]);
    let removed = place.windlass(&["etcd", "schedule", "remove", "--root", &root]);
    assert_eq!(removed.code, 0, "{}", removed.err);
    assert_eq!(removed.out.lines().count(), 2, "{}", removed.out);
    assert_eq!(left(&place), ["windlass-other.timer"]);
    let again = place.windlass(&["etcd", "schedule", "remove", "--root", &root]);
    assert_eq!((again.code, again.out), (0, format!("no schedule is installed in {root}/etc/systemd/system\n")));
}

#[test]
fn a_unit_that_windlass_did_not_write_is_neither_replaced_nor_removed() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("root/etc/systemd/system")).expect("made");
    let foreign = place.path("root/etc/systemd/system/windlass-etcd-backup.timer");
    std::fs::write(&foreign, "[Timer]\nOnCalendar=daily\n").expect("written");
    for ran in [
        install(&place, &[], &["--local", "--cluster", "lab", "--to", "/srv/etcd"]),
        place.windlass(&["etcd", "schedule", "remove", "--root", &place.text("root")]),
    ] {
        assert_eq!(ran.code, 11, "{}", ran.err);
        assert!(ran.err.contains("windlass-etcd-backup.timer was not written by windlass"), "{}", ran.err);
        assert_eq!(left(&place), [UNITS[1]]);
    }
    assert_eq!(read(Path::new(&foreign)), "[Timer]\nOnCalendar=daily\n");
}

#[test]
fn what_a_timer_could_not_run_is_refused_before_anything_is_written() {
    let place = Place::new();
    let open = place.write("open.env", "AWS_SECRET_ACCESS_KEY=x\n");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).expect("open");
    let good = ["--local", "--cluster", "lab", "--to", "/srv/etcd"];
    let nameless = ["--local", "--to", "/srv/etcd"];
    let closed =
        [&good[..], &["--recipient", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]].concat();
    let open_file = ["--environment-file", open.as_str()];
    let mut cases: Vec<(&[&str], &[&str], &str)> = vec![
        (&[], &["--local", "--cluster", "lab", "--to", "backups"], "backups is not an absolute path"),
        (
            &[],
            &["--local", "--cluster", "lab", "--to", "/srv/etcd", "--metrics", "x.prom"],
            "x.prom is not an absolute path",
        ),
        (&[], &["--local", "--cluster", "lab", "--to", "ftp://x/y"], "`ftp://x/y` is no destination"),
        (&[], &["--local", "--cluster", "lab", "--to", "/srv/etcd", "--keep-daily", "0"], "--keep-daily"),
        (&[], &nameless, "a schedule needs the cluster's name"),
        (&[], &closed, "what is encrypted cannot be proven without a key"),
        (&open_file, &good, "can be read by others than its owner"),
    ];
    // A machine without systemd cannot say what systemd reads.
    if Command::new("systemd-analyze").arg("--version").output().is_ok() {
        cases.push((&["--on-calendar", "fortnightly"], &good, "calendar expression `fortnightly`"));
    }
    for (options, backup, says) in cases {
        let ran = install(&place, options, backup);
        assert_eq!(ran.code, 2, "{backup:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{says}: {}", ran.err);
        assert!(!place.path("root").exists());
    }
}

#[test]
fn lines_for_cron_are_printed_and_nothing_is_written() {
    let place = Place::new();
    let ran =
        install(&place, &["--crontab"], &["--local", "--cluster", "lab", "--to", "/srv/etcd", "--keep-last", "3"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ran.out);
    assert!(lines[1].starts_with("17 1 * * * root umask 077; WINDLASS_STATE="), "{}", lines[1]);
    assert!(lines[1].ends_with(" etcd backup --local --cluster lab --to /srv/etcd --keep-last 3"), "{}", lines[1]);
    assert!(!place.path("root").exists());
}
