//! `answers`: how answers are read.

use std::time::Duration;

use crate::{
    provider::ProviderLayer,
    stack::file::field::{Draft, Field, Form, Table},
};

#[derive(Clone, Debug, Default)]
pub(crate) struct AnswersDraft {
    peek_bytes: Option<u64>,
    peek_time: Option<Duration>,
    include_usage: bool,
}

pub(super) const ANSWERS: Table<AnswersDraft> = Table(
    "answers",
    &[&[
        Field::new(
            "peek_bytes",
            "How much of an answer is read ahead at most, in bytes. Default: 65536.",
            &[Form::Count(0, u64::MAX, |answers, count| {
                answers.peek_bytes = Some(count);
            })],
        ),
        Field::new(
            "peek_time",
            "How long reading ahead may take. Default: \"10s\".",
            &[Form::Time(Duration::ZERO, |answers, time| {
                answers.peek_time = Some(time);
            })],
        ),
        Field::new(
            "include_usage",
            "Whether to ask for the usage of streams. Default: false.",
            &[Form::Flag(|answers, flag| answers.include_usage = flag)],
        ),
    ]],
);

impl AnswersDraft {
    pub(crate) fn build(&self) -> ProviderLayer {
        let mut layer = ProviderLayer::new().include_usage(self.include_usage);
        if let Some(bytes) = self.peek_bytes {
            layer = layer.peek_bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        if let Some(time) = self.peek_time {
            layer = layer.peek_time(time);
        }
        layer
    }
}

impl Draft for AnswersDraft {}
