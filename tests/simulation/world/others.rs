//! What keeps operators apart and lets one go on for another, with the semantics of `src/remote/scripts`: the lock that is
//! replaced, and the copies of runs.

use windlass::decide::call::Call;
use windlass::remote::Output;

use super::own::number;
use super::{At, Happened, World, complained, refused, said};

impl World {
    pub(super) fn lock_replace(&mut self, at: At, call: &Call) -> Output {
        let [token, json, owner, seen] = &call.args[..] else { panic!("usage: lock-replace: {:?}", call.args) };
        let (token, seen) = (number(token), number(seen));
        let machine = &mut self.machines[at];
        if token <= seen {
            return complained(2, "the token is not higher");
        }
        let stored = machine.own.token;
        if stored != seen {
            return refused(4, stored);
        }
        if machine.full {
            return complained(6, "cannot write /var/lib/windlass/token");
        }
        machine.own.token = token;
        machine.own.lock = Some((json.clone(), owner.clone()));
        self.happened(Happened::Under { at, token, stored });
        said(String::new())
    }

    pub(super) fn copy_append(&mut self, at: At, call: &Call) -> Output {
        let [token, run, name, offset, text] = &call.args[..] else { panic!("usage: copy-append: {:?}", call.args) };
        assert!(["plan.json", "journal"].contains(&name.as_str()), "{name}");
        let offset = usize::try_from(number(offset)).expect("an offset");
        if let Err(refusal) = self.raise(at, number(token)) {
            return refusal;
        }
        let machine = &mut self.machines[at];
        let copy = machine.own.copies.entry(format!("{run}/{name}")).or_default();
        let Some(tail) = copy.get(offset..) else { return refused(9, copy.len()) };
        if tail.starts_with(text.as_str()) {
            return said(String::new());
        }
        if machine.full {
            return complained(6, "cannot write the copy");
        }
        // The rest of a piece that is half there, or another history in place of the one that is set aside.
        copy.truncate(offset);
        copy.push_str(text);
        said(String::new())
    }

    pub(super) fn copy_read(&self, at: At, call: &Call) -> Output {
        let copies = &self.machines[at].own.copies;
        let plans = copies.keys().filter_map(|key| key.strip_suffix("/plan.json"));
        match &call.args[..] {
            [] => said(plans.flat_map(|run| [run, "\n"]).collect()),
            [run, name] => {
                copies.get(&format!("{run}/{name}")).map_or_else(|| refused(4, ""), |text| said(text.clone()))
            }
            words => panic!("usage: copy-read: {words:?}"),
        }
    }
}
