//! The way in: a request asks all limiters at once, and passes, waits or is refused.

use std::{slice, time::Duration};

use super::{
    asking::{Asking, longest_wait},
    decision::Look,
    epoch::Nanos,
    handle::Found,
    limiters::Limiters,
    news::News,
    permit::Permit,
    takings::Takings,
    waiter::Waiter,
};
use crate::{
    error::{BindingLimit, Error, RefusalReason},
    observe::Event,
    request::{Key, RequestHead},
};

/// What becomes of a request that asked.
pub(super) enum Entry {
    Admitted,
    Queued(Box<Waiter>),
    Refused(Error),
}

/// What is decided of a request that does not pass, while the locks are held, and told when they are free.
enum HeldBack {
    Queued {
        limiter: usize,
        wait: Duration,
        waiter: Box<Waiter>,
    },
    Refused {
        limiter: usize,
        wait: Option<Duration>,
        reason: RefusalReason,
        limit: Option<BindingLimit>,
    },
}

/// How a request stands with all limiters, and which of them says so.
enum Stands {
    Passes,
    Waits {
        limiter: usize,
        wait: Nanos,
    },
    IsTooLarge {
        limiter: usize,
        limit: Option<usize>,
    },
}

/// Admits, queues or refuses a request. What is refused has taken nothing. The permit of one that is admitted is put where it
/// is to stay, for moves of it are a good part of what a call costs.
pub(super) fn enter(
    limiters: &Limiters,
    head: &RequestHead<'_>,
    permit: &mut Option<Permit>,
) -> Entry {
    let now = limiters.clock().now();
    let mut asking = Asking::read(head, limiters, now);
    // Nearly always there is one, and no list is made of it.
    let [limiter] = limiters.all() else {
        return enter_all(limiters, head, &mut asking, permit);
    };
    let mut news = News::default();
    let key = limiter.key(head);
    let decision = {
        let now = limiter.epoch().nanos(now);
        let mut locked = limiter.find(head, &key, now, &mut news);
        let found = &mut [Found::new(limiter, &mut locked, now)];
        decide(limiters, head, &mut asking, found, &mut news)
    };
    match decision {
        Ok(takings) => {
            *permit = Some(Permit::of(limiters, takings, asking.cost, true));
            news.tell(Duration::ZERO);
            Entry::Admitted
        }
        Err(held_back) => held_back.tell(limiters, slice::from_ref(&key), news),
    }
}

/// Several limiters are locked in their order, and say together.
#[inline(never)]
fn enter_all(
    limiters: &Limiters,
    head: &RequestHead<'_>,
    asking: &mut Asking,
    permit: &mut Option<Permit>,
) -> Entry {
    let (all, mut news) = (limiters.all(), News::default());
    let keys: Vec<_> = all.iter().map(|limiter| limiter.key(head)).collect();
    let decision = {
        let all = all.iter().zip(&keys);
        let locked = all.map(|(limiter, key)| {
            let now = limiter.epoch().nanos(asking.asked);
            let locked = limiter.find(head, key, now, &mut news);
            (limiter, locked, now)
        });
        let mut locked: Vec<_> = locked.collect();
        let found = locked.iter_mut();
        let found = found.map(|(limiter, locked, now)| Found::new(limiter, locked, *now));
        let mut found: Vec<_> = found.collect();
        decide(limiters, head, asking, &mut found, &mut news)
    };
    match decision {
        Ok(takings) => {
            *permit = Some(Permit::of(limiters, takings, asking.cost, true));
            news.tell(Duration::ZERO);
            Entry::Admitted
        }
        Err(held_back) => held_back.tell(limiters, &keys, news),
    }
}

/// Takes what the request costs, or says why not.
#[inline(always)]
fn decide(
    limiters: &Limiters,
    head: &RequestHead<'_>,
    asking: &mut Asking,
    found: &mut [Found<'_>],
    news: &mut News,
) -> Result<Takings, HeldBack> {
    if asking.cost.is_guess {
        expect(limiters, asking, found);
    }
    match look(found, asking) {
        Stands::Passes => Ok(Takings::take(limiters, found, asking, news)),
        stands => Err(hold_back(limiters, head, asking, found, stands)),
    }
}

/// Replaces a guess by what is known.
#[cold]
fn expect(limiters: &Limiters, asking: &mut Asking, found: &[Found<'_>]) {
    let mut cost = found[limiters.learner()].state.expect(asking.cost);
    for found in found {
        cost = found.state.make_fit(cost);
    }
    asking.expect(cost, limiters);
}

#[inline(always)]
fn look(found: &mut [Found<'_>], asking: &Asking) -> Stands {
    let mut longest: Option<(usize, Nanos)> = None;
    for (limiter, found) in found.iter_mut().enumerate() {
        match found.state.look(&asking.at(found.now), found.now) {
            Look::Pass => {}
            Look::Wait { until } => {
                let wait = until.saturating_sub(found.now);
                if longest.is_none_or(|(_, longest)| wait > longest) {
                    longest = Some((limiter, wait));
                }
            }
            Look::TooLarge { limit } => return Stands::IsTooLarge { limiter, limit },
        }
    }
    match longest {
        None => Stands::Passes,
        Some((limiter, wait)) => Stands::Waits { limiter, wait },
    }
}

/// Queues a request, or refuses it, where it would wait too long or too many wait.
#[inline(never)]
fn hold_back(
    limiters: &Limiters,
    head: &RequestHead<'_>,
    asking: &Asking,
    found: &mut [Found<'_>],
    stands: Stands,
) -> HeldBack {
    let (limiter, wait) = match stands {
        Stands::Waits { limiter, wait } => (limiter, Duration::from_nanos(wait)),
        Stands::Passes => unreachable!("who passes is not held back"),
        Stands::IsTooLarge { limiter, limit } => {
            return HeldBack::Refused {
                limiter,
                wait: None,
                reason: RefusalReason::TooLarge,
                limit: found[limiter].state.too_small(limit),
            };
        }
    };
    let capacity = limiters.all()[limiter].settings().queue_capacity;
    let longest = longest_wait(head, limiters.all(), asking.asked);
    let reason = if longest.is_some_and(|longest| wait > longest) {
        RefusalReason::WaitTooLong
    } else if found[limiter].state.queued() >= capacity {
        RefusalReason::QueueFull
    } else {
        let waiter = Waiter::join(limiters, found, limiter, asking.clone(), longest);
        return HeldBack::Queued {
            limiter,
            wait,
            waiter: Box::new(waiter),
        };
    };
    HeldBack::Refused {
        limiter,
        wait: Some(wait),
        reason,
        limit: found[limiter].state.binding(asking.cost),
    }
}

impl HeldBack {
    #[inline(never)]
    fn tell(self, limiters: &Limiters, keys: &[Key<'_>], news: News) -> Entry {
        news.tell(Duration::ZERO);
        match self {
            Self::Queued {
                limiter,
                wait,
                waiter,
            } => {
                let (settings, key) = (limiters.all()[limiter].settings(), &keys[limiter]);
                let limit = &waiter.limit();
                settings.events.tell(&Event::Queued { key, limit, wait });
                Entry::Queued(waiter)
            }
            Self::Refused {
                limiter,
                wait,
                reason,
                limit,
            } => {
                let settings = limiters.all()[limiter].settings();
                Entry::Refused(settings.refuse(keys[limiter].named(), reason, wait, limit))
            }
        }
    }
}
