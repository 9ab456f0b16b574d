//! The layers over the clients and in front of the servers that people have, over real sockets on loopback.
//!
//! The same scenes are played over every client. Time is real here, because sockets take part; nothing is asserted of how
//! long anything took.

mod rig;
mod scenes;

mod async_openai;
mod axum;
mod clients;
mod programs;
mod reqwest;
mod reqwest_middleware;
mod tls;
mod tonic;
