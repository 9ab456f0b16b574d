//! What answers say is left is never exceeded, whatever is given back.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    outcome::Dimension,
    rate_limit::{
        decision::{Asked, Look},
        mark::{Admissions, Mark, Then},
        state::State,
        told::Told,
    },
    request::Priority,
};

// The head of an answer said that no token is left for 45 s. At its end the request's own estimate was given back, and the next
// one was sent at once. OpenAI counts what a request may use (https://platform.openai.com/docs/guides/rate-limits).
#[tokio::test(start_paused = true)]
async fn the_end_of_an_answer_gives_nothing_back_of_what_its_head_said_is_gone() {
    let limiter = limiter(Quota::new().limit(Limit::tokens(30_000).per_minute()));
    let inner = service_fn(|_: Request<()>| async {
        let mut response = with_headers(&[
            ("x-ratelimit-limit-tokens", "30000"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "45s"),
        ]);
        let mut usage = Usage::default();
        (usage.input_tokens, usage.output_tokens) = (Some(5), Some(5));
        let cell = UsageCell::default();
        cell.set(usage);
        response.extensions_mut().insert(cell);
        Ok::<_, BoxError>(response)
    });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    let mut request = request();
    request.extensions_mut().insert(Cost::tokens(5, 20_000));
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(limiter.status("").limits[0].remaining, 0);
    response.collect().await.unwrap();
    assert_eq!(limiter.status("").limits[0].remaining, 0);
    let next = Cost::tokens(5, 10_000);
    assert_eq!(limiter.wait_time("", next), Some(ms(45_000)));
    TokioClock.sleep_until(TokioClock.now() + ms(45_000)).await;
    assert_eq!(limiter.status("").limits[0].used, 10);
}

// Sliding windows: what had gone through here before a request was sent may have left when its answer comes, and is not taken
// elsewhere for that.
#[tokio::test(start_paused = true)]
async fn an_answer_is_understood_by_what_was_taken_when_its_request_was_sent() {
    let limiter = limiter(Quota::new().limit(Limit::tokens(100).per_minute()));
    let inner = service_fn(|request: Request<()>| async move {
        let cost = request.extensions().get::<Cost>().unwrap();
        let is_first = cost.output_tokens == 30;
        let takes = if is_first { ms(0) } else { ms(11_000) };
        TokioClock.sleep_until(TokioClock.now() + takes).await;
        Ok::<_, BoxError>(with_headers(match is_first {
            true => &[("x-ratelimit-remaining-tokens", "70")],
            false => &[("x-ratelimit-remaining-tokens", "60")],
        }))
    });
    let service = RateLimitLayer::new(limiter.clone()).layer(inner);
    for (tokens, then) in [(30, 50_000), (10, 0)] {
        let mut request = request();
        request.extensions_mut().insert(Cost::tokens(0, tokens));
        service.clone().oneshot(request).await.unwrap();
        TokioClock.sleep_until(TokioClock.now() + ms(then)).await;
    }
    assert_eq!(limiter.status("").limits[0].used, 10);
}

const CAPACITY: u64 = 100;

/// What happens to the requests of a key, `which` of those that are under way.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask { tokens: u64 },
    Head { which: usize, remaining: u64 },
    End { which: usize, used: u64 },
    Unsent { which: usize },
}

/// Some of them, all within a period: nothing is renewed meanwhile.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..60_u64).prop_map(|tokens| Step::Ask { tokens }),
        3 => (any::<usize>(), 0..=CAPACITY).prop_map(|(which, remaining)| Step::Head { which, remaining }),
        3 => (any::<usize>(), 0..60_u64).prop_map(|(which, used)| Step::End { which, used }),
        1 => any::<usize>().prop_map(|which| Step::Unsent { which }),
    ];
    vec(step, 1..80)
}

struct Sent {
    number: usize,
    when: (u64, Admissions),
    then: Option<Box<[Then]>>,
    reserved: u64,
    /// What it counts, as far as is known.
    counts: u64,
    has_head: bool,
    is_under_way: bool,
}

/// A state that is asked, and all that was sent.
struct Bench {
    state: State,
    sent: Vec<Sent>,
    now: u64,
}

fn cost(tokens: u64) -> Cost {
    Cost::tokens(0, tokens)
}

impl Bench {
    fn new() -> Self {
        Self::of(Quota::new().limit(Limit::tokens(CAPACITY).per_minute()))
    }

    fn of(quota: Quota) -> Self {
        Self {
            state: State::new(Arc::new(quota), 0, 0),
            sent: Vec::new(),
            now: 0,
        }
    }

    /// Sends a request where there is room.
    fn ask(&mut self, tokens: u64) -> bool {
        let asked = Asked {
            cost: cost(tokens),
            priority: Priority::Normal,
            at: self.now,
        };
        if self.state.look(&asked, self.now) != Look::Pass {
            return false;
        }
        let admitted = self.state.admit(&cost(tokens), self.now);
        self.sent.push(Sent {
            number: self.sent.len(),
            when: (admitted.at, admitted.admitted),
            then: self.state.then_if_learned(),
            reserved: tokens,
            counts: tokens,
            has_head: false,
            is_under_way: true,
        });
        true
    }

    fn under_way(&self, which: usize, is: impl Fn(&Sent) -> bool) -> Option<usize> {
        let all = self.sent.iter().filter(|it| it.is_under_way && is(it));
        let all: Vec<_> = all.map(|it| it.number).collect();
        (!all.is_empty()).then(|| all[which % all.len()])
    }

    fn head(&mut self, number: usize, remaining: u64) {
        let sent = &mut self.sent[number];
        sent.has_head = true;
        let mark = Mark {
            admitted: sent.when.1,
            then: sent.then.as_deref(),
        };
        let told = Told {
            dimension: Dimension::Tokens,
            period: Some(ms(60_000)),
            limit: Some(CAPACITY),
            remaining,
            reset_after: None,
            is_refilling: false,
        };
        self.state.heed(mark, told, self.now, 0);
    }

    fn end(&mut self, number: usize, used: Option<u64>) {
        let sent = &mut self.sent[number];
        (sent.is_under_way, sent.counts) = (false, used.unwrap_or(0));
        self.state.finish();
        let (when, reserved) = (sent.when, cost(sent.reserved));
        match used {
            Some(used) => self.state.settle(when, reserved, cost(used), self.now),
            None => self.state.refund(when, reserved, self.now),
        };
    }

    fn used(&mut self) -> u64 {
        let now = self.now;
        let mut limits = self.state.usage(now);
        let tokens = limits.find(|it| it.limit.dimension == Dimension::Tokens);
        tokens.expect("a limit").used
    }
}

/// It counts what was used, as far as it knows, and not what may be.
#[test]
fn what_an_upstream_never_counted_is_given_back_at_the_end() {
    let mut bench = Bench::new();
    bench.ask(40);
    bench.head(0, 90);
    bench.ask(30);
    bench.end(0, Some(5));
    assert_eq!(bench.used(), 10 + 30);
}

#[test]
fn a_later_request_that_is_not_sent_makes_nothing_more_of_what_an_earlier_answer_says() {
    let mut bench = Bench::new();
    bench.ask(1);
    bench.head(0, 99);
    bench.ask(10);
    bench.ask(40);
    bench.end(2, None);
    bench.head(1, 89);
    assert_eq!(bench.used(), 11);
}

/// When it came there, what was given back since was still counted; a later one has told that it is not any more.
#[test]
fn an_answer_that_was_overtaken_takes_nothing_anew_of_what_was_given_back_before_the_later_one() {
    let mut bench = Bench::new();
    bench.ask(1);
    bench.head(0, 99);
    assert_eq!([30, 10, 10].map(|tokens| bench.ask(tokens)), [true; 3]);
    bench.end(1, Some(10));
    bench.head(3, 100 - 31);
    bench.head(2, 100 - 41);
    assert_eq!(bench.used(), 31);
}

#[test]
fn what_an_upstream_said_is_gone_stays_so_over_a_change_of_the_quota() {
    let hour = || Limit::requests(1_000).per_hour();
    let minute = || Limit::requests(500).per_minute();
    let tokens = || Limit::tokens(CAPACITY).per_minute();
    let changes = [
        (
            Quota::new().limit(tokens()),
            Quota::new().limit(hour()).limit(tokens()),
        ),
        // The upstream alone tells of tokens.
        (
            Quota::new().limit(minute()),
            Quota::new().limit(hour()).limit(minute()),
        ),
    ];
    for (from, to) in changes {
        let mut bench = Bench::of(from);
        bench.ask(1);
        bench.head(0, 99);
        bench.ask(40);
        bench.head(1, 59);
        bench.state.change_quota(Arc::new(to), bench.now, 0);
        bench.end(1, Some(10));
        assert_eq!(bench.used(), 41);
    }
}

proptest! {
    /// Whatever the upstream says, and whether or not that makes sense.
    #[test]
    fn what_was_said_to_be_left_less_what_was_sent_since_is_all_that_is_left(steps in steps()) {
        let mut bench = Bench::new();
        // By the latest request that was told of.
        let mut told: Option<(usize, u64)> = None;
        for step in steps {
            bench.now += 1_000;
            match step {
                Step::Ask { tokens } => {
                    let has_passed = bench.ask(tokens);
                    if let Some((number, remaining)) = told && has_passed {
                        let since: u64 = bench.sent[number + 1..].iter().map(|it| it.counts).sum();
                        prop_assert!(since <= remaining, "{since} of {remaining}");
                    }
                }
                Step::Head { which, remaining } => {
                    let Some(number) = bench.under_way(which, |it| !it.has_head) else { continue };
                    bench.head(number, remaining);
                    if told.is_none_or(|(latest, _)| latest < number) {
                        told = Some((number, remaining));
                    }
                }
                Step::End { which, used } => {
                    let Some(number) = bench.under_way(which, |_| true) else { continue };
                    // Who used more than he was reckoned with has told so, and how much is left.
                    let sent = &bench.sent[number];
                    let used = if sent.has_head { used } else { used.min(sent.reserved) };
                    bench.end(number, Some(used));
                }
                Step::Unsent { which } => {
                    let Some(number) = bench.under_way(which, |it| !it.has_head) else { continue };
                    bench.end(number, None);
                }
            }
        }
    }

    /// Of upstreams that tell the truth in each head, and that nobody else uses.
    #[test]
    fn no_more_is_sent_than_an_upstream_counts_and_all_is_given_back_that_it_gives_back(
        steps in steps(),
        corrects in any::<bool>(),
        tells_what_was_on_arrival in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        let (mut counted, mut on_arrival) = (0, Vec::new());
        for step in steps {
            bench.now += 1_000;
            match step {
                Step::Ask { tokens } => {
                    if bench.ask(tokens) {
                        counted += tokens;
                        prop_assert!(counted <= CAPACITY, "{counted}");
                        on_arrival.push(counted);
                    }
                }
                Step::Head { which, .. } => {
                    let Some(number) = bench.under_way(which, |it| !it.has_head) else { continue };
                    let told = if tells_what_was_on_arrival { on_arrival[number] } else { counted };
                    bench.head(number, CAPACITY - told);
                }
                Step::End { which, used } => {
                    let Some(number) = bench.under_way(which, |it| it.has_head) else { continue };
                    let reserved = bench.sent[number].reserved;
                    let used = used.min(reserved);
                    bench.end(number, Some(used));
                    counted -= if corrects { reserved - used } else { 0 };
                }
                Step::Unsent { .. } => {}
            }
        }
        while let Some(number) = bench.under_way(0, |_| true) {
            bench.head(number, CAPACITY - on_arrival[number]);
            let used = bench.sent[number].reserved / 3;
            counted -= if corrects { bench.sent[number].reserved - used } else { 0 };
            bench.end(number, Some(used));
        }
        bench.ask(0);
        bench.head(bench.sent.len() - 1, CAPACITY - counted);
        prop_assert_eq!(bench.used(), counted);
    }
}
