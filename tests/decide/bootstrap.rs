//! A cluster that begins: what is planned, what is refused and with which words, and that the checker holds each such plan to the
//! laws.

use std::collections::{BTreeMap, BTreeSet};

use windlass::decide::action::Action;
use windlass::decide::actions::bootstrap::Newcomer;
use windlass::decide::actions::certificates::Authority;
use windlass::decide::bootstrap::{self, Files, Manifest, Wanted};
use windlass::decide::checker;
use windlass::decide::finding::{Finding, Severity};
use windlass::decide::plan::{Plan, Step};
use windlass::facts::ground::Ground;
use windlass::facts::{PackageFacts, Seen};
use windlass::inventory::Topology;

use super::cluster::{Cluster, name, sources, version};

/// The machines of a cluster before there is one.
pub(crate) struct Bare {
    pub(crate) cluster: Cluster,
    files: Files,
    authority: Option<Authority>,
}

pub(crate) fn bare(mut cluster: Cluster) -> Bare {
    let external = cluster.inventory.etcd.topology == Topology::External;
    cluster.inventory.api.endpoint = Some("172.30.0.10:6443".to_owned());
    cluster.facts.api = Seen::Unknown("no API server".to_owned());
    cluster.facts.etcd = Seen::Unknown("no member".to_owned());
    let names: Vec<_> = cluster.inventory.nodes.iter().map(|node| node.name.clone()).collect();
    for name in &names {
        let machine = cluster.machine(name);
        for facts in machine.packages.values_mut() {
            (facts.installed, facts.held) = (None, false);
        }
        for (package, candidate) in [("containerd", "1.6.20"), ("runc", "1.1.5"), ("cri-tools", "1.26.0-00")] {
            let candidates = Seen::Known(vec![candidate.to_owned()]);
            machine.packages.insert(package.to_owned(), PackageFacts { installed: None, held: false, candidates });
        }
        machine.static_pods = Seen::Known(BTreeMap::new());
        machine.kubelet_running = Seen::Known(None);
        machine.api_server = Seen::Known(None);
        machine.etcd = Seen::Known(None);
        machine.machine_id = Seen::Known(format!("id of {name}"));
        machine.ground = Seen::Known(Ground { synchronised: Some(true), ..Ground::default() });
    }
    let authority = external.then(|| Authority {
        certificate: "/home/ops/ca.crt".to_owned(),
        key: "/home/ops/ca.key".to_owned(),
        digest: "d".repeat(64),
    });
    Bare { cluster, files: Files::default(), authority }
}

impl Bare {
    pub(crate) fn plan(&self) -> Result<Plan, Vec<Finding>> {
        let etcd = self.authority.is_some().then(|| version("3.4.23"));
        self.plan_of("1.20.2", etcd.as_ref())
    }

    fn plan_of(&self, kubernetes: &str, etcd: Option<&semver::Version>) -> Result<Plan, Vec<Finding>> {
        let (sources, kubernetes) = (sources(), version(kubernetes));
        bootstrap::plan(Wanted {
            inventory: &self.cluster.inventory,
            facts: &self.cluster.facts,
            kubernetes: &kubernetes,
            etcd,
            files: &self.files,
            authority: self.authority.as_ref(),
            sources: &sources,
        })
    }

    /// What the planner has against it, as `SUBJECT: DETAIL`.
    pub(crate) fn refused(&self) -> Vec<String> {
        let findings = self.plan().expect_err("a refusal");
        let graver = findings.into_iter().filter(|finding| finding.severity != Severity::Warning);
        graver.map(|finding| format!("{}: {}", finding.subject, finding.detail)).collect()
    }
}

/// Each stage, with its steps on the first of its machines.
pub(crate) fn stages(plan: &Plan) -> Vec<String> {
    let lane = |stage: &windlass::decide::plan::Stage| {
        let lanes = &stage.waves[0].lanes;
        let steps: Vec<&str> = plan.steps(&lanes[0]).iter().map(|step| step.name.as_str()).collect();
        format!("{} x{}: {}", stage.name, lanes.len(), steps.join(" "))
    };
    plan.stages.iter().map(lane).collect()
}

pub(crate) fn step<'a>(plan: &'a Plan, id: &str) -> &'a Step {
    plan.placed().find(|placed| placed.id() == id).unwrap_or_else(|| panic!("no {id}")).step
}

#[test]
fn a_stacked_cluster_begins_with_one_control_plane_and_each_other_joins_behind_a_snapshot() {
    let plan = bare(Cluster::stacked()).plan().expect("a plan");
    assert_eq!(
        stages(&plan),
        [
            "prepare x5: prepare-machine fetch-packages",
            "install x5: install-runtime set-up-runtime install-kubernetes pull-images",
            "first-control-plane x1: kubeadm-init await-ready",
            "snapshot-before-cp2 x1: snapshot",
            "join-cp2 x1: introduce kubeadm-join await-ready await-members",
            "snapshot-before-cp3 x1: snapshot",
            "join-cp3 x1: introduce kubeadm-join await-ready await-members",
            "workers x2: introduce kubeadm-join await-ready",
            "tokens x1: revoke-tokens",
            "snapshot-etcd x1: snapshot",
        ]
    );
    let Action::KubeadmJoin(join) = &step(&plan, "join-cp2/cp2/kubeadm-join").action else { panic!("it joins") };
    assert_eq!(join.newcomer, Newcomer::ControlPlaneWithEtcd);
    let Action::AwaitMembers(wait) = &step(&plan, "join-cp2/cp2/await-members").action else { panic!("it waits") };
    assert_eq!(wait.peers, ["https://172.30.0.21:2380", "https://172.30.0.22:2380"]);
    let Action::InstallPackages(install) = &step(&plan, "install/w1/install-runtime").action else { panic!("it does") };
    let specs: Vec<String> = install.packages.iter().map(windlass::decide::actions::packages::Pinned::spec).collect();
    assert_eq!((specs, install.hold.len()), (vec!["containerd=1.6.20".to_owned(), "runc=1.1.5".to_owned()], 2));
    assert_eq!(checker::check(&plan), []);
}

#[test]
fn members_of_an_external_etcd_are_formed_together_with_certificates_of_the_operators_authority() {
    let plan = bare(Cluster::base()).plan().expect("a plan");
    assert_eq!(
        stages(&plan)[..6],
        [
            "prepare x8: fetch-packages",
            "install x8: install-etcd make-certificates place-certificates",
            "etcd x3: form",
            "etcd-whole x1: await-members",
            "etcd-settled x3: settle",
            "first-control-plane x1: kubeadm-init await-ready",
        ]
    );
    let Action::FormMember(form) = &step(&plan, "etcd/etcd2/form").action else { panic!("it forms") };
    let setting = |name: &str| form.settings[name].as_str();
    assert_eq!(setting("ETCD_NAME"), "etcd2");
    assert_eq!(setting("ETCD_LISTEN_CLIENT_URLS"), "https://127.0.0.1:2379,https://172.30.0.12:2379");
    let all = "etcd1=https://172.30.0.11:2380,etcd2=https://172.30.0.12:2380,etcd3=https://172.30.0.13:2380";
    assert_eq!((setting("ETCD_INITIAL_CLUSTER"), setting("ETCD_INITIAL_CLUSTER_STATE")), (all, "new"));
    assert_eq!(setting("ETCD_INITIAL_CLUSTER_TOKEN"), "lab-@RUN@", "no two clusters have one");
    assert_eq!([setting("ETCD_CLIENT_CERT_AUTH"), setting("ETCD_PEER_CLIENT_CERT_AUTH")], ["true", "true"]);
    let Action::SendCertificates(send) = &step(&plan, "install/etcd2/make-certificates").action else { panic!("sent") };
    let made: Vec<(&str, bool)> = send
        .order
        .certificates
        .iter()
        .map(|made| (made.certificate.as_str(), made.hosts.contains(&"172.30.0.12".to_owned())))
        .collect();
    let wanted =
        [("/etc/etcd/pki/server.crt", true), ("/etc/etcd/pki/peer.crt", true), ("/etc/etcd/pki/client.crt", false)];
    assert_eq!(made, wanted);
    let Action::SendCertificates(send) = &step(&plan, "install/cp1/make-certificates").action else { panic!("sent") };
    assert_eq!(
        send.order.files()[..2],
        ["/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/apiserver-etcd-client.crt"]
    );
    let text = plan.to_json();
    assert!(!text.contains("PRIVATE KEY"), "a plan names keys and has none");
}

/// The documents that kubeadm is given.
fn documents(plan: &Plan, id: &str) -> Vec<serde_json::Value> {
    let text = match &step(plan, id).action {
        Action::KubeadmInit(init) => &init.configuration,
        Action::KubeadmJoin(join) => &join.configuration,
        other => panic!("{other:?}"),
    };
    text.split("\n---\n").map(|text| serde_json::from_str(text).expect("JSON")).collect()
}

#[test]
fn kubeadm_is_told_what_the_operator_says_and_what_was_left_out() {
    let mut bare = bare(Cluster::stacked());
    bare.files.kubeadm = Some(
        "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\napiServer:\n  extraArgs:\n    audit-log-maxage: \"7\"\n\
         etcd:\n  local:\n    imageTag: 3.5.16-0\n---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n\
         failSwapOn: false\n---\napiVersion: kubeadm.k8s.io/v1beta2\nkind: JoinConfiguration\nnodeRegistration:\n  \
         kubeletExtraArgs:\n    v: \"2\"\n"
            .to_owned(),
    );
    let plan = bare.plan().expect("a plan");
    let init = documents(&plan, "first-control-plane/cp1/kubeadm-init");
    let wanted = serde_json::json!({
        "apiVersion": "kubeadm.k8s.io/v1beta2", "kind": "ClusterConfiguration", "clusterName": "lab",
        "controlPlaneEndpoint": "172.30.0.10:6443", "kubernetesVersion": "v1.20.2",
        "apiServer": { "extraArgs": { "audit-log-maxage": "7" } },
        "etcd": { "local": {
            "imageTag": "3.5.16-0", "extraArgs": { "heartbeat-interval": "100", "election-timeout": "1000" },
        } },
    });
    assert_eq!(init[1], wanted);
    assert_eq!(init[0]["bootstrapTokens"], serde_json::json!([{ "ttl": "30m0s", "description": "windlass-@RUN@" }]));
    assert_eq!(init[2]["cgroupDriver"], "systemd", "as containerd is set up");
    let join = &documents(&plan, "workers/w1/kubeadm-join")[0];
    let arguments = serde_json::json!({ "v": "2", "node-ip": "172.30.0.31" });
    assert_eq!(join["nodeRegistration"]["kubeletExtraArgs"], arguments);
    assert_eq!(join["discovery"]["bootstrapToken"]["token"], "@TOKEN@", "no plan has a secret");
    let Action::PrepareMachine(prepare) = &step(&plan, "prepare/w1/prepare-machine").action else { panic!("it does") };
    assert!(!prepare.swap_off, "kubelets that tolerate swap are not in its way");
}

#[test]
fn a_newer_kubeadm_is_told_in_its_own_version() {
    let mut bare = bare(Cluster::stacked());
    for node in bare.cluster.inventory.nodes.clone() {
        for package in ["kubeadm", "kubelet", "kubectl"] {
            let facts = bare.cluster.machine(&node.name).packages.get_mut(package).expect("it was looked up");
            facts.candidates = Seen::Known(vec!["1.34.2-1.1".to_owned()]);
        }
    }
    let plan = bare.plan_of("1.34.2", None).expect("a plan");
    let init = documents(&plan, "first-control-plane/cp1/kubeadm-init");
    assert_eq!(init[0]["apiVersion"], "kubeadm.k8s.io/v1beta4");
    let registration = &init[0]["nodeRegistration"];
    assert_eq!(registration["criSocket"], "unix:///run/containerd/containerd.sock");
    assert_eq!(registration["kubeletExtraArgs"], serde_json::json!([{ "name": "node-ip", "value": "172.30.0.21" }]));
    bare.files.kubeadm = Some("apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\n".to_owned());
    let why = bare.plan_of("1.34.2", None).expect_err("a refusal");
    assert!(
        why.iter().any(|it| it.detail.contains("does not read kubeadm.k8s.io/v1beta2: write kubeadm.k8s.io/v1beta4"))
    );
}

#[test]
fn what_would_be_guessed_or_leaked_is_refused() {
    let mut bare = bare(Cluster::stacked());
    let refused = |bare: &mut Bare, text: &str| {
        bare.files.kubeadm = Some(text.to_owned());
        bare.refused().join("\n")
    };
    let head = "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ";
    let token =
        refused(&mut bare, &format!("{head}InitConfiguration\nbootstrapTokens:\n- token: abcdef.0123456789abcdef\n"));
    assert_eq!(
        token,
        "kubeadm: leave bootstrapTokens out of the InitConfiguration: what is there is Windlass's to say"
    );
    let endpoint = refused(&mut bare, &format!("{head}ClusterConfiguration\ncontrolPlaneEndpoint: other:6443\n"));
    assert_eq!(endpoint, "kubeadm: its controlPlaneEndpoint is \"other:6443\", and here it is \"172.30.0.10:6443\"");
    let kind = refused(&mut bare, "apiVersion: v1\nkind: Secret\n");
    assert_eq!(kind, "kubeadm: a document of kind `Secret` is nothing that kubeadm reads");
    let external = refused(&mut bare, &format!("{head}ClusterConfiguration\netcd:\n  external: {{}}\n"));
    assert_eq!(external, "kubeadm: its etcd is external, and in the inventory it is stacked");
    assert!(refused(&mut bare, "a: [\n").contains("unclosed bracket"));
    let data = refused(&mut bare, &format!("{head}ClusterConfiguration\netcd:\n  local:\n    dataDir: /data\n"));
    assert_eq!(
        data,
        "kubeadm: leave etcd.local.dataDir out of the ClusterConfiguration: only /var/lib/etcd is looked after"
    );
    let socket =
        refused(&mut bare, &format!("{head}JoinConfiguration\nnodeRegistration:\n  criSocket: /run/crio.sock\n"));
    assert_eq!(
        socket,
        "kubeadm: the JoinConfiguration names another criSocket than containerd's, which is what is set up"
    );
    let cgroups = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncgroupDriver: cgroupfs\n";
    let cgroups = refused(&mut bare, cgroups);
    assert_eq!(cgroups, "kubeadm: its cgroupDriver is not systemd's, and containerd's is: name its configuration, too");
    bare.files.kubeadm = None;
    bare.files.containerd = Some("version = 2\n[a.auth]\n  password = \"x\"\n".to_owned());
    let found = bare.refused().join("\n");
    assert!(found.starts_with("containerd: line 3 of its configuration has a password"), "{found}");
}

#[test]
fn machines_that_are_not_free_are_named_all_at_once() {
    let mut bare = bare(Cluster::base());
    let ground = |ground: Ground| Seen::Known(Ground { synchronised: Some(true), ..ground });
    bare.cluster.inventory.api.endpoint = None;
    bare.cluster.machine(&name("cp1")).ground =
        ground(Ground { remains: vec!["/etc/kubernetes/admin.conf".to_owned(), "x".to_owned()], ..Ground::default() });
    bare.cluster.machine(&name("cp2")).ground =
        ground(Ground { listening: BTreeSet::from([22, 6443, 10250]), ..Ground::default() });
    bare.cluster.machine(&name("etcd1")).ground =
        ground(Ground { listening: BTreeSet::from([2380, 10250]), ..Ground::default() });
    bare.cluster.machine(&name("w2")).machine_id = Seen::Known("id of w1".to_owned());
    bare.cluster.machine(&name("w1")).packages.get_mut("kubelet").expect("it is there").candidates =
        Seen::Known(vec![]);
    let found = bare.refused();
    let wanted = [
        "w1: kubelet: 1.20.2 is not in the package repository, which has none at all",
        "cp1: has something of a cluster already: /etc/kubernetes/admin.conf and 1 more. A bootstrap takes nothing away that it \
         did not begin: go on with its own plan, or see to the machine yourself (`kubeadm reset`)",
        "cp2: somebody listens on 6443 and 10250 there already",
        "etcd1: somebody listens on 2380 there already",
        "w1 and w2: have the same /etc/machine-id: `rm /etc/machine-id && systemd-machine-id-setup` on all of them but one",
        "API: the inventory names no [api] endpoint: the address of a load balancer, or of a name that can lead to one later. It \
         is in every certificate and kubeconfig, and hard to change afterwards",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn versions_and_authorities_are_asked_for_where_they_are_needed_and_only_there() {
    let mut external = bare(Cluster::base());
    external.authority = None;
    let found = external.refused();
    assert!(found[0].starts_with("etcd: its certificates are signed here: name its authority"), "{found:?}");
    assert_eq!(found[1], "etcd: say which version it begins with: --etcd VERSION");
    let stacked = bare(Cluster::stacked());
    let why = stacked.plan_of("1.20.2", Some(&version("3.4.23"))).expect_err("a refusal");
    assert!(why[0].detail.contains("kubeadm chooses its version"), "{why:?}");
}

#[test]
fn a_cluster_that_stands_is_neither_made_again_nor_raised() {
    let cluster = Cluster::base();
    let standing = Bare { authority: bare(cluster.clone()).authority, cluster, files: Files::default() };
    let plan = standing.plan().expect("a plan");
    assert!(plan.is_empty());
    assert_eq!(plan.skipped[0].why, "Kubernetes 1.20.2 runs on all of these machines already");
    let why = standing.plan_of("1.21.14", Some(&version("3.4.23"))).expect_err("a refusal");
    let subjects: Vec<&str> = why.iter().map(|finding| finding.subject.as_str()).collect();
    assert_eq!(subjects, ["cp1", "cp2", "cp3"]);
    assert!(why[0].detail.starts_with("runs Kubernetes 1.20.2 already: `windlass upgrade plan`"), "{why:?}");
}

#[test]
fn manifests_are_applied_in_their_order_once_the_first_control_plane_answers() {
    let mut bare = bare(Cluster::stacked());
    let manifest = |file: &str, letter: &str| Manifest { file: file.to_owned(), sha256: letter.repeat(64), bytes: 9 };
    bare.files.manifests = vec![manifest("/m/cni.yaml", "a"), manifest("/m/more.yaml", "b")];
    let plan = bare.plan().expect("a plan");
    assert_eq!(stages(&plan)[2], "first-control-plane x1: kubeadm-init send-1 apply-1 send-2 apply-2 await-ready");
}

/// What a plan must not be changed into.
#[test]
fn the_checker_holds_a_bootstrap_to_the_laws() {
    let plan = bare(Cluster::base()).plan().expect("a plan");
    let broken = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        change(&mut plan);
        checker::check(&plan).into_iter().map(|breach| breach.detail).collect::<Vec<_>>()
    };
    let without = |stage: &'static str| move |plan: &mut Plan| plan.stages.retain(|known| known.name != stage);
    let says = |found: Vec<String>, wanted: &str| assert!(found.iter().any(|it| it == wanted), "{wanted}: {found:?}");
    says(broken(&without("etcd-whole")), "an API server would write to an etcd that is not whole");
    says(broken(&without("etcd")), "not each machine of etcd becomes a member, once");
    says(broken(&without("first-control-plane")), "a cluster begins once, on one control plane");
    says(broken(&without("snapshot-before-cp3")), "no snapshot stands between it and the control plane before it");
    says(broken(&without("snapshot-etcd")), "it does not end with a backup that has been proven");
    says(broken(&without("workers")), "not each node joins, once");
    says(
        broken(&without("etcd-settled")),
        "a member is not told that its cluster exists, and would begin another without its data",
    );
    says(broken(&without("tokens")), "tokens are not taken back once everybody has joined");
    let in_steps = |change: fn(&mut Action)| {
        move |plan: &mut Plan| plan.procedures.iter_mut().flatten().for_each(|step| change(&mut step.action))
    };
    let newer = in_steps(|action| {
        if let Action::InstallPackages(install) = action {
            install
                .packages
                .iter_mut()
                .filter(|it| it.name == "kubelet")
                .for_each(|it| it.version = "1.33.0-1.1".into());
        }
    });
    says(broken(&newer), "it would install kubelet=1.33.0-1.1, which the plan does not name");
    let elsewhere = in_steps(|action| {
        if let Action::KubeadmInit(init) = action {
            init.configuration = init.configuration.replace("172.30.0.10:6443", "172.30.0.99:6443");
        }
    });
    says(broken(&elsewhere), "kubeadm would be told of another cluster than the plan names");
    let mut stacked = bare(Cluster::stacked()).plan().expect("a plan");
    stacked.procedures.iter_mut().for_each(|steps| steps.retain(|step| step.name != "await-members"));
    says(checker::check(&stacked).into_iter().map(|it| it.detail).collect(), "its member is not waited for");
    says(
        broken(&|plan| {
            let at = |plan: &Plan, name: &str| plan.stages.iter().position(|stage| stage.name == name).expect("there");
            let (workers, planes) = (at(plan, "workers"), at(plan, "join-cp3"));
            plan.stages.swap(workers, planes);
        }),
        "it joins before all control planes are there",
    );
    says(
        broken(&|plan| {
            for steps in &mut plan.procedures {
                steps.retain(|step| step.name != "introduce");
            }
        }),
        "nobody introduces it just before",
    );
    says(
        broken(&|plan| {
            let at = plan.stages.iter().position(|stage| stage.name == "etcd").expect("there");
            let lane = plan.stages[at].waves[0].lanes.pop().expect("three lanes");
            plan.stages[at].waves.push(windlass::decide::plan::Wave { lanes: vec![lane] });
        }),
        "members that begin a cluster wait for each other, and would not be started together",
    );
    let mut upgrade = super::cluster::golden();
    let begins = step(&plan, "tokens/cp1/revoke-tokens").clone();
    upgrade.procedures[0].push(begins);
    let found: Vec<String> = checker::check(&upgrade).into_iter().map(|breach| breach.detail).collect();
    assert!(found.iter().any(|it| it == "only a bootstrap may do this"), "{found:?}");
}

/// A plan may be carried out long after it was made, or a second one beside it.
#[test]
fn a_machine_that_is_not_free_any_more_stops_a_run_that_has_not_begun_there() {
    use windlass::decide::drift::{Progress, drift};
    let bare = bare(Cluster::base());
    let plan = bare.plan().expect("a plan");
    let mut later = bare.cluster.clone();
    let remains = vec!["/var/lib/etcd/default/member".to_owned()];
    later.machine(&name("etcd1")).ground = Seen::Known(Ground { remains, ..Ground::default() });
    let found = |begun: &'static str| {
        let progress = |step: &str| if step == begun { Progress::InDoubt } else { Progress::Untouched };
        drift(&plan, &later.inventory, &later.facts, &progress)
    };
    let wanted = ["etcd1 was free, and has something of a cluster now: /var/lib/etcd/default/member"];
    assert_eq!(found(""), wanted);
    assert_eq!(found("prepare/etcd1/fetch-packages"), wanted, "a download begins nothing");
    assert_eq!(found("install/etcd1/install-etcd"), Vec::<String>::new(), "its package has started an etcd");
}

#[test]
fn images_of_ones_own_are_pulled_by_kubeadm_itself() {
    let mut bare = bare(Cluster::stacked());
    let text =
        "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\nimageRepository: mirror.example.org/k8s\n";
    bare.files.kubeadm = Some(text.to_owned());
    let plan = bare.plan().expect("a plan");
    assert_eq!(stages(&plan)[1], "install x5: install-runtime set-up-runtime install-kubernetes");
}
