//! What holds a request back.

use std::{fmt, time::Duration};

use crate::{outcome::Dimension, plain_words};

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
            Self::MinInterval(interval) => write!(f, "{interval:?} between requests"),
            Self::MaxConcurrent(requests) => write!(f, "{requests} at a time"),
            Self::MaxTokensPerRequest(tokens) => {
                let tokens = plain_words::amount(tokens, Dimension::Tokens);
                write!(f, "{tokens} a request")
            }
            Self::Pause => f.write_str("a pause"),
            Self::AdaptedRate => f.write_str("a rate that was cut after a refusal"),
        }
    }
}
