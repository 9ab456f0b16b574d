//! Whom a request comes back to, and whom it goes to out of a line.

use std::time::Instant;

use super::{Failed, Left, Passed, Sight, Turn, Walk};
use crate::{
    fallback::{config::Chain, plan::Plan, state::Entry},
    forecast::Prospect,
    instant::after,
    upstream::Upstream,
};

impl Walk {
    /// The one that failed last has asked for a wait until `back`, which would be waited for were there nobody else, as long as it
    /// ends by `latest`.
    pub(crate) fn leave(&mut self, back: Instant, latest: Instant) {
        if let Some(failed) = self.failed.last_mut() {
            failed.left = Some(Left { back, latest });
        }
    }

    /// Who has failed, and asked for a wait that is only begun where nobody else can answer.
    pub(super) fn left(&self) -> impl Iterator<Item = (usize, Left)> + '_ {
        let left = |failed: &Failed| Some((failed.index, failed.left?));
        self.failed.iter().filter_map(left)
    }

    /// Where nobody else is left, one that was left to them is asked again, once, or waited for.
    pub(super) fn come_back<C, P>(
        &mut self,
        chain: &Chain,
        held_back: &[Passed],
        sight: &mut Sight<C, P>,
    ) -> Option<Turn>
    where
        C: FnMut(&Upstream) -> Option<Entry>,
        P: FnMut(&Upstream) -> Prospect,
    {
        if !sight.is_allowed {
            return None;
        }
        let back = |(index, left): (usize, Left)| {
            Some((left.back(&chain.upstreams[index], sight)?, index))
        };
        let (back, index) = self.left().filter_map(back).min()?;
        if back <= sight.now {
            let mut failed = self.failed.iter_mut();
            let left = failed.find(|failed| failed.index == index);
            left.into_iter().for_each(|failed| failed.left = None);
            return Some(self.ask_all_the_same(index));
        }
        // One that was not asked yet may be back before that.
        let not_asked = held_back.iter().filter_map(|it| Some((it.back?, it.index)));
        let not_asked = not_asked.filter(|(back, _)| *back > sight.now);
        let (until, index) = not_asked.chain([(back, index)]).min()?;
        Some(Turn::WaitFor { index, until })
    }

    /// Whether somebody else would take a request at once that stands in line: who was not asked, or is back.
    pub(crate) fn is_anybody_free<C, P>(&self, plan: &Plan, mut sight: Sight<C, P>) -> bool
    where
        C: FnMut(&Upstream) -> Option<Entry>,
        P: FnMut(&Upstream) -> Prospect,
    {
        // Who came here for that, and stands in line again, was told wrongly: what is foreseen does not tell of this line.
        if self.is_out_of_line {
            return false;
        }
        let (chain, now) = (&plan.chain, sight.now);
        // In the order in which the request would go to them.
        let mut can_others_be_asked = false;
        for (_, upstream) in self.open(chain) {
            match self.would_take(upstream, &mut sight) {
                Some(true) => return true,
                Some(false) => can_others_be_asked = true,
                None => {}
            }
        }
        let mut left = self.left().filter(|(_, left)| left.back <= now);
        !can_others_be_asked
            && left.any(|(index, _)| {
                self.would_take(&chain.upstreams[index], &mut sight) == Some(true)
            })
    }

    /// Whether this upstream would take the request at once; `None` where it cannot be asked now. Not one where it would stand in
    /// line again: that may be the same line, and how long its own still is nobody knows.
    fn would_take<C, P>(&self, upstream: &Upstream, sight: &mut Sight<C, P>) -> Option<bool>
    where
        C: FnMut(&Upstream) -> Option<Entry>,
        P: FnMut(&Upstream) -> Prospect,
    {
        if (sight.cooling)(upstream).is_some() {
            return None;
        }
        match (sight.prospect)(upstream) {
            Prospect::Refuse { .. } => None,
            Prospect::Pass { .. } => Some(!self.is_too_large_for(upstream)),
            _ => Some(false),
        }
    }
}

impl Left {
    /// When it can be asked again; `None` where that is too late.
    fn back<C, P>(&self, upstream: &Upstream, sight: &mut Sight<C, P>) -> Option<Instant>
    where
        C: FnMut(&Upstream) -> Option<Entry>,
        P: FnMut(&Upstream) -> Prospect,
    {
        // What it asked for itself is known; that it goes on failing is a guess.
        let asked = (sight.cooling)(upstream).and_then(|entry| entry.asked);
        let refused = (sight.prospect)(upstream).refused_for();
        let back = asked.map_or(self.back, |asked| self.back.max(asked));
        let back = refused.map_or(back, |time| back.max(after(sight.now, time)));
        (back <= self.latest).then_some(back)
    }
}
