//! Paths of an inventory made independent of where Windlass was started. Pure: the folders are arguments, no disk is asked.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Bootstrap, Inventory, Ssh};

impl Inventory {
    /// The same inventory with the paths of `[ssh]` and `[bootstrap]` joined to `folder`, the one that the inventory's file is in, when they
    /// are relative, and to `home`, when they begin with `~/` and a home is known. Paths on nodes stay as they are.
    #[must_use]
    pub fn resolved_against(&self, folder: &Utf8Path, home: Option<&Utf8Path>) -> Self {
        let resolve = |path: &Option<Utf8PathBuf>| path.as_deref().map(|path| resolved(path, folder, home));
        let Ssh { identity, config, known_hosts, .. } = &self.ssh;
        let ssh = Ssh {
            identity: resolve(identity),
            config: resolve(config),
            known_hosts: resolve(known_hosts),
            ..self.ssh.clone()
        };
        let Bootstrap { kubeadm, containerd, manifests, .. } = &self.bootstrap;
        let bootstrap = Bootstrap {
            kubeadm: resolve(kubeadm),
            containerd: resolve(containerd),
            manifests: manifests.iter().map(|path| resolved(path, folder, home)).collect(),
            ..self.bootstrap.clone()
        };
        Self { ssh, bootstrap, ..self.clone() }
    }
}

fn resolved(path: &Utf8Path, folder: &Utf8Path, home: Option<&Utf8Path>) -> Utf8PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        // ssh knows the home of its user too, and expands `~` itself.
        (Ok(_), None) => path.to_owned(),
        (Err(_), _) => folder.join(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_once() {
        let table = [
            ("id", "/inv/id"),
            ("../keys/id", "/inv/../keys/id"),
            ("/k/id", "/k/id"),
            ("~/.ssh/id", "/home/ops/.ssh/id"),
            ("a~/id", "/inv/a~/id"),
        ];
        for (path, expected) in table {
            let once = resolved(path.into(), "/inv".into(), Some("/home/ops".into()));
            assert_eq!(once, expected);
            assert_eq!(resolved(&once, "/inv".into(), Some("/home/ops".into())), expected);
        }
        assert_eq!(resolved("~/.ssh/id".into(), "/inv".into(), None), "~/.ssh/id");
        assert_eq!(resolved("id".into(), "".into(), None), "id");
    }
}
