//! Why something was refused or failed, without a word of HTTP.
//!
//! One [`Error`] for the whole server and one vocabulary of [`Reason`]s: the same code stands in a log line, an API
//! answer, a page and on the command line. The sentence in an [`Error`] is safe to show to a stranger; what caused it is
//! its `source`, which goes to the log and nowhere else.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::ocm::Invalid;

/// Anything that can be refused or fail here ends in this.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about a [`Reason`]; the edges turn it into their own status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong; sending it again will not help.
    Invalid,
    /// The caller has not shown who it is.
    Unauthenticated,
    /// The caller is known, and may not.
    Forbidden,
    NotFound,
    Conflict,
    TooLarge,
    /// Understood, but not done here.
    Unsupported,
    /// Not now; later makes sense.
    Busy,
    /// Another server refused or failed.
    Peer,
    /// The operator's part: configuration, data format, disk.
    Operator,
    /// Our own fault.
    Internal,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $code:literal $kind:ident;)*) => {
        /// Why, in one word that never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason there is, for the tests and the help pages that list them.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The word for it, as logs, JSON and pages show it.
            pub fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)* }
            }

            pub fn kind(self) -> Kind {
                match self { $(Reason::$name => Kind::$kind,)* }
            }
        }
    };
}

reasons! {
    // What was asked
    Invalid "invalid" Invalid;
    MissingField "missing-required-fields" Invalid;
    CodeUnreadable "code-unreadable" Invalid;
    OwnServer "own-server" Invalid;
    /// A path that leaves the folder it belongs to, or names something that is neither file nor folder.
    UnsafePath "unsafe-path" Invalid;
    TooLarge "too-large" TooLarge;
    NotFound "not-found" NotFound;
    PersonNotFound "recipient-not-found" Invalid;
    AlreadyExists "already-exists" Conflict;
    Conflict "conflict" Conflict;
    KindUnsupported "kind-unsupported" Unsupported;
    UnsupportedRequirement "unsupported-requirement" Unsupported;
    Unsupported "unsupported" Unsupported;
    // Who asked
    SignInNeeded "sign-in-needed" Unauthenticated;
    WrongPassword "wrong-password" Unauthenticated;
    SetupLinkInvalid "setup-link-invalid" Forbidden;
    NotAllowed "not-allowed" Forbidden;
    FormForged "form-forged" Forbidden;
    SignatureMissing "signature-missing" Unauthenticated;
    SignatureInvalid "signature-invalid" Unauthenticated;
    SignatureReplayed "signature-replayed" Unauthenticated;
    SignerMismatch "signer-mismatch" Unauthenticated;
    SecretWrong "secret-wrong" Unauthenticated;
    /// This server's own policy refuses that server.
    WeRefuseThem "we-refuse-them" Forbidden;
    SenderNotTrusted "sender-not-trusted" Forbidden;
    ReadOnly "read-only" Forbidden;
    // Invitations
    InviteUnknown "token-invalid" Invalid;
    InviteUsed "invite-used" Conflict;
    InviteExpired "invite-expired" Conflict;
    InviteRevoked "invite-revoked" Conflict;
    InviteUsedElsewhere "invite-used-elsewhere" Conflict;
    // Other servers
    NameNotFound "name-not-found" Peer;
    PrivateAddress "private-address" Peer;
    NoAnswer "no-answer" Peer;
    TlsFailed "tls-failed" Peer;
    NotOcm "not-ocm" Peer;
    OcmDisabled "ocm-disabled" Peer;
    /// It does not sign, and policy wants that it does.
    TooOld "too-old" Peer;
    NeedsTokenExchange "needs-token-exchange" Peer;
    TheyRefuseUs "they-refuse-us" Peer;
    /// They could not tell that a request was ours: a clock, an old copy of our key, a proxy that changes headers.
    SignatureRejected "signature-rejected" Peer;
    TheyCannotTakeThis "peer-unsupported" Peer;
    PeerBusy "busy" Peer;
    PeerBadAnswer "peer-bad-answer" Peer;
    ShareGone "share-gone" Peer;
    /// Retried as often and as long as the schedule says, in vain.
    GaveUp "gave-up" Peer;
    /// The operator's mail server did not take a mail.
    MailFailed "mail-failed" Peer;
    // The token endpoint (RFC 6749, section 5.2)
    InvalidGrant "invalid-grant" Invalid;
    InvalidClient "invalid-client" Invalid;
    UnsupportedGrantType "unsupported-grant-type" Invalid;
    // Certificates
    /// A name has no address, or the authority found none.
    TlsDns "tls-dns" Operator;
    TlsPort80 "tls-port-80" Operator;
    TlsPort443 "tls-port-443" Operator;
    /// Where our name leads, somebody else answers.
    TlsOtherServer "tls-other-server" Operator;
    TlsCaa "tls-caa" Operator;
    TlsRateLimit "tls-rate-limit" Busy;
    /// The authority that certificates are ordered from can't be reached or understood.
    TlsAuthority "tls-authority" Busy;
    TlsRefused "tls-refused" Operator;
    /// Our own certificate has ended.
    TlsExpired "tls-expired" Operator;
    // This machine
    ClockWrong "clock-wrong" Operator;
    /// An address can't be listened on, now.
    AddressTaken "address-taken" Operator;
    Busy "try-later" Busy;
    ConfigInvalid "config-invalid" Operator;
    DataLocked "data-locked" Operator;
    DataNewer "data-newer" Operator;
    DataDamaged "data-damaged" Operator;
    /// A backup that is not what it was when it was made, or is none.
    BackupDamaged "backup-damaged" Invalid;
    ServerUnreachable "server-unreachable" Operator;
    DiskFull "disk-full" Busy;
    StoreStopped "store-stopped" Busy;
    Internal "internal" Internal;
}

impl Reason {
    /// The word for it in the body of an OCM answer: `RECIPIENT_NOT_FOUND`.
    pub fn wire(self) -> String {
        self.code().replace('-', "_").to_ascii_uppercase()
    }

    /// The reason with this code, as another instance of this server wrote it down.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }
}

/// A refusal or failure: its reason, a sentence for whoever can act, and where known the field and the cause.
#[derive(Clone, Debug)]
pub struct Error {
    reason: Reason,
    message: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// `message` is a sentence that a stranger may read: no secret, no path of this machine, nobody else's data.
    pub fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            message: message.into(),
            field: None,
            retry_after: None,
            source: None,
        }
    }

    /// Something in this server went wrong; the stranger learns only that.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        // What a panic says may hold anything, and the log must not (T-44).
        let cause = match cause.into().downcast::<tokio::task::JoinError>() {
            Ok(panicked) if panicked.is_panic() => "a task panicked".into(),
            Ok(stopped) => stopped as Box<dyn StdError + Send + Sync>,
            Err(other) => other,
        };
        Self::new(
            Reason::Internal,
            "Something went wrong in this server; its log says what.",
        )
        .caused_by(cause)
    }

    pub fn invalid(field: impl Into<Cow<'static, str>>, why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reason::Invalid, why).in_field(field)
    }

    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reason::NotFound, message)
    }

    pub fn in_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(cause.into()));
        self
    }

    /// When the one who said "not now" wants to be asked again.
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// A further sentence for the same reader.
    pub fn and(mut self, sentence: &impl fmt::Display) -> Self {
        self.message = format!("{} {sentence}", self.message).into();
        self
    }

    pub fn reason(&self) -> Reason {
        self.reason
    }

    pub fn kind(&self) -> Kind {
        self.reason.kind()
    }

    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn wait(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The chain of causes in one line, for the log.
    pub fn causes(&self) -> String {
        let mut line = String::new();
        let mut cause = self.source();
        while let Some(this) = cause {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&this.to_string());
            cause = this.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_ref()
            .map(|cause| cause.as_ref() as &(dyn StdError + 'static))
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        let reason = if invalid.missing() {
            Reason::MissingField
        } else {
            Reason::Invalid
        };
        Self::new(reason, invalid.why().to_owned()).in_field(invalid.field().to_owned())
    }
}

impl From<std::io::Error> for Error {
    fn from(cause: std::io::Error) -> Self {
        match cause.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::new(Reason::DiskFull, "This server's disk is full.").caused_by(cause)
            }
            std::io::ErrorKind::NotFound => Self::not_found("There is no such file.").caused_by(cause),
            std::io::ErrorKind::AlreadyExists => {
                Self::new(Reason::AlreadyExists, "There is already something of that name.").caused_by(cause)
            }
            _ => Self::internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_reason_has_one_word_of_its_own() {
        let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(*reason));
        }
        assert_eq!(Reason::PersonNotFound.wire(), "RECIPIENT_NOT_FOUND");
    }

    #[tokio::test]
    async fn t44_a_panic_elsewhere_is_no_cause_to_say_what_it_said() {
        let panicked = tokio::spawn(async { panic!("canary") }).await.map_err(Error::internal);
        let causes = panicked.unwrap_err().causes();
        assert_eq!(causes, "a task panicked");
    }

    #[test]
    fn a_stranger_never_reads_the_cause() {
        let error = Error::internal(std::io::Error::other("/var/lib/ocm/db is on fire"));
        assert!(!error.to_string().contains("/var/lib"));
        assert!(error.causes().contains("on fire"));
    }
}
