//! Who calls: some wait to the end, some leave at any time.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_upstream::{
    Deadline, Error, Order, Preferences, Priority,
    clock::{Clock, TokioClock},
    error::BoxError,
};

use super::witness::Body;

pub(crate) type Client = BoxCloneSyncService<Request<Full<Bytes>>, Response<Body>, Error>;

/// How calls ended, as their callers saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) offered: u64,
    /// A success, read to its end.
    pub(crate) answered: u64,
    /// An answer that is no success, read to its end.
    pub(crate) told: u64,
    /// Errors, by what they say.
    pub(crate) errors: BTreeMap<&'static str, u64>,
    /// Errors that do not say why.
    pub(crate) mute: u64,
    /// Bodies that ended in an error.
    pub(crate) broken: u64,
    /// Callers who left before the head of an answer.
    pub(crate) left: u64,
    /// Callers who left in the body.
    pub(crate) left_in_body: u64,
}

impl Tally {
    pub(crate) fn ended(&self) -> u64 {
        let errors: u64 = self.errors.values().sum();
        self.answered + self.told + errors + self.broken + self.left + self.left_in_body
    }

    pub(crate) fn add(&mut self, end: End) {
        self.offered += 1;
        match end {
            End::Answered(status) if (200..300).contains(&status) => self.answered += 1,
            End::Answered(_) => self.told += 1,
            End::Broken => self.broken += 1,
            End::Left => self.left += 1,
            End::LeftInBody => self.left_in_body += 1,
            End::Failed(error) => {
                self.mute += u64::from(!tells_why(&error));
                *self.errors.entry(kind(&error)).or_default() += 1;
            }
        }
    }
}

/// How one call ended.
pub(crate) enum End {
    Answered(u16),
    Broken,
    Left,
    LeftInBody,
    Failed(Error),
}

/// One call, with a number of its own.
pub(crate) async fn call(client: Client, number: u64, mut random: fastrand::Rng) -> End {
    let leaves = random.u32(0..100) < LEAVE;
    let patience = match leaves {
        true => Duration::from_micros(random.u64(0..80_000)),
        false => PATIENCE,
    };
    let call = client.oneshot(request(number, &mut random));
    if leaves && random.u32(0..10) == 0 {
        // Never polled.
        return End::Left;
    }
    let mut response = match within(patience, call).await {
        None => return End::Left,
        Some(Err(error)) => return End::Failed(error),
        Some(Ok(response)) => response,
    };
    let status = response.status().as_u16();
    if leaves && random.bool() {
        let _ = within(patience, response.body_mut().frame()).await;
        return End::LeftInBody;
    }
    match within(PATIENCE_IN_BODY, response.into_body().collect()).await {
        None => End::LeftInBody,
        Some(Err(_)) => End::Broken,
        Some(Ok(_)) => End::Answered(status),
    }
}

pub(crate) fn request(number: u64, random: &mut fastrand::Rng) -> Request<Full<Bytes>> {
    let chat = json!({
        "model": "any",
        "messages": [{ "role": "user", "content": "Why? ".repeat(random.usize(1..50)) }],
        "max_tokens": 16,
        "stream": random.bool(),
    });
    let request = Request::post("http://upstream/v1/chat/completions")
        .header("content-type", "application/json")
        .header("x-call", number);
    let mut request = request
        .body(Full::from(chat.to_string()))
        .expect("a request");
    let priorities = [Priority::High, Priority::Normal, Priority::Low];
    let extensions = request.extensions_mut();
    extensions.insert(priorities[random.usize(0..3)]);
    let orders = [
        Order::Listed,
        Order::Headroom,
        Order::Fastest,
        Order::Weighted,
        Order::Learned,
    ];
    let mut preferences = Preferences::new().order(orders[random.usize(0..orders.len())]);
    if random.bool() {
        // Else the one that always answers would soon be asked alone.
        preferences = preferences.never(["steady"]);
    }
    extensions.insert(preferences);
    if random.u32(0..4) == 0 {
        let time = Duration::from_millis(random.u64(0..500));
        extensions.insert(Deadline::after(time, &TokioClock));
    }
    request
}

/// Whether it names what stood in the way, for a program and for a person.
fn tells_why(error: &Error) -> bool {
    let is_named = match error {
        Error::Exhausted(it) => !it.attempts.is_empty() || !it.passed_by.is_empty(),
        _ => true,
    };
    is_named && !error.to_string().is_empty() && !error.user_message().is_empty()
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::RateLimited(_) => "rate limited",
        Error::CircuitOpen(_) => "circuit open",
        Error::Exhausted(_) => "exhausted",
        Error::TimedOut { .. } => "timed out",
        Error::DeadlineExceeded => "too late",
        Error::Body(_) => "body",
        Error::Service(_) => "service",
        _ => "another",
    }
}

/// Runs it for no longer than this.
pub(crate) async fn within<T>(time: Duration, run: impl Future<Output = T>) -> Option<T> {
    match select(pin!(run), pin!(sleep(time))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

pub(crate) async fn sleep(time: Duration) {
    TokioClock.sleep_until(TokioClock.now() + time).await;
}

/// Boxes the stack and the bodies of its answers.
pub(crate) fn boxed<S, B>(service: S) -> Client
where
    S: tower::Service<Request<Full<Bytes>>, Response = Response<B>, Error = Error>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let service = service.map_response(|answer: Response<B>| {
        answer.map(|body| body.map_err(Into::into).boxed_unsync())
    });
    BoxCloneSyncService::new(service)
}

/// How many in a hundred leave before the end.
const LEAVE: u32 = 25;
/// Longer than all waits, attempts and timeouts together: who waits so long has been forgotten.
const PATIENCE: Duration = Duration::from_secs(60);
/// No layer ends a body that stalls: its caller has to.
const PATIENCE_IN_BODY: Duration = Duration::from_millis(300);
