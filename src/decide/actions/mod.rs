//! One file for each family of actions. Each says what it is, what it looks at, what it makes of it, and what has to be done.

pub mod archive;
pub mod balancer;
pub mod bootstrap;
pub mod brought;
pub mod certificates;
pub mod command;
pub mod cordon;
pub mod defrag;
pub mod etcd;
pub mod fetch_tool;
pub mod former;
pub mod kubeadm;
pub mod kubelet;
pub mod members;
pub mod nodes;
pub mod packages;
pub mod programs;
pub mod renew;
pub mod renewal;
pub mod restore;
