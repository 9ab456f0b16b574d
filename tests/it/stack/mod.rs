//! The whole stack, over real HTTP on loopback, against simulated providers.
//!
//! Each test holds both sides' account: what the layers told and counted, and what the simulators received. Time is real
//! here, because sockets take part; what is asserted of it is that nothing came too early.

mod account;
mod audit;
pub(crate) mod harness;

mod circuit;
mod credentials;
mod leaving;
mod orders;
mod queueing;
mod retrying;
mod streaming;
mod switching;
