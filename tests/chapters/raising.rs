//! The main job, undisturbed. Starts from 1.20.2 and etcd 3.4.23; leaves 1.21.14 and etcd 3.5.16.

use std::time::Duration;

use super::beginning::lead_to_all;
use super::lab::digests;
use super::outcome::assert_raised;
use super::run::{apply, plan};
use super::secrets::Secrets;
use super::watching::Watcher;
use super::writing::Writer;

pub(crate) fn the_cluster_is_raised_under_load() {
    let secrets = Secrets::watch();
    let plan = plan("raise.json", &["--to", "1.21.14", "--etcd-to", "3.5.16"]);
    let (writer, watcher) = (Writer::start(), Watcher::start());
    let ran = apply(&plan);
    let (written, watch) = (writer.finish(), watcher.finish());
    lead_to_all();
    assert_eq!(ran.code, 0, "{}", ran.text);
    secrets.assert_untold(&ran.text);
    assert_raised("1.21.14", "3.5.16", "3.5.0");
    println!(
        "raised in {:.0} s; {} keys written ({:.0}/s), longest wait {:.2} s, {} lost; API away for {:.2} s at the longest; \
         ready replicas of the StatefulSet: {:?}",
        ran.took.as_secs_f64(),
        written.keys,
        written.rate,
        written.longest.as_secs_f64(),
        written.lost.len(),
        watch.longest_away.as_secs_f64(),
        watch.ready_in_turn(),
    );
    assert_eq!(written.lost, Vec::<String>::new(), "acknowledged writes that are not there any more");
    assert!(written.rate >= 50.0, "only {:.0} keys a second were written", written.rate);
    let fewest = watch.ready.iter().min().copied().unwrap_or(0);
    assert!(fewest >= 2 && watch.ready.len() > 4, "the StatefulSet had {fewest} ready replicas: {:?}", watch.ready);
    // The aim is under 5 s each; a bound that a slow machine keeps too.
    assert!(written.longest < Duration::from_secs(15), "a key waited for {:?}", written.longest);
    assert!(watch.longest_away < Duration::from_secs(15), "the API was away for {:?}", watch.longest_away);

    let before = digests();
    let again = apply(&plan);
    assert_eq!(again.code, 0, "{}", again.text);
    assert!(again.text.contains("nothing was changed"), "{}", again.text);
    assert_eq!(before, digests(), "a finished plan changed files on a node");
}
