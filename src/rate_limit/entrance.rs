//! The way in: a request asks all limiters at once, and passes, waits or is refused.

use std::{slice, sync::Arc, task::Waker, time::Duration};

use super::{
    asking::{Asking, longest_wait},
    decision::Look,
    epoch::Nanos,
    handle::Found,
    limiters::Limiters,
    permit::{Permit, Tale},
    state::State,
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
enum Decision<'a> {
    Admitted,
    Queued {
        waiter: Box<Waiter>,
        key: Key<'a>,
        wait: Duration,
    },
    Refused {
        limiter: usize,
        key: Key<'a>,
        reason: RefusalReason,
        wait: Option<Duration>,
        limit: Arc<str>,
    },
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
    let asking = Asking::read(head, limiters, now);
    let (mut wakers, mut tales) = (Vec::new(), Vec::new());
    let decision = match limiters.all() {
        // Nearly always there is one, and no list is made of it.
        [limiter] => {
            let mut found = limiter.find(head, now, &mut wakers);
            let found = slice::from_mut(&mut found);
            decide(limiters, head, &asking, found, permit, &mut tales)
        }
        all => {
            let found = all
                .iter()
                .map(|limiter| limiter.find(head, now, &mut wakers));
            let mut found: Vec<_> = found.collect();
            decide(limiters, head, &asking, &mut found, permit, &mut tales)
        }
    };
    if !wakers.is_empty() {
        wakers.into_iter().for_each(Waker::wake);
    }
    match decision {
        Decision::Admitted => {
            tales.iter().for_each(|tale| tale.tell(Duration::ZERO));
            Entry::Admitted
        }
        Decision::Queued { waiter, key, wait } => {
            let event = Event::Queued { key: &key, wait };
            waiter.events().tell(&event);
            Entry::Queued(waiter)
        }
        Decision::Refused {
            limiter,
            key,
            reason,
            wait,
            limit,
        } => {
            let settings = limiters.all()[limiter].settings();
            Entry::Refused(settings.refuse(key.into(), reason, wait, limit))
        }
    }
}

#[inline]
fn decide<'a>(
    limiters: &'a Limiters,
    head: &RequestHead<'a>,
    asking: &Asking,
    found: &mut [Found<'a>],
    permit: &mut Option<Permit>,
    tales: &mut Vec<Tale<'a>>,
) -> Decision<'a> {
    match look(found, asking) {
        Outcome::Pass => {
            let states = found.iter_mut();
            let states = states.map(|found| (found.limiter, &mut found.state, found.now));
            *permit = Some(Permit::take(limiters, states, asking, tales));
            Decision::Admitted
        }
        Outcome::Wait { limiter, wait } => {
            hold_back(limiters, head, asking, found, (limiter, wait))
        }
        Outcome::TooLarge { limiter, limit } => Decision::Refused {
            limiter,
            key: found[limiter].key.clone(),
            reason: RefusalReason::TooLarge,
            wait: None,
            limit,
        },
    }
}

/// Queues a request, or refuses it, where it would wait too long or too many wait.
#[inline(never)]
fn hold_back<'a>(
    limiters: &'a Limiters,
    head: &RequestHead<'a>,
    asking: &Asking,
    found: &mut [Found<'a>],
    (limiter, wait): (usize, Duration),
) -> Decision<'a> {
    let key = found[limiter].key.clone();
    let capacity = limiters.all()[limiter].settings().queue_capacity;
    let longest = longest_wait(head, limiters, asking.asked);
    let reason = if longest.is_some_and(|longest| wait > longest) {
        RefusalReason::WaitTooLong
    } else if found[limiter].state.queued() >= capacity {
        RefusalReason::QueueFull
    } else {
        let states = found.iter_mut().map(|found| &mut found.state);
        let waiter = Waiter::join(limiters, states, limiter, asking.clone(), longest);
        let waiter = Box::new(waiter);
        return Decision::Queued { waiter, key, wait };
    };
    Decision::Refused {
        limiter,
        key,
        reason,
        wait: Some(wait),
        limit: Arc::default(),
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
                let limit = in_words(&found.state, limit);
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

/// The limit that a request is too large for.
fn in_words(state: &State, limit: Option<usize>) -> Arc<str> {
    match limit {
        Some(index) => state.quota().limits[index].to_string().into(),
        None => "max_tokens_per_request".into(),
    }
}
