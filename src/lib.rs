//! Tower middleware that keeps calls to rate-limited HTTP APIs going.

pub mod outcome;
pub mod signal;
