//! Steps that fail, for the tests of all that writes files.

use std::cell::RefCell;
use std::io;
use std::path::Path;

use super::Step;

thread_local! {
    static PLAN: RefCell<Plan> = RefCell::default();
}

#[derive(Debug, Default)]
struct Plan {
    taken: Vec<Step>,
    /// How many steps succeed: all, if none is given.
    allowed: Option<usize>,
}

pub(super) fn take(step: Step) -> io::Result<()> {
    PLAN.with_borrow_mut(|plan| {
        if plan.allowed.is_some_and(|allowed| plan.taken.len() >= allowed) {
            // Once it has failed, all fails: as on a disk that is gone, and in a process that is.
            return Err(io::Error::from_raw_os_error(nix::libc::EIO));
        }
        plan.taken.push(step);
        Ok(())
    })
}

/// What `work` does, and the steps that it took.
pub(crate) fn recorded<T>(work: impl FnOnce() -> T) -> (T, Vec<Step>) {
    PLAN.with_borrow_mut(|plan| *plan = Plan::default());
    let result = work();
    (result, PLAN.take().taken)
}

/// Writes a file with each of its steps failing in turn: it has the old content then, or the new one, which a reader is
/// never to find half of. In the end nothing fails, and it has the new one.
pub(crate) fn whole_at_every_step<E>(path: &Path, old: &[u8], new: &[u8], write: impl Fn() -> Result<(), E>) {
    let mut failed = 0;
    loop {
        std::fs::write(path, old).unwrap();
        PLAN.with_borrow_mut(|plan| *plan = Plan { taken: Vec::new(), allowed: Some(failed) });
        let result = write();
        let taken = PLAN.take().taken;
        let found = std::fs::read(path).unwrap();
        if result.is_ok() {
            assert_eq!(found, new);
            assert!(failed >= 4, "only {taken:?} were taken");
            return;
        }
        let renamed = taken.contains(&Step::Rename);
        assert_eq!(found, if renamed { new } else { old }, "it failed after {taken:?}");
        failed += 1;
    }
}
