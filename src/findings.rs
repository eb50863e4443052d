//! What was found when this server was looked at: one sentence for each check, and what to do about it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde::Serialize;

use crate::clock::Timestamp;

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

/// From the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// It could not be looked at from here.
    Unknown,
    Warn,
    Bad,
}

impl State {
    /// The word for it, as commands and JSON show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

impl Finding {
    pub fn ok(check: &'static str, sentence: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            sentence: sentence.into(),
            remedy: None,
        }
    }

    pub fn unknown(check: &'static str, sentence: impl Into<String>) -> Self {
        Self {
            state: State::Unknown,
            ..Self::ok(check, sentence)
        }
    }

    pub fn warn(check: &'static str, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state: State::Warn,
            remedy: Some(remedy.into()),
            ..Self::ok(check, sentence)
        }
    }

    pub fn bad(check: &'static str, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state: State::Bad,
            ..Self::warn(check, sentence, remedy)
        }
    }

    /// Whether somebody should do something.
    pub fn needs_somebody(&self) -> bool {
        self.state >= State::Warn
    }
}

/// All that was found at once.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub at: Timestamp,
    pub findings: Vec<Finding>,
}

impl Report {
    /// The worst of it.
    pub fn verdict(&self) -> State {
        let worst = self.findings.iter().map(|finding| finding.state).max();
        worst.unwrap_or(State::Ok)
    }

    /// How many things need somebody.
    pub fn count(&self) -> usize {
        let needing = self.findings.iter().filter(|finding| finding.needs_somebody());
        needing.count()
    }
}

/// The last report, kept until the server stops. Clones are the same.
#[derive(Clone, Default)]
pub struct Last(Arc<Mutex<Option<Arc<Report>>>>);

impl Last {
    pub fn keep(&self, report: Report) -> Arc<Report> {
        let report = Arc::new(report);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&report));
        report
    }

    pub fn get(&self) -> Option<Arc<Report>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
