//! A request in line that somebody else might take.

use std::time::{Duration, Instant};

use crate::{
    binding::Patience,
    instant::after,
    request::{Attempts, RequestHead},
};

/// Asks now and then whether somebody else would take a request sooner than the line in which it stands.
#[derive(Debug)]
pub(super) struct Restless {
    ledger: Attempts,
    patience: Duration,
    asks: Instant,
}

impl Restless {
    /// `None` for a request that has nobody to ask. `ends` is when the wait ends in any case.
    pub(super) fn of(head: &RequestHead<'_>, ends: Option<Instant>, now: Instant) -> Option<Self> {
        let ledger = head.extensions.get::<Attempts>()?;
        let mut restless = Self {
            patience: ledger.elsewhere().patience()?,
            ledger: ledger.clone(),
            asks: now,
        };
        restless.asks = restless.next(ends, now);
        Some(restless)
    }

    /// Whether it leaves the line, for somebody would take it; and whose patience that is.
    pub(super) fn leaves(&self) -> Option<Patience> {
        let leaves = self.ledger.elsewhere().take_leave();
        leaves.then_some(Patience::Chain(self.patience))
    }

    /// Asks, where it is time to and the request will not be admitted soon as it is, at `until`. Gives back when to wake for that.
    pub(super) fn ask(
        &mut self,
        until: Option<Instant>,
        ends: Option<Instant>,
        now: Instant,
    ) -> Instant {
        if now >= self.asks {
            self.asks = self.next(ends, now);
            if until.is_none_or(|until| until > self.asks) {
                self.ledger.elsewhere().ask();
            }
        }
        self.asks
    }

    /// When half of what is left is over at the latest, so that somebody else still has time.
    fn next(&self, ends: Option<Instant>, now: Instant) -> Instant {
        let half = ends.map(|ends| ends.saturating_duration_since(now) / 2);
        let wait = half.map_or(self.patience, |half| half.min(self.patience));
        after(now, wait.max(SHORTEST))
    }
}

/// Long for a look at a few upstreams, and short for whoever waits.
const SHORTEST: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::clock::{Clock, TokioClock};

    fn restless(ends: Option<Instant>, now: Instant) -> Option<Restless> {
        let attempts = Attempts::default();
        attempts.elsewhere().offer(2_000_000_000);
        let mut request = Request::new(());
        request.extensions_mut().insert(attempts);
        Restless::of(&RequestHead::of(&request), ends, now)
    }

    #[test]
    fn it_asks_when_its_patience_or_half_of_its_time_is_over_but_not_all_the_time() {
        let start = TokioClock.now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut restless = restless(Some(at(5_000)), start).unwrap();
        let mut asked = Vec::new();
        let mut now = start;
        while now < at(5_000) {
            now = restless.ask(None, Some(at(5_000)), now);
            asked.push((now - start).as_millis());
        }
        // 2 s; half of 3 s; half of 1.5 s; and so on.
        assert_eq!(asked, [2_000, 3_500, 4_250, 4_625, 4_812, 4_912, 5_012]);
    }

    #[test]
    fn who_leaves_a_line_says_whose_patience_was_over() {
        let start = TokioClock.now();
        let restless = restless(None, start).unwrap();
        assert_eq!(restless.leaves(), None);
        restless.ledger.elsewhere().call_back();
        let patience = Patience::Chain(Duration::from_secs(2));
        assert_eq!(restless.leaves(), Some(patience));
    }

    #[test]
    fn who_is_admitted_soon_or_has_nobody_to_ask_asks_nobody() {
        let start = TokioClock.now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut restless = restless(None, start).unwrap();
        let mut is_asked = |until, now| {
            restless.ask(until, None, now);
            restless.ledger.elsewhere().take_question()
        };
        assert!(!is_asked(None, at(1)));
        assert!(!is_asked(Some(at(4)), at(2)) && is_asked(Some(at(7)), at(4)));
        assert!(!is_asked(None, at(4)) && is_asked(None, at(6)));
        let plain = Request::new(());
        assert!(Restless::of(&RequestHead::of(&plain), None, start).is_none());
    }
}
