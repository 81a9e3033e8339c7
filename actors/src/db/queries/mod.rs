//! Every query: a struct with its SQL beside it.

pub mod identity;
pub mod policy_rules;
