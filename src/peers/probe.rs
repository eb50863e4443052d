//! Asking another server whether it can verify our signatures, before something that matters depends on it.

use serde::Serialize;

use crate::client::MAX_ANSWER;
use crate::client::Outbound;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::peers::Peers;
use crate::peers::Signing;
use crate::peers::trust::Purpose;

/// Not part of the draft; opencloudmesh-go and we have it.
const PATH: &str = "/.well-known/ocm-httpsig-probe";

/// What became of a signature of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The right one was accepted and the broken one was not.
    Verified,
    /// Both were refused: a clock, an old copy of our key, a rule of theirs, or a proxy that changes requests.
    Refused,
    /// Both were accepted: it does not look.
    Unchecked,
    /// It says that it reads no signatures, and gets none from us.
    ReadsNone,
    /// There is nothing to ask at.
    NoProbe,
}

/// How a server answered to two signed requests.
#[derive(Clone, Debug, Serialize)]
pub struct Probed {
    pub host: Provider,
    pub finding: Finding,
    /// The status for the right signature, and the one for a broken one.
    pub right: Option<u16>,
    pub broken: Option<u16>,
    /// A sentence for an admin.
    pub because: String,
}

impl Probed {
    fn new(host: &Provider, finding: Finding, right: Option<u16>, broken: Option<u16>) -> Self {
        let answered = right.map_or_else(String::new, |status| format!(" (it answered {status})"));
        let because = match finding {
            Finding::Verified => format!("{host} verifies our signatures, and refused one that was broken."),
            Finding::Refused => format!(
                "{host} could not verify our signature{answered}. Compare the clocks; it may have an old copy of our \
                 key, or not accept this server, or a proxy between changes requests."
            ),
            Finding::Unchecked => format!("{host} does not check signatures: it took a broken one as well."),
            Finding::ReadsNone => format!("{host} does not say that it reads signatures (capability http-sig)."),
            Finding::NoProbe => {
                format!("{host} cannot be asked this{answered}. Sharing with it may work all the same.")
            }
        };
        Self {
            host: host.clone(),
            finding,
            right,
            broken,
            because,
        }
    }
}

impl Peers {
    /// Asks the server at `host` to verify a signature of ours, and then one that is broken.
    ///
    /// # Errors
    ///
    /// As [`Peers::discover`]; a reason of [`Kind::Peer`](crate::error::Kind::Peer) if it gives no answer.
    pub async fn probe(&self, host: &Provider) -> Result<Probed> {
        let peer = self.meet(host, Purpose::Invite).await?;
        if peer.signing != Signing::Rfc9421 {
            return Ok(Probed::new(host, Finding::ReadsNone, None, None));
        }
        let url = peer.discovery.end_point().join(PATH).map_err(Error::internal)?;
        let signed = self.sign_for(&peer, Outbound::get(url.clone())).await?;
        let right = self.client.send(signed, MAX_ANSWER).await?;
        let signed = self.sign_for(&peer, Outbound::get(url)).await?;
        let broken = self.client.send(broken(signed), MAX_ANSWER).await?;
        let finding = match (right.is_success(), broken.is_success()) {
            (true, false) => Finding::Verified,
            (_, true) => Finding::Unchecked,
            (false, false) if matches!(right.status, 404 | 405 | 501) => Finding::NoProbe,
            (false, false) => Finding::Refused,
        };
        Ok(Probed::new(host, finding, Some(right.status), Some(broken.status)))
    }
}

/// The request with another signature of the same form.
fn broken(mut request: Outbound) -> Outbound {
    for (name, value) in &mut request.headers {
        if *name == "signature" {
            // The first character of the base64 text: each of its bits counts.
            let at = value.find(":").map_or(0, |colon| colon + 1);
            let other = if value[at..].starts_with('A') { "B" } else { "A" };
            value.replace_range(at..=at, other);
        }
    }
    request
}
