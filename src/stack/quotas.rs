//! Which quotas hold the requests to an upstream.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    config_error::ConfigError,
    rate_limit::{Quota, RateLimiter},
    upstream::Upstream,
};

/// The limiters of a stack, and the quotas that were set for single keys of each.
pub(super) struct Quotas<'a> {
    limiters: &'a [RateLimiter],
    pub(super) set: Vec<BTreeMap<Arc<str>, Arc<Quota>>>,
}

impl<'a> Quotas<'a> {
    pub(super) fn of(limiters: &'a [RateLimiter]) -> Self {
        let set = limiters.iter().map(RateLimiter::set_quotas).collect();
        Self { limiters, set }
    }

    /// The quota that holds for this key of the first limiter that goes by such, in words: the one that was set, else its own.
    pub(super) fn over(
        &self,
        goes: fn(&RateLimiter) -> bool,
        key: &str,
        own: Option<&Arc<Quota>>,
    ) -> Option<String> {
        let place = self.limiters.iter().position(goes);
        let set = place.and_then(|place| self.set[place].get(key));
        let words = set.or(own)?.in_words();
        (!words.is_empty()).then_some(words)
    }

    /// # Errors
    ///
    /// When what a limit of money would count of an upstream is not known: it would be no limit.
    pub(super) fn check_prices(&self, upstreams: &[Upstream]) -> Result<(), ConfigError> {
        let unpriced = |upstream: &Upstream| Some((upstream.clone(), self.uncounted(upstream)?));
        let Some((upstream, limit)) = upstreams.iter().find_map(unpriced) else {
            return Ok(());
        };
        Err(ConfigError::new(
            "price",
            format!("unknown for {upstream}, which a limit of money holds ({limit})"),
            "what its tokens cost (`Upstream::price`; `price` beside `models` in a file), or zeros where requests bring a \
             `Cost` with money",
        ))
    }

    /// The limit of money, in words, that counts nothing of what is sent to this upstream, since nobody knows its price.
    pub(super) fn uncounted(&self, upstream: &Upstream) -> Option<String> {
        let is_priced =
            upstream.own_price().is_some() || self.limiters.iter().any(RateLimiter::has_price);
        if is_priced {
            return None;
        }
        let provider = upstream.provider();
        if provider.is_local() {
            // It costs nothing, and takes nothing of what is shared with others.
            let own = [upstream.own_quota(), provider.own_quota()];
            return own.into_iter().flatten().find_map(|quota| quota.of_money());
        }
        let limiters = self.limiters.iter().zip(&self.set);
        limiters.into_iter().find_map(|(limiter, set)| {
            let Some(key) = limiter.key_of_all(upstream) else {
                let mut quotas = [limiter.own_quota()].into_iter().chain(set.values());
                return quotas.find_map(|quota| quota.of_money());
            };
            let own = set.get(key).or_else(|| limiter.grants(upstream));
            own.unwrap_or(limiter.own_quota()).of_money()
        })
    }
}
