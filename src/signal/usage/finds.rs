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
    /// The same, but without what came out of a cache or went into one, if that is told beside it.
    InputBesideCache,
    Output,
    /// Counted beside the output, not in it: Gemini's thoughts.
    Thoughts,
    /// Out of a cache, as a part of the input.
    Cached,
    /// Into a cache, as a part of the input.
    CacheWrite,
    /// Out of a cache, told beside the input by those who count it so.
    CachedBeside,
    /// Into a cache, told so.
    CacheWriteBeside,
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
    /// Whether anything was counted: of most pieces of a stream nothing is.
    has_counts: bool,
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
        self.has_counts = true;
        let known = &mut self.counts[count as usize];
        let is_input = matches!(count, Count::Input | Count::InputBesideCache);
        if !is_input || number > 0 || known.is_none() {
            *known = Some(number);
        }
    }

    /// The usage as far as it was reported, none where nothing was.
    #[inline]
    pub(super) fn usage(&self) -> Option<Usage> {
        self.has_counts.then(|| self.sum_up()).flatten()
    }

    fn sum_up(&self) -> Option<Usage> {
        let counted = |count: Count| self.counts[count as usize];
        let output = match (counted(Count::Output), counted(Count::Thoughts)) {
            (Some(output), Some(thoughts)) => Some(output.saturating_add(thoughts)),
            (output, thoughts) => output.or(thoughts),
        };
        let total = counted(Count::Total);
        let (input, uncounted) = self.input();
        let (input_tokens, output_tokens) = match (input, output) {
            (None, None) => (counted(Count::BilledInput), counted(Count::BilledOutput)),
            // Gemini's endpoint in OpenAI's format leaves thoughts out of the output and counts them in the total.
            (Some(input), Some(output)) => {
                let beyond = total.map_or(0, |total| total.saturating_sub(input));
                (Some(input), Some(output.max(beyond)))
            }
            counted => counted,
        };
        let either = |part, beside| counted(part).or(counted(beside));
        let usage = Usage {
            input_tokens,
            output_tokens,
            cached_tokens: either(Count::Cached, Count::CachedBeside),
            cache_write_tokens: either(Count::CacheWrite, Count::CacheWriteBeside),
            uncounted_tokens: uncounted,
            total_tokens: total,
        };
        (usage != Usage::default()).then_some(usage)
    }

    /// All tokens of the prompt, and those that limits leave out.
    ///
    /// Whoever tells the cache beside the input, Anthropic and Bedrock, does not hold what was read against the limits. Gateways
    /// tell it once more beside a `prompt_tokens` that has it all.
    fn input(&self) -> (Option<u64>, Option<u64>) {
        let counted = |count: Count| self.counts[count as usize];
        let beside = (
            counted(Count::CachedBeside),
            counted(Count::CacheWriteBeside),
        );
        match (counted(Count::Input), counted(Count::InputBesideCache)) {
            // Some write a zero where they mean that it stands elsewhere.
            (Some(input), other) if input > 0 || other.is_none() => (Some(input), None),
            (_, Some(input)) if beside != (None, None) => {
                let (read, written) = (beside.0.unwrap_or(0), beside.1.unwrap_or(0));
                let all = input.saturating_add(read).saturating_add(written);
                (Some(all), Some(read))
            }
            (_, input) => (input, None),
        }
    }
}
