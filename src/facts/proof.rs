//! What a throw-away etcd says of itself, as `prove-snapshot.sh` prints it → [`Said`].
//!
//! Pure. Every line has to be there once and to be a number; whoever printed anything else is not believed.

use semver::Version;

use super::sections::{Answer, beginning, values};
use super::version::parse_version;
use super::{Disk, MachineFacts};

/// What a throw-away etcd says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its revision.
    pub revision: u64,
    /// Keys that are there.
    pub keys: u64,
    /// Its HashKV at the revision asked for.
    pub hash_kv: u32,
    /// The revision below which its history was compacted; -1 when it never was.
    pub compact_revision: i64,
}

/// Reads what the job printed, whatever etcd's tools printed before it: the version of the throw-away etcd, and what it said.
pub fn parse(printed: &str) -> Result<(Version, Said), String> {
    let answer = Answer::read(printed).map_err(|error| error.to_string())?;
    let lines = answer.section("proof").map_err(|why| format!("it says nothing of the proof: {why}"))?;
    let one = |key: &str| {
        let mut found = values(lines, key);
        match (found.next(), found.next()) {
            (Some(text), None) => Ok(text),
            (None, _) => Err(format!("it does not say its {key}")),
            (Some(_), Some(_)) => Err(format!("it says its {key} twice")),
        }
    };
    let version = one("etcd")?;
    let said = Said {
        revision: number(one("revision")?)?,
        keys: number(one("keys")?)?,
        hash_kv: number(one("hash")?)?,
        compact_revision: number(one("compact-revision")?)?,
    };
    let version = parse_version(version).ok_or_else(|| format!("`{}` is not a version", beginning(version)))?;
    Ok((version, said))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{}` is not such a number", beginning(text)))
}

/// The file system that Windlass's own folder is on, where snapshots are proven.
pub fn disk(machine: &MachineFacts) -> Option<&Disk> {
    ["/var/lib", "/"].iter().find_map(|path| machine.disks.get(*path))
}

/// Bytes that have to be free where a snapshot of `bytes` is proven: the file, the restored database, two files of its log
/// (64 MB each), and as much again for whoever lives there.
pub fn room(bytes: u64) -> u64 {
    bytes.saturating_mul(3).saturating_add(256 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "@@ proof\n etcd 3.4.23\n revision 5\n compact-revision -1\n keys 2\n hash 1039889181\n\
                        @@ end proof ok\n@@ done\n";

    #[test]
    fn what_it_says_is_read_whatever_came_before_it() {
        let said = Said { revision: 5, keys: 2, hash_kv: 1_039_889_181, compact_revision: -1 };
        assert_eq!(parse(GOOD), Ok((Version::new(3, 4, 23), said)));
        let noisy = format!("renice: old priority 0\n hash 7\n@@ end other ok\n{GOOD}");
        assert_eq!(parse(&noisy), Ok((Version::new(3, 4, 23), said)));
    }

    #[test]
    fn anything_else_is_refused() {
        let with = |from: &str, to: &str| parse(&GOOD.replace(from, to)).expect_err("refused");
        assert_eq!(parse("").expect_err("refused"), "this is not a script's answer; it begins ``");
        assert_eq!(with("@@ done\n", ""), "the answer was cut short");
        assert_eq!(with("end proof ok", "end proof unseen no"), "it says nothing of the proof: no");
        assert_eq!(with(" keys 2\n", ""), "it does not say its keys");
        assert_eq!(with(" keys 2\n", " keys 2\n keys 3\n"), "it says its keys twice");
        assert_eq!(with("keys 2", "keys -2"), "`-2` is not such a number");
        assert_eq!(with("hash 1039889181", "hash 4294967296"), "`4294967296` is not such a number");
        assert_eq!(with("revision 5", "revision 5\u{1b}[2J"), "`5 [2J` is not such a number");
        assert_eq!(with("etcd 3.4.23", "etcd none"), "`none` is not a version");
    }

    #[test]
    fn room_is_counted_without_end() {
        assert_eq!(room(100 << 20), 556 << 20);
        assert_eq!(room(u64::MAX), u64::MAX);
    }
}
