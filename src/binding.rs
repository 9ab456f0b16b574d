//! What holds a request back, and for how long it may.

use std::{fmt, time::Duration};

use crate::{outcome::Dimension, period, plain_words};

/// What of a quota holds a request back, or can never be kept by it.
///
/// ```
/// use std::time::Duration;
/// use tower_upstream::{error::BindingLimit, outcome::Dimension};
///
/// let limit = BindingLimit::Rate {
///     dimension: Dimension::Tokens,
///     amount: 9_000,
///     per: Some(Duration::from_secs(60)),
/// };
/// assert_eq!(limit.to_string(), "9000 tokens per 60s");
/// assert_eq!(BindingLimit::MaxConcurrent(3).to_string(), "3 at a time");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindingLimit {
    /// One of its limits, or one that the upstream told of.
    Rate {
        /// What is counted.
        dimension: Dimension,
        /// How much of it one period allows; of money, in billionths of a unit.
        amount: u64,
        /// The period; `None` for a month of the calendar.
        per: Option<Duration>,
    },
    /// The least time between two requests.
    MinInterval(Duration),
    /// The most requests under way at once.
    MaxConcurrent(u32),
    /// The most tokens of one request.
    MaxTokensPerRequest(u64),
    /// A pause that you or the upstream asked for.
    Pause,
    /// The rate that was cut because the upstream, of whose limits nothing is known, refused.
    AdaptedRate,
}

impl BindingLimit {
    /// What is used up, as a sentence for whom the limit was made: it names no upstream, and no budget.
    pub(crate) fn used_up(&self) -> String {
        match *self {
            Self::Rate {
                dimension,
                amount,
                per,
            } if dimension != Dimension::Money => {
                let amount = plain_words::amount(amount, dimension);
                let per = per.map_or_else(|| "per month".into(), period::per);
                format!("The rate limit of {amount} {per} is used up.")
            }
            Self::MaxConcurrent(1) => "Only one request may be under way at a time.".into(),
            Self::MaxConcurrent(most) => {
                format!("Only {most} requests may be under way at a time.")
            }
            Self::MinInterval(interval) => {
                let interval = period::in_words(interval);
                format!("One request may follow another after {interval}.")
            }
            _ => USED_UP.into(),
        }
    }
}

pub(crate) const USED_UP: &str = "The rate limit is used up.";

/// Whose patience bounds a wait, and how long it is, from when the request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Patience {
    /// The [`max_wait`](crate::RateLimiter::max_wait) of a limiter.
    MaxWait(Duration),
    /// What was left until the request's own [`Deadline`](crate::Deadline).
    Deadline(Duration),
    /// The [`max_wait`](crate::Chain::max_wait) of a chain, while another upstream would take the request.
    Chain(Duration),
}

impl Patience {
    /// How long it is.
    pub fn time(self) -> Duration {
        match self {
            Self::MaxWait(time) | Self::Deadline(time) | Self::Chain(time) => time,
        }
    }

    /// Whose it is, in snake case, as events carry it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxWait(_) => "max_wait",
            Self::Deadline(_) => "deadline",
            Self::Chain(_) => "chain",
        }
    }
}

/// What helps those whom such a limit makes wait, by its [words](BindingLimit#impl-Display-for-BindingLimit): events carry no more.
/// One who has set a cap himself need not ask anybody.
pub(crate) fn remedy(limit: &str) -> &'static str {
    if limit.ends_with(AT_A_TIME) {
        "raise `max_concurrent`"
    } else if limit.ends_with(BETWEEN) {
        "lower `min_interval`"
    } else if limit == CUT_RATE {
        "set the limits of the upstream, which nobody has told"
    } else {
        "ask for a higher quota"
    }
}

const AT_A_TIME: &str = " at a time";
const BETWEEN: &str = " between requests";
const CUT_RATE: &str = "a rate that was cut after a refusal";

impl fmt::Display for BindingLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Rate {
                dimension,
                amount,
                per,
            } => {
                f.write_str(&plain_words::amount(amount, dimension))?;
                match per {
                    Some(per) => write!(f, " per {per:?}"),
                    None => f.write_str(" per month"),
                }
            }
            Self::MinInterval(interval) => write!(f, "{interval:?}{BETWEEN}"),
            Self::MaxConcurrent(requests) => write!(f, "{requests}{AT_A_TIME}"),
            Self::MaxTokensPerRequest(tokens) => {
                let tokens = plain_words::amount(tokens, Dimension::Tokens);
                write!(f, "{tokens} a request")
            }
            Self::Pause => f.write_str("a pause"),
            Self::AdaptedRate => f.write_str(CUT_RATE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_by_a_limit_of_his_own_is_told_which() {
        let per_minute = |dimension| BindingLimit::Rate {
            dimension,
            amount: 12_000,
            per: Some(Duration::from_secs(60)),
        };
        let a_month = BindingLimit::Rate {
            dimension: Dimension::Requests,
            amount: 1,
            per: None,
        };
        for (limit, words) in [
            (
                per_minute(Dimension::InputTokens),
                "The rate limit of 12000 input tokens per minute is used up.",
            ),
            (a_month, "The rate limit of 1 request per month is used up."),
            (per_minute(Dimension::Money), USED_UP),
            (BindingLimit::Pause, USED_UP),
            (
                BindingLimit::MaxConcurrent(3),
                "Only 3 requests may be under way at a time.",
            ),
            (
                BindingLimit::MaxConcurrent(1),
                "Only one request may be under way at a time.",
            ),
            (
                BindingLimit::MinInterval(Duration::from_millis(250)),
                "One request may follow another after 250ms.",
            ),
        ] {
            assert_eq!(limit.used_up(), words);
        }
    }

    // Whoever had set `max_concurrent(2)` himself was advised to ask for a higher quota.
    #[test]
    fn each_limit_has_its_own_remedy() {
        let rate = BindingLimit::Rate {
            dimension: Dimension::Tokens,
            amount: 12_000,
            per: Some(Duration::from_secs(60)),
        };
        for (limit, wanted) in [
            (rate, "ask for a higher quota"),
            (BindingLimit::Pause, "ask for a higher quota"),
            (BindingLimit::MaxConcurrent(2), "raise `max_concurrent`"),
            (
                BindingLimit::MinInterval(Duration::from_millis(250)),
                "lower `min_interval`",
            ),
            (
                BindingLimit::AdaptedRate,
                "set the limits of the upstream, which nobody has told",
            ),
        ] {
            assert_eq!(remedy(&limit.to_string()), wanted);
        }
        assert_eq!(remedy(""), "ask for a higher quota");
    }
}
