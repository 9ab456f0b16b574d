//! Why a last resort is asked.

use std::sync::Arc;

use crate::{error::Error, outcome::Failure};

/// Why the last resort is asked: in the extensions of its request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cause {
    /// What came back from inside, as the layers read it.
    pub failure: Failure,
    /// The error, where it was one and not a response.
    pub error: Option<Arc<Error>>,
}

impl Cause {
    pub(super) fn new(failure: Failure, error: Option<Error>) -> Self {
        Self {
            failure,
            error: error.map(Arc::new),
        }
    }

    /// One or two sentences for a person who knows nothing of the inside, without secrets or internals.
    pub fn user_message(&self) -> String {
        match &self.error {
            Some(error) => error.user_message(),
            None => self.failure.user_message(),
        }
    }
}
