//! The service around another.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body_util::Either;
use tower_service::Service;

use super::future::ResponseFuture;
use crate::{
    body::{Replay, RequestCopy},
    clock::Clock,
    error::{BoxError, Error},
};

/// Answers in another way where no upstream could. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct LastResort<S, T> {
    inner: S,
    backup: T,
    clock: Arc<dyn Clock>,
}

impl<S, T> LastResort<S, T> {
    pub(super) fn new(inner: S, backup: T, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            backup,
            clock,
        }
    }

    /// The service inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, T, B, R, L> Service<Request<B>> for LastResort<S, T>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError> + 'static,
    T: Service<Request<B>, Response = Response<L>> + Clone,
    T::Error: Into<BoxError> + 'static,
    B: Replay,
{
    type Response = Response<Either<R, L>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future, T, T::Future, B>;

    // The backup is made ready when it is needed: one that is busy or broken is no reason to hold up the others.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::from_service)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let copy = RequestCopy::of(&request).map(RequestCopy::into_request);
        let backup = copy.map(|request| (self.backup.clone(), request));
        ResponseFuture::new(self.inner.call(request), backup, self.clock.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future, time::Duration};

    use futures::FutureExt;
    use http_body_util::BodyExt;
    use tower::{Layer, ServiceExt, service_fn};
    use tower_test::mock;

    use super::*;
    use crate::fallback::{Cause, LastResortLayer};

    fn answers(status: u16) -> Result<Response<String>, BoxError> {
        let response = Response::builder().status(status);
        Ok(response
            .header("retry-after", 60)
            .body("inside".to_owned())?)
    }

    /// What a caller gets where the inside gives this.
    async fn call(
        inside: impl Fn() -> Result<Response<String>, BoxError>,
    ) -> Result<(u16, String), Error> {
        let inner = service_fn(|_: Request<String>| future::ready(inside()));
        // A body of another type.
        let sorry = service_fn(async |request: Request<String>| {
            let cause = request.extensions().get::<Cause>().unwrap();
            let text = format!("{} {}", request.body(), cause.user_message());
            Ok::<_, Infallible>(Response::new(http_body_util::Full::<bytes::Bytes>::from(
                text,
            )))
        });
        let service = LastResortLayer::new(sorry).layer(inner);
        let response = service.oneshot(Request::new("asked:".to_owned())).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Ok((status, String::from_utf8(body.to_vec()).unwrap()))
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_could_answer_the_backup_does_and_knows_why() {
        let limited = "asked: The service is rate limited. Please try again in 60 seconds.";
        assert_eq!(
            call(|| answers(429)).await.unwrap(),
            (200, limited.to_owned())
        );
        let error = || {
            Err(Error::TimedOut {
                after: Duration::ZERO,
                upstream: None,
            }
            .into())
        };
        let late = "asked: The service did not answer in time. Please try again later.";
        assert_eq!(call(error).await.unwrap().1, late);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_could_answer_better_is_the_callers() {
        for status in [200, 400, 401] {
            let got = call(|| answers(status)).await.unwrap();
            assert_eq!(got, (status, "inside".to_owned()));
        }
        let body = call(|| Err(Error::Body("unreadable".into()).into())).await;
        assert!(matches!(body, Err(Error::Body(_))));
    }

    // The readiness of the backup gated the primary (liter-llm), and a backup shared behind an async lock let one slow
    // readiness block all (tower-resilience).
    #[tokio::test(start_paused = true)]
    async fn a_backup_that_is_not_ready_holds_up_nobody_who_does_not_need_it() {
        let (backup, mut handle) = mock::pair::<Request<String>, Response<String>>();
        handle.allow(0);
        let ok = service_fn(|_: Request<String>| future::ready(answers(200)));
        let layer = LastResortLayer::new(backup);
        let call = |inner| layer.layer(inner).oneshot(Request::new(String::new()));
        assert_eq!(call(ok).await.unwrap().status(), 200);

        let failing = service_fn(|_: Request<String>| future::ready(answers(503)));
        let mut waiting = Box::pin(layer.layer(failing).oneshot(Request::new(String::new())));
        assert!((&mut waiting).now_or_never().is_none());
        handle.allow(1);
        let send = async {
            let (_, respond) = handle.next_request().await.unwrap();
            respond.send_response(Response::new(String::new()));
        };
        let (response, ()) = futures::future::join(waiting, send).await;
        assert_eq!(response.unwrap().status(), 200);
    }
}
