use std::{io, time::Duration};

use crate::{Limits, Simulator, desk::Desk, dialect::Dialect};

/// What a [`Simulator`] serves, and how.
#[derive(Clone, Debug)]
#[must_use = "a simulator runs once it is started"]
pub struct SimulatorBuilder {
    pub(crate) dialect: Dialect,
    pub(crate) models: Vec<(String, Limits)>,
    pub(crate) key: Option<String>,
    pub(crate) latency: Duration,
    pub(crate) chunk_interval: Duration,
    pub(crate) completion_tokens: u64,
    pub(crate) grace: Duration,
}

impl SimulatorBuilder {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            models: Vec::new(),
            key: None,
            latency: Duration::ZERO,
            chunk_interval: Duration::ZERO,
            completion_tokens: 16,
            grace: Duration::ZERO,
        }
    }

    /// Serves `name` under `limits`; the last call wins for a name given twice.
    ///
    /// Models that were not named are unknown (404). If none is named, every model is served
    /// without limits.
    pub fn model(mut self, name: impl Into<String>, limits: Limits) -> Self {
        self.models.push((name.into(), limits));
        self
    }

    /// Demands this key in `authorization: Bearer …` or in `x-api-key`. Default: no key is needed.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The time between an admitted request and the head of its answer. Default: zero.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// The time between two events of a stream. Default: zero.
    pub fn chunk_interval(mut self, interval: Duration) -> Self {
        self.chunk_interval = interval;
        self
    }

    /// The output tokens of every answer, unless the request allows fewer. Default: 16.
    pub fn completion_tokens(mut self, tokens: u64) -> Self {
        self.completion_tokens = tokens;
        self
    }

    /// How long after a refusal another request may still arrive without being counted as
    /// [`too_early`](crate::Counts::too_early): it may have been on its way when the refusal was
    /// written. Default: zero, which is right where requests come one after the other.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When the system refuses the port.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn start(self) -> io::Result<Simulator> {
        Simulator::start(Desk::new(self)).await
    }
}
