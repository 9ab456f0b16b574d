use std::time::Duration;

use crate::quota::{Period, Quota, Quotas, Unit};

/// The quotas of one model. Unlimited by default.
///
/// Each quota counts the requests or the tokens of the last minute or day, to the instant: what
/// was spent at `t` is free again at `t` plus the period, and not before. A request that alone is
/// larger than a quota is never admitted; thus a quota of zero closes the model.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    requests_per_day: Option<u64>,
    tokens_per_day: Option<u64>,
    concurrent: Option<u64>,
    window: Option<Duration>,
}

impl Limits {
    /// No limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// At most `requests` in any minute.
    #[must_use]
    pub fn requests_per_minute(mut self, requests: u64) -> Self {
        self.requests_per_minute = Some(requests);
        self
    }

    /// At most `tokens` in any minute, of input and output together.
    #[must_use]
    pub fn tokens_per_minute(mut self, tokens: u64) -> Self {
        self.tokens_per_minute = Some(tokens);
        self
    }

    /// At most `requests` in any 24 hours.
    #[must_use]
    pub fn requests_per_day(mut self, requests: u64) -> Self {
        self.requests_per_day = Some(requests);
        self
    }

    /// At most `tokens` in any 24 hours, of input and output together.
    #[must_use]
    pub fn tokens_per_day(mut self, tokens: u64) -> Self {
        self.tokens_per_day = Some(tokens);
        self
    }

    /// At most `requests` between their admission and the end of their answer's body.
    ///
    /// A refusal for this reason states no time to come back, since nobody knows it.
    #[must_use]
    pub fn concurrent(mut self, requests: u64) -> Self {
        self.concurrent = Some(requests);
        self
    }

    /// Makes the "minute" of this model as long as `length`, so that tests need not wait.
    ///
    /// Answers still call it a minute; the waits and resets that they state have the true length.
    /// The day stays a day.
    #[must_use]
    pub fn window(mut self, length: Duration) -> Self {
        self.window = Some(length);
        self
    }

    pub(crate) fn quotas(&self) -> Quotas {
        let minute = self.window.unwrap_or(MINUTE);
        let quotas = [
            (Unit::Requests, Period::Minute, self.requests_per_minute),
            (Unit::Tokens, Period::Minute, self.tokens_per_minute),
            (Unit::Requests, Period::Day, self.requests_per_day),
            (Unit::Tokens, Period::Day, self.tokens_per_day),
        ]
        .into_iter()
        .filter_map(|(unit, period, limit)| {
            let length = if period == Period::Day { DAY } else { minute };
            Some(Quota::new(unit, period, limit?, length))
        });
        Quotas::new(quotas.collect(), self.concurrent)
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
