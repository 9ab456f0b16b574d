//! The way in: a request asks all limiters at once, and passes, waits or is refused.

use std::{slice, time::Duration};

use super::{
    asking::{Asking, patience},
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
    cost::Cost,
    error::{BindingLimit, Error, Patience, RefusalReason},
    observe::Event,
    request::{Deadline, Key, RequestHead},
    upstream::Upstream,
};

/// What becomes of a request that asked.
pub(super) enum Entry {
    Admitted,
    Queued(Box<Waiter>),
    Refused(Error),
}

/// What is decided of a request while the locks are held, and told when they are free.
enum Decision {
    Admitted {
        takings: Takings,
        cost: Cost,
    },
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
        /// Where the wait is too long for it.
        patience: Option<Patience>,
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
    if let Some(late) = Deadline::missed(head.extensions, || now) {
        return too_late(limiters, head, late);
    }
    let mut asking = Asking::read(head, limiters, now);
    // Nearly always there is one, and no list is made of it.
    let [limiter] = limiters.all() else {
        return enter_all(limiters, head, &mut asking, permit);
    };
    let (key, mut news) = (limiter.key(head), News::default());
    let now = limiter.epoch().nanos(now);
    let mut locked = limiter.enter(&key, now);
    limiter.grant(head, &key, &mut locked, now, &mut news);
    let found = &mut [Found::new(limiter, &mut locked, now)];
    if asking.cost.is_guess {
        expect(limiters, &mut asking, found);
    }
    if !have_room(found, &asking) {
        let decision = decide(limiters, head, &mut asking, found, &mut news);
        drop(locked);
        return decision.tell(limiters, slice::from_ref(&key), news, permit);
    }
    let Takings { first, rare } = Takings::take(limiters, found, &asking, &mut news);
    drop(locked);
    // There is none yet: to assign it would look whether there is one to drop, and move it for that.
    permit.get_or_insert_with(|| Permit::of(limiters, first, rare, asking.cost, true));
    news.tell(Duration::ZERO);
    Entry::Admitted
}

/// That it came too late says nothing of a limit: it is told where the time is read.
#[cold]
fn too_late(limiters: &Limiters, head: &RequestHead<'_>, late: Duration) -> Entry {
    limiters.events().tell(&Event::DeadlineExceeded {
        layer: "rate_limit",
        upstream: head.upstream().map_or("", Upstream::id),
        late,
    });
    Entry::Refused(Error::DeadlineExceeded)
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
            let mut locked = limiter.enter(key, now);
            limiter.grant(head, key, &mut locked, now, &mut news);
            (limiter, locked, now)
        });
        let mut locked: Vec<_> = locked.collect();
        let found = locked.iter_mut();
        let found = found.map(|(limiter, locked, now)| Found::new(limiter, locked, *now));
        let mut found: Vec<_> = found.collect();
        if asking.cost.is_guess {
            expect(limiters, asking, &found);
        }
        match have_room(&found, asking) {
            true => Decision::Admitted {
                takings: Takings::take(limiters, &mut found, asking, &mut news),
                cost: asking.cost,
            },
            false => decide(limiters, head, asking, &mut found, &mut news),
        }
    };
    decision.tell(limiters, &keys, news, permit)
}

/// Whether it is seen at a glance that the request passes.
#[inline(always)]
fn have_room(found: &[Found<'_>], asking: &Asking) -> bool {
    for found in found {
        if !found.state.has_room(&asking.cost, found.now) {
            return false;
        }
    }
    true
}

/// Takes what the request costs, or says why not.
fn decide(
    limiters: &Limiters,
    head: &RequestHead<'_>,
    asking: &mut Asking,
    found: &mut [Found<'_>],
    news: &mut News,
) -> Decision {
    asking.read_priority(head);
    match look(found, asking) {
        Stands::Passes => Decision::Admitted {
            takings: Takings::take(limiters, found, asking, news),
            cost: asking.cost,
        },
        stands => hold_back(limiters, head, asking, found, stands),
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
fn hold_back(
    limiters: &Limiters,
    head: &RequestHead<'_>,
    asking: &Asking,
    found: &mut [Found<'_>],
    stands: Stands,
) -> Decision {
    let (limiter, wait) = match stands {
        Stands::Waits { limiter, wait } => (limiter, Duration::from_nanos(wait)),
        Stands::Passes => unreachable!("who passes is not held back"),
        Stands::IsTooLarge { limiter, limit } => {
            return Decision::Refused {
                limiter,
                wait: None,
                reason: RefusalReason::TooLarge,
                limit: found[limiter].state.too_small(limit),
                patience: None,
            };
        }
    };
    let capacity = limiters.all()[limiter].settings().queue_capacity;
    let patience = patience(head, limiters.all(), asking.asked);
    let reason = if patience.is_some_and(|longest| wait > longest.time()) {
        RefusalReason::WaitTooLong
    } else if found[limiter].state.queued() >= capacity {
        RefusalReason::QueueFull
    } else {
        let waiter = Waiter::join(limiters, found, limiter, asking.clone(), patience, head);
        return Decision::Queued {
            limiter,
            wait,
            waiter: Box::new(waiter),
        };
    };
    Decision::Refused {
        limiter,
        wait: Some(wait),
        reason,
        limit: found[limiter].state.binding(asking.cost),
        patience: patience.filter(|_| reason == RefusalReason::WaitTooLong),
    }
}

impl Decision {
    #[inline(never)]
    fn tell(
        self,
        limiters: &Limiters,
        keys: &[Key<'_>],
        news: News,
        permit: &mut Option<Permit>,
    ) -> Entry {
        match self {
            Self::Admitted { takings, cost } => {
                // Before anybody is told: an observer that panics leaks nothing.
                let Takings { first, rare } = takings;
                *permit = Some(Permit::of(limiters, first, rare, cost, true));
                news.tell(Duration::ZERO);
                Entry::Admitted
            }
            Self::Queued {
                limiter,
                wait,
                waiter,
            } => {
                news.tell(Duration::ZERO);
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
                patience,
            } => {
                news.tell(Duration::ZERO);
                let settings = limiters.all()[limiter].settings();
                let key = keys[limiter].named();
                Entry::Refused(settings.refuse(key, reason, wait, limit, patience))
            }
        }
    }
}
