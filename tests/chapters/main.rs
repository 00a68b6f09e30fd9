//! The lab chapters: real nodes, real etcd, real kubeadm. They run one after another over one lab, in the order of their
//! names, and each says where it starts. `make test-lab` brings the lab up and runs them; by hand, with a fresh lab:
//! `cargo test --test chapters -- --ignored --test-threads=1 --nocapture`.

mod killing;
mod lab;
mod outcome;
mod raising;
mod refusing;
mod run;
mod watching;
mod writing;
