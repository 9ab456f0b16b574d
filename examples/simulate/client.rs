//! The service below the limiter: the way to the simulated upstreams and back, and their answers.

use std::{
    cell::RefCell,
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use fastrand::Rng;
use futures::{FutureExt, future::LocalBoxFuture};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use tower::Service;
use tower_upstream::{
    Cost,
    clock::{Clock, ManualClock, Sleep},
    outcome::{Usage, UsageCell},
};

use crate::{
    costs::Load,
    ledger::Ledger,
    scenario::UpstreamSettings,
    upstream::{AnswerKey, Upstream, Verdict},
};

/// All that the tasks of a simulation share.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) start: Instant,
    pub(crate) settings: Vec<UpstreamSettings>,
    pub(crate) upstreams: RefCell<Vec<Upstream>>,
    pub(crate) ledger: RefCell<Ledger>,
    pub(crate) rng: RefCell<Rng>,
}

/// A request on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) number: usize,
    /// The index of the upstream.
    pub(crate) to: usize,
    pub(crate) load: Load,
}

/// Sends requests to the simulated upstreams.
#[derive(Clone)]
pub(crate) struct Client(pub(crate) Rc<World>);

/// The body of an answer: nothing, which takes its time, and then tells what was used.
#[derive(Default)]
pub(crate) struct Answer {
    ends: Option<Sleep>,
    usage: Option<(UsageCell, Usage)>,
    listener: Option<Listener>,
}

/// Tells the upstream when the answer has come to its end, or that nobody listens to it any more.
struct Listener {
    world: Rc<World>,
    to: usize,
    answer: AnswerKey,
}

impl World {
    pub(crate) fn now(&self) -> Duration {
        self.clock.now() - self.start
    }

    pub(crate) fn sleep_until(&self, at: Duration) -> Sleep {
        self.clock.sleep_until(self.start + at)
    }

    /// How long a request is on its way.
    fn way(&self, settings: &UpstreamSettings) -> Duration {
        settings.way + settings.way_jitter.mul_f64(self.rng.borrow_mut().f64())
    }

    async fn answer(self: Rc<Self>, sent: Sent) -> Response<Answer> {
        let settings = &self.settings[sent.to];
        let arrives = self.now() + self.way(settings);
        self.sleep_until(arrives).await;
        let verdict = self.upstreams.borrow_mut()[sent.to].arrive(sent.load, arrives);
        match verdict {
            Verdict::TooManyRequests { headers } => {
                self.sleep_until(arrives + settings.way).await;
                let mut response = Response::new(Answer::default());
                *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                *response.headers_mut() = headers;
                response
            }
            Verdict::Accepted { headers, answer } => {
                let listener = Listener {
                    world: self.clone(),
                    to: sent.to,
                    answer,
                };
                let begins = arrives + settings.head + settings.way;
                self.sleep_until(begins).await;
                let cell = UsageCell::default();
                let usage = (cell.clone(), usage(sent.load.real));
                let mut response = Response::new(Answer {
                    ends: Some(self.sleep_until(begins + settings.body)),
                    usage: settings.tells_usage.then_some(usage),
                    listener: Some(listener),
                });
                *response.headers_mut() = headers;
                response.extensions_mut().insert(cell);
                response
            }
        }
    }
}

impl Listener {
    fn tell(&self, what: impl FnOnce(&mut Upstream, AnswerKey, Duration)) {
        // At the end of the simulation the upstreams are gone before their listeners.
        if let Some(upstream) = self.world.upstreams.borrow_mut().get_mut(self.to) {
            what(upstream, self.answer, self.world.now());
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.tell(Upstream::give_up);
    }
}

impl Service<Request<Sent>> for Client {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Sent>) -> Self::Future {
        let (world, sent) = (self.0.clone(), request.into_body());
        world.ledger.borrow_mut().sent(sent.number, world.now());
        async move { Ok(world.answer(sent).await) }.boxed_local()
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(sleep) = &mut self.ends {
            ready!(sleep.as_mut().poll(cx));
            self.ends = None;
        }
        if let Some(listener) = self.listener.take() {
            listener.tell(Upstream::end);
        }
        if let Some((cell, usage)) = self.usage.take() {
            cell.set(usage);
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.ends.is_none()
    }
}

fn usage(real: Cost) -> Usage {
    let mut usage = Usage::default();
    usage.input_tokens = Some(real.input_tokens);
    usage.output_tokens = Some(real.output_tokens);
    usage
}
