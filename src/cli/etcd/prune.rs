//! `windlass etcd prune`: retention by itself, for looking at it before a timer does it.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use jiff::Timestamp;

use super::backup;
use super::destinations::Destinations;
use crate::backup::keep::Keep;
use crate::backup::prune::{self, Newest, Whose};
use crate::cli::files;
use crate::error::{Exit, Failure, chain};
use crate::inventory::Inventory;
use crate::remote::Streams;
use crate::remote::store::Store;
use crate::report;

/// Arguments of `windlass etcd prune`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The cluster's inventory: only this cluster's backups go
    #[arg(short, long, value_name = "FILE")]
    inventory: Utf8PathBuf,
    #[command(flatten)]
    destinations: Destinations,
    /// Only say what would go, and why the others stay
    #[arg(long)]
    dry_run: bool,
    /// Where locks, and backups without a destination, are kept [default: $XDG_STATE_HOME/windlass or ~/.local/state/windlass]
    #[arg(long, value_name = "FOLDER", env = "WINDLASS_STATE")]
    state: Option<Utf8PathBuf>,
}

/// Prunes every destination.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let read = files::inventory(&arguments.inventory)?;
    let state = files::state_folder(arguments.state.clone(), &read.inventory.name)?;
    let _lock = backup::lock(&state)?;
    let stores = arguments.destinations.stores(&state)?;
    let fleet = read.fleet()?;
    let whose = whose(&fleet, &read.inventory).await;
    fleet.close().await;
    let how = if arguments.dry_run { How::Say { coming: None } } else { How::Remove { stage: &state } };
    everywhere(&stores, &whose?, arguments.destinations.keep(), how).await
}

/// Whether what goes does go.
#[derive(Clone, Copy)]
pub(super) enum How<'a> {
    /// It is only said.
    Say {
        /// As if a backup were taken at this time.
        coming: Option<Timestamp>,
    },
    /// It does, once the newest that stays was read back, for which there is room in this folder.
    Remove {
        /// The folder.
        stage: &'a Utf8Path,
    },
}

/// Takes away, or only says, what goes from each destination; one that fails keeps no other from it.
pub(super) async fn everywhere(stores: &[Store], whose: &Whose, keep: Keep, how: How<'_>) -> Result<(), Failure> {
    if keep == Keep::default() {
        return Err(Failure::new(Exit::Usage, "without a rule everything stays")
            .hint("say what to keep, as `--keep-last 3 --keep-daily 7 --keep-weekly 4`"));
    }
    let mut causes = Vec::new();
    for store in stores {
        let pruned = async {
            let newest = if let How::Say { coming } = how { coming.map(Newest::Coming) } else { None };
            let pruning = prune::look(store, whose, keep, newest).await.map_err(|error| chain(&error))?;
            if let How::Remove { stage } = how {
                prune::lean_on_newest(store, &pruning, stage).await.map_err(|error| chain(&error))?;
                prune::carry_out(store, &pruning).await.map_err(|error| chain(&error))?;
            }
            Ok::<_, Vec<String>>(pruning)
        };
        match pruned.await {
            Ok(pruning) => {
                anstream::print!("{}", report::pruning(&store.to_string(), &pruning, matches!(how, How::Say { .. })));
            }
            Err(why) => causes.push(why.join(": ")),
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::new(Exit::StepFailed, "not every destination was pruned");
    failure.causes = causes;
    Err(failure.hint("what was said to be removed is; the same command does the rest"))
}

/// Which cluster it is, asked of the first member of etcd that answers.
pub(in crate::cli) async fn whose(remote: &dyn Streams, inventory: &Inventory) -> Result<Whose, Failure> {
    let mut failure = Failure::new(Exit::Unreachable, "no member of etcd says which cluster it is of");
    for node in inventory.etcd_nodes() {
        match remote.etcd_cluster_id(&node.name).await {
            Ok(cluster_id) => {
                // Without quorum nobody says it: then backups from before a restore, which has given etcd another id, stay.
                let kube_system_uid = remote.kube_system_uid(&node.name).await.unwrap_or_default();
                return Ok(Whose { cluster: inventory.name.clone(), cluster_id, kube_system_uid });
            }
            Err(error) => failure.causes.push(chain(&error).join(": ")),
        }
    }
    Err(failure)
}
