//! A chain as it is walked, and what has been learned of its upstreams.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{config::Chain, order::Order, performance::Performance, wheel::Wheel};
use crate::{
    cost::{Cost, Price},
    forecast::Prospect,
    instant::nanos,
    upstream::Upstream,
};

/// A chain that is in use. When the chain is changed, another plan takes its place; requests under way keep theirs.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) chain: Chain,
    performances: Vec<Arc<Mutex<Performance>>>,
    patience: u64,
    wheel: Mutex<Wheel>,
    /// Whether anybody goes by what happens: else nothing of it is kept.
    learns: AtomicBool,
    leader: Option<usize>,
}

impl Plan {
    pub(super) fn new(chain: Chain) -> Self {
        let upstreams = &chain.upstreams;
        Self {
            performances: upstreams.iter().map(|_| Arc::default()).collect(),
            wheel: Mutex::new(Wheel::new(upstreams.iter().map(Upstream::share))),
            learns: AtomicBool::new(chain.order.learns()),
            leader: leader(&chain),
            patience: patience(&chain),
            chain,
        }
    }

    /// Another chain, with what this one has learned of the upstreams that stay.
    pub(super) fn changed(&self, chain: Chain) -> Self {
        let mut next = Self::new(chain);
        let upstreams = next.chain.upstreams.iter();
        for (upstream, performance) in upstreams.zip(&mut next.performances) {
            if let Some(index) = self.chain.index(upstream.id()) {
                *performance = self.performances[index].clone();
            }
        }
        let learns = self.learns.load(Ordering::Relaxed);
        *next.learns.get_mut() |= learns;
        next
    }

    /// A request goes by this order: from now on it is learned what that goes by.
    pub(super) fn goes_by(&self, order: Order) {
        if order.learns() {
            self.learns.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn learns(&self) -> bool {
        self.learns.load(Ordering::Relaxed)
    }

    /// Whom the chain's order puts before all others, whatever happens.
    #[inline]
    pub(super) fn leader(&self) -> Option<usize> {
        self.leader
    }

    /// Whom the weights put first, the least by this measure before all others, with one lock for all of them. That one is chosen.
    pub(super) fn turn_wheel<M: Ord>(&self, measure: impl Fn(&Upstream) -> M) -> Option<usize> {
        let mut wheel = lock(&self.wheel);
        let upstreams = self.chain.upstreams.iter().enumerate();
        let ranked =
            upstreams.map(|(index, upstream)| (measure(upstream), wheel.pass(index), index));
        let (_, _, first) = ranked.min()?;
        wheel.choose(first);
        Some(first)
    }

    /// For how many nanoseconds a request waits in line before it asks whether another would take it; zero where nobody would know.
    #[inline]
    pub(super) fn patience(&self) -> u64 {
        self.patience
    }

    /// The upstream at this place answered after so long.
    pub(super) fn answered(&self, index: usize, after: Duration, now: Instant) {
        if self.learns() {
            self.performance(index).answered(after, now);
        }
    }

    /// The upstream at this place failed.
    pub(super) fn failed(&self, index: usize, now: Instant) {
        if self.learns() {
            self.performance(index).failed(now);
        }
    }

    pub(super) fn performance(&self, index: usize) -> MutexGuard<'_, Performance> {
        lock(&self.performances[index])
    }

    /// The upstream at this place was chosen.
    pub(super) fn chosen(&self, index: usize, order: Order) {
        if order == Order::Weighted {
            lock(&self.wheel).choose(index);
        }
    }

    /// How the upstream at this place compares with others in this order: the least is asked first, and of equals the one
    /// that stands first.
    pub(super) fn rank(
        &self,
        index: usize,
        order: Order,
        cost: Option<Cost>,
        prospect: Prospect,
        now: Instant,
    ) -> u64 {
        let upstream = &self.chain.upstreams[index];
        match order {
            Order::Listed => 0,
            Order::LocalFirst => u64::from(!upstream.provider().is_local()),
            Order::Cheapest => price(upstream, cost),
            Order::Headroom => match prospect {
                Prospect::Pass { taken } => (taken.clamp(0.0, 1.0) * PARTS) as u64,
                Prospect::Queue { wait } | Prospect::Full { at_least: wait } => {
                    wait.as_micros().try_into().map_or(u64::MAX, behind)
                }
                Prospect::Refuse { .. } | Prospect::TooLarge => u64::MAX,
            },
            Order::Fastest => self.performance(index).rank_by_speed(now),
            Order::Weighted => lock(&self.wheel).pass(index),
            Order::Learned => self.performance(index).rank_by_success(now),
        }
    }
}

fn leader(chain: &Chain) -> Option<usize> {
    let is_local = |upstream: &Upstream| upstream.provider().is_local();
    match chain.order {
        Order::Listed => Some(0),
        Order::LocalFirst => Some(chain.upstreams.iter().position(is_local).unwrap_or(0)),
        Order::Cheapest | Order::Headroom | Order::Fastest | Order::Weighted | Order::Learned => {
            None
        }
    }
}

fn patience(chain: &Chain) -> u64 {
    match chain.consulted.is_empty() {
        true => 0,
        false => nanos(chain.max_wait).max(1),
    }
}

/// What a request would cost there, in billionths.
fn price(upstream: &Upstream, cost: Option<Cost>) -> u64 {
    let blend = Cost::tokens(3_000_000, 1_000_000);
    let of = |price: &Price| price.of(cost.unwrap_or(blend)).nanos();
    let unpriced = match upstream.provider().is_local() {
        true => 0,
        false => u64::MAX,
    };
    upstream.own_price().map_or(unpriced, of)
}

/// Behind everybody who would let the request pass.
fn behind(micros: u64) -> u64 {
    micros.saturating_add(PARTS as u64 + 1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shares of a limit are compared to a millionth.
const PARTS: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock, TokioClock},
        money::Money,
        request::RequestHead,
        upstream::Provider,
    };

    fn plan(order: Order, upstreams: impl IntoIterator<Item = Upstream>) -> Plan {
        let consulted = |_: &Upstream, _: &RequestHead<'_>| Prospect::FREE;
        Plan::new(Chain::new(upstreams).consult(consulted).order(order))
    }

    fn ranked(plan: &Plan, order: Order, cost: Option<Cost>) -> Vec<String> {
        let now = TokioClock.now();
        let mut indices: Vec<usize> = (0..plan.chain.upstreams.len()).collect();
        indices.sort_by_key(|index| plan.rank(*index, order, cost, Prospect::FREE, now));
        let names = indices
            .iter()
            .map(|index| plan.chain.upstreams[*index].id());
        names.map(str::to_owned).collect()
    }

    #[test]
    fn local_upstreams_go_first_and_each_group_stays_as_listed() {
        let (openai, ollama) = (Provider::openai(), Provider::ollama());
        let listed = [
            openai.model("a"),
            ollama.model("b"),
            openai.model("c"),
            ollama.model("d"),
        ];
        let plan = plan(Order::LocalFirst, listed);
        let ids = ranked(&plan, Order::LocalFirst, None);
        assert_eq!(ids, ["ollama/b", "ollama/d", "openai/a", "openai/c"]);
    }

    // liter-llm's "cheapest" never looked at a price.
    #[test]
    fn the_cheapest_is_the_one_that_this_very_request_costs_the_least_at() {
        let price = |input, output| {
            Price::default()
                .input(Money::from_cents(input))
                .output(Money::from_cents(output))
        };
        let openai = Provider::openai();
        let plan = plan(
            Order::Cheapest,
            [
                openai.model("unpriced"),
                openai.model("long answers").price(price(300, 100)),
                openai.model("long prompts").price(price(100, 900)),
                Provider::ollama().model("own"),
            ],
        );
        let of = |cost| ranked(&plan, Order::Cheapest, cost);
        let [long_prompt, long_answer] = [Cost::tokens(9_000, 100), Cost::tokens(100, 9_000)];
        assert_eq!(
            of(Some(long_prompt))[..2],
            ["ollama/own", "openai/long prompts"]
        );
        assert_eq!(
            of(Some(long_answer))[..2],
            ["ollama/own", "openai/long answers"]
        );
        // 3 × 3 + 1 × 1 = 10 against 3 × 1 + 1 × 9 = 12.
        assert_eq!(
            of(None)[1..],
            [
                "openai/long answers",
                "openai/long prompts",
                "openai/unpriced"
            ]
        );
    }

    #[test]
    fn whoever_lets_a_request_pass_has_more_room_than_any_queue_and_the_shorter_queue_goes_first() {
        let plan = plan(Order::Headroom, [Provider::openai().model("a")]);
        let rank = |prospect| plan.rank(0, Order::Headroom, None, prospect, TokioClock.now());
        let queue = |micros| {
            let wait = Duration::from_micros(micros);
            rank(Prospect::Queue { wait })
        };
        let full = rank(Prospect::Pass { taken: 1.0 });
        assert!(rank(Prospect::FREE) < full);
        assert!(full < queue(0) && queue(0) < queue(1) && queue(1) < queue(2));
        assert_eq!(rank(Prospect::TooLarge), u64::MAX);
    }

    #[test]
    fn what_was_learned_stays_with_an_upstream_through_a_change_of_the_chain() {
        let (provider, now) = (Provider::openai(), TokioClock.now());
        let before = plan(Order::Fastest, [provider.model("a"), provider.model("b")]);
        before.answered(1, Duration::from_millis(70), now);
        let chain = Chain::new([provider.model("b"), provider.model("c")]);
        let after = before.changed(chain);
        let known = |index| after.performance(index).time_to_answer();
        assert_eq!(
            [known(0), known(1)],
            [Some(Duration::from_millis(70)), None]
        );
        // Requests that still go along the old chain teach the new one.
        before.answered(1, Duration::from_millis(70), now);
        assert!(after.learns());
    }

    #[test]
    fn nothing_is_learned_until_somebody_goes_by_it() {
        let (provider, now) = (Provider::openai(), TokioClock.now());
        let plan = plan(Order::Listed, [provider.model("a"), provider.model("b")]);
        plan.answered(0, Duration::from_secs(1), now);
        assert_eq!(plan.performance(0).time_to_answer(), None);
        plan.goes_by(Order::Cheapest);
        assert!(!plan.learns());
        plan.goes_by(Order::Fastest);
        assert!(plan.learns());
    }
}
