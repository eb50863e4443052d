//! Pages for the admins of this server.

pub mod connect;
pub mod directories;
pub mod import;
pub mod keys;
pub mod peer;
pub mod policy;
pub mod queue;
pub mod rule;
pub mod servers;
pub mod users;
