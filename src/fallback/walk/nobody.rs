//! What becomes of a request for which nobody is free.

use super::{Passed, Sight, Turn, Walk};
use crate::{
    exhausted::WhyNot,
    fallback::{
        config::{Chain, WhenExhausted},
        state::{Entry, Grounds},
    },
    forecast::Prospect,
    upstream::Upstream,
};

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
        let mut cooling = |upstream: &Upstream| (sight.cooling)(upstream).map(|entry| entry.until);
        let known = |(index, upstream): (usize, &Upstream)| {
            // One that has failed and is back already counts from then.
            let known = || self.failed.iter().rfind(|(failed, _)| *failed == index)?.1;
            Some((cooling(upstream).or_else(known)?, index))
        };
        let upstreams = chain.upstreams.iter().enumerate();
        let allowed = upstreams.filter(|(_, upstream)| self.allows(upstream));
        let held_back = held_back.iter();
        let back = held_back.filter_map(|passed| Some((passed.back?, passed.index)));
        let soonest = allowed.filter_map(known).chain(back).min();
        match (soonest, self.asked, chain.when_exhausted) {
            (Some((_, index)), None, WhenExhausted::TryAnyway) => self.ask_all_the_same(index),
            (Some((until, _)), None, WhenExhausted::Wait { .. })
                if self.patience.is_some_and(|end| until <= end) =>
            {
                Turn::Wait { until }
            }
            (soonest, ..) => Turn::Exhausted {
                soonest: soonest.map(|(back, _)| back),
            },
        }
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
            let entry = (sight.cooling)(upstream).filter(|entry| entry.grounds < Grounds::Asked)?;
            let is_refused = (sight.prospect)(upstream).refused_for().is_some();
            (!is_refused).then_some((entry.until, index))
        });
        guessed.min().map(|(_, index)| index)
    }
}
