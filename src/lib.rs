//! An Open Cloud Mesh server: the library behind the `ocmesh` command.
//!
//! # The map
//!
//! A module uses only those above it on this list; `tests/it/architecture.rs` reads the list and fails where that is not
//! so. The protocol stands at the top and knows nothing of a server; the edges stand at the bottom and decide nothing.
//!
//! 1. [`clock`] — time as a value
//! 2. [`secret`] — values that are never shown
//! 3. [`random`] — what must not be guessed
//! 4. [`ocm`] — the protocol: messages and rules, free of I/O, clock and randomness
//! 5. [`lang`] — what people read, in their language
//! 6. [`error`] — why something was refused, without a word of HTTP
//! 7. [`config`] — what the operator chose
//! 8. [`findings`] — what was found when this server was looked at
//! 9. [`logbook`] — the last lines of the log, for who asks for help
//! 10. [`metrics`] — what is counted, for Prometheus
//! 11. [`store`] — everything kept: records, transactions, and the engine below them
//! 12. [`timekeeper`] — the clock, watched for jumps
//! 13. [`audit`] — who did what, when and from where
//! 14. [`client`] — everything asked of other servers: limits, address guard
//! 15. [`keys`] — the keys this server signs with
//! 16. [`users`] — accounts, passwords, sessions
//! 17. [`mail`] — mail to people elsewhere, where the operator has a server for it
//! 18. [`files`] — Resources here: safe paths, atomic replacement
//! 19. [`notify`] — telling admins and people that something happened, by mail and webhook
//! 20. [`dav`] — WebDAV itself: it knows a tree of files and what may be done to it
//! 21. [`contacts`] — the address book
//! 22. [`directories`] — Directory Services that are followed, and the servers they list
//! 23. [`peers`] — other OCM Servers: discovery, keys, and the trust decision with its reason
//! 24. [`outbox`] — Deliveries: enqueued in the same write, due, retried, given up
//! 25. [`handshake`] — becoming a trusted server of those that know such a thing
//! 26. [`shares`] — `SentShare`, `ReceivedShare`: create, receive, accept, decline, revoke; tokens
//! 27. [`invites`] — `SentInvite`, `ReceivedInvite`: handed over, accepted, with what is shared at once
//! 28. [`requests`] — `ReceivedRequest`, `SentRequest`: asking for a share, and answering with one
//! 29. [`courier`] — the worker that takes what is due to its peer
//! 30. [`remote`] — reading and writing a `ReceivedShare` at its Sending Server
//! 31. [`tls`] — certificates: had, kept, renewed
//! 32. [`backup`] — copies of all that is kept: made, read back, put in place again
//! 33. [`proxy`] — the reverse proxy in front: whose word is believed, and what is wrong with it
//! 34. [`site`] — the parts of one server, put together
//! 35. [`doctor`] — whether all is well, and what to do where it is not
//! 36. [`http`] — the edge for servers: `/.well-known`, `/ocm`, WebDAV of shares
//! 37. [`api`] — the edge for programs: every command as a value, the admin socket
//! 38. [`web`] — the edge for people: pages
//! 39. [`app`] — listeners and workers, started and stopped
//! 40. [`cli`] — the command line
//!
//! One request passes about seven of these. A peer shares a file with Bob: `http/mod.rs` (URL), `http/signed.rs` (who),
//! `http/ocm.rs` (three lines), `shares/received.rs` (the decision, one commit), `ocm/share.rs` (the rules), `store`.

pub mod api;
pub mod app;
pub mod audit;
pub mod backup;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod contacts;
pub mod courier;
pub mod dav;
pub mod directories;
pub mod doctor;
pub mod error;
pub mod files;
pub mod findings;
pub mod handshake;
pub mod http;
pub mod invites;
pub mod keys;
pub mod lang;
pub mod logbook;
pub mod mail;
pub mod metrics;
pub mod notify;
pub mod ocm;
pub mod outbox;
pub mod peers;
pub mod proxy;
pub mod random;
pub mod remote;
pub mod requests;
pub mod secret;
pub mod shares;
pub mod site;
pub mod store;
pub mod timekeeper;
pub mod tls;
pub mod users;
pub mod web;
