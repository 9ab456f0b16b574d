//! The way in: a request asks all limiters at once, and passes, waits or is refused.

use std::{
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use super::{
    asking::{Asking, longest_wait},
    decision::Look,
    epoch::Nanos,
    handle::Found,
    limiters::Limiters,
    permit::Permit,
    state::State,
    waiter::Waiter,
};
use crate::{
    error::{Error, RefusalReason},
    observe::Event,
    request::RequestHead,
};

/// What a request that asked holds.
pub(super) enum Entry {
    Admitted(Permit),
    Queued(Box<Waiter>),
}

/// What becomes of a request, and which limiter says so.
enum Outcome {
    Pass,
    Wait { limiter: usize, wait: Duration },
    TooLarge { limiter: usize, limit: Arc<str> },
}

/// Admits, queues or refuses a request. What is refused has taken nothing.
pub(super) fn enter(limiters: &Limiters, head: &RequestHead<'_>) -> Result<Entry, Error> {
    let now = limiters.clock().now();
    match limiters.all() {
        // Nearly always there is one, and no list is made of it.
        [limiter] => decide(limiters, head, now, [limiter.find(head, now)]),
        all => {
            let found = all.iter().map(|limiter| limiter.find(head, now));
            decide(limiters, head, now, found.collect::<Vec<_>>())
        }
    }
}

#[inline(always)]
fn decide<'a>(
    limiters: &'a Limiters,
    head: &RequestHead<'a>,
    now: Instant,
    mut found: impl AsMut<[Found<'a>]>,
) -> Result<Entry, Error> {
    let mut asking = Asking::read(head, limiters, now);
    let states = found.as_mut();
    if asking.cost.is_guess {
        let expected = states[limiters.learner()].state.expect(asking.cost);
        asking.expect(expected, limiters);
    }
    let wakers: Vec<_> = states
        .iter_mut()
        .filter_map(|found| found.waker.take())
        .collect();
    let (limiter, reason, wait, limit) = match look(states, &asking) {
        Outcome::Pass => {
            let states = states.iter_mut().map(|found| (&mut found.state, found.now));
            let (permit, tales) = Permit::take(limiters, states, &asking);
            drop(found);
            wakers.into_iter().for_each(Waker::wake);
            tales.iter().for_each(|tale| tale.tell(Duration::ZERO));
            return Ok(Entry::Admitted(permit));
        }
        Outcome::Wait { limiter, wait } => {
            let longest = longest_wait(head, limiters, now);
            let capacity = limiters.all()[limiter].settings().queue_capacity;
            if longest.is_some_and(|longest| wait > longest) {
                (
                    limiter,
                    RefusalReason::WaitTooLong,
                    Some(wait),
                    Arc::default(),
                )
            } else if states[limiter].state.queued() >= capacity {
                (
                    limiter,
                    RefusalReason::QueueFull,
                    Some(wait),
                    Arc::default(),
                )
            } else {
                let key = states[limiter].key.clone();
                let states = states.iter_mut().map(|found| &mut found.state);
                let waiter = Waiter::join(limiters, states, limiter, asking, longest);
                drop(found);
                wakers.into_iter().for_each(Waker::wake);
                let events = &limiters.all()[limiter].settings().events;
                events.tell(&Event::Queued { key: &key, wait });
                return Ok(Entry::Queued(Box::new(waiter)));
            }
        }
        Outcome::TooLarge { limiter, limit } => (limiter, RefusalReason::TooLarge, None, limit),
    };
    let key = states[limiter].key.clone().into();
    drop(found);
    wakers.into_iter().for_each(Waker::wake);
    let settings = limiters.all()[limiter].settings();
    Err(settings.refuse(key, reason, wait, limit))
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
