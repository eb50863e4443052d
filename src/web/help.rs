//! What the code of an error means, and what to do: one list, which every page with such a code links to.

use actix_web::web::Data;
use askama::Template;

use crate::error::Kind;
use crate::error::Reason;
use crate::site::Site;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Page;

/// Why something did not work: the reason, when that happens, what to do.
struct Meaning(Reason, &'static str, &'static str);

#[derive(Template)]
#[template(path = "help_errors.html")]
struct Errors {
    page: Page,
    chapters: Vec<Chapter>,
}

struct Chapter {
    title: &'static str,
    meanings: Vec<&'static Meaning>,
}

pub async fn errors(site: Data<Site>, session: Option<Session>) -> Answer {
    let title = "What the codes mean";
    let page = match &session {
        Some(session) => Page::of(&site, session, "", title),
        None => Page::public(&site, title),
    };
    let chapter = |title| Chapter {
        title,
        meanings: MEANINGS
            .iter()
            .filter(|meaning| chapter_of(meaning.0.kind()) == title)
            .collect(),
    };
    page::show(&Errors {
        page,
        chapters: CHAPTERS.map(chapter).into(),
    })
}

const CHAPTERS: [&str; 4] = [
    "What you can put right",
    "Who may do what",
    "What another server did",
    "What is up with this server",
];

fn chapter_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid | Kind::NotFound | Kind::Conflict | Kind::TooLarge | Kind::Unsupported => CHAPTERS[0],
        Kind::Unauthenticated | Kind::Forbidden => CHAPTERS[1],
        Kind::Peer => CHAPTERS[2],
        Kind::Busy | Kind::Operator | Kind::Internal => CHAPTERS[3],
    }
}

const MEANINGS: &[Meaning] = &[
    Meaning(
        Reason::Invalid,
        "Something in a form or an address is not as it should be.",
        "Read the sentence beside the code: it names what is wrong. Correct it and send it again.",
    ),
    Meaning(
        Reason::MissingField,
        "Something that is needed was left out.",
        "Fill it in. If another server sent it, its admin has to mend that.",
    ),
    Meaning(
        Reason::CodeUnreadable,
        "What was pasted holds no invitation; perhaps a part of it is missing.",
        "Copy the whole link, the whole code or the whole message, and paste it again.",
    ),
    Meaning(
        Reason::OwnServer,
        "This is the server itself, not another one.",
        "People on one server need no invitation and no share to reach each other here. Name another server.",
    ),
    Meaning(
        Reason::UnsafePath,
        "This name can't be used for a file or a folder, or leads out of the place it should be in.",
        "Choose a shorter and plainer name.",
    ),
    Meaning(
        Reason::TooLarge,
        "This is more than the server takes at once.",
        "Send less, or in parts. An admin can raise the limit in the configuration.",
    ),
    Meaning(
        Reason::NotFound,
        "It is not here, not any more, or it belongs to somebody else.",
        "Check the address. If you followed an old link, start again from your own pages.",
    ),
    Meaning(
        Reason::PersonNotFound,
        "There is nobody of this name on that server.",
        "Check the part of the address before the @, and ask the person for it.",
    ),
    Meaning(
        Reason::AlreadyExists,
        "There is already something of that name.",
        "Choose another name, or say that the old one is to be replaced.",
    ),
    Meaning(
        Reason::Conflict,
        "Something changed in the meantime, or was done before.",
        "Open the page anew and look at how things are now.",
    ),
    Meaning(
        Reason::KindUnsupported,
        "This kind of thing can't be shared between the two servers.",
        "Share a file or a folder with a person.",
    ),
    Meaning(
        Reason::UnsupportedRequirement,
        "The other server demands something for this share that is not done here, such as a second factor.",
        "Ask the one who shares it to share it without that.",
    ),
    Meaning(
        Reason::Unsupported,
        "This server does not know how to do that.",
        "Nothing can be done about it here.",
    ),
    Meaning(
        Reason::InviteUnknown,
        "There is no such invitation. It may have ended, have been cancelled, or a part of its code is missing.",
        "Paste it again as a whole. If that is no help, ask for a new one.",
    ),
    Meaning(
        Reason::InviteUsed,
        "This invitation was used already, or by as many people as it was for.",
        "If you are contacts already, nothing is left to do. Else ask for a new one.",
    ),
    Meaning(
        Reason::InviteExpired,
        "The time of this invitation is over.",
        "Ask the one who invited you for a new one.",
    ),
    Meaning(
        Reason::InviteRevoked,
        "Whoever made this invitation has cancelled it.",
        "Ask them whether it was meant, and for a new one if not.",
    ),
    Meaning(
        Reason::InviteUsedElsewhere,
        "Somebody has used this invitation already, and the two of you are no contacts.",
        "If it was not you, tell the one who invited you. Ask for a new invitation.",
    ),
    Meaning(
        Reason::InvalidGrant,
        "A server asked for access with a code that is not good any more.",
        "Its share may have been stopped. Ask for it to be shared again.",
    ),
    Meaning(
        Reason::InvalidClient,
        "A server asked for access that belongs to another server.",
        "Nothing can be done about it here; the admins of both servers should compare their settings.",
    ),
    Meaning(
        Reason::UnsupportedGrantType,
        "A server asked for access in a way that is not known here.",
        "Its admin should look for a newer version of its program.",
    ),
    Meaning(
        Reason::SignInNeeded,
        "You are not signed in, or your session has ended.",
        "Sign in; you get to the page you wanted.",
    ),
    Meaning(
        Reason::WrongPassword,
        "The name or the password is wrong.",
        "Try again, and mind capital letters. An admin can give you a new password.",
    ),
    Meaning(
        Reason::SetupLinkInvalid,
        "The link for setting up this server is wrong, was used, or is too old.",
        "Whoever runs the server gets a new one with the command: ocmesh setup-link",
    ),
    Meaning(
        Reason::NotAllowed,
        "You are signed in, and this is not for you.",
        "Ask an admin of this server if you think it should be.",
    ),
    Meaning(
        Reason::FormForged,
        "A form was sent that did not come from a page of yours here. Nothing was done.",
        "Open the page anew and fill in the form there. If you sent none, another website tried to do it in your name.",
    ),
    Meaning(
        Reason::SignatureMissing,
        "A server wrote to this one without signing, and only signed requests count here.",
        "Its admin has to switch on signatures; an admin here can make an exception for it.",
    ),
    Meaning(
        Reason::SignatureInvalid,
        "A request said to be from a server was not signed by it, or was changed on its way.",
        "It was dropped. Its admin should look at its clock, its keys, and at proxies that change headers.",
    ),
    Meaning(
        Reason::SignatureReplayed,
        "A signed request came a second time.",
        "It was dropped. Once is harmless; if it goes on, somebody may be listening.",
    ),
    Meaning(
        Reason::SignerMismatch,
        "A server wrote in the name of another one.",
        "It was dropped. The admins of both should look at the address their server goes by.",
    ),
    Meaning(
        Reason::SecretWrong,
        "What should open a share does not fit.",
        "It may have been stopped or shared anew. Ask for it to be shared again.",
    ),
    Meaning(
        Reason::WeRefuseThem,
        "This server does not deal with that one: its trust list, or its mode, says so.",
        "Ask an admin of this server; the trust list can let it in.",
    ),
    Meaning(
        Reason::SenderNotTrusted,
        "Somebody shared something without having traded an invitation with its receiver first.",
        "Invite each other first, then share again.",
    ),
    Meaning(
        Reason::ReadOnly,
        "This was shared for reading only.",
        "Ask the one who shares it to let you change it as well.",
    ),
    Meaning(
        Reason::MailFailed,
        "The mail server that this one sends through did not take a mail.",
        "Hand the invitation over by yourself: its page has a message to copy. An admin can look into the log.",
    ),
    Meaning(
        Reason::NameNotFound,
        "There is no server of this name.",
        "Check the spelling, the ending above all.",
    ),
    Meaning(
        Reason::PrivateAddress,
        "The name leads into a private network, which this server does not call.",
        "Check the spelling. For a server of your own network, an admin can list it: federation.private_network",
    ),
    Meaning(
        Reason::NoAnswer,
        "That server does not answer: it may be down, or something between the two stands in the way.",
        "Try again later. If it goes on, tell the admins of both servers.",
    ),
    Meaning(
        Reason::TlsFailed,
        "The certificate of that server is not good: too old, for another name, or from nobody known. Nothing was sent.",
        "Tell its admin; there is nothing to be done here.",
    ),
    Meaning(
        Reason::NotOcm,
        "Something answers there, but it does not speak Open Cloud Mesh.",
        "Check the name; the server may go by another one, such as cloud. or drive. in front.",
    ),
    Meaning(
        Reason::OcmDisabled,
        "That server has Open Cloud Mesh switched off.",
        "Ask its admin to switch it on.",
    ),
    Meaning(
        Reason::TooOld,
        "That server does not sign its requests, and this one insists on it.",
        "Its admin should update it. An admin here can make an exception for it.",
    ),
    Meaning(
        Reason::NeedsTokenExchange,
        "That server gives files only against short-lived tokens, or this one does, and the other can't.",
        "The admin of the older of the two servers should update it.",
    ),
    Meaning(
        Reason::TheyRefuseUs,
        "That server does not trust this one.",
        "Its admin can change that. The page Connect a server has what to tell them.",
    ),
    Meaning(
        Reason::SignatureRejected,
        "That server could not verify our signature: its clock, an old copy of our key, or a proxy that changes headers.",
        "An admin here can ask it again from its page in the trust list, and compare the clocks.",
    ),
    Meaning(
        Reason::TheyCannotTakeThis,
        "That server can't take part in this, or does not take this kind of share.",
        "Ask the person there what works with their server; often it is sharing directly by address.",
    ),
    Meaning(
        Reason::PeerBusy,
        "That server is busy.",
        "Nothing is lost: it is tried again by itself.",
    ),
    Meaning(
        Reason::PeerBadAnswer,
        "That server answered with something that can't be used.",
        "Try again later. If it goes on, tell its admin the sentence beside the code.",
    ),
    Meaning(
        Reason::ShareGone,
        "The one who shared this has stopped it, or has deleted the file.",
        "Ask them if it was meant, and to share it again if not.",
    ),
    Meaning(
        Reason::GaveUp,
        "It was tried again and again, and that server never took it.",
        "Find out whether that server still exists. The page of the share lets you try once more.",
    ),
    Meaning(
        Reason::Busy,
        "Too much was asked at once, or wrong passwords were tried too often.",
        "Wait for as long as the sentence beside the code says, then try again.",
    ),
    Meaning(
        Reason::TlsDns,
        "A name of this server has no address, so no authority can find it.",
        "Whoever keeps the DNS adds an A or AAAA record for it. The page “Certificate” tries again at a press of a button.",
    ),
    Meaning(
        Reason::TlsPort80,
        "The authority could not open port 80 of this server.",
        "An admin opens the port in the firewall, lets the router forward it, and corrects the AAAA record.",
    ),
    Meaning(
        Reason::TlsPort443,
        "The authority could not open port 443 of this server.",
        "An admin opens the port in the firewall, lets the router forward it, and corrects the AAAA record.",
    ),
    Meaning(
        Reason::TlsOtherServer,
        "Under the name of this server somebody else answers: another machine, or a proxy.",
        "Let the name lead here. Where a proxy does the encryption, say so in the configuration: tls.mode.",
    ),
    Meaning(
        Reason::TlsCaa,
        "A CAA record in the DNS forbids this authority to certify the name.",
        "Whoever keeps the DNS adds the authority to the record, or an admin orders from another one.",
    ),
    Meaning(
        Reason::TlsRateLimit,
        "The authority takes no more orders for this name for a while.",
        "Nothing has to be done. The certificate that is there stays in use meanwhile.",
    ),
    Meaning(
        Reason::TlsAuthority,
        "The authority that certificates are ordered from can’t be reached, or has trouble of its own.",
        "It is tried again by itself. If it lasts, look at the network of this machine and at tls.acme_directory.",
    ),
    Meaning(
        Reason::TlsRefused,
        "The authority refused to make out a certificate.",
        "The page “Certificate” shows what it said, and what to do.",
    ),
    Meaning(
        Reason::TlsExpired,
        "The certificate of this server has ended, so browsers and other servers refuse it.",
        "An admin puts a new one in its place, or lets this server renew it by itself: tls.mode.",
    ),
    Meaning(
        Reason::ClockWrong,
        "The clock of this machine is wrong.",
        "An admin sets it, and switches on a time service (NTP). Certificates and signatures need the right time.",
    ),
    Meaning(
        Reason::AddressTaken,
        "This server can’t listen where it is to.",
        "An admin stops the other program on that port, or chooses another one (server.listen).",
    ),
    Meaning(
        Reason::ConfigInvalid,
        "There is something wrong in the configuration of this server.",
        "Its admin finds file and line in the message.",
    ),
    Meaning(
        Reason::DataLocked,
        "Another program holds the data of this server open.",
        "Its admin should stop that one first; often it is the server itself, already running.",
    ),
    Meaning(
        Reason::DataNewer,
        "The data was written by a newer version of this program.",
        "Its admin should install that version again, or restore a backup from before.",
    ),
    Meaning(
        Reason::DataDamaged,
        "A part of the data can't be read any more.",
        "Its admin should stop the server, look at the disk, and restore a backup.",
    ),
    Meaning(
        Reason::BackupDamaged,
        "A backup is not what it was when it was made, or is no backup.",
        "Its admin should take another one, and look at the disk that it was on.",
    ),
    Meaning(
        Reason::ServerUnreachable,
        "A command did not find the server running.",
        "Its admin should start it, or name its socket: --socket",
    ),
    Meaning(
        Reason::DiskFull,
        "The disk of this server is full.",
        "Nothing was kept. Delete what you no longer need, and tell its admin.",
    ),
    Meaning(
        Reason::StoreStopped,
        "The server can't keep anything just now: it is stopping, or its disk failed.",
        "Try again in a moment. If it goes on, tell its admin.",
    ),
    Meaning(
        Reason::Internal,
        "Something went wrong in this server.",
        "Tell its admin what you did and when; the log says more.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_explained_once() {
        let missing: Vec<_> = Reason::ALL
            .iter()
            .filter(|reason| MEANINGS.iter().filter(|meaning| meaning.0 == **reason).count() != 1)
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
