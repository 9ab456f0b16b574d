//! A rate for an upstream of whose limits nothing is known.
//!
//! The CUBIC of [RFC 9438](https://www.rfc-editor.org/rfc/rfc9438), on requests a second instead of on packets under way,
//! as the adaptive retry mode of the AWS SDKs has it (botocore's `retries/throttling.py` and `retries/adaptive.py`, from which
//! the constants are). There is no limit until the upstream first refuses. Then the rate is cut to 0.7 of what it was, and
//! grows back along `0.4 (t - k)³ + peak`, where `t` is the time since the cut, and the wait that it named, in seconds, `peak` the rate at which the
//! upstream refused, and `k` the time at which that is reached again: fast at first, slowly about the peak, and beyond it
//! faster and faster, but never above twice what goes. Once it is at twice the peak and nobody waits for it, it is forgotten.
//!
//! A burst is no rate: of a hundred requests at once, twenty may have been taken, and nothing more for the two seconds that the
//! refusals name. So where requests came one soon after the other for less time than the first refusal of them names, the peak is
//! what was taken of them over all of that time. A second is the least time that a limit is for.
//!
//! When the wait that the upstream named is over, one request goes at once, at however slow a rate: it was said when.

use super::epoch::Nanos;

/// The rate of requests, measured, and held down after a refusal.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// When the half second began that is counted.
    since: Nanos,
    count: u32,
    /// Requests a second, smoothed; of the half seconds before that.
    measured: f64,
    run: Run,
    held: Option<Held>,
}

/// Requests that went no more than a second one after the other.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    since: Nanos,
    last: Nanos,
    count: u32,
}

/// What was taken of a run of which some was refused.
#[derive(Clone, Copy, Debug)]
struct Burst {
    taken: u32,
    /// From its beginning until more is taken, in seconds.
    lasts: f64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    cut: Nanos,
    /// When the curve begins: nothing is found out while all wait for the time that was named.
    from: Nanos,
    peak: f64,
    /// In seconds after the cut.
    back_at_peak: f64,
    /// How many requests may go at once, and when that was so.
    level: f64,
    at: Nanos,
    /// Where it was cut for one.
    burst: Option<Burst>,
}

impl Pace {
    /// Whether requests go as they come.
    #[inline]
    pub(super) fn is_free(&self) -> bool {
        self.held.is_none()
    }

    /// The first moment, not before `now`, at which a request may go.
    pub(super) fn earliest(&self, now: Nanos) -> Nanos {
        let Some(held) = &self.held else { return now };
        let rate = held.rate(now, self.measured);
        let missing = (1.0 - held.level_at(now, rate)).max(0.0);
        now.saturating_add((missing / rate * SECOND).ceil() as Nanos)
    }

    /// A request goes.
    pub(super) fn take(&mut self, now: Nanos) {
        let half_seconds = now.saturating_sub(self.since) / HALF_SECOND;
        if half_seconds > 0 {
            let rate = f64::from(self.count) / (half_seconds as f64 * 0.5);
            self.measured = match self.measured > 0.0 {
                true => self.measured * (1.0 - SMOOTHING) + rate * SMOOTHING,
                false => rate,
            };
            self.since = now - now % HALF_SECOND;
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.run.go_on(now);
        if let Some(held) = &mut self.held {
            let rate = held.rate(now, self.measured);
            let level = held.level_at(now, rate);
            if level >= rate.max(1.0) && held.is_over(now) {
                self.held = None;
                return;
            }
            held.level = level - 1.0;
            held.at = held.at.max(now);
        }
    }

    /// Whether a rate is held down.
    pub(super) fn is_held(&self, now: Nanos) -> bool {
        self.held.is_some_and(|held| !held.is_over(now))
    }

    /// The upstream refused a request that went at `sent`, and may have named a wait. Those that were on their way at the last
    /// cut do not count again, but for what they say of a burst.
    pub(super) fn refused(&mut self, sent: Nanos, named: Nanos, now: Nanos) {
        if let Some(held) = self.held.as_mut().filter(|held| sent <= held.cut) {
            held.lose_one();
            return;
        }
        let passed = now.saturating_sub(self.since).max(HALF_SECOND) as f64 / SECOND;
        let measured = self.measured.max(f64::from(self.count) / passed);
        let rate = self.held.map(|held| held.rate(now, self.measured));
        let peak = rate
            .map_or(measured, |rate| rate.min(measured))
            .max(SLOWEST);
        let is_first = self.held.is_none();
        let mut held = Held {
            cut: now,
            from: now.saturating_add(named),
            peak,
            back_at_peak: (peak * (1.0 - CUT) / GROWTH).cbrt(),
            level: level_for_one_after(named),
            at: now,
            burst: self.run.burst(named, now).filter(|_| is_first),
        };
        held.lose_one();
        self.held = Some(held);
    }
}

impl Run {
    fn go_on(&mut self, now: Nanos) {
        if now.saturating_sub(self.last) > A_SECOND {
            (self.since, self.count) = (now, 0);
        }
        self.last = self.last.max(now);
        self.count = self.count.saturating_add(1);
    }

    /// As a burst, where it is shorter than the wait that was named.
    fn burst(&self, named: Nanos, now: Nanos) -> Option<Burst> {
        let (ran, named) = (now.saturating_sub(self.since), named.max(A_SECOND));
        (self.count > 0 && ran < named).then(|| Burst {
            taken: self.count,
            lasts: ran.saturating_add(named) as f64 / SECOND,
        })
    }
}

impl Held {
    /// One request less of the burst was taken.
    fn lose_one(&mut self) {
        let Some(burst) = &mut self.burst else { return };
        burst.taken = burst.taken.saturating_sub(1);
        let took = f64::from(burst.taken) / burst.lasts;
        self.peak = self.peak.min(took).max(SLOWEST);
        self.back_at_peak = (self.peak * (1.0 - CUT) / GROWTH).cbrt();
    }

    /// Requests a second.
    fn rate(&self, now: Nanos, measured: f64) -> f64 {
        let most = 2.0 * measured.max(SLOWEST);
        self.cubic(now).min(most).max(SLOWEST)
    }

    /// Whether the rate has grown to twice what the upstream took.
    fn is_over(&self, now: Nanos) -> bool {
        self.cubic(now) >= 2.0 * self.peak
    }

    fn cubic(&self, now: Nanos) -> f64 {
        let passed = now.saturating_sub(self.from) as f64 / SECOND;
        GROWTH * (passed - self.back_at_peak).powi(3) + self.peak
    }

    /// At most what one second brings may go at once.
    fn level_at(&self, now: Nanos, rate: f64) -> f64 {
        let passed = now.saturating_sub(self.at) as f64 / SECOND;
        (self.level + passed * rate).min(rate.max(1.0))
    }
}

/// So many may go at once after a refusal that by the end of the wait that it named, if it did, one may.
fn level_for_one_after(named: Nanos) -> f64 {
    match named {
        0 => 0.0,
        _ => (1.0 - named as f64 / SECOND * SLOWEST).max(0.0),
    }
}

const SECOND: f64 = 1e9;

const A_SECOND: Nanos = 1_000_000_000;

const HALF_SECOND: Nanos = 500_000_000;

const SMOOTHING: f64 = 0.8;

/// To this share of the rate it is cut.
const CUT: f64 = 0.7;

const GROWTH: f64 = 0.4;

/// Requests a second: however often an upstream refuses, it is asked every other second.
const SLOWEST: f64 = 0.5;

#[cfg(test)]
mod tests;
