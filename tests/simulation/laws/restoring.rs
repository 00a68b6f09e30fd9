//! A restore: API servers away before etcd is touched, members stopped before their data are replaced, all of them replaced
//! before one starts, and API servers back only on what was restored.

use super::acts::stops_member;
use super::{Invariant, Watch};
use crate::world::{Begun, World};

impl Watch {
    pub(super) fn restores(&mut self, world: &World, job: &Begun, name: &str) {
        let members = &world.etcd.members;
        let restored = || members.iter().all(|member| member.restored.as_ref() == Some(&job.run));
        match job.job.as_str() {
            "stop-etcd" | "stop-static-pods" if stops_member(job) => {
                let serves = |plane: &crate::world::Plane| plane.components[0].runs.is_some();
                if world.planes().any(|(_, plane)| serves(plane)) {
                    self.broke(world, Invariant::Law(4), format!("{name} began while an API server ran"));
                }
            }
            "stop-static-pods" => {
                let lives = (0..members.len()).any(|member| world.member_answers(member));
                if lives && self.snapshot.is_none() && !restored() {
                    self.broke(world, Invariant::Law(2), format!("{name} began before what lives was saved"));
                }
            }
            "restore-member" => {
                if let Some(member) = members.iter().find(|member| member.runs.is_some()) {
                    let what = format!("{name} began while {} ran", member.told.name);
                    self.broke(world, Invariant::Law(3), what);
                }
            }
            "start-etcd" | "start-static-pods" if !restored() => {
                self.broke(world, Invariant::Law(3), format!("{name} began before all members were restored"));
            }
            _ => {}
        }
    }
}
