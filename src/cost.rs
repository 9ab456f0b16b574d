//! What a request uses, and what that comes to.

use crate::{money::Money, outcome::Usage};

/// What a request is expected to use, for limits that count more than requests.
///
/// Put it into the request's extensions, or let the [`IntakeLayer`](crate::intake::IntakeLayer) do so. A request without
/// one costs one request and no tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// The most tokens that the answer may have.
    pub output_tokens: u64,
    /// What the request costs at most. Where it is zero and the upstream has a [`Price`], it is reckoned.
    pub money: Money,
    /// Whether the tokens of the answer are a guess, because the request sets no maximum. A limiter replaces it by what
    /// answers under the same key have used, once it knows.
    pub is_guess: bool,
}

impl Cost {
    /// One request with this many tokens in, and at most so many out, and no money of its own.
    pub fn tokens(input: u64, output: u64) -> Self {
        Self {
            input_tokens: input,
            output_tokens: output,
            money: Money::default(),
            is_guess: false,
        }
    }

    /// Says that the tokens of the answer are a guess.
    #[must_use]
    pub fn guessed(mut self) -> Self {
        self.is_guess = true;
        self
    }

    /// Sets what the request costs at most.
    #[must_use]
    pub fn with_money(mut self, money: Money) -> Self {
        self.money = money;
        self
    }

    /// Input and output together.
    pub fn total_tokens(self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// Of everything the more.
    pub(crate) fn max(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    fn with(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            input_tokens: combine(self.input_tokens, other.input_tokens),
            output_tokens: combine(self.output_tokens, other.output_tokens),
            money: Money::from_nanos(combine(self.money.nanos(), other.money.nanos())),
            ..self
        }
    }

    /// What an answer counts against limits; where the answer does not tell, what was expected.
    pub(crate) fn counted(self, usage: Usage) -> Self {
        let used = self.settled(usage);
        let uncounted = usage.uncounted_tokens.unwrap_or(0);
        Self {
            input_tokens: used.input_tokens.saturating_sub(uncounted),
            ..used
        }
    }

    /// What an answer really used; where the answer does not tell, what was expected.
    pub(crate) fn settled(self, usage: Usage) -> Self {
        let input = usage.input_tokens.unwrap_or(self.input_tokens);
        let (input, output) = match (usage.output_tokens, usage.total()) {
            // What a total has beyond both are thoughts, which are charged as output.
            (Some(output), Some(total)) => (input, output.max(total.saturating_sub(input))),
            (Some(output), None) => (input, output),
            (None, Some(total)) => (input.min(total), total.saturating_sub(input)),
            (None, None) => (input, self.output_tokens),
        };
        Self {
            input_tokens: input,
            output_tokens: output,
            ..self
        }
    }
}

/// Whether a request for this path asks how many tokens something has: of [Anthropic], [OpenAI], [Gemini], Bedrock, Vertex AI,
/// vLLM, llama.cpp or xAI. It costs a request, and none of the tokens that the answer names.
///
/// [Anthropic]: https://docs.claude.com/en/docs/build-with-claude/token-counting
/// [OpenAI]: https://platform.openai.com/docs/api-reference/responses/input-tokens
/// [Gemini]: https://ai.google.dev/api/tokens
pub(crate) fn only_counts_tokens(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    // As Vertex AI passes on what is Anthropic's.
    let path = path.strip_suffix(":rawPredict").unwrap_or(path);
    let operation = path.rsplit(['/', ':']).next();
    matches!(
        operation,
        Some(
            "count_tokens"
                | "count-tokens"
                | "countTokens"
                | "computeTokens"
                | "input_tokens"
                | "tokenize"
                | "tokenize-text"
                | "detokenize"
        )
    )
}

/// What a model's tokens cost, each per million of them. Default: nothing.
///
/// ```
/// use tower_upstream::{Cost, Money, Price};
///
/// // 0.15 a million in, 0.60 out.
/// let price = Price::default().input(Money::from_cents(15)).output(Money::from_cents(60));
/// assert_eq!(price.of(Cost::tokens(1_000, 500)), Money::from_nanos(450_000));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    input: Money,
    cached_input: Option<Money>,
    cache_write: Option<Money>,
    output: Money,
}

impl Price {
    /// Sets what a million tokens of prompts cost.
    #[must_use]
    pub fn input(mut self, per_million: Money) -> Self {
        self.input = per_million;
        self
    }

    /// Sets what a million tokens of prompts cost that came out of the provider's cache. Default: as much as others.
    #[must_use]
    pub fn cached_input(mut self, per_million: Money) -> Self {
        self.cached_input = Some(per_million);
        self
    }

    /// Sets what a million tokens of prompts cost that went into the provider's cache. Default: as much as others.
    /// [Anthropic](https://docs.claude.com/en/docs/build-with-claude/prompt-caching) takes 1.25 times as much for those that it
    /// keeps for 5 minutes, and twice as much for an hour.
    #[must_use]
    pub fn cache_write(mut self, per_million: Money) -> Self {
        self.cache_write = Some(per_million);
        self
    }

    /// Sets what a million tokens of answers cost.
    #[must_use]
    pub fn output(mut self, per_million: Money) -> Self {
        self.output = per_million;
        self
    }

    /// `0.15 a million tokens in (0.075 out of a cache), 0.60 out`.
    pub(crate) fn in_words(&self) -> String {
        let cached = match (self.cached_input, self.cache_write) {
            (Some(read), Some(write)) => format!(" ({read} out of a cache, {write} into it)"),
            (Some(read), None) => format!(" ({read} out of a cache)"),
            (None, Some(write)) => format!(" ({write} into a cache)"),
            (None, None) => String::new(),
        };
        format!(
            "{} a million tokens in{cached}, {} out",
            self.input, self.output
        )
    }

    /// What a request of this cost comes to, rounded up to a billionth, with nothing out of a cache.
    pub fn of(&self, cost: Cost) -> Money {
        let parts = [
            (cost.input_tokens, self.input),
            (cost.output_tokens, self.output),
        ];
        sum(&parts)
    }

    /// What an answer came to. Tokens that it does not tell are taken from `cost`.
    pub fn of_usage(&self, usage: &Usage, cost: Cost) -> Money {
        let cost = cost.settled(*usage);
        let cached = usage.cached_tokens.unwrap_or(0).min(cost.input_tokens);
        let others = cost.input_tokens - cached;
        let written = usage.cache_write_tokens.unwrap_or(0).min(others);
        let parts = [
            (others - written, self.input),
            (cached, self.cached_input.unwrap_or(self.input)),
            (written, self.cache_write.unwrap_or(self.input)),
            (cost.output_tokens, self.output),
        ];
        sum(&parts)
    }
}

fn sum(parts: &[(u64, Money)]) -> Money {
    let millionths = parts
        .iter()
        .map(|(tokens, per_million)| u128::from(*tokens) * u128::from(per_million.nanos()))
        .fold(0, u128::saturating_add);
    Money::from_nanos(u64::try_from(millionths.div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_out_of_a_cache_costs_its_own_price() {
        let price = Price::default()
            .input(Money::from_cents(250))
            .cached_input(Money::from_cents(125))
            .output(Money::from_cents(1_000));
        let usage = Usage {
            input_tokens: Some(1_000_000),
            cached_tokens: Some(400_000),
            output_tokens: Some(0),
            ..Usage::default()
        };
        assert_eq!(
            price.of_usage(&usage, Cost::default()),
            Money::from_cents(200)
        );
        // More out of the cache than there was: the prompt is all there can be.
        let odd = Usage {
            cached_tokens: Some(u64::MAX),
            ..usage
        };
        assert_eq!(
            price.of_usage(&odd, Cost::default()),
            Money::from_cents(125)
        );
    }

    // https://docs.claude.com/en/docs/build-with-claude/prompt-caching: at 3.00 a million, 3.75 into the cache and 0.30 out of it.
    #[test]
    fn what_went_into_a_cache_costs_its_own_price_or_that_of_others() {
        let price = Price::default()
            .input(Money::from_cents(300))
            .cached_input(Money::from_cents(30));
        let usage = Usage {
            input_tokens: Some(1_000_000),
            cached_tokens: Some(500_000),
            cache_write_tokens: Some(400_000),
            output_tokens: Some(0),
            ..Usage::default()
        };
        // 0.15 read, 0.30 neither, and 1.20 written, or 1.50.
        let none = Cost::default();
        assert_eq!(price.of_usage(&usage, none), Money::from_cents(165));
        let price = price.cache_write(Money::from_cents(375));
        assert_eq!(price.of_usage(&usage, none), Money::from_cents(195));
        assert_eq!(
            price.in_words(),
            "3.00 a million tokens in (0.30 out of a cache, 3.75 into it), 0.00 out"
        );
        // More than the prompt is none.
        let odd = Usage {
            cache_write_tokens: Some(u64::MAX),
            ..usage
        };
        // 0.15 read and all of the rest written.
        assert_eq!(price.of_usage(&odd, none), Money::from_nanos(2_025_000_000));
    }

    #[test]
    fn limits_count_what_the_provider_counts_and_thoughts_as_output() {
        let usage = Usage {
            input_tokens: Some(52_005),
            uncounted_tokens: Some(50_000),
            output_tokens: Some(100),
            ..Usage::default()
        };
        let cost = Cost::tokens(10, 90);
        assert_eq!(cost.settled(usage), Cost::tokens(52_005, 100));
        assert_eq!(cost.counted(usage), Cost::tokens(2_005, 100));
        let thinking = Usage {
            total_tokens: Some(53_005),
            ..usage
        };
        assert_eq!(cost.counted(thinking), Cost::tokens(2_005, 1_000));
    }

    #[test]
    fn a_single_token_is_not_free_and_no_amount_overflows() {
        let price = Price::default().input(Money::from_nanos(1));
        assert_eq!(price.of(Cost::tokens(1, 0)), Money::from_nanos(1));
        let dear = Price::default().input(Money::from_nanos(u64::MAX));
        assert_eq!(
            dear.of(Cost::tokens(u64::MAX, u64::MAX)),
            Money::from_nanos(u64::MAX)
        );
    }

    #[test]
    fn usage_that_the_answer_does_not_tell_leaves_the_estimate() {
        let cost = Cost::tokens(10, 90);
        assert_eq!(cost.settled(Usage::default()), cost);
        let total_only = Usage {
            total_tokens: Some(40),
            ..Usage::default()
        };
        assert_eq!(cost.settled(total_only), Cost::tokens(10, 30));
        let less_than_the_input = Usage {
            total_tokens: Some(4),
            ..Usage::default()
        };
        assert_eq!(cost.settled(less_than_the_input), Cost::tokens(4, 0));
        let both = Usage {
            input_tokens: Some(12),
            output_tokens: Some(500),
            ..Usage::default()
        };
        assert_eq!(cost.settled(both), Cost::tokens(12, 500));
    }
}
