//! The stack of all six layers over a hyper client, its handles, and requests to send through it.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use provider_simulator::Simulator;
use serde_json::{Value, json};
use tower::{Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_upstream::{
    Attempts, Chain, CircuitBreaker, CircuitBreakerLayer, CircuitBreakerPolicy, CircuitState,
    Cooldowns, Error, FallbackLayer, IntakeLayer, Jitter, Provider, ProviderLayer, Quota,
    RateLimitLayer, RateLimiter, RetryBudget, RetryLayer, RetryPolicy, ServedBy, Upstream,
    clock::{Clock, TokioClock},
    error::BoxError,
    fallback::Cooldown,
    observe::Observer,
};

use super::account::Account;

pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;
type Boxed = BoxCloneSyncService<Request<Full<Bytes>>, Response<Body>, Error>;

/// What to build a [`Stack`] of.
pub(crate) struct Setup {
    chain: Chain,
    retry: RetryPolicy,
    breaker: CircuitBreakerPolicy,
    quota: Quota,
    observers: Vec<Arc<dyn Observer>>,
}

/// Six layers over a hyper client, and what they share.
pub(crate) struct Stack {
    service: Boxed,
    pub(crate) cooldowns: Cooldowns,
    pub(crate) budget: RetryBudget,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) limiter: RateLimiter,
    pub(crate) account: Account,
}

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) served_by: String,
    pub(crate) attempts: Option<Attempts>,
    pub(crate) body: Bytes,
}

/// What a caller who went away must not leave behind.
#[derive(Debug, PartialEq)]
pub(crate) struct Counters {
    pub(crate) in_flight: u32,
    pub(crate) queued: usize,
    /// Of each limit.
    pub(crate) used: Vec<u64>,
    pub(crate) circuit: CircuitState,
    /// Calls that the circuit has counted, and the failures among them.
    pub(crate) counted: (u32, u32),
    pub(crate) cooling: Vec<String>,
    pub(crate) budget: u32,
}

impl Setup {
    pub(crate) fn of(upstreams: impl IntoIterator<Item = Upstream>) -> Self {
        Self::chain(Chain::new(upstreams))
    }

    /// Retries that wait for next to nothing where nobody tells them to wait.
    pub(crate) fn chain(chain: Chain) -> Self {
        Self {
            chain,
            retry: RetryPolicy::llm()
                .backoff(ms(5), ms(20))
                .jitter(Jitter::None),
            breaker: CircuitBreakerPolicy::default().jitter(0.0),
            quota: Quota::new(),
            observers: Vec::new(),
        }
    }

    pub(crate) fn retry(mut self, change: impl FnOnce(RetryPolicy) -> RetryPolicy) -> Self {
        self.retry = change(self.retry);
        self
    }

    pub(crate) fn breaker(mut self, policy: CircuitBreakerPolicy) -> Self {
        self.breaker = policy;
        self
    }

    pub(crate) fn quota(mut self, quota: Quota) -> Self {
        self.quota = quota;
        self
    }

    /// One more who is told everything.
    pub(crate) fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    pub(crate) fn build(self) -> Stack {
        let account = Account::default();
        let observer: Arc<dyn Observer> = Arc::new((account.clone(), self.observers));
        let cooldowns = Cooldowns::new().observe(observer.clone());
        let budget = RetryBudget::default();
        let breaker = CircuitBreaker::new(self.breaker).expect("a breaker");
        let breaker = breaker.observe(observer.clone());
        let limiter = RateLimiter::new(self.quota).expect("a limiter");
        let limiter = limiter.observe(observer.clone());
        let retry = RetryLayer::new(self.retry.budget(budget.clone())).expect("a policy");
        let fallback = FallbackLayer::new(self.chain).expect("a chain");
        let service = ServiceBuilder::new()
            .layer(IntakeLayer::new().output_tokens(16))
            .layer(fallback.cooldowns(cooldowns.clone()))
            .layer(retry.observe(observer.clone()))
            .layer(CircuitBreakerLayer::new(breaker.clone()))
            .layer(RateLimitLayer::new(limiter.clone()))
            .layer(ProviderLayer::new().observe(observer))
            .service(client());
        Stack {
            service: boxed(service),
            cooldowns,
            budget,
            breaker,
            limiter,
            account,
        }
    }
}

impl Stack {
    /// The answer as soon as its head is there.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Body>, Error> {
        within(self.service.clone().oneshot(request)).await
    }

    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let response = self.send(request).await?;
        Ok(Answer::read(response).await.expect("a whole body"))
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.account.lines()
    }

    pub(crate) fn counters(&self, upstream: &str) -> Counters {
        let status = self.limiter.status(upstream);
        let metrics = self.breaker.metrics(upstream);
        let cooling = self.cooldowns.list();
        Counters {
            in_flight: status.in_flight,
            queued: status.queued,
            used: status.limits.iter().map(|limit| limit.used).collect(),
            circuit: self.breaker.state(upstream),
            counted: metrics.map_or((0, 0), |metrics| (metrics.calls, metrics.failures)),
            cooling: cooling
                .iter()
                .map(|Cooldown { key, .. }| key.to_string())
                .collect(),
            budget: self.budget.available(),
        }
    }
}

impl Answer {
    pub(crate) async fn read<B>(response: Response<B>) -> Result<Self, B::Error>
    where
        B: http_body::Body,
    {
        let (head, body) = response.into_parts();
        let served_by = head.extensions.get();
        Ok(Self {
            status: head.status,
            served_by: served_by
                .map_or_else(String::new, |ServedBy(upstream)| upstream.to_string()),
            attempts: head.extensions.get().cloned(),
            body: within(body.collect()).await?.to_bytes(),
        })
    }
}

fn boxed<S, B>(service: S) -> Boxed
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Error>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    let service = service.map_response(|answer: Response<B>| answer.map(B::boxed_unsync));
    BoxCloneSyncService::new(service)
}

pub(crate) fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// The provider as the simulator plays it, with a key that names it.
pub(crate) fn at(provider: Provider, simulator: &Simulator) -> Provider {
    let key = format!("key-of-{}", provider.name());
    let provider = provider.base_url(&simulator.url()).expect("its URL");
    provider.key(&key).expect("a key")
}

/// A chat with a prompt of so many tokens, and an answer of at most 16.
pub(crate) fn chat(tokens: usize) -> Value {
    let content = "all ".repeat(tokens);
    json!({"model": "any", "messages": [{"role": "user", "content": content}], "max_tokens": 16})
}

/// The chat, as a stream that tells its usage.
pub(crate) fn streamed(mut chat: Value) -> Value {
    chat["stream"] = true.into();
    chat["stream_options"] = json!({"include_usage": true});
    chat
}

pub(crate) fn post(chat: &Value) -> Request<Full<Bytes>> {
    post_to("/v1/chat/completions", chat)
}

pub(crate) fn post_to(url: &str, chat: &Value) -> Request<Full<Bytes>> {
    let request = Request::post(url).header("content-type", "application/json");
    let body = Full::from(chat.to_string());
    request.body(body).expect("a request")
}

/// A request to the simulator itself, for layers that choose no upstream.
pub(crate) fn direct(simulator: &Simulator, chat: &Value) -> Request<Full<Bytes>> {
    post_to(&format!("{}/chat/completions", simulator.url()), chat)
}

pub(crate) async fn send<S, B>(service: &S, request: Request<Full<Bytes>>) -> Result<Answer, Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Error> + Clone,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let response = within(service.clone().oneshot(request)).await?;
    Ok(Answer::read(response).await.expect("a whole body"))
}

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) async fn sleep(time: Duration) {
    TokioClock.sleep_until(TokioClock.now() + time).await;
}

/// Waits until it is so: what the other side of a socket has seen comes a little later.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    within(async {
        while !is_so() {
            sleep(ms(1)).await;
        }
    })
    .await;
}

/// Runs the call until it is so, and drops it.
pub(crate) async fn leave_when<T>(call: impl Future<Output = T>, is_so: impl FnMut() -> bool) {
    match select(pin!(call), pin!(until(is_so))).await {
        Either::Left(_) => panic!("the call ended before its caller left"),
        Either::Right(_) => {}
    }
}

/// A test that hangs fails.
async fn within<T>(call: impl Future<Output = T>) -> T {
    match select(pin!(call), pin!(sleep(HANGS))).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => panic!("nothing has happened for {HANGS:?}"),
    }
}

const HANGS: Duration = Duration::from_secs(30);
