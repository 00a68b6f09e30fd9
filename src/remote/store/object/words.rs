//! What S3 says when it does not, in words that tell what to do. Pure: it reads words and asks nobody.

use std::fmt;

use super::Late;

/// Why it was not done, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble(pub(super) String);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

/// The codes of S3 that have one plain meaning.
const CODES: &[(&str, &str)] = &[
    ("NoSuchBucket", "there is no such bucket"),
    ("NoSuchKey", "there is no such object"),
    ("InvalidAccessKeyId", "the server does not know the key in AWS_ACCESS_KEY_ID"),
    ("NotSignedUp", "the server knows no account with the key in AWS_ACCESS_KEY_ID"),
    ("SignatureDoesNotMatch", "the secret in AWS_SECRET_ACCESS_KEY does not fit the key in AWS_ACCESS_KEY_ID"),
    ("ExpiredToken", "the session in AWS_SESSION_TOKEN is over"),
    ("InvalidToken", "the server does not take the session in AWS_SESSION_TOKEN"),
    ("AccessDenied", "the credentials do not allow it"),
    ("AuthorizationHeaderMalformed", "the bucket is in another region than AWS_REGION says"),
    ("RequestTimeTooSkewed", "this machine's clock differs too much from the server's"),
    ("QuotaExceeded", "the bucket is full"),
    ("XMinioStorageFull", "the server's disks are full"),
];

/// What became of a question about `bucket`.
pub(super) fn trouble(bucket: &str, late: &Late) -> Trouble {
    match late {
        Late::Limit(limit) => Trouble(format!("no answer within {} s", limit.as_secs())),
        Late::File(error) => Trouble(format!("the file cannot be read: {error}")),
        Late::Store(error) => told(bucket, &crate::remote::ssh::chain(error)),
    }
}

fn told(bucket: &str, said: &str) -> Trouble {
    let code = element(said, "Code");
    let known = CODES.iter().find(|(word, _)| code == Some(*word));
    let cut = said.rsplit_once("HTTP error: ").map(|(_, why)| why.trim_start_matches("error sending request: "));
    let words = match (known, code) {
        (Some((code, meaning)), _) => format!("{meaning} (bucket {bucket}, {code})"),
        (None, Some(code)) => {
            format!("the server answered {code}: {}", element(said, "Message").unwrap_or("without more words"))
        }
        (None, None) if said.contains("169.254.169.254") => {
            "there are no credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, nor a role of \
             this machine's"
                .to_owned()
        }
        (None, None) if said.contains("URL scheme is not allowed") || said.contains("BadScheme") => {
            "the endpoint is plain http; set AWS_ALLOW_HTTP=true if that is meant".to_owned()
        }
        // The answer to a question for an object's size has no words in it.
        (None, None) if said.contains("403 Forbidden") => {
            format!("the server refuses the credentials, or they do not allow it (bucket {bucket}, 403)")
        }
        (None, None) if cut.is_some() => format!("the server was not reached: {}", cut.unwrap_or_default()),
        (None, None) => said.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    Trouble(words)
}

/// What is between `<name>` and `</name>`.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let after = text.split_once(&format!("<{name}>"))?.1;
    after.split_once(&format!("</{name}>")).map(|(inner, _)| inner)
}
