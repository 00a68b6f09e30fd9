//! Etcd's answers as our own types, and its errors as words. Pure.

use etcd_client::{AlarmResponse, AlarmType, AuthenticateResponse, Error, MemberListResponse, StatusResponse};
use semver::Version;

use super::super::ssh::chain;
use crate::facts::{Alarm, MemberStatus, Seen};
use crate::remote::{ListedMember, MemberList};

/// The member list with the alarms, and how a user without a name was answered.
pub(super) fn members(
    list: &MemberListResponse,
    alarms: &AlarmResponse,
    nobody: Result<AuthenticateResponse, Error>,
) -> MemberList {
    let member = |member: &etcd_client::Member| ListedMember {
        id: member.id(),
        name: member.name().to_owned(),
        peer_urls: member.peer_urls().to_vec(),
        client_urls: member.client_urls().to_vec(),
        learner: member.is_learner(),
    };
    let alarm = |alarm: &etcd_client::AlarmMember| Alarm {
        member_id: alarm.member_id(),
        kind: match alarm.alarm() {
            AlarmType::None => "NONE",
            AlarmType::Nospace => "NOSPACE",
            AlarmType::Corrupt => "CORRUPT",
        }
        .to_owned(),
    };
    MemberList {
        cluster_id: list.header().map_or(0, etcd_client::ResponseHeader::cluster_id),
        members: list.members().iter().map(member).collect(),
        alarms: alarms.alarms().iter().map(alarm).collect(),
        auth: auth(nobody),
    }
}

/// Whether etcd has users of its own, by its answer to one without a name: nobody may be called that.
fn auth(nobody: Result<AuthenticateResponse, Error>) -> Seen<bool> {
    match nobody {
        Ok(_) => Seen::Known(true),
        Err(error) if words(&error).contains("authentication is not enabled") => Seen::Known(false),
        Err(Error::GRpcStatus(status)) if status.code() == tonic::Code::InvalidArgument => Seen::Known(true),
        Err(error) => Seen::Unknown(words(&error)),
    }
}

/// What a member says of itself.
pub(super) fn status(status: &StatusResponse, healthy: Seen<()>) -> Result<MemberStatus, String> {
    let header = status.header().ok_or("its status came without a header")?;
    let version = Version::parse(status.version())
        .map_err(|error| format!("its version `{}` is not one: {error}", status.version()))?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(MemberStatus {
        member_id: header.member_id(),
        version,
        db_size: count(status.db_size()),
        db_in_use: count(status.raft_used_db_size()),
        leader: status.leader(),
        raft_term: status.raft_term(),
        raft_index: status.raft_index(),
        raft_applied: status.raft_applied_index(),
        revision: count(header.revision()),
        errors: status.errors().to_vec(),
        healthy,
    })
}

/// Whether an error says more of the connection than of etcd. `Unknown` and `Internal` are what a stream that was cut
/// looks like; asking once more does no harm.
pub(super) fn is_connection(error: &Error) -> bool {
    use tonic::Code;
    match error {
        Error::GRpcStatus(status) => {
            matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
        }
        Error::TransportError(_) | Error::IoError(_) => true,
        _ => false,
    }
}

/// Whether a lease was not granted because it is.
pub(super) fn is_granted_before(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.message().contains("lease already exists"))
}

/// Etcd's own words, without the layers around them.
pub(in crate::remote) fn words(error: &Error) -> String {
    match error {
        Error::GRpcStatus(status) => match std::error::Error::source(status) {
            Some(cause) if !status.message().contains(&cause.to_string()) => {
                format!("{}: {}", status.message(), chain(cause))
            }
            _ => status.message().to_owned(),
        },
        Error::TransportError(cause) => chain(cause),
        other => other.to_string(),
    }
}
