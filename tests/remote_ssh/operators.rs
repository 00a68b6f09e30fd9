//! One operator after another, with the real scripts and the real command line: eight machines, which are folders here.
//! Nothing else of a cluster is there, so that a run that goes on ends where it looks around.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use windlass::decide::plan::Plan;
use windlass::inventory;
use windlass::journal::{Event, FORMAT, Record};
use windlass::remote::ssh::Fleet;
use windlass::remote::{Remote, Script};

use crate::server::{Server, call, name};

/// What a command came to.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// Machines, an inventory that leads to them, and a plan for what was once seen of such.
struct Desk {
    server: Server,
    plan: Plan,
}

const NODES: [&str; 8] = ["etcd1", "etcd2", "etcd3", "cp1", "cp2", "cp3", "w1", "w2"];

impl Desk {
    fn new() -> Self {
        let server = Server::start_for(NODES.len());
        let mut text = include_str!("../scenarios/inventory.toml").to_owned();
        for (number, node) in (1..).zip(NODES) {
            let at = text.find(&format!("name = \"{node}\"\n")).expect("the node");
            let from = at + text[at..].find("address = ").expect("its address");
            let to = from + text[from..].find('\n').expect("its end");
            text.replace_range(from..to, &format!("address = \"127.0.0.{number}\""));
        }
        let (begin, end) = (text.find("[ssh]").expect("ssh"), text.find("[api]").expect("api"));
        let ssh = format!(
            "[ssh]\nport = {}\nidentity = \"user\"\nknown_hosts = \"known_hosts\"\nconnect_timeout = \"2s\"\nsudo = false\n\n",
            server.port
        );
        text.replace_range(begin..end, &ssh);
        std::fs::write(server.folder.path().join("lab.toml"), &text).expect("written");
        let facts = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/facts.json");
        let words = ["upgrade", "plan", "-i", "lab.toml", "--facts", facts, "--to", "1.21.14", "--out", "plan.json"];
        let planned = windlass(&server, "ann", &words);
        assert_eq!(planned.code, 0, "{}", planned.err);
        let text = std::fs::read_to_string(server.folder.path().join("plan.json")).expect("a plan");
        Self { server, plan: Plan::from_json(&text).expect("a plan") }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.server.folder.path().join(file)
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    fn windlass(&self, who: &str, words: &[&str]) -> Ran {
        windlass(&self.server, who, words)
    }

    fn fleet(&self) -> Fleet {
        let inventory = inventory::parse(&self.read("lab.toml")).expect("an inventory").value;
        Fleet::new(&inventory, self.server.base()).expect("a fleet")
    }

    /// What Ann's machine left on the control planes before it was gone: the lock, and copies of plan and journal. One
    /// that lags by a record is on cp2.
    async fn left_behind(&self, token: &str) -> String {
        let run = &self.plan.id;
        let fleet = self.fleet();
        let holder = format!(
            r#"{{"run":"{run}","operator":"ann@desk","machine":"m1","since":"2026-11-22T21:58:28Z","token":{token}}}"#
        );
        let journal = self.journal(token.parse().expect("a number"));
        let cut = journal.trim_end().rfind('\n').expect("more than one line");
        let lagging = &journal[..=cut];
        for (node, text) in [("cp1", journal.as_str()), ("cp2", lagging), ("cp3", journal.as_str())] {
            for call in [
                call(Script::LockTake, &[token, &holder, "ann"]),
                call(Script::CopyAppend, &[token, &run.0, "plan.json", "0", &self.plan.to_json()]),
                call(Script::CopyAppend, &[token, &run.0, "journal", "0", text]),
            ] {
                let answer = fleet.call(&name(node), &call).await.expect("an answer");
                assert_eq!(answer.status, 0, "{node}: {answer:?}");
            }
        }
        journal
    }

    fn journal(&self, token: u64) -> String {
        let step = |step: &str| format!("prepare/{step}/packages");
        let unit = |node: &str| Some(format!("prepare.{node}.packages.1"));
        let events = [
            Event::Opened { format: FORMAT, run: self.plan.id.clone(), windlass: "0.1.0".to_owned() },
            Event::Locked { token, holder: "ann@desk".to_owned() },
            Event::Started { step: step("cp1"), attempt: 1, on: Some(name("cp1")), unit: unit("cp1") },
            Event::Finished { step: step("cp1"), how: windlass::journal::How::Acted, millis: 900 },
            Event::Snapshot {
                file: "/home/ann/lab-20261122T215834.151Z.db".to_owned(),
                bytes: 2 * 1024 * 1024,
                sha256: "0".repeat(64),
                revision: 1123,
                registry_keys: 510,
                from: name("etcd2"),
                copy: Some(name("cp1")),
                proven: None,
            },
            Event::Started { step: step("w1"), attempt: 1, on: Some(name("w1")), unit: unit("w1") },
        ];
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).expect("a time");
        let mut seal = String::new();
        let mut line = |(second, event): (i64, &Event)| {
            let (record, line) = Record::line(at(second), event.clone(), &seal).expect("JSON");
            seal = record.seal;
            line + "\n"
        };
        (0..).zip(&events).map(&mut line).collect()
    }

    /// The token that each machine has stored.
    fn tokens(&self) -> Vec<String> {
        let root = |number: usize| if number == 1 { "node/token".to_owned() } else { format!("node{number}/token") };
        let token = |number| std::fs::read_to_string(self.path(&root(number))).unwrap_or_default().trim().to_owned();
        (1..=NODES.len()).map(token).collect()
    }
}

/// Runs Windlass as somebody with a state folder of their own.
fn windlass(server: &Server, who: &str, words: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_windlass"))
        .args(words)
        .current_dir(server.folder.path())
        .env("WINDLASS_STATE", server.folder.path().join(format!("state-{who}")))
        .env("USER", who)
        .env_remove("WINDLASS_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("windlass runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code().expect("a code"), out: text(output.stdout), err: text(output.stderr) }
}

/// A record that comes behind this journal.
fn next(journal: &str) -> String {
    let (records, _) = windlass::journal::read(journal).expect("a journal");
    let last = records.last().expect("a record");
    let (_, line) = Record::line(last.at, Event::Released { token: 7 }, &last.seal).expect("JSON");
    line + "\n"
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn the_lock_is_shown_whoever_holds_it() {
    let desk = Desk::new();
    let nobody = desk.windlass("bob", &["lock", "show", "-i", "lab.toml"]);
    let expected = "lock of cluster lab\n  held by      nobody\n  token        0 on every machine that answers\n  running      nothing\n";
    assert_eq!((nobody.code, nobody.out.as_str(), nobody.err.as_str()), (0, expected, ""));
    desk.left_behind("7").await;
    let shown = desk.windlass("bob", &["lock", "show", "-i", "lab.toml"]);
    let run = &desk.plan.id;
    let lines: Vec<&str> = shown.out.lines().collect();
    assert_eq!(lines[1], format!("  held by      ann@desk (machine m1), for run {run}"), "{}", shown.out);
    assert_eq!(lines[2], "  since        2026-11-22T21:58:28Z, token 7");
    assert_eq!(lines[3], "  on           cp1, cp2 and cp3 (3 of 3 control planes)");
    assert_eq!(lines[4], "  token        7; lower on etcd1 0, etcd2 0, etcd3 0, w1 0 and w2 0");
    let json = desk.windlass("bob", &["lock", "show", "-i", "lab.toml", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(
        (&json["format"], &json["highest_token"], &json["majority_answers"]),
        (&1.into(), &7.into(), &true.into())
    );
    assert_eq!(json["holders"][0]["holder"]["operator"], "ann@desk");
    assert_eq!(json["machines"].as_array().map(Vec::len), Some(8));
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn a_run_is_gone_on_with_from_another_machine() {
    let desk = Desk::new();
    let journal = desk.left_behind("7").await;
    let run = desk.plan.id.to_string();

    let status = desk.windlass("bob", &["upgrade", "status", "-i", "lab.toml"]);
    assert_eq!(status.code, 0, "{}", status.err);
    println!("{}", status.out);
    let all = desk.plan.placed().count();
    for line in [
        &format!("run {run} of cluster lab: Kubernetes 1.20.2 -> 1.21.14"),
        "  known from   the copy on cp1\n",
        "the copy on cp2 lags by 1 record\n",
        "  operator     ann@desk\n",
        "  begun        2027-01-15 08:00:00 UTC, last record 2027-01-15 08:00:05 UTC\n",
        &format!("  done         1 of {all} steps, at stage archive\n"),
        &format!("prepare/w1/packages: windlass-{run}-prepare.w1.packages.1 on w1: it was not started\n"),
        "2.0 MiB, revision 1123, from etcd2) on the machine of whoever took it: /home/ann/lab-20261122T215834.151Z.db; \
         copy on cp1: /var/lib/windlass/snapshots/lab-20261122t215834.151z.db\n",
        &format!("To go on with run {run}: windlass upgrade apply --resume -i lab.toml --state "),
    ] {
        assert!(status.out.contains(line), "{line:?} is not in\n{}", status.out);
    }
    assert!(status.out.trim_end().ends_with(" --take-over"), "{}", status.out);
    let json = desk.windlass("bob", &["upgrade", "status", "-i", "lab.toml", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((&json["runs"][0]["steps"]["done"], &json["runs"][0]["run"]), (&1.into(), &run.as_str().into()));
    assert!(!desk.path("state-bob").exists(), "who only looks leaves nothing");

    // Ann holds the lock: it is said, and nothing is taken.
    let held = desk.windlass("bob", &["upgrade", "apply", "--resume", "-i", "lab.toml", "--yes"]);
    println!("{}\n{}", held.out, held.err);
    assert_eq!(held.code, 11, "{}{}", held.out, held.err);
    assert!(held.out.contains(&format!("run {run} from the copy on cp1: 1 of {all} steps done\n")), "{}", held.out);
    assert!(held.out.contains("its copy is on cp1: /var/lib/windlass/snapshots/"), "{}", held.out);
    assert!(held.err.contains("ann@desk holds the lock for run"), "{}", held.err);
    assert!(held.err.contains("--take-over"), "{}", held.err);
    assert_eq!(desk.read(&format!("state-bob/lab/{run}.journal")), journal);
    assert_eq!(desk.read(&format!("state-bob/lab/{run}.plan.json")), desk.read("plan.json"));
    assert_eq!(desk.tokens(), ["", "", "", "7", "7", "7", "", ""]);

    // Taken over; there is nothing here to go on with, and it ends where it looks around. Every machine is fenced.
    let over = desk.windlass("bob", &["upgrade", "apply", "--resume", "-i", "lab.toml", "--yes", "--take-over"]);
    println!("{}\n{}", over.out, over.err);
    assert!(over.out.contains("note: taken over: ann@desk holds the lock for run"), "{}{}", over.out, over.err);
    assert!(matches!(over.code, 13 | 14), "{}{}", over.out, over.err);
    assert_eq!(desk.tokens(), ["8"; 8]);
    let fleet = desk.fleet();
    for (number, node) in (1..).zip(NODES) {
        for call in [
            call(Script::UnitStart, &["7", &run, "prepare.w2.packages.1", "run", "true"]),
            call(Script::CopyAppend, &["7", &run, "journal", "0", ""]),
            call(Script::TokenRaise, &["7"]),
        ] {
            let answer = fleet.call(&name(node), &call).await.expect("an answer");
            assert_eq!((answer.status, answer.stdout.as_str()), (3, "8\n"), "{number} {node} {call:?}");
        }
    }
    // Bob's records were copied, also to cp2, which lagged.
    let own = desk.read(&format!("state-bob/lab/{run}.journal"));
    assert!(own.starts_with(&journal) && own.len() > journal.len());
    for root in ["node4", "node5", "node6"] {
        assert_eq!(desk.read(&format!("{root}/copies/{run}/journal")), own, "{root}");
    }

    // Ann's machine is back, with what it knew then.
    std::fs::create_dir_all(desk.path("state-ann/lab")).expect("a folder");
    std::fs::write(desk.path(&format!("state-ann/lab/{run}.journal")), &journal).expect("written");
    let back = desk.windlass("ann", &["upgrade", "apply", "plan.json", "--yes"]);
    assert_eq!(back.code, 11, "{}{}", back.out, back.err);
    assert!(back.err.contains("was gone on with elsewhere") && back.err.contains("from bob@"), "{}", back.err);
    assert_eq!(desk.read(&format!("node4/copies/{run}/journal")), own);

    // A third operator finds what Bob wrote.
    let status = desk.windlass("eve", &["upgrade", "status", "plan.json"]);
    assert!(status.out.contains("  operator     bob@"), "{}", status.out);
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn what_does_not_fit_is_refused_in_its_own_words() {
    let desk = Desk::new();
    let resume = ["upgrade", "apply", "--resume", "-i", "lab.toml", "--yes"];
    let none = desk.windlass("bob", &resume);
    assert_eq!(none.code, 11, "{}", none.err);
    assert!(none.err.contains("no control plane has a copy of a run that is not finished"), "{}", none.err);
    let journal = desk.left_behind("7").await;
    let run = desk.plan.id.to_string();

    // Who has the plan, and not the journal, is told to fetch it.
    let begun = desk.windlass("bob", &["upgrade", "apply", "plan.json", "--yes"]);
    assert_eq!(begun.code, 11, "{}", begun.err);
    assert!(begun.err.contains(&format!("run {run} was gone on with elsewhere")), "{}", begun.err);
    assert!(begun.err.contains(&format!(" --resume -i {}", desk.path("lab.toml").display())), "{}", begun.err);

    let own = desk.path(&format!("state-bob/lab/{run}.journal"));
    let ahead = journal.clone() + &next(&journal);
    std::fs::write(&own, &ahead).expect("written");
    let held = desk.windlass("bob", &resume);
    assert_eq!(held.code, 11, "{}", held.err);
    assert!(held.out.contains("this machine's journal knows more than the copies"), "{}", held.out);
    assert_eq!(std::fs::read_to_string(&own).expect("it is there"), ahead);
    let cut = &journal[..=journal.trim_end().rfind('\n').expect("more than one line")];
    std::fs::write(&own, cut.to_owned() + &next(cut)).expect("written");
    let differs = desk.windlass("bob", &resume);
    assert_eq!(differs.code, 11, "{}", differs.err);
    assert!(differs.err.contains("tells another history of this run"), "{}", differs.err);
    assert!(differs.err.contains("mv "), "{}", differs.err);
    std::fs::remove_file(&own).expect("removed");

    let inventory = desk.read("lab.toml");
    std::fs::write(desk.path("other.toml"), format!("{inventory}\n# another\n")).expect("written");
    let other = desk.windlass("bob", &["upgrade", "apply", "--resume", "-i", "other.toml", "--yes"]);
    assert_eq!(other.code, 14, "{}", other.err);
    assert!(other.err.contains("is not the one that plan"), "{}", other.err);

    let plan = desk.path(&format!("node4/copies/{run}/plan.json"));
    let edited = desk.plan.to_json().replacen("\"outage_accepted\": false", "\"outage_accepted\": true", 1);
    for root in ["node4", "node5", "node6"] {
        std::fs::write(desk.path(&format!("{root}/copies/{run}/plan.json")), &edited).expect("written");
    }
    let changed = desk.windlass("bob", &resume);
    assert_eq!(changed.code, 10, "{}", changed.err);
    assert!(changed.err.contains("it was changed after it was made"), "{}", changed.err);
    std::fs::write(&plan, desk.plan.to_json()).expect("written");

    let second = desk.path("node4/copies/0123456789ab");
    std::fs::create_dir_all(&second).expect("a folder");
    for file in ["plan.json", "journal"] {
        std::fs::copy(desk.path(&format!("node4/copies/{run}/{file}")), second.join(file)).expect("copied");
    }
    let several = desk.windlass("bob", &resume);
    assert_eq!(several.code, 2, "{}", several.err);
    assert!(several.err.contains("--run ID") && several.err.contains("0123456789ab"), "{}", several.err);
    let stray = desk.windlass("bob", &[&resume[..], &["--run", "0123456789ab"]].concat());
    assert_eq!(stray.code, 10, "{}", stray.err);
    assert!(stray.err.contains(&format!("it has plan {run} where run 0123456789ab should be")), "{}", stray.err);
    assert!(!own.exists(), "nothing is kept of what is refused");
    assert_eq!(desk.tokens(), ["", "", "", "7", "7", "7", "", ""], "and nothing was taken");
}
