use super::*;

#[test]
fn words_survive_the_shell_of_the_node() {
    let words = ["", "a b", "it's", "$HOME `id` $(id)", "-n", "new\nline", "\\", "!", "*"];
    let script = format!("printf '<%s>'{}", escaped(&words.map(ToOwned::to_owned)));
    let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("sh runs");
    let wanted: String = words.iter().flat_map(|word| ["<", word, ">"]).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), wanted);
}

#[test]
fn the_last_line_is_held_back() {
    let text = "main() {\n:\n}\nmain \"$@\" </dev/null\n\n";
    assert_eq!(&text[last_line(text)..], "main \"$@\" </dev/null\n\n");
    assert_eq!(last_line("one"), 0);
}

#[test]
fn status_127_is_an_answer() {
    let gone = openssh::Error::Remote(std::io::Error::from(std::io::ErrorKind::NotFound));
    assert_eq!(ended(Err(gone)), Ok(127));
    assert!(ended(Err(openssh::Error::RemoteProcessTerminated)).is_err());
}

#[test]
fn only_what_was_surely_not_started_is_said_to_be() {
    let gone = openssh::Error::Disconnected;
    let cut = openssh::Error::RemoteProcessTerminated;
    assert!(matches!(not_spawned(&gone, false), Failure::NotStarted(_)));
    assert!(matches!(not_spawned(&cut, false), Failure::InDoubt(_)));
    assert!(matches!(not_spawned(&cut, true), Failure::NotStarted(_)));
}
