//! The chain: whom to ask, in which order, what makes it turn to the next, and for how long it leaves one alone.

use std::{collections::HashMap, fmt, time::Duration};

use super::order::Order;
use crate::{
    config_error::ConfigError,
    forecast::{Consulted, Forecast},
    outcome::{Failure, FailureKind},
    request::Attempts,
    upstream::{Provider, Upstream},
};

/// The upstreams that may answer a request, in the order in which they are asked.
///
/// ```
/// use std::time::Duration;
/// use tower_upstream::{Chain, FallbackLayer, Provider, WhenExhausted};
///
/// # fn main() -> Result<(), tower_upstream::ConfigError> {
/// let (groq, openai) = (Provider::groq(), Provider::openai());
/// let chain = Chain::new([
///     groq.model("openai/gpt-oss-120b"),
///     groq.model("openai/gpt-oss-20b"),
///     openai.model("gpt-4o-mini"),
/// ])
/// .max_attempts(5)
/// .when_exhausted(WhenExhausted::Wait { max: Duration::from_secs(10) });
/// let layer = FallbackLayer::new(chain)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Chain {
    pub(super) upstreams: Vec<Upstream>,
    pub(super) when_exhausted: WhenExhausted,
    pub(super) order: Order,
    pub(super) max_wait: Duration,
    pub(super) consulted: Consulted,
    pub(super) cooldown: Duration,
    pub(super) max_attempts: Option<u32>,
    pub(super) opted_in: Vec<FailureKind>,
    pub(super) repeats_all: bool,
}

/// What becomes of a request that finds every upstream of its chain cooling down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenExhausted {
    /// It is sent to the one that is back soonest among those that nobody asked to leave alone: which were overloaded, failed,
    /// timed out or could not be reached, and named no time, or one that is over. How long they are left alone is a guess: a
    /// request that would fail anyway finds out, and an answer ends the cooldown. A breaker that the chain
    /// [consults](Chain::consult) bounds how often that is. Without such a one it fails at once.
    #[default]
    Probe,
    /// It fails at once, and the error tells when the soonest is back; but for one that a retry layer inside left to the others and
    /// would else have waited for, as with all of these.
    Fail,
    /// It waits for the soonest, where that is back within `max` and within the request's
    /// [`Deadline`](crate::request::Deadline); else it fails at once. So does one that has asked somebody
    /// already.
    Wait {
        /// The longest wait.
        max: Duration,
    },
    /// It is sent to the one that is back soonest, all the same.
    TryAnyway,
}

impl Chain {
    /// A chain of these upstreams. One that is listed twice counts where it stands first; two providers, or two keys, under
    /// one name make [`FallbackLayer::new`](super::FallbackLayer::new) fail.
    pub fn new(upstreams: impl IntoIterator<Item = impl Into<Upstream>>) -> Self {
        let mut distinct: Vec<Upstream> = Vec::new();
        for upstream in upstreams.into_iter().map(Into::into) {
            let is_listed = |listed: &Upstream| {
                *listed == upstream && is_same(listed.provider(), upstream.provider())
            };
            if !distinct.iter().any(is_listed) {
                distinct.push(upstream);
            }
        }
        Self {
            upstreams: distinct,
            when_exhausted: WhenExhausted::default(),
            order: Order::default(),
            max_wait: DEFAULT_MAX_WAIT,
            consulted: Consulted::default(),
            cooldown: DEFAULT_COOLDOWN,
            max_attempts: None,
            opted_in: Vec::new(),
            repeats_all: true,
        }
    }

    /// Sets the order in which they are asked. Default: [`Order::Listed`].
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Asks this limiter or breaker inside, before each attempt, what would become of the request at each upstream: one that
    /// would refuse it is passed by, and one where it would queue for longer than [`max_wait`](Self::max_wait), or nobody knows
    /// for how long, is asked after the others. So are they while a request waits in line, which then goes to one that would
    /// take it. Of several the worst holds. Default: nobody is asked, what is inside speaks when it is called, and who waits in
    /// line does so to the end.
    #[must_use]
    pub fn consult(mut self, forecast: impl Forecast + 'static) -> Self {
        self.consulted = self.consulted.and(forecast);
        self
    }

    /// Consults these as well, each once.
    pub(crate) fn consult_all(mut self, others: &Consulted) -> Self {
        self.consulted = self.consulted.and_all(others);
        self
    }

    /// The longest that a request waits in line at one upstream while another would take it at once, as those who are
    /// [consulted](Self::consult) foresee it: who waits for longer looks for another every so often, or when half of the time until
    /// its deadline is over, but not more often than every 100 ms. Where a longer wait is foreseen before anybody is asked, those
    /// who would take it sooner are asked first. Default: 2 s, as long as the retry layer waits while there is somebody else.
    #[must_use]
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// How long an upstream is left alone after a failure that does not itself say how long. Zero: not at all, only hints
    /// count. Default: 5 min. After silence (a timeout; an answered 504 is none) it ends at once where a call that was under way
    /// at the same time is answered.
    #[must_use]
    pub fn cooldown(mut self, time: Duration) -> Self {
        self.cooldown = time;
        self
    }

    /// The most attempts that one request may have, over retries and fallbacks together, at least 1. Default: no cap but
    /// those of the chain's length and of the retries.
    ///
    /// A request that carries [`Attempts`] of its own keeps to the cap of those.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// What becomes of a request that finds every upstream cooling down. Default: [`WhenExhausted::Probe`].
    #[must_use]
    pub fn when_exhausted(mut self, choice: WhenExhausted) -> Self {
        self.when_exhausted = choice;
        self
    }

    /// Turns to the next upstream on failures of this kind too: on [`FailureKind::Auth`] where another key may help, on
    /// [`FailureKind::ContentFiltered`] where another filter may think otherwise. The upstream is not cooled for it.
    #[must_use]
    pub fn fall_back_on(mut self, kind: FailureKind) -> Self {
        self.opted_in.push(kind);
        self
    }

    /// Whether the next upstream is asked even where the one before may have done what the request asks, and its method is not
    /// idempotent (RFC 9110, section 9.2.2). Default: true, for an answer that is computed twice is paid for twice, but does no harm.
    /// For upstreams that do more than to answer, such as taking an order or a payment, say false: an
    /// `Idempotency-Key` does not help, for nobody knows the keys of another.
    #[must_use]
    pub fn repeat_non_idempotent(mut self, repeat: bool) -> Self {
        self.repeats_all = repeat;
        self
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.upstreams.is_empty() {
            return Err(ConfigError::new("chain", "empty", "at least one upstream"));
        }
        let is_nameless = |upstream: &&Upstream| {
            upstream.provider().name().is_empty() || upstream.model().is_some_and(str::is_empty)
        };
        if let Some(upstream) = self.upstreams.iter().find(is_nameless) {
            let id = upstream.id();
            let wanted = "a name of the provider, and of the model where there is one";
            return Err(ConfigError::new("chain", format!("\"{id}\""), wanted));
        }
        let mut named = HashMap::new();
        for upstream in &self.upstreams {
            let provider = upstream.provider();
            let first = named.entry(provider.name()).or_insert(provider);
            if !is_same(first, provider) {
                return Err(ConfigError::new(
                    "chain",
                    format!("of two providers that are both called {}", provider.name()),
                    "a name of its own for each (`Provider::named`)",
                ));
            }
        }
        if self.max_attempts == Some(0) {
            return Err(ConfigError::new("max_attempts", 0, "at least 1"));
        }
        if let Some(kind) = self.opted_in.iter().find(|kind| !kind.fall_back()) {
            return Err(ConfigError::new(
                "fall_back_on",
                kind.as_str(),
                "a kind that another upstream could answer better",
            ));
        }
        if self.order == Order::Headroom && self.consulted.is_empty() {
            return Err(ConfigError::new(
                "order",
                self.order.as_str(),
                "a limiter in the chain that tells it (`Chain::consult`)",
            ));
        }
        Ok(())
    }

    pub(super) fn index(&self, id: &str) -> Option<usize> {
        let mut upstreams = self.upstreams.iter();
        upstreams.position(|upstream| upstream.id() == id)
    }

    /// The upstreams, as they stand.
    pub(crate) fn listed(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// The only upstream, where there is nobody to turn to.
    pub(super) fn lone(&self) -> Option<&Upstream> {
        match &*self.upstreams {
            [lone] => Some(lone),
            _ => None,
        }
    }

    pub(super) fn is_capped(&self) -> bool {
        self.max_attempts.is_some()
    }

    /// For a request that brings none.
    pub(super) fn ledger(&self) -> Attempts {
        self.max_attempts
            .map_or_else(Attempts::default, Attempts::new)
    }

    /// Whether the next upstream is asked after this failure.
    pub(super) fn falls_back(&self, failure: &Failure) -> bool {
        let opted_in = failure.fall_back && self.opted_in.contains(&failure.kind);
        opted_in || falls_back_by_default(failure)
    }

    /// How long the upstream is left alone after this failure, `None` where it may be asked again at once.
    pub(super) fn cooldown_after(&self, failure: &Failure) -> Option<Duration> {
        let time = failure.hint().unwrap_or(self.cooldown);
        (speaks_of_the_next_request(failure.kind) && !time.is_zero()).then_some(time)
    }
}

/// Whether another may do better, unless the user knows more.
pub(super) fn falls_back_by_default(failure: &Failure) -> bool {
    let by_default = match failure.kind {
        FailureKind::RateLimited
        | FailureKind::QuotaExhausted
        | FailureKind::Overloaded
        | FailureKind::ServerError
        | FailureKind::Timeout
        | FailureKind::Transport
        | FailureKind::RequestTooLarge
        | FailureKind::NotFound
        | FailureKind::Refused => true,
        FailureKind::Auth | FailureKind::InvalidRequest | FailureKind::ContentFiltered => false,
    };
    failure.fall_back && by_default
}

/// Whether the next request would meet such a failure as well.
pub(super) fn speaks_of_the_next_request(kind: FailureKind) -> bool {
    match kind {
        FailureKind::RateLimited
        | FailureKind::QuotaExhausted
        | FailureKind::Overloaded
        | FailureKind::ServerError
        | FailureKind::Timeout
        | FailureKind::Transport => true,
        // Refused: our own layer spoke, not the upstream. The others: a smaller or another request may well pass.
        // NotFound is among them, as a status does not tell a path of one request from a model of all.
        FailureKind::Refused
        | FailureKind::NotFound
        | FailureKind::RequestTooLarge
        | FailureKind::Auth
        | FailureKind::InvalidRequest
        | FailureKind::ContentFiltered => false,
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upstreams: Vec<&str> = self.upstreams.iter().map(Upstream::id).collect();
        f.debug_struct("Chain")
            .field("upstreams", &upstreams)
            .field("order", &self.order)
            .field("when_exhausted", &self.when_exhausted)
            .field("max_wait", &self.max_wait)
            .field("cooldown", &self.cooldown)
            .field("max_attempts", &self.max_attempts)
            .field("fall_back_on", &self.opted_in)
            .field("consulted", &self.consulted)
            .finish()
    }
}

/// Whether both are the same provider. By their names alone, a second key under the same name would be equal.
fn is_same(first: &Provider, second: &Provider) -> bool {
    let keys = [first, second].map(|provider| provider.credentials().map(|pair| &pair.key));
    first.name() == second.name()
        && first.url() == second.url()
        && first.wire() == second.wire()
        && first.speaks() == second.speaks()
        && keys[0] == keys[1]
}

/// Five of the one-minute windows that most quotas count in: who is still limited then has not just missed one.
pub(super) const DEFAULT_COOLDOWN: Duration = Duration::from_secs(300);

/// As long as the retry layer waits for a hint while the fallback has somebody to turn to.
const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{signal::Dialect, upstream::Provider};

    fn chain() -> Chain {
        let provider = Provider::groq();
        Chain::new([
            provider.model("a"),
            provider.model("b"),
            provider.model("a"),
        ])
    }

    #[test]
    fn an_upstream_that_is_listed_twice_is_asked_once() {
        let chain = chain();
        chain.check().unwrap();
        let ids: Vec<&str> = chain.upstreams.iter().map(Upstream::id).collect();
        assert_eq!(ids, ["groq/a", "groq/b"]);
    }

    /// A second key under the same name was silently left out, and half of the quota with it.
    #[test]
    fn two_providers_of_one_name_are_refused_and_not_silently_made_one() {
        let openai = Provider::openai();
        let key = |key: &str| Provider::openai().key(key).unwrap();
        let url = "https://proxy.example.com/v1";
        for [first, second] in [
            [key("k1"), key("k2")],
            [openai.clone(), key("k1")],
            [openai.clone(), openai.clone().base_url(url).unwrap()],
            [openai.clone(), Provider::groq().named("openai")],
            [openai.clone(), openai.clone().dialect(Dialect::Vllm)],
        ] {
            let chain = Chain::new([first.model("m"), openai.model("n"), second.model("m")]);
            let error = chain.check().unwrap_err();
            assert_eq!(error.setting(), "chain");
            assert_eq!(
                error.to_string(),
                "`chain` cannot be of two providers that are both called openai: expected a name of its own for each \
                 (`Provider::named`)"
            );
            // Of two accounts also where the models differ: a cooldown of the one would be the other's.
            let chain = Chain::new([first.model("m"), second.model("n")]);
            assert_eq!(chain.check().unwrap_err(), error);
            let named = [first.model("m"), second.named("openai-2").model("m")];
            assert_eq!(Chain::new(named).check(), Ok(()));
        }
        let same = [key("k1").model("m"), key("k1").model("m")];
        assert_eq!(Chain::new(same).upstreams.len(), 1);
    }

    #[test]
    fn settings_that_cannot_work_are_named_with_their_value() {
        for (bad, setting, value) in [
            (Chain::new(Vec::<Upstream>::new()), "chain", "empty"),
            (chain().max_attempts(0), "max_attempts", "0"),
            (
                chain().fall_back_on(FailureKind::InvalidRequest),
                "fall_back_on",
                "invalid_request",
            ),
            (chain().order(Order::Headroom), "order", "headroom"),
        ] {
            let error = bad.check().unwrap_err();
            assert_eq!((error.setting(), error.value()), (setting, value));
        }
    }

    #[test]
    fn credentials_and_filters_fall_back_only_where_the_user_says_so() {
        for kind in [FailureKind::Auth, FailureKind::ContentFiltered] {
            let failure = Failure::new(kind);
            assert!(!chain().falls_back(&failure));
            assert!(chain().fall_back_on(kind).falls_back(&failure));
            assert_eq!(chain().fall_back_on(kind).cooldown_after(&failure), None);
        }
    }

    #[test]
    fn a_layer_that_knows_that_nobody_can_serve_the_request_is_believed() {
        let mut failure = Failure::new(FailureKind::RateLimited);
        assert!(chain().falls_back(&failure));
        failure.fall_back = false;
        assert!(!chain().falls_back(&failure));
    }

    #[test]
    fn the_hint_is_the_cooldown_and_one_of_zero_is_none() {
        let limited = |hint| Failure::new(FailureKind::RateLimited).with_retry_after(hint);
        let second = Duration::from_secs(1);
        let of = |chain: Chain, hint: Option<Duration>| chain.cooldown_after(&limited(hint));
        assert_eq!(of(chain(), Some(second)), Some(second));
        assert_eq!(of(chain(), None), Some(DEFAULT_COOLDOWN));
        assert_eq!(of(chain(), Some(Duration::ZERO)), Some(DEFAULT_COOLDOWN));
        let hints_only = chain().cooldown(Duration::ZERO);
        assert_eq!(of(hints_only.clone(), Some(second)), Some(second));
        assert_eq!(of(hints_only, None), None);
    }
}
