//! Whether all is well, and what to do where it is not: for `ocmesh doctor`, the page of diagnostics, and the overview.

use serde::Serialize;

use crate::error::Result;
use crate::site::Site;

/// What was looked at, and how it is.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// One word, for programs.
    pub check: &'static str,
    pub state: State,
    /// What was found, in English, as the catalogues know it.
    pub sentence: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    Warn,
    Bad,
    /// It could not be looked at from here.
    Unknown,
}

/// Looks at everything. Asks no other server unless `outside`.
pub async fn examine(_site: &Site, _outside: bool) -> Result<Vec<Finding>> {
    Ok(Vec::new())
}
