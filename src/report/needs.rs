//! What a site has to have for a cluster to begin there, as a person reads it and as a program does.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::table;
use crate::decide::bootstrap::{Image, Needs, Package};
use crate::text::{count, list};

/// Finds the full version of a package whose beginning is known: what packagers add behind it is theirs, and 1.20.2 is not 1.20.20.
const FULL: &str = r#"full() { apt-cache madison "$1" | awk -v v="$2" 'index($3, v) == 1 && substr($3, length(v) + 1, 1) !~ /[0-9]/ { print $3; exit }'; }"#;

/// How a package is asked for. Of several the last one is in every release.
fn spec(package: &Package) -> Option<String> {
    let name = package.names.last()?;
    Some(match &package.version {
        Some(version) => format!("\"{name}=$(full {name} {version})\""),
        None => name.clone(),
    })
}

/// As text, with the commands that collect it.
pub fn needs(needs: &Needs) -> String {
    let mut out = String::new();
    let mut rows = vec![["PACKAGE", "VERSION", "ON"].map(str::to_owned)];
    for package in &needs.packages {
        let optional = if package.optional { ", where it is a package of its own" } else { "" };
        let version = package.version.as_ref().map_or_else(|| "any".to_owned(), ToString::to_string);
        let on = match package.machines.len() {
            ..=3 => list(&package.machines, "and"),
            many => count(many, "machine"),
        };
        rows.push([list(&package.names, "or"), format!("{version}{optional}"), on]);
    }
    out += &table(&rows);
    let mut rows = vec![["IMAGE", "TAG"].map(str::to_owned)];
    for Image { name, tag } in &needs.images {
        rows.push([name.clone(), tag.clone().unwrap_or_else(|| "as kubeadm's list says".to_owned())]);
    }
    let _ = write!(out, "\n{}", table(&rows));
    if needs.own_images {
        out += "  your configuration for kubeadm says itself where images come from, or which: its list has the last word\n";
    }
    out += "  and those that your manifests name\n";
    let specs: Vec<String> = needs.packages.iter().filter(|it| !it.optional).filter_map(spec).collect();
    let version = &needs.kubernetes;
    let _ = write!(
        out,
        "\nTo collect the packages, with all that they depend on: as root in an empty folder, on a machine of the same release that has \
         sources and none of them installed\n  \
         {FULL}\n  \
         apt-get install --download-only --yes -o Dir::Cache::archives=\"$PWD\" {}\n  \
         dpkg-scanpackages --multiversion . > Packages\n\
         To collect the images: where there is this kubeadm, and a containerd that reaches a registry\n  \
         kubeadm config images list --kubernetes-version v{version} > images.txt\n  \
         xargs -n 1 ctr -n k8s.io images pull < images.txt\n  \
         ctr -n k8s.io images export images.tar $(cat images.txt)\n",
        specs.join(" ")
    );
    crate::text::printable(&out)
}

/// As JSON, format 1. A version or tag that is null is any, and as kubeadm's list says.
pub fn needs_json(needs: &Needs) -> Value {
    json!({
        "format": 1,
        "kubernetes": needs.kubernetes,
        "packages": needs.packages.iter().map(|package| json!({
            "any_of": package.names,
            "version": package.version,
            "optional": package.optional,
            "machines": package.machines,
        })).collect::<Vec<_>>(),
        "images": needs.images.iter().map(|image| json!({ "name": image.name, "tag": image.tag })).collect::<Vec<_>>(),
        "own_images": needs.own_images,
    })
}
