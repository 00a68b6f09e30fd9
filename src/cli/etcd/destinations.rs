//! Where backups go and how many stay there: the arguments that `backup` and whoever prunes share.

use std::num::NonZeroU32;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::backup::keep::Keep;
use crate::error::{Exit, Failure};
use crate::remote::store::Store;

/// Destinations and retention.
#[derive(Clone, Debug, Args)]
pub(super) struct Destinations {
    /// A folder, ssh://[user@]host[:port]/path (SFTP), or s3://bucket/prefix with AWS_… in the environment; may be given several
    /// times [default: `backups` in the state folder]
    #[arg(long, value_name = "DEST")]
    pub(super) to: Vec<String>,
    /// A configuration of ssh for ssh:// destinations, in place of the user's own
    #[arg(long, value_name = "FILE", env = "WINDLASS_SSH_CONFIG")]
    pub(super) ssh_config: Option<Utf8PathBuf>,
    /// Keep the last so many backups of this cluster, at every destination; without any --keep- nothing is removed
    #[arg(long, value_name = "N")]
    keep_last: Option<NonZeroU32>,
    /// Keep the newest of each of the last so many hours that have one (UTC)
    #[arg(long, value_name = "N")]
    keep_hourly: Option<NonZeroU32>,
    /// Keep the newest of each of the last so many days that have one (UTC)
    #[arg(long, value_name = "N")]
    keep_daily: Option<NonZeroU32>,
    /// Keep the newest of each of the last so many weeks that have one (Monday to Sunday, UTC)
    #[arg(long, value_name = "N")]
    keep_weekly: Option<NonZeroU32>,
    /// Keep the newest of each of the last so many months that have one (UTC)
    #[arg(long, value_name = "N")]
    keep_monthly: Option<NonZeroU32>,
}

/// The destination that is written so; `ssh_config` in place of the user's own.
pub(in crate::cli) fn store(text: &str, ssh_config: Option<&Utf8Path>) -> Result<Store, Failure> {
    let store = Store::parse(text).map_err(|error| {
        Failure::of(Exit::Usage, &error).hint("give a folder, ssh://[user@]host[:port]/path or s3://bucket/prefix")
    })?;
    Ok(store.with_ssh_config(ssh_config))
}

/// Where backups go that nobody says a place for, below the cluster's state folder.
pub(super) fn usual(state: &Utf8Path) -> Utf8PathBuf {
    state.join("backups")
}

impl Destinations {
    /// Each destination, in the order given; where none is given, the one below `state`.
    pub(super) fn stores(&self, state: &Utf8Path) -> Result<Vec<Store>, Failure> {
        let usual = vec![usual(state).into_string()];
        let mut stores: Vec<Store> = Vec::new();
        for text in if self.to.is_empty() { &usual } else { &self.to } {
            let store = store(text, self.ssh_config.as_deref())?;
            if stores.contains(&store) {
                return Err(Failure::new(Exit::Usage, format!("the destination {store} is given twice")));
            }
            stores.push(store);
        }
        Ok(stores)
    }

    /// How many stay.
    pub(super) fn keep(&self) -> Keep {
        Keep {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
        }
    }
}
