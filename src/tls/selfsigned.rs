//! An authority of one's own, for a lab: its key never leaves the data directory, its certificate is given to peers.

use std::sync::Arc;
use std::time::Duration;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::tls::kept::Folder;
use crate::tls::pair::Pair;

const AUTHORITY: &str = "ca.pem";
const AUTHORITY_KEY: &str = "ca.key";
const OWN: &str = "self-signed.pem";

const DAY: Duration = Duration::from_secs(86_400);
const LIFE: Duration = DAY.saturating_mul(90);
const LIFE_OF_AUTHORITY: Duration = DAY.saturating_mul(3_652);
/// Clocks in a lab differ.
const BEFORE: Duration = DAY;

/// The certificate of the authority, for those who are to believe it.
///
/// # Errors
///
/// [`Reason::NotFound`](crate::error::Reason::NotFound) before there is one.
pub fn authority(folder: &Folder) -> Result<String> {
    folder
        .read(AUTHORITY)?
        .filter(|pem| !pem.is_empty())
        .ok_or_else(|| Error::not_found("There is no authority of this server’s own yet."))
}

/// The certificate that was made before, if it can still be used.
pub fn kept(folder: &Folder) -> Result<Option<Pair>> {
    let pem = folder.read(OWN)?.unwrap_or_default();
    Ok(Pair::of_pem(pem.as_bytes(), pem.as_bytes()).ok())
}

/// Signs a certificate for these names, with the authority that is there, or a new one.
pub fn sign(folder: &Folder, names: &[String], now: Timestamp) -> Result<Pair> {
    let (authority_key, authority_pem) = match read_authority(folder, now)? {
        Some(known) => known,
        None => found(folder, names, now)?,
    };
    // Signed once more only to be the issuer here: its name and key are those of the one that peers have.
    let issuer = authority_params(&authority_pem, now)?
        .self_signed(&authority_key)
        .map_err(Error::internal)?;
    let key = KeyPair::generate().map_err(Error::internal)?;
    let mut params = CertificateParams::new(names.to_vec())
        .map_err(|cause| Error::invalid("tls.names", format!("These can't stand in a certificate: {cause}")))?;
    params.distinguished_name = DistinguishedName::new();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (moment(now.minus(BEFORE)), moment(now.plus(LIFE)));
    let certificate = params
        .signed_by(&key, &issuer, &authority_key)
        .map_err(Error::internal)?;
    let pem = format!("{}{}{authority_pem}", key.serialize_pem(), certificate.pem());
    let pair = Pair::of_pem(pem.as_bytes(), pem.as_bytes()).map_err(|unfit| Error::internal(unfit.to_string()))?;
    folder.write(OWN, &pem)?;
    Ok(pair)
}

/// One that nobody believes, shown until there is another.
pub fn stand_in(names: &[String]) -> Result<Arc<CertifiedKey>> {
    let key = KeyPair::generate().map_err(Error::internal)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(Error::internal)?;
    params.distinguished_name = DistinguishedName::new();
    let certificate = params.self_signed(&key).map_err(Error::internal)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let pair = Pair::new(vec![certificate.der().clone()], key);
    pair.map(|pair| pair.shown)
        .map_err(|unfit| Error::internal(unfit.to_string()))
}

fn read_authority(folder: &Folder, now: Timestamp) -> Result<Option<(KeyPair, String)>> {
    let (Some(key), Some(pem)) = (folder.read(AUTHORITY_KEY)?, folder.read(AUTHORITY)?) else {
        return Ok(None);
    };
    let fits = Pair::of_pem(pem.as_bytes(), key.as_bytes())
        .ok()
        // What it signs must not end after itself.
        .filter(|pair| pair.about.not_after > now.plus(LIFE))
        // Made under a clock that ran ahead, it would be believed by nobody for as long.
        .filter(|pair| pair.about.not_before <= now);
    if fits.is_none() {
        tracing::warn!(
            "The lab authority in {} can't be used any more; a new one is made, which peers have to be told",
            folder.path().display()
        );
        folder.set_aside(AUTHORITY);
        folder.set_aside(AUTHORITY_KEY);
        return Ok(None);
    }
    Ok(Some((KeyPair::from_pem(&key).map_err(Error::internal)?, pem)))
}

/// Makes the authority.
fn found(folder: &Folder, names: &[String], now: Timestamp) -> Result<(KeyPair, String)> {
    let key = KeyPair::generate().map_err(Error::internal)?;
    let name = format!("ocmesh lab CA of {}", names.first().map_or("a server", String::as_str));
    let pem = params_of_authority(&name, now)
        .self_signed(&key)
        .map_err(Error::internal)?
        .pem();
    // The key first: a certificate without its key would be replaced, and nobody has seen it yet.
    folder.write(AUTHORITY_KEY, &key.serialize_pem())?;
    folder.write(AUTHORITY, &pem)?;
    Ok((key, pem))
}

fn authority_params(pem: &str, now: Timestamp) -> Result<CertificateParams> {
    let issuer = Pair::first_of(pem.as_bytes()).map_err(|unfit| Error::internal(unfit.to_string()))?;
    // It has signed itself.
    Ok(params_of_authority(&issuer.issuer, now))
}

fn params_of_authority(name: &str, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (moment(now.minus(BEFORE)), moment(now.plus(LIFE_OF_AUTHORITY)));
    params
}

fn moment(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.0).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_stays_and_what_it_signs_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::of(dir.path().join("tls"));
        let now = Timestamp(1_790_000_000);
        let names = ["cloud.example".to_owned(), "127.0.0.1".to_owned()];
        assert!(authority(&folder).is_err());
        let first = sign(&folder, &names, now).unwrap();
        let pem = authority(&folder).unwrap();
        assert_eq!(first.about.names, names);
        assert_eq!(first.about.issuer, "ocmesh lab CA of cloud.example");
        assert_eq!(kept(&folder).unwrap().unwrap().about, first.about);
        let later = now.plus(LIFE);
        let second = sign(&folder, &names, later).unwrap();
        assert_eq!(authority(&folder).unwrap(), pem);
        assert_eq!(second.about.not_after, later.plus(LIFE));
        // The chain ends in the authority, byte by byte.
        assert_eq!(first.shown.cert[1], second.shown.cert[1]);
        // An authority near its end makes room for a new one, and is kept for whoever asks.
        let end = now.plus(LIFE_OF_AUTHORITY);
        sign(&folder, &names, end).unwrap();
        assert_ne!(authority(&folder).unwrap(), pem);
        assert_eq!(folder.read("ca.pem.old").unwrap().unwrap(), pem);
    }
}
