//! A certificate with its key, fit to be shown, and what stands in it.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use serde::Serialize;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::clock::Timestamp;
use crate::config::Config;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// No certificate and no chain of them is nearly as long.
const MAX_FILE: u64 = 1 << 20;

/// What stands in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    pub names: Vec<String>,
    pub issuer: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

impl Certificate {
    /// Reads the first of a chain.
    pub fn read(der: &[u8]) -> std::result::Result<Self, Unfit> {
        let (_, parsed) = parse_x509_certificate(der).map_err(|cause| Unfit::Certificate(cause.to_string()))?;
        let alternatives = parsed.subject_alternative_name().ok().flatten();
        let mut names = Vec::new();
        for name in alternatives.iter().flat_map(|list| &list.value.general_names) {
            match name {
                GeneralName::DNSName(name) => names.push((*name).to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => names.extend(address(bytes).map(|ip| ip.to_string())),
                _ => {}
            }
        }
        let issuer = parsed.issuer();
        let parts = issuer.iter_organization().chain(issuer.iter_common_name());
        let mut parts: Vec<_> = parts.filter_map(|part| part.as_str().ok()).collect();
        parts.dedup();
        Ok(Self {
            names,
            issuer: parts.join(", "),
            not_before: Timestamp(parsed.validity().not_before.timestamp()),
            not_after: Timestamp(parsed.validity().not_after.timestamp()),
        })
    }

    /// Whether it is for this name; `*` stands for one label.
    pub fn is_for(&self, name: &str) -> bool {
        self.names
            .iter()
            .any(|own| match (own.strip_prefix("*."), name.split_once('.')) {
                (Some(parent), Some((_, rest))) => parent.eq_ignore_ascii_case(rest),
                _ => own.eq_ignore_ascii_case(name),
            })
    }

    /// When a third of its life is left.
    pub fn renewal(&self) -> Timestamp {
        let life = self.not_before.until(self.not_after);
        self.not_after.minus(life / 3)
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// Why a certificate and a key are no pair.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    Certificate(String),
    Key(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Certificate(why) | Self::Key(why)) = self;
        f.write_str(why)
    }
}

#[derive(Clone, Debug)]
pub struct Pair {
    pub shown: Arc<CertifiedKey>,
    pub about: Certificate,
}

impl Pair {
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> std::result::Result<Self, Unfit> {
        let first = chain
            .first()
            .ok_or_else(|| Unfit::Certificate("there is no certificate in it".to_owned()))?;
        let about = Certificate::read(first)?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let shown = CertifiedKey::from_der(chain, key, &provider).map_err(|cause| match cause {
            rustls::Error::InconsistentKeys(_) => {
                Unfit::Key("it does not fit the certificate: the certificate was made for another key".to_owned())
            }
            other => Unfit::Key(format!("it can't be used: {other}")),
        })?;
        Ok(Self {
            shown: Arc::new(shown),
            about,
        })
    }

    /// What stands in the first certificate of a PEM text.
    pub fn first_of(chain: &[u8]) -> std::result::Result<Certificate, Unfit> {
        let first = CertificateDer::from_pem_slice(chain).map_err(|cause| Unfit::Certificate(cause.to_string()))?;
        Certificate::read(&first)
    }

    /// From two PEM texts, which may be the same one.
    pub fn of_pem(chain: &[u8], key: &[u8]) -> std::result::Result<Self, Unfit> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|cause| Unfit::Certificate(format!("this is no PEM file: {cause}")))?;
        if chain.is_empty() {
            return Err(Unfit::Certificate(
                "there is no certificate in it; it should begin with -----BEGIN CERTIFICATE-----".to_owned(),
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            Unfit::Key("there is no private key in it; it should begin with -----BEGIN PRIVATE KEY-----".to_owned())
        })?;
        Self::new(chain, key)
    }
}

/// What stands in `tls.cert_file` and `tls.key_file` at this moment.
pub struct Files {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    /// # Errors
    ///
    /// [`Reason::ConfigInvalid`] naming the setting, the file, and what to do about it.
    pub fn read(config: &Config) -> Result<Self> {
        let (Some(cert_file), Some(key_file)) = (&config.tls.cert_file, &config.tls.key_file) else {
            return Err(Error::new(
                Reason::ConfigInvalid,
                "tls: cert_file and key_file are both needed",
            ));
        };
        Ok(Self {
            chain: read("cert_file", cert_file)?,
            key: read("key_file", key_file)?,
        })
    }

    pub fn pair(&self, config: &Config) -> Result<Pair> {
        Pair::of_pem(&self.chain, &self.key).map_err(|unfit| {
            let (setting, file) = match unfit {
                Unfit::Certificate(_) => ("cert_file", &config.tls.cert_file),
                Unfit::Key(_) => ("key_file", &config.tls.key_file),
            };
            wrong(setting, file.as_deref().unwrap_or(Path::new("")), &unfit)
        })
    }

    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        hash.update(&self.chain);
        hash.update(b"\0");
        hash.update(&self.key);
        hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

fn read(setting: &str, file: &Path) -> Result<Vec<u8>> {
    let about = std::fs::metadata(file).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => wrong(setting, file, &"there is no such file"),
        _ => unreadable(setting, file, &cause),
    })?;
    if about.is_dir() {
        return Err(wrong(setting, file, &"this is a folder; name the PEM file in it"));
    }
    if about.len() > MAX_FILE {
        return Err(wrong(setting, file, &"this is too large for a PEM file"));
    }
    let content = std::fs::read(file).map_err(|cause| unreadable(setting, file, &cause))?;
    if content.trim_ascii().is_empty() {
        return Err(wrong(setting, file, &"the file is empty"));
    }
    Ok(content)
}

fn unreadable(setting: &str, file: &Path, cause: &std::io::Error) -> Error {
    match cause.kind() {
        std::io::ErrorKind::PermissionDenied => wrong(
            setting,
            file,
            &"the user that runs this server may not read it; give that user the right to",
        ),
        _ => wrong(setting, file, cause),
    }
}

fn wrong(setting: &str, file: &Path, why: &impl fmt::Display) -> Error {
    Error::new(
        Reason::ConfigInvalid,
        format!("tls.{setting}: {}: {why}", file.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str], not_before: i64, not_after: i64) -> Certificate {
        Certificate {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            issuer: String::new(),
            not_before: Timestamp(not_before),
            not_after: Timestamp(not_after),
        }
    }

    #[test]
    fn a_certificate_is_for_its_names_and_for_one_label_where_a_star_is() {
        let check = |names: &[&str], name: &str, expected: bool| {
            assert_eq!(of(names, 0, 1).is_for(name), expected, "{names:?} {name}");
        };
        check(&["a.example"], "a.example", true);
        check(&["a.example"], "A.Example", true);
        check(&["a.example"], "b.example", false);
        check(&["*.example.org"], "cloud.example.org", true);
        check(&["*.example.org"], "example.org", false);
        check(&["*.example.org"], "a.cloud.example.org", false);
        check(&["127.0.0.1"], "127.0.0.1", true);
        check(&[], "a.example", false);
    }

    #[test]
    fn a_certificate_is_renewed_when_a_third_of_its_life_is_left() {
        assert_eq!(of(&[], 0, 90).renewal(), Timestamp(60));
        assert_eq!(of(&[], 600, 900).renewal(), Timestamp(800));
        // One that ends before it begins is due at its end, and nothing overflows.
        assert_eq!(of(&[], 900, 600).renewal(), Timestamp(600));
    }

    #[test]
    fn what_is_wrong_with_a_pair_is_said_of_the_file_that_it_is_wrong_with() {
        let pem = |pem: &str| pem.as_bytes().to_vec();
        let key = rcgen::KeyPair::generate().unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let chain = certificate.self_signed(&key).unwrap().pem();
        let check = |chain: &str, key: &str, expected: &str| {
            let unfit = Pair::of_pem(&pem(chain), &pem(key)).unwrap_err();
            assert!(format!("{unfit:?}").contains(expected), "{unfit:?}");
        };
        check("rubbish", &key.serialize_pem(), "Certificate(\"there is no certificate");
        check(&key.serialize_pem(), &key.serialize_pem(), "Certificate(");
        check(&chain, "rubbish", "Key(\"there is no private key");
        check(&chain, &chain, "Key(");
        check(&chain, &other.serialize_pem(), "another key");
        check(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key.serialize_pem(),
            "Certificate(",
        );
        let fit = Pair::of_pem(&pem(&chain), &pem(&key.serialize_pem())).unwrap();
        assert_eq!(fit.about.names, ["a.example"]);
    }
}
