//! What must hold at every moment.

use std::time::Duration;

use super::{Invariant, Watch};
use crate::world::World;

/// A fault's traces may last so long: a reboot, an election, and the load balancer after both.
const AFTERMATH: Duration = Duration::from_secs(90);
/// The load balancer notices within three seconds that a server is gone, and within three that one is back.
const UNNOTICED: Duration = Duration::from_secs(8);

impl Watch {
    pub(super) fn states(&mut self, world: &World) {
        self.members(world);
        self.servers(world);
        self.reachable(world);
    }

    fn members(&mut self, world: &World) {
        let etcd = &world.etcd;
        for member in &etcd.members {
            if member.refused {
                let what =
                    format!("{} refused its data: its binary is older than the cluster version", member.told.name);
                self.broke(world, Invariant::Law(3), what);
            }
            if let Some(runs) = &member.runs
                && (runs.major != member.cluster.major || runs.minor > member.cluster.minor + 1)
            {
                let what = format!("{} runs {runs} in a cluster of {}", member.told.name, member.cluster);
                self.broke(world, Invariant::Law(1), what);
            }
        }
        let running = || etcd.members.iter().filter(|member| member.runs.is_some());
        if let Some(first) = running().next()
            && running().any(|member| member.restored != first.restored)
        {
            self.broke(world, Invariant::Law(3), "members run on former and on restored data at the same time");
        }
        let voters = || etcd.members.iter().filter(|member| member.votes());
        let whole = voters().filter(|member| member.log >= etcd.acknowledged).count();
        let leader = etcd.leader.is_none_or(|leader| etcd.members[leader].log >= etcd.acknowledged);
        if whole <= voters().count() / 2 || !leader {
            let what = format!("of {} acknowledged writes not all are on a majority", etcd.acknowledged);
            self.broke(world, Invariant::WritesKept, what);
        }
    }

    fn servers(&mut self, world: &World) {
        let mut lowest = u64::MAX;
        let mut highest = 0;
        for (at, plane) in world.planes() {
            let minor = plane.server().minor;
            (lowest, highest) = (lowest.min(minor), highest.max(minor));
            let before = self.servers.insert(at, minor).unwrap_or(minor);
            if minor > before + 1 {
                let what = format!("{}'s API server went from minor {before} to {minor}", world.machines[at].name);
                self.broke(world, Invariant::Law(1), what);
            }
        }
        if highest > lowest + 1 {
            self.broke(
                world,
                Invariant::Law(1),
                format!("API servers of minors {lowest} and {highest} serve together"),
            );
        }
    }

    fn reachable(&mut self, world: &World) {
        // A restore takes the API away, and says so.
        if world.planes().any(|(_, plane)| plane.components[0].away) {
            self.away = Some(world.now);
        }
        if self.away.is_some_and(|away| world.now.saturating_sub(away) < AFTERMATH) {
            (self.unreachable, self.unnoticed) = (None, None);
            return;
        }
        let mut planes = world.planes();
        if planes.all(|(_, plane)| plane.components[0].runs.is_none() && plane.components[0].stopped_by.is_some()) {
            self.broke(world, Invariant::Law(5), "every API server is stopped by us");
        }
        let by_hand =
            world.planes().any(|(_, plane)| plane.api_away) || world.etcd.members.iter().any(|member| member.away);
        if world.api_balanced() || by_hand {
            (self.unreachable, self.unnoticed) = (None, None);
            return;
        }
        let since = *self.unreachable.get_or_insert(world.now);
        if self.fault.is_none_or(|fault| fault + AFTERMATH < since) {
            self.broke(world, Invariant::ApiReachable, "the API is not reachable though nothing had failed");
        }
        if !world.planes().any(|(at, _)| world.api_ready(at)) {
            self.unnoticed = None;
        } else if world.now.saturating_sub(*self.unnoticed.get_or_insert(world.now)) > UNNOTICED {
            let what = "a control plane has been healthy for 8 s and the API is not reachable";
            self.broke(world, Invariant::ApiReachable, what);
        }
    }
}
