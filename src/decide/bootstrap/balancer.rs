//! What load balancers of the cluster's own are told: haproxy's and keepalived's configurations.

use crate::decide::actions::balancer::SetUpBalancer;
use crate::inventory::{Inventory, Node, Role};

/// Packages of a load balancer: the last one speaks to haproxy's socket.
pub const PACKAGES: [&str; 3] = ["haproxy", "keepalived", "socat"];
/// Where an API server listens, unless kubeadm is told otherwise.
const API_PORT: u16 = 6443;

/// The host and the port of the endpoint.
pub(super) fn endpoint(inventory: &Inventory) -> (String, u16) {
    let endpoint = inventory.api.endpoint.as_deref().unwrap_or_default();
    let split = endpoint.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = split.unwrap_or((endpoint, API_PORT));
    (host.to_owned(), port)
}

/// The packages that this many load balancers need on each of them.
pub(super) fn packages(inventory: &Inventory) -> impl Iterator<Item = &'static str> {
    let shared = inventory.with_role(Role::LoadBalancer).count() > 1;
    PACKAGES.into_iter().filter(move |name| shared || *name != "keepalived")
}

/// How this load balancer is set up to lead to these control planes.
pub(in crate::decide) fn set_up<'a>(
    inventory: &Inventory,
    node: &Node,
    planes: impl Iterator<Item = &'a Node>,
) -> SetUpBalancer {
    let (_, port) = endpoint(inventory);
    SetUpBalancer {
        haproxy: haproxy(planes, port),
        keepalived: keepalived(inventory, node),
        address: node.address.to_string(),
        port,
    }
}

/// haproxy looks at each API server's `/readyz` once a second: two bad answers take it out, two good ones take it in again.
/// Its connections end with it, so that clients come back to another one at once. Connections may be silent for an hour: a
/// watch is. Where all that are in service fail, clients are led to whichever answers.
fn haproxy<'a>(planes: impl Iterator<Item = &'a Node>, port: u16) -> String {
    let servers: Vec<String> =
        planes.map(|node| format!("  server {} {}:{API_PORT}", node.name, node.address)).collect();
    let servers = servers.join("\n");
    format!(
        "# Written by Windlass: leads clients of the API to the control planes that are ready.
global
  log stdout format raw local0 notice
  user haproxy
  group haproxy
  stats socket /run/haproxy/admin.sock mode 600 level admin expose-fd listeners

defaults
  mode tcp
  log global
  option dontlog-normal
  option redispatch
  retries 3
  timeout connect 3s
  timeout client 1h
  timeout server 1h
  timeout check 4s

frontend windlass-api
  bind :{port}
  use_backend windlass-last-resort if {{ nbsrv(windlass-control-planes) eq 0 }}
  default_backend windlass-control-planes

backend windlass-control-planes
  balance roundrobin
  option httpchk GET /readyz
  http-check expect status 200
  default-server check check-ssl verify none inter 1s fall 2 rise 2 on-marked-down shutdown-sessions
{servers}

# One that is out of service is still better than none.
backend windlass-last-resort
  balance roundrobin
  option httpchk GET /readyz
  http-check expect status 200
  default-server check check-ssl verify none inter 2s fall 2 rise 2 on-marked-down shutdown-sessions
{servers}"
    )
}

/// The two watch each other by address, not by multicast, which many networks drop. The one that has the address keeps it
/// until it or its haproxy fails.
fn keepalived(inventory: &Inventory, node: &Node) -> Option<String> {
    let balancers: Vec<&Node> = inventory.with_role(Role::LoadBalancer).collect();
    let at = balancers.iter().position(|known| known.name == node.name)?;
    let other = balancers.iter().find(|known| known.name != node.name)?;
    let ((address, _), priority) = (endpoint(inventory), 100 - at);
    let router_id = inventory.load_balancer.router_id;
    Some(format!(
        "# Written by Windlass: gives {address} to a load balancer whose haproxy runs.
global_defs {{
  router_id {name}
  enable_script_security
  script_user root
}}

vrrp_script haproxy_runs {{
  script \"/usr/bin/systemctl is-active --quiet haproxy.service\"
  interval 1
  timeout 3
  fall 2
  rise 2
}}

vrrp_instance windlass_api {{
  state BACKUP
  nopreempt
  interface @INTERFACE@
  virtual_router_id {router_id}
  priority {priority}
  advert_int 1
  unicast_src_ip {own}
  unicast_peer {{
    {peer}
  }}
  virtual_ipaddress {{
    {address}
  }}
  track_script {{
    haproxy_runs
  }}
}}",
        name = node.name,
        own = node.address,
        peer = other.address,
    ))
}
