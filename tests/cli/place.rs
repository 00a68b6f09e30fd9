//! Runs Windlass in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

pub(crate) const INVENTORY: &str = "tests/scenarios/inventory.toml";
pub(crate) const FACTS: &str = "tests/scenarios/facts.json";

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A folder of its own for what a test writes.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).expect("written");
        self.text(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    pub(crate) fn windlass(&self, words: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_windlass"))
            .args(words)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("WINDLASS_STATE", self.path("state"))
            .env_remove("WINDLASS_LOG")
            .stdin(Stdio::null())
            .output()
            .expect("windlass runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ran { code: output.status.code().expect("a code"), out: text(output.stdout), err: text(output.stderr) }
    }

    pub(crate) fn plan(&self, words: &[&str]) -> Ran {
        self.windlass(&[&["upgrade", "plan", "-i", INVENTORY, "--facts", FACTS], words].concat())
    }
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file")
}
