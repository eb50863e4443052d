//! What deployed servers say differently from the draft: in one place, by their names.
//!
//! Lenient reading of what everyone writes a little differently belongs to the message itself (see
//! [`super::share`], [`super::address`]). Here is what belongs to some servers only, and needs a decision of its own.

pub mod cavage;
pub mod recipe;
pub mod user_id;

#[cfg(test)]
mod tests;
