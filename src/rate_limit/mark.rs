//! What is known when a request is admitted, to understand later what its answer says of the quota.

use crate::cost::Cost;

/// What is known when a request is admitted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark<'a> {
    /// All that was admitted until then, this one included.
    pub(super) admitted: Admissions,
    /// What stood with each limit, this one included; where the upstream has told nothing of its limits yet, nothing.
    pub(super) then: Option<&'a [Then]>,
}

/// How a limit stood when a request was admitted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Then {
    pub(super) used: u64,
    /// What had been given back until then.
    pub(super) given_back: u64,
}

/// All that was ever admitted, modulo 2^32: two of them differ by what was admitted between them, which is never so much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Admissions {
    requests: u32,
    input_tokens: u32,
    output_tokens: u32,
}

impl Admissions {
    /// One request more.
    #[inline]
    pub(super) fn and(self, cost: &Cost) -> Self {
        Self {
            requests: self.requests.wrapping_add(1),
            input_tokens: self.input_tokens.wrapping_add(cost.input_tokens as u32),
            output_tokens: self.output_tokens.wrapping_add(cost.output_tokens as u32),
        }
    }

    /// Whether this was before the other.
    pub(super) fn is_before(self, other: Self) -> bool {
        let later_by = self.requests.wrapping_sub(other.requests);
        later_by.cast_signed().is_negative()
    }

    /// How many requests were admitted since earlier ones, and what they were reckoned with.
    pub(super) fn since(self, earlier: Self) -> (u64, Cost) {
        let cost = Cost::tokens(
            self.input_tokens.wrapping_sub(earlier.input_tokens).into(),
            self.output_tokens
                .wrapping_sub(earlier.output_tokens)
                .into(),
        );
        (self.requests.wrapping_sub(earlier.requests).into(), cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_admitted_since_is_told_over_the_end_of_the_range_too() {
        let earlier = Admissions::default().and(&Cost::tokens(u64::from(u32::MAX), 7));
        let admissions = earlier.and(&Cost::tokens(5, 1)).and(&Cost::tokens(6, 0));
        assert_eq!(admissions.since(earlier), (2, Cost::tokens(11, 1)));
        assert_eq!(admissions.since(admissions), (0, Cost::default()));
    }

    #[test]
    fn what_was_before_is_known_over_the_end_of_the_range_too() {
        let at = |requests| Admissions {
            requests,
            ..Admissions::default()
        };
        for (earlier, later) in [(3, 4), (7, 1_000_007), (u32::MAX, 0), (u32::MAX - 9, 20)] {
            assert!(at(earlier).is_before(at(later)));
            assert!(!at(later).is_before(at(earlier)));
        }
        assert!(!at(5).is_before(at(5)));
    }
}
