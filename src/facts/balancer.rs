//! A load balancer of the cluster's own, from the probe's section `balancer`.
//!
//! Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sections::{beginning, values};

/// What haproxy says of the API servers that Windlass told it of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balancer {
    /// Whether keepalived runs beside it.
    pub keepalived: bool,
    /// The servers by name; none where it is not Windlass's configuration that it runs with.
    pub servers: BTreeMap<String, Server>,
}

/// An API server behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Server {
    /// It is ready, and clients are led to it.
    Ready,
    /// It does not answer as it should.
    Down,
    /// Somebody has taken it out of service.
    OutOfService,
}

impl Balancer {
    /// Whether clients are led to this server.
    pub fn leads_to(&self, name: &str) -> bool {
        self.servers.get(name) == Some(&Server::Ready)
    }
}

/// Lines `none`, or `keepalived yes|no` and `server NAME OPERATIONAL ADMINISTRATIVE` as `show servers state` numbers them
/// (haproxy's management guide): 2 is running; administratively 0 is nothing, everything else keeps clients away.
pub(super) fn read(lines: &[&str]) -> Result<Option<Balancer>, String> {
    if lines.contains(&"none") {
        return Ok(None);
    }
    let server = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, operational, administrative] = words[..] else {
            return Err(format!("server `{}`?", beginning(line)));
        };
        let state = match (operational, administrative) {
            ("2", "0") => Server::Ready,
            (_, "0") => Server::Down,
            _ => Server::OutOfService,
        };
        Ok((name.to_owned(), state))
    };
    Ok(Some(Balancer {
        keepalived: values(lines, "keepalived").any(|word| word.trim() == "yes"),
        servers: values(lines, "server").map(server).collect::<Result<_, _>>()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_by_their_state() {
        let lines = ["keepalived yes", "server cp1 2 0", "server cp2 2 8", "server cp3 0 0", "server cp4 2 1"];
        let read = read(&lines).expect("read").expect("a load balancer");
        let states: Vec<Server> = read.servers.values().copied().collect();
        assert_eq!(states, [Server::Ready, Server::OutOfService, Server::Down, Server::OutOfService]);
        assert!(read.keepalived && read.leads_to("cp1") && !read.leads_to("cp2") && !read.leads_to("cp9"));
        assert_eq!(super::read(&["none"]), Ok(None));
        assert!(super::read(&["server cp1 2"]).is_err_and(|why| why.contains("`cp1 2`")));
    }
}
