//! Control planes: static pods from their manifests, API servers that each need etcd, and the load balancer before them.

use semver::Version;

use super::{At, Later, SECOND, World};

/// The static pods, in the order in which kubeadm raises them.
pub(crate) const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// Between a manifest's change and the old pod's end, and from there to the new one's start: LAB.md's 12 to 15 s for three.
const NOTICED_MS: u64 = 900;
const STARTS: u32 = 3;
/// How long a new API server does not know what etcd keeps, as the lab showed once after a power loss.
const WARMS: u32 = 2;
/// The load balancer asks every second and believes the third answer.
const BALANCES: u32 = 3;

/// A component of a control plane.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    /// What its manifest says.
    pub(crate) manifest: Version,
    /// What runs.
    pub(crate) runs: Option<Version>,
    /// The job that stopped it, while it is stopped by one.
    pub(crate) stopped_by: Option<usize>,
    /// Its manifest was taken away.
    pub(crate) away: bool,
    /// It runs, and does not know everything yet: an API server in its first seconds.
    pub(crate) warming: bool,
}

/// A control plane.
#[derive(Clone, Debug)]
pub(crate) struct Plane {
    pub(crate) components: Vec<Component>,
    /// Its API server runs and does not answer.
    pub(crate) api_away: bool,
    /// The load balancer sends clients to it.
    pub(crate) balanced: bool,
    /// The load balancer is about to change its mind.
    noticing: bool,
}

impl Plane {
    pub(super) fn new(version: &Version) -> Self {
        let component = Component {
            manifest: version.clone(),
            runs: Some(version.clone()),
            stopped_by: None,
            away: false,
            warming: false,
        };
        Self { components: vec![component; COMPONENTS.len()], api_away: false, balanced: true, noticing: false }
    }

    pub(super) fn all_stop(&mut self) {
        for component in &mut self.components {
            (component.runs, component.stopped_by, component.warming) = (None, None, false);
        }
    }

    /// The API server that its manifest asks for.
    pub(crate) fn server(&self) -> &Version {
        &self.components[0].manifest
    }
}

impl World {
    pub(crate) fn planes(&self) -> impl Iterator<Item = (At, &Plane)> {
        self.machines.iter().enumerate().filter_map(|(at, machine)| machine.plane.as_ref().map(|plane| (at, plane)))
    }

    pub(super) fn plane(&mut self, at: At) -> &mut Plane {
        let machine = &mut self.machines[at];
        machine.plane.as_mut().unwrap_or_else(|| panic!("{} is no control plane", machine.name))
    }

    /// The machine's own API server answers and is ready.
    pub(crate) fn api_ready(&self, at: At) -> bool {
        let machine = &self.machines[at];
        let runs =
            |plane: &Plane| plane.components[0].runs.is_some() && !plane.components[0].warming && !plane.api_away;
        machine.up && machine.plane.as_ref().is_some_and(runs) && self.has_etcd(at)
    }

    /// The API answers through the load balancer.
    pub(crate) fn api_balanced(&self) -> bool {
        self.planes().any(|(at, plane)| plane.balanced && self.api_ready(at))
    }

    /// Some API server has just started: who is led to it is told that things are not there which are.
    pub(crate) fn api_warms(&self) -> bool {
        self.planes().any(|(_, plane)| plane.components[0].warming)
    }

    pub(super) fn api_warm(&mut self, at: At, boot: u32) {
        if self.machines[at].boot == boot {
            self.plane(at).components[0].warming = false;
        }
    }

    /// The machine's API server stops answering, or answers again, without our doing.
    pub(crate) fn api_away(&mut self, at: At, away: bool) {
        self.plane(at).api_away = away;
        self.happened(super::Happened::Fault);
    }

    pub(super) fn load_balancer_settles(&mut self) {
        for at in 0..self.machines.len() {
            let ready = self.api_ready(at);
            if let Some(plane) = &mut self.machines[at].plane
                && plane.balanced != ready
                && !plane.noticing
            {
                plane.noticing = true;
                self.after(SECOND * BALANCES, Later::Balance(at));
            }
        }
    }

    pub(super) fn balance(&mut self, at: At) {
        let ready = self.api_ready(at);
        let plane = self.plane(at);
        (plane.balanced, plane.noticing) = (ready, false);
    }

    /// Controllers work: one of their managers runs, and an API answers.
    pub(crate) fn controllers_work(&self) -> bool {
        self.api_balanced() && self.planes().any(|(_, plane)| plane.components[1].runs.is_some())
    }

    /// The manifest names another version; the kubelet notices.
    pub(super) fn manifest_written(&mut self, at: At, component: usize, version: &Version) {
        self.plane(at).components[component].manifest = version.clone();
        if self.machines[at].kubelet.is_some() {
            let boot = self.machines[at].boot;
            self.plane(at).components[component].stopped_by = self.acting;
            self.after(std::time::Duration::from_millis(NOTICED_MS), Later::ComponentStops(at, component, boot));
        }
    }

    /// The manifest is not there any more; the kubelet notices.
    pub(super) fn manifest_away(&mut self, at: At, component: usize) {
        let known = &mut self.plane(at).components[component];
        known.away = true;
        let manifest = known.manifest.clone();
        self.manifest_written(at, component, &manifest);
    }

    /// The manifest is there again.
    pub(super) fn manifest_back(&mut self, at: At, component: usize) {
        let boot = self.machines[at].boot;
        if std::mem::take(&mut self.plane(at).components[component].away) {
            self.after(SECOND * STARTS, Later::ComponentStarts(at, component, boot));
        }
    }

    pub(super) fn component_stops(&mut self, at: At, component: usize, boot: u32) {
        if self.machines[at].boot == boot && self.machines[at].up {
            let known = &mut self.plane(at).components[component];
            (known.runs, known.warming) = (None, false);
            if known.away {
                return;
            }
            self.after(SECOND * STARTS, Later::ComponentStarts(at, component, boot));
        }
    }

    pub(super) fn component_starts(&mut self, at: At, component: usize, boot: u32) {
        if self.machines[at].boot == boot && self.machines[at].up && self.machines[at].kubelet.is_some() {
            let known = &mut self.plane(at).components[component];
            if known.away {
                return;
            }
            known.runs = Some(known.manifest.clone());
            known.stopped_by = None;
            if component == 0 {
                known.warming = true;
                self.after(SECOND * WARMS, Later::ServerWarm(at, boot));
            }
            self.after(SECOND, Later::Controllers);
        }
    }

    /// After a boot the kubelet starts what its manifests say.
    pub(super) fn static_pods_start(&mut self, at: At) {
        let boot = self.machines[at].boot;
        for component in 0..COMPONENTS.len() {
            self.after(SECOND * STARTS, Later::ComponentStarts(at, component, boot));
        }
    }

    /// A kubelet of another version makes its static pods anew, seconds after it started.
    pub(super) fn static_pods_restart(&mut self, at: At) {
        let boot = self.machines[at].boot;
        for component in 0..COMPONENTS.len() {
            self.plane(at).components[component].stopped_by = self.acting;
            self.after(SECOND * 2, Later::ComponentStops(at, component, boot));
        }
    }
}
