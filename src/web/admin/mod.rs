//! Pages for the admins of this server.

pub mod about;
pub mod audit;
pub mod connect;
pub mod directories;
pub mod keys;
pub mod overview;
pub mod peer;
pub mod queue;
pub mod servers;
pub mod settings;
pub mod users;
