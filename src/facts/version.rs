//! Versions as packages, images and programs write them → the upstream version in them.
//!
//! Pure. Package revisions are dropped: what compares packages has to compare their full text.

use semver::{BuildMetadata, Prerelease, Version};

/// The upstream version in `text`: `v1.21.14`, `1.21.14-00`, `3.5.16+dfsg-1`, `1:3.4.23+dfsg-1+b5`, `1.36.5-1.1`.
///
/// Three numbers are wanted. A pre-release is kept when it is one of Kubernetes' (`-rc.1`, `-beta.0`, `-alpha.2`, in
/// packages `~rc.1`); every other suffix belongs to a package or a vendor.
pub fn parse_version(text: &str) -> Option<Version> {
    let text = text.trim();
    let text = match text.split_once(':') {
        Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => text,
    };
    let text = text.strip_prefix('v').unwrap_or(text);
    let (major, rest) = number(text)?;
    let (minor, rest) = number(rest.strip_prefix('.')?)?;
    let (patch, rest) = number(rest.strip_prefix('.')?)?;
    Some(Version { major, minor, patch, pre: pre_release(rest), build: BuildMetadata::EMPTY })
}

/// The version in an image's tag: `k8s.gcr.io/etcd:3.4.13-0` → 3.4.13.
pub fn image_version(image: &str) -> Option<Version> {
    let (named, _digest) = image.split_once('@').unwrap_or((image, ""));
    let last = named.rsplit('/').next()?;
    parse_version(last.split_once(':')?.1)
}

fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

fn pre_release(rest: &str) -> Prerelease {
    let Some(word) = rest.strip_prefix(['-', '~']) else {
        return Prerelease::EMPTY;
    };
    if !["alpha.", "beta.", "rc."].iter().any(|stage| word.starts_with(stage)) {
        return Prerelease::EMPTY;
    }
    let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(word.len());
    Prerelease::new(&word[..end]).unwrap_or(Prerelease::EMPTY)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_way_of_writing_a_version_is_read() {
        let cases = [
            ("v1.21.14", "1.21.14"),
            ("1.21.14-00", "1.21.14"),
            ("3.5.16+dfsg-1", "3.5.16"),
            ("1:3.4.23+dfsg-1+b5", "3.4.23"),
            ("1.36.5-1.1", "1.36.5"),
            ("3.4.23-4+b4", "3.4.23"),
            ("1.31.1-150500.1.1", "1.31.1"),
            ("v1.22.0-rc.1", "1.22.0-rc.1"),
            ("v1.22.0-beta.0.12+0123abc-dirty", "1.22.0-beta.0.12"),
            ("1.22.0~rc.1-00", "1.22.0-rc.1"),
            ("v1.27.3-gke.100", "1.27.3"),
            ("1.21.14-00 (half-configured)", "1.21.14"),
        ];
        for (text, version) in cases {
            assert_eq!(parse_version(text), Some(Version::parse(version).unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_no_version_is_none() {
        for text in ["", "v", "1.21", "latest", "x1.2.3", "1..2", "99999999999999999999.1.2", ":1.2.3"] {
            assert_eq!(parse_version(text), None, "{text}");
        }
    }

    #[test]
    fn an_image_is_read_by_its_tag() {
        let version = |image| image_version(image).map(|v| v.to_string());
        assert_eq!(version("k8s.gcr.io/kube-apiserver:v1.21.14").as_deref(), Some("1.21.14"));
        assert_eq!(version("registry.local:5000/etcd:3.5.16-0@sha256:00").as_deref(), Some("3.5.16"));
        assert_eq!(version("registry.local:5000/etcd"), None);
        assert_eq!(version("coredns@sha256:00"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = (parse_version(&text), image_version(&text));
        }

        #[test]
        fn a_version_is_found_whatever_package_revision_follows(
            (major, minor, patch) in (0u64..100, 0u64..100, 0u64..100), tail in "([-+][0-9][0-9a-z.+~-]*)?"
        ) {
            let found = parse_version(&format!("{major}.{minor}.{patch}{tail}"));
            prop_assert_eq!(found, Some(Version::new(major, minor, patch)));
        }
    }
}
