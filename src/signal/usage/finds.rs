//! What was found in a body so far, and the usage that it adds up to.

use crate::outcome::Usage;

/// What an answer can show beside its usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Some of the answer itself.
    Content,
    /// All of the answer at once, after which nothing comes.
    Whole,
    /// The provider failed.
    Error,
    /// The last word of the dialect.
    End,
    /// A choice is done, though the stream goes on.
    Finish,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Input,
    Output,
    /// Counted beside the output, not in it: Gemini's thoughts.
    Thoughts,
    Cached,
    Total,
    BilledInput,
    BilledOutput,
}

/// What was found so far, over all documents of a body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Finds {
    pub(super) content: bool,
    pub(super) ended: bool,
    pub(super) finished: bool,
    /// Whether an answer stopped at its maximum of tokens.
    pub(super) truncated: bool,
    /// Whether an error was found, and whether content had come before it.
    pub(super) error_after_content: Option<bool>,
    counts: [Option<u64>; Count::BilledOutput as usize + 1],
}

impl Finds {
    pub(super) fn mark(&mut self, mark: Mark) {
        match mark {
            Mark::Content => self.content = true,
            Mark::Whole => (self.content, self.ended) = (true, true),
            Mark::End => self.ended = true,
            Mark::Finish => self.finished = true,
            Mark::Error => _ = self.error_after_content.get_or_insert(self.content),
        }
    }

    /// Takes the count that was reported last, as later ones correct the earlier.
    ///
    /// Except an input of nothing: watsonx and some that speak Anthropic's dialect count the prompt once and report zero for it
    /// afterwards.
    pub(super) fn count(&mut self, count: Count, number: u64) {
        let known = &mut self.counts[count as usize];
        if count != Count::Input || number > 0 || known.is_none() {
            *known = Some(number);
        }
    }

    /// The usage as far as it was reported, none where nothing was.
    pub(super) fn usage(&self) -> Option<Usage> {
        let counted = |count: Count| self.counts[count as usize];
        let output = match (counted(Count::Output), counted(Count::Thoughts)) {
            (Some(output), Some(thoughts)) => Some(output.saturating_add(thoughts)),
            (output, thoughts) => output.or(thoughts),
        };
        let (input_tokens, output_tokens) = match (counted(Count::Input), output) {
            (None, None) => (counted(Count::BilledInput), counted(Count::BilledOutput)),
            counted => counted,
        };
        let usage = Usage {
            input_tokens,
            output_tokens,
            cached_tokens: counted(Count::Cached),
            total_tokens: counted(Count::Total),
        };
        (usage != Usage::default()).then_some(usage)
    }
}
