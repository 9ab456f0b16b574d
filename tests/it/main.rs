//! What the crate does as its users see it, and how its source is laid out.

mod attempt_timeout;
mod attempts_pay;
mod bursts;
mod coming_back;
mod config;
mod conformance;
mod deadline;
mod floors;
mod health;
mod in_line;
mod ledger;
mod moving_on;
mod named_waits;
mod outages;
mod own_retry;
mod refused_stream;
mod settling;
mod stack;
mod standing;
mod tokens;
mod uploads;
mod usage;
