//! Whether a request would be refused, for those who choose among upstreams.

use super::{handle::CircuitBreaker, state::State};
use crate::{
    forecast::{Forecast, Prospect},
    outcome::RefusedBy,
    request::RequestHead,
    upstream::Upstream,
};

/// A request that would be a probe would pass.
impl Forecast for CircuitBreaker {
    fn forecast(&self, _: &Upstream, head: &RequestHead<'_>) -> Prospect {
        match self.outlook(&self.key(head), State::outlook) {
            Some(Some(retry_after)) => Prospect::Refuse {
                by: RefusedBy::Circuit,
                retry_after: Some(retry_after),
            },
            Some(None) | None => Prospect::FREE,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::{
        circuit_breaker::CircuitBreakerPolicy, clock::ManualClock, testing::ms, upstream::Provider,
    };

    #[test]
    fn an_open_circuit_forecasts_a_refusal_until_a_probe_may_pass_and_asking_changes_nothing() {
        let clock = ManualClock::new();
        let breaker = CircuitBreaker::new(CircuitBreakerPolicy::default().open_for(ms(1_000)));
        let breaker = breaker.unwrap().clock(clock.clone());
        let upstream = Provider::openai().model("gpt");
        let mut request = Request::new(());
        request.extensions_mut().insert(upstream.clone());
        let forecast = || breaker.forecast(&upstream, &RequestHead::of(&request));
        assert_eq!(forecast(), Prospect::FREE);
        assert!(breaker.keys().is_empty());
        let key = upstream.id();
        breaker.force_open(key);
        let refused = Prospect::Refuse {
            by: RefusedBy::Circuit,
            retry_after: Some(ms(1_000)),
        };
        assert_eq!(forecast(), refused);
        breaker.force_half_open(key);
        for _ in 0..10 {
            assert_eq!(forecast(), Prospect::FREE);
        }
        assert_eq!(breaker.metrics(key).unwrap().refused, 0);
    }
}
