//! Values that open something: kept, compared and sent, but never shown.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use serde::Deserialize;
use serde::Serialize;
use zeroize::Zeroize;

/// A shared secret, token or password. It has no `Display`, its `Debug` hides it, and its memory is wiped when dropped.
///
/// Comparing two takes the same time wherever they differ; an empty one equals nothing, not even itself, so that a
/// missing secret can never open what lacks one.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that must send, hash or show it to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        !self.0.is_empty() && verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// SHA-256 in hexadecimal: what a secret is kept and found by. A lookup that compared the secret itself would tell by its
/// time how much of a guess is right (T-33, T-43).
pub fn hash_of(secret: &str) -> String {
    let hash = digest::digest(&digest::SHA256, secret.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let shown = format!("{:?}", Some(Secret::new("canary")));
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn t46_an_empty_secret_equals_nothing() {
        assert!(Secret::new("a") == Secret::new("a"));
        assert!(Secret::new("a") != Secret::new("b"));
        assert!(Secret::new("") != Secret::new(""));
    }
}
