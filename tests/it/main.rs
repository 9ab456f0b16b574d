//! The integration tests, in one binary.

mod conformance;
mod ledger;
mod stack;
