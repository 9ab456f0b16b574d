//! The integration tests, in one binary.

mod attempt_timeout;
mod conformance;
mod ledger;
