use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// What a quota counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Requests,
    Tokens,
}

/// What a quota's time is called; its length is another matter, see `Limits::window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Period {
    Minute,
    Day,
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

/// Why a request was not admitted, and by which quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) cause: Cause,
    pub(crate) unit: Unit,
    /// Means nothing for [`Cause::Busy`].
    pub(crate) period: Period,
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) requested: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The request fits again after `wait`.
    Spent { wait: Duration },
    /// The request alone is larger than the quota.
    TooLarge,
    /// Too many requests are being answered.
    Busy,
}

/// A quota as the headers of an answer tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Until nothing is spent any more.
    pub(crate) reset: Duration,
}

/// All quotas of a model.
#[derive(Debug)]
pub(crate) struct Quotas {
    quotas: Vec<Quota>,
    concurrent: Option<u64>,
    admitted: u64,
}

impl Quotas {
    pub(crate) fn new(quotas: Vec<Quota>, concurrent: Option<u64>) -> Self {
        Self {
            quotas,
            concurrent,
            admitted: 0,
        }
    }

    /// Spends one request and `tokens` under the name `ticket`, or nothing. Tickets must rise.
    pub(crate) fn admit(&mut self, now: Instant, ticket: u64, tokens: u64) -> Result<(), Refusal> {
        for quota in &mut self.quotas {
            quota.expire(now);
        }
        if let Some(refusal) = self.refusal(now, tokens) {
            return Err(refusal);
        }
        for quota in &mut self.quotas {
            quota.spend(now, ticket, tokens);
        }
        self.admitted += 1;
        Ok(())
    }

    /// Replaces the estimate of tokens under `ticket` by what was really used.
    pub(crate) fn correct(&mut self, ticket: u64, tokens: u64) {
        for quota in &mut self.quotas {
            quota.correct(ticket, tokens);
        }
    }

    /// Ends a request that was admitted, for the concurrency limit.
    pub(crate) fn release(&mut self) {
        self.admitted -= 1;
    }

    pub(crate) fn standing(
        &mut self,
        now: Instant,
        unit: Unit,
        period: Period,
    ) -> Option<Standing> {
        self.quotas
            .iter_mut()
            .find(|quota| quota.unit == unit && quota.period == period)
            .map(|quota| quota.standing(now))
    }

    fn refusal(&self, now: Instant, tokens: u64) -> Option<Refusal> {
        let mut quotas = self.quotas.iter();
        if let Some(quota) = quotas.find(|quota| quota.cost(tokens) > quota.limit) {
            return Some(quota.refusal(Cause::TooLarge, tokens));
        }
        // The longest wait is told, since after a shorter one the request would be refused again.
        let waits = self.quotas.iter();
        let waits = waits.filter_map(|quota| Some((quota.wait(now, tokens)?, quota)));
        if let Some((wait, quota)) = waits.max_by_key(|(wait, _)| *wait) {
            return Some(quota.refusal(Cause::Spent { wait }, tokens));
        }
        let limit = self.concurrent.filter(|limit| self.admitted >= *limit)?;
        Some(Refusal {
            cause: Cause::Busy,
            unit: Unit::Requests,
            period: Period::Minute,
            limit,
            used: self.admitted,
            requested: 1,
        })
    }
}

/// A limit over a sliding time, kept as the log of what was spent in it.
#[derive(Debug)]
pub(crate) struct Quota {
    unit: Unit,
    period: Period,
    limit: u64,
    length: Duration,
    log: VecDeque<Entry>,
    /// The sum of the log's costs.
    used: u64,
}

#[derive(Debug)]
struct Entry {
    ticket: u64,
    at: Instant,
    cost: u64,
}

impl Quota {
    pub(crate) fn new(unit: Unit, period: Period, limit: u64, length: Duration) -> Self {
        Self {
            unit,
            period,
            limit,
            length,
            log: VecDeque::new(),
            used: 0,
        }
    }

    fn cost(&self, tokens: u64) -> u64 {
        match self.unit {
            Unit::Requests => 1,
            Unit::Tokens => tokens,
        }
    }

    fn expire(&mut self, now: Instant) {
        while self
            .log
            .front()
            .is_some_and(|entry| entry.at + self.length <= now)
        {
            self.used -= self.log.pop_front().map_or(0, |entry| entry.cost);
        }
    }

    fn spend(&mut self, now: Instant, ticket: u64, tokens: u64) {
        let cost = self.cost(tokens);
        self.used += cost;
        self.log.push_back(Entry {
            ticket,
            at: now,
            cost,
        });
    }

    fn correct(&mut self, ticket: u64, tokens: u64) {
        let cost = self.cost(tokens);
        let place = self.log.partition_point(|entry| entry.ticket < ticket);
        // An answer may take longer than the period: then there is nothing to correct.
        if let Some(entry) = self
            .log
            .get_mut(place)
            .filter(|entry| entry.ticket == ticket)
        {
            self.used = self.used - entry.cost + cost;
            entry.cost = cost;
        }
    }

    fn refusal(&self, cause: Cause, tokens: u64) -> Refusal {
        Refusal {
            cause,
            unit: self.unit,
            period: self.period,
            limit: self.limit,
            used: self.used,
            requested: self.cost(tokens),
        }
    }

    /// Until enough has expired for the request; `None` if it fits now.
    fn wait(&self, now: Instant, tokens: u64) -> Option<Duration> {
        let mut excess = (self.used + self.cost(tokens)).saturating_sub(self.limit);
        if excess == 0 {
            return None;
        }
        let entry = self.log.iter().find(|entry| {
            excess = excess.saturating_sub(entry.cost);
            excess == 0
        })?;
        Some(entry.at + self.length - now)
    }

    fn standing(&mut self, now: Instant) -> Standing {
        self.expire(now);
        Standing {
            limit: self.limit,
            remaining: self.limit.saturating_sub(self.used),
            reset: self.log.back().map_or(Duration::ZERO, |last| {
                (last.at + self.length).saturating_duration_since(now)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_refused_request_spends_nothing_in_any_quota() {
        let limits = Limits::new().requests_per_minute(3).tokens_per_minute(100);
        let mut quotas = limits.quotas();
        let start = Instant::now();
        quotas.admit(start, 1, 80).unwrap();
        for ticket in 2..10 {
            quotas.admit(start, ticket, 50).unwrap_err();
        }
        let requests = quotas.standing(start, Unit::Requests, Period::Minute);
        assert_eq!(requests.unwrap().remaining, 2);
        quotas.admit(start, 10, 20).unwrap();
    }

    #[test]
    fn the_stated_wait_is_exact() {
        let mut quotas = Limits::new().tokens_per_minute(100).quotas();
        let start = Instant::now();
        quotas.admit(start, 1, 40).unwrap();
        quotas.admit(start + SECOND, 2, 40).unwrap();
        quotas.admit(start + 2 * SECOND, 3, 20).unwrap();
        let now = start + 3 * SECOND;
        let refusal = quotas.admit(now, 4, 60).unwrap_err();
        let wait = 58 * SECOND;
        assert_eq!((refusal.used, refusal.cause), (100, Cause::Spent { wait }));
        let too_soon = now + wait - Duration::from_nanos(1);
        quotas.admit(too_soon, 5, 60).unwrap_err();
        quotas.admit(now + wait, 6, 60).unwrap();
    }

    #[test]
    fn of_two_full_quotas_the_longer_wait_is_told() {
        let limits = Limits::new().requests_per_minute(1).requests_per_day(1);
        let mut quotas = limits.quotas();
        let start = Instant::now();
        quotas.admit(start, 1, 0).unwrap();
        let refusal = quotas.admit(start, 2, 0).unwrap_err();
        assert_eq!(refusal.period, Period::Day);
    }

    #[test]
    fn a_correction_frees_what_was_not_used_and_ignores_what_has_expired() {
        let mut quotas = Limits::new().tokens_per_minute(100).quotas();
        let start = Instant::now();
        quotas.admit(start, 1, 90).unwrap();
        quotas.correct(1, 30);
        quotas.admit(start, 2, 70).unwrap();
        let later = start + 61 * SECOND;
        quotas.admit(later, 3, 100).unwrap();
        quotas.correct(2, 5);
        let tokens = quotas
            .standing(later, Unit::Tokens, Period::Minute)
            .unwrap();
        assert_eq!((tokens.remaining, tokens.reset), (0, 60 * SECOND));
    }

    #[test]
    fn concurrency_is_free_again_on_release() {
        let mut quotas = Limits::new().concurrent(1).quotas();
        let now = Instant::now();
        quotas.admit(now, 1, 0).unwrap();
        assert_eq!(quotas.admit(now, 2, 0).unwrap_err().cause, Cause::Busy);
        quotas.release();
        quotas.admit(now, 3, 0).unwrap();
    }
}
