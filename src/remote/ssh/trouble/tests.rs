use super::*;

fn trouble(said: &str) -> (Reason, String) {
    let trouble = SshTrouble::from_words(said);
    (trouble.reason, trouble.words)
}

#[test]
fn a_changed_host_key_names_the_place_of_the_known_one() {
    let said = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n\
        @    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n\
        @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n\
        IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r\n\
        Offending ED25519 key in /home/me/.ssh/known_hosts:12\r\n\
        Host key for 10.0.0.1 has changed and you have requested strict checking.\r\n\
        Host key verification failed.\r\n";
    let words = "the host key is not the one that is known; Offending ED25519 key in /home/me/.ssh/known_hosts:12";
    assert_eq!(trouble(said), (Reason::HostKeyChanged, words.to_owned()));
}

#[test]
fn an_unknown_host_key_says_which() {
    let said = "No ED25519 host key is known for [127.0.0.1]:2222 and you have requested strict checking.\r\n\
        Host key verification failed.";
    let words = "No ED25519 host key is known for [127.0.0.1]:2222 and you have requested strict checking";
    assert_eq!(trouble(said), (Reason::HostKeyUnknown, words.to_owned()));
}

#[test]
fn the_usual_reasons_are_told_apart() {
    let reasons = [
        ("ops@10.0.0.1: Permission denied (publickey).", Reason::PermissionDenied),
        ("connect to host 10.0.0.1 port 22: Connection refused", Reason::Refused),
        ("connect to host 10.0.0.1 port 22: Connection timed out", Reason::TimedOut),
        ("Connection timed out during banner exchange", Reason::TimedOut),
        ("connect to host 10.0.0.1 port 22: Operation timed out", Reason::TimedOut),
        ("connect to host 10.0.0.1 port 22: No route to host", Reason::NoRoute),
        ("Could not resolve hostname cp-1: Name or service not known", Reason::Unresolved),
        ("kex_exchange_identification: read: Connection reset by peer", Reason::Other),
    ];
    for (said, reason) in reasons {
        assert_eq!(trouble(said).0, reason, "{said}");
    }
}

#[test]
fn silence_has_words_too() {
    assert_eq!(trouble("\r\n"), (Reason::Other, "ssh gave up without a word".to_owned()));
}
