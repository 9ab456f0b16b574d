//! Plays a scenario on a virtual clock.

use std::{cell::RefCell, future::poll_fn, iter::Peekable, pin::pin, rc::Rc, time::Duration};

use fastrand::Rng;
use futures::future::{Either, select};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, Service};
use tower_upstream::{
    Error, Priority, RateLimitLayer, RateLimiter,
    clock::{Clock, ManualClock},
    error::RefusalReason,
    rate_limit::RateLimit,
};

use crate::{
    arrivals::Arrivals,
    client::{Client, Sent, World},
    executor::Executor,
    ledger::{Ending, Ledger},
    scenario::{Cancel, Scenario, Traffic},
    upstream::{Findings, Upstream, time_of_day},
};

/// What came of a scenario.
pub(crate) struct Played {
    pub(crate) ledger: Ledger,
    /// Of each upstream, in the scenario's order.
    pub(crate) findings: Vec<Findings>,
}

/// Plays a scenario to its end, where everything is cut off.
pub(crate) fn play(scenario: &Scenario) -> Played {
    let mut rng = Rng::with_seed(scenario.seed);
    let clock = ManualClock::starting_at(scenario.start);
    let upstreams = scenario.upstreams.iter();
    let upstreams = upstreams.map(|settings| Upstream::new(settings, scenario, &mut rng));
    let upstreams = upstreams.collect();
    let mut sources: Vec<_> = scenario
        .traffic
        .iter()
        .map(|traffic| Source::new(traffic, scenario, &mut rng))
        .collect();
    let world = Rc::new(World {
        start: clock.now(),
        settings: scenario.upstreams.clone(),
        upstreams: RefCell::new(upstreams),
        ledger: RefCell::default(),
        rng: RefCell::new(rng),
        clock,
    });
    let limiter = RateLimiter::default()
        .max_wait(scenario.max_wait)
        .queue_capacity(scenario.queue_capacity)
        .clock(world.clock.clone());
    let client = RateLimitLayer::new(limiter).layer(Client(world.clone()));

    let mut executor = Executor::default();
    loop {
        let coming = sources.iter_mut().enumerate();
        let coming = coming.filter_map(|(index, source)| Some((source.next_at()?, index)));
        let (arrival, sleep) = (coming.min(), world.clock.next_deadline());
        let sleep = sleep.map(|at| at.saturating_duration_since(world.start));
        let arrives = arrival.map(|(at, _)| at);
        let next = arrives.into_iter().chain(sleep).min();
        let Some(next) = next.filter(|next| *next < scenario.duration) else {
            break;
        };
        world.clock.advance(next.saturating_sub(world.now()));
        // Who sleeps until this very moment goes before who comes in it.
        executor.run_until_stalled();
        if let Some((_, index)) = arrival.filter(|(at, _)| *at <= next) {
            executor.spawn(sources[index].next_call(&world, &client));
            executor.run_until_stalled();
        }
    }
    let findings = world.upstreams.take().into_iter();
    let findings = findings.map(|upstream| upstream.finish(scenario.duration));
    Played {
        findings: findings.collect(),
        ledger: world.ledger.take(),
    }
}

/// Where requests come from.
struct Source {
    traffic: Traffic,
    arrivals: Peekable<Arrivals>,
    rng: Rng,
}

impl Source {
    fn new(traffic: &Traffic, scenario: &Scenario, rng: &mut Rng) -> Self {
        let phase = time_of_day(scenario.start);
        let arrivals = traffic
            .arrivals
            .arrivals(rng.fork(), phase, scenario.duration);
        Self {
            traffic: traffic.clone(),
            arrivals: arrivals.peekable(),
            rng: rng.fork(),
        }
    }

    fn next_at(&mut self) -> Option<Duration> {
        self.arrivals.peek().copied()
    }

    /// The next request, which has come now.
    fn next_call(
        &mut self,
        world: &Rc<World>,
        client: &RateLimit<Client>,
    ) -> impl Future<Output = ()> + 'static {
        self.arrivals.next();
        let to = self.traffic.to;
        let load = self.traffic.costs.draw(&mut self.rng);
        let priority = self.priority();
        let number = world.ledger.borrow_mut().asked(to, priority, world.now());
        let mut request = Request::new(Sent { number, to, load });
        let extensions = request.extensions_mut();
        extensions.insert(world.settings[to].known.clone());
        extensions.insert(load.estimate);
        extensions.insert(priority);
        let gives_up = self.gives_up_after();
        call(world.clone(), client.clone(), request, gives_up)
    }

    fn priority(&mut self) -> Priority {
        let mut left = self.rng.f64();
        let drawn = self.traffic.priorities.iter().find(|(_, share)| {
            left -= share;
            left < 0.0
        });
        drawn.map_or(Priority::Normal, |(priority, _)| *priority)
    }

    fn gives_up_after(&mut self) -> Option<Duration> {
        let Cancel { share, after } = self.traffic.cancel?;
        (self.rng.f64() < share).then_some(after)
    }
}

/// One caller: asks, reads the answer to its end, or goes away before.
async fn call(
    world: Rc<World>,
    client: RateLimit<Client>,
    request: Request<Sent>,
    gives_up: Option<Duration>,
) {
    let number = request.body().number;
    let answered = pin!(answered(&world, client, request));
    let ending = match gives_up {
        None => answered.await,
        Some(after) => {
            let gone = world.sleep_until(world.now() + after);
            match select(gone, answered).await {
                Either::Left(_) => Ending::Cancelled,
                Either::Right((ending, _)) => ending,
            }
        }
    };
    world.ledger.borrow_mut().ended(number, ending, world.now());
}

async fn answered(world: &World, mut client: RateLimit<Client>, request: Request<Sent>) -> Ending {
    let number = request.body().number;
    let mut call = pin!(client.call(request));
    let result = poll_fn(|cx| {
        world.ledger.borrow_mut().polled(number);
        let poll = call.as_mut().poll(cx);
        if poll.is_pending() {
            world.ledger.borrow_mut().stalled(number);
        }
        poll
    });
    match result.await {
        Ok(response) if response.status() == StatusCode::TOO_MANY_REQUESTS => {
            Ending::TooManyRequests
        }
        Ok(response) => {
            let _ = response.into_body().collect().await;
            Ending::Answered
        }
        Err(Error::RateLimited(refusal)) => Ending::Refused(refusal.reason),
        // The client never fails, and no other layer is there to refuse.
        Err(_) => Ending::Refused(RefusalReason::WaitTooLong),
    }
}
