//! Pure parsing: what a response says about limits, waits and usage.

pub mod sse;
pub mod usage;
