use std::time::Duration;

use super::{Job, NAMES, Schedule, crontab, units};

fn job(words: &[&str], when: &str) -> Job {
    Job { argv: words.iter().map(|word| (*word).to_owned()).collect(), when: when.to_owned() }
}

fn schedule() -> Schedule {
    Schedule {
        backup: job(
            &["/usr/local/bin/windlass", "etcd", "backup", "--to", "/srv/a b", "--keep-daily", "7"],
            "*-*-* 01:00:00",
        ),
        prove: Some(job(&["/usr/local/bin/windlass", "etcd", "verify", "--prove"], "Sun *-*-* 03:00:00")),
        writes: vec!["/srv/etcd".into(), "/var/lib/windlass".into()],
        state: "/var/lib/windlass".into(),
        environment: Some("/etc/windlass/s3.env".into()),
        delay: Duration::from_secs(1800),
    }
}

fn text(schedule: &Schedule, name: &str) -> String {
    let units = units(schedule).expect("units");
    units.into_iter().find(|unit| unit.name == name).expect("it is there").text
}

#[test]
fn a_service_runs_the_backup_confined() {
    let text = text(&schedule(), NAMES[0]);
    for line in [
        "Type=oneshot",
        "ExecStart=/usr/local/bin/windlass etcd backup --to \"/srv/a b\" --keep-daily 7",
        "Environment=WINDLASS_STATE=/var/lib/windlass",
        "EnvironmentFile=/etc/windlass/s3.env",
        "UMask=0077",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ReadWritePaths=/srv/etcd",
        "ReadWritePaths=/var/lib/windlass",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("AWS_"));
    let may = |name| {
        self::text(&schedule(), name)
            .lines()
            .find_map(|line| line.strip_prefix("CapabilityBoundingSet=").map(str::to_owned))
    };
    assert_eq!(may(NAMES[0]).as_deref(), Some("CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH"));
    let proof = may(NAMES[2]).expect("it is bounded");
    assert_eq!(
        proof, "CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_SYS_PTRACE",
        "for a member's programs in its container"
    );
}

#[test]
fn timers_catch_up_and_do_not_all_fire_at_once() {
    let text = text(&schedule(), NAMES[1]);
    for line in ["OnCalendar=*-*-* 01:00:00", "RandomizedDelaySec=1800", "Persistent=yes", "WantedBy=timers.target"] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let without = Schedule { prove: None, ..schedule() };
    let names: Vec<_> = units(&without).expect("units").into_iter().map(|unit| unit.name).collect();
    assert_eq!(names, NAMES[..2]);
}

#[test]
fn no_word_becomes_another_setting_or_is_filled_in() {
    let argv = |word: &str| Schedule { backup: job(&["/bin/windlass", word], "daily"), ..schedule() };
    assert!(text(&argv("100%$HOME\"\\"), NAMES[0]).contains("ExecStart=/bin/windlass \"100%%$$HOME\\\"\\\\\"\n"));
    for word in ["a\nExecStartPre=/bin/sh", "", "a\0"] {
        assert!(units(&argv(word)).is_err(), "{word:?}");
    }
    let when = Schedule { backup: job(&["/bin/windlass"], "daily\nUnit=x"), ..schedule() };
    assert!(units(&when).is_err());
    for path in ["/srv/a b", "srv", "/srv/x\ny", "/srv/\"x"] {
        let wrong = Schedule { writes: vec![path.into()], ..schedule() };
        assert!(units(&wrong).is_err(), "{path:?}");
    }
}

#[test]
fn cron_gets_the_same_commands() {
    let schedule = Schedule { backup: job(&["/bin/windlass", "--to", "/srv/it's 5%"], "daily"), ..schedule() };
    let lines: Vec<String> = crontab(&schedule).expect("lines").lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3);
    let start = "umask 077; set -a; . /etc/windlass/s3.env; set +a; WINDLASS_STATE=/var/lib/windlass";
    assert_eq!(lines[1], format!(r"17 1 * * * root {start} /bin/windlass --to '/srv/it'\''s 5'\%''"));
    assert_eq!(lines[2], format!("17 3 * * 0 root {start} /usr/local/bin/windlass etcd verify --prove"));
}
