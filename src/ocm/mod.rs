//! stub
use std::fmt;

/// A message that breaks a rule of the protocol: which field, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    field: String,
    why: String,
    missing: bool,
}

impl Invalid {
    pub fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            why: why.into(),
            missing: false,
        }
    }

    /// A required field that is not there.
    pub fn required(field: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            why: "This field is required.".to_owned(),
            missing: true,
        }
    }

    pub fn field(&self) -> &str {
        &self.field
    }

    pub fn why(&self) -> &str {
        &self.why
    }

    pub fn missing(&self) -> bool {
        self.missing
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

impl std::error::Error for Invalid {}
