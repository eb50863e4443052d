//! Why a signature does not count, one word for each step of the check.

use std::error::Error;
use std::fmt;

/// Why a signature does not count. For our own log: towards the sender all of them are one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// Too large, not ASCII, or not the structure that its standard demands.
    HeaderUnreadable(&'static str),
    DuplicateLabel(&'static str),
    /// More than one signature says that it is the one for OCM.
    Several,
    /// The OCM signature stands in only one of the two headers.
    Unpaired,
    ComponentMissing(String),
    /// Covered twice, covered in part, or not known here.
    ComponentRefused(String),
    ParameterInvalid(&'static str),
    ParameterMissing(&'static str),
    CreatedMissing,
    CreatedInFuture,
    CreatedTooOld,
    Expired,
    DateUnreadable,
    DateFarFromCreated,
    KeyidMissing,
    KeyidWithoutServer,
    KeyMismatch,
    AlgorithmMissing,
    AlgorithmUnsupported,
    AlgorithmMismatch,
    DigestUnsupported,
    DigestMismatch,
    LengthMismatch,
    HostMismatch,
    /// Made by another key, or for another request.
    Wrong,
}

impl SignatureError {
    /// The word for it in the log.
    pub fn code(&self) -> &'static str {
        self.words().0
    }

    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::HeaderUnreadable(_) => ("header-unreadable", "a header is not what its standard says"),
            Self::DuplicateLabel(_) => ("duplicate-label", "a header names the same thing twice"),
            Self::Several => ("several-signatures", "there are several signatures for OCM"),
            Self::Unpaired => (
                "signature-unpaired",
                "the signature stands in only one of its two headers",
            ),
            Self::ComponentMissing(_) => ("component-missing", "a part that must be signed isn't"),
            Self::ComponentRefused(_) => (
                "component-refused",
                "a part is signed in a way that is not accepted here",
            ),
            Self::ParameterInvalid(_) => ("parameter-invalid", "a parameter has the wrong type"),
            Self::ParameterMissing(_) => ("parameter-missing", "a parameter is missing"),
            Self::CreatedMissing => ("created-missing", "the signature does not say when it was made"),
            Self::CreatedInFuture => (
                "created-in-future",
                "the signature is from the future: compare the clocks",
            ),
            Self::CreatedTooOld => ("created-too-old", "the signature is too old: compare the clocks"),
            Self::Expired => ("signature-expired", "the signature says itself that its time is over"),
            Self::DateUnreadable => ("date-unreadable", "the Date header is not a date"),
            Self::DateFarFromCreated => ("date-far-from-created", "Date and created are far apart"),
            Self::KeyidMissing => ("keyid-missing", "the signature does not name its key"),
            Self::KeyidWithoutServer => ("keyid-without-server", "the key's id names no server"),
            Self::KeyMismatch => ("key-mismatch", "this is not the key that the signature names"),
            Self::AlgorithmMissing => ("algorithm-missing", "the key does not name its algorithm"),
            Self::AlgorithmUnsupported => ("algorithm-unsupported", "the key's algorithm is not supported"),
            Self::AlgorithmMismatch => ("algorithm-mismatch", "signature and key do not agree on the algorithm"),
            Self::DigestUnsupported => ("digest-unsupported", "no digest is one that counts"),
            Self::DigestMismatch => ("digest-mismatch", "the body is not the one that was signed"),
            Self::LengthMismatch => ("length-mismatch", "the body has another length than was signed"),
            Self::HostMismatch => ("host-mismatch", "the request was signed for another server"),
            Self::Wrong => ("signature-wrong", "the signature does not fit this request and key"),
        }
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().1)?;
        match self {
            Self::ComponentMissing(name) | Self::ComponentRefused(name) => write!(f, " ({name:.64})"),
            Self::HeaderUnreadable(name)
            | Self::DuplicateLabel(name)
            | Self::ParameterInvalid(name)
            | Self::ParameterMissing(name) => write!(f, " ({name})"),
            _ => Ok(()),
        }
    }
}

impl Error for SignatureError {}
