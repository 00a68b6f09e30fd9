//! Certificates of an external etcd that are renewed: which of them, in which order, with which proof; what forbids it; and the
//! checker's part.

use windlass::decide::action::{Action, Effect, Moment, Site};
use windlass::decide::actions::certificates::{Authority, Certificate, SendCertificates, Usage};
use windlass::decide::actions::renewal::RenewCertificates;
use windlass::decide::checker;
use windlass::decide::finding::{Finding, Severity};
use windlass::decide::look::{Look, Sight};
use windlass::decide::plan::Plan;
use windlass::decide::renewal::{self, Due, Wanted};
use windlass::facts::ready::{Certified, Ready};
use windlass::facts::{self, Seen};
use windlass::inventory::NodeName;

use super::cluster::{Cluster, name, sources, version};
use super::members;

/// SHA-256 of the authority that everybody trusts.
const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const API_SERVER: [&str; 3] = [
    "/etc/kubernetes/pki/etcd/ca.crt",
    "/etc/kubernetes/pki/apiserver-etcd-client.crt",
    "/etc/kubernetes/pki/apiserver-etcd-client.key",
];

/// The base, whose members and API servers tell where their certificates are, and what those say.
struct Scene {
    cluster: Cluster,
    ready: Vec<(NodeName, Seen<Ready>)>,
    due: Due,
    only: Vec<NodeName>,
}

fn scene() -> Scene {
    let mut cluster = members::cluster();
    let Seen::Known(api) = &mut cluster.facts.api else { panic!("the API was seen") };
    let Seen::Known(config) = &mut api.kubeadm else { panic!("kubeadm-config was seen") };
    config.external_files = Some(API_SERVER.map(str::to_owned));
    let looked = renewal::to_look_at(&cluster.inventory, &cluster.facts);
    let ready = looked.iter().map(|(node, paths)| {
        let certificate = |path: &String| {
            let server = path.ends_with("server.crt") || path.ends_with("peer.crt");
            let names = [node.as_str(), "127.0.0.1"];
            let certified = Certified {
                digest: if path.ends_with("ca.crt") { DIGEST.to_owned() } else { path.clone() },
                common_name: Some(format!("of-{node}")),
                organization: Some("The Lab".to_owned()),
                server,
                client: !path.ends_with("server.crt"),
                ..members::certified(
                    &cluster,
                    if server { &names } else { &[] },
                    if path.ends_with("ca.crt") { 3650 } else { 60 },
                )
            };
            (path.clone(), Ok(certified))
        };
        let ready = Ready {
            certificates: paths.certificates.iter().map(certificate).collect(),
            keys: paths.pairs.iter().map(|[_, key, _]| (key.clone(), Some(true))).collect(),
            ..Ready::default()
        };
        (node.clone(), Seen::Known(ready))
    });
    let ready = ready.collect();
    Scene { cluster, ready, due: Due::Within(90), only: Vec::new() }
}

impl Scene {
    fn plan(&self) -> Result<Plan, Vec<Finding>> {
        self.signed(DIGEST)
    }

    fn signed(&self, digest: &str) -> Result<Plan, Vec<Finding>> {
        let (certificate, key) = ("/home/ann/ca.crt".to_owned(), "/home/ann/ca.key".to_owned());
        let authority = Authority { certificate, key, digest: digest.to_owned() };
        renewal::plan(Wanted {
            inventory: &self.cluster.inventory,
            facts: &self.cluster.facts,
            ready: &self.ready,
            authority: &authority,
            only: &self.only,
            due: self.due,
            sources: &sources(),
        })
    }

    fn ready(&mut self, node: &str) -> &mut Ready {
        let (_, ready) = self.ready.iter_mut().find(|(known, _)| known.as_str() == node).expect("it was looked at");
        let Seen::Known(ready) = ready else { panic!("it was seen") };
        ready
    }

    fn certified(&mut self, node: &str, path: &str) -> &mut Certified {
        let all = &mut self.ready(node).certificates;
        all.iter_mut().find(|(known, _)| known == path).expect("it was looked at").1.as_mut().expect("it is one")
    }

    fn refusals(&self) -> Vec<String> {
        refusals(self.plan())
    }
}

fn refusals(plan: Result<Plan, Vec<Finding>>) -> Vec<String> {
    let found = plan.expect_err("it is refused");
    let grave = found.iter().filter(|finding| finding.severity != Severity::Warning);
    grave.map(|finding| format!("{}: {} [{}]", finding.subject, finding.detail, finding.rule)).collect()
}

fn steps(plan: &Plan) -> Vec<String> {
    plan.placed().map(|placed| placed.id()).collect()
}

fn renews<'a>(plan: &'a Plan, node: &str) -> &'a RenewCertificates {
    let of = plan.placed().filter(|placed| placed.node == Some(&name(node)));
    let found = of.into_iter().find_map(|placed| match &placed.step.action {
        Action::RenewCertificates(renew) => Some(renew),
        _ => None,
    });
    found.expect("it renews")
}

#[test]
fn members_one_by_one_whoever_leads_last_and_then_api_servers() {
    let scene = scene();
    let plan = scene.plan().unwrap_or_else(|found| panic!("{}", windlass::report::findings(&found)));
    let mut wanted: Vec<String> =
        ["etcd1", "etcd3", "cp1", "cp2", "cp3", "etcd2"].map(|node| format!("archive/{node}/archive")).to_vec();
    wanted.push("snapshot-etcd/cluster/snapshot".to_owned());
    for node in ["etcd1", "etcd3", "etcd2"] {
        wanted.extend(["make", "move-leader", "renew", "await-healthy"].map(|step| format!("members/{node}/{step}")));
    }
    for node in ["cp1", "cp2", "cp3"] {
        let each = ["make", "renew", "restart-api-server", "await-api-servers"];
        wanted.extend(each.map(|step| format!("control-planes/{node}/{step}")));
    }
    let mut made = steps(&plan);
    made[..6].sort();
    wanted[..6].sort();
    assert_eq!(made, wanted, "etcd2 leads");
    assert_eq!(plan.stages[2].waves.len(), 3, "one machine at a time");
    let text = windlass::report::plan(&plan);
    assert!(text.contains("renew 12 certificates of its members and their clients, one machine at a time"), "{text}");
    assert!(text.contains("up to 20 s: the API server on cp1; clients go on with another"), "{text}");
    assert!(
        text.contains("members/renew                      the former certificates and keys are put back"),
        "{text}"
    );
    assert_eq!(Plan::from_json(&plan.to_json()).expect("it reads as it was written"), plan);
}

#[test]
fn what_is_made_is_what_is_there_and_what_is_replaced_is_archived() {
    let plan = scene().plan().expect("a plan");
    let made = plan.placed().filter(|placed| placed.node == Some(&name("etcd1"))).find_map(|placed| {
        match &placed.step.action {
            Action::SendCertificates(SendCertificates { order }) => Some(order.clone()),
            _ => None,
        }
    });
    let order = made.expect("they are made");
    let pair = |file: &str, usage, hosts: &[&str]| Certificate {
        name: "of-etcd1".to_owned(),
        organization: Some("The Lab".to_owned()),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        usage,
        certificate: format!("/etc/etcd/pki/{file}.crt"),
        key: format!("/etc/etcd/pki/{file}.key"),
    };
    let hosts = ["etcd1", "127.0.0.1"];
    let wanted = [
        pair("server", Usage::Server, &hosts),
        pair("etcd1-peer", Usage::Member, &hosts),
        pair("client", Usage::Client, &[]),
    ];
    assert_eq!(order.certificates, wanted);
    assert_eq!(order.authorities, Vec::<String>::new(), "the authority stays as it is");
    let archive = plan.placed().find(|placed| placed.id() == "archive/etcd1/archive").expect("its archive");
    let Action::ArchiveNode(archive) = &archive.step.action else { panic!("an archive") };
    assert!(order.files().iter().all(|file| archive.paths.contains(file)), "{archive:?}");
    // The exact words that reach the machine.
    let renew = renews(&plan, "etcd1");
    let (id, node) = (plan.id.clone(), name("etcd1"));
    let site = Site { run: &id, node: Some(&node) };
    let Effect::Job { call, .. } = Action::from(renew.clone()).effect(site) else { panic!("a job") };
    let own = "/etc/etcd/pki/client.crt;/etc/etcd/pki/client.key;/etc/etcd/pki/ca.crt";
    let peer = "/etc/etcd/pki/etcd1-peer.crt;/etc/etcd/pki/etcd1-peer.key;/etc/etcd/pki/ca.crt";
    let guard =
        "etcd;etcd;/etc/etcd/pki/ca.crt;/etc/etcd/pki/client.crt;/etc/etcd/pki/client.key;https://172.30.0.11:2379;\
         https://172.30.0.12:2379,https://172.30.0.13:2379"
            .to_owned();
    let seen = format!(
        "https://172.30.0.11:2379;{own};/etc/etcd/pki/server.crt,https://172.30.0.11:2380;{peer};/etc/etcd/pki/etcd1-peer.crt,\
         https://172.30.0.12:2380;{peer};-,https://172.30.0.13:2380;{peer};-"
    );
    let sent = format!("certificates/{}/sent.pem", plan.id);
    assert_eq!(call.args, [vec![sent.clone(), "etcd".to_owned(), guard, seen], order.files()].concat());
    let back = Action::from(renew.clone()).way_back(site).expect("a way back");
    assert_eq!(back.args, [vec![sent], order.files()].concat());
    // An API server takes them to every member.
    let plane = renews(&plan, "cp1");
    assert_eq!((plane.member.is_none(), plane.api_server, plane.service.as_str()), (true, true, "kubelet"));
    let urls: Vec<&str> = plane.handshakes.iter().map(|seen| seen.url.as_str()).collect();
    assert_eq!(urls, ["https://172.30.0.11:2379", "https://172.30.0.12:2379", "https://172.30.0.13:2379"]);
}

#[test]
fn only_what_ends_soon_is_renewed_and_the_rest_is_said() {
    let mut scene = scene();
    for (node, _) in scene.ready.clone() {
        for (path, certified) in &mut scene.ready(node.as_str()).certificates {
            let kept = node.as_str() == "etcd3" && path.ends_with("server.crt");
            let end = certified.as_mut().expect("it is one");
            if !kept && !path.ends_with("ca.crt") {
                end.not_after += jiff::SignedDuration::from_hours(24 * 200);
            }
        }
    }
    let plan = scene.plan().expect("a plan");
    assert_eq!(renews(&plan, "etcd3").files, ["/etc/etcd/pki/server.crt", "/etc/etcd/pki/server.key"]);
    assert!(steps(&plan).iter().all(|step| !step.contains("cp1") && !step.contains("etcd1")), "{:?}", steps(&plan));
    assert_eq!(plan.outages, []);
    let why = "/etc/etcd/pki/client.crt lasts for 260 days; --all renews it too";
    assert!(plan.skipped.iter().any(|it| it.subject == "etcd3" && it.why == why), "{:?}", plan.skipped);
    scene.due = Due::Within(60);
    assert!(scene.plan().expect("a plan").is_empty(), "60 days are not less than 60");
    (scene.due, scene.only) = (Due::All, vec![name("cp2")]);
    let plan = scene.plan().expect("a plan");
    let wanted = ["make", "renew", "restart-api-server", "await-api-servers"];
    assert_eq!(steps(&plan)[2..], wanted.map(|step| format!("control-planes/cp2/{step}")));
}

#[test]
fn a_certificate_that_nobody_is_known_to_use_is_named() {
    let mut scene = scene();
    let Seen::Known(certificates) = &mut scene.cluster.machine(&name("etcd1")).certificates else { panic!("seen") };
    let (path, not_after) = ("/etc/etcd/pki/exporter.crt".to_owned(), jiff::Timestamp::UNIX_EPOCH);
    certificates.push(facts::Certificate { path, not_after, authority: false });
    let plan = scene.plan().expect("a plan");
    let why = "/etc/etcd/pki/exporter.crt: nobody here knows who uses it; it is yours to renew";
    assert!(plan.skipped.iter().any(|it| it.subject == "etcd1" && it.why == why), "{:?}", plan.skipped);
}

#[test]
fn what_forbids_it_is_said() {
    let bent = |bend: &dyn Fn(&mut Scene)| {
        let mut scene = scene();
        bend(&mut scene);
        scene.refusals()
    };
    let server = "/etc/etcd/pki/server.crt";
    let found = bent(&|scene| scene.certified("etcd2", server).more = true);
    assert_eq!(
        found,
        ["etcd2: /etc/etcd/pki/server.crt has names of kinds that are not made here: renew it yourself [certificate]"]
    );
    let found = bent(&|scene| scene.ready("etcd2").several.push(server.to_owned()));
    assert_eq!(
        found,
        [
            "etcd2: /etc/etcd/pki/server.crt holds several certificates, and a new one would hold one: renew it yourself [certificate]"
        ]
    );
    let found = bent(&|scene| scene.ready("etcd2").several.push("/etc/etcd/pki/ca.crt".to_owned()));
    assert_eq!(
        found,
        ["etcd2: /etc/etcd/pki/ca.crt holds several certificates: end the change of the authority first [certificate]"]
    );
    let found = bent(&|scene| scene.ready("cp3").keys[0].1 = Some(false));
    assert_eq!(
        found,
        [
            "cp3: /etc/kubernetes/pki/apiserver-etcd-client.key is not the key of /etc/kubernetes/pki/apiserver-etcd-client.crt, or is \
          not there [certificate]"
        ]
    );
    let found = bent(&|scene| scene.ready("etcd1").keys.iter_mut().for_each(|key| key.1 = None));
    assert_eq!(
        found,
        ["etcd1: has no openssl, without which nobody sees what a member shows: install it [certificate]"]
    );
    let found = bent(&|scene| scene.ready[0].1 = Seen::Unknown("it hides".to_owned()));
    assert_eq!(found, ["etcd1: its certificates could not be seen: it hides [certificate]"]);
    let found = bent(&|scene| scene.only = vec![name("w1")]);
    assert_eq!(
        found,
        [
            "w1: has no certificates of etcd that could be renewed: neither a member nor a control plane is there [node-unknown]"
        ]
    );
    let found = bent(&|scene| {
        let Seen::Known(etcd) = &mut scene.cluster.facts.etcd else { panic!("etcd was seen") };
        etcd.members[2].status = Seen::Unknown("refused".to_owned());
    });
    assert_eq!(found, ["etcd3: member etcd3 does not answer: refused [etcd-unhealthy]"]);
    let found = bent(&|scene| scene.cluster.machine(&name("cp2")).lock = Some("{}".to_owned()));
    let said = "cp2: holds the lock of a run: no certificate is renewed meanwhile; `windlass lock show` says whose [etcd-members]";
    assert_eq!(found, [said]);
    let found = bent(&|scene| scene.cluster.machine(&name("cp2")).api_server = Seen::Known(Some(version("1.21.14"))));
    assert_eq!(found, ["API: its servers run 1.20.2 and 1.21.14: end the upgrade first [api-server-spread]"]);
    let found = bent(&|scene| {
        let Seen::Known(Some(process)) = &mut scene.cluster.machine(&name("etcd1")).etcd else { panic!("it runs") };
        process.settings.insert("cipher-suites".to_owned(), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned());
    });
    assert_eq!(
        found,
        [
            "etcd1: its member's cipher-suites have none for ECDSA, which is what is made: make RSA ones yourself [certificate]"
        ]
    );
    let ended = bent(&|scene| scene.cluster.facts.etcd = Seen::Unknown("certificate has expired".to_owned()));
    assert!(
        ended[0]
            .starts_with("etcd: its members could not be seen: certificate has expired. Where certificates have ended")
    );
    // Another authority is refused wherever it is not trusted, also where nothing is renewed.
    let mut one = scene();
    one.only = vec![name("cp1")];
    let found = refusals(one.signed(&"1".repeat(64)));
    assert_eq!(found.len(), 6, "{found:?}");
    assert_eq!(
        found[0],
        "cp1: /home/ann/ca.crt is another authority than /etc/kubernetes/pki/etcd/ca.crt, which is trusted there [certificate]"
    );
}

#[test]
fn an_authority_that_ends_itself_bounds_what_it_signs() {
    let mut scene = scene();
    let day = |days: i64| jiff::SignedDuration::from_hours(24 * days);
    let now = scene.cluster.facts.taken_at;
    scene.certified("etcd1", "/etc/etcd/pki/ca.crt").not_after = now + day(100);
    let plan = scene.plan().expect("a plan");
    let said = "the authority itself ends in 100 days, and what it signs ends with it: /etc/etcd/pki/ca.crt";
    assert_eq!(plan.findings.iter().map(|it| it.detail.as_str()).collect::<Vec<_>>(), [said]);
    scene.certified("etcd1", "/etc/etcd/pki/ca.crt").not_after = now + day(70);
    assert_eq!(scene.refusals(), [format!("etcd1: {} [certificate]", said.replace("100", "70"))]);
}

#[test]
fn those_of_a_stacked_etcd_are_kubeadms() {
    let mut scene = scene();
    scene.cluster = Cluster::stacked();
    let said = scene.refusals();
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("after another: `kubeadm certs renew all`, then move"), "{said:?}");
    let Seen::Known(api) = &mut scene.cluster.facts.api else { panic!("the API was seen") };
    let Seen::Known(config) = &mut api.kubeadm else { panic!("kubeadm-config was seen") };
    config.version = version("1.19.16");
    assert!(scene.refusals()[0].contains("`kubeadm alpha certs renew all`"));
}

#[test]
fn it_is_believed_once_no_former_one_is_there_and_taken_back_once_all_are() {
    let mut scene = scene();
    let renew = renews(&scene.plan().expect("a plan"), "etcd1").clone();
    let (run, node) = (scene.plan().expect("a plan").id, name("etcd1"));
    let site = Site { run: &run, node: Some(&node) };
    let action = Action::from(renew.clone());
    let Seen::Known(there) = &mut scene.cluster.machine(&node).certificates else { panic!("they were seen") };
    there.retain(|one| renew.from.contains_key(&one.path));
    assert!(!there.is_empty());
    for one in there.iter_mut() {
        one.not_after = renew.from[&one.path];
    }
    let sight =
        |scene: &mut Scene| Sight { machine: Seen::Known(scene.cluster.machine(&node).clone()), ..Sight::nothing() };
    let former = sight(&mut scene);
    assert!(matches!(action.look(site, Moment::Before, &former), Look::Ready(_)));
    assert!(matches!(action.look(site, Moment::After, &former), Look::Ready(_)));
    assert_eq!(action.look_back(&former), Look::Done);
    let Seen::Known(there) = &mut scene.cluster.machine(&node).certificates else { panic!("they were seen") };
    for one in there.iter_mut() {
        one.not_after += jiff::SignedDuration::from_secs(1);
    }
    let new = sight(&mut scene);
    assert_eq!(action.look(site, Moment::After, &new), Look::Done);
    assert!(matches!(action.look(site, Moment::Before, &new), Look::Ready(_)), "whether it is used, the job says");
    assert!(matches!(action.look_back(&new), Look::Ready(_)));
}

#[test]
fn the_checker_wants_each_proof() {
    let golden = scene().plan().expect("a plan");
    assert_eq!(checker::check(&golden), []);
    let said = |plan: &Plan| -> Vec<String> {
        let mut said: Vec<String> = checker::check(plan).into_iter().map(|breach| breach.detail).collect();
        said.dedup();
        said
    };
    for (dropped, words) in [
        ("move-leader", "leadership is not moved off the member just before"),
        ("await-healthy", "the members are not seen healthy just after it"),
        ("restart-api-server", "its API server is not started on them"),
        ("await-api-servers", "it is not seen to answer just after it"),
        ("snapshot", "no snapshot stands before it"),
        ("archive", "the node is changed before its configuration is archived"),
        ("make", "not what it puts in place is made just before"),
    ] {
        let mut plan = golden.clone();
        plan.procedures.iter_mut().for_each(|steps| steps.retain(|step| step.name != dropped));
        assert_eq!(said(&plan), [words], "without {dropped}");
    }
    let mut together = golden.clone();
    for stage in [2, 3] {
        let lanes = together.stages[stage].waves.remove(1).lanes;
        together.stages[stage].waves[0].lanes.extend(lanes);
    }
    let wanted =
        ["certificates are renewed on several machines at the same time", "API servers are started at the same time"];
    assert!(wanted.iter().all(|words| said(&together).iter().any(|it| it == words)), "{:?}", said(&together));
    let bent = |bend: &dyn Fn(&mut Action)| {
        let mut plan = golden.clone();
        plan.procedures.iter_mut().flatten().for_each(|step| bend(&mut step.action));
        said(&plan)
    };
    let found = bent(&|action| {
        if let Action::RenewCertificates(renew) = action
            && let Some(member) = &mut renew.member
        {
            member.others.pop();
        }
    });
    assert!(found.contains(&"not all other members are asked for their health".to_owned()), "{found:?}");
    let found = bent(&|action| {
        if let Action::RenewCertificates(renew) = action {
            renew.member = None;
        }
    });
    assert_eq!(found, ["a member's certificates are renewed, and nobody asks how the others are"]);
    let found = bent(&|action| {
        if let Action::SendCertificates(send) = action {
            send.order.authority.digest = "1".repeat(64);
        }
    });
    assert_eq!(found, ["another authority would sign than the plan names"]);
    let found = bent(&|action| {
        if let Action::RestartContainers(restart) = action {
            restart.names = vec!["etcd".to_owned()];
        }
    });
    assert_eq!(found, ["a renewal of certificates does not do this"]);
    // And no other plan may.
    let mut other = super::cluster::golden();
    other.procedures[0].extend(golden.procedures.iter().flatten().find(|step| step.name == "renew").cloned());
    assert!(said(&other).contains(&"only a renewal of certificates may do this".to_owned()), "{:?}", said(&other));
}
