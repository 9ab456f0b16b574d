//! What the name of a quota says: `GenerateRequestsPerDayPerProjectPerModel-FreeTier`, `UserByModelByMinute`,
//! `generate_content_free_tier_input_token_count`.

use crate::outcome::{Dimension, Window};

/// What a quota counts, and over which period, as far as its name tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct QuotaId {
    pub(super) dimension: Option<Dimension>,
    pub(super) window: Option<Window>,
}

impl QuotaId {
    /// Reads a name, in whatever case and with whatever joints.
    pub(super) fn parse(name: &str) -> Self {
        let mut plain = [0; MAX_NAME];
        let letters = name.bytes().filter(u8::is_ascii_alphanumeric);
        for (slot, letter) in plain.iter_mut().zip(letters) {
            *slot = letter.to_ascii_lowercase();
        }
        let plain = str::from_utf8(&plain).unwrap_or_default();
        let window = WINDOWS
            .iter()
            .find(|(word, _)| plain.contains(word))
            .map(|(_, window)| *window);
        let dimension = DIMENSIONS
            .iter()
            .find(|(word, _)| plain.contains(word))
            .map(|(_, dimension)| *dimension);
        Self { dimension, window }
    }

    /// Of several quotas that are exceeded at once the one with the longest period stands in the way longest.
    pub(super) fn or_longer(self, other: Self) -> Self {
        let length = |id: Self| id.window.map(Window::duration);
        let longer = if length(other) > length(self) {
            other
        } else {
            self
        };
        Self {
            dimension: longer.dimension.or(self.dimension).or(other.dimension),
            window: longer.window,
        }
    }
}

const WINDOWS: [(&str, Window); 13] = [
    ("permonth", Window::Month),
    ("bymonth", Window::Month),
    ("monthly", Window::Month),
    ("perday", Window::Day),
    ("byday", Window::Day),
    ("daily", Window::Day),
    ("perhour", Window::Hour),
    ("byhour", Window::Hour),
    ("hourly", Window::Hour),
    ("perminute", Window::Minute),
    ("byminute", Window::Minute),
    ("persecond", Window::Second),
    ("bysecond", Window::Second),
];

/// Asked in this order: every name of tokens holds "token".
const DIMENSIONS: [(&str, Dimension); 8] = [
    ("concurrent", Dimension::Concurrency),
    ("inputtoken", Dimension::InputTokens),
    ("outputtoken", Dimension::OutputTokens),
    ("token", Dimension::Tokens),
    ("image", Dimension::Images),
    ("request", Dimension::Requests),
    ("call", Dimension::Requests),
    ("quer", Dimension::Requests),
];

const MAX_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_is_counted_and_over_what() {
        for (name, dimension, window) in [
            (
                "GenerateRequestsPerDayPerProjectPerModel",
                Some(Dimension::Requests),
                Some(Window::Day),
            ),
            (
                "GenerateContentInputTokensPerModelPerMinute",
                Some(Dimension::InputTokens),
                Some(Window::Minute),
            ),
            (
                "x.googleapis.com/generate_output_token_count",
                Some(Dimension::OutputTokens),
                None,
            ),
            ("UserConcurrentRequests", Some(Dimension::Concurrency), None),
            ("", None, None),
        ] {
            assert_eq!(
                QuotaId::parse(name),
                QuotaId { dimension, window },
                "{name}"
            );
        }
    }

    #[test]
    fn of_two_quotas_the_longer_one_counts() {
        let minute = QuotaId::parse("TokensPerMinute");
        let day = QuotaId::parse("RequestsPerDay");
        assert_eq!(minute.or_longer(day), day);
        assert_eq!(day.or_longer(minute), day);
    }
}
