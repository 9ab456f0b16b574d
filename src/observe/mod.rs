//! Seeing what happens: one [`Event`] for each decision, given to your [`Observer`] and to `tracing`.

mod audit;
mod channel;
mod events;
mod fields;
mod histogram;
mod limit_use;
mod line;
#[cfg(feature = "metrics")]
mod metrics;
mod names;
mod observer;
mod receipt;
mod record;
mod span;
mod stats;
mod trace;
mod words;

#[cfg(test)]
mod examples;

pub use audit::{AuditLog, AuditOptions};
pub use channel::{Feed, Received, Receiver, channel};
pub use events::Event;
pub use fields::Field;
pub use limit_use::LimitUse;
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub(crate) use observer::Events;
pub use observer::Observer;
pub use receipt::{End, Receipt};
pub use record::EventRecord;
pub(crate) use span::AttemptSpan;
pub use span::{SpanLayer, Spanned, SpannedFuture};
pub use stats::{Insight, InsightKind, KeyStats, Latency, PeakUse, Snapshot, Stats, UpstreamStats};
