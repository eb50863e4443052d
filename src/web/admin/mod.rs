//! Pages for the admins of this server.

pub mod about;
pub mod audit;
pub mod backups;
pub mod connect;
pub mod diagnostics;
pub mod directories;
pub mod import;
pub mod invites;
pub mod keys;
pub mod notices;
pub mod overview;
pub mod peer;
pub mod policy;
pub mod queue;
pub mod rule;
pub mod servers;
pub mod settings;
pub mod tls;
pub mod users;
