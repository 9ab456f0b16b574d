//! `retry.budget`: what all requests may spend on retries together.

use crate::{
    retry::{RetryBudget, RetryLayer, RetryPolicy},
    stack::file::{
        field::{Draft, Field, Form, Table},
        reading::{Reading, Spot},
    },
};

/// As [`RetryBudget::default`], until the file says otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct BudgetDraft {
    pub(super) is_off: bool,
    pub(super) tokens: Option<u32>,
    pub(super) retry_cost: Option<u32>,
    pub(super) timeout_cost: Option<u32>,
    pub(super) success_deposit: Option<f64>,
    pub(super) share: Option<f64>,
    pub(super) reserve: Option<u32>,
    pub(super) spot: Spot,
}

pub(super) const BUDGET: Table<BudgetDraft> = Table(
    "budget",
    &[&[
        Field::new(
            "tokens",
            "A full budget, no less than the price of a retry. Default: 500.",
            &[Form::Count(1, u32::MAX as u64, |budget, count| {
                budget.tokens = u32::try_from(count).ok();
            })],
        ),
        Field::new(
            "retry_cost",
            "The price of a retry, in tokens. Default: 5.",
            &[Form::Count(1, u32::MAX as u64, |budget, count| {
                budget.retry_cost = u32::try_from(count).ok();
            })],
        ),
        Field::new(
            "timeout_cost",
            "The price of a retry after a timeout, in tokens. Default: 10.",
            &[Form::Count(1, u32::MAX as u64, |budget, count| {
                budget.timeout_cost = u32::try_from(count).ok();
            })],
        ),
        Field::new(
            "success_deposit",
            "Tokens back for each success at the first attempt. Default: 1.0.",
            &[Form::Number(0.0, f64::MAX, |budget, tokens| {
                budget.success_deposit = Some(tokens);
            })],
        ),
        Field::new(
            "share",
            "In place of tokens: retries up to this share of the requests.",
            &[Form::Number(0.0, 1.0, |budget, share| {
                budget.share = Some(share);
            })],
        ),
        Field::new(
            "reserve",
            "With `share`: so many retries beyond it. Default: 10.",
            &[Form::Count(1, u32::MAX as u64, |budget, count| {
                budget.reserve = u32::try_from(count).ok();
            })],
        ),
    ]],
);

impl BudgetDraft {
    pub(super) fn build(&self, reading: &mut Reading<'_>) -> Option<RetryBudget> {
        if self.is_off {
            return None;
        }
        let has_tokens = [self.tokens, self.retry_cost, self.timeout_cost]
            .iter()
            .any(Option::is_some);
        let budget = match (self.share, self.reserve) {
            (Some(_), _) if has_tokens || self.success_deposit.is_some() => {
                let problem = "a budget with a `share` has no tokens: expected one of the two";
                reading.wrong_at(&self.spot.key("share"), problem);
                return None;
            }
            (Some(share), reserve) => {
                return Some(RetryBudget::ratio(share, reserve.unwrap_or(10)));
            }
            (None, Some(_)) => {
                let problem = "there is nothing in reserve without a `share`";
                reading.wrong_at(&self.spot.key("reserve"), problem);
                return None;
            }
            // 500 tokens, as `RetryBudget::default` has.
            (None, None) => RetryBudget::new(self.tokens.unwrap_or(500)),
        };
        let mut budget = budget;
        if let Some(tokens) = self.retry_cost {
            budget = budget.retry_cost(tokens);
        }
        if let Some(tokens) = self.timeout_cost {
            budget = budget.timeout_cost(tokens);
        }
        if let Some(tokens) = self.success_deposit {
            budget = budget.success_deposit(tokens);
        }
        let policy = RetryPolicy::default().budget(budget.clone());
        if let Err(error) = RetryLayer::new(policy) {
            reading.unworkable(&self.spot.key(error.setting()), &error);
        }
        Some(budget)
    }
}

impl Draft for BudgetDraft {
    fn stands_at(&mut self, spot: Spot) {
        self.spot = spot;
    }
}
