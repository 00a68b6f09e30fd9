//! Destinations of backups against what they really are: folders, an S3 server (`s3s-fs`, a server of its own that speaks
//! S3's language over HTTP and checks its signatures; started by the test), and an sshd on loopback.

#[path = "../ports/mod.rs"]
mod ports;
#[path = "../remote_ssh/server.rs"]
#[expect(dead_code, reason = "another test's server, of which not all is needed here")]
mod server;

mod everywhere;
mod faults;
mod place;
mod pruning;
mod s3;
mod sftp;
