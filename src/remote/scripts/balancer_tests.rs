//! The jobs of load balancers, against a haproxy of the test's own.

use std::os::unix::fs::PermissionsExt as _;

use super::Script;
use super::job_tests::Fakes;

/// A haproxy that keeps the states of its servers in a file, and answers as its management guide says.
const SOCAT: &str = r#"read -r command
case $command in
    'show servers state windlass-control-planes')
        printf '1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n'
        number=0
        while read -r name operational administrative; do
            number=$((number + 1))
            echo "3 windlass-control-planes $number $name 10.0.0.$number $operational $administrative 1"
        done <"$FAKES/servers" ;;
    'set server windlass-control-planes/'*' state '*)
        name=${command#*/}; name=${name%% *}; state=${command##* }
        [ "$state" = drain ] && number=8 || number=0
        [ -e "$FAKES/deaf" ] && { echo 'Permission denied'; exit; }
        sed "s/^\($name [0-9]*\) .*/\1 $number/" "$FAKES/servers" >"$FAKES/servers.new" && mv "$FAKES/servers.new" "$FAKES/servers" ;;
    *) echo 'Unknown command' ;;
esac"#;

fn fakes(servers: &str) -> Fakes {
    let fakes = Fakes::new(&[("socat", SOCAT)]);
    std::fs::write(fakes.path().join("servers"), servers).expect("written");
    fakes
}

fn servers(fakes: &Fakes) -> String {
    std::fs::read_to_string(fakes.path().join("servers")).expect("servers")
}

#[test]
fn what_a_run_takes_out_of_service_it_alone_gives_back() {
    let fakes = fakes("cp1 2 0\ncp2 2 0\n");
    assert_eq!(fakes.run(Script::DrainServer, &["cp1", "r1"]), (0, String::new()));
    assert_eq!(servers(&fakes), "cp1 2 8\ncp2 2 0\n");
    for (path, wanted) in [("windlass/out-of-service", 0o700), ("windlass/out-of-service/cp1", 0o600)] {
        let mode = std::fs::metadata(fakes.path().join(path)).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, wanted, "{path}");
    }
    assert_eq!(fakes.run(Script::DrainServer, &["cp1", "r1"]), (0, String::new()), "once more changes nothing");
    assert_eq!(fakes.run(Script::ReturnServer, &["cp1", "r2"]).0, 0, "it is not that run's");
    assert_eq!(servers(&fakes), "cp1 2 8\ncp2 2 0\n");
    assert_eq!(fakes.run(Script::ReturnServer, &["cp1", "r1"]), (0, String::new()));
    assert_eq!(servers(&fakes), "cp1 2 0\ncp2 2 0\n");
    assert_eq!(fakes.run(Script::ReturnServer, &["cp1", "r1"]).0, 0, "once more changes nothing");
}

#[test]
fn what_somebody_else_took_out_of_service_stays_so() {
    let fakes = fakes("cp1 2 8\ncp2 2 0\n");
    assert_eq!(fakes.run(Script::DrainServer, &["cp1", "r1"]).0, 0);
    assert_eq!(fakes.run(Script::ReturnServer, &["cp1", "r1"]).0, 0);
    assert_eq!(servers(&fakes), "cp1 2 8\ncp2 2 0\n");
    // Of maintenance that somebody began after us, too.
    let fakes = self::fakes("cp1 2 0\ncp2 2 0\n");
    assert_eq!(fakes.run(Script::DrainServer, &["cp1", "r1"]).0, 0);
    std::fs::write(fakes.path().join("servers"), "cp1 2 1\ncp2 2 0\n").expect("written");
    assert_eq!(fakes.run(Script::ReturnServer, &["cp1", "r1"]).0, 0);
    assert_eq!(servers(&fakes), "cp1 2 1\ncp2 2 0\n");
}

#[test]
fn the_last_one_that_is_ready_stays_in_service() {
    for others in ["cp2 0 0\ncp3 2 8\n", "cp2 2 1\ncp3 1 0\n", ""] {
        let all = format!("cp1 2 0\n{others}");
        let fakes = fakes(&all);
        let (status, said) = fakes.run(Script::DrainServer, &["cp1", "r1"]);
        assert!(status == 75 && said.contains("no other API server is ready"), "{status} {said}");
        assert_eq!(servers(&fakes), all);
    }
}

#[test]
fn what_haproxy_does_not_know_or_do_is_said() {
    let fakes = fakes("cp1 2 0\ncp2 2 0\n");
    let (status, said) = fakes.run(Script::DrainServer, &["cp9", "r1"]);
    assert!(status == 1 && said.contains("haproxy knows no cp9 in windlass-control-planes"), "{status} {said}");
    std::fs::write(fakes.path().join("deaf"), "").expect("written");
    let (status, said) = fakes.run(Script::DrainServer, &["cp1", "r1"]);
    assert!(status == 1 && said.contains("did not take cp1 out of service: Permission denied"), "{status} {said}");
}

const IP: &str = "echo '7: eth1    inet 10.0.0.8/24 brd 10.0.0.255 scope global eth1'";

fn set_up(fakes: &Fakes, haproxy: &str, keepalived: &str, address: &str) -> (i32, String) {
    fakes.run(Script::SetUpBalancer, &[haproxy, keepalived, address, "6443"])
}

fn placed(fakes: &Fakes, file: &str) -> String {
    std::fs::read_to_string(fakes.path().join("from/etc").join(file)).unwrap_or_default()
}

/// Nobody listens on the port here: what comes before that is seen.
#[test]
fn configurations_are_placed_beside_what_was_there() {
    let fakes = Fakes::new(&[("haproxy", "exit 0"), ("systemctl", ""), ("journalctl", ""), ("sleep", ""), ("ip", IP)]);
    let folder = fakes.path().join("from/etc/haproxy");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("haproxy.cfg"), "Debian's\n").expect("written");
    let (status, said) = set_up(&fakes, "# Written by Windlass: one", "-", "10.0.0.8");
    assert!(status == 1 && said.contains("nobody listens on 6443"), "{status} {said}");
    assert_eq!(placed(&fakes, "haproxy/haproxy.cfg"), "# Written by Windlass: one\n");
    assert_eq!(placed(&fakes, "haproxy/haproxy.cfg.before-windlass"), "Debian's\n");
    let _ = set_up(&fakes, "# Written by Windlass: two", "-", "10.0.0.8");
    assert_eq!(placed(&fakes, "haproxy/haproxy.cfg"), "# Written by Windlass: two\n");
    assert_eq!(placed(&fakes, "haproxy/haproxy.cfg.before-windlass"), "Debian's\n", "what was there first is kept");
}

#[test]
fn a_configuration_that_haproxy_refuses_is_not_placed() {
    let fakes = Fakes::new(&[("haproxy", "echo 'unknown keyword' >&2; exit 1"), ("systemctl", "")]);
    let (status, said) = set_up(&fakes, "nonsense", "-", "10.0.0.8");
    assert!(status == 75 && said.contains("unknown keyword"), "{status} {said}");
    assert_eq!(placed(&fakes, "haproxy/haproxy.cfg"), "");
    assert!(fakes.calls("systemctl").is_empty());
}

const OPENED: &str = "case $* in *readyz*) ;; esac; cat >/dev/null; printf 'HTTP/1.0 200 OK\\r\\n\\r\\nok\\n'";

#[test]
fn an_address_is_given_to_the_other_and_the_api_answers_there() {
    let away = "echo '7: eth1    inet 10.0.0.9/24 scope global eth1'";
    let fakes = Fakes::new(&[("ip", away), ("socat", OPENED), ("sleep", ""), ("systemctl", "")]);
    assert_eq!(fakes.run(Script::HandOver, &["10.0.0.8", "6443"]), (0, String::new()));
    assert!(fakes.calls("systemctl").is_empty(), "it is with the other already");
    let kept = Fakes::new(&[("ip", IP), ("socat", OPENED), ("sleep", ""), ("systemctl", "")]);
    let (status, said) = kept.run(Script::HandOver, &["10.0.0.8", "6443"]);
    assert!(status == 1 && said.contains("the other load balancer did not take 10.0.0.8"), "{status} {said}");
    assert_eq!(kept.calls("systemctl").len(), 1);
    let silent = Fakes::new(&[("ip", away), ("socat", "exit 1"), ("sleep", ""), ("systemctl", "")]);
    let (status, said) = silent.run(Script::HandOver, &["10.0.0.8", "6443"]);
    assert!(status == 1 && said.contains("the API does not answer at 10.0.0.8:6443 from here"), "{status} {said}");
}
