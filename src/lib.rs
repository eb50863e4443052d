//! stub
pub mod clock;
pub mod error;
pub mod ocm;
pub mod secret;
