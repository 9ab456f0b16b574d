//! Many virtual hours of a provider with outages and overloads, behind retry, circuit breaker and rate limit.
//!
//! The callers are jobs with an hour's time. Refused by a layer that says when to come back, a job comes back then; what the
//! retry layer gives up is the job's end. `OUTAGE_HOURS=1000` plays longer than the 60 hours of every day.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, service_fn, util::BoxCloneService};
use tower_upstream::{
    Attempts, CircuitBreaker, CircuitBreakerLayer, CircuitState, Error, Limit, Quota,
    RateLimitLayer, RateLimiter, RetryLayer, RetryPolicy,
    clock::{Clock, TokioClock},
};

type Body = Full<Bytes>;

#[tokio::test(start_paused = true)]
async fn nearly_all_that_can_be_answered_is_and_no_outage_is_hammered() {
    let hours = std::env::var("OUTAGE_HOURS").ok();
    let hours = hours.map_or(60, |hours| hours.parse().expect("a number of hours"));
    let tally = play(hours).await;
    println!("{hours} h: {tally:?}");
    assert!(
        tally.troubled > 5 * hours && tally.offered > hours,
        "{tally:?}"
    );
    let answered_of_troubled = 1.0 - share(tally.lost, tally.troubled);
    assert!(answered_of_troubled > 0.99, "{tally:?}");
    assert!(share(tally.sent, tally.answered) < 1.15, "{tally:?}");
    assert!(share(tally.probed, tally.offered) <= 0.05, "{tally:?}");
}

fn share(part: u64, of: u64) -> f64 {
    part as f64 / of as f64
}

/// What came of all jobs.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    jobs: u64,
    answered: u64,
    /// Requests that the provider got.
    sent: u64,
    /// Jobs whose first attempt failed or was refused, and that had the time for an answer.
    troubled: u64,
    /// Of these, those without one.
    lost: u64,
    /// Calls during an outage, from when the circuit was open.
    offered: u64,
    /// Of these, those that the provider got.
    probed: u64,
}

/// What the provider is like until some time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Weather {
    Fair,
    Overload,
    Outage,
}

/// A stretch of weather: what, and from when to when, in seconds from the start.
type Stretch = (Weather, u64, u64);

struct World {
    weather: Vec<Stretch>,
    random: Mutex<fastrand::Rng>,
    tally: Mutex<Tally>,
    breaker: CircuitBreaker,
    start: std::time::Instant,
    /// The outage in which the circuit was last seen open, by its number.
    opened: Mutex<Option<usize>>,
}

async fn play(hours: u64) -> Tally {
    let mut random = fastrand::Rng::with_seed(7);
    let breaker = CircuitBreaker::default();
    let world = Arc::new(World {
        weather: weather(hours * 3_600, &mut random),
        random: Mutex::new(random.fork()),
        tally: Mutex::default(),
        breaker: breaker.clone(),
        start: TokioClock.now(),
        opened: Mutex::default(),
    });
    // One attempt more than the failures in a row that open the circuit: so it opens before a job has used up its own.
    let policy = RetryPolicy::llm().max_attempts(6).seed(7);
    let policy = policy.attempt_timeout(Duration::from_secs(10));
    let quota = Quota::new().limit(Limit::requests(600).per_minute());
    let limiter = RateLimiter::new(quota).expect("a limiter");
    let provider = world.clone();
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(policy).expect("a policy"))
        .layer(CircuitBreakerLayer::new(breaker))
        .layer(RateLimitLayer::new(limiter))
        .service(service_fn(move |_: Request<Body>| {
            provider.clone().answer()
        }));
    let client = client.map_response(|answer: Response<_>| answer.status());
    let client = Client::new(client);
    while world.seconds() < hours * 3_600 {
        let job = world.clone().job(client.clone());
        tokio::spawn(job);
        sleep(Duration::from_secs_f64(exponential(5.0, &mut random))).await;
    }
    // All of them end within their time.
    sleep(TIME).await;
    *world.tally.lock().expect("nobody panics with it")
}

/// Fair for some six hours at a time, then an outage or an overload of some minutes.
fn weather(seconds: u64, random: &mut fastrand::Rng) -> Vec<Stretch> {
    let (mut stretches, mut from) = (Vec::new(), 0);
    while from < seconds + TIME.as_secs() {
        for (weather, mean) in [
            (Weather::Fair, 21_600.0),
            match random.bool() {
                true => (Weather::Outage, 1_200.0),
                false => (Weather::Overload, 900.0),
            },
        ] {
            let to = from + 30 + exponential(mean, random) as u64;
            stretches.push((weather, from, to));
            from = to;
        }
    }
    stretches
}

fn exponential(mean: f64, random: &mut fastrand::Rng) -> f64 {
    -mean * (1.0 - random.f64()).ln()
}

type Client = BoxCloneService<Request<Body>, StatusCode, Error>;

impl World {
    /// What one job does: it calls, and comes back when it is told to, for as long as it has time.
    async fn job(self: Arc<Self>, client: Client) {
        let began = self.seconds();
        let (mut answered, mut troubled) = (false, false);
        while self.seconds() < began + TIME.as_secs() {
            let ledger = Attempts::default();
            let mut request = Request::post("http://provider/").body(Body::default());
            let request = request.as_mut().expect("a request");
            request.extensions_mut().insert(ledger.clone());
            if self.is_shut_in_an_outage() {
                self.count(|tally| tally.offered += 1);
            }
            let result = client.clone().oneshot(std::mem::take(request)).await;
            troubled |= ledger.count() > 0;
            answered = result.as_ref().is_ok_and(StatusCode::is_success);
            match result.err().and_then(|error| error.retry_after()) {
                Some(wait) => sleep(wait).await,
                None => break,
            }
        }
        let troubled = troubled && self.gives_time(began);
        self.count(|tally| {
            tally.jobs += 1;
            tally.answered += u64::from(answered);
            tally.troubled += u64::from(troubled);
            tally.lost += u64::from(troubled && !answered);
        });
    }

    /// What the provider does with a request.
    async fn answer(self: Arc<Self>) -> io::Result<Response<Body>> {
        let (weather, number) = self.weather();
        let is_shut = *self.opened() == Some(number);
        self.count(|tally| {
            tally.sent += 1;
            tally.probed += u64::from(weather == Weather::Outage && is_shut);
        });
        let draw = self
            .random
            .lock()
            .expect("nobody panics with it")
            .u32(0..1_000);
        let (status, hint) = match (weather, draw) {
            (Weather::Outage, 0..600) => {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            (Weather::Outage, 600..800) => (500, None),
            (Weather::Outage, _) => std::future::pending().await,
            (Weather::Overload, 0..200) => (503, Some(2 + draw / 20)),
            (Weather::Overload, 200..300) => (529, None),
            (Weather::Fair, 0..3) => (500, None),
            (Weather::Fair, 3) => return Err(io::ErrorKind::ConnectionReset.into()),
            (Weather::Fair, 4) => std::future::pending().await,
            _ => (200, None),
        };
        sleep(Duration::from_millis(u64::from(draw))).await;
        let mut answer = Response::builder().status(status);
        if let Some(hint) = hint {
            answer = answer.header("retry-after", hint);
        }
        Ok(answer.body(Body::default()).expect("an answer"))
    }

    fn seconds(&self) -> u64 {
        (TokioClock.now() - self.start).as_secs()
    }

    /// What it is like now, and the number of that stretch.
    fn weather(&self) -> (Weather, usize) {
        let now = self.seconds();
        let number = self.weather.partition_point(|(_, _, to)| *to <= now);
        let stretch = self.weather.get(number);
        (
            stretch.map_or(Weather::Fair, |(weather, ..)| *weather),
            number,
        )
    }

    /// Whether this outage has opened the circuit.
    fn is_shut_in_an_outage(&self) -> bool {
        let (weather, number) = self.weather();
        if weather == Weather::Outage && self.breaker.state("provider") != CircuitState::Closed {
            *self.opened() = Some(number);
        }
        *self.opened() == Some(number)
    }

    /// Whether the provider is well for longer than the circuit is ever open, within the time of a job that began then.
    fn gives_time(&self, began: u64) -> bool {
        let end = began + TIME.as_secs();
        self.weather.iter().any(|(weather, from, to)| {
            let is_fair = *weather == Weather::Fair;
            is_fair && (*to).min(end) >= (*from).max(began) + LONGEST_OPEN
        })
    }

    fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.tally.lock().expect("nobody panics with it"));
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, Option<usize>> {
        self.opened.lock().expect("nobody panics with it")
    }
}

async fn sleep(time: Duration) {
    TokioClock.sleep_until(TokioClock.now() + time).await;
}

/// What a job has.
const TIME: Duration = Duration::from_secs(3_600);
/// Ten minutes and the jitter, in seconds.
const LONGEST_OPEN: u64 = 12 * 60;
