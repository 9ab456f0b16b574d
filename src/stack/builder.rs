//! What a stack is built of.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{handle::Stack, layer::StackLayer, presets, quotas::Quotas};
use crate::{
    circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, CircuitBreakerPolicy},
    clock::{Clock, TokioClock},
    config_error::ConfigError,
    fallback::{Chain, Cooldowns, FallbackLayer},
    forecast::Consulted,
    intake::IntakeLayer,
    observe::{Observer, Stats},
    provider::ProviderLayer,
    rate_limit::{Quota, RateLimitLayer, RateLimiter},
    request::Scope,
    retry::{RetryLayer, RetryPolicy},
    upstream::Upstream,
};

/// What a [`Stack`] is built of. Everything has a default; without upstreams, requests go where they say.
///
/// Settings are given the stack's clock and observer. A handle that you made goes by those that it has: clock and observer of
/// a handle are a part of it.
#[must_use = "a stack is made by `build`"]
pub struct StackBuilder {
    upstreams: Vec<Upstream>,
    fallback: Vec<Box<dyn FnOnce(Chain) -> Chain + Send>>,
    retry: RetryPolicy,
    /// Those of single upstreams, and of providers.
    own_retries: Vec<(Arc<str>, RetryPolicy)>,
    breaker: Breaker,
    limiters: Vec<Limiter>,
    cooldowns: Option<Cooldowns>,
    intake: IntakeLayer,
    provider: ProviderLayer,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
    keeps_stats: bool,
    /// The variables that the keys of providers were read from.
    keys: BTreeMap<Arc<str>, String>,
}

enum Breaker {
    Policy(Box<CircuitBreakerPolicy>),
    Handle(CircuitBreaker),
}

/// A limiter, and whether somebody else holds it already.
struct Limiter {
    limiter: RateLimiter,
    is_shared: bool,
    /// Quotas of single keys.
    quotas: Vec<(String, Quota)>,
}

impl Stack {
    /// A stack with defaults and without upstreams; add some.
    pub fn builder() -> StackBuilder {
        StackBuilder {
            upstreams: Vec::new(),
            fallback: Vec::new(),
            retry: RetryPolicy::llm(),
            own_retries: Vec::new(),
            breaker: Breaker::Policy(Box::default()),
            limiters: Vec::new(),
            cooldowns: None,
            intake: IntakeLayer::new(),
            provider: ProviderLayer::new(),
            clock: Arc::new(TokioClock),
            observer: None,
            keeps_stats: true,
            keys: BTreeMap::new(),
        }
    }
}

impl StackBuilder {
    /// Says which variable a provider's key was read from.
    pub(super) fn key_from(mut self, provider: Arc<str>, variable: String) -> Self {
        self.keys.insert(provider, variable);
        self
    }

    /// Adds an upstream, to be asked after those that were added before.
    ///
    /// Where it is a model that [`presets`] knows, under the base URL that they know, and has no price or size of context of
    /// its own, it has those of the preset.
    pub fn upstream(mut self, upstream: impl Into<Upstream>) -> Self {
        self.upstreams.push(upstream.into());
        self
    }

    /// Changes the [`Chain`] that the upstreams make up: its order, its cooldown, its cap on attempts. Default: as
    /// [`Chain::new`] makes it. The breaker and the limiters of the stack are [consulted](Chain::consult) in any case, also by a
    /// chain that the [router](Stack::router) is given later; the breaker by the retries as well.
    ///
    /// ```
    /// use tower_upstream::{Provider, Stack};
    ///
    /// # fn main() -> Result<(), tower_upstream::ConfigError> {
    /// let stack = Stack::builder()
    ///     .upstream(Provider::openai().model("gpt-4o-mini"))
    ///     .upstream(Provider::ollama().model("llama3.2"))
    ///     .fallback(|chain| chain.max_attempts(4))
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn fallback(mut self, change: impl FnOnce(Chain) -> Chain + Send + 'static) -> Self {
        self.fallback.push(Box::new(change));
        self
    }

    /// Sets what is repeated, how often and after which waits. Default: [`RetryPolicy::llm`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// The same for one upstream, by its id, or for all of a provider, by its name. Default: as all others. See
    /// [`RetryLayer::set_policy_for`].
    pub fn retry_for(mut self, key: impl Into<Arc<str>>, policy: RetryPolicy) -> Self {
        self.own_retries.push((key.into(), policy));
        self
    }

    /// Sets when the circuit of an upstream opens, and for how long. Default: [`CircuitBreakerPolicy::default`].
    pub fn circuit_breaker(mut self, policy: CircuitBreakerPolicy) -> Self {
        self.breaker = Breaker::Policy(Box::new(policy));
        self
    }

    /// Sets the breaker, to share its circuits with another stack. Default: one of its own.
    pub fn breaker(mut self, breaker: CircuitBreaker) -> Self {
        self.breaker = Breaker::Handle(breaker);
        self
    }

    /// Adds a limiter: a request is admitted by all of them at once or by none. Where none goes by upstreams or hosts, there is
    /// one before them that does, without limits of its own, so that the quotas of upstreams hold, and what one of them answers
    /// holds nobody back who asks another. Where the account of an upstream that it is built
    /// with has a [quota](crate::Provider::quota) and no limiter goes by providers, there is one for that as well.
    pub fn limiter(self, limiter: RateLimiter) -> Self {
        self.add_limiter(limiter, true, Vec::new())
    }

    /// Adds a limiter that nobody else holds yet: it goes by the stack's clock and observer.
    pub(super) fn add_limiter(
        mut self,
        limiter: RateLimiter,
        is_shared: bool,
        quotas: Vec<(String, Quota)>,
    ) -> Self {
        self.limiters.push(Limiter {
            limiter,
            is_shared,
            quotas,
        });
        self
    }

    /// Sets the cooldowns, to share them with another stack. Default: ones of its own.
    pub fn cooldowns(mut self, cooldowns: Cooldowns) -> Self {
        self.cooldowns = Some(cooldowns);
        self
    }

    /// Sets how requests are taken in. Default: [`IntakeLayer::new`].
    pub fn intake(mut self, layer: IntakeLayer) -> Self {
        self.intake = layer;
        self
    }

    /// Sets how providers are spoken to. It goes by the stack's clock. Default: [`ProviderLayer::new`].
    pub fn provider(mut self, layer: ProviderLayer) -> Self {
        self.provider = layer;
        self
    }

    /// Sets the clock. Default: [`TokioClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets who is told every decision, beside the stack's own [`Stats`]. Default: nobody else.
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Keeps no [`Stats`]: they cost some hundred nanoseconds a request, under one lock, which is nothing before a model and
    /// something in a proxy of 100,000 requests a second. [`Stack::stats`] then stays empty.
    pub fn without_stats(mut self) -> Self {
        self.keeps_stats = false;
        self
    }

    /// Makes the stack.
    ///
    /// # Errors
    ///
    /// When a setting cannot work; the error names it. So it is where a limit of money holds an upstream that nobody has told
    /// the [price](Upstream::price) of, and that is not local: nothing would be counted. Where requests bring a
    /// [`Cost`](crate::Cost) with money, say so by a price of zero.
    pub fn build(self) -> Result<Stack, ConfigError> {
        let Self {
            upstreams,
            fallback,
            retry,
            own_retries,
            breaker,
            limiters,
            cooldowns,
            intake,
            provider,
            clock,
            observer,
            keeps_stats,
            keys,
        } = self;
        let stats = Stats::new().clock(clock.clone());
        let observer: Option<Arc<dyn Observer>> = match (observer, keeps_stats) {
            (Some(observer), true) => Some(Arc::new((stats.clone(), observer))),
            (None, true) => Some(Arc::new(stats.clone())),
            (observer, false) => observer,
        };
        let upstreams: Vec<Upstream> = upstreams.into_iter().map(presets::complete).collect();
        let chain = fallback
            .into_iter()
            .fold(Chain::new(upstreams), |chain, change| change(chain));
        let breaker = breaker.build(&clock, observer.as_ref())?;
        let limiters = build_limiters(limiters, chain.listed(), &clock, observer.as_ref())?;
        limiters.iter().for_each(|it| it.foresee(chain.listed()));
        Quotas::of(&limiters).check_prices(chain.listed())?;
        let consulted = limiters.iter().cloned().fold(
            Consulted::default().and(breaker.clone()),
            Consulted::and::<RateLimiter>,
        );
        let cooldowns = cooldowns.unwrap_or_else(|| {
            let cooldowns = Cooldowns::new().clock(clock.clone());
            match &observer {
                Some(observer) => cooldowns.observe(observer.clone()),
                None => cooldowns,
            }
        });
        let upstreams = chain.listed().into();
        let fallback = match chain.listed() {
            [] => None,
            _ => {
                let layer = FallbackLayer::consulting(chain, consulted)?;
                Some(layer.cooldowns(cooldowns.clone()))
            }
        };
        let retry = RetryLayer::new(retry)?
            .clock(clock.clone())
            .consult(breaker.clone());
        for (key, policy) in own_retries {
            retry.set_policy_for(key, policy)?;
        }
        let provider = provider.clock(clock.clone());
        let router = fallback.as_ref().map(FallbackLayer::router);
        let layer = StackLayer {
            intake,
            fallback,
            retry: match &observer {
                Some(observer) => retry.observe(observer.clone()),
                None => retry,
            },
            circuit_breaker: CircuitBreakerLayer::new(breaker.clone()),
            rate_limit: limiters[1..]
                .iter()
                .fold(RateLimitLayer::new(limiters[0].clone()), |layer, more| {
                    layer.and(more.clone())
                }),
            provider: match observer {
                Some(observer) => provider.observe(observer),
                None => provider,
            },
        };
        Ok(Stack {
            layer,
            upstreams,
            limiters: limiters.into(),
            breaker,
            router,
            cooldowns,
            stats,
            clock,
            keys: keys.into(),
        })
    }
}

impl Breaker {
    fn build(
        self,
        clock: &Arc<dyn Clock>,
        observer: Option<&Arc<dyn Observer>>,
    ) -> Result<CircuitBreaker, ConfigError> {
        let policy = match self {
            Self::Handle(breaker) => return Ok(breaker),
            Self::Policy(policy) => *policy,
        };
        let breaker = CircuitBreaker::new(policy)?.clock(clock.clone());
        Ok(match observer {
            Some(observer) => breaker.observe(observer.clone()),
            None => breaker,
        })
    }
}

/// One of them goes by upstreams.
fn build_limiters(
    limiters: Vec<Limiter>,
    upstreams: &[Upstream],
    clock: &Arc<dyn Clock>,
    observer: Option<&Arc<dyn Observer>>,
) -> Result<Vec<RateLimiter>, ConfigError> {
    let with_clock = |limiter: RateLimiter| {
        let limiter = limiter.clock(clock.clone());
        match observer {
            Some(observer) => limiter.observe(observer.clone()),
            None => limiter,
        }
    };
    let is_missing = |goes: fn(&RateLimiter) -> bool| !limiters.iter().any(|it| goes(&it.limiter));
    let is_granted = |upstream: &Upstream| upstream.provider().own_quota().is_some();
    let of_upstreams = is_missing(RateLimiter::goes_by_upstreams).then_some(Scope::Host);
    let of_accounts =
        upstreams.iter().any(is_granted) && is_missing(RateLimiter::goes_by_providers);
    let scopes = of_upstreams
        .into_iter()
        .chain(of_accounts.then_some(Scope::Provider));
    let own = scopes.map(|scope| Ok(with_clock(RateLimiter::default().scope(scope))));
    let given = limiters.into_iter().map(|entry| {
        let limiter = match entry.is_shared {
            true => entry.limiter,
            false => with_clock(entry.limiter),
        };
        for (key, quota) in entry.quotas {
            limiter.set_quota(&key, quota)?;
        }
        Ok(limiter)
    });
    own.chain(given).collect()
}

impl fmt::Debug for StackBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackBuilder")
            .field("upstreams", &self.upstreams)
            .field("retry", &self.retry)
            .field("own_retries", &self.own_retries)
            .field("intake", &self.intake)
            .field("provider", &self.provider)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
