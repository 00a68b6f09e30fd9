//! One run of `windlass etcd backup` to a folder, another machine and a bucket at once, with retention and metrics.

use super::cluster::{Cluster, files};
use crate::s3;

/// The backups of a folder, without their endings.
fn backups(names: &[String]) -> Vec<String> {
    let mut names: Vec<String> =
        names.iter().filter_map(|name| Some(name.rsplit('/').next()?.strip_suffix(".db.zst")?.to_owned())).collect();
    names.sort();
    names
}

#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn a_backup_goes_everywhere_and_each_place_keeps_what_it_should() {
    let cluster = Cluster::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let bucket = runtime.block_on(s3::Server::start());
    let (at, vault) = (cluster.base(), cluster.path("vault"));
    let config =
        format!("Host *\n  IdentityFile {at}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {at}/known_hosts\n");
    std::fs::write(at.join("config"), config).expect("written");
    let there = format!("ssh://127.0.0.1:{}{vault}", cluster.server.port);
    let mut words = vec!["etcd", "backup", "-i", "inventory.toml", "--ssh-config", "config", "--to", "backups", "--to"];
    words.extend([&there, "--to", "s3://backups/etcd/lab", "--keep-last", "2", "--metrics", "windlass.prom"]);
    let backup = |key: &str| {
        let mut command = cluster.command(&words);
        command.env("AWS_ENDPOINT", format!("http://{}", bucket.at)).env("AWS_ALLOW_HTTP", "true");
        command.env("AWS_REGION", "us-east-1").env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", "secret");
        super::said(&command.output().expect("windlass runs"))
    };
    let mut taken = Vec::new();
    for number in 0..3 {
        cluster.put("/registry/pods/default/c", &number.to_string());
        let (code, out, err) = backup("key");
        assert_eq!(code, 0, "{out}{err}");
        let newest = backups(&cluster.kept()).pop().expect("a backup");
        taken.push(newest);
    }
    for names in [cluster.kept(), files(vault.as_std_path()), bucket.files()] {
        assert_eq!(backups(&names), taken[1..], "{names:?}");
        assert_eq!(names.len(), 4, "{names:?}");
    }
    let metrics = || std::fs::read_to_string(at.join("windlass.prom")).expect("metrics");
    let success = |text: &str| {
        let line = text.lines().find(|line| line.contains("last_success_timestamp_seconds") && !line.starts_with('#'));
        line.expect("a line").to_owned()
    };
    let before = success(&metrics());

    // The bucket does not let us in: the others have theirs, and only they are pruned.
    let (code, out, err) = backup("another");
    assert_eq!(code, 13, "{out}{err}");
    assert!(err.contains("s3://backups/etcd/lab") && !err.contains("secret"), "{err}");
    let newest = backups(&cluster.kept()).pop().expect("a backup");
    for names in [cluster.kept(), files(vault.as_std_path())] {
        assert_eq!(backups(&names), [taken[2].clone(), newest.clone()], "{names:?}");
    }
    assert_eq!(backups(&bucket.files()), taken[1..]);
    assert_eq!(success(&metrics()), before, "what did not arrive everywhere is no success");
}
