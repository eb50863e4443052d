//! One order at an ACME authority (RFC 8555): from the account to the certificate, or to why there is none.
//!
//! Nothing here is tried twice but a nonce that the authority did not take; when to try again is for others to decide.

use std::sync::Arc;
use std::time::Duration;

use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::KeyPair;
use rustls_acme::acme::Account;
use rustls_acme::acme::AcmeError;
use rustls_acme::acme::AuthStatus;
use rustls_acme::acme::Directory;
use rustls_acme::acme::Identifier;
use rustls_acme::acme::Order;
use rustls_acme::acme::OrderStatus;
use serde::Deserialize;
use serde::Serialize;

use crate::config::AcmeDirectory;
use crate::tls::kept::Folder;
use crate::tls::refusal::Failure;
use crate::tls::resolver::Proofs;
use crate::tls::resolver::Showing;

const ACCOUNT_KEY: &str = "account.key";
const ACCOUNT: &str = "account.json";

/// How long one answer of the authority may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a whole order may take.
const LONGEST_ORDER: Duration = Duration::from_secs(300);
const FIRST_WAIT: Duration = Duration::from_millis(300);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often a nonce may be refused: authorities forget them when they are started again.
const NONCES: usize = 10;

/// How an authority is shown that a name leads here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Way {
    /// In a handshake on port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// In an answer on port 80 (RFC 8555).
    #[serde(rename = "http-01")]
    Http01,
}

impl Way {
    /// Where the authority looks; it can't be told to look elsewhere.
    pub fn port(self) -> u16 {
        match self {
            Self::TlsAlpn01 => 443,
            Self::Http01 => 80,
        }
    }
}

/// An authority, and what is kept of the dealings with it.
#[derive(Clone)]
pub struct Authority {
    pub directory: AcmeDirectory,
    pub folder: Folder,
    pub contact: Vec<String>,
    pub trust: Arc<rustls::ClientConfig>,
}

#[derive(Default, Serialize, Deserialize)]
struct KnownAs {
    /// The account’s address at the authority.
    account: String,
}

impl Authority {
    /// Whether it answers; counts as no attempt.
    pub async fn answers(&self) -> Result<(), Failure> {
        self.find().await.map(drop)
    }

    /// Orders a certificate; gives its key and its chain as PEM. `tell` hears what is being done: a sentence, and what
    /// fills its place.
    pub async fn order(
        &self,
        names: &[String],
        way: Way,
        proofs: &Proofs,
        tell: impl Fn(&'static str, &str),
    ) -> Result<String, Failure> {
        let whole = Box::pin(self.order_patiently(names, way, proofs, tell));
        tokio::time::timeout(LONGEST_ORDER, whole)
            .await
            .unwrap_or_else(|_| Err(Failure::silent("the order was not finished in time")))
    }

    async fn order_patiently(
        &self,
        names: &[String],
        way: Way,
        proofs: &Proofs,
        tell: impl Fn(&'static str, &str),
    ) -> Result<String, Failure> {
        let account = self.account().await?;
        tell("The account is known to {what}.", &self.directory.title());
        let trust = &self.trust;
        let (url, mut order) = ask(|| account.new_order(trust, names.to_vec())).await?;
        for authorization in &order.authorizations {
            self.prove(&account, authorization, way, proofs, &tell).await?;
        }
        let key = KeyPair::generate().map_err(Failure::ours)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(Failure::ours)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(Failure::ours)?;
        tell("The certificate is being made out.", "");
        let mut wait = FIRST_WAIT;
        loop {
            order = match order.status {
                OrderStatus::Ready => ask(|| account.finalize(trust, &order.finalize, request.der())).await?,
                OrderStatus::Valid { certificate } => {
                    let chain = ask(|| account.certificate(trust, &certificate)).await?;
                    return Ok(format!("{}\n{chain}", key.serialize_pem()));
                }
                OrderStatus::Invalid => return Err(refused(order, names)),
                OrderStatus::Pending | OrderStatus::Processing => {
                    pause(&mut wait).await;
                    ask(|| account.order(trust, &url)).await?
                }
            };
        }
    }

    /// Shows that one name leads here.
    async fn prove(
        &self,
        account: &Account,
        url: &str,
        way: Way,
        proofs: &Proofs,
        tell: &impl Fn(&'static str, &str),
    ) -> Result<(), Failure> {
        let asked = ask(|| account.auth(&self.trust, url)).await?;
        let Identifier::Dns(name) = asked.identifier.clone();
        match asked.status {
            // From an order before.
            AuthStatus::Valid => return Ok(()),
            AuthStatus::Pending => {}
            _ => return Err(Failure::of_proof(asked, &name)),
        }
        tell("The authority looks whether {what} leads here.", &name);
        let (challenge, _showing): (String, Showing) = match way {
            Way::TlsAlpn01 => {
                let (challenge, certificate) = account.tls_alpn_01(&asked.challenges, name.clone())?;
                (challenge.url.clone(), proofs.show_certificate(&name, certificate))
            }
            Way::Http01 => {
                let (challenge, answer) = account.http_01(&asked.challenges)?;
                (challenge.url.clone(), proofs.show_answer(&challenge.token, answer))
            }
        };
        ask(|| account.challenge(&self.trust, &challenge)).await?;
        let mut wait = FIRST_WAIT;
        loop {
            pause(&mut wait).await;
            let asked = ask(|| account.auth(&self.trust, url)).await?;
            match asked.status {
                AuthStatus::Valid => return Ok(()),
                AuthStatus::Pending => {}
                _ => return Err(Failure::of_proof(asked, &name)),
            }
        }
    }

    async fn find(&self) -> Result<Directory, Failure> {
        ask(|| Directory::discover(&self.trust, self.directory.url())).await
    }

    /// The account with the key that is kept, made where the authority does not know it.
    async fn account(&self) -> Result<Account, Failure> {
        let directory = self.find().await?;
        let make = |key: Vec<u8>| {
            let directory = directory.clone();
            async move { ask(|| Account::create_with_keypair(&self.trust, directory.clone(), &self.contact, &key)).await }
        };
        let (key, was_kept) = self.account_key()?;
        let account = match make(key).await {
            Err(failure) if was_kept && failure.account_is_gone() => {
                tracing::warn!(
                    authority = self.directory.to_string(),
                    "The authority does not take the account any more; a new one is made: {}",
                    failure.raw()
                );
                self.folder.set_aside(ACCOUNT_KEY);
                make(self.account_key()?.0).await?
            }
            other => other?,
        };
        let before: KnownAs = self.folder.json(ACCOUNT);
        if before.account != account.kid {
            if was_kept {
                tracing::warn!(
                    authority = self.directory.to_string(),
                    "The authority did not know the account whose key is kept here; it has made a new one"
                );
            }
            let known = KnownAs {
                account: account.kid.clone(),
            };
            self.folder.write_json(ACCOUNT, &known).map_err(Failure::ours)?;
        }
        Ok(account)
    }

    /// The key of the account, and whether it is one that was used before.
    fn account_key(&self) -> Result<(Vec<u8>, bool), Failure> {
        if let Some(pem) = self.folder.read(ACCOUNT_KEY).map_err(Failure::ours)? {
            if let Ok(key) = KeyPair::from_pem(&pem) {
                return Ok((key.serialize_der(), true));
            }
            tracing::warn!(
                "{} holds no account key; a new account is made",
                self.folder.path().join(ACCOUNT_KEY).display()
            );
            self.folder.set_aside(ACCOUNT_KEY);
        }
        let key = KeyPair::generate().map_err(Failure::ours)?;
        self.folder
            .write(ACCOUNT_KEY, &key.serialize_pem())
            .map_err(Failure::ours)?;
        Ok((key.serialize_der(), false))
    }
}

fn refused(order: Order, names: &[String]) -> Failure {
    Failure::of_problem(order.error, &names.join(", "))
}

/// Asks the authority, again where only the nonce was too old.
async fn ask<T, F>(what: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, AcmeError>>,
{
    let mut left = NONCES;
    loop {
        left -= 1;
        let answer = tokio::time::timeout(PATIENCE, Box::pin(what()))
            .await
            .map_err(|_| Failure::silent("there was no answer in time"))?;
        match answer.map_err(Failure::from) {
            Err(failure) if left > 0 && failure.is_of(&["badNonce"]) => {}
            other => return other,
        }
    }
}

async fn pause(wait: &mut Duration) {
    tokio::time::sleep(*wait).await;
    *wait = LONGEST_WAIT.min(*wait * 2);
}
