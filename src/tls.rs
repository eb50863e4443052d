//! Certificates: from files, as a configuration that listeners take.

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

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
