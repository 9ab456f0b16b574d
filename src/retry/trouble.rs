//! What a call has to know from its first failure on.

use std::{sync::PoisonError, time::Instant};

use super::{
    budget::Withdrawal,
    shared::Shared,
    state::{Decision, Failed, Reason, State},
};

/// What a call has to know from its first failure on.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) state: State,
    /// What the retry that is waited for, or under way, has taken from the budget.
    pub(super) withdrawal: Option<Withdrawal>,
}

impl Trouble {
    pub(super) fn new(state: State) -> Self {
        let withdrawal = None;
        Self { state, withdrawal }
    }

    /// What the state decides, if the budget can pay for it.
    pub(super) fn decide(
        &mut self,
        shared: &Shared,
        failed: &Failed<'_>,
        now: Instant,
    ) -> Decision {
        let policy = &shared.policy;
        let decision = {
            let random = shared.random.lock();
            let mut random = random.unwrap_or_else(PoisonError::into_inner);
            self.state.decide(policy, failed, &mut random, now)
        };
        if let (Decision::RetryAt { .. }, Some(budget)) = (decision, &policy.budget) {
            self.withdrawal = budget.withdraw(failed.failure.kind);
            if self.withdrawal.is_none() {
                return Decision::GiveUp(Reason::BudgetEmpty);
            }
        }
        decision
    }
}
