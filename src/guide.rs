//! Guides: what to use when, how it behaves, and what to look at when it does not do what you expected.

#[doc = include_str!("guide/layers.md")]
pub mod layers {}

#[doc = include_str!("guide/limits.md")]
pub mod limits {}

#[doc = include_str!("guide/streaming.md")]
pub mod streaming {}

#[doc = include_str!("guide/observe.md")]
pub mod observe {}

#[doc = include_str!("guide/running.md")]
pub mod running {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}

#[doc = include_str!("guide/migrating.md")]
pub mod migrating {}

#[doc = include_str!("guide/troubleshooting.md")]
pub mod troubleshooting {}
