//! Requests without a body, who makes them, and the service that answers them.

use std::{
    cell::Cell,
    collections::VecDeque,
    convert::Infallible,
    future, mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body_util::Full;
use tower_service::Service;
use tower_upstream::{Cost, Provider};

use crate::exchange::send;

/// Answers at once with an empty body, and puts the request's extensions aside for the next call: to make them costs more
/// than to limit it.
#[derive(Clone)]
pub struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<()>) -> Self::Future {
        ANSWERED.set(Some(mem::take(request.extensions_mut())));
        future::ready(Ok(Response::default()))
    }
}

thread_local! {
    static ANSWERED: Cell<Option<Extensions>> = const { Cell::new(None) };
}

/// Who asks, for limits by key.
#[derive(Clone)]
pub struct Tenant(pub Arc<str>);

impl Tenant {
    pub fn new(number: usize) -> Self {
        Self(format!("tenant-{number:07}").into())
    }

    pub fn of(extensions: &Extensions) -> Arc<str> {
        extensions
            .get::<Self>()
            .map_or_else(Arc::default, |tenant| tenant.0.clone())
    }
}

/// Requests that are sent again and again, in an order that is not that of their keys.
pub struct Requests(VecDeque<Extensions>);

impl Requests {
    /// One, with nothing in it.
    pub fn plain() -> Self {
        Self([Extensions::new()].into())
    }

    /// One that says what it costs.
    pub fn of_tokens() -> Self {
        Self([extensions(Cost::tokens(100, 20))].into())
    }

    /// From so many tenants.
    pub fn of_tenants(count: usize) -> Self {
        Self::shuffled(count, |number| extensions(Tenant::new(number)))
    }

    /// For so many upstreams.
    pub fn of_upstreams(count: usize) -> Self {
        let provider = Provider::openai();
        Self::shuffled(count, |number| {
            extensions(provider.model(format!("model-{number:07}")))
        })
    }

    /// Those of one tenant.
    pub fn of_tenant(number: usize) -> Self {
        Self([extensions(Tenant::new(number))].into())
    }

    fn shuffled(count: usize, make: impl Fn(usize) -> Extensions) -> Self {
        // 7,919 is a prime, so every number comes once where it does not divide the count.
        Self((0..count).map(|at| make(at * 7_919 % count)).collect())
    }

    /// Sends the next one.
    pub fn send<S: Service<Request<()>>>(&mut self, service: &mut S) {
        let extensions = self.0.pop_front().unwrap_or_default();
        send(service, request(extensions));
        self.0.extend(ANSWERED.take());
    }
}

/// Drops what was put aside.
pub fn forget() {
    ANSWERED.set(None);
}

pub fn request(extensions: Extensions) -> Request<()> {
    let mut request = Request::new(());
    *request.extensions_mut() = extensions;
    request
}

pub fn extensions<T: Clone + Send + Sync + 'static>(extension: T) -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(extension);
    extensions
}

/// Sends plain requests.
pub fn plain<S>(service: S) -> impl FnMut()
where
    S: Service<Request<()>>,
{
    sends(service, Requests::plain())
}

/// Sends these requests.
pub fn sends<S>(mut service: S, mut requests: Requests) -> impl FnMut()
where
    S: Service<Request<()>>,
{
    move || requests.send(&mut service)
}

/// Sends a new request each time, for one that is refused does not come back.
pub fn calls<S>(mut service: S) -> impl FnMut()
where
    S: Service<Request<()>>,
{
    move || send(&mut service, Request::new(()))
}
