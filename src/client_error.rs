//! What a client's error tells through its causes: whether the time ran out, whether a layer of this process refused, and
//! whether the upstream can have seen the request.
//!
//! The kind of an I/O error tells some of it for any client. Of the clients that a feature is on for, their own errors are
//! asked as well.

use std::{error::Error, io, iter};

/// With this error a service of your own, right around the client, says that it sent nothing: that it has no token, or could not
/// sign. The layers outside take it for a connection that did not come about: no quota is used, and the request is tried again,
/// whatever its method, or served elsewhere. [`guide::layers`](crate::guide::layers) has an example.
#[derive(Debug, thiserror::Error)]
#[error("nothing was sent: {0}")]
pub struct Unsent(#[source] Box<dyn Error + Send + Sync>);

impl Unsent {
    /// For this reason, such as the error of the source of tokens.
    pub fn new(why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(why.into())
    }
}

/// Whether the time ran out.
pub(crate) fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause.is::<tokio::time::error::Elapsed>()
            || cause.is::<tower::timeout::error::Elapsed>()
            || io_kind(cause) == Some(io::ErrorKind::TimedOut)
            || is_timeout_of_client(cause)
    })
}

/// Whether a layer of this process turned the request away, as ours do, for want of room in what is inside of it.
pub(crate) fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<tower::load_shed::error::Overloaded>())
}

/// Whether it is certain that the upstream never saw the request: that there was no connection, that HTTP/2 refused it, or that the
/// service inside says so.
pub(crate) fn is_unseen(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause.is::<Unsent>()
            || io_kind(cause).is_some_and(|kind| NEVER_CONNECTED.contains(&kind))
            || is_connect_of_client(cause)
            || cause.to_string() == REFUSED_STREAM
    })
}

/// How an error of h2 says that the server has not processed the request
/// ([RFC 9113, 8.7](https://www.rfc-editor.org/rfc/rfc9113#section-8.7)). It is among the causes of whatever is built on hyper, and
/// is known by its words, for only those who depend on the same h2 can ask it. `tests/it/refused_stream.rs` pins them.
const REFUSED_STREAM: &str =
    "stream error received: refused stream before processing any application logic";

/// An error and its causes in one line.
pub(crate) fn in_full(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error).skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The kinds of I/O error that only the making of a connection gives. An unreachable host is not among them: a connection
/// that stands can report it, too.
const NEVER_CONNECTED: [io::ErrorKind; 2] = [
    io::ErrorKind::ConnectionRefused,
    io::ErrorKind::AddrNotAvailable,
];

fn io_kind(cause: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    Some(cause.downcast_ref::<io::Error>()?.kind())
}

fn is_timeout_of_client(cause: &(dyn Error + 'static)) -> bool {
    #[cfg(feature = "reqwest")]
    if let Some(error) = cause.downcast_ref::<reqwest::Error>() {
        return error.is_timeout();
    }
    let _ = cause;
    false
}

/// Whether a client says that its connector failed: the name was not found, TLS was refused, nobody answered in time.
fn is_connect_of_client(cause: &(dyn Error + 'static)) -> bool {
    #[cfg(feature = "hyper-util")]
    if let Some(error) = cause.downcast_ref::<hyper_util::client::legacy::Error>() {
        return error.is_connect();
    }
    #[cfg(feature = "reqwest")]
    if let Some(error) = cause.downcast_ref::<reqwest::Error>() {
        return error.is_connect();
    }
    let _ = cause;
    false
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error| next_cause(*error))
}

fn next_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    // It is transparent: its `source` skips the error that it holds.
    #[cfg(feature = "reqwest-middleware")]
    if let Some(error) = error.downcast_ref::<reqwest_middleware::Error>() {
        return Some(match error {
            reqwest_middleware::Error::Middleware(error) => &**error,
            reqwest_middleware::Error::Reqwest(error) => error,
        });
    }
    error.source()
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;

    /// As in existing stacks: tower's own layer between ours and the client.
    #[tokio::test(start_paused = true)]
    async fn time_that_ran_out_for_towers_own_layer_is_a_timeout() {
        let silent = service_fn(|()| pending::<Result<(), io::Error>>());
        let service = ServiceBuilder::new().timeout(Duration::from_secs(1));
        let error = service.service(silent).oneshot(()).await.unwrap_err();
        assert!(is_timeout(&*error) && !is_unseen(&*error));
        assert!(!is_timeout(&io::Error::other("no time")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_towers_own_layer_sheds_is_a_refusal() {
        let silent = service_fn(|()| pending::<Result<(), io::Error>>());
        let service = ServiceBuilder::new().load_shed().concurrency_limit(1);
        let service = service.service(silent);
        let _first = tokio::spawn(service.clone().oneshot(()));
        tokio::task::yield_now().await;
        let error = service.oneshot(()).await.unwrap_err();
        assert!(is_refusal(&*error) && !is_timeout(&*error));
    }
}
