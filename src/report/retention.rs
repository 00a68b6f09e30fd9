//! What retention did at a destination, and what destinations did not do, in words.

use std::fmt::Write as _;

use crate::backup::deliver::Delivered;
use crate::backup::prune::Pruning;
use crate::error::{Exit, Failure, chain};
use crate::text::{bytes, count, printable};

/// One line for each thing that was done at a destination, or would be.
pub fn pruning(store: &str, pruning: &Pruning, dry_run: bool) -> String {
    let mut lines = String::new();
    if dry_run {
        for (name, reasons) in &pruning.stays {
            let words: Vec<&str> = reasons.iter().map(|reason| reason.word()).collect();
            let _ = writeln!(lines, "{store}: keeps {name} ({})", words.join(", "));
        }
    }
    let verb = if dry_run { "would remove" } else { "removed" };
    for going in &pruning.goes {
        let _ = writeln!(lines, "{store}: {verb} {} ({})", going.name, bytes(going.bytes()));
    }
    for remark in &pruning.remarks {
        let _ = writeln!(lines, "{store}: note: {}", printable(remark));
    }
    lines
}

/// What was not done, in one failure; nothing when all was.
pub fn undelivered(done: &[Delivered]) -> Option<Failure> {
    let put = done.iter().filter(|store| store.put.is_ok()).count();
    let errors = done.iter().flat_map(|store| {
        let pruned = store.pruned.as_ref().and_then(|pruned| pruned.as_ref().err());
        store.put.as_ref().err().into_iter().chain(pruned)
    });
    let causes: Vec<String> = errors.map(|error| chain(error).join(": ")).collect();
    if causes.is_empty() {
        return None;
    }
    let (what, hint) = if put == done.len() {
        (
            "the backup is stored, and what should have gone was not all removed".to_owned(),
            "the next backup tries again",
        )
    } else {
        let what = format!("the backup is at {put} of {}", count(done.len(), "destination"));
        (what, "where it is, it is whole; put right what is wrong, then take another")
    };
    let mut failure = Failure::new(Exit::StepFailed, what);
    failure.causes = causes;
    Some(failure.hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::store::StoreError;

    fn failed(what: &str) -> StoreError {
        StoreError::Failed { what: what.to_owned(), cause: "no room".into() }
    }

    #[test]
    fn one_destination_that_failed_is_told_with_its_cause() {
        let good = Delivered { store: "/a".to_owned(), put: Ok(()), pruned: Some(Ok(Pruning::default())) };
        let bad = Delivered { store: "/b".to_owned(), put: Err(failed("put x into /b")), pruned: None };
        let done = [good, bad];
        let failure = undelivered(&done).expect("a failure");
        assert_eq!(failure.exit, Exit::StepFailed);
        let shown = "error: the backup is at 1 of 2 destinations\n  caused by: could not put x into /b: no room\n\nhint: where \
                     it is, it is whole; put right what is wrong, then take another";
        assert_eq!(failure.to_string(), shown);
        assert!(undelivered(&done[..1]).is_none());
        let unpruned = Delivered { store: "/a".to_owned(), put: Ok(()), pruned: Some(Err(failed("list /a"))) };
        let failure = undelivered(&[unpruned]).expect("a failure");
        assert_eq!(failure.what, "the backup is stored, and what should have gone was not all removed");
    }
}
