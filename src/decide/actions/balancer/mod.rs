//! Load balancers of the cluster's own: haproxy on each of them, and keepalived that gives an address from one to the other.

mod serving;
mod setting_up;

pub use serving::{DrainServer, ReturnServer};
pub use setting_up::{AwaitServers, HandOver, SetUpBalancer};
