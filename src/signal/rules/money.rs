//! Sentences about credit, budgets and quotas that are used up.

use super::{
    rule::{FailureRule, messages},
    sentences::{ANY, NOT_5XX},
};
use crate::outcome::FailureKind::QuotaExhausted;

pub(super) fn money() -> Vec<FailureRule> {
    // Some send these with a 500.
    let mut rules = messages(
        QuotaExhausted,
        ANY,
        "insufficient balance
        insufficient account balance
        余额不足
        欠费",
    );
    rules.extend(messages(
        QuotaExhausted,
        NOT_5XX,
        "check your plan and billing
        check your billing
        check your account balance
        balance is insufficient
        balance is negative
        balance is too low
        balance is not enough
        not enough balance
        exhausted balance
        overdue balance
        bill is overdue
        insufficient credit
        insufficient funds
        not enough credit
        out of credit
        no remaining credits
        used all of your credits
        credits expired
        trial has ended
        trial has expired
        top up your
        requires more credits
        no prepaid credits
        no credits left
        credits are depleted
        credit balance is too low
        available credits
        purchase more credits
        purchase credits
        included credits
        credits remaining, while
        credit limit
        payment required
        spending limit
        spend limit
        spending cap
        budget has been exceeded
        budget exceeded
        exceeded budget
        exceededbudget
        exceededtokenbudget
        exceeded your budget
        exceeded their budget
        api usage limits
        session usage limit
        weekly usage limit
        monthly usage limit
        set inference limit
        key limit exceeded
        extra usage is required
        out of extra usage
        free allocation
        free allocated quota
        free trial quota
        out of call volume quota
        quota has been exhausted
        exhausted your quota
        exceeded your quota
        exceeds your quota
        exceeded your monthly
        请充值
        额度不足
        额度已用",
    ));
    rules
}

/// Words for an empty account that elsewhere are advice: asked last, where the status alone would say that a key is bad.
pub(super) fn money_behind_auth() -> Vec<FailureRule> {
    messages(
        QuotaExhausted,
        400..=403,
        "balance + insufficient
        balance + not enough
        balance + negative
        balance + exhausted
        balance + overdue
        balance + recharge
        balance + top up
        balance + too low
        quota + insufficient
        quota + not enough
        quota + exhausted
        quota + used up
        credits + insufficient
        credits + not enough
        credits + exhausted
        credits + used up
        credits + run out
        credits + ran out
        usage limit + exceeded
        usage limit + reached
        subscription has expired
        add credits
        add more credits
        add funds
        buy credits
        buy more credits
        top up
        recharge",
    )
}
