//! How often a request is sent, and the waits between: a part of `retry`, and `retry.on`.

use std::{marker::PhantomData, time::Duration};

use crate::{
    period::in_words,
    retry::{Jitter, Schedule},
    stack::file::{
        field::{Draft, Field, Form},
        reading::{Reading, Spot},
    },
};

/// As [`Schedule::new`], until the file says otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct ScheduleDraft {
    pub(super) max_attempts: Option<u32>,
    pub(super) first_wait: Option<Duration>,
    pub(super) longest_wait: Option<Duration>,
    pub(super) multiplier: Option<f64>,
    pub(super) jitter: Option<Jitter>,
    pub(super) spot: Spot,
}

/// Whoever has a schedule.
pub(super) trait Scheduled: 'static {
    fn schedule(&mut self) -> &mut ScheduleDraft;
}

/// The fields of whoever has a schedule.
pub(super) struct OfSchedule<D>(PhantomData<D>);

impl<D: Scheduled> OfSchedule<D> {
    pub(super) const FIELDS: &'static [Field<D>] = &[
        Field::new(
            "max_attempts",
            "How often a request is sent in all to one upstream, the first time included. Default: 3.",
            &[Form::Count(1, u32::MAX as u64, |draft, count| {
                draft.schedule().max_attempts = u32::try_from(count).ok();
            })],
        ),
        Field::new(
            "first_wait",
            "The first of the layer's own waits. Default: \"1s\".",
            &[Form::Time(Duration::ZERO, |draft, time| {
                draft.schedule().first_wait = Some(time);
            })],
        ),
        Field::new(
            "longest_wait",
            "The longest of the layer's own waits, no shorter than the first. Default: \"30s\".",
            &[Form::Time(Duration::ZERO, |draft, time| {
                draft.schedule().longest_wait = Some(time);
            })],
        ),
        Field::new(
            "multiplier",
            "By what each of the layer's own waits is longer than the one before. Default: 2.0.",
            &[Form::Number(1.0, f64::MAX, |draft, factor| {
                draft.schedule().multiplier = Some(factor);
            })],
        ),
        Field::new(
            "jitter",
            "How the layer's own waits are spread; a number makes them longer or shorter by up to this share. Default: \"full\".",
            &[
                Form::Word("none", |draft| draft.schedule().jitter = Some(Jitter::None)),
                Form::Word("full", |draft| draft.schedule().jitter = Some(Jitter::Full)),
                Form::Word("equal", |draft| {
                    draft.schedule().jitter = Some(Jitter::Equal);
                }),
                Form::Word("decorrelated", |draft| {
                    draft.schedule().jitter = Some(Jitter::Decorrelated);
                }),
                Form::Number(0.0, 1.0, |draft, share| {
                    draft.schedule().jitter = Some(Jitter::Fraction(share));
                }),
            ],
        ),
    ];
}

impl ScheduleDraft {
    /// The first wait and the longest, where the file does not say as they are `usually`.
    pub(super) fn waits(&self, usually: (Duration, Duration)) -> (Duration, Duration) {
        let first = self.first_wait.unwrap_or(usually.0);
        let longest = self.longest_wait.unwrap_or(usually.1);
        (first, longest)
    }

    pub(super) fn build(&self) -> Schedule {
        let (first, longest) = self.waits(Schedule::new().waits());
        let mut schedule = Schedule::new().backoff(first, longest);
        if let Some(attempts) = self.max_attempts {
            schedule = schedule.max_attempts(attempts);
        }
        if let Some(factor) = self.multiplier {
            schedule = schedule.multiplier(factor);
        }
        if let Some(jitter) = self.jitter {
            schedule = schedule.jitter(jitter);
        }
        schedule
    }

    /// The numbers alone are right already; two of them can be wrong together.
    pub(super) fn check(&self, usually: (Duration, Duration), reading: &mut Reading<'_>) {
        let (first, longest) = self.waits(usually);
        if longest < first {
            let (first, longest) = (in_words(first), in_words(longest));
            let key = if self.longest_wait.is_some() {
                "longest_wait"
            } else {
                "first_wait"
            };
            let problem = format!(
                "the first wait is {first}, but the longest is {longest}: expected one that is no shorter"
            );
            reading.wrong_at(&self.spot.key(key), problem);
        }
    }
}

impl Scheduled for ScheduleDraft {
    fn schedule(&mut self) -> &mut ScheduleDraft {
        self
    }
}

impl Draft for ScheduleDraft {
    fn stands_at(&mut self, spot: Spot) {
        self.spot = spot;
    }
}
