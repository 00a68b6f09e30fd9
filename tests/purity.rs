//! The rooms keep to themselves: what is pure knows no clock, chance, file, network or log; only `remote` knows the crates
//! that reach other machines; nobody knows the command line.
//!
//! Every path of every file is visited, inside macros too. Modules that exist only for tests are left out.

mod paths;

use std::path::{Path, PathBuf};

use paths::{Found, visit};

/// The pure rooms, as files or folders below `src`.
const PURE: [&str; 7] = ["inventory", "playbook", "document", "facts", "decide", "journal", "text"];

/// The one file of a pure room that is the disk's.
const IMPURE: [&str; 1] = ["src/journal/store.rs"];

/// Pure files of a room that is not.
const PURE_FILES: [&str; 6] = [
    "src/backup/choose.rs",
    "src/backup/keep.rs",
    "src/backup/manifest.rs",
    "src/backup/metrics.rs",
    "src/backup/name.rs",
    "src/backup/schedule.rs",
];

/// What a pure room may name, with everything below it.
const ALLOWED: &[&str] = &[
    "std::borrow",
    "std::cell::RefCell",
    "std::cmp",
    "std::collections::BTreeMap",
    "std::collections::BTreeSet",
    "std::collections::VecDeque",
    "std::collections::btree_map",
    "std::convert",
    "std::error::Error",
    "std::fmt",
    "std::iter",
    "std::mem",
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::num",
    "std::ops",
    "std::slice",
    "std::str",
    "std::string",
    "std::time::Duration",
    "annotate_snippets",
    "camino",
    "clippy",
    "jiff::SignedDuration",
    "jiff::Timestamp",
    "jiff::civil",
    "jiff::tz::TimeZone",
    "semver",
    "serde",
    "serde_json",
    "serde_saphyr",
    "sha2",
    "strsim",
    "thiserror",
    "toml",
    "data_encoding",
    "x509_parser",
    "crate::decide",
    "crate::document",
    "crate::facts",
    "crate::inventory",
    "crate::journal",
    "crate::playbook",
    "crate::text",
];

/// What nothing that is allowed may be used for: chance in the order, the clock, and the reading of files.
const FORBIDDEN: &[&str] = &[
    "HashMap",
    "HashSet",
    "Instant",
    "RandomState",
    "SystemTime",
    "canonicalize_utf8",
    "crate::journal::store",
    "dbg!",
    "eprint!",
    "eprintln!",
    "exists",
    "jiff::tz::TimeZone::system",
    "now",
    "print!",
    "println!",
    "read_dir",
    "read_dir_utf8",
    "serde_json::from_reader",
    "try_exists",
];

fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Why a pure room may not name this, when it may not.
fn impure(found: &Found) -> bool {
    let last = found.path.rsplit("::").next().unwrap_or_default();
    // A variable or a field.
    if last == found.path && !found.is_method && last.starts_with(char::is_lowercase) && !last.ends_with('!') {
        return false;
    }
    let forbidden = FORBIDDEN.iter().any(|word| last == *word || (word.contains("::") && is_below(&found.path, word)));
    let named = found.path.contains("::") && !found.is_method;
    forbidden || (named && !ALLOWED.iter().any(|allowed| is_below(&found.path, allowed)))
}

/// Every file of the crate that is not for tests alone, with the path of its module.
fn files() -> Vec<(PathBuf, Vec<String>)> {
    let mut all = Vec::new();
    let mut todo = vec![(PathBuf::from("src/lib.rs"), vec!["crate".to_owned()])];
    while let Some((file, module)) = todo.pop() {
        for name in paths::modules(&parse(&file)) {
            let mut below = module.clone();
            below.push(name.clone());
            let folder = PathBuf::from("src").join(module[1..].join("/"));
            let (flat, deep) = (folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs"));
            assert!(flat.exists() != deep.exists(), "module {name} of {} has one file", file.display());
            todo.push((if flat.exists() { flat } else { deep }, below));
        }
        all.push((file, module));
    }
    all.sort();
    all
}

fn parse(file: &Path) -> syn::File {
    let text = std::fs::read_to_string(file).expect("the file is there");
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Complaints about every path in the files of `rooms` that `wrong` finds wrong.
fn complaints(of: impl Fn(&Path, &[String]) -> bool, wrong: impl Fn(&Found) -> bool) -> Vec<String> {
    let files: Vec<_> = files().into_iter().filter(|(file, module)| of(file, module)).collect();
    assert!(!files.is_empty(), "no files of these rooms");
    let in_file = |(file, module): (PathBuf, Vec<String>)| {
        let wrong = |found: &Found| wrong(found).then(|| format!("{}:{}: {}", file.display(), found.line, found.path));
        visit(&parse(&file), &module).iter().filter_map(wrong).collect::<Vec<String>>()
    };
    files.into_iter().flat_map(in_file).collect()
}

#[test]
fn pure_rooms_are_pure() {
    let pure = |file: &Path, module: &[String]| {
        (module.get(1).is_some_and(|room| PURE.contains(&room.as_str()))
            || PURE_FILES.iter().any(|pure| file == Path::new(pure)))
            && !IMPURE.iter().any(|impure| file == Path::new(impure))
    };
    let found = complaints(pure, impure);
    assert!(found.is_empty(), "a pure room names what is not:\n{}", found.join("\n"));
}

#[test]
fn only_remote_reaches_other_machines() {
    let crates = [
        "openssh",
        "openssh_sftp_client",
        "object_store",
        "reqwest",
        "rustls",
        "etcd_client",
        "tonic",
        "hyper_util",
        "tower",
    ];
    let elsewhere = |_: &Path, module: &[String]| module.get(1).is_none_or(|room| room != "remote");
    let found = complaints(elsewhere, |found| crates.iter().any(|name| is_below(&found.path, name)));
    assert!(found.is_empty(), "a crate of `remote` is named elsewhere:\n{}", found.join("\n"));
}

#[test]
fn nobody_knows_the_command_line() {
    let elsewhere = |_: &Path, module: &[String]| module.get(1).is_none_or(|room| room != "cli");
    let found = complaints(elsewhere, |found| is_below(&found.path, "crate::cli") || is_below(&found.path, "clap"));
    assert!(found.is_empty(), "the command line is named elsewhere:\n{}", found.join("\n"));
}

#[test]
fn who_looks_does_not_act() {
    let rooms = ["crate::engine", "crate::journal", "crate::report"];
    let observe = |_: &Path, module: &[String]| module.get(1).is_some_and(|room| room == "observe");
    let found = complaints(observe, |found| rooms.iter().any(|room| is_below(&found.path, room)));
    assert!(found.is_empty(), "`observe` names a room that acts:\n{}", found.join("\n"));
}

#[test]
fn every_room_is_visited() {
    let files: Vec<String> = files().into_iter().map(|(file, _)| file.display().to_string()).collect();
    for file in
        ["src/text.rs", "src/backup/name.rs", "src/decide/checker/order.rs", "src/facts/mod.rs", "src/journal/mod.rs"]
    {
        assert!(files.iter().any(|known| known == file), "{file} was not visited");
    }
    assert!(!files.iter().any(|file| file.ends_with("_tests.rs")), "{files:?}");
}

/// What the visitor says of a text in `crate::decide::rules`.
fn said(text: &str) -> Vec<String> {
    let module = ["crate", "decide", "rules"].map(str::to_owned);
    let found = visit(&syn::parse_file(text).expect("it is Rust"), &module);
    found.iter().filter(|found| impure(found)).map(|found| format!("{}: {}", found.line, found.path)).collect()
}

#[test]
fn what_is_impure_is_found() {
    let cases = [
        ("use std::fs;", "1: std::fs"),
        ("use std::{fmt, env as e};", "1: std::env"),
        ("use std::collections::*;", "1: std::collections"),
        ("fn f() { tokio::spawn(async {}); }", "1: tokio::spawn"),
        ("fn f() {\n    std::process::exit(1);\n}", "2: std::process::exit"),
        ("fn f() { let _ = jiff::Timestamp::now(); }", "1: jiff::Timestamp::now"),
        ("use jiff::Timestamp;\nfn f() { let _ = Timestamp::now(); }", "2: jiff::Timestamp::now"),
        ("use jiff::Timestamp as T;\nfn f() { g(T::now) }", "2: jiff::Timestamp::now"),
        ("fn f() { clock.now(); }", "1: now"),
        ("use std::collections::HashMap;", "1: std::collections::HashMap"),
        ("struct S { map: std::collections::HashSet<u8> }", "1: std::collections::HashSet"),
        ("fn f() -> String { format!(\"{}\", std::env::temp_dir().display()) }", "1: std::env::temp_dir"),
        ("macro_rules! m { () => { tracing::info!(\"x\") }; }", "1: tracing::info"),
        ("fn f() { tracing::info!(\"x\"); }", "1: tracing::info!"),
        ("fn f() { println!(\"x\"); }", "1: println!"),
        ("#[tracing::instrument]\nfn f() {}", "1: tracing::instrument"),
        ("use super::super::remote::Clock;", "1: crate::remote::Clock"),
        ("use crate::engine;", "1: crate::engine"),
        ("fn f() { crate::cli::main() }", "1: crate::cli::main"),
        ("fn f(path: &camino::Utf8Path) -> bool { path.exists() }", "1: exists"),
        ("extern crate rand;", "1: rand::self"),
    ];
    for (text, says) in cases {
        assert_eq!(said(text), [says], "{text}");
    }
}

#[test]
fn what_is_pure_is_let_be() {
    let cases = [
        "use std::{collections::{BTreeMap, BTreeSet}, fmt::Write as _, time::Duration};",
        "use super::{Case, needed};\nuse crate::facts::Facts;\nuse self::inner::Thing;\nmod inner { pub struct Thing; }",
        "mod inner;\nfn f() -> u64 { inner::g() + u64::MAX + Self::x() + str::len(\"\") as u64 }",
        "use std::fmt;\nimpl fmt::Display for X { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(\"\") } }",
        "fn f<T: Iterator>(t: T) -> Option<T::Item> where T::Item: Clone { None }",
        "#[cfg(test)]\nmod tests { use std::fs; }\n#[cfg(test)]\nuse std::env;\n#[test]\nfn t() { std::fs::read(\"x\"); }",
        "#[derive(thiserror::Error)]\nenum E { #[error(\"{0}\")] A(#[source] serde_json::Error) }",
        "fn f(known: &Known) -> usize { known.nowhere().len() }",
        "fn f(now: u8) -> String { format!(\"{}\", now.max(1)) }",
    ];
    for text in cases {
        assert_eq!(said(text), Vec::<String>::new(), "{text}");
    }
}
