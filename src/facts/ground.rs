//! What a machine is before a cluster stands on it, from the probe's section `ground`.
//!
//! Pure. It is looked at by who makes a cluster or lets a machine join one, and not saved.

use std::collections::BTreeSet;

use super::sections::{beginning, value, values};

/// A machine on which something is to be built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// The firmware's id of the machine, where it has one.
    pub product_uuid: Option<String>,
    /// Swap that is switched on, in bytes.
    pub swap_bytes: u64,
    /// TCP ports on which somebody listens.
    pub listening: BTreeSet<u16>,
    /// Files and folders of a cluster that are there.
    pub remains: Vec<String>,
    /// Whether the clock is kept by somebody; nothing where that cannot be told.
    pub synchronised: Option<bool>,
    /// Who is where the API will be, as seen from here; nothing where that cannot be told.
    pub endpoint: Option<Reached>,
}

/// What comes of a connection to the API's endpoint before there is an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// Its name means nothing here.
    Unresolved,
    /// Nothing comes back.
    Silent,
    /// Nobody listens.
    Refused,
    /// Somebody listens, and answers nothing of his own.
    Accepted,
    /// A server answers.
    Answered,
}

/// Lines `product-uuid ID`, `swap KIBIBYTES`, `listens PORT-IN-HEX`, `has PATH`, `synchronised yes|no`,
/// `endpoint unresolved|silent|refuses|accepts|answers`.
pub(super) fn read(lines: &[&str]) -> Result<Ground, String> {
    let swap = value(lines, "swap").unwrap_or_default().trim();
    let swap: u64 = swap.parse().map_err(|_| format!("swap `{}`?", beginning(swap)))?;
    let port = |hex: &str| u16::from_str_radix(hex.trim(), 16).map_err(|_| format!("port `{}`?", beginning(hex)));
    Ok(Ground {
        product_uuid: value(lines, "product-uuid").map(|id| id.trim().to_ascii_lowercase()),
        swap_bytes: swap.saturating_mul(1024),
        listening: values(lines, "listens").map(port).collect::<Result<_, _>>()?,
        remains: values(lines, "has").map(str::to_owned).collect(),
        synchronised: value(lines, "synchronised").and_then(|word| match word.trim() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }),
        endpoint: value(lines, "endpoint").and_then(|word| match word.trim() {
            "unresolved" => Some(Reached::Unresolved),
            "silent" => Some(Reached::Silent),
            "refuses" => Some(Reached::Refused),
            "accepts" => Some(Reached::Accepted),
            "answers" => Some(Reached::Answered),
            _ => None,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ground_is_read_or_unknown() {
        let lines = ["product-uuid 4C4C-00", "swap 2", "listens 192B", "listens 0016", "has /var/lib/etcd/member"];
        let wanted = Ground {
            product_uuid: Some("4c4c-00".to_owned()),
            swap_bytes: 2048,
            listening: BTreeSet::from([22, 6443]),
            remains: vec!["/var/lib/etcd/member".to_owned()],
            synchronised: None,
            endpoint: None,
        };
        assert_eq!(read(&lines), Ok(wanted));
        let bare = read(&["swap 0", "synchronised no", "endpoint refuses"]).expect("a ground");
        let wanted = Ground { synchronised: Some(false), endpoint: Some(Reached::Refused), ..Ground::default() };
        assert_eq!(bare, wanted);
        assert!(read(&[]).is_err() && read(&["swap 0", "listens zz"]).is_err_and(|why| why.contains("`zz`")));
    }
}
