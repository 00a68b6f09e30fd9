//! Changes of etcd's members. A member that is not there yet has no id: it is known by its peer URL.

mod coming;
mod leaving;
mod together;

pub use coming::{AddMember, JoinMember, KubeadmMember, PromoteMember};
pub use leaving::{RemoveMember, RetireMember};
pub use together::{AwaitMembers, WriteMembers};

use crate::decide::look::{MachineQuestion, Question};
use crate::facts::ask::Section;
use crate::facts::{EtcdFacts, EtcdMember};

fn asks_etcd() -> Question {
    Question { etcd: true, ..Question::default() }
}

fn asks_process() -> Question {
    let machine = MachineQuestion { sections: &[Section::Etcd], packages: Vec::new() };
    Question { machine: Some(machine), ..Question::default() }
}

fn with_peer<'a>(etcd: &'a EtcdFacts, url: &str) -> Option<&'a EtcdMember> {
    etcd.members.iter().find(|member| member.peer_urls.iter().any(|peer| peer == url))
}
