//! The room of decisions from outside: scenarios, properties, the checker's teeth, drift.
//!
//! All of it starts from one real cluster: `tests/scenarios/inventory.toml` and what was once seen of it, `facts.json`.

mod archive;
mod back;
mod balancers;
mod bootstrap;
mod check;
mod checker;
mod cluster;
mod defrag;
mod drift;
mod members;
mod needs;
mod nodes;
mod oracle;
mod plan_file;
mod playbooks;
mod properties;
mod renewal;
mod restore;
mod scenarios;
mod stacked;
