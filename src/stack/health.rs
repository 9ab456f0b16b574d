//! Whether upstreams that are left alone are back.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures::{
    future::{self, Either, join_all},
    pin_mut,
};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;

use super::handle::Stack;
use crate::{
    circuit_breaker::CircuitState,
    classify,
    error::BoxError,
    fallback::{Cooldown, Router},
    instant::after,
    outcome::FailureKind,
    provider::ProviderLayer,
    upstream::Upstream,
};

impl Stack {
    /// Asks the providers of upstreams that are left alone for their models (`GET /models`), by this client, which is the one that the
    /// stack stands around; and lets requests through again to those that answer, sooner than after the time for which they are left
    /// alone by guess. Gives back these upstreams.
    ///
    /// 1. An open circuit becomes half-open: the next requests are its probes.
    /// 2. A cooldown after a lost connection, a timeout or a server error ends. One for which the upstream asked stands, and so does
    ///    one after an overload, a used-up quota or a refused key, of which the list of models tells nothing.
    /// 3. What a person forced stays. So does the circuit of an upstream where the breaker goes by another
    ///    [`Scope`](crate::Scope).
    ///
    /// Each provider is asked once, all at the same time, and has 10 s to answer; what it answers does not matter, as long as it is
    /// no failure of its own. No limit counts it. Nobody is asked where all is well. Call it every now and then, as in a task of
    /// your own: without it a request goes out to find out, when the time is over.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use http_body_util::Full;
    /// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
    /// use tower_layer::Layer;
    /// use tower_upstream::{Provider, Stack};
    ///
    /// # async fn run() -> Result<(), tower_upstream::ConfigError> {
    /// let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    /// let stack = Stack::builder().upstream(Provider::ollama().model("llama3.2")).build()?;
    /// let service = stack.layer().layer(client.clone());
    /// tokio::spawn(async move {
    ///     let mut every = tokio::time::interval(Duration::from_secs(15));
    ///     loop {
    ///         every.tick().await;
    ///         for upstream in stack.check_health(&client).await {
    ///             println!("{upstream} is back");
    ///         }
    ///     }
    /// });
    /// # let _ = service;
    /// # Ok(()) }
    /// ```
    pub async fn check_health<S, R>(&self, client: &S) -> Vec<Upstream>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
        S::Error: Into<BoxError> + 'static,
        R: Body,
        R::Error: Into<BoxError>,
    {
        let chain = self.router.as_ref().map(Router::chain);
        let upstreams = chain.iter().flat_map(|chain| chain.listed());
        let cooling = self.cooldowns.list();
        let mut suspects = BTreeMap::<&str, Vec<&Upstream>>::new();
        for upstream in upstreams.filter(|upstream| self.is_suspect(upstream, &cooling)) {
            let provider = upstream.provider().name();
            suspects.entry(provider).or_default().push(upstream);
        }
        let asked = suspects.into_values().map(|suspects| async {
            let is_well = self.is_well(suspects[0], client.clone()).await;
            is_well.then_some(suspects)
        });
        let well = join_all(asked).await;
        let cooling = self.cooldowns.list();
        let back = well.into_iter().flatten().flatten();
        back.filter(|upstream| self.let_in(upstream, &cooling))
            .cloned()
            .collect()
    }

    /// Whether it is left alone, and nobody has asked for that.
    fn is_suspect(&self, upstream: &Upstream, cooling: &[Cooldown]) -> bool {
        let entries = || cooling.iter().filter(|entry| is_of(entry, upstream));
        let is_open = self.breaker.state(upstream.id()) == CircuitState::Open;
        (is_open || entries().next().is_some()) && entries().all(is_guess)
    }

    /// Whether its provider answers.
    async fn is_well<S, R>(&self, upstream: &Upstream, client: S) -> bool
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>>,
        S::Error: Into<BoxError> + 'static,
        R: Body,
        R::Error: Into<BoxError>,
    {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = http::Uri::from_static("/v1/models");
        request.extensions_mut().insert(upstream.clone());
        let provider = ProviderLayer::new().clock(self.clock.clone());
        let answer = provider.layer(client).oneshot(request);
        let end = self.clock.sleep_until(after(self.clock.now(), LONGEST));
        pin_mut!(answer);
        match future::select(answer, end).await {
            Either::Left((result, _)) => classify::failure(&result, &*self.clock)
                .is_none_or(|failure| !failure.kind.is_ill_health()),
            Either::Right(_) => false,
        }
    }

    /// Lets requests through to it again, unless it has asked for a wait in the meantime.
    fn let_in(&self, upstream: &Upstream, cooling: &[Cooldown]) -> bool {
        if !self.is_suspect(upstream, cooling) {
            return false;
        }
        if self.breaker.state(upstream.id()) == CircuitState::Open {
            self.breaker.force_half_open(upstream.id());
        }
        for entry in cooling.iter().filter(|entry| is_of(entry, upstream)) {
            self.cooldowns.clear(&entry.key);
        }
        true
    }
}

fn is_of(entry: &Cooldown, upstream: &Upstream) -> bool {
    match entry.account_wide {
        true => *entry.key == *upstream.provider().name(),
        false => *entry.key == *upstream.id(),
    }
}

/// Whether nobody asked for it, and it is over where the upstream can be reached.
fn is_guess(entry: &Cooldown) -> bool {
    let is_away = matches!(
        entry.kind,
        FailureKind::ServerError | FailureKind::Timeout | FailureKind::Transport
    );
    is_away && entry.asked.is_zero()
}

/// A list of models takes no time to think.
const LONGEST: Duration = Duration::from_secs(10);
