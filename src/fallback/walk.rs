//! One request's walk along a chain. Pure: it is told the time and what is known, and says whom to ask.

mod back;
mod nobody;

use std::time::{Duration, Instant};

use super::{
    config::{Chain, WhenExhausted},
    order::Order,
    plan::Plan,
    preferences::Preferences,
    state::Entry,
};
use crate::{
    cost::Cost,
    exhausted::WhyNot,
    forecast::Prospect,
    instant::{after, nanos},
    upstream::Upstream,
};

/// One request's walk along a chain, each upstream at most once, but for those to which it comes back.
#[derive(Debug)]
pub(super) struct Walk {
    order: Order,
    cost: Option<Cost>,
    preferences: Option<Preferences>,
    /// Who was asked last.
    asked: Option<usize>,
    failed: Vec<Failed>,
    /// Whether it has left a line, and nobody has been sent it since.
    is_out_of_line: bool,
    /// The latest end of a wait for the soonest; `None` where the chain does not wait.
    patience: Option<Instant>,
    /// The largest context that was too small.
    too_small: Option<u64>,
    /// Who was passed by at the last turn, where nobody was left.
    passed_by: Vec<Passed>,
    /// Whether the one asked last is left alone by others.
    is_probe: bool,
}

/// What is known when it is decided whom to ask.
pub(super) struct Sight<C, P> {
    pub(super) now: Instant,
    /// Whether the request may have another attempt.
    pub(super) is_allowed: bool,
    /// Whether an upstream is left alone, and until when.
    pub(super) cooling: C,
    /// What would become of the request there.
    pub(super) prospect: P,
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Ask the upstream at this place; so many others could still be asked.
    Try { index: usize, alternatives: u32 },
    /// Nobody can be asked now: ask again when the soonest is back.
    Wait { until: Instant },
    /// Nobody can be asked now: wait until then for the one at this place, which is back soonest.
    WaitFor { index: usize, until: Instant },
    /// Nobody is left. `soonest` is when the next request would be let through to somebody, where that is known.
    Exhausted { soonest: Option<Instant> },
}

/// The upstream at this place was not asked, and may be from then on where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) index: usize,
    pub(super) why: WhyNot,
    pub(super) back: Option<Instant>,
}

/// One that has failed.
#[derive(Clone, Copy, Debug)]
struct Failed {
    index: usize,
    /// When it may be asked again, its cooldown aside, where that is known.
    back: Option<Instant>,
    /// Where nobody else can answer, it is waited for.
    left: Option<Left>,
}

/// How one is come back to that would have been asked again, had there been nobody else to ask.
#[derive(Clone, Copy, Debug)]
pub(super) enum Left {
    /// It asked for a wait until `back`. One that would end later than `latest` is not begun.
    Hint { back: Instant, latest: Instant },
    /// It was silent. It is asked at once, or not at all, and after all who asked for a wait.
    Silence,
}

/// How one that may be asked compares with others: the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    class: Class,
    key: u64,
    index: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Free,
    /// It would make the request wait for longer than can be known.
    Full,
    /// It would make the request wait for longer than the chain likes.
    Queues,
    /// The request is too large for it, as far as can be estimated. It is asked when nobody else is left, for estimates err.
    TooSmall,
}

impl Walk {
    #[inline]
    pub(super) fn new(chain: &Chain, cost: Option<Cost>, preferences: Option<Preferences>) -> Self {
        let wanted = preferences.as_ref().and_then(Preferences::wanted_order);
        Self {
            order: wanted.unwrap_or(chain.order),
            cost,
            preferences,
            asked: None,
            failed: Vec::new(),
            is_out_of_line: false,
            patience: None,
            too_small: None,
            passed_by: Vec::new(),
            is_probe: false,
        }
    }

    /// Waits no longer than the chain, and the request, allow from now on.
    pub(super) fn limit(&mut self, chain: &Chain, deadline: Option<Instant>, now: Instant) {
        if let WhenExhausted::Wait { max } = chain.when_exhausted {
            let end = after(now, max);
            self.patience = Some(deadline.map_or(end, |deadline| end.min(deadline)));
        }
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }

    /// Who was asked last.
    pub(super) fn asked(&self) -> Option<usize> {
        self.asked
    }

    /// Whether the one asked last is cooling down, and is asked to find out whether it has to.
    #[inline]
    pub(super) fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// Who was not asked, once nobody is left: in the order of the chain.
    pub(super) fn passed_by(&self) -> &[Passed] {
        &self.passed_by
    }

    /// What the request asks for and nobody of the chain is called.
    pub(super) fn unknown<'a>(&'a self, chain: &'a Chain) -> impl Iterator<Item = &'a str> {
        let preferences = self.preferences.iter();
        preferences.flat_map(|preferences| preferences.unknown(&chain.upstreams))
    }

    /// Whose turn it is at first, and how many others could be asked then, where nobody has to be looked at for that: while all
    /// is calm, as nobody is cooling down and nobody is consulted, an order may know who goes before all others.
    #[inline]
    pub(super) fn first(&mut self, plan: &Plan, is_calm: bool) -> Option<(usize, u32)> {
        if !is_calm || self.preferences.is_some() {
            return None;
        }
        let chain = &plan.chain;
        let class = |upstream: &Upstream| match self.is_too_large_for(upstream) {
            true => Class::TooSmall,
            false => Class::Free,
        };
        let index = match self.order {
            Order::Weighted => plan.turn_wheel(class)?,
            _ => plan
                .leader()
                .filter(|index| class(&chain.upstreams[*index]) == Class::Free)?,
        };
        self.asked = Some(index);
        Some((index, (chain.upstreams.len() - 1) as u32))
    }

    /// Whose turn it is.
    pub(super) fn turn<C, P>(&mut self, plan: &Plan, mut sight: Sight<C, P>) -> Turn
    where
        C: FnMut(&Upstream) -> Option<Entry>,
        P: FnMut(&Upstream) -> Prospect,
    {
        let (mut best, mut free) = (None::<Rank>, 0_u32);
        let mut held_back = Vec::new();
        for (index, upstream) in self.open(&plan.chain) {
            if let Some(entry) = (sight.cooling)(upstream) {
                held_back.push(Passed {
                    index,
                    why: WhyNot::CoolingDown(entry.kind),
                    back: Some(entry.until),
                });
                continue;
            }
            free += 1;
            if best.is_some_and(|best| self.is_decided_by(best)) {
                continue;
            }
            let prospect = (sight.prospect)(upstream);
            if let Prospect::Refuse { by, retry_after } = prospect {
                free -= 1;
                held_back.push(Passed {
                    index,
                    why: WhyNot::WouldRefuse(by),
                    // To wait for no time would be a loop.
                    back: retry_after
                        .filter(|wait| !wait.is_zero())
                        .map(|wait| after(sight.now, wait)),
                });
                continue;
            }
            let class = self.class(upstream, prospect, plan.chain.max_wait);
            let key = match (class, prospect) {
                (Class::Queues, Prospect::Queue { wait } | Prospect::Full { at_least: wait }) => {
                    nanos(wait)
                }
                _ => plan.rank(index, self.order, self.cost, prospect, sight.now),
            };
            let rank = Rank { class, key, index };
            best = Some(best.map_or(rank, |best| best.min(rank)));
        }
        let turn = match best {
            Some(best) if sight.is_allowed => {
                plan.chosen(best.index, self.order);
                self.ask(best.index, free - 1 + self.waiting())
            }
            // The cap ends the walk, not the upstreams: there is no time to wait for.
            Some(_) => Turn::Exhausted { soonest: None },
            None => self
                .come_back(&plan.chain, &held_back, &mut sight)
                .unwrap_or_else(|| self.nobody_free(&plan.chain, &held_back, &mut sight)),
        };
        if let Turn::Exhausted { .. } = turn {
            self.passed_by = self.look_back(&plan.chain, &held_back, sight.cooling);
        }
        turn
    }

    /// The request has left the line in which it stood.
    pub(super) fn leave_line(&mut self) {
        self.is_out_of_line = true;
    }

    /// The request goes back into the line that it has left.
    pub(super) fn line_up_again(&mut self, chain: &Chain) -> Option<Turn> {
        self.is_out_of_line = false;
        let others = self.open(chain).count() as u32 + self.waiting();
        Some(self.ask(self.asked?, others))
    }

    /// Whether anybody could be asked after the one that is asked now, were it not cooling down.
    pub(super) fn goes_on(&self, chain: &Chain) -> bool {
        !self.is_final() && (self.left().next().is_some() || self.open(chain).next().is_some())
    }

    /// Whether the request wants what the one that was asked says, whatever it is.
    pub(super) fn is_final(&self) -> bool {
        let preferences = self.preferences.as_ref();
        preferences.is_some_and(Preferences::is_without_fallback)
    }

    /// Remembers that the one asked last has failed, and in how long it may be asked again, its cooldown aside; `None` where
    /// nobody knows, or no time makes it take this request.
    pub(super) fn failed(&mut self, back_in: Option<Duration>, now: Instant) {
        self.is_out_of_line = false;
        if let Some(index) = self.asked {
            self.failed.push(Failed {
                index,
                back: back_in.map(|time| after(now, time)),
                left: None,
            });
        }
    }

    /// Remembers that the request is too large for the context of this upstream: no smaller one is asked.
    pub(super) fn too_large_for(&mut self, upstream: &Upstream) {
        self.too_small = self.too_small.max(upstream.context());
    }

    fn is_decided_by(&self, best: Rank) -> bool {
        best.class == Class::Free && self.order.is_decided_by(best.key)
    }

    fn class(&self, upstream: &Upstream, prospect: Prospect, max_wait: Duration) -> Class {
        match prospect {
            _ if self.is_too_large_for(upstream) => Class::TooSmall,
            Prospect::TooLarge => Class::TooSmall,
            Prospect::Queue { wait } | Prospect::Full { at_least: wait } if wait > max_wait => {
                Class::Queues
            }
            // It would stand in a line again, and not ask again.
            Prospect::Queue { .. } if self.is_out_of_line => Class::Full,
            Prospect::Full { .. } => Class::Full,
            _ => Class::Free,
        }
    }

    /// Whether the request is larger than the context of this upstream, as far as can be estimated.
    fn is_too_large_for(&self, upstream: &Upstream) -> bool {
        let sure = |cost: Cost| match cost.is_guess {
            true => cost.input_tokens,
            false => cost.total_tokens(),
        };
        let size = self.cost.map_or(0, sure);
        upstream.context().is_some_and(|context| size > context)
    }

    fn ask(&mut self, index: usize, alternatives: u32) -> Turn {
        (self.asked, self.is_probe) = (Some(index), false);
        Turn::Try {
            index,
            alternatives,
        }
    }

    /// Asks one that is left alone by others.
    fn ask_all_the_same(&mut self, index: usize) -> Turn {
        let turn = self.ask(index, 0);
        self.is_probe = true;
        turn
    }

    /// Whoever has not been asked yet, whom the request allows, and whose context may be large enough.
    fn open<'a>(&'a self, chain: &'a Chain) -> impl Iterator<Item = (usize, &'a Upstream)> {
        let all = chain.upstreams.iter().enumerate();
        all.filter(move |(index, upstream)| {
            !self.is_asked(*index) && self.fits(upstream) && self.allows(upstream)
        })
    }

    fn is_asked(&self, index: usize) -> bool {
        let mut failed = self.failed.iter();
        self.asked == Some(index) || failed.any(|failed| failed.index == index)
    }

    fn allows(&self, upstream: &Upstream) -> bool {
        let preferences = self.preferences.as_ref();
        preferences.is_none_or(|preferences| preferences.allows(upstream))
    }

    /// A context that is not known may be large enough.
    fn fits(&self, upstream: &Upstream) -> bool {
        self.too_small
            .is_none_or(|too_small| upstream.context().is_none_or(|context| context > too_small))
    }
}

#[cfg(test)]
#[path = "walk/tests.rs"]
mod tests;
