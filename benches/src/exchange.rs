//! Whole requests, which can be sent again: a light one, and one as it goes to a model.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{self, Future},
    hint::{self, black_box},
    mem,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower_service::Service;
use tower_upstream::body::Once;

pub type Body = Full<Bytes>;
pub type Answer = Response<Body>;

/// A GET without header fields or a body.
pub fn light() -> Request<Body> {
    let request = Request::get("http://api.example.com/v1/models");
    request.body(Body::default()).expect("a request")
}

/// A POST with five header fields and a body of 1 KiB.
pub fn real() -> Request<Body> {
    let (start, end) = (
        r#"{"model":"any","messages":[{"role":"user","content":""#,
        r#""}]}"#,
    );
    let question = "word ".repeat(1_024);
    let question = &question[..1_024 - start.len() - end.len()];
    Request::post("https://api.example.com/v1/chat/completions")
        .header("host", "api.example.com")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .header("user-agent", "bench/1.0")
        .header("authorization", "Bearer sk-0123456789abcdef")
        .body(Body::from(format!("{start}{question}{end}")))
        .expect("a request")
}

/// Answers at once with an empty body, and puts the request aside for the next call, as it was before the layers put something
/// into its extensions.
#[derive(Clone)]
pub struct Inner;

thread_local! {
    static ASIDE: Cell<Option<Request<Body>>> = const { Cell::new(None) };
}

/// Bodies that are put aside as what they are made of.
pub trait Aside {
    fn put(request: Request<Self>)
    where
        Self: Sized;

    fn take() -> Option<Request<Self>>
    where
        Self: Sized;
}

impl Aside for Body {
    fn put(request: Request<Self>) {
        ASIDE.set(Some(request));
    }

    fn take() -> Option<Request<Self>> {
        ASIDE.take()
    }
}

impl Aside for Once<Body> {
    fn put(request: Request<Self>) {
        ASIDE.set(Some(request.map(Once::into_inner)));
    }

    fn take() -> Option<Request<Self>> {
        Some(ASIDE.take()?.map(Once::new))
    }
}

impl<B: Aside> Service<Request<B>> for Inner {
    type Response = Answer;
    type Error = Infallible;
    type Future = future::Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        drop(mem::take(request.extensions_mut()));
        B::put(request);
        future::ready(Ok(Response::default()))
    }
}

/// Sends the request again and again.
pub fn sends<S, B>(mut service: S, request: Request<B>) -> impl FnMut()
where
    S: Service<Request<B>>,
    B: Aside,
{
    let mut request = Some(request);
    move || {
        let sent = request.take().expect("it comes back");
        send(&mut service, sent);
        request = B::take();
    }
}

/// Sends a copy of the request each time, for layers that change more of it than its extensions.
pub fn sends_copies<S>(mut service: S, request: Request<Body>) -> impl FnMut()
where
    S: Service<Request<Body>>,
{
    move || send(&mut service, request.clone())
}

/// Makes one call that is answered, or refused, at once. Who has to wait for another thread asks again until he is let in.
pub fn send<S, B>(service: &mut S, request: Request<B>)
where
    S: Service<Request<B>>,
{
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(
        service.poll_ready(&mut context),
        Poll::Ready(Ok(()))
    ));
    let mut future = pin!(service.call(black_box(request)));
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            drop(black_box(result));
            return;
        }
        hint::spin_loop();
    }
}
