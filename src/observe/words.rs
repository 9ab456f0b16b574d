//! What a person is told of an event, who knows nothing of the inside.

use std::time::Duration;

use super::{events::Event, receipt::End};
use crate::{
    error::RefusalReason,
    outcome::FailureKind,
    plain_words::{DEADLINE_EXCEEDED, TOO_LARGE, again, in_words},
};

impl Event<'_> {
    /// A sentence or two for a person who waits for the answer and knows nothing of the inside: that he is served by
    /// another, has to wait, or will get no answer. `None` for what is no business of his, and for waits of less than a
    /// second. Without secrets, internals, or the words of upstreams.
    ///
    /// ```
    /// use tower_upstream::{Failure, FailureKind, observe::Event};
    ///
    /// let failure = Failure::new(FailureKind::RateLimited);
    /// let event = Event::Switched {
    ///     from: "groq/openai/gpt-oss-120b",
    ///     to: "groq/openai/gpt-oss-20b",
    ///     failure: &failure,
    /// };
    /// let message = event.user_message();
    /// assert_eq!(message.as_deref(), Some("Switching to groq openai/gpt-oss-20b."));
    /// ```
    pub fn user_message(&self) -> Option<String> {
        Some(match *self {
            Self::Queued { wait, .. } => {
                format!("Many requests are being made. Waiting {}.", told(wait)?)
            }
            Self::Refused {
                reason: RefusalReason::TooLarge,
                ..
            } => TOO_LARGE.to_owned(),
            Self::Refused { wait, .. } => format!("The service is rate limited. {}", again(wait)),
            Self::DeadlineExceeded { .. } => DEADLINE_EXCEEDED.to_owned(),
            Self::Retrying { wait, failure, .. } => {
                let what = what_failed(failure.kind);
                format!("{what} Trying again in {}.", told(wait)?)
            }
            Self::Switched { to, .. } => format!("Switching to {}.", to.replacen('/', " ", 1)),
            Self::Exhausted {
                is_rate_limited: true,
                retry_after,
                ..
            } => format!(
                "All alternative providers are rate limited. {}",
                again(retry_after)
            ),
            Self::Exhausted { retry_after, .. } => {
                format!("No provider could answer. {}", again(retry_after))
            }
            Self::Ended(receipt) if receipt.end == End::Broken => {
                "The answer broke off before its end.".to_owned()
            }
            _ => return None,
        })
    }
}

/// A wait that is worth to be told.
fn told(wait: Duration) -> Option<String> {
    (wait >= Duration::from_secs(1)).then(|| in_words(wait))
}

/// What may go better the next time.
fn what_failed(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::RateLimited | FailureKind::QuotaExhausted => "The service is rate limited.",
        FailureKind::Overloaded => "The service is overloaded.",
        FailureKind::Timeout => "The service did not answer in time.",
        FailureKind::Transport => "The service could not be reached.",
        _ => "The service failed.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{observe::Receipt, outcome::Failure};

    #[test]
    fn a_person_is_told_who_answers_how_long_it_takes_and_when_to_come_back() {
        let failure = Failure::new(FailureKind::Overloaded).with_message("org-1 at 10.0.0.7");
        let (failure, wait) = (&failure, Duration::from_millis(19_200));
        let broken = Receipt::new("groq/m", End::Broken);
        let queued = |wait| Event::Queued {
            key: "tenant-7",
            limit: "12000 tokens per 60s",
            wait,
        };
        let retrying = |wait| Event::Retrying {
            upstream: "groq/m",
            attempt: 1,
            wait,
            failure,
        };
        let refused = |reason| Event::Refused {
            key: "tenant-7",
            reason,
            limit: "",
            wait: Some(wait),
            patience: None,
        };
        let exhausted = |is_rate_limited| Event::Exhausted {
            attempts: 3,
            is_rate_limited,
            retry_after: Some(Duration::from_secs(1_316)),
            passed_by: &[],
        };
        for (event, message) in [
            (
                queued(wait),
                Some("Many requests are being made. Waiting 20 seconds."),
            ),
            (queued(Duration::from_millis(999)), None),
            (
                retrying(wait),
                Some("The service is overloaded. Trying again in 20 seconds."),
            ),
            (retrying(Duration::from_millis(20)), None),
            (
                refused(RefusalReason::WaitTooLong),
                Some("The service is rate limited. Please try again in 20 seconds."),
            ),
            (refused(RefusalReason::TooLarge), Some(TOO_LARGE)),
            (
                Event::DeadlineExceeded {
                    layer: "retry",
                    upstream: "groq/m",
                    late: wait,
                },
                Some(DEADLINE_EXCEEDED),
            ),
            (
                exhausted(true),
                Some("All alternative providers are rate limited. Please try again in 22 minutes."),
            ),
            (
                exhausted(false),
                Some("No provider could answer. Please try again in 22 minutes."),
            ),
            (
                Event::Ended(&broken),
                Some("The answer broke off before its end."),
            ),
            (
                Event::Paused {
                    key: "tenant-7",
                    wait,
                },
                None,
            ),
        ] {
            assert_eq!(event.user_message().as_deref(), message, "{event:?}");
        }
    }

    /// Switching is told by the names that the configuration gave, whatever stands in them.
    #[test]
    fn a_model_with_a_path_keeps_its_path() {
        let failure = Failure::new(FailureKind::Timeout);
        let event = Event::Switched {
            from: "groq/m",
            to: "openrouter/meta/llama-3.1",
            failure: &failure,
        };
        assert_eq!(
            event.user_message().unwrap(),
            "Switching to openrouter meta/llama-3.1."
        );
    }
}
