//! Who makes a request, and scopes that go by that.

use http::HeaderName;

use crate::request::{Caller, Scope};

/// Each [`Caller`] has a state of his own; requests without one together, under the empty key.
pub(super) fn by_caller() -> Scope {
    Scope::by(|head| match head.extensions.get() {
        Some(Caller(name)) => name.clone(),
        None => "".into(),
    })
}

/// Each value of a header has a state of its own; requests without it together, under the empty key.
pub(super) fn by_header(name: HeaderName) -> Scope {
    Scope::by(move |head| match head.headers.get(&name) {
        Some(value) => String::from_utf8_lossy(value.as_bytes()).into(),
        None => "".into(),
    })
}
