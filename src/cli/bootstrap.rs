//! `windlass bootstrap needs|plan|apply|finish`: a cluster of machines that have nothing but SSH, sudo and a package source.

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Subcommand};
use semver::Version;

use super::files::{self, ReadInventory};
use super::looked::Looked;
use super::plan::{Shown, refuse, show};
use super::run::Arguments;
use super::signs::{Signs, absolute};
use super::{Format, apply};
use crate::decide::bootstrap::{Files, Manifest, Wanted, needs, plan};
use crate::decide::plan::digest;
use crate::error::{Exit, Failure};
use crate::observe::Ask;
use crate::report;

/// A cluster that begins.
#[derive(Debug, Subcommand)]
pub(super) enum Bootstrap {
    /// Say which packages and images a site has to have; asks no machine
    Needs(Needed),
    /// Look at the machines and write down how they become a cluster; changes nothing
    Plan(Planned),
    /// Carry out a plan, or go on with it
    Apply(Arguments),
    /// Take away what nodes keep of the run, once it is over; snapshots stay
    Finish(Arguments),
}

/// Which cluster is to begin.
#[derive(Debug, Args)]
struct Wish {
    /// The machines that become a cluster
    #[arg(short, long, value_name = "FILE")]
    inventory: Utf8PathBuf,
    /// The version of Kubernetes
    #[arg(long, value_name = "VERSION", value_parser = super::plan::version)]
    kubernetes: Version,
    /// The version of an external etcd
    #[arg(long, value_name = "VERSION", value_parser = super::plan::version)]
    etcd: Option<Version>,
}

/// Arguments of `windlass bootstrap needs`.
#[derive(Debug, Args)]
pub(super) struct Needed {
    #[command(flatten)]
    wish: Wish,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Arguments of `windlass bootstrap plan`.
#[derive(Debug, Args)]
pub(super) struct Planned {
    #[command(flatten)]
    wish: Wish,
    #[command(flatten)]
    signs: Signs,
    /// Write the plan here, for `apply`
    #[arg(long, value_name = "FILE")]
    out: Option<Utf8PathBuf>,
    /// How to show the plan; as JSON it is the plan file itself, or the findings against one
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Says what a bootstrap needs, plans one, carries it out, or clears up behind it.
pub(super) async fn run(bootstrap: Bootstrap) -> Result<(), Failure> {
    match bootstrap {
        Bootstrap::Needs(needed) => tell(&needed),
        Bootstrap::Plan(planned) => make(planned).await,
        Bootstrap::Apply(arguments) => apply::run(arguments, "bootstrap apply").await,
        Bootstrap::Finish(arguments) => super::finish::run(arguments, "bootstrap finish", false).await,
    }
}

fn tell(needed: &Needed) -> Result<(), Failure> {
    let read = files::inventory(&needed.wish.inventory)?;
    let own = own_files(&read)?;
    let told = needs(&read.inventory, &needed.wish.kubernetes, needed.wish.etcd.as_ref(), &own).map_err(|wrong| {
        let mut failure = Failure::new(Exit::Refused, "what this cluster needs cannot be told");
        failure.causes = wrong;
        failure
    })?;
    match needed.output {
        Format::Text => anstream::print!("{}", report::needs(&told)),
        Format::Json => anstream::println!("{:#}", report::needs_json(&told)),
    }
    Ok(())
}

async fn make(planned: Planned) -> Result<(), Failure> {
    let read = files::inventory(&planned.wish.inventory)?;
    let own = own_files(&read)?;
    let authority = planned.signs.authority()?;
    let ask = Ask::before(&read.inventory);
    let (read, facts, sources) = Looked::asking(read, &ask).await?.close().await;
    let wanted = Wanted {
        inventory: &read.inventory,
        facts: &facts,
        kubernetes: &planned.wish.kubernetes,
        etcd: planned.wish.etcd.as_ref(),
        files: &own,
        authority: authority.as_ref(),
        sources: &sources,
    };
    match plan(wanted) {
        Ok(plan) => show(&Shown { out: planned.out.as_deref(), output: planned.output }, &plan),
        Err(findings) => Err(refuse(planned.output, &findings)),
    }
}

/// The files that the inventory names.
pub(super) fn own_files(read: &ReadInventory) -> Result<Files, Failure> {
    let bootstrap = &read.inventory.bootstrap;
    let text = |path: &Option<Utf8PathBuf>| path.as_deref().map(files::read).transpose();
    let manifests = bootstrap.manifests.iter().map(|path| manifest(path)).collect::<Result<_, _>>()?;
    Ok(Files { kubeadm: text(&bootstrap.kubeadm)?, containerd: text(&bootstrap.containerd)?, manifests })
}

fn manifest(path: &Utf8Path) -> Result<Manifest, Failure> {
    let wrong = |cause: std::io::Error| {
        Failure::new(Exit::InvalidFile, format!("the manifest {path} cannot be read")).because(cause.to_string())
    };
    let file = absolute(path)?;
    let content = std::fs::read(&file).map_err(wrong)?;
    Ok(Manifest { file: file.to_string(), sha256: digest(&content), bytes: content.len() as u64 })
}
