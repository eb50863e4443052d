//! Implementations that are not ours check ours: `tests/outside` has a peer in Python whose signatures are made and
//! verified by a library of others, and what a fuzzer of others needs. `tests/run` installs both.

mod fuzzing;
mod peer;
mod signatures;

use std::path::Path;
use std::path::PathBuf;

use crate::harness::skipped;

/// The Python that has the packages of `tests/outside`; none where `tests/run` could not install them.
fn python() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
    let venv = target.join("outside-venv");
    if venv.join("made-from").exists() {
        return Some(venv.join("bin/python"));
    }
    skipped("the Python packages of tests/outside are not installed (tests/run does that).");
    None
}

/// A file of `tests/outside`.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside").join(name)
}
