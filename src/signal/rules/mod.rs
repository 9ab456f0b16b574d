//! Which words mean which failure.

mod dialects;
mod rule;
mod sentences;
mod shared;
mod table;

pub use self::rule::FailureRule;
pub(crate) use self::{dialects::of_dialect, rule::Verdict, shared::shared};
