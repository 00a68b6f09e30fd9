//! `windlass check`: a whole cluster looked at on any day; nothing is planned and nothing is changed.

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::Args;

use super::etcd::destinations::store;
use super::etcd::prune;
use super::{Format, files};
use crate::backup::prune::newest;
use crate::decide::check::{self, Age, Checked, NewestBackup};
use crate::decide::finding::{Severity, Verdict, verdict};
use crate::error::{Exit, Failure, chain};
use crate::facts::Seen;
use crate::inventory::Inventory;
use crate::observe::{self, Ask, Measure};
use crate::remote::ssh::Fleet;
use crate::remote::store::Store;
use crate::remote::{Clock as _, SystemClock};
use crate::{report, text};

/// Arguments of `windlass check`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 nothing that cannot wait, 11 something critical, 12 a machine does not answer.")]
pub(super) struct Arguments {
    /// The cluster's inventory
    #[arg(short, long, value_name = "FILE")]
    inventory: Utf8PathBuf,
    /// Where backups are, as for `windlass etcd backup --to`; may be given several times
    #[arg(long, value_name = "DEST")]
    backups: Vec<String>,
    /// How old the newest backup may be at each of them
    #[arg(long, value_name = "TIME", default_value = "26h", value_parser = age)]
    backup_age: Duration,
    /// A configuration of ssh for ssh:// destinations, in place of the user's own
    #[arg(long, value_name = "FILE", env = "WINDLASS_SSH_CONFIG")]
    ssh_config: Option<Utf8PathBuf>,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

fn age(word: &str) -> Result<Duration, String> {
    text::parse_duration(word).map_err(|error| error.to_string())
}

/// Looks, and says what needs attention.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let read = files::inventory(&arguments.inventory)?;
    let inventory = &read.inventory;
    let store = |text: &String| store(text, arguments.ssh_config.as_deref());
    let stores = arguments.backups.iter().map(store).collect::<Result<Vec<_>, _>>()?;
    let fleet = read.fleet()?;
    let clock = SystemClock::start();
    let ask = Ask { measure: Measure::Pace, ..Ask::about(inventory, true) };
    let facts = observe::observe(&fleet, &clock, inventory, &ask).await;
    let hashes = match &facts.etcd {
        Seen::Known(etcd) if check::worth_hashing(etcd) => Some(observe::hashes(&fleet, etcd).await),
        _ => None,
    };
    let load = match &facts.api {
        Seen::Known(api) => observe::load(&fleet, inventory, &api.asked).await,
        Seen::Unknown(why) => Seen::Unknown(why.clone()),
    };
    let backups = backups(&fleet, inventory, &stores).await;
    anstream::eprintln!("{}", report::looked(clock.elapsed(), &fleet.timings().so_far()));
    fleet.close().await;
    let age = Age(arguments.backup_age);
    let checked = Checked { inventory, facts: &facts, hashes: hashes.as_ref(), load: &load, backups: &backups, age };
    let findings = check::findings(checked);
    match arguments.output {
        Format::Text => anstream::print!("{}", report::check(checked, &findings)),
        Format::Json => anstream::println!("{:#}", report::check_json(checked, &findings)),
    }
    if findings.iter().all(|finding| finding.severity == Severity::Warning) {
        return Ok(());
    }
    let failure = match verdict(&findings) {
        Verdict::Unreachable(machines) => {
            Failure::new(Exit::Unreachable, format!("{} cannot be reached", text::count(machines, "machine")))
        }
        Verdict::Refused(some) => {
            Failure::new(Exit::Refused, format!("{} cannot wait", text::count(some, "critical finding")))
        }
    };
    Err(failure.hint("nothing was changed"))
}

/// The newest backup at each destination.
async fn backups(fleet: &Fleet, inventory: &Inventory, stores: &[Store]) -> Vec<NewestBackup> {
    if stores.is_empty() {
        return Vec::new();
    }
    let whose = prune::whose(fleet, inventory).await.map_err(|failure| failure.what);
    let mut all = Vec::new();
    for store in stores {
        let taken = match &whose {
            Err(why) => Seen::Unknown(why.clone()),
            Ok(whose) => match newest(store, whose).await {
                Ok(name) => Seen::Known(name.map(|name| name.taken)),
                Err(error) => Seen::Unknown(chain(&error).join(": ")),
            },
        };
        all.push(NewestBackup { destination: store.to_string(), taken });
    }
    all
}
