//! A simulated upstream: it counts what arrives by its true limits, and refuses what does not fit.
//!
//! Pure: told the time, as the duration since the simulation began.

use std::{
    collections::BTreeMap,
    iter::Peekable,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fastrand::Rng;
use http::{HeaderMap, HeaderValue};
use tower_upstream::outcome::Dimension;

use crate::{
    arrivals::Arrivals,
    costs::{Costs, Load},
    counting::{Counter, Ticket},
    limit::LimitSettings,
    scenario::{Scenario, UpstreamSettings},
    steps::Steps,
};

/// When an upstream counts the tokens of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenCounting {
    /// The estimate on arrival, and never again.
    Estimated,
    /// The estimate on arrival, corrected when the answer has ended.
    Corrected,
    /// The real number when the answer has ended; until then nothing.
    AtEnd,
}

/// The state of one upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    tokens: TokenCounting,
    has_headers: bool,
    answer_time: Duration,
    max_concurrent: Option<u64>,
    limits: Vec<TrueLimit>,
    /// By the end of the answer, and then by arrival.
    under_way: BTreeMap<AnswerKey, UnderWay>,
    arrived: u64,
    others: Vec<Other>,
    concurrency: Steps,
}

#[derive(Debug)]
struct TrueLimit {
    settings: LimitSettings,
    counter: Counter,
    refused: u64,
}

/// A request that is being answered.
#[derive(Debug)]
struct UnderWay {
    load: Load,
    tickets: Vec<Option<Ticket>>,
}

/// Another client of the same quota.
#[derive(Debug)]
struct Other {
    arrivals: Peekable<Arrivals>,
    costs: Costs,
    rng: Rng,
}

/// An answer under way: when it ends, and the number of its request.
pub(crate) type AnswerKey = (Duration, u64);

/// What an upstream says to a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    Accepted {
        headers: HeaderMap,
        answer: AnswerKey,
    },
    TooManyRequests {
        headers: HeaderMap,
    },
}

/// How an upstream fared in all.
#[derive(Debug)]
pub(crate) struct Findings {
    /// Each limit in words, by how much its count has been above it at most, and how many requests it refused.
    pub(crate) limits: Vec<(String, u64, u64)>,
    /// How much of each limit was used.
    pub(crate) usage: Vec<Steps>,
}

impl Upstream {
    pub(crate) fn new(settings: &UpstreamSettings, scenario: &Scenario, rng: &mut Rng) -> Self {
        let phase = time_of_day(scenario.start);
        let limits = settings.limits.iter().map(|limit| TrueLimit {
            settings: limit.clone(),
            counter: limit.counter(phase),
            refused: 0,
        });
        let others = settings.others.iter().map(|(pattern, costs)| Other {
            arrivals: pattern
                .arrivals(rng.fork(), phase, scenario.duration)
                .peekable(),
            costs: costs.clone(),
            rng: rng.fork(),
        });
        Self {
            tokens: settings.tokens,
            has_headers: settings.has_headers,
            answer_time: settings.head + settings.body,
            max_concurrent: settings.max_concurrent,
            limits: limits.collect(),
            under_way: BTreeMap::new(),
            arrived: 0,
            others: others.collect(),
            concurrency: Steps::default(),
        }
    }

    /// A request of our client arrives.
    pub(crate) fn arrive(&mut self, load: Load, now: Duration) -> Verdict {
        self.move_to(now);
        match self.accept(load, now) {
            Ok(answer) => Verdict::Accepted {
                headers: self.quota_headers(now),
                answer,
            },
            Err(fits_at) => {
                let mut headers = self.quota_headers(now);
                if self.has_headers {
                    let wait = HeaderValue::from(millis_up(fits_at - now));
                    headers.insert("retry-after-ms", wait);
                }
                Verdict::TooManyRequests { headers }
            }
        }
    }

    /// The answer ends now, if it has not before: of things that happen at the very same moment, the client tells the order.
    pub(crate) fn end(&mut self, answer: AnswerKey, now: Duration) {
        self.move_to(now);
        if let Some(ended) = self.under_way.remove(&answer) {
            self.count_end(&ended, now);
        }
    }

    /// The caller has gone: if the answer has not ended, it does so now. What was counted on arrival stays.
    pub(crate) fn give_up(&mut self, answer: AnswerKey, now: Duration) {
        self.move_to(now);
        if let Some(UnderWay { load, tickets }) = self.under_way.remove(&answer) {
            self.note_concurrency(now);
            self.count_late(load, &tickets, now);
        }
    }

    /// The simulation ends now.
    pub(crate) fn finish(mut self, now: Duration) -> Findings {
        self.move_to(now);
        let mut usage: Vec<_> = self
            .limits
            .iter_mut()
            .map(|limit| limit.counter.finish(now))
            .collect();
        usage.push(self.concurrency);
        let limits = self.limits.iter();
        let limits = limits.map(|limit| {
            let overrun = limit.counter.overrun();
            (limit.settings.to_string(), overrun, limit.refused)
        });
        Findings {
            limits: limits.collect(),
            usage,
        }
    }

    /// Plays what happens before now, and the arrivals of others that happen now, in order.
    fn move_to(&mut self, now: Duration) {
        loop {
            let end = self.under_way.keys().next().map(|(end, _)| *end);
            let others = self.others.iter_mut().enumerate();
            let other = others
                .filter_map(|(index, other)| Some((*other.arrivals.peek()?, index)))
                .min();
            match (end, other) {
                (Some(end), other) if end < now && other.is_none_or(|(at, _)| end <= at) => {
                    if let Some((_, ended)) = self.under_way.pop_first() {
                        self.count_end(&ended, end);
                    }
                }
                (_, Some((at, index))) if at <= now => {
                    let other = &mut self.others[index];
                    other.arrivals.next();
                    let load = other.costs.draw(&mut other.rng);
                    // What it is refused does not come back.
                    let _ = self.accept(load, at);
                }
                _ => return,
            }
        }
    }

    /// Counts a request, or says when it would fit.
    fn accept(&mut self, load: Load, now: Duration) -> Result<AnswerKey, Duration> {
        if let Some(most) = self.max_concurrent
            && self.under_way.len() as u64 >= most
        {
            let ends = self.under_way.keys().next();
            return Err(ends.map_or(now, |(end, _)| *end));
        }
        let tokens = self.tokens;
        let full = self.limits.iter_mut().filter_map(|limit| {
            let needed = limit.needed(tokens, load);
            let fits = limit.counter.has_room(needed, now);
            (!fits).then(|| {
                limit.refused += 1;
                limit.counter.fits_at(needed, now)
            })
        });
        if let Some(fits_at) = full.max() {
            return Err(fits_at);
        }
        let tickets = self.limits.iter_mut().map(|limit| {
            let at_end = limit.is_of_tokens() && tokens == TokenCounting::AtEnd;
            let amount = limit.settings.amount_of(load.estimate);
            (!at_end).then(|| limit.counter.take(amount, now))
        });
        let tickets = tickets.collect();
        self.arrived += 1;
        let answer = (now + self.answer_time, self.arrived);
        self.under_way.insert(answer, UnderWay { load, tickets });
        self.note_concurrency(now);
        Ok(answer)
    }

    fn count_end(&mut self, ended: &UnderWay, now: Duration) {
        let UnderWay { load, tickets } = ended;
        self.note_concurrency(now);
        self.count_late(*load, tickets, now);
        if self.tokens == TokenCounting::Corrected {
            for (limit, ticket) in self.limits.iter_mut().zip(tickets.iter().flatten()) {
                let counted = limit.settings.amount_of(load.estimate);
                let really = limit.settings.amount_of(load.real);
                limit.counter.correct(*ticket, counted, really, now);
            }
        }
    }

    /// Counts what was not counted on arrival.
    fn count_late(&mut self, load: Load, tickets: &[Option<Ticket>], now: Duration) {
        let limits = self.limits.iter_mut().zip(tickets);
        for (limit, _) in limits.filter(|(_, ticket)| ticket.is_none()) {
            limit.counter.take(limit.settings.amount_of(load.real), now);
        }
    }

    fn note_concurrency(&mut self, now: Duration) {
        if let Some(most) = self.max_concurrent {
            self.concurrency
                .push(now, self.under_way.len() as u64, most);
        }
    }

    fn quota_headers(&mut self, now: Duration) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !self.has_headers {
            return headers;
        }
        for TrueLimit {
            settings, counter, ..
        } in &mut self.limits
        {
            let reset = format!("{}ms", millis_up(counter.renewed_at(now) - now));
            let reset = reset.parse().expect("a valid value");
            headers.insert(settings.header("limit"), settings.amount.into());
            headers.insert(settings.header("remaining"), counter.remaining(now).into());
            headers.insert(settings.header("reset"), reset);
        }
        headers
    }
}

impl TrueLimit {
    fn is_of_tokens(&self) -> bool {
        self.settings.dimension != Dimension::Requests
    }

    /// How much must be left for the request to be let in.
    fn needed(&self, tokens: TokenCounting, load: Load) -> u64 {
        match tokens {
            TokenCounting::AtEnd if self.is_of_tokens() => 1,
            _ => self.settings.amount_of(load.estimate),
        }
    }
}

/// How much of the day has passed, in UTC.
pub(crate) fn time_of_day(wall: SystemTime) -> Duration {
    let since_epoch = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_nanos((since_epoch.as_nanos() % 86_400_000_000_000) as u64)
}

fn millis_up(duration: Duration) -> u64 {
    duration.as_nanos().div_ceil(1_000_000) as u64
}
