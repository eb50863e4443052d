//! Pages for the admins of this server.

pub mod connect;
pub mod directories;
pub mod invites;
pub mod keys;
pub mod peer;
pub mod queue;
pub mod servers;
pub mod users;
