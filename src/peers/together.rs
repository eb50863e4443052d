//! What works between this server and another, each with the reason: from what is known, nobody is asked.

use serde::Serialize;

use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Criterion;
use crate::ocm::discovery::Discovery;
use crate::ocm::preflight;
use crate::ocm::preflight::Abilities;
use crate::ocm::preflight::Wish;
use crate::ocm::share::ResourceType;
use crate::ocm::share::ShareType;
use crate::peers::Met;
use crate::peers::trust::Decision;

/// Something that two servers can do together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    InviteThem,
    BeInvited,
    Send,
    Receive,
    Write,
}

impl What {
    /// What people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InviteThem => "Invite people there",
            Self::BeInvited => "Be invited by people there",
            Self::Send => "Share with people there",
            Self::Receive => "Get shares from there",
            Self::Write => "Let people there write",
        }
    }
}

/// Whether it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Works {
    Yes,
    No,
    /// Only they can tell, or nothing is known yet.
    Perhaps,
}

#[derive(Clone, Debug, Serialize)]
pub struct Together {
    pub what: What,
    pub works: Works,
    pub because: String,
}

const NOT_KNOWN: &str = "It was not asked yet what it can do.";
const NO_INVITES: &str = "It does not say that it takes part in invitations.";

/// How all of it stands. `invite` and `federate` are the decisions for the two purposes; `met` what is known of the
/// server, if anything is.
pub fn together(
    ours: Abilities,
    invite: &Decision,
    federate: &Decision,
    known: Option<(&Discovery, &Met)>,
) -> Vec<Together> {
    let row = |what, (works, because): (Works, String)| Together { what, works, because };
    vec![
        row(
            What::InviteThem,
            invitation(invite, known, "People there can accept it."),
        ),
        row(
            What::BeInvited,
            invitation(invite, known, "An invitation from there can be accepted."),
        ),
        row(What::Send, sending(ours, federate, known, false)),
        row(What::Receive, receiving(federate, known)),
        row(What::Write, sending(ours, federate, known, true)),
    ]
}

/// As far as this server's own policy goes.
fn refused(decision: &Decision) -> Option<(Works, String)> {
    (!decision.allowed).then(|| (Works::No, decision.because.clone()))
}

fn invitation(decision: &Decision, known: Option<(&Discovery, &Met)>, good: &str) -> (Works, String) {
    refused(decision).unwrap_or_else(|| match known {
        None => (Works::Perhaps, NOT_KNOWN.to_owned()),
        Some((peer, _)) if peer.has(Capability::Invites) || peer.invite_accept_dialog().is_some() => {
            (Works::Yes, good.to_owned())
        }
        Some(_) => (Works::Perhaps, NO_INVITES.to_owned()),
    })
}

fn sending(ours: Abilities, decision: &Decision, known: Option<(&Discovery, &Met)>, write: bool) -> (Works, String) {
    if let Some(refused) = refused(decision) {
        return refused;
    }
    let Some((peer, met)) = known else {
        return (Works::Perhaps, NOT_KNOWN.to_owned());
    };
    if let Some(why) = &met.why_not {
        return (Works::No, why.clone());
    }
    let wish = Wish {
        resource_type: ResourceType::File,
        share_type: ShareType::User,
        write,
        second_factor: false,
    };
    match preflight::preflight(ours, peer, met.dialect, wish) {
        Err(obstacle) => (Works::No, obstacle.to_string()),
        Ok(terms) => match terms.doubts.first() {
            Some(doubt) => (Works::Perhaps, doubt.to_string()),
            None if write => (Works::Yes, "It takes what may be changed.".to_owned()),
            None => (Works::Yes, "It takes files from others.".to_owned()),
        },
    }
}

fn receiving(decision: &Decision, known: Option<(&Discovery, &Met)>) -> (Works, String) {
    if let Some(refused) = refused(decision) {
        return refused;
    }
    match known {
        None => (Works::Perhaps, NOT_KNOWN.to_owned()),
        Some((_, Met { why_not: Some(why), .. })) => (Works::No, why.clone()),
        Some(_) if decision.contacts_only() => (
            Works::Yes,
            "From people who have traded an invitation with one of ours.".to_owned(),
        ),
        Some((peer, _)) if peer.requires(Criterion::MustExchangeToken) && !peer.has(Capability::ExchangeToken) => (
            Works::Perhaps,
            "It insists on exchanged tokens, and does not say that it exchanges any.".to_owned(),
        ),
        Some(_) => (Works::Yes, "Its shares are taken.".to_owned()),
    }
}
