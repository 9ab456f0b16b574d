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
    /// The one that failed last would be asked again, were there nobody else.
    pub(crate) fn leave(&mut self, left: Left) {
        if let Some(failed) = self.failed.last_mut() {
            failed.left = Some(left);
        }
    }

    /// Who has failed, and is come back to where nobody else can answer.
    pub(super) fn left(&self) -> impl Iterator<Item = (usize, Left)> + '_ {
        let left = |failed: &Failed| Some((failed.index, failed.left?));
        self.failed.iter().filter_map(left)
    }

    /// How many of those asked for a wait. Who was silent is none to whom others leave a request.
    pub(super) fn waiting(&self) -> u32 {
        let hints = self.left().filter(|(_, left)| !left.is_silence());
        hints.count() as u32
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
            let back = left.back(&chain.upstreams[index], sight)?;
            Some((left.is_silence(), back, index))
        };
        let (_, back, index) = self.left().filter_map(back).min()?;
        if back <= sight.now {
            let mut failed = self.failed.iter_mut();
            let left = failed.find(|failed| failed.index == index);
            left.into_iter().for_each(|failed| failed.left = None);
            return Some(self.ask_all_the_same(index));
        }
        // One that was not asked yet may be back before that.
        let not_asked = held_back.iter().filter_map(|it| Some((it.back?, it.index)));
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
        let mut left = self.left().filter(|(_, left)| left.is_back(now));
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
    fn is_silence(&self) -> bool {
        matches!(self, Self::Silence)
    }

    /// Whether the wait is over that it asked for.
    fn is_back(&self, now: Instant) -> bool {
        matches!(self, Self::Hint { back, .. } if *back <= now)
    }

    /// When it can be asked again; `None` where that is too late.
    fn back<C, P>(&self, upstream: &Upstream, sight: &mut Sight<C, P>) -> Option<Instant>
    where
        C: FnMut(&Upstream) -> Option<Entry>,
        P: FnMut(&Upstream) -> Prospect,
    {
        let (back, latest) = match *self {
            Self::Hint { back, latest } => (back, latest),
            Self::Silence => (sight.now, sight.now),
        };
        // What it asked for itself is known; that it goes on failing is a guess.
        let asked = (sight.cooling)(upstream).and_then(|entry| entry.asked);
        let refused = (sight.prospect)(upstream).refused_for();
        let back = asked.map_or(back, |asked| back.max(asked));
        let back = refused.map_or(back, |time| back.max(after(sight.now, time)));
        (back <= latest).then_some(back)
    }
}
