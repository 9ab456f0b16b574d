//! The way in: a request asks all limiters at once, and passes, waits or is refused.

use std::{slice, sync::Arc, task::Waker, time::Duration};

use super::{
    asking::{Asking, longest_wait},
    decision::Look,
    epoch::Nanos,
    handle::Found,
    limiters::Limiters,
    permit::{Permit, Tale},
    waiter::Waiter,
};
use crate::{
    error::{Error, RefusalReason},
    observe::Event,
    request::{Key, RequestHead},
};

/// What becomes of a request that asked.
pub(super) enum Entry {
    Admitted,
    Queued(Box<Waiter>),
    Refused(Error),
}

/// What is decided of a request while the locks are held, and told when they are free.
enum Decision {
    Admitted,
    Queued {
        limiter: usize,
        wait: Duration,
        waiter: Box<Waiter>,
    },
    Refused {
        limiter: usize,
        wait: Option<Duration>,
        reason: RefusalReason,
        limit: Arc<str>,
    },
}

/// What there is to wake and to tell when the locks are free.
#[derive(Default)]
struct News {
    wakers: Vec<Waker>,
    tales: Vec<Tale>,
}

/// What becomes of a request, and which limiter says so.
enum Outcome {
    Pass,
    Wait { limiter: usize, wait: Duration },
    TooLarge { limiter: usize, limit: Arc<str> },
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
    let mut news = News::default();
    match limiters.all() {
        // Nearly always there is one, and no list is made of it.
        [limiter] => {
            let key = limiter.key(head);
            let decision = {
                let now = limiter.epoch().nanos(now);
                let mut locked = limiter.find(head, &key, now, &mut news.wakers);
                let found = &mut [Found::new(limiter, &mut locked, now)];
                decide(limiters, head, &mut asking, found, permit, &mut news)
            };
            news.tell(limiters, slice::from_ref(&key), decision)
        }
        all => {
            let keys: Vec<_> = all.iter().map(|limiter| limiter.key(head)).collect();
            let decision = {
                let all = all.iter().zip(&keys);
                let locked = all.map(|(limiter, key)| {
                    let now = limiter.epoch().nanos(now);
                    let locked = limiter.find(head, key, now, &mut news.wakers);
                    (limiter, locked, now)
                });
                let mut locked: Vec<_> = locked.collect();
                let found = locked.iter_mut();
                let found = found.map(|(limiter, locked, now)| Found::new(limiter, locked, *now));
                let mut found: Vec<_> = found.collect();
                decide(limiters, head, &mut asking, &mut found, permit, &mut news)
            };
            news.tell(limiters, &keys, decision)
        }
    }
}

#[inline(always)]
fn decide(
    limiters: &Limiters,
    head: &RequestHead<'_>,
    asking: &mut Asking,
    found: &mut [Found<'_>],
    permit: &mut Option<Permit>,
    news: &mut News,
) -> Decision {
    if asking.cost.is_guess {
        let mut cost = found[limiters.learner()].state.expect(asking.cost);
        for found in found.iter() {
            cost = found.state.make_fit(cost);
        }
        asking.expect(cost, limiters);
    }
    match look(found, asking) {
        Outcome::Pass => {
            *permit = Some(Permit::take(limiters, found, asking, &mut news.tales));
            Decision::Admitted
        }
        Outcome::Wait { limiter, wait } => {
            hold_back(limiters, head, asking, found, (limiter, wait))
        }
        Outcome::TooLarge { limiter, limit } => Decision::Refused {
            limiter,
            wait: None,
            reason: RefusalReason::TooLarge,
            limit,
        },
    }
}

/// Queues a request, or refuses it, where it would wait too long or too many wait.
#[inline(never)]
fn hold_back(
    limiters: &Limiters,
    head: &RequestHead<'_>,
    asking: &Asking,
    found: &mut [Found<'_>],
    (limiter, wait): (usize, Duration),
) -> Decision {
    let capacity = limiters.all()[limiter].settings().queue_capacity;
    let longest = longest_wait(head, limiters, asking.asked);
    let reason = if longest.is_some_and(|longest| wait > longest) {
        RefusalReason::WaitTooLong
    } else if found[limiter].state.queued() >= capacity {
        RefusalReason::QueueFull
    } else {
        let waiter = Waiter::join(limiters, found, limiter, asking.clone(), longest);
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
        limit: Arc::default(),
    }
}

impl News {
    #[inline(always)]
    fn tell(self, limiters: &Limiters, keys: &[Key<'_>], decision: Decision) -> Entry {
        if !self.wakers.is_empty() {
            self.wakers.into_iter().for_each(Waker::wake);
        }
        match decision {
            Decision::Admitted => {
                self.tales.iter().for_each(|tale| tale.tell(Duration::ZERO));
                Entry::Admitted
            }
            Decision::Queued {
                limiter,
                wait,
                waiter,
            } => {
                let (settings, key) = (limiters.all()[limiter].settings(), &keys[limiter]);
                let limit = waiter.limit();
                settings.events.tell(&Event::Queued { key, limit, wait });
                Entry::Queued(waiter)
            }
            Decision::Refused {
                limiter,
                wait,
                reason,
                limit,
            } => {
                let settings = limiters.all()[limiter].settings();
                let key = keys[limiter].clone().into();
                Entry::Refused(settings.refuse(key, reason, wait, limit))
            }
        }
    }
}

#[inline(always)]
fn look(found: &mut [Found<'_>], asking: &Asking) -> Outcome {
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
            Look::TooLarge { limit } => {
                let limit = found.state.in_words(limit);
                return Outcome::TooLarge { limiter, limit };
            }
        }
    }
    match longest {
        None => Outcome::Pass,
        Some((limiter, wait)) => Outcome::Wait {
            limiter,
            wait: Duration::from_nanos(wait),
        },
    }
}
