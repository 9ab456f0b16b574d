//! The way in: a request asks all limiters at once, and passes, waits or is refused.

use std::{
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use smallvec::SmallVec;

use super::{
    asking::Asking,
    decision::Look,
    limiters::{Limiters, States},
    permit::Permit,
    state::State,
    waiter::Waiter,
};
use crate::{
    error::{Error, RefusalReason},
    observe::Event,
    request::{Key, RequestHead},
};

/// What a request that asked holds.
pub(super) enum Entry {
    Admitted(Permit),
    Queued(Waiter),
}

/// Which limiter holds a request back the longest, and until when.
struct Wait {
    limiter: usize,
    until: Instant,
}

/// Which limiter refuses a request, and why.
struct Refusal {
    limiter: usize,
    reason: RefusalReason,
    until: Option<Instant>,
    limit: Arc<str>,
}

/// Admits, queues or refuses a request. What is refused has taken nothing.
pub(super) fn enter(limiters: &Limiters, head: &RequestHead<'_>) -> Result<Entry, Error> {
    let now = limiters.clock().now();
    let asking = Asking::read(head, limiters, now);
    let mut states = States::new();
    let mut keys = SmallVec::<[Key<'_>; 1]>::new();
    let mut wakers = SmallVec::<[Waker; 0]>::new();
    for limiter in limiters.iter() {
        let found = limiter.find(head, now);
        states.push(found.state);
        keys.push(found.key);
        wakers.extend(found.waker);
    }
    match look(limiters, &mut states, &asking) {
        Ok(None) => {
            let (permit, tales) = Permit::take(limiters, states, &asking, now);
            wakers.into_iter().for_each(Waker::wake);
            tales.iter().for_each(|tale| tale.tell(Duration::ZERO));
            Ok(Entry::Admitted(permit))
        }
        Ok(Some(Wait { limiter, until })) => {
            let waiter = Waiter::join(limiters, &mut states, limiter, asking);
            drop(states);
            wakers.into_iter().for_each(Waker::wake);
            let wait = until.saturating_duration_since(now);
            let key = &*keys[limiter];
            limiters[limiter]
                .settings()
                .events
                .tell(&Event::Queued { key, wait });
            Ok(Entry::Queued(waiter))
        }
        Err(refusal) => {
            drop(states);
            wakers.into_iter().for_each(Waker::wake);
            let wait = refusal
                .until
                .map(|until| until.saturating_duration_since(now));
            let key = keys.swap_remove(refusal.limiter).into();
            let settings = limiters[refusal.limiter].settings();
            Err(settings.refuse(key, refusal.reason, wait, refusal.limit))
        }
    }
}

fn look(
    limiters: &Limiters,
    states: &mut States<'_>,
    asking: &Asking,
) -> Result<Option<Wait>, Refusal> {
    let mut longest: Option<Wait> = None;
    for (index, (limiter, state)) in limiters.iter().zip(states.iter_mut()).enumerate() {
        let asked = asking.of(limiter.epoch());
        match state.look(&asked, asked.at) {
            Look::Pass => {}
            Look::Wait { until } => {
                let until = limiter.epoch().instant(until);
                if longest.as_ref().is_none_or(|wait| until > wait.until) {
                    longest = Some(Wait {
                        limiter: index,
                        until,
                    });
                }
            }
            Look::TooLarge { limit } => {
                return Err(Refusal {
                    limiter: index,
                    reason: RefusalReason::TooLarge,
                    until: None,
                    limit: in_words(state, limit),
                });
            }
        }
    }
    let Some(Wait { limiter, until }) = longest else {
        return Ok(None);
    };
    let refused = |reason| Refusal {
        limiter,
        reason,
        until: Some(until),
        limit: Arc::default(),
    };
    if asking.is_out_of_patience(until) {
        return Err(refused(RefusalReason::WaitTooLong));
    }
    if states[limiter].queued() >= limiters[limiter].settings().queue_capacity {
        return Err(refused(RefusalReason::QueueFull));
    }
    Ok(longest)
}

/// The limit that a request is too large for.
fn in_words(state: &State, limit: Option<usize>) -> Arc<str> {
    match limit {
        Some(index) => state.quota().limits[index].to_string().into(),
        None => "max_tokens_per_request".into(),
    }
}
