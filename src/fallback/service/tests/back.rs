//! When an exhausted chain says that somebody is back, somebody is: not earlier, and not later.

use std::{cell::RefCell, time::Instant};

use proptest::prelude::*;

use super::*;
use crate::{clock::ManualClock, forecast::Prospect, outcome::RefusedBy, request::RequestHead};

/// What an upstream answers: always the same, so that only time changes what becomes of a request.
#[derive(Clone, Copy, Debug)]
enum Always {
    Unreachable,
    Status(u16),
    Limited(u64),
    /// Refused by a layer inside of the chain, which nobody consults.
    Refused(u64),
}

fn always() -> impl Strategy<Value = Always> {
    prop_oneof![
        Just(Always::Unreachable),
        prop::sample::select(vec![500, 503, 429]).prop_map(Always::Status),
        (1..100_u64).prop_map(Always::Limited),
        (1..100_u64).prop_map(Always::Refused),
    ]
}

/// The layer, what is inside of it, and the time.
struct Scene {
    layer: FallbackLayer,
    clock: ManualClock,
    start: Instant,
    answers: [Always; 3],
    /// Until when the layer inside refuses, once it has begun to.
    refusing: RefCell<[Option<Duration>; 3]>,
}

/// What became of a request.
struct Way {
    /// Whom it was sent to.
    asked: Vec<usize>,
    /// Whom it reached, past the layer inside.
    reached: Vec<usize>,
    exhausted: Option<Exhausted>,
}

impl Scene {
    fn new(chain: Chain, clock: ManualClock, answers: [Always; 3]) -> Self {
        let layer = FallbackLayer::new(chain).unwrap();
        Self {
            layer: layer.cooldowns(Cooldowns::new().clock(clock.clone())),
            start: clock.now(),
            clock,
            answers,
            refusing: RefCell::default(),
        }
    }

    fn passed(&self) -> Duration {
        self.clock.now() - self.start
    }

    fn send(&self) -> Way {
        let [asked, reached] = [RefCell::new(Vec::new()), RefCell::new(Vec::new())];
        let client = service_fn(|request: Request<String>| {
            let mut all = ["a/1", "a/2", "b/1"].iter();
            let index = all.position(|it| *it == id(&request)).unwrap();
            asked.borrow_mut().push(index);
            let left = self.refused_for(index);
            if left.is_none() {
                reached.borrow_mut().push(index);
            }
            future::ready(match (left, self.answers[index]) {
                (Some(left), _) => Err(Error::CircuitOpen(CircuitOpen {
                    key: "x".into(),
                    reason: "test",
                    retry_after: left,
                })
                .into()),
                (None, Always::Unreachable) => {
                    Err(io::Error::from(io::ErrorKind::ConnectionRefused).into())
                }
                (None, Always::Status(code)) => status(code),
                (None, Always::Limited(seconds)) => limited(seconds),
                (None, Always::Refused(_)) => ok(),
            })
        });
        let call = self
            .layer
            .layer(client)
            .oneshot(Request::new(String::new()));
        let exhausted = match call.now_or_never().expect("nobody waits") {
            Ok(_) => None,
            Err(Error::Exhausted(exhausted)) => Some(exhausted),
            Err(other) => panic!("{other:?}"),
        };
        Way {
            asked: asked.into_inner(),
            reached: reached.into_inner(),
            exhausted,
        }
    }

    fn refused_for(&self, index: usize) -> Option<Duration> {
        let Always::Refused(seconds) = self.answers[index] else {
            return None;
        };
        let ends = &mut self.refusing.borrow_mut()[index];
        let ends = *ends.get_or_insert(self.passed() + secs(seconds));
        ends.checked_sub(self.passed())
            .filter(|left| !left.is_zero())
    }
}

proptest! {
    /// After connections had failed it told the whole cooldown, though the next request was sent at once.
    #[test]
    fn nobody_is_reached_before_the_time_that_is_told_and_somebody_is_at_it(
        answers in prop::array::uniform3(always()),
        foreseen in prop::array::uniform3(prop::option::weighted(0.3, 1..100_u64)),
        fails in any::<bool>(),
        is_without_guess in any::<bool>(),
        gaps in prop::collection::vec(0..50_u64, 1..6),
    ) {
        let clock = ManualClock::new();
        let (told_by, start) = (clock.clone(), clock.now());
        let consulted = move |upstream: &Upstream, _: &RequestHead<'_>| {
            let index = chain().index(upstream.id()).unwrap();
            let left = foreseen[index].and_then(|ends| secs(ends).checked_sub(told_by.now() - start));
            match left.filter(|left| !left.is_zero()) {
                left @ Some(_) => Prospect::Refuse { by: RefusedBy::Limit, retry_after: left },
                None => Prospect::FREE,
            }
        };
        let chain = chain().consult(consulted);
        let chain = if fails { chain.when_exhausted(WhenExhausted::Fail) } else { chain };
        let chain = if is_without_guess { chain.cooldown(Duration::ZERO) } else { chain };
        let scene = Scene::new(chain, clock.clone(), answers);
        let tick = Duration::from_nanos(1);
        for gap in gaps {
            if let Some(exhausted) = scene.send().exhausted {
                if let Some(wait) = exhausted.retry_after {
                    clock.advance(wait - tick);
                    let early = scene.send();
                    prop_assert!(early.reached.is_empty(), "too late: {}", exhausted);
                    prop_assert_eq!(early.exhausted.unwrap().retry_after, Some(tick));
                    clock.advance(tick);
                }
                prop_assert!(!scene.send().asked.is_empty(), "too early: {}", exhausted);
            }
            clock.advance(secs(gap));
        }
    }
}

#[test]
fn after_connections_have_failed_the_next_request_is_sent_at_once_and_no_wait_is_told() {
    for (second, hint) in [
        (Always::Unreachable, None),
        (Always::Limited(9), Some(secs(9))),
    ] {
        let answers = [Always::Limited(60), second, Always::Limited(30)];
        let scene = Scene::new(chain(), ManualClock::new(), answers);
        let exhausted = scene.send().exhausted.unwrap();
        assert_eq!(exhausted.retry_after, hint, "{exhausted}");
    }
}
