//! `windlass inventory discover`: an inventory of a cluster that runs and has none.

use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use futures_util::future::join_all;

use crate::decide::call::{Call, Script};
use crate::decide::discover::{self, Found};
use crate::error::{Exit, Failure, chain};
use crate::facts::ask::ApiSection;
use crate::facts::found::{self, FoundCluster, FoundEtcd};
use crate::inventory::{
    self, Address, Etcd, Inventory, LoadBalancer, NameError, NodeName, Role, Ssh, UserName, check_jump,
};
use crate::observe::api_call;
use crate::remote::ssh::Fleet;
use crate::remote::{Remote as _, RemoteError};

/// Arguments of `windlass inventory discover`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A control plane of the cluster, as SSH reaches it
    #[arg(long, value_name = "HOST", value_parser = |host: &str| Address::new(host))]
    from: Address,
    /// What to call the cluster [default: as kubeadm calls it]
    #[arg(long)]
    name: Option<String>,
    /// The user to log in as, on every machine
    #[arg(long, value_parser = |user: &str| UserName::new(user))]
    user: Option<UserName>,
    /// The port of sshd
    #[arg(long, default_value_t = 22)]
    port: u16,
    /// A private key
    #[arg(long, value_name = "FILE")]
    identity: Option<Utf8PathBuf>,
    /// Where the machines' host keys are [default: the user's own known_hosts]
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<Utf8PathBuf>,
    /// A machine to jump through
    #[arg(long, value_name = "[USER@]HOST[:PORT]", value_parser = jump)]
    jump: Option<String>,
    /// The user is root: sudo is not needed
    #[arg(long)]
    no_sudo: bool,
    /// Write it to this file, which must not be there yet [default: print it]
    #[arg(long, value_name = "FILE")]
    out: Option<Utf8PathBuf>,
}

fn jump(word: &str) -> Result<String, NameError> {
    check_jump(word).map(|()| word.to_owned())
}

/// Looks, and writes or prints it.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    if let Some(out) = arguments.out.as_deref().filter(|out| out.exists()) {
        return Err(
            Failure::new(Exit::Usage, format!("{out} is there already")).hint("nothing was asked; name another file")
        );
    }
    let ssh = ssh(&arguments)?;
    let cluster = cluster(&arguments.from, &ssh).await?;
    let hosts = discover::etcd_hosts(&cluster).map_err(|why| no_inventory(vec![why]))?;
    let etcd = machines(&hosts, &ssh).await?;
    let found = Found { cluster: &cluster, etcd: &etcd, ssh: &ssh, name: arguments.name.as_deref() };
    let text = inventory::write(&discover::inventory(found).map_err(no_inventory)?);
    if let Err(complaints) = inventory::parse(&text) {
        anstream::eprint!("{}", complaints.render("what was found", &text, false));
        return Err(no_inventory(vec![complaints.to_string()]));
    }
    let Some(out) = &arguments.out else {
        anstream::print!("{text}");
        return Ok(());
    };
    let written = std::fs::File::create_new(out).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::new(Exit::Usage, format!("could not write {out}")).because(error.to_string()))?;
    anstream::println!("wrote {out}: read it, then `windlass upgrade plan -i {out} --to VERSION`");
    Ok(())
}

/// Paths are written absolute: the inventory may lie anywhere.
fn ssh(arguments: &Arguments) -> Result<Ssh, Failure> {
    let absolute = |path: &Option<Utf8PathBuf>| {
        let absolute = path.as_ref().map(camino::absolute_utf8).transpose();
        absolute.map_err(|error| Failure::of(Exit::Usage, &error))
    };
    Ok(Ssh {
        user: arguments.user.clone(),
        port: arguments.port,
        identity: absolute(&arguments.identity)?,
        known_hosts: absolute(&arguments.known_hosts)?,
        jump: arguments.jump.clone(),
        sudo: !arguments.no_sudo,
        ..Ssh::default()
    })
}

fn no_inventory(why: Vec<String>) -> Failure {
    let mut failure = Failure::new(Exit::Refused, "what was found makes no inventory");
    failure.causes = why;
    failure.hint("inventories/example-ha.toml is one to write by hand from")
}

/// An inventory of machines that are only known by their addresses.
fn provisional(addresses: &[Address], ssh: &Ssh) -> Result<Inventory, Failure> {
    let node = |(number, address): (usize, &Address)| {
        let name = NodeName::new(format!("machine-{number}")).map_err(|error| Failure::of(Exit::Bug, &error))?;
        let roles = [Role::ControlPlane].into();
        Ok(inventory::Node { name, address: address.clone(), roles, labels: std::collections::BTreeMap::new() })
    };
    Ok(Inventory {
        name: "found".to_owned(),
        ssh: ssh.clone(),
        api: inventory::Api::default(),
        load_balancer: LoadBalancer::default(),
        etcd: Etcd::stacked(),
        kubeadm: inventory::Kubeadm::default(),
        bootstrap: inventory::Bootstrap::default(),
        nodes: addresses.iter().enumerate().map(node).collect::<Result<_, Failure>>()?,
    })
}

async fn cluster(from: &Address, ssh: &Ssh) -> Result<FoundCluster, Failure> {
    let inventory = provisional(std::slice::from_ref(from), ssh)?;
    let call = api_call(&inventory, &[ApiSection::Addresses, ApiSection::Kubeadm], None);
    let answer = ask(&inventory, &call).await?.pop();
    let unseen = |why: Vec<String>| {
        let mut failure = Failure::new(Exit::Unreachable, format!("{from} does not tell of its cluster"));
        failure.causes = why;
        failure.hint("name a control plane, as SSH reaches it; its user needs `sudo -n`, or is root (--no-sudo)")
    };
    let stdout = answer.unwrap_or_else(|| Err(vec!["it was not asked".to_owned()])).map_err(unseen)?;
    found::cluster(&stdout).map_err(|error| unseen(chain(&error)))
}

/// How each machine of an external etcd runs it.
async fn machines(hosts: &[Address], ssh: &Ssh) -> Result<Vec<(Address, FoundEtcd)>, Failure> {
    let inventory = provisional(hosts, ssh)?;
    let answers = ask(&inventory, &Call { script: Script::EtcdService, args: Vec::new() }).await?;
    let (mut machines, mut causes) = (Vec::new(), Vec::new());
    for (host, answer) in hosts.iter().zip(answers) {
        let told = answer.and_then(|stdout| found::etcd(&stdout).map_err(|error| chain(&error)));
        match told.and_then(|told| told.map_err(|why| vec![why])) {
            Ok(etcd) => machines.push((host.clone(), etcd)),
            Err(why) => causes.push(format!("{host}: {}", why.join(": "))),
        }
    }
    if causes.is_empty() {
        return Ok(machines);
    }
    let mut failure = Failure::new(Exit::Unreachable, "not every machine of etcd tells how it runs it");
    failure.causes = causes;
    Err(failure.hint("they are kubeadm's endpoints of etcd; each is reached as the control plane is"))
}

/// Asks every machine the same, at the same time; the answers in the inventory's order.
async fn ask(inventory: &Inventory, call: &Call) -> Result<Vec<Result<String, Vec<String>>>, Failure> {
    let fleet = Fleet::new(inventory, Utf8Path::new("/")).map_err(|error| Failure::of(Exit::Usage, &error))?;
    let asking = inventory.nodes.iter().map(|node| async {
        let told = |error: RemoteError| {
            // It has no name yet: what went wrong on the way is all that is worth a word.
            let causes = chain(&error);
            causes.into_iter().skip(1).collect::<Vec<_>>()
        };
        let output = fleet.call(&node.name, call).await.map_err(told)?;
        if output.stdout.is_empty() { Err(vec![output.stderr.trim().to_owned()]) } else { Ok(output.stdout) }
    });
    let answers = join_all(asking).await;
    fleet.close().await;
    Ok(answers)
}
