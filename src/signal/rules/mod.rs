//! Which words mean which failure.

mod dialects;
mod money;
mod rule;
mod sentences;
mod shared;
mod size;
mod table;
#[cfg(test)]
mod tests;

pub use self::rule::FailureRule;
pub(crate) use self::{
    dialects::of_dialect,
    rule::{Verdict, push_plain},
    shared::shared,
};
