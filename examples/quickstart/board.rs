//! Says what happens, and counts it for each upstream.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tower_upstream::{
    FailureKind,
    clock::{Clock, TokioClock},
    observe::{Event, Observer},
};

use crate::fleet::Fleet;

pub(crate) struct Board {
    start: Instant,
    rows: Mutex<HashMap<String, Row>>,
}

#[derive(Clone, Copy, Default)]
struct Row {
    sent: u64,
    answered: u64,
    rate_limited: u64,
    waited: u64,
    retries: u64,
    fallbacks: u64,
    tokens: u64,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            start: TokioClock.now(),
            rows: Mutex::default(),
        }
    }

    pub(crate) fn say(&self, text: &str) {
        println!(
            "{:6.2} s  {text}",
            (TokioClock.now() - self.start).as_secs_f64()
        );
    }

    pub(crate) fn answered(&self, number: usize, upstream: &str) {
        self.count(upstream, |row| row.answered += 1);
        self.say(&format!("#{number} answered by {upstream}"));
    }

    /// The counts for each upstream, and beside them what its simulator received.
    pub(crate) fn table(&self, fleet: &Fleet) -> String {
        let mut table = format!(
            "{:36}{:>6}{:>10}{:>6}{:>7}{:>9}{:>11}{:>8}{:>11}\n",
            "upstream",
            "sent",
            "answered",
            "429s",
            "waits",
            "retries",
            "fallbacks",
            "tokens",
            "received"
        );
        let rows = self.lock();
        for upstream in &fleet.upstreams {
            let row = rows.get(upstream.id()).copied().unwrap_or_default();
            let received = fleet
                .counts(upstream)
                .map_or("-".to_owned(), |counts| counts.received.to_string());
            let Row {
                sent,
                answered,
                rate_limited,
                waited,
                retries,
                fallbacks,
                tokens,
            } = row;
            let _ = writeln!(
                table,
                "{:36}{sent:>6}{answered:>10}{rate_limited:>6}{waited:>7}{retries:>9}{fallbacks:>11}{tokens:>8}{received:>11}",
                upstream.id(),
            );
        }
        table
    }

    fn count(&self, upstream: &str, count: impl FnOnce(&mut Row)) {
        count(self.lock().entry(upstream.to_owned()).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Board {
    fn event(&self, event: &Event<'_>) {
        match *event {
            Event::Admitted { key, .. } => self.count(key, |row| row.sent += 1),
            Event::Queued { key, wait, .. } => {
                self.count(key, |row| row.waited += 1);
                match wait {
                    Duration::ZERO => {
                        self.say(&format!("{key}: waiting for one of its requests to end"));
                    }
                    wait => self.say(&format!("{key}: waiting {} for its quota", seconds(wait))),
                }
            }
            Event::Settled { key, used, .. } => {
                self.count(key, |row| row.tokens += used.total_tokens());
            }
            Event::Retrying {
                upstream,
                wait,
                failure,
                ..
            } => {
                self.count(upstream, |row| {
                    row.retries += 1;
                    row.rate_limited += u64::from(failure.kind == FailureKind::RateLimited);
                });
                self.say(&format!(
                    "{upstream}: {}, trying again in {}",
                    failure.kind,
                    seconds(wait)
                ));
            }
            Event::Switched { from, to, failure } => {
                self.count(from, |row| {
                    row.fallbacks += 1;
                    row.rate_limited += u64::from(failure.kind == FailureKind::RateLimited);
                });
                self.say(&format!("{from}: {}. Switching to {to}", failure.kind));
            }
            Event::CoolingDown {
                upstream,
                wait,
                kind,
            } => {
                self.say(&format!(
                    "{upstream}: {kind}, left alone for {}",
                    seconds(wait)
                ));
            }
            Event::Refused {
                key,
                wait: Some(wait),
                ..
            } => {
                self.say(&format!(
                    "{key}: its quota is free in {}, too long to wait",
                    seconds(wait)
                ));
            }
            Event::Opened { key, reason, .. } => {
                self.say(&format!("{key}: circuit opened, {reason}"));
            }
            Event::Closed { key, .. } => self.say(&format!("{key}: circuit closed")),
            _ => {}
        }
    }
}

fn seconds(wait: Duration) -> String {
    format!("{:.2} s", wait.as_secs_f64())
}
