//! The gateway of the repository's `examples/gateway`, over sockets on loopback, in front of simulated providers.
//!
//! It stands here and not beside the root's own tests, for its clients are async-openai and reqwest. Time is real, because
//! sockets take part; nothing is asserted of how long anything took.

#[path = "../../../gateway/main.rs"]
#[expect(dead_code, reason = "its own `main` and what that alone needs")]
mod gateway;

mod rig;

mod async_openai;
mod bad_input;
mod errors;
mod live;
mod models;
mod stopping;
mod tenants;
