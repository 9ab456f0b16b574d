//! The simulator over real connections.

mod accounts;
mod client;
mod outages;
mod quotas;
mod scripts;
mod shapes;
mod streams;
