use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use http::request::Parts;
use tokio::time::Instant;

use crate::{Counts, Received};

/// The books: counts in all and per model, the log, and what was told to whom.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    total: Counts,
    models: HashMap<String, Counts>,
    log: Vec<Received>,
    told: HashMap<String, Vec<Told>>,
}

/// How a request ended for its client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Status(u16),
    Cut,
    Stalled,
}

/// "Come back at `until`", said at `since`.
#[derive(Debug)]
struct Told {
    since: Instant,
    until: Instant,
}

impl Ledger {
    /// Enters a request that arrived at `at`, and gives its place in the log.
    pub(crate) fn arrive(
        &mut self,
        at: Instant,
        head: &Parts,
        body: Bytes,
        model: Option<&str>,
    ) -> usize {
        let too_early = model.is_some_and(|model| self.told(model, at));
        self.count(model, |counts| {
            counts.received += 1;
            counts.too_early += u64::from(too_early);
            counts.in_flight += 1;
            counts.peak_in_flight = counts.peak_in_flight.max(counts.in_flight);
        });
        let authorization = head.headers.get(http::header::AUTHORIZATION);
        self.log.push(Received {
            at,
            path: head.uri.path().into(),
            query: head.uri.query().unwrap_or_default().into(),
            model: model.map(Into::into),
            status: None,
            too_early,
            authorization: authorization
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            headers: head.headers.clone(),
            body,
        });
        self.log.len() - 1
    }

    pub(crate) fn end(&mut self, place: usize, model: Option<&str>, ending: Ending) {
        self.log[place].status = match ending {
            Ending::Status(status) => Some(status),
            Ending::Cut => Some(200),
            Ending::Stalled => None,
        };
        self.count(model, |counts| match ending {
            Ending::Status(429) => counts.rate_limited += 1,
            Ending::Status(400..=499) => counts.refused += 1,
            Ending::Status(500..) | Ending::Cut | Ending::Stalled => counts.failed += 1,
            Ending::Status(_) => counts.answered += 1,
        });
    }

    /// Notes that requests for `model` were told to stay away. Requests that arrive in the first
    /// `grace` may not have heard of it.
    pub(crate) fn tell(&mut self, model: &str, now: Instant, wait: Duration, grace: Duration) {
        let told = self.told.entry(model.into()).or_default();
        told.retain(|told| told.until > now);
        told.push(Told {
            since: now + grace,
            until: now + wait,
        });
    }

    fn told(&self, model: &str, at: Instant) -> bool {
        let told = self.told.get(model);
        told.is_some_and(|told| told.iter().any(|told| told.since <= at && at < told.until))
    }

    /// Changes the counts in all and those of `model`.
    pub(crate) fn count(&mut self, model: Option<&str>, change: impl Fn(&mut Counts)) {
        change(&mut self.total);
        if let Some(model) = model {
            if !self.models.contains_key(model) {
                self.models.insert(model.into(), Counts::default());
            }
            self.models.get_mut(model).into_iter().for_each(change);
        }
    }

    pub(crate) fn total(&self) -> Counts {
        self.total
    }

    pub(crate) fn of(&self, model: &str) -> Counts {
        self.models.get(model).copied().unwrap_or_default()
    }

    pub(crate) fn log(&self) -> &[Received] {
        &self.log
    }
}
