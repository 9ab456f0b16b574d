//! The layer.

use tower_layer::Layer;

use super::{handle::RateLimiter, limiters::Limiters, service::RateLimit};

/// Admits, queues or refuses requests by every limit at once. See the [module docs](super).
#[derive(Clone, Debug, Default)]
pub struct RateLimitLayer {
    limiters: Limiters,
}

impl RateLimitLayer {
    /// A layer over this limiter. Every service that it makes shares the limiter's windows and queues.
    pub fn new(limiter: RateLimiter) -> Self {
        Self {
            limiters: Limiters::one(limiter),
        }
    }

    /// A limiter more: a request is admitted by all of them at once or by none, and takes from all of them or from none.
    ///
    /// They go by the clock of the first, and each by its own scope. The shortest [`max_wait`](RateLimiter::max_wait) of all
    /// holds. Give all of them the same clock: what a limiter tells of itself goes by its own. What answers say, of quotas or of a pause, is heeded by
    /// the first whose scope goes by upstreams or hosts, where none does by the first that goes by providers, else by the
    /// first.
    ///
    /// ```
    /// use tower_upstream::{Limit, Quota, RateLimitLayer, RateLimiter, Scope};
    ///
    /// # fn main() -> Result<(), tower_upstream::ConfigError> {
    /// let upstreams = RateLimiter::new(Quota::new().limit(Limit::tokens(90_000).per_minute()))?;
    /// let tenants = RateLimiter::new(Quota::new().limit(Limit::requests(20).per_minute()))?
    ///     .scope(Scope::by(|head| match head.headers.get("x-tenant") {
    ///         Some(tenant) => String::from_utf8_lossy(tenant.as_bytes()).into(),
    ///         None => "anonymous".into(),
    ///     }));
    /// let everybody = RateLimiter::new(Quota::new().max_concurrent(64))?.scope(Scope::All);
    /// let layer = RateLimitLayer::new(upstreams).and(tenants).and(everybody);
    /// # let _ = layer;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn and(self, limiter: RateLimiter) -> Self {
        Self {
            limiters: self.limiters.and(limiter),
        }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::under(inner, self.limiters.clone())
    }
}
