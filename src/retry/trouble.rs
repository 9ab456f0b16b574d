//! What a call has to know from its first failure on.

use std::time::Instant;

use super::{
    budget::Withdrawal,
    rules::Rules,
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
    pub(super) fn decide(&mut self, rules: &Rules, failed: &Failed<'_>, now: Instant) -> Decision {
        let policy = &rules.policy;
        let decision = self.state.decide(policy, failed, &mut rules.random(), now);
        if let (Decision::RetryAt { .. }, Some(budget)) = (decision, &policy.budget) {
            self.withdrawal = budget.withdraw(failed.failure.kind);
            if self.withdrawal.is_none() {
                return Decision::GiveUp(Reason::BudgetEmpty);
            }
        }
        decision
    }
}
