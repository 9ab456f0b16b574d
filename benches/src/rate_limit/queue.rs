//! What it costs to come and go where many wait already, on a clock that stands still.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{self, Future},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::Layer;
use tower_service::Service;
use tower_upstream::{
    Cost, Limit, Priority, RateLimitLayer,
    clock::ManualClock,
    outcome::{Usage, UsageCell},
    rate_limit::RateLimit,
};

use super::peers::limited;
use crate::{
    harness::Bench,
    rounds::Spread,
    table::{Table, verdict},
};

pub fn run(bench: &Bench) {
    let window = || Limit::tokens(UNDER_WAY as u64).per_minute();
    let bucket = || Limit::tokens(100).per_second().burst(UNDER_WAY as u64);
    table(bench, "ns, in the queue of a window", window);
    table(bench, "ns, in the queue of a bucket", bucket);
}

fn table(bench: &Bench, title: &str, limit: impl Fn() -> Limit) {
    if !STEPS.iter().any(|(name, _)| bench.wants(name)) {
        return;
    }
    let heads = WAITING.map(|waiting| format!("{waiting} wait"));
    let [few, some, many] = heads.each_ref().map(|head| (head.as_str(), 14));
    let columns = [few, some, many, ("grew", 10)];
    let table = Table::begin(bench.form, (title, 44), &columns);
    for (name, step) in STEPS.into_iter().filter(|(name, _)| bench.wants(name)) {
        let nanos = WAITING.map(|waiting| {
            let mut line = Line::new(limit(), waiting);
            let steps = (0..UNDER_WAY).map(|_| step(&mut line).as_nanos() as f64);
            Spread::of(steps)
        });
        let [few, some, many] = nanos.each_ref().map(|nanos| format!("{:.0}", nanos.median));
        let grew = nanos[2].median / nanos[0].median;
        let cells = [few, some, many, format!("{grew:.1} ×")];
        table.row(name, &cells, verdict(grew <= GOAL));
    }
}

type Step = (&'static str, fn(&mut Line) -> Duration);

/// What is timed, each with everybody still in the queue.
const STEPS: [Step; 7] = [
    ("arrival", |line| timed(|| line.arrive(Priority::Normal))),
    ("arrival of high priority", |line| {
        let took = timed(|| line.arrive(Priority::High));
        line.waiting.pop_back();
        took
    }),
    ("cancellation", |line| {
        let someone = line.someone();
        let took = timed(|| drop(someone));
        line.arrive(Priority::Normal);
        took
    }),
    ("arrival after a cancellation", |line| {
        drop(line.someone());
        timed(|| line.arrive(Priority::Normal))
    }),
    ("settlement", |line| {
        let ended = line.under_way.pop();
        let took = timed(|| drop(ended));
        line.arrive(Priority::Normal);
        took
    }),
    ("arrival after a settlement", |line| {
        drop(line.under_way.pop());
        timed(|| line.arrive(Priority::Normal))
    }),
    ("admission", |line| {
        line.clock.advance(Duration::from_secs(60));
        let mut first = line.waiting.pop_front().expect("many wait");
        let took = timed(|| assert!(poll(&mut first).is_some(), "the first is not admitted"));
        line.arrive(Priority::Normal);
        took
    }),
];

/// A limit that is used up, with some under way and many in the queue.
struct Line {
    clock: ManualClock,
    service: RateLimit<Answers>,
    under_way: Vec<Answer>,
    waiting: VecDeque<Call>,
    random: u64,
}

type Call = Pin<Box<<RateLimit<Answers> as Service<Request<()>>>::Future>>;
type Answer = <RateLimit<Answers> as Service<Request<()>>>::Response;

impl Line {
    fn new(limit: Limit, waiting: usize) -> Self {
        let clock = ManualClock::new();
        let limiter = limited(limit).max_wait(None).clock(clock.clone());
        let mut line = Self {
            clock,
            service: RateLimitLayer::new(limiter).layer(Answers),
            under_way: Vec::new(),
            waiting: VecDeque::new(),
            random: 1,
        };
        for _ in 0..UNDER_WAY {
            let mut call = line.call(Priority::Normal);
            line.under_way.extend(poll(&mut call));
            line.clock.advance(Duration::from_micros(1));
        }
        assert_eq!(line.under_way.len(), UNDER_WAY);
        (0..waiting).for_each(|_| line.arrive(Priority::Normal));
        line
    }

    fn call(&mut self, priority: Priority) -> Call {
        let mut request = Request::new(());
        request.extensions_mut().insert(Cost::tokens(1, 0));
        request.extensions_mut().insert(priority);
        Box::pin(self.service.call(request))
    }

    fn arrive(&mut self, priority: Priority) {
        let mut call = self.call(priority);
        assert!(poll(&mut call).is_none(), "there is nothing to wait for");
        self.waiting.push_back(call);
    }

    /// Takes one out, from anywhere. The order of the others is lost.
    fn someone(&mut self) -> Call {
        // Knuth's multiplier for linear congruential generators of 64 bits (MMIX).
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005) + 1;
        let at = (self.random >> 33) as usize % self.waiting.len();
        self.waiting.swap_remove_back(at).expect("many wait")
    }
}

fn poll(call: &mut Call) -> Option<Answer> {
    let mut context = Context::from_waker(Waker::noop());
    match call.as_mut().poll(&mut context) {
        Poll::Ready(result) => Some(result.expect("nothing is refused")),
        Poll::Pending => None,
    }
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// Answers at once, with a body that has not ended and a usage that is not what was expected.
#[derive(Clone)]
struct Answers;

impl Service<Request<()>> for Answers {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let mut usage = Usage::default();
        (usage.input_tokens, usage.output_tokens) = (Some(2), Some(0));
        let cell = UsageCell::default();
        cell.set(usage);
        let mut response = Response::new(Full::from("text"));
        response.extensions_mut().insert(cell);
        future::ready(Ok(response))
    }
}

const UNDER_WAY: usize = 200;
const WAITING: [usize; 3] = [100, 1_000, 10_000];
/// A cost of log n is doubled from 100 to 10,000; the rest is for memory that is further away.
const GOAL: f64 = 4.0;
