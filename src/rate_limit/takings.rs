//! What an admission has taken.

use std::time::Duration;

use tracing::Level;

use super::{
    asking::Asking,
    counts::Shadow,
    decision::Admitted,
    epoch::Nanos,
    handle::Found,
    limiters::Limiters,
    mark::{Admissions, Then},
    news::{News, Shadowed},
    state::State,
    uses::uses,
};
use crate::{cost::Cost, keys::Spot, observe::Events, upstream::Upstream};

/// What was taken from one limiter: under which key, and when.
pub(super) struct Taken {
    pub(super) spot: Spot,
    pub(super) at: Nanos,
    /// All that was admitted until then, this one included.
    pub(super) admitted: Admissions,
}

/// What most permits do without.
pub(super) struct Rare {
    /// What was taken from the limiters after the first.
    pub(super) others: Vec<Taken>,
    /// How each limit stood of the one that learns, where its upstream tells of limits.
    pub(super) then: Option<Box<[Then]>>,
    /// Where the request's tokens have a price.
    pub(super) upstream: Option<Upstream>,
}

/// What was taken, of which a permit is made when the locks are free.
#[must_use]
pub(super) struct Takings {
    pub(super) first: Taken,
    pub(super) rare: Option<Box<Rare>>,
}

impl Takings {
    /// Takes what a request costs from all limiters.
    #[inline(always)]
    pub(super) fn take(
        limiters: &Limiters,
        found: &mut [Found<'_>],
        asking: &Asking,
        news: &mut News,
    ) -> Self {
        let first = Taken::from(&mut found[0], &asking.cost, news);
        let is_plain = found.len() == 1 && asking.upstream.is_none();
        let rare = match is_plain && !found[0].state.learns() {
            true => None,
            false => Some(Rare::take(limiters, found, asking, news)),
        };
        Self { first, rare }
    }
}

impl Rare {
    #[inline(never)]
    fn take(
        limiters: &Limiters,
        found: &mut [Found<'_>],
        asking: &Asking,
        news: &mut News,
    ) -> Box<Self> {
        let others = found.iter_mut().skip(1);
        let others = others.map(|found| Taken::from(found, &asking.cost, news));
        Box::new(Self {
            others: others.collect(),
            then: found[limiters.learner()].state.then_if_learned(),
            upstream: asking.upstream.clone(),
        })
    }
}

impl Taken {
    /// The moment of the admission, and its number.
    pub(super) fn when(&self) -> (Nanos, Admissions) {
        (self.at, self.admitted)
    }

    #[inline(always)]
    fn from(found: &mut Found<'_>, cost: &Cost, news: &mut News) -> Self {
        found.begun.begin();
        let events = &found.limiter.settings().events;
        let shadow = match found.state.has_shadow() {
            true => found.state.shadow(cost, found.now),
            false => None,
        };
        let Admitted { at, admitted } = found.state.admit(cost, found.now);
        if shadow.is_some() || events.are_heard(Level::DEBUG) {
            tell(found, events, shadow, at, news);
        }
        Self {
            spot: found.spot,
            at,
            admitted,
        }
    }
}

#[cold]
fn tell(
    found: &mut Found<'_>,
    events: &Events,
    shadow: Option<Shadow>,
    at: Nanos,
    news: &mut News,
) {
    let level = match shadow {
        Some(_) => Level::INFO,
        None => Level::DEBUG,
    };
    if events.are_heard(level) {
        let limits = match events.are_observed() {
            true => uses(found.state, found.now),
            false => Vec::new(),
        };
        news.admitted(events, found.key, limits, shadowed(found.state, shadow, at));
    }
}

fn shadowed(state: &State, shadow: Option<Shadow>, at: Nanos) -> Option<Shadowed> {
    let shadow = shadow?;
    Some(Shadowed {
        limit: state.shadowed(shadow)?.to_string(),
        wait: Duration::from_nanos(shadow.until.saturating_sub(at)),
    })
}
