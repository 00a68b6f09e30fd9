//! Jobs that change etcd's members. A machine keeps its position among them: who is removed and comes back on the same machine
//! is another member in the same place.

use std::time::Duration;

use windlass::facts::Seen;
use windlass::facts::version::parse_version;

use super::super::{At, World};
use super::{Op, seconds};
use crate::lab::STACKED_IMAGE;

/// One effect of them.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Refuses unless the member at this URL reaches a quorum.
    Quorum(String),
    Add {
        name: String,
        peer: String,
        learner: bool,
    },
    Remove(u64),
    Promote(String),
    Join {
        peer: String,
        settings: Vec<String>,
    },
    /// kubeadm lists a stacked member; one that it listed before, and that never started, goes first.
    List {
        peer: String,
        name: String,
    },
    /// kubeadm has written its manifest, and it starts.
    Begin(String),
    Retire(u64),
    Write(String),
}

pub(super) fn program(job: &str, args: &[String]) -> Vec<(Duration, Op)> {
    let change = |change| Op::Members(change);
    if let ("member-config", [file, what, members]) = (job, args) {
        assert_eq!((file.as_str(), what.as_str()), ("/etc/default/etcd", "INITIAL_CLUSTER"));
        return vec![seconds(1, change(Change::Write(members.clone())))];
    }
    let [_, _, _, url, rest @ ..] = args else { panic!("the simulation does not know {job} with {args:?}") };
    let then = match (job, rest) {
        ("member-add", [name, peer, how]) => {
            assert!(["learner", "voter"].contains(&how.as_str()), "{how}");
            Change::Add { name: name.clone(), peer: peer.clone(), learner: how == "learner" }
        }
        ("member-remove", [id]) => Change::Remove(number(id)),
        ("member-promote", [peer]) => Change::Promote(peer.clone()),
        ("member-retire", [id, service, data, _]) => {
            let place = (service.as_str(), data.as_str());
            assert!([("etcd", "/var/lib/etcd/default"), ("-", "/var/lib/etcd")].contains(&place), "{place:?}");
            Change::Retire(number(id))
        }
        ("member-join", [peer, service, file, data, _, settings @ ..]) => {
            assert_eq!((service.as_str(), file.as_str()), ("etcd", "/etc/default/etcd"));
            assert_eq!(data, "/var/lib/etcd/default");
            Change::Join { peer: peer.clone(), settings: settings.to_vec() }
        }
        ("member-kubeadm", [peer, name, address, data, _]) => {
            assert_eq!((peer, data.as_str()), (&format!("https://{address}:2380"), "/var/lib/etcd"));
            let (list, begin) = (Change::List { peer: peer.clone(), name: name.clone() }, Change::Begin(peer.clone()));
            let soon = |act| (Duration::from_millis(400), change(act));
            return vec![soon(Change::Quorum(url.clone())), soon(list), seconds(10, change(begin))];
        }
        _ => panic!("the simulation does not know {job} with {args:?}"),
    };
    vec![seconds(1, change(Change::Quorum(url.clone()))), seconds(1, change(then)), seconds(1, Op::Begin)]
}

fn number(id: &str) -> u64 {
    u64::from_str_radix(id, 16).expect("hexadecimal")
}

/// An id that no member had.
const FIRST_NEW: u64 = 0x0e5f_0000_0000_0001;

impl World {
    /// For everybody else the member is away as long as if it were restarted.
    pub(super) fn defragment(&mut self, url: &str) {
        let asked = self.etcd.members.iter().position(|member| member.told.client_urls.iter().any(|own| own == url));
        let member = asked.unwrap_or_else(|| panic!("nobody is asked at {url}"));
        let known = &mut self.etcd.members[member].told;
        if let Seen::Known(status) = &mut known.status {
            status.db_size = status.db_in_use;
        }
        self.member_restarts(member);
    }

    pub(super) fn change_members(&mut self, at: At, change: Change) -> Result<(), i32> {
        match change {
            Change::Quorum(url) => {
                let asked =
                    self.etcd.members.iter().position(|member| member.listed && member.told.client_urls.contains(&url));
                let asked = asked.unwrap_or_else(|| panic!("nobody is asked at {url}"));
                if self.member_healthy(asked) { Ok(()) } else { Err(1) }
            }
            Change::Add { name, peer, learner } => self.add_member(&name, &peer, learner),
            Change::Remove(id) => self.remove_member(id),
            Change::Promote(peer) => {
                let member = self.with_peer(&peer).ok_or(1)?;
                if !self.member_answers(member) || !self.etcd_serves() {
                    return Err(1);
                }
                self.etcd.members[member].told.learner = false;
                self.settle();
                Ok(())
            }
            Change::Join { peer, settings } => self.join_member(at, &peer, &settings),
            Change::List { peer, name } => {
                if let Some(listed) = self.with_peer(&peer) {
                    if !self.etcd.members[listed].blocked {
                        return Err(0);
                    }
                    assert!(self.etcd.members[listed].told.name.is_empty(), "one that started is taken off the list");
                    self.remove_member(self.etcd.members[listed].told.id)?;
                }
                let own = self.member_of(at).expect("its place");
                assert_eq!(
                    self.etcd.members[own].told.peer_urls,
                    std::slice::from_ref(&peer),
                    "it joins on another machine"
                );
                assert!(self.etcd.members[own].blocked, "the former manifest is there, and kubeadm writes another");
                self.add_member(&name, &peer, false)
            }
            Change::Begin(peer) => {
                let member = self.with_peer(&peer).expect("it was listed");
                let host = peer.replace(":2380", ":2379");
                let image = parse_version(STACKED_IMAGE.rsplit(':').next().expect("a tag"));
                let version = image.expect("a version");
                let known = &mut self.etcd.members[member];
                known.told.name.clone_from(&self.machines[at].name);
                known.told.client_urls = vec![host];
                known.runs = Some(version);
                known.blocked = false;
                self.catch_up();
                self.settle();
                Ok(())
            }
            Change::Retire(id) => {
                if self.etcd.members.iter().any(|member| member.listed && member.told.id == id) {
                    return Err(75);
                }
                let member = self.member_of(at).expect("its place");
                assert!(!self.etcd.members[member].listed, "a member is stopped");
                self.member_stops(member);
                self.etcd.members[member].blocked = self.stacked(at).is_some();
                Ok(())
            }
            Change::Write(members) => {
                self.names_members(at, &members);
                Ok(())
            }
        }
    }

    fn with_peer(&self, peer: &str) -> Option<usize> {
        let has = |urls: &Vec<String>| urls.iter().any(|url| url == peer);
        self.etcd.members.iter().position(|member| member.listed && has(&member.told.peer_urls))
    }

    fn add_member(&mut self, name: &str, peer: &str, learner: bool) -> Result<(), i32> {
        if self.with_peer(peer).is_some() {
            return Ok(());
        }
        // What etcd's own strict check refuses.
        let listed = (0..self.etcd.members.len()).filter(|member| self.etcd.members[*member].listed);
        if !self.etcd_serves() || listed.into_iter().any(|member| !self.member_answers(member)) {
            return Err(1);
        }
        let place = self.etcd.members.iter().position(|member| member.told.peer_urls == [peer.to_owned()]);
        let place = place.unwrap_or_else(|| panic!("{name} ({peer}) is on no machine that was a member's"));
        let id = FIRST_NEW + u64::try_from(self.begun.len()).expect("a count");
        let member = &mut self.etcd.members[place];
        assert!(member.runs.is_none(), "the former member still runs where {name} joins");
        member.told.id = id;
        member.told.name = String::new();
        member.told.client_urls = Vec::new();
        member.told.learner = learner;
        if let Seen::Known(status) = &mut member.told.status {
            status.member_id = id;
        }
        member.log = 0;
        member.listed = true;
        self.settle();
        Ok(())
    }

    fn remove_member(&mut self, id: u64) -> Result<(), i32> {
        let Some(member) = self.etcd.members.iter().position(|member| member.listed && member.told.id == id) else {
            return Ok(());
        };
        if !self.etcd_serves() {
            return Err(1);
        }
        // It is told that it was removed, and ends.
        self.member_stops(member);
        self.etcd.members[member].listed = false;
        self.settle();
        Ok(())
    }

    fn join_member(&mut self, at: At, peer: &str, settings: &[String]) -> Result<(), i32> {
        let Some(member) = self.with_peer(peer) else { return Err(75) };
        assert_eq!(self.etcd.members[member].at, at, "it joins on another machine than its address is of");
        let setting = |name: &str| {
            let value = settings.iter().find_map(|setting| setting.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("no {name} in {settings:?}")).to_owned()
        };
        assert_eq!(setting("ETCD_INITIAL_CLUSTER_STATE"), "existing");
        assert_eq!(
            (setting("ETCD_HEARTBEAT_INTERVAL"), setting("ETCD_ELECTION_TIMEOUT")),
            ("250".to_owned(), "2500".to_owned())
        );
        let named: Vec<String> = setting("ETCD_INITIAL_CLUSTER").split(',').map(str::to_owned).collect();
        let listed = self.etcd.members.iter().filter(|member| member.listed).count();
        assert_eq!(named.len(), listed, "etcd would say: the member count is unequal");
        let version = self.machines[at].etcd().expect("it is installed");
        let known = &mut self.etcd.members[member];
        known.told.name = setting("ETCD_NAME");
        known.told.client_urls = vec![setting("ETCD_ADVERTISE_CLIENT_URLS")];
        known.runs = Some(version);
        self.names_members(at, &named.join(","));
        self.catch_up();
        self.settle();
        Ok(())
    }

    /// The machine's environment file names these members now.
    fn names_members(&mut self, at: At, members: &str) {
        let Seen::Known(Some(process)) = &mut self.machines[at].told.etcd else { panic!("no etcd is here") };
        process.configured_members = Some(members.to_owned());
        process.config_digest = Seen::Known(format!("of {}", members.len()));
    }
}
