//! Request bodies that can be sent more than once.

use bytes::Bytes;
use http::{Extensions, Request};
use http_body_util::{Empty, Full};

/// A request body that can be sent again.
///
/// Implemented for the bodies that lie in memory, where a copy shares the bytes. For a body of your own, say how to copy
/// it, or that it cannot be: a request whose body gives `None` is sent once and never repeated.
///
/// ```
/// use tower_upstream::body::Replay;
///
/// struct Upload(std::fs::File);
///
/// impl Replay for Upload {
///     fn replay(&self) -> Option<Self> {
///         None // sent once
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the request body `{Self}` cannot be sent again",
    label = "a retry or a fallback would need to send this body a second time",
    note = "use a body in memory, such as `http_body_util::Full<Bytes>`, or put an `IntakeLayer` outside of this layer",
    note = "or implement `Replay` for the body and return `None`: the request is then sent once and never repeated"
)]
pub trait Replay: Sized {
    /// A copy that sends the same bytes, or `None` when this body can be sent only once.
    fn replay(&self) -> Option<Self>;
}

macro_rules! replay_by_clone {
    ($($body:ty),*) => {$(
        impl Replay for $body {
            fn replay(&self) -> Option<Self> {
                Some(self.clone())
            }
        }
    )*};
}

replay_by_clone!((), String, Bytes, Full<Bytes>, Empty<Bytes>);

impl Replay for Full<&'static [u8]> {
    fn replay(&self) -> Option<Self> {
        Some(*self)
    }
}

/// A copy of the request, extensions included, when its body can be sent again.
pub(crate) fn replay_request<B: Replay>(request: &Request<B>) -> Option<Request<B>> {
    let body = request.body().replay()?;
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    // Cloning an empty map is free; setting one is not.
    if !request.extensions().is_empty() {
        *copy.extensions_mut() = Extensions::clone(request.extensions());
    }
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_carries_everything_and_shares_the_bytes() {
        let bytes = Bytes::from_static(b"hello");
        let mut request = Request::post("http://example.com/a?b")
            .header("x-a", "1")
            .body(bytes.clone())
            .unwrap();
        request.extensions_mut().insert(7_u8);
        let copy = replay_request(&request).unwrap();
        assert_eq!(copy.method(), request.method());
        assert_eq!(copy.uri(), request.uri());
        assert_eq!(copy.headers(), request.headers());
        assert_eq!(copy.extensions().get::<u8>(), Some(&7));
        assert_eq!(copy.body().as_ptr(), bytes.as_ptr());
    }
}
