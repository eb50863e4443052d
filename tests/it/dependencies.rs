//! That the checks of what we depend on find what they are there for.

use std::path::Path;
use std::process::Command;

#[test]
fn t88_a_crate_with_a_known_hole_or_a_licence_that_is_not_allowed_fails_the_checks() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/planted");
    let output = Command::new(script).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    print!("{}", said(&output.stdout));
    assert!(output.status.success(), "{}", said(&output.stderr));
}
