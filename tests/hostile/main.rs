//! Hostile input: every input that the fuzzer ever kept, and every one it ever found something with, goes through the same
//! functions here, without a fuzzer. (`make fuzz` looks for more; its targets are in `tests/fuzz`.)

pub mod targets;

use std::path::Path;

/// The inputs in `tests/fuzz/FOLDER/TARGET`, by name.
fn inputs(folder: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new("tests/fuzz").join(folder).join(target);
    let Ok(files) = std::fs::read_dir(&folder) else { return Vec::new() };
    let mut inputs: Vec<_> = files
        .map(|file| file.expect("the folder can be read").path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).expect("the file can be read")))
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn every_input_ever_kept_does_no_harm() {
    for (target, function) in targets::ALL {
        let kept = inputs("corpus", target);
        assert!(!kept.is_empty(), "target {target} has a corpus");
        for (name, bytes) in kept.iter().chain(&inputs("found", target)) {
            let harm = std::panic::catch_unwind(|| function(bytes));
            assert!(harm.is_ok(), "{name}");
        }
        println!("{target}: {} inputs", kept.len());
    }
}

#[test]
fn every_target_is_fuzzed() {
    let manifest = std::fs::read_to_string("tests/fuzz/Cargo.toml").expect("the fuzz crate is there");
    for (target, _) in targets::ALL {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
        let text =
            std::fs::read_to_string(format!("tests/fuzz/fuzz_targets/{target}.rs")).expect("its target is there");
        assert!(text.contains(&format!("::run(\"{target}\", data)")), "{target}");
    }
}
