//! What the tests of the layers share.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower_test::mock::{Handle, Mock, pair};

pub(crate) type Answer = Response<Full<Bytes>>;
pub(crate) type Client = Mock<Request<()>, Answer>;
pub(crate) type Server = Handle<Request<()>, Answer>;

/// A client of `tower_test`, and the server that answers it and decides when it is ready.
pub(crate) fn client() -> (Client, Server) {
    pair()
}

pub(crate) fn request() -> Request<()> {
    Request::get("http://api.example.com/").body(()).unwrap()
}

pub(crate) fn answer(status: u16) -> Answer {
    let body = Full::new(Bytes::from_static(b"a body"));
    Response::builder().status(status).body(body).unwrap()
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Whatever tests have put off until now may run: tasks that were woken, timers that are due.
pub(crate) async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}
