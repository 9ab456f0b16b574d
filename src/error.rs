//! The one error of the whole stack.
//!
//! Every layer answers with [`Error`], and a layer around a service whose error already is one passes it on as it is:
//! errors never nest, so layers can be put in any order and the inner error is never lost.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use http_body_util::LengthLimitError;

use crate::{
    binding::USED_UP,
    client_error::{in_full, is_refusal, is_timeout, is_unseen},
    outcome::{Failure, FailureKind, Message, RefusedBy},
    period::whole_millis,
    plain_words::{DEADLINE_EXCEEDED, TOO_LARGE, again},
};

pub use crate::{
    binding::{BindingLimit, Patience},
    client_error::Unsent,
    config_error::ConfigError,
    exhausted::{Exhausted, PassedBy, WhyNot},
};

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call got no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The rate limit layer refused: nothing was sent.
    #[error(transparent)]
    RateLimited(RateLimited),
    /// The circuit breaker layer refused: nothing was sent.
    #[error(transparent)]
    CircuitOpen(CircuitOpen),
    /// The fallback layer has nobody left to turn to.
    #[error(transparent)]
    Exhausted(Exhausted),
    /// The retry layer's attempt timeout passed without an answer.
    #[error("no answer{} within {after:?}", from(.upstream))]
    TimedOut {
        /// The timeout.
        after: Duration,
        /// The id of the upstream that was asked, where a fallback layer has chosen one.
        upstream: Option<Arc<str>>,
    },
    /// The request's [`Deadline`](crate::Deadline) had passed when it came, so nothing was sent. Observers are told by
    /// [`Event::DeadlineExceeded`](crate::observe::Event::DeadlineExceeded) where it was; it says nothing of a limit or an upstream.
    #[error("the request's deadline had passed before it was sent")]
    DeadlineExceeded,
    /// The body of the request could not be read, so nothing was sent.
    #[error("the request body could not be read")]
    Body(#[source] BoxError),
    /// The service inside failed: there is no answer.
    #[error(transparent)]
    Service(ServiceError),
}

/// What the service inside failed with.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServiceError {
    /// The id of the upstream that was asked, where a fallback layer has chosen one.
    pub upstream: Option<Arc<str>>,
    /// The service's error, unchanged.
    pub error: BoxError,
}

impl ServiceError {
    /// An error of a service, of no upstream that is known.
    pub fn new(error: impl Into<BoxError>) -> Self {
        Self {
            upstream: None,
            error: error.into(),
        }
    }
}

/// `no answer from ollama/llama3.2: client error (Connect)`; where no upstream is known, the service's words alone.
impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.upstream.is_some() {
            write!(f, "no answer{}: ", from(&self.upstream))?;
        }
        self.error.fmt(f)
    }
}

/// Its source is that of the service's error, which stands in its own words already.
impl std::error::Error for ServiceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// ` from groq/llama`, where it is known.
fn from(upstream: &Option<Arc<str>>) -> String {
    let upstream = upstream.as_deref();
    upstream.map_or_else(String::new, |upstream| format!(" from {upstream}"))
}

impl Error {
    /// The error of an inner service as one of ours: itself where it already is one, else [`Error::Service`].
    pub(crate) fn from_service(error: impl Into<BoxError> + 'static) -> Self {
        let mut error = Some(error);
        // As it is where another layer is inside: to box it only to look takes longer.
        let any: &mut dyn Any = &mut error;
        if let Some(ours) = any.downcast_mut().and_then(Option::take) {
            return ours;
        }
        let error: BoxError = error.expect("it was not taken").into();
        match error.downcast::<Self>() {
            Ok(ours) => *ours,
            Err(foreign) => Self::Service(ServiceError::new(foreign)),
        }
    }

    /// The same, of this upstream, where it says of none.
    pub(crate) fn of(mut self, asked: &Arc<str>) -> Self {
        if let Self::TimedOut { upstream, .. } | Self::Service(ServiceError { upstream, .. }) =
            &mut self
        {
            upstream.get_or_insert_with(|| asked.clone());
        }
        self
    }

    /// How long to wait before it is worth trying again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited(refusal) => refusal.wait,
            Self::CircuitOpen(refusal) => Some(refusal.retry_after),
            Self::Exhausted(exhausted) => exhausted.retry_after,
            Self::TimedOut { .. } | Self::DeadlineExceeded | Self::Body(_) | Self::Service(_) => {
                None
            }
        }
    }

    /// The upstream that the error speaks of: its id, or the key of the limiter or breaker that refused.
    pub fn upstream(&self) -> Option<&str> {
        match self {
            Self::RateLimited(refusal) => refusal.key.as_deref(),
            Self::CircuitOpen(refusal) => Some(&*refusal.key),
            Self::Exhausted(exhausted) => exhausted.attempts.last()?.upstream.as_deref(),
            Self::TimedOut { upstream, .. } => upstream.as_deref(),
            Self::Service(failed) => failed.upstream.as_deref(),
            Self::DeadlineExceeded | Self::Body(_) => None,
        }
        .filter(|key: &&str| !key.is_empty())
    }

    /// One or two sentences for a person who knows nothing of the inside, without secrets or internals. A limit by keys of your own
    /// ([`Scope::by`](crate::Scope::by)), such as a tenant's, is named with its amount; no other is.
    ///
    /// ```
    /// # use tower_upstream::Error;
    /// # fn show(error: &Error) {
    /// eprintln!("{}", error.user_message()); // "The service is rate limited. Please try again in 22 minutes."
    /// # }
    /// ```
    pub fn user_message(&self) -> String {
        let again = again(self.retry_after());
        match self {
            Self::RateLimited(RateLimited {
                reason: RefusalReason::TooLarge,
                ..
            }) => TOO_LARGE.to_owned(),
            // A key of one's own is a caller's; what upstreams and the whole service may do is not told.
            Self::RateLimited(refusal) if refusal.scope == "by" => {
                let limit = refusal.limit.as_ref();
                let used_up = limit.map_or_else(|| USED_UP.into(), BindingLimit::used_up);
                format!("{used_up} {again}")
            }
            Self::RateLimited(_) => format!("The service is rate limited. {again}"),
            Self::CircuitOpen(_) => format!("The service is not available at the moment. {again}"),
            Self::Exhausted(exhausted) if exhausted.is_too_large() => TOO_LARGE.to_owned(),
            Self::Exhausted(exhausted) if exhausted.is_rate_limited() => {
                format!("All alternative providers are rate limited. {again}")
            }
            Self::Exhausted(exhausted) if exhausted.is_refused() => {
                format!("No provider is available at the moment. {again}")
            }
            Self::Exhausted(_) => format!("No provider could answer. {again}"),
            Self::TimedOut { .. } => format!("The service did not answer in time. {again}"),
            Self::DeadlineExceeded => DEADLINE_EXCEEDED.to_owned(),
            Self::Body(cause) if cause.is::<LengthLimitError>() => TOO_LARGE.to_owned(),
            Self::Body(_) => "The request could not be read.".to_owned(),
            Self::Service(failed) if is_refusal(&*failed.error) => {
                format!("The service is not available at the moment. {again}")
            }
            Self::Service(_) => format!("The service could not be reached. {again}"),
        }
    }

    /// What the error means to the layers, as they read a response.
    pub fn failure(&self) -> Failure {
        match self {
            Self::RateLimited(RateLimited {
                reason: RefusalReason::TooLarge,
                ..
            }) => Failure::new(FailureKind::RequestTooLarge),
            Self::RateLimited(_) => refused(Some(RefusedBy::Limit), self.retry_after()),
            Self::CircuitOpen(_) => refused(Some(RefusedBy::Circuit), self.retry_after()),
            Self::Exhausted(exhausted) if exhausted.is_too_large() => {
                Failure::new(FailureKind::RequestTooLarge)
            }
            // A chain inside has already turned to everybody it knows.
            Self::Exhausted(exhausted) => {
                let by_limits = exhausted.is_rate_limited().then_some(RefusedBy::Limit);
                refused(by_limits, self.retry_after())
            }
            Self::TimedOut { .. } => Failure::new(FailureKind::Timeout),
            // Whoever else were asked would be asked too late as well.
            Self::DeadlineExceeded => Failure {
                fall_back: false,
                ..Failure::new(FailureKind::Refused)
            },
            Self::Body(_) => Failure::new(FailureKind::InvalidRequest),
            Self::Service(failed) => Failure::new(kind_of(&*failed.error)),
        }
        .with_message(match self {
            Self::RateLimited(refusal) => Message::of(refusal.clone()),
            Self::CircuitOpen(refusal) => Message::of(refusal.clone()),
            // Whoever tells of a failure says whose it is.
            Self::Service(failed) => in_full(&*failed.error).into(),
            error => in_full(error).into(),
        })
    }

    /// Whether it is certain that the upstream never saw the request.
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::RateLimited(_)
            | Self::CircuitOpen(_)
            | Self::DeadlineExceeded
            | Self::Body(_) => true,
            Self::Exhausted(exhausted) => exhausted.is_unsent(),
            Self::TimedOut { .. } => false,
            Self::Service(failed) => is_unseen(&*failed.error) || is_refusal(&*failed.error),
        }
    }
}

fn refused(by: Option<RefusedBy>, retry_after: Option<Duration>) -> Failure {
    Failure {
        refused_by: by,
        ..Failure::new(FailureKind::Refused).with_retry_after(retry_after)
    }
}

/// What a service's error means.
fn kind_of(error: &(dyn std::error::Error + 'static)) -> FailureKind {
    if is_timeout(error) {
        FailureKind::Timeout
    } else if is_refusal(error) {
        FailureKind::Refused
    } else {
        FailureKind::Transport
    }
}

/// A refusal of the rate limit layer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RateLimited {
    /// The key whose limit refused; `None` where one limit holds for all.
    pub key: Option<Arc<str>>,
    /// What the limiter that refused goes by, where a layer has several: `all`, `upstream`, `host`, `provider`, or `by` for a
    /// key of your own.
    pub scope: &'static str,
    /// Why.
    pub reason: RefusalReason,
    /// How long until the request would have been admitted; `None` where waiting cannot help (a request that is too large),
    /// or where it depends on when others end.
    pub wait: Option<Duration>,
    /// What holds the request back the longest, or what it is too large for; `None` where only others are ahead of it.
    pub limit: Option<BindingLimit>,
}

/// Why the rate limit layer refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The wait would pass the longest that the limiter, or the request's deadline, allows; or the request has waited for longer
    /// than its [`Chain`](crate::Chain) likes, and another upstream would take it.
    WaitTooLong,
    /// The queue is full.
    QueueFull,
    /// The request costs more than the limit ever allows.
    TooLarge,
}

impl RateLimited {
    /// A refusal for this reason, with nothing more known; for a limiter of your own, and for tests.
    pub fn new(reason: RefusalReason) -> Self {
        Self {
            key: None,
            scope: "all",
            reason,
            wait: None,
            limit: None,
        }
    }
}

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            RefusalReason::WaitTooLong => "the wait for the rate limit is too long",
            RefusalReason::QueueFull => "the queue of the rate limit is full",
            RefusalReason::TooLarge => "the request is larger than the rate limit ever allows",
        })?;
        if let Some(key) = &self.key {
            write!(f, " for {key}")?;
        }
        if let Some(limit) = &self.limit {
            write!(f, " ({limit})")?;
        }
        match self.wait {
            Some(wait) => write!(f, ": come back in {:?}", whole_millis(wait)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RateLimited {}

/// A refusal of the circuit breaker layer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the circuit of {key} is open ({reason}): come back in {:?}", whole_millis(*.retry_after))]
#[non_exhaustive]
pub struct CircuitOpen {
    /// The key whose breaker refused.
    pub key: Arc<str>,
    /// What opened it.
    pub reason: &'static str,
    /// How long until the next probe may pass.
    pub retry_after: Duration,
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::request::Attempt;

    fn exhausted(kinds: &[FailureKind], retry_after: Option<u64>) -> Error {
        let attempts = kinds
            .iter()
            .map(|kind| Attempt::example("groq/llama", *kind))
            .collect();
        Error::Exhausted(Exhausted {
            retry_after: retry_after.map(Duration::from_secs),
            ..Exhausted::example(attempts)
        })
    }

    #[test]
    fn our_own_error_passes_through_a_layer_as_itself() {
        let inner: BoxError = Box::new(exhausted(&[], Some(90)));
        let outer = Error::from_service(inner);
        assert_eq!(outer.retry_after(), Some(Duration::from_secs(90)));
    }

    #[test]
    fn a_foreign_error_keeps_its_cause_and_tells_whether_anything_was_sent() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = Error::from_service(refused());
        assert!(error.is_unsent());
        assert_eq!(error.failure().kind, FailureKind::Transport);
        assert!(matches!(&error, Error::Service(failed) if failed.error.is::<io::Error>()));
        let reset = Error::from_service(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(!reset.is_unsent());
        let timeout = Error::from_service(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(timeout.failure().kind, FailureKind::Timeout);
    }

    // It said "client error (Connect)", and not whose.
    #[test]
    fn an_error_of_an_upstream_names_it_once() {
        let upstream: Arc<str> = "ollama/llama3.2".into();
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let error = Error::from_service(refused);
        assert_eq!(
            (error.to_string().as_str(), error.upstream()),
            ("connection refused", None)
        );
        let error = error.of(&upstream).of(&"another".into());
        assert_eq!(
            error.to_string(),
            "no answer from ollama/llama3.2: connection refused"
        );
        assert_eq!(error.upstream(), Some(&*upstream));
        assert_eq!(
            error.failure().message.as_deref(),
            Some("connection refused")
        );
        let late = Error::TimedOut {
            after: Duration::from_secs(9),
            upstream: None,
        };
        assert_eq!(late.to_string(), "no answer within 9s");
        let late = late.of(&upstream);
        assert_eq!(late.to_string(), "no answer from ollama/llama3.2 within 9s");
        assert_eq!(late.upstream(), Some(&*upstream));
    }

    /// A limiter outside of a chain gave back what the chain had spent.
    #[test]
    fn a_chain_that_asked_an_upstream_has_sent_something() {
        for (kinds, is_unsent) in [
            (&[][..], true),
            (&[FailureKind::Refused], true),
            (&[FailureKind::Refused, FailureKind::ServerError], false),
        ] {
            assert_eq!(exhausted(kinds, None).is_unsent(), is_unsent);
        }
    }

    #[test]
    fn a_failure_tells_the_whole_chain_of_causes_once_each() {
        #[derive(Debug, thiserror::Error)]
        #[error("client error (Connect)")]
        struct Client(#[source] io::Error);
        let error =
            Error::from_service(Client(io::Error::other("invalid URL, scheme is not http")));
        let message = error.failure().message.unwrap();
        assert_eq!(
            &*message,
            "client error (Connect): invalid URL, scheme is not http"
        );
    }

    #[test]
    fn the_message_for_users_tells_what_happened_and_when_to_come_back() {
        let message = exhausted(&[FailureKind::RateLimited], Some(1_316)).user_message();
        assert_eq!(
            message,
            "All alternative providers are rate limited. Please try again in 22 minutes."
        );
        let message = exhausted(&[FailureKind::ServerError], None).user_message();
        assert_eq!(message, "No provider could answer. Please try again later.");
        // Nobody was asked, because the request's preferences exclude all.
        let message = exhausted(&[], None).user_message();
        assert_eq!(message, "No provider could answer. Please try again later.");
        let message = exhausted(&[FailureKind::Refused], Some(5)).user_message();
        assert_eq!(
            message,
            "No provider is available at the moment. Please try again in 5 seconds."
        );
        let full = Error::RateLimited(RateLimited::new(RefusalReason::QueueFull));
        let mut attempt = Attempt::example("groq/llama", FailureKind::Refused);
        attempt.failure = full.failure();
        let message = Error::Exhausted(Exhausted::example(vec![attempt])).user_message();
        assert_eq!(
            message,
            "All alternative providers are rate limited. Please try again later."
        );
    }

    // "The soonest is back in 296.90027884s" was of no use to who read it.
    #[test]
    fn waits_are_told_in_milliseconds_and_never_too_short() {
        let wait = Duration::from_nanos(296_900_278_840);
        let exhausted = Exhausted {
            retry_after: Some(wait),
            ..Exhausted::example(Vec::new())
        };
        let open = CircuitOpen {
            key: "groq/llama".into(),
            reason: "failures in a row",
            retry_after: wait,
        };
        let mut limited = RateLimited::new(RefusalReason::WaitTooLong);
        limited.wait = Some(wait);
        let failure = Failure::new(FailureKind::Refused).with_retry_after(Some(wait));
        for words in [
            exhausted.to_string(),
            open.to_string(),
            limited.to_string(),
            failure.to_string(),
        ] {
            assert!(words.ends_with(" 296.901s"), "{words}");
        }
    }
}
