//! [`RetryBudget`]: how many retries all requests of a client may make together.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{config_error::ConfigError, outcome::FailureKind, share};

/// How many retries all requests of a client may make together. Cheap to clone; clones share the tokens.
///
/// A bucket of tokens, full at first. A retry takes its price before it waits, and gets it back when it succeeds or its
/// caller goes away; when the tokens do not suffice, the failure is passed on instead. So an upstream that is down gets few
/// requests more than its callers send.
///
/// The default is the quota of the AWS clients: 500 tokens, 5 for a retry, 10 for one after a timeout, and 1 back for each
/// success at the first attempt.
///
/// ```
/// use tower_upstream::{RetryBudget, RetryLayer, RetryPolicy};
///
/// # fn main() -> Result<(), tower_upstream::ConfigError> {
/// let budget = RetryBudget::ratio(0.2, 10); // a fifth more than the callers send, and 10 in reserve
/// let layer = RetryLayer::new(RetryPolicy::default().budget(budget.clone()))?;
/// assert_eq!(budget.available(), 10);
/// # let _ = layer;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RetryBudget {
    shared: Arc<Shared>,
}

struct Shared {
    prices: Prices,
    /// The deposits in units, so that no call has to convert them.
    success_deposit: u64,
    request_deposit: u64,
    /// In units; never above the capacity.
    available: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Prices {
    tokens: u32,
    retry: u32,
    timeout: u32,
    success_deposit: f64,
    request_deposit: f64,
    /// Whether a retry that succeeds gets its price back.
    refund: bool,
}

/// Deposits are counted in millionths of a token, so that a share of 0.75 is neither 1.0 nor 0.7 (tower#857).
const UNITS: u64 = 1_000_000;

impl RetryBudget {
    /// A full budget of this many tokens, at least the price of a retry, with the prices of the default.
    pub fn new(tokens: u32) -> Self {
        // The figures of the AWS SDKs' standard retry mode:
        // https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
        Self::assemble(Prices {
            tokens,
            retry: 5,
            timeout: 10,
            success_deposit: 1.0,
            request_deposit: 0.0,
            refund: true,
        })
    }

    /// A budget that allows retries up to this share of the requests, 0.0 to 1.0, beyond a reserve of so many retries, at
    /// least 1.
    ///
    /// Each request deposits the share and each retry takes 1, which it does not get back when it succeeds.
    pub fn ratio(share: f64, reserve: u32) -> Self {
        Self::assemble(Prices {
            tokens: reserve,
            retry: 1,
            timeout: 1,
            success_deposit: 0.0,
            request_deposit: share,
            refund: false,
        })
    }

    /// A budget with the same settings, full, and this price of a retry in tokens, at least 1. Default: 5.
    #[must_use]
    pub fn retry_cost(self, tokens: u32) -> Self {
        self.with(|prices| prices.retry = tokens)
    }

    /// A budget with the same settings, full, and this price of a retry after a timeout in tokens, at least 1. Where it is
    /// above the capacity, timeouts are never retried. Default: 10.
    #[must_use]
    pub fn timeout_cost(self, tokens: u32) -> Self {
        self.with(|prices| prices.timeout = tokens)
    }

    /// A budget with the same settings, full, that gets so many tokens back for each success at the first attempt; zero or
    /// more. Default: 1.0.
    #[must_use]
    pub fn success_deposit(self, tokens: f64) -> Self {
        self.with(|prices| prices.success_deposit = tokens)
    }

    /// The tokens that are left, in whole ones.
    pub fn available(&self) -> u32 {
        u32::try_from(self.shared.available.load(Relaxed) / UNITS).unwrap_or(u32::MAX)
    }

    /// The tokens of a full budget.
    pub fn capacity(&self) -> u32 {
        self.shared.prices.tokens
    }

    /// Fills the budget up.
    pub fn refill(&self) {
        self.shared.available.store(self.full(), Relaxed);
    }

    /// `500 tokens for retries, 5 each, 10 after a timeout`.
    pub(crate) fn in_words(&self) -> String {
        let prices = &self.shared.prices;
        let (tokens, retry, timeout) = (prices.tokens, prices.retry, prices.timeout);
        match prices.request_deposit > 0.0 {
            true => {
                let share = share::in_words(prices.request_deposit);
                format!("{share} more than the callers send, and {tokens} in reserve")
            }
            false => {
                format!("{tokens} tokens for retries, {retry} each, {timeout} after a timeout")
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let prices = &self.shared.prices;
        let is_share = prices.request_deposit != 0.0;
        if !(0.0..=1.0).contains(&prices.request_deposit) {
            return Err(ConfigError::new(
                "share",
                prices.request_deposit,
                "0.0 to 1.0",
            ));
        }
        if is_share && prices.tokens == 0 {
            return Err(ConfigError::new("reserve", 0, "at least 1"));
        }
        for (setting, cost) in [
            ("retry_cost", prices.retry),
            ("timeout_cost", prices.timeout),
        ] {
            if cost == 0 {
                return Err(ConfigError::new(setting, cost, "at least 1"));
            }
        }
        if prices.tokens < prices.retry {
            return Err(ConfigError::new(
                "tokens",
                prices.tokens,
                "at least the price of a retry",
            ));
        }
        if !(prices.success_deposit >= 0.0 && prices.success_deposit.is_finite()) {
            return Err(ConfigError::new(
                "success_deposit",
                prices.success_deposit,
                "zero or more",
            ));
        }
        Ok(())
    }

    /// A request is sent for the first time.
    #[inline]
    pub(super) fn deposit_request(&self) {
        self.deposit(self.shared.request_deposit);
    }

    /// A request succeeded at the first attempt.
    #[inline]
    pub(super) fn deposit_success(&self) {
        self.deposit(self.shared.success_deposit);
    }

    /// Takes the price of a retry after this failure; `None` where the tokens do not suffice.
    pub(super) fn withdraw(&self, kind: FailureKind) -> Option<Withdrawal> {
        let prices = &self.shared.prices;
        let tokens = match kind {
            FailureKind::Timeout => prices.timeout,
            _ => prices.retry,
        };
        let price = u64::from(tokens) * UNITS;
        let take = |available: u64| available.checked_sub(price);
        self.shared
            .available
            .fetch_update(Relaxed, Relaxed, take)
            .ok()?;
        Some(Withdrawal {
            budget: self.clone(),
            units: price,
        })
    }

    #[inline]
    fn deposit(&self, units: u64) {
        let full = self.full();
        // A full budget is the rule, and looking costs the other cores nothing.
        if units > 0 && self.shared.available.load(Relaxed) != full {
            self.fill(units, full);
        }
    }

    #[cold]
    fn fill(&self, units: u64, full: u64) {
        let add = |available: u64| Some(available.saturating_add(units).min(full));
        let _ = self.shared.available.fetch_update(Relaxed, Relaxed, add);
    }

    #[inline]
    fn full(&self) -> u64 {
        u64::from(self.shared.prices.tokens) * UNITS
    }

    fn assemble(prices: Prices) -> Self {
        let budget = Self {
            shared: Arc::new(Shared {
                prices,
                success_deposit: units(prices.success_deposit),
                request_deposit: units(prices.request_deposit),
                available: AtomicU64::new(0),
            }),
        };
        budget.refill();
        budget
    }

    fn with(self, change: impl FnOnce(&mut Prices)) -> Self {
        let mut prices = self.shared.prices;
        change(&mut prices);
        Self::assemble(prices)
    }
}

/// The quota of the AWS clients.
impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(500)
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("available", &self.available())
            .field("prices", &self.shared.prices)
            .finish()
    }
}

/// The price of one retry. Dropped, it goes back: the caller went away, and nothing was learnt.
#[derive(Debug)]
pub(super) struct Withdrawal {
    budget: RetryBudget,
    units: u64,
}

impl Withdrawal {
    /// The retry succeeded.
    pub(super) fn succeed(mut self) {
        if !self.budget.shared.prices.refund {
            self.units = 0;
        }
    }

    /// The retry failed too.
    pub(super) fn spend(mut self) {
        self.units = 0;
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        self.budget.deposit(self.units);
    }
}

/// A cast saturates, and makes nothing of what is not a number.
fn units(tokens: f64) -> u64 {
    (tokens * UNITS as f64).round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use FailureKind::{ServerError, Timeout};

    #[test]
    fn settings_that_cannot_work_are_named_with_their_value() {
        let budget = RetryBudget::default;
        for (bad, setting, value) in [
            (budget().retry_cost(0), "retry_cost", "0"),
            (budget().timeout_cost(0), "timeout_cost", "0"),
            (RetryBudget::new(4), "tokens", "4"),
            (budget().success_deposit(-1.0), "success_deposit", "-1"),
            (
                budget().success_deposit(f64::INFINITY),
                "success_deposit",
                "inf",
            ),
            (RetryBudget::ratio(1.5, 10), "share", "1.5"),
            (RetryBudget::ratio(f64::NAN, 0), "share", "NaN"),
            (RetryBudget::ratio(0.1, 0), "reserve", "0"),
        ] {
            let error = bad.check().unwrap_err();
            assert_eq!((error.setting(), error.value()), (setting, value));
        }
        assert_eq!(budget().check(), Ok(()));
        assert_eq!(RetryBudget::ratio(0.2, 10).check(), Ok(()));
    }

    #[test]
    fn the_default_is_the_quota_of_the_aws_clients() {
        let budget = RetryBudget::default();
        budget.withdraw(ServerError).unwrap().spend();
        assert_eq!(budget.available(), 495);
        budget.withdraw(Timeout).unwrap().spend();
        assert_eq!(budget.available(), 485);
        budget.deposit_success();
        assert_eq!(budget.available(), 486);
        for _ in 0..1_000 {
            budget.deposit_success();
        }
        assert_eq!(budget.available(), 500);
    }

    #[test]
    fn a_budget_tells_its_size_whatever_is_left_and_is_full_again_when_it_is_refilled() {
        let budget = RetryBudget::new(12);
        budget.withdraw(ServerError).unwrap().spend();
        assert_eq!((budget.available(), budget.capacity()), (7, 12));
        assert!(format!("{budget:?}").contains("available: 7"));
        budget.refill();
        assert_eq!((budget.available(), budget.capacity()), (12, 12));
    }

    #[test]
    fn a_budget_in_words_tells_what_it_holds_and_what_fills_it() {
        let words = |budget: RetryBudget| budget.in_words();
        let default = "500 tokens for retries, 5 each, 10 after a timeout";
        assert_eq!(words(RetryBudget::default()), default);
        let share = "29 % more than the callers send, and 10 in reserve";
        assert_eq!(words(RetryBudget::ratio(0.29, 10)), share);
    }

    #[test]
    fn a_withdrawal_that_is_not_spent_goes_back_once() {
        let budget = RetryBudget::new(5);
        let withdrawal = budget.withdraw(ServerError).unwrap();
        assert!(budget.withdraw(ServerError).is_none());
        drop(withdrawal);
        assert_eq!(budget.available(), 5);
        budget.withdraw(ServerError).unwrap().succeed();
        assert_eq!(budget.available(), 5);
    }

    #[test]
    fn a_ratio_counts_the_retries_that_succeed_too() {
        let budget = RetryBudget::ratio(0.2, 1);
        budget.withdraw(ServerError).unwrap().succeed();
        assert_eq!(budget.available(), 0);
        drop(budget.withdraw(ServerError));
        budget.refill();
        drop(budget.withdraw(ServerError).unwrap());
        assert_eq!(budget.available(), 1);
    }

    #[test]
    fn a_timeout_that_costs_more_than_is_left_is_not_retried() {
        let budget = RetryBudget::new(9);
        assert!(budget.withdraw(Timeout).is_none());
        assert!(budget.withdraw(ServerError).is_some());
    }

    /// RT-33, of the AWS clients.
    #[test]
    fn a_fraction_of_a_token_is_not_lost() {
        let budget = RetryBudget::new(1).retry_cost(1).success_deposit(0.4);
        budget.withdraw(ServerError).unwrap().spend();
        budget.deposit_success();
        budget.deposit_success();
        assert!(budget.withdraw(ServerError).is_none());
        budget.deposit_success();
        assert!(budget.withdraw(ServerError).is_some());
    }

    /// PITFALLS 24, RT-26. tower#857: a budget of 0.6 allowed 1000 retries of 1000.
    #[test]
    fn a_ratio_is_what_it_says_within_one_in_ten_thousand() {
        for share in [0.0, 0.1, 0.25, 0.3, 0.5, 0.6, 0.75, 0.9, 0.99, 1.0] {
            let budget = RetryBudget::ratio(share, 10);
            while let Some(withdrawal) = budget.withdraw(ServerError) {
                withdrawal.spend();
            }
            let mut retries = 0_i32;
            for _ in 0..10_000 {
                budget.deposit_request();
                if let Some(withdrawal) = budget.withdraw(ServerError) {
                    withdrawal.spend();
                    retries += 1;
                }
            }
            let expected = (share * 10_000.0).round() as i32;
            assert!((retries - expected).abs() <= 1, "{retries} at {share}");
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Request,
        Success,
        Withdraw(bool),
        Drop,
        Spend,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Request),
            Just(Step::Success),
            any::<bool>().prop_map(Step::Withdraw),
            Just(Step::Drop),
            Just(Step::Spend),
        ]
    }

    proptest! {
        #[test]
        fn what_is_left_and_what_is_out_never_exceed_the_capacity(
            tokens in 1_u32..50,
            retry in 1_u32..10,
            timeout in 1_u32..20,
            deposit in 0.0..3.0_f64,
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let budget = RetryBudget::new(tokens)
                .retry_cost(retry)
                .timeout_cost(timeout)
                .success_deposit(deposit);
            let mut out: Vec<Withdrawal> = Vec::new();
            for step in steps {
                match step {
                    Step::Request => budget.deposit_request(),
                    Step::Success => budget.deposit_success(),
                    Step::Withdraw(timed_out) => {
                        let before = budget.available();
                        let (kind, price) = if timed_out { (Timeout, timeout) } else { (ServerError, retry) };
                        let withdrawal = budget.withdraw(kind);
                        prop_assert_eq!(withdrawal.is_some(), before >= price);
                        out.extend(withdrawal);
                    }
                    Step::Drop => drop(out.pop()),
                    Step::Spend => out.pop().into_iter().for_each(Withdrawal::spend),
                }
                prop_assert!(budget.available() <= tokens);
            }
        }
    }
}
