//! The whole stack over any client, its handles, and two simulated providers behind it.

use std::{future::Future, pin::pin, time::Duration};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use provider_simulator::{Simulator, SimulatorBuilder};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_layer::{Identity, Stack};
use tower_upstream::{
    Attempts, Chain, CircuitBreaker, CircuitBreakerLayer, CircuitBreakerPolicy, Cooldowns, Error,
    FallbackLayer, IntakeLayer, Jitter, Limit, Provider, ProviderLayer, Quota, RateLimitLayer,
    RateLimiter, RetryLayer, RetryPolicy, ServedBy,
    clock::{Clock, TokioClock},
    error::BoxError,
    request::Attempt,
};

pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;
pub(crate) type Front = BoxCloneSyncService<Request<Full<Bytes>>, Response<Body>, Error>;

/// The six layers as `ServiceBuilder` stacks them.
pub(crate) type Layers = Stack<ProviderLayer, Stack<RateLimitLayer, Outer>>;
type Outer = Stack<CircuitBreakerLayer, Stack<RetryLayer, Outermost>>;
type Outermost = Stack<FallbackLayer, Stack<IntakeLayer, Identity>>;

/// Handles and providers of one stack.
pub(crate) struct Rig {
    pub(crate) layers: Layers,
    pub(crate) limiter: RateLimiter,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) cooldowns: Cooldowns,
    pub(crate) groq: Simulator,
    pub(crate) openai: Simulator,
}

/// The keys of the two upstreams.
pub(crate) const GROQ: &str = "groq/small";
pub(crate) const OPENAI: &str = "openai/large";
pub(crate) const LONG: Duration = Duration::from_secs(600);

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(Simulator::groq(), |_| Quota::new()).await
    }

    /// With this first provider and this quota for each, and retries that wait for next to nothing unless they are told.
    pub(crate) async fn with(groq: SimulatorBuilder, quota: impl FnOnce(Quota) -> Quota) -> Self {
        let groq = groq.start().await.expect("a port");
        let openai = Simulator::openai().start().await.expect("a port");
        let provider = |provider: Provider, simulator: &Simulator| {
            let provider = provider.base_url(&simulator.url()).expect("its URL");
            provider.key("a-key-for-tests").expect("a key")
        };
        let chain = Chain::new([
            provider(Provider::groq(), &groq).model("small"),
            provider(Provider::openai(), &openai).model("large"),
        ]);
        let cooldowns = Cooldowns::new();
        let policy = CircuitBreakerPolicy::default().jitter(0.0);
        let breaker = CircuitBreaker::new(policy).expect("a policy");
        let limiter = RateLimiter::new(quota(Quota::new())).expect("a quota");
        let retry = RetryPolicy::llm()
            .backoff(ms(5), ms(20))
            .jitter(Jitter::None);
        let fallback = FallbackLayer::new(chain).expect("a chain");
        let layers = ServiceBuilder::new()
            .layer(IntakeLayer::new().output_tokens(16))
            .layer(fallback.cooldowns(cooldowns.clone()))
            .layer(RetryLayer::new(retry).expect("a policy"))
            .layer(CircuitBreakerLayer::new(breaker.clone()))
            .layer(RateLimitLayer::new(limiter.clone()))
            .layer(ProviderLayer::new())
            .into_inner();
        Self {
            layers,
            limiter,
            breaker,
            cooldowns,
            groq,
            openai,
        }
    }

    /// The stack over this client.
    pub(crate) fn over<C, B>(&self, client: C) -> Front
    where
        C: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        boxed(self.layers.layer(client))
    }

    /// Requests under way and in the queue, as the limiter of this upstream has them.
    pub(crate) fn occupied(&self, key: &str) -> (u32, usize) {
        let status = self.limiter.status(key);
        (status.in_flight, status.queued)
    }
}

/// Boxes a service and the bodies of its answers.
pub(crate) fn boxed<S, B>(service: S) -> Front
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Error>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let service = service.map_response(|answer: Response<B>| {
        answer.map(|body| body.map_err(Into::into).boxed_unsync())
    });
    BoxCloneSyncService::new(service)
}

/// An answer with its whole body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) served_by: String,
    pub(crate) body: Bytes,
}

pub(crate) async fn ask(front: &Front, chat: &Value) -> Result<Answer, Error> {
    let response = send(front, chat).await?;
    let (head, body) = response.into_parts();
    let served_by = head.extensions.get::<ServedBy>();
    Ok(Answer {
        status: head.status.as_u16(),
        served_by: served_by.map_or_else(String::new, |ServedBy(it)| it.to_string()),
        body: within(body.collect())
            .await
            .expect("a whole body")
            .to_bytes(),
    })
}

/// The answer as soon as its head is there.
pub(crate) async fn send(front: &Front, chat: &Value) -> Result<Response<Body>, Error> {
    within(front.clone().oneshot(post(chat))).await
}

/// The answer, and every attempt that failed before it.
pub(crate) async fn send_and_tell(
    front: &Front,
    chat: &Value,
) -> Result<(Response<Body>, Vec<Attempt>), Error> {
    let ledger = Attempts::default();
    let mut request = post(chat);
    request.extensions_mut().insert(ledger.clone());
    let response = within(front.clone().oneshot(request)).await?;
    Ok((response, ledger.failed()))
}

pub(crate) fn post(chat: &Value) -> Request<Full<Bytes>> {
    let request = Request::post("http://upstream/v1/chat/completions");
    let request = request.header("content-type", "application/json");
    request
        .body(Full::from(chat.to_string()))
        .expect("a request")
}

pub(crate) fn chat() -> Value {
    let messages = json!([{ "role": "user", "content": "Why?" }]);
    json!({ "model": "any", "messages": messages, "max_tokens": 16 })
}

pub(crate) fn streamed() -> Value {
    let mut chat = chat();
    chat["stream"] = true.into();
    chat["stream_options"] = json!({ "include_usage": true });
    chat
}

/// A quota of so many requests under way.
pub(crate) fn at_once(requests: u32) -> impl FnOnce(Quota) -> Quota {
    move |quota| {
        quota
            .limit(Limit::tokens(10_000).per_minute())
            .max_concurrent(requests)
    }
}

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
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
pub(crate) async fn within<T>(call: impl Future<Output = T>) -> T {
    match select(pin!(call), pin!(sleep(HANGS))).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => panic!("nothing has happened for {HANGS:?}"),
    }
}

pub(crate) async fn sleep(time: Duration) {
    TokioClock.sleep_until(TokioClock.now() + time).await;
}

const HANGS: Duration = Duration::from_secs(30);
