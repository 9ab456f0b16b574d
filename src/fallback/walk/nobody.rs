//! What becomes of a request for which nobody is free.

use std::time::Instant;

use super::{Failed, Passed, Sight, Turn, Walk};
use crate::{
    exhausted::WhyNot,
    fallback::{
        config::{Chain, WhenExhausted},
        state::Entry,
    },
    forecast::Prospect,
    instant::after,
    upstream::Upstream,
};

/// When an upstream is back.
struct Back {
    index: usize,
    /// From when on it does not cool down, and nobody would refuse.
    cooled: Instant,
    /// From when on a request is let through to it, be it to find out whether it still has to cool down.
    open: Instant,
}

impl Walk {
    /// What to do where nobody is free.
    pub(super) fn nobody_free<C, P>(
        &mut self,
        chain: &Chain,
        held_back: &[Passed],
        sight: &mut Sight<C, P>,
    ) -> Turn
    where
        C: FnMut(&Upstream) -> Option<Entry>,
        P: FnMut(&Upstream) -> Prospect,
    {
        if let (None, WhenExhausted::Probe) = (self.asked, chain.when_exhausted)
            && let Some(index) = self.probe(chain, sight)
        {
            return self.ask_all_the_same(index);
        }
        let is_probing = self.next_is_probe(chain, sight);
        let upstreams = chain.upstreams.iter().enumerate();
        let backs: Vec<Back> = upstreams
            .filter(|(_, upstream)| self.allows(upstream) && self.fits(upstream))
            .filter_map(|it| self.back(it, is_probing, held_back, sight))
            .collect();
        let first_cooled = backs.iter().map(|back| (back.cooled, back.index)).min();
        let soonest = backs.iter().map(|back| back.open).min();
        match (soonest, first_cooled, chain.when_exhausted) {
            (_, Some((_, index)), WhenExhausted::TryAnyway) if self.asked.is_none() => {
                self.ask_all_the_same(index)
            }
            (Some(until), _, WhenExhausted::Wait { .. })
                if self.asked.is_none() && self.patience.is_some_and(|end| until <= end) =>
            {
                Turn::Wait { until }
            }
            _ => Turn::Exhausted { soonest },
        }
    }

    /// Whether the next request is sent to one that named no time, to find out: not where there is one that has failed this request
    /// without cooling down, and that nobody says will refuse. It is asked in place of a probe.
    fn next_is_probe<C, P>(&self, chain: &Chain, sight: &mut Sight<C, P>) -> bool
    where
        C: FnMut(&Upstream) -> Option<Entry>,
        P: FnMut(&Upstream) -> Prospect,
    {
        let mut is_free = |failed: &Failed| {
            let upstream = &chain.upstreams[failed.index];
            (sight.cooling)(upstream).is_none()
                && !matches!((sight.prospect)(upstream), Prospect::Refuse { .. })
        };
        let probes = [WhenExhausted::Probe, WhenExhausted::TryAnyway];
        probes.contains(&chain.when_exhausted) && !self.failed.iter().any(&mut is_free)
    }

    /// When this upstream is back for the next request like this one; `None` where nobody knows, or no time helps.
    fn back<C, P>(
        &self,
        (index, upstream): (usize, &Upstream),
        is_probing: bool,
        held_back: &[Passed],
        sight: &mut Sight<C, P>,
    ) -> Option<Back>
    where
        C: FnMut(&Upstream) -> Option<Entry>,
        P: FnMut(&Upstream) -> Prospect,
    {
        let (now, entry) = (sight.now, (sight.cooling)(upstream));
        let failed = self.failed.iter().rfind(|failed| failed.index == index);
        let failed = match failed {
            Some(failed) => failed.back.or(entry.map(|_| now))?,
            None => now,
        };
        let would_refuse = |passed: &&Passed| {
            passed.index == index && matches!(passed.why, WhyNot::WouldRefuse(_))
        };
        // Whoever was consulted is not asked anew: the upstream may be free by now, and this walk has passed it by.
        let refused = match held_back.iter().find(would_refuse) {
            Some(passed) => passed.back?,
            None => match (sight.prospect)(upstream) {
                Prospect::Refuse { retry_after, .. } => after(now, retry_after?),
                Prospect::Pass { .. }
                | Prospect::Queue { .. }
                | Prospect::Full { .. }
                | Prospect::TooLarge => now,
            },
        };
        let free = now.max(failed).max(refused);
        let cooled = entry.map_or(free, |entry| entry.until.max(free));
        let asked = entry.and_then(|entry| entry.asked);
        let found_out = asked.map_or(free, |asked| asked.max(free));
        Some(Back {
            index,
            cooled,
            open: if is_probing { found_out } else { cooled },
        })
    }

    /// Why each that was not asked was passed by. Who was held back is not looked at again: they may be free by now, and why they
    /// were not asked would be lost.
    pub(super) fn look_back<C>(
        &self,
        chain: &Chain,
        held_back: &[Passed],
        mut cooling: C,
    ) -> Vec<Passed>
    where
        C: FnMut(&Upstream) -> Option<Entry>,
    {
        let mut passed = |index: usize, upstream: &Upstream| {
            let known = held_back.iter().find(|passed| passed.index == index);
            if let Some(passed) = known {
                return *passed;
            }
            let (why, back) = if !self.allows(upstream) {
                (WhyNot::Excluded, None)
            } else if let Some(entry) = cooling(upstream) {
                (WhyNot::CoolingDown(entry.kind), Some(entry.until))
            } else if !self.fits(upstream) {
                (WhyNot::ContextTooSmall, None)
            } else {
                (WhyNot::NoAttemptLeft, None)
            };
            Passed { index, why, back }
        };
        let upstreams = chain.upstreams.iter().enumerate();
        let not_asked = upstreams.filter(|(index, _)| !self.is_asked(*index));
        not_asked
            .map(|(index, upstream)| passed(index, upstream))
            .collect()
    }

    /// The soonest to be back of those whose cooldown is a guess, and who would take the request.
    fn probe<C, P>(&self, chain: &Chain, sight: &mut Sight<C, P>) -> Option<usize>
    where
        C: FnMut(&Upstream) -> Option<Entry>,
        P: FnMut(&Upstream) -> Prospect,
    {
        let guessed = self.open(chain).filter_map(|(index, upstream)| {
            let entry = (sight.cooling)(upstream).filter(|entry| entry.is_guess(sight.now))?;
            let is_refused = (sight.prospect)(upstream).refused_for().is_some();
            (!is_refused).then_some((entry.until, index))
        });
        guessed.min().map(|(_, index)| index)
    }
}
