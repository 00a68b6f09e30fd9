//! Windlass's own folder on a node, with the semantics of `src/remote/scripts`: token, lock, runs, files that were put.

use std::collections::{BTreeMap, BTreeSet};

use windlass::decide::call::Call;
use windlass::remote::Output;

use super::units::Unit;
use super::{At, Happened, World, complained, refused, said};

/// What is in the folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    pub(crate) token: u64,
    /// The lock's JSON and its owner.
    pub(crate) lock: Option<(String, String)>,
    /// Units by `RUN/UNIT`.
    pub(crate) units: BTreeMap<String, Unit>,
    /// Copies of runs, by `RUN/NAME`.
    pub(crate) copies: BTreeMap<String, String>,
    /// Names of the files that were put.
    pub(crate) files: BTreeSet<String>,
    /// Runs that the machine has an archive of.
    pub(crate) archives: BTreeSet<String>,
    /// Runs that have taken etcd's programs out of its image.
    pub(crate) tools: BTreeSet<String>,
    /// Packages that are kept, as `RUN NAME=VERSION`.
    pub(crate) packages: BTreeSet<String>,
    /// Former programs of etcd that are kept: their version, by run.
    pub(crate) programs: BTreeMap<String, String>,
}

/// A number as the scripts' `check_number` takes it.
pub(super) fn number(word: &str) -> u64 {
    assert!(!word.is_empty() && word.len() <= 18 && word.bytes().all(|b| b.is_ascii_digit()), "not a number: {word}");
    word.parse().expect("a number")
}

impl World {
    pub(super) fn lock_take(&mut self, at: At, call: &Call) -> Output {
        let [token, json, owner] = &call.args[..] else { panic!("usage: lock-take: {:?}", call.args) };
        let token = number(token);
        assert!(!owner.is_empty() && owner.chars().all(|c| c.is_ascii_graphic() || c == ' '), "not an owner: {owner}");
        let machine = &mut self.machines[at];
        if let Some((held, by)) = &machine.own.lock
            && by != owner
        {
            return refused(3, held);
        }
        if token <= machine.own.token {
            return refused(4, machine.own.token);
        }
        if machine.full {
            return complained(6, "cannot write /var/lib/windlass/token");
        }
        let stored = machine.own.token;
        machine.own.token = token;
        machine.own.lock = Some((json.clone(), owner.clone()));
        self.happened(Happened::Under { at, token, stored });
        said(String::new())
    }

    pub(super) fn lock_release(&mut self, at: At, call: &Call) -> Output {
        let [token] = &call.args[..] else { panic!("usage: lock-release: {:?}", call.args) };
        let token = number(token);
        let own = &mut self.machines[at].own;
        if own.lock.is_none() {
            return said(String::new());
        }
        if token != own.token {
            return refused(3, own.token);
        }
        own.lock = None;
        said(String::new())
    }

    pub(super) fn token_raise(&mut self, at: At, call: &Call) -> Output {
        let [token] = &call.args[..] else { panic!("usage: token-raise: {:?}", call.args) };
        self.raise(at, number(token)).err().unwrap_or_else(|| said(String::new()))
    }

    /// Refuses a lower token, stores a higher one.
    pub(super) fn raise(&mut self, at: At, token: u64) -> Result<(), Output> {
        let machine = &mut self.machines[at];
        let stored = machine.own.token;
        if token < stored && !self.breaks.token {
            return Err(refused(3, stored));
        }
        if token > stored {
            if machine.full {
                return Err(complained(6, "cannot write /var/lib/windlass/token"));
            }
            machine.own.token = token;
        }
        self.happened(Happened::Under { at, token, stored });
        Ok(())
    }

    pub(super) fn put_file(&mut self, at: At, call: &Call) -> Output {
        let [token, name, sha256, bytes] = &call.args[..] else { panic!("usage: put-file: {:?}", call.args) };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-/".contains(c);
        let place = ["snapshots/", "proofs/", "packages/", "certificates/"].iter().any(|place| name.starts_with(place));
        assert!(place && name.chars().all(plain) && !name.contains(".."), "{name}");
        assert!(sha256.len() == 64 && number(bytes) > 0, "{sha256} {bytes}");
        if self.machines[at].full {
            return complained(6, "cannot write beside it");
        }
        if let Err(output) = self.raise(at, number(token)) {
            return output;
        }
        self.machines[at].own.files.insert(name.clone());
        said(String::new())
    }
}
