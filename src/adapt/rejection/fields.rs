//! How the limits of a caller stand, in the fields `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4).

use std::{fmt::Write, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::refusal::whole_seconds;
use crate::{
    config_error::ConfigError,
    outcome::Dimension,
    rate_limit::{LimitStatus, RateLimiter},
    request::RequestHead,
};

/// A limiter whose limits are told under a name.
#[derive(Clone, Debug)]
pub(super) struct Advertised {
    name: Box<str>,
    limiter: RateLimiter,
}

/// A limiter, and the key in it that a request falls under.
#[derive(Debug)]
pub(super) struct Asked {
    name: Box<str>,
    limiter: RateLimiter,
    key: Arc<str>,
}

/// How the limits of one request stand, a policy for each.
#[derive(Debug, Default)]
pub(super) struct Standing(Vec<(String, LimitStatus)>);

impl Advertised {
    /// # Errors
    ///
    /// When the name cannot stand in a field.
    pub(super) fn new(name: &str, limiter: RateLimiter) -> Result<Self, ConfigError> {
        // What a string of structured fields holds without escapes (RFC 9651, 3.3.3).
        let fits = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if !name.bytes().all(fits) {
            return Err(ConfigError::new(
                "advertise",
                format!("{name:?}"),
                "a name of visible ASCII without quotes and backslashes",
            ));
        }
        Ok(Self {
            name: name.into(),
            limiter,
        })
    }

    pub(super) fn ask(&self, head: &RequestHead<'_>) -> Asked {
        Asked {
            name: self.name.clone(),
            limiter: self.limiter.clone(),
            key: self.limiter.key_of(head),
        }
    }
}

impl Standing {
    /// How they stand now.
    pub(super) fn of(asked: &[Asked]) -> Self {
        let policies = asked.iter().flat_map(|asked| {
            let limits = asked.limiter.status(&asked.key).limits;
            let told = limits
                .into_iter()
                .filter(|limit| limit.dimension != Dimension::Money);
            told.map(|limit| (policy_name(&asked.name, &limit), limit))
        });
        Self(policies.collect())
    }

    /// The policies of which nothing is left.
    pub(super) fn violated(&self) -> Vec<&str> {
        let spent = self.0.iter().filter(|(_, limit)| limit.remaining == 0);
        spent.map(|(name, _)| name.as_str()).collect()
    }

    /// Adds the fields; those that are there already, from a server further inside, stay in front.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let (mut policies, mut limits) = (String::new(), String::new());
        for (name, limit) in &self.0 {
            let separator = if policies.is_empty() { "" } else { ", " };
            let window = whole_seconds(limit.per).min(LARGEST);
            let amount = limit.amount.min(LARGEST);
            let remaining = limit.remaining.min(LARGEST);
            let _ = write!(policies, "{separator}\"{name}\";q={amount};w={window}");
            if limit.dimension != Dimension::Requests {
                let _ = write!(policies, ";qu=\"{}\"", limit.dimension);
            }
            let _ = write!(limits, "{separator}\"{name}\";r={remaining}");
            if limit.reset_after > Duration::ZERO {
                let _ = write!(
                    limits,
                    ";t={}",
                    whole_seconds(limit.reset_after).min(LARGEST)
                );
            }
        }
        for (field, text) in [(RATELIMIT_POLICY, policies), (RATELIMIT, limits)] {
            // Both are of visible ASCII: a name is checked, and the rest is ours.
            if let Ok(value) = HeaderValue::try_from(text)
                && !value.is_empty()
            {
                headers.append(field, value);
            }
        }
    }
}

/// For example `tenant-requests-60s`: each policy of an answer needs a name of its own.
fn policy_name(name: &str, limit: &LimitStatus) -> String {
    let hyphen = if name.is_empty() { "" } else { "-" };
    let seconds = limit.per.as_secs_f64();
    format!("{name}{hyphen}{}-{seconds}s", limit.dimension)
}

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The largest integer of structured fields (RFC 9651, 3.3.1).
const LARGEST: u64 = 999_999_999_999_999;
