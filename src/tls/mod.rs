//! Certificates: had, kept, renewed.

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::TlsMode;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::notify::Notices;

/// How this server encrypts, and until when.
#[derive(Clone, Debug)]
pub struct Status {
    pub mode: TlsMode,
    /// What the certificate in use is for; nothing where there is none.
    pub certificate: Option<Certificate>,
    /// When it will be renewed.
    pub renewal: Option<Timestamp>,
    /// Why there is none, or why the last try to renew it failed: a sentence for an admin.
    pub trouble: Option<Error>,
    pub next_try: Option<Timestamp>,
}

/// What stands in a certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub names: Vec<String>,
    pub issuer: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

/// The certificates of one server. Clones are the same.
#[derive(Clone)]
pub struct Certificates {
    mode: TlsMode,
    server: Option<ServerConfig>,
    _clock: Clock,
    _notices: Notices,
    _metrics: Metrics,
}

impl Certificates {
    /// # Errors
    ///
    /// [`Reason::ConfigInvalid`] naming the setting, the file, and what is wrong with it.
    pub fn open(config: &Config, clock: Clock, notices: Notices, metrics: Metrics) -> Result<Self> {
        let mode = config.tls_mode();
        Ok(Self {
            mode,
            server: match mode {
                TlsMode::Files => Some(from_files(config)?),
                _ => None,
            },
            _clock: clock,
            _notices: notices,
            _metrics: metrics,
        })
    }

    /// What listeners take; nothing where somebody else encrypts, or nobody.
    pub fn server_config(&self) -> Option<ServerConfig> {
        self.server.clone()
    }

    pub fn status(&self) -> Status {
        Status {
            mode: self.mode,
            certificate: None,
            renewal: None,
            trouble: None,
            next_try: None,
        }
    }

    /// Renews, watches files, warns; for ever.
    pub async fn work(&self) {
        std::future::pending::<()>().await;
    }
}

/// Reads `tls.cert_file` and `tls.key_file`.
///
/// # Errors
///
/// [`Reason::ConfigInvalid`] naming the setting, the file, and what is wrong with it.
pub fn from_files(config: &Config) -> Result<ServerConfig> {
    let (Some(cert_file), Some(key_file)) = (&config.tls.cert_file, &config.tls.key_file) else {
        return Err(Error::new(
            Reason::ConfigInvalid,
            "tls: cert_file and key_file are both needed",
        ));
    };
    let wrong = |setting: &str, file: &Path, why: String| {
        Error::new(
            Reason::ConfigInvalid,
            format!("tls.{setting}: {}: {why}", file.display()),
        )
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(cert_file)
        .and_then(Iterator::collect)
        .map_err(|cause| wrong("cert_file", cert_file, cause.to_string()))?;
    if chain.is_empty() {
        return Err(wrong(
            "cert_file",
            cert_file,
            "there is no certificate in it".to_owned(),
        ));
    }
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|cause| wrong("key_file", key_file, cause.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|cause| {
            wrong(
                "key_file",
                key_file,
                format!("it does not fit the certificate: {cause}"),
            )
        })
}
