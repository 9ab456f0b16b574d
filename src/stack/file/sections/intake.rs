//! `intake`: how requests are taken in.

use crate::{
    intake::IntakeLayer,
    stack::file::field::{Draft, Field, Form, Table},
};

#[derive(Clone, Debug, Default)]
pub(crate) struct IntakeDraft {
    max_body: Option<u64>,
    output_tokens: Option<u64>,
}

pub(super) const INTAKE: Table<IntakeDraft> = Table(
    "intake",
    &[&[
        Field::new(
            "max_body",
            "The largest body that is taken, in bytes. Default: 67108864.",
            &[Form::Count(0, u64::MAX, |intake, count| {
                intake.max_body = Some(count);
            })],
        ),
        Field::new(
            "output_tokens",
            "The tokens of answer to expect of a request that sets no maximum, until more is known. Default: 512.",
            &[Form::Count(0, u64::MAX, |intake, count| {
                intake.output_tokens = Some(count);
            })],
        ),
    ]],
);

impl IntakeDraft {
    pub(crate) fn build(&self) -> IntakeLayer {
        let mut layer = IntakeLayer::new();
        if let Some(bytes) = self.max_body {
            layer = layer.max_body(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        if let Some(tokens) = self.output_tokens {
            layer = layer.output_tokens(tokens);
        }
        layer
    }
}

impl Draft for IntakeDraft {}
