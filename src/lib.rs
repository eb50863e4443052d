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
//! 8. [`metrics`] — what is counted, for Prometheus
//! 9. [`store`] — everything kept: records, transactions, and the engine below them
//! 10. [`audit`] — who did what, when and from where
//! 11. [`client`] — everything asked of other servers: limits, address guard
//! 12. [`keys`] — the keys this server signs with
//! 13. [`users`] — accounts, passwords, sessions
//! 14. [`mail`] — mail to people elsewhere, where the operator has a server for it
//! 15. [`notify`] — telling admins and people that something happened, by mail and webhook
//! 16. [`files`] — Resources here: safe paths, atomic replacement
//! 17. [`dav`] — WebDAV itself: it knows a tree of files and what may be done to it
//! 18. [`contacts`] — the address book
//! 19. [`directories`] — Directory Services that are followed, and the servers they list
//! 20. [`peers`] — other OCM Servers: discovery, keys, and the trust decision with its reason
//! 21. [`outbox`] — Deliveries: enqueued in the same write, due, retried, given up
//! 22. [`handshake`] — becoming a trusted server of those that know such a thing
//! 23. [`shares`] — `SentShare`, `ReceivedShare`: create, receive, accept, decline, revoke; tokens
//! 24. [`invites`] — `SentInvite`, `ReceivedInvite`: handed over, accepted, with what is shared at once
//! 25. [`requests`] — `ReceivedRequest`, `SentRequest`: asking for a share, and answering with one
//! 26. [`courier`] — the worker that takes what is due to its peer
//! 27. [`remote`] — reading and writing a `ReceivedShare` at its Sending Server
//! 28. [`tls`] — certificates: had, kept, renewed
//! 29. [`backup`] — copies of all that is kept: made, read back, put in place again
//! 30. [`proxy`] — the reverse proxy in front: whose word is believed, and what is wrong with it
//! 31. [`site`] — the parts of one server, put together
//! 32. [`doctor`] — whether all is well, and what to do where it is not
//! 33. [`http`] — the edge for servers: `/.well-known`, `/ocm`, WebDAV of shares
//! 34. [`api`] — the edge for programs: every command as a value, the admin socket
//! 35. [`web`] — the edge for people: pages
//! 36. [`app`] — listeners and workers, started and stopped
//! 37. [`cli`] — the command line
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
pub mod handshake;
pub mod http;
pub mod invites;
pub mod keys;
pub mod lang;
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
pub mod tls;
pub mod users;
pub mod web;
