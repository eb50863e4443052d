//! What can stand in the list: words that never change their meaning, each with its sentence.

/// The first words of verbs, and what they are about.
pub const KINDS: &[(&str, &str)] = &[
    ("session", "Signing in"),
    ("password", "Passwords"),
    ("account", "Own accounts"),
    ("user", "People"),
    ("invite", "Invitations"),
    ("contact", "Contacts"),
    ("share", "Shares"),
    ("request", "Requests"),
    ("file", "Files"),
    ("server", "Other servers"),
    ("policy", "Policy"),
    ("directory", "Directories"),
    ("delivery", "Deliveries"),
    ("notice", "Notices"),
    ("key", "Signing keys"),
    ("settings", "Settings"),
    ("tls", "Certificate"),
    ("backup", "Backups"),
    ("audit", "Audit log"),
    ("support", "Asking for help"),
];

/// Every verb with its sentence.
pub const VERBS: &[(&str, &str)] = &[
    ("session.open", "Signed in"),
    ("session.close", "Signed out"),
    ("session.refused", "Was not let in"),
    ("session.end", "Ended sessions"),
    ("password.change", "Changed the password"),
    ("password.set", "Set a password with a sign-in link"),
    ("user.setup-link", "Made a link for the first admin"),
    ("user.setup", "Became the first admin"),
    ("user.add", "Added someone"),
    ("user.link", "Made a new sign-in link"),
    ("user.disable", "Disabled an account"),
    ("user.enable", "Enabled an account"),
    ("user.promote", "Made someone an admin"),
    ("user.demote", "Made an admin a user"),
    ("user.change", "Changed what an account says of its owner"),
    ("user.delete", "Deleted an account"),
    ("invite.create", "Made an invitation"),
    ("invite.revoke", "Cancelled an invitation"),
    ("invite.accept", "Accepted an invitation"),
    ("invite.accepted", "Used an invitation of ours"),
    ("invite.mail", "Mailed an invitation"),
    ("invite.extend", "Let an invitation last longer"),
    ("contact.remove", "Removed a contact"),
    ("contact.change", "Changed what is noted of a contact"),
    ("contact.block", "Blocked a contact"),
    ("contact.unblock", "Let a blocked contact in again"),
    ("contact.export", "Took contacts along as a file"),
    ("share.create", "Shared something"),
    ("share.stop", "Stopped a share"),
    ("share.retry", "Tried again to deliver a share"),
    ("share.accept", "Accepted a share"),
    ("share.decline", "Declined a share"),
    ("share.leave", "Gave a share back"),
    ("share.received", "Shared something with someone here"),
    ("share.told", "Told us what became of a share"),
    ("share.read", "Read what someone else shares"),
    ("share.write", "Wrote to what someone else shares"),
    ("request.send", "Asked for a file"),
    ("request.received", "Asked someone here for a file"),
    ("request.grant", "Granted a request"),
    ("request.decline", "Declined a request"),
    ("request.close", "Closed a request"),
    ("request.retry", "Tried again to deliver a request"),
    ("file.store", "Stored a file"),
    ("file.folder", "Made a folder"),
    ("file.move", "Renamed or moved a file or folder"),
    ("file.delete", "Deleted a file or folder"),
    ("file.read", "Read a file"),
    ("server.allow", "Allowed a server"),
    ("server.ask", "Asked for a server"),
    ("server.unask", "Asked no more for a server"),
    ("server.dismiss", "Put aside a wish for a server"),
    ("server.deny", "Denied a server"),
    ("server.forget", "Removed a rule for a server"),
    ("server.change", "Changed several rules at once"),
    ("server.import", "Imported a list of servers"),
    ("server.undo", "Took back a change of the trust list"),
    ("server.trust-key", "Compared the keys of a server"),
    ("server.set", "Changed how a server is dealt with"),
    ("server.refresh", "Asked a server what it says of itself"),
    ("server.probe", "Tried whether a server verifies us"),
    ("server.introduce", "Introduced this server to another"),
    ("server.introduced", "Introduced itself"),
    ("server.secret", "Fetched the shared secret"),
    ("policy.mode", "Changed the federation mode"),
    ("directory.refresh", "Fetched a directory"),
    ("directory.accept", "Accepted a directory as it is now"),
    ("delivery.retry", "Tried a delivery again"),
    ("delivery.drop", "Dropped a delivery"),
    ("notice.test", "Sent a test to every place that admins are told at"),
    ("notice.retry", "Tried again to send notices"),
    ("key.rotate", "Began to replace the signing key"),
    ("key.rotate-now", "Replaced the signing key"),
    ("key.stolen", "Dropped all keys as stolen"),
    ("key.cancel", "Cancelled a new signing key"),
    ("settings.reread", "Had the settings read again"),
    ("tls.renew", "Had the certificate renewed"),
    ("backup.create", "Made a backup"),
    ("backup.check", "Read a backup once more"),
    ("backup.prune", "Removed old backups"),
    ("backup.download", "Took a backup along"),
    ("backup.restore", "Put a backup back"),
    ("backup.confirm", "Confirmed what came back with a backup"),
    ("audit.skipped", "Did more in this hour than is written down"),
    ("support.bundle", "Took what helpers need to know along as a file"),
];

/// The sentence for a verb; the verb itself where there is none.
pub fn meaning(verb: &str) -> &str {
    let known = VERBS.iter().find(|(known, _)| *known == verb);
    known.map_or(verb, |(_, sentence)| sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_stands_there_once_and_belongs_to_a_kind() {
        for (at, (verb, sentence)) in VERBS.iter().enumerate() {
            assert!(VERBS[..at].iter().all(|(other, _)| other != verb), "{verb} twice");
            let kind = verb.split('.').next().unwrap();
            assert!(KINDS.iter().any(|(known, _)| *known == kind), "{kind} is not in KINDS");
            assert!(!sentence.is_empty() && verb.chars().all(|c| c.is_ascii_lowercase() || ".-".contains(c)));
        }
        assert_eq!(meaning("share.stop"), "Stopped a share");
        assert_eq!(meaning("not.one"), "not.one");
    }
}
