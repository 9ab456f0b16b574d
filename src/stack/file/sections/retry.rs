//! `retry`: what is repeated, how often and after which waits.

use std::time::Duration;

use super::{
    budget::{BUDGET, BudgetDraft},
    schedule::{OfSchedule, ScheduleDraft, Scheduled},
};
use crate::{
    outcome::FailureKind,
    retry::{RetryPolicy, Schedule},
    stack::file::{
        field::{Draft, Field, Form, Table},
        reading::{Reading, Spot},
        section::{Named, Part},
    },
};

/// What the file says, beside what holds without.
#[derive(Clone, Debug, Default)]
pub(crate) struct RetryDraft {
    pub(crate) is_off: bool,
    schedule: ScheduleDraft,
    on: Vec<(FailureKind, ScheduleDraft)>,
    max_hint_wait: Option<Duration>,
    max_hint_wait_with_alternatives: Option<Duration>,
    total_deadline: Option<Duration>,
    attempt_timeout: Option<Duration>,
    retry_non_idempotent: Option<bool>,
    budget: Option<BudgetDraft>,
}

pub(crate) const RETRY: Table<RetryDraft> = Table(
    "retry",
    &[
        OfSchedule::<RetryDraft>::FIELDS,
        &[
            Field::new(
                "max_hint_wait",
                "The longest wait that an upstream may ask for: a failure that asks for more is passed on at once. Default: \"60s\".",
                &[Form::Time(Duration::ZERO, |retry, time| {
                    retry.max_hint_wait = Some(time);
                })],
            ),
            Field::new(
                "max_hint_wait_with_alternatives",
                "The same while other upstreams could be asked instead. Default: \"2s\".",
                &[Form::Time(Duration::ZERO, |retry, time| {
                    retry.max_hint_wait_with_alternatives = Some(time);
                })],
            ),
            Field::new(
                "total_deadline",
                "No wait begins that would end later than this after the call. Default: none.",
                &[Form::Time(SHORTEST, |retry, time| {
                    retry.total_deadline = Some(time);
                })],
            ),
            Field::new(
                "attempt_timeout",
                "Cuts off an attempt that has no response head after so long. Default: \"10m\".",
                &[Form::Time(SHORTEST, |retry, time| {
                    retry.attempt_timeout = Some(time);
                })],
            ),
            Field::new(
                "retry_non_idempotent",
                "Whether a POST is repeated even where it may have been processed. Default: true.",
                &[Form::Flag(|retry, flag| {
                    retry.retry_non_idempotent = Some(flag);
                })],
            ),
            Field::new(
                "budget",
                "What all requests may spend on retries together. Default: 500 tokens.",
                &[
                    Form::Word("off", |retry| {
                        retry.budget.get_or_insert_default().is_off = true;
                    }),
                    Form::Table(&Part(BUDGET, |retry: &mut RetryDraft| {
                        retry.budget.get_or_insert_default()
                    })),
                ],
            ),
            Field::new(
                "on",
                "Schedules of their own, by the kind of failure.",
                &[Form::Table(&Named(
                    Table("schedule", &[OfSchedule::<ScheduleDraft>::FIELDS]),
                    Some(("a kind of failure", kinds)),
                    |retry: &mut RetryDraft, name, schedule| {
                        retry
                            .on
                            .extend(FailureKind::from_name(name).map(|kind| (kind, schedule)));
                    },
                ))],
            ),
        ],
    ],
);

impl RetryDraft {
    /// What holds where the file says nothing else is in `base`.
    pub(crate) fn build(&self, base: RetryPolicy, reading: &mut Reading<'_>) -> RetryPolicy {
        if self.is_off {
            let once = RetryPolicy::llm().max_attempts(1).without_budget();
            return match base.longest_attempt() {
                Some(time) => once.attempt_timeout(time),
                None => once,
            };
        }
        let (schedule, usually) = (&self.schedule, base.waits());
        let (first, longest) = schedule.waits(usually);
        let mut policy = base.backoff(first, longest);
        if let Some(attempts) = schedule.max_attempts {
            policy = policy.max_attempts(attempts);
        }
        if let Some(factor) = schedule.multiplier {
            policy = policy.multiplier(factor);
        }
        if let Some(jitter) = schedule.jitter {
            policy = policy.jitter(jitter);
        }
        for (kind, draft) in &self.on {
            policy = policy.schedule(*kind, draft.build());
        }
        if let Some(wait) = self.max_hint_wait {
            policy = policy.max_hint_wait(wait);
        }
        if let Some(wait) = self.max_hint_wait_with_alternatives {
            policy = policy.max_hint_wait_with_alternatives(wait);
        }
        if let Some(time) = self.total_deadline {
            policy = policy.total_deadline(time);
        }
        if let Some(time) = self.attempt_timeout {
            policy = policy.attempt_timeout(time);
        }
        if let Some(retry) = self.retry_non_idempotent {
            policy = policy.retry_non_idempotent(retry);
        }
        if let Some(budget) = &self.budget {
            policy = match budget.build(reading) {
                Some(budget) => policy.budget(budget),
                None => policy.without_budget(),
            };
        }
        schedule.check(usually, reading);
        for (_, draft) in &self.on {
            draft.check(Schedule::new().waits(), reading);
        }
        policy
    }
}

impl Scheduled for RetryDraft {
    fn schedule(&mut self) -> &mut ScheduleDraft {
        &mut self.schedule
    }
}

impl Draft for RetryDraft {
    fn stands_at(&mut self, spot: Spot) {
        self.schedule.spot = spot;
    }
}

fn kinds() -> Vec<&'static str> {
    FailureKind::ALL.iter().map(|kind| kind.as_str()).collect()
}

const SHORTEST: Duration = Duration::from_nanos(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_says_nothing_leaves_the_policy_as_it_is() {
        let mut reading = Reading::new("", "a table");
        let policy = RetryDraft::default().build(RetryPolicy::llm(), &mut reading);
        assert_eq!(policy.in_words(), RetryPolicy::llm().in_words());
        let schedule = ScheduleDraft::default().build();
        assert_eq!(schedule, Schedule::new());
    }
}
