//! `windlass upgrade plan`: files and facts in, a plan or every reason against one out.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use semver::Version;

use super::Format;
use super::files::{self, ReadInventory};
use crate::decide::actions::programs::{Archive, Origin};
use crate::decide::finding::{Finding, Verdict, verdict};
use crate::decide::plan::{Plan, Sources, digest};
use crate::decide::planner::{self, Wanted};
use crate::decide::rules::Case;
use crate::decide::target::Target;
use crate::error::{Exit, Failure};
use crate::facts::{self, Facts};
use crate::inventory::{NodeName, check_url};
use crate::observe::{Ask, observe};
use crate::playbook::{self, Playbook, Raises};
use crate::remote::{Clock, Remote, SystemClock};
use crate::report;

/// Arguments of `windlass upgrade plan`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The cluster's inventory
    #[arg(short, long, value_name = "FILE")]
    inventory: Utf8PathBuf,
    /// The Kubernetes version to reach, as 1.21.14
    #[arg(long, value_name = "VERSION", value_parser = version, required_unless_present = "etcd_to")]
    to: Option<Version>,
    /// The version of external etcd to reach, as 3.5.16
    #[arg(long, value_name = "VERSION", value_parser = version)]
    etcd_to: Option<Version>,
    /// Take etcd from this archive of its programs, a file or an http(s) address, where it is no package
    #[arg(long, value_name = "FILE|URL", requires = "etcd_to", requires = "etcd_sha256")]
    etcd_archive: Option<String>,
    /// The archive's SHA-256, as its publisher tells it
    #[arg(long, value_name = "HEX", requires = "etcd_archive", value_parser = sha256)]
    etcd_sha256: Option<String>,
    /// A playbook to use in place of the one that comes along for the same kind of upgrade
    #[arg(long, value_name = "FILE")]
    playbook: Vec<Utf8PathBuf>,
    /// Write the plan here, for `windlass upgrade apply`
    #[arg(long, value_name = "FILE")]
    out: Option<Utf8PathBuf>,
    /// Plan from saved facts, without asking any node
    #[arg(long, value_name = "FILE", conflicts_with = "save_facts")]
    facts: Option<Utf8PathBuf>,
    /// Save what was seen
    #[arg(long, value_name = "FILE")]
    save_facts: Option<Utf8PathBuf>,
    /// Leave a dead or offline worker out, by name
    #[arg(long, value_name = "NODE", value_parser = |name: &str| NodeName::new(name))]
    leave_out: Vec<NodeName>,
    /// Accept the outage of a cluster too small to be raised without one
    #[arg(long)]
    accept_outage: bool,
    /// Where journals and snapshots will be kept; their room is looked at [default: as for `upgrade apply`]
    #[arg(long, value_name = "FOLDER", env = "WINDLASS_STATE")]
    state: Option<Utf8PathBuf>,
    /// Append every question to a machine and its answer to this file, as for a bug report
    #[arg(long, value_name = "FILE", conflicts_with = "facts")]
    record: Option<Utf8PathBuf>,
    /// How to show the plan; as JSON it is the plan file itself, or the findings against one
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// A version, with or without `v`; all three numbers.
pub(super) fn version(word: &str) -> Result<Version, String> {
    let word = word.strip_prefix('v').unwrap_or(word);
    Version::parse(word).map_err(|error| format!("{error}; a version has three numbers, as 1.21.14"))
}

/// A SHA-256 as 64 hexadecimal digits.
fn sha256(word: &str) -> Result<String, String> {
    let fits = word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
    if fits { Ok(word.to_ascii_lowercase()) } else { Err("a SHA-256 has 64 hexadecimal digits".to_owned()) }
}

/// Makes, writes and shows the plan.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let read = files::inventory(&arguments.inventory)?;
    let given = arguments.playbook.iter().map(|path| files::playbook(path)).collect::<Result<Vec<_>, _>>()?;
    let facts = facts(&arguments, &read).await?;
    let facts_json = facts::to_json(&facts);
    if let Some(path) = &arguments.save_facts {
        files::write(path, &facts_json)?;
    }
    let target = Target {
        kubernetes: arguments.to.clone(),
        etcd: arguments.etcd_to.clone(),
        etcd_archive: archive(&arguments)?,
        leave_out: arguments.leave_out.iter().cloned().collect(),
        accept_outage: arguments.accept_outage,
    };
    let case = Case { inventory: &read.inventory, facts: &facts, target: &target };
    let (playbooks, playbook_digests) = playbooks(&planner::raises(case), given)?;
    let sources = Sources {
        inventory: read.path.to_string(),
        inventory_digest: read.digest.clone(),
        playbook_digests,
        facts_digest: digest(facts_json.as_bytes()),
    };
    let wanted =
        Wanted { inventory: &read.inventory, playbooks: &playbooks, facts: &facts, target: &target, sources: &sources };
    match planner::plan(wanted) {
        Ok(plan) => show(&Shown { out: arguments.out.as_deref(), output: arguments.output }, &plan),
        Err(findings) => Err(refuse(arguments.output, &findings)),
    }
}

/// The archive of etcd's programs, when there is one; a file has to be the one that was meant.
fn archive(arguments: &Arguments) -> Result<Option<Archive>, Failure> {
    let (Some(from), Some(sha256)) = (&arguments.etcd_archive, &arguments.etcd_sha256) else { return Ok(None) };
    let from = if from.contains("://") {
        check_url(from).map_err(|why| Failure::new(Exit::Usage, format!("--etcd-archive: {why}")))?;
        Origin::Url(from.clone())
    } else {
        let path = camino::absolute_utf8(from).map_err(|error| Failure::of(Exit::InvalidFile, &error))?;
        let content = files::read_bytes(&path)?;
        let (bytes, found) = (content.len() as u64, digest(&content));
        if found != *sha256 {
            let what = format!("{path} has the SHA-256 {found}, not {sha256}");
            return Err(Failure::new(Exit::InvalidFile, what).hint("fetch it again, or look where the hash is from"));
        }
        Origin::File { path: path.to_string(), bytes }
    };
    Ok(Some(Archive { from, sha256: sha256.clone() }))
}

async fn facts(arguments: &Arguments, read: &ReadInventory) -> Result<Facts, Failure> {
    if let Some(path) = &arguments.facts {
        let facts = facts::from_json(&files::read(path)?)
            .map_err(|error| Failure::of(Exit::InvalidFile, &error).because(format!("in the facts file {path}")))?;
        if facts.cluster != read.inventory.name {
            let what = format!("{path} has facts of cluster {}, not of {}", facts.cluster, read.inventory.name);
            return Err(Failure::new(Exit::InvalidFile, what));
        }
        return Ok(facts);
    }
    let fleet = read.fleet()?;
    let clock = SystemClock::start();
    let folder_here = files::state_ancestor(arguments.state.clone());
    let ask = Ask { folder_here, ..Ask::about(&read.inventory, true) };
    let recorded = files::recorded(arguments.record.as_deref(), &fleet, &clock)?;
    let remote = recorded.as_ref().map_or(&fleet as &dyn Remote, |recorded| recorded);
    let facts = observe(remote, &clock, &read.inventory, &ask).await;
    anstream::eprintln!("{}", report::looked(clock.elapsed(), &fleet.timings().so_far()));
    fleet.close().await;
    Ok(facts)
}

/// The playbooks for what is raised: the given ones in place of those that come along.
fn playbooks(
    raises: &[Raises],
    mut given: Vec<(Playbook, String)>,
) -> Result<(Vec<Playbook>, BTreeMap<String, String>), Failure> {
    let (mut playbooks, mut digests) = (Vec::new(), BTreeMap::new());
    for &raised in raises {
        let etcd = raised == Raises::Etcd;
        let (playbook, digest) = match given.iter().position(|(playbook, _)| (playbook.raises == Raises::Etcd) == etcd)
        {
            Some(at) => given.remove(at),
            None => along(raised)?,
        };
        digests.insert(playbook.name.clone(), digest);
        playbooks.push(playbook);
    }
    match given.first() {
        None => Ok((playbooks, digests)),
        Some((playbook, _)) => {
            let what = format!("playbook {} raises {}, which nothing asks for", playbook.name, playbook.raises.word());
            Err(Failure::new(Exit::Usage, what))
        }
    }
}

fn along(raises: Raises) -> Result<(Playbook, String), Failure> {
    let text = playbook::builtin(raises);
    let playbook = playbook::parse(text).map_err(|error| Failure::of(Exit::Bug, &error))?;
    Ok((playbook, digest(text.as_bytes())))
}

/// How a plan is shown.
pub(super) struct Shown<'a> {
    /// Where it is written.
    pub(super) out: Option<&'a Utf8Path>,
    /// As what it is printed.
    pub(super) output: Format,
}

/// Writes and shows a plan.
pub(super) fn show(shown: &Shown<'_>, plan: &Plan) -> Result<(), Failure> {
    if let Some(path) = shown.out {
        files::write(path, &plan.to_json())?;
    }
    match shown.output {
        Format::Json => anstream::print!("{}", plan.to_json()),
        Format::Text => {
            anstream::print!("{}", report::plan(plan));
            if let (Some(path), false) = (shown.out, plan.is_empty()) {
                anstream::println!("\nTo carry it out: windlass {} apply {path}", plan.task.command());
            }
        }
    }
    Ok(())
}

/// Shows why there is no plan.
pub(super) fn refuse(output: Format, findings: &[Finding]) -> Failure {
    match output {
        Format::Text => anstream::print!("{}", report::findings(findings)),
        Format::Json => {
            let json = serde_json::json!({ "format": 1, "findings": findings });
            anstream::println!("{json:#}");
        }
    }
    let failure = match verdict(findings) {
        Verdict::Unreachable(machines) => {
            Failure::new(Exit::Unreachable, format!("{} cannot be reached", crate::text::count(machines, "machine")))
        }
        Verdict::Refused(reasons) => {
            Failure::new(Exit::Refused, format!("no plan: {}", crate::text::count(reasons, "reason")))
        }
    };
    failure.hint("nothing was changed on any node")
}
