//! The few keys of kubeadm's ClusterConfiguration that matter here.
//!
//! Pure. It is YAML that kubeadm itself wrote, always in block style, so a reader of indented lines is enough, and no
//! YAML crate has to be trusted for a handful of keys. Whatever is not in that style is refused, never guessed at.

use super::KubeadmConfig;
use super::version::parse_version;

/// Where kubeadm takes images from by itself: before and since 1.25.
const OWN_IMAGES: [&str; 2] = ["k8s.gcr.io", "registry.k8s.io"];

/// Reads `data.ClusterConfiguration` of the ConfigMap kubeadm-config, line by line.
pub(super) fn cluster_configuration(lines: &[&str]) -> Result<KubeadmConfig, String> {
    let mut reader = Reader::default();
    let (mut version, mut endpoint, mut image_tag, mut external, mut repository) =
        (None, String::new(), None, false, None);
    let mut files = [String::new(), String::new(), String::new()];
    for line in lines {
        let Some((path, value)) = reader.line(line)? else {
            continue;
        };
        match path.as_str() {
            "kubernetesVersion" => version = Some(value),
            "controlPlaneEndpoint" => endpoint = value,
            "etcd.external" => external = true,
            "imageRepository" => {
                repository = Some(value).filter(|it| !it.is_empty() && !OWN_IMAGES.contains(&it.as_str()));
            }
            "etcd.external.caFile" => files[0] = value,
            "etcd.external.certFile" => files[1] = value,
            "etcd.external.keyFile" => files[2] = value,
            "etcd.local.imageTag" if !value.is_empty() => image_tag = Some(value),
            _ => {}
        }
    }
    let version = version.ok_or("kubeadm-config says no kubernetesVersion")?;
    let parsed = parse_version(&version).ok_or_else(|| format!("kubernetesVersion `{version}` is not a version"))?;
    let external_files = files.iter().all(|file| !file.is_empty()).then_some(files);
    Ok(KubeadmConfig {
        version: parsed,
        endpoint,
        external_etcd: external,
        external_files,
        etcd_image_tag: image_tag,
        image_repository: repository,
    })
}

/// What an inventory takes over of `data.ClusterConfiguration`: the cluster's name, its endpoint, and the endpoints of an
/// external etcd.
pub(super) fn found(lines: &[&str]) -> Result<(String, String, Option<Vec<String>>), String> {
    let mut reader = Reader::default();
    let (mut name, mut endpoint, mut etcd, mut within) = (String::new(), String::new(), None, String::new());
    for line in lines {
        if let (Some(item), "etcd.external.endpoints") = (line.trim_start().strip_prefix("- "), within.as_str()) {
            etcd.get_or_insert_with(Vec::new).push(scalar(item));
            continue;
        }
        let Some((path, value)) = reader.line(line)? else { continue };
        match path.as_str() {
            "clusterName" => name = value,
            "controlPlaneEndpoint" => endpoint = value,
            "etcd.external" => etcd = Some(etcd.unwrap_or_default()),
            _ => {}
        }
        within = path;
    }
    Ok((name, endpoint, etcd))
}

/// Keeps the path of keys by indentation.
#[derive(Default)]
struct Reader {
    above: Vec<(usize, String)>,
}

impl Reader {
    /// The path and value of the key on `line`, if there is one.
    fn line(&mut self, line: &str) -> Result<Option<(String, String)>, String> {
        let bare = line.trim_start_matches(' ');
        let indent = line.len() - bare.len();
        if bare.trim().is_empty() || bare.starts_with(['#', '-']) {
            return Ok(None);
        }
        let Some((key, value)) = bare.split_once(':') else {
            return Ok(None);
        };
        self.above.retain(|(above, _)| *above < indent);
        self.above.push((indent, key.trim_matches(['"', '\'']).to_owned()));
        let path = self.above.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>().join(".");
        let value = scalar(value);
        // `{}` is an empty map in any style; a full one would hide keys from this reader.
        if path.starts_with("etcd") && value.starts_with(['{', '&', '*', '|', '>']) && value != "{}" {
            return Err(format!("kubeadm-config writes `{path}` in a style that is not read here"));
        }
        Ok(Some((path, value)))
    }
}

fn scalar(value: &str) -> String {
    let value = value.trim();
    if let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        return value[1..].split(quote).next().unwrap_or_default().to_owned();
    }
    value.split(" #").next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<KubeadmConfig, String> {
        cluster_configuration(&text.lines().collect::<Vec<_>>())
    }

    #[test]
    fn external_etcd_and_the_endpoint_are_read() {
        let text = "apiServer:\n  extraArgs:\n    authorization-mode: Node,RBAC\napiVersion: kubeadm.k8s.io/v1beta2\n\
                    controlPlaneEndpoint: lb:6443\netcd:\n  external:\n    caFile: /x\n    certFile: /y\n    endpoints:\n    - https://a:2379\n\
                    kind: ClusterConfiguration\nkubernetesVersion: v1.21.14\n";
        let config = read(text).unwrap();
        assert_eq!(config.version.to_string(), "1.21.14");
        assert_eq!(config.endpoint, "lb:6443");
        assert!(config.external_etcd);
        assert_eq!(config.external_files, None, "no key is given");
        let with_key = text.replace("    endpoints", "    keyFile: /z\n    endpoints");
        assert_eq!(read(&with_key).unwrap().external_files, Some(["/x", "/y", "/z"].map(str::to_owned)));
        assert_eq!(config.etcd_image_tag, None);
    }

    #[test]
    fn a_pinned_etcd_tag_is_seen() {
        let text = "etcd:\n  local:\n    dataDir: /var/lib/etcd\n    imageTag: \"3.5.0-0\" # ours\nkubernetesVersion: v1.22.0\n";
        let config = read(text).unwrap();
        assert!(!config.external_etcd);
        assert_eq!(config.etcd_image_tag.as_deref(), Some("3.5.0-0"));
        assert_eq!(config.endpoint, "");
    }

    #[test]
    fn keys_elsewhere_and_other_styles_do_not_count() {
        let nested = "networking:\n  kubernetesVersion: v9.9.9\n  etcd:\n    external: x\nkubernetesVersion: v1.22.0\n";
        assert!(!read(nested).unwrap().external_etcd);
        assert!(read("etcd: {external: {}}\nkubernetesVersion: v1.22.0\n").is_err());
        assert!(read("kind: x\n").unwrap_err().contains("kubernetesVersion"));
        assert!(read("kubernetesVersion: stable\n").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\PC|\n|[ :{'\"#-]){0,200}") {
            let _ = read(&text);
        }
    }
}
