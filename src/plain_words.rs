//! What a person is told who knows nothing of the inside: plain words, waits rounded as one would say them, no secrets.

use std::time::Duration;

use crate::{
    money::Money,
    outcome::{Dimension, Failure, FailureKind},
    period::whole_seconds,
};

impl Failure {
    /// One or two sentences for a person who knows nothing of the inside, without the upstream's own words, which may tell
    /// what is not theirs to know.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_upstream::{Failure, FailureKind};
    ///
    /// let failure = Failure::new(FailureKind::Overloaded).with_retry_after(Duration::from_secs(20));
    /// assert_eq!(failure.user_message(), "The service is overloaded. Please try again in 20 seconds.");
    /// ```
    pub fn user_message(&self) -> String {
        let what = match self.kind {
            FailureKind::RateLimited => "The service is rate limited.",
            FailureKind::QuotaExhausted => "The quota of the service is used up.",
            FailureKind::Overloaded => "The service is overloaded.",
            FailureKind::ServerError => "The service failed.",
            FailureKind::Timeout => "The service did not answer in time.",
            FailureKind::Transport => "The service could not be reached.",
            FailureKind::Refused => "The service is not available at the moment.",
            FailureKind::RequestTooLarge => return TOO_LARGE.to_owned(),
            FailureKind::Auth => {
                return "The access to the service is not set up correctly.".to_owned();
            }
            FailureKind::InvalidRequest => {
                return "The service did not understand the request.".to_owned();
            }
            FailureKind::ContentFiltered => {
                return "The service declined the request because of its content.".to_owned();
            }
            FailureKind::NotFound => {
                return "The service does not have what was asked for.".to_owned();
            }
        };
        format!("{what} {}", again(self.hint()))
    }
}

pub(crate) const TOO_LARGE: &str =
    "The request is larger than the service accepts. Please shorten it.";

pub(crate) const DEADLINE_EXCEEDED: &str =
    "The time for the request was over before it could be sent.";

/// When to try again, as a sentence.
pub(crate) fn again(wait: Option<Duration>) -> String {
    match wait {
        Some(wait) => format!("Please try again in {}.", in_words(wait)),
        None => "Please try again later.".to_owned(),
    }
}

/// Seconds up to a minute and a half, minutes up to an hour and a half, hours up to two days, and days beyond; always rounded
/// up.
pub(crate) fn in_words(wait: Duration) -> String {
    let seconds = whole_seconds(wait);
    let (count, unit) = match seconds {
        0..=90 => (seconds.max(1), "second"),
        91..=5_400 => (seconds.div_ceil(60), "minute"),
        5_401..=172_800 => (seconds.div_ceil(3_600), "hour"),
        _ => (seconds.div_ceil(86_400), "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// So much of what is counted: `9000 output tokens`, `1 request`, `20.00`.
pub(crate) fn amount(amount: u64, dimension: Dimension) -> String {
    if dimension == Dimension::Money {
        return figure(amount, dimension);
    }
    let name = dimension.as_str().replace('_', " ");
    let name = match amount {
        1 => name.strip_suffix('s').unwrap_or(&name),
        _ => &name,
    };
    format!("{amount} {name}")
}

/// So much of what is counted, without saying of what: `9000`, `20.00`.
pub(crate) fn figure(amount: u64, dimension: Dimension) -> String {
    match dimension {
        Dimension::Money => Money::from_nanos(amount).to_string(),
        _ => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_as_a_person_would_and_never_too_short() {
        for (millis, words) in [
            (0, "1 second"),
            (1, "1 second"),
            (1_001, "2 seconds"),
            (90_000, "90 seconds"),
            (90_001, "2 minutes"),
            // Groq's "try again in 22m46.848s".
            (1_366_848, "23 minutes"),
            (5_400_001, "2 hours"),
            (86_400_000, "24 hours"),
            (172_800_001, "3 days"),
        ] {
            assert_eq!(in_words(Duration::from_millis(millis)), words);
        }
        assert!(in_words(Duration::MAX).ends_with(" days"));
    }

    #[test]
    fn an_amount_of_one_is_told_in_the_singular() {
        for (dimension, one, more) in [
            (Dimension::Requests, "1 request", "2 requests"),
            (Dimension::OutputTokens, "1 output token", "2 output tokens"),
            (Dimension::Concurrency, "1 concurrency", "2 concurrency"),
        ] {
            assert_eq!(amount(1, dimension), one);
            assert_eq!(amount(2, dimension), more);
        }
        let cent = Money::from_cents(1).nanos();
        assert_eq!(amount(cent, Dimension::Money), "0.01");
    }

    #[test]
    fn the_upstreams_own_words_are_not_passed_on() {
        let failure = Failure::new(FailureKind::Auth).with_message("bad key sk-123");
        assert_eq!(
            failure.user_message(),
            "The access to the service is not set up correctly."
        );
    }
}
