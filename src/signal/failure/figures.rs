//! The figures in a sentence: which one is the limit, which was used, which was asked for.

use std::{ops::Range, sync::LazyLock};

use crate::{
    outcome::LimitHit,
    signal::words::{Phrases, Words},
};

/// Fills in what the sentence says of the limit and nobody has said before.
///
/// Each figure gets the role of the last word before it in its sentence that names one ("limit 100, used 98, requested
/// 7"), unless the words right behind it do ("55 credits remaining"). Times, dates, ids and versions are no figures.
pub(super) fn read(words: &Words, limit: &mut LimitHit) {
    let text = words.text();
    let mut found = LimitHit::default();
    let mut total = None;
    let mut sum = None;
    let mut is_given = false;
    let mut before_from = 0;
    for figure in figures(words) {
        let sentence = last_sentence(&text[before_from..figure.start]).len();
        let sentence = figure.start - sentence..figure.start;
        let before = &text[sentence.clone()];
        let after = &text[figure.end..];
        before_from = figure.end;
        // "154690 + 64000 > 200000"
        if after.trim_start().starts_with('+') {
            sum = Some(sum.unwrap_or(0.0) + figure.value);
            continue;
        }
        let value = match sum.take() {
            Some(sum) if before.trim() == "+" => sum + figure.value,
            _ => figure.value,
        };
        if let Some(most) = most_of_range(text, &figure) {
            found.limit = found.limit.or(Some(most));
            continue;
        }
        // "tokens (90) exceeded the limit (80)"
        let role = match after.starts_with(") exceed") {
            true => Some(Role::Requested),
            false => role_behind(words, figure.end).or_else(|| role_before(words, sentence)),
        };
        // "(actual/limit): 65605/16000", "used 5/100"
        let whole = after.strip_prefix('/').and_then(whole_number);
        // "24/7 support"
        if (value, whole) == (24.0, Some(7.0)) {
            continue;
        }
        if let (Some(whole), Some(part @ (Role::Limit | Role::Used | Role::Remaining))) =
            (whole, role)
        {
            match part {
                Role::Remaining => found.remaining = found.remaining.or(Some(value)),
                _ => found.used = found.used.or(Some(value)),
            }
            found.limit = found.limit.or(Some(whole));
            continue;
        }
        is_given |= role == Some(Role::Given);
        match role {
            Some(Role::Limit) => found.limit = found.limit.or(Some(value)),
            Some(Role::Used) => found.used = found.used.or(Some(value)),
            Some(Role::Requested) => found.requested = found.requested.or(Some(value)),
            Some(Role::Remaining) => found.remaining = found.remaining.or(Some(value)),
            Some(Role::Total) => total = total.or(Some(value)),
            Some(Role::Given) => found.requested = found.requested.or(Some(value)),
            None if is_given && before.contains(" and ") => {
                found.requested = found.requested.map(|part| part + value);
            }
            Some(Role::Length | Role::None) | None => {}
        }
    }
    limit.limit = limit.limit.or(found.limit);
    limit.used = limit.used.or(found.used);
    limit.requested = limit.requested.or(total).or(found.requested);
    limit.remaining = limit.remaining.or(found.remaining);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    Limit,
    Used,
    Requested,
    /// One of several parts of what was requested: "given: 8 input and 4 output tokens".
    Given,
    /// What was requested, all parts together: better than any part.
    Total,
    Remaining,
    /// What was requested, or the most that may be, as the sentence has it.
    Length,
    /// A figure about something else, as the excess in "exceeded by 1119046".
    None,
}

/// The role of the last word before a figure in its sentence that names one.
fn role_before(words: &Words, sentence: Range<usize>) -> Option<Role> {
    let role = BEFORE.last_in(words, sentence.clone())?;
    let before = &words.text()[sentence];
    let is_allowed = || {
        ["max", "limit", "allow"]
            .iter()
            .any(|word| before.contains(word))
    };
    Some(match role {
        Role::Length if is_allowed() => Role::Limit,
        Role::Length => Role::Requested,
        role => role,
    })
}

/// The role that the words right behind a figure give it, up to the next stop.
fn role_behind(words: &Words, figure_end: usize) -> Option<Role> {
    let text = words.text();
    let mut passed = figure_end;
    for at in words
        .starts_in(figure_end..text.len())
        .take(MAX_WORDS_BETWEEN + 1)
    {
        let between = &text.as_bytes()[std::mem::replace(&mut passed, at)..at];
        if between.iter().any(|byte| b",.;()\n".contains(byte)) {
            return None;
        }
        if let Some((_, role)) = BEHIND.at(text, at).next() {
            return Some(role);
        }
    }
    None
}

/// What stands after the last full stop.
fn last_sentence(text: &str) -> &str {
    let bytes = text.as_bytes();
    let is_stop = |at: &usize| matches!(bytes[*at..], [b'\n', _, ..] | [_, b' ', ..]);
    let stop = memchr::memrchr3_iter(b'.', b';', b'\n', bytes).find(is_stop);
    stop.and_then(|at| text.get(at + 1..)).unwrap_or(text)
}

struct Figure {
    value: f64,
    start: usize,
    end: usize,
}

/// The figures of a text that stand for an amount.
fn figures(words: &Words) -> impl Iterator<Item = Figure> {
    let text = words.text();
    let starts = words.starts_in(0..text.len());
    let digits = starts.filter(|start| text.as_bytes()[*start].is_ascii_digit());
    digits.filter_map(|start| figure_at(text, start))
}

fn figure_at(text: &str, start: usize) -> Option<Figure> {
    let bytes = text.as_bytes();
    let mut before = text[..start].chars();
    let joins = match (before.next_back(), before.next_back()) {
        (None, _) => false,
        // The minutes of a clock time.
        (Some(':'), Some(more)) => more.is_ascii_digit(),
        // An index: `input[0]`.
        (Some('['), Some(more)) => more.is_alphanumeric(),
        (Some('='), _) => is_in_address(&text[..start]),
        (Some(sign), _) => !" \n(:><'\"`[~".contains(sign),
    };
    if joins {
        return None;
    }
    let end = end_of_number(bytes, start);
    if end - start > MAX_DIGITS || is_part_of_something(&text[end..]) {
        return None;
    }
    let digits = &text[start..end];
    let value = match digits.contains(',') {
        true => digits.replace(',', "").parse().ok()?,
        false => digits.parse().ok()?,
    };
    Some(Figure { value, start, end })
}

/// The upper end of the range that begins with this figure: "[1, 8192]".
fn most_of_range(text: &str, least: &Figure) -> Option<f64> {
    let opens = text[..least.start].ends_with(['[', '(']);
    let rest = text[least.end..].strip_prefix(',').filter(|_| opens)?;
    let rest = rest.trim_start_matches(' ');
    let end = end_of_number(rest.as_bytes(), 0);
    let closes = end <= MAX_DIGITS && rest[end..].starts_with([']', ')']);
    rest[..end].parse().ok().filter(|_| closes)
}

/// The number that the text begins with, if nothing is joined to it.
fn whole_number(text: &str) -> Option<f64> {
    let end = end_of_number(text.as_bytes(), 0);
    let is_joined = end > MAX_DIGITS || is_part_of_something(&text[end..]);
    text[..end]
        .replace(',', "")
        .parse()
        .ok()
        .filter(|_| !is_joined)
}

/// The end of the number that starts here: digits, thousands commas, a fraction.
fn end_of_number(bytes: &[u8], start: usize) -> usize {
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut end = start;
    while is_digit(end) {
        end += 1;
    }
    while bytes.get(end) == Some(&b',')
        && (1..=3).all(|ahead| is_digit(end + ahead))
        && !is_digit(end + 4)
    {
        end += 4;
    }
    if bytes.get(end) == Some(&b'.') && is_digit(end + 1) {
        end += 1;
        while is_digit(end) {
            end += 1;
        }
    }
    end
}

/// Whether the text ends within an address, behind a parameter's equals sign.
fn is_in_address(text: &str) -> bool {
    let signs = text.bytes().rev().take(MAX_PARAMETER);
    signs
        .take_while(|sign| !sign.is_ascii_whitespace())
        .any(|sign| matches!(sign, b'?' | b'&'))
}

/// Whether the number goes on as an id, a date, a version or a time.
fn is_part_of_something(after: &str) -> bool {
    match *after.as_bytes() {
        [next, ..] if next.is_ascii_alphanumeric() => return true,
        [b'-' | b'_' | b'%', ..] => return true,
        [b':', next, ..] if next.is_ascii_digit() => return true,
        // A date.
        [b'/', next, ..] if next.is_ascii_digit() => {
            let rest = after[1..].trim_start_matches(|next: char| next.is_ascii_digit());
            if rest.starts_with('/') {
                return true;
            }
        }
        _ => {}
    }
    let word = after.trim_start_matches([' ', '-']);
    OTHER_UNITS.iter().any(|unit| word.starts_with(unit)) && !word.starts_with("seconds of ")
}

/// Units of what no limit counts here: time, and bytes.
const OTHER_UNITS: [&str; 9] = [
    "second",
    "sec ",
    "minute",
    "hour",
    "day",
    "millisecond",
    "week",
    "mb",
    "gib",
];

/// Role words before a figure: the last one counts.
static BEFORE: LazyLock<Phrases<Role>> = LazyLock::new(|| {
    Phrases::new([
        ("limit", Role::Limit),
        ("max ", Role::Limit),
        ("maximum", Role::Limit),
        ("at most", Role::Limit),
        ("allowed", Role::Limit),
        ("allows", Role::Limit),
        ("quota of", Role::Limit),
        ("quota:", Role::Limit),
        ("allocation of", Role::Limit),
        ("context size", Role::Limit),
        ("context length", Role::Limit),
        ("context window", Role::Limit),
        ("cannot exceed", Role::Limit),
        ("exceeds", Role::Limit),
        ("exceeded", Role::Limit),
        ("max size:", Role::Limit),
        ("request count (", Role::Used),
        ("must be <=", Role::Limit),
        ("less than", Role::Limit),
        ("up to", Role::Requested),
        (">", Role::Limit),
        ("used", Role::Used),
        ("current", Role::Used),
        ("usage", Role::Used),
        ("consumed", Role::Used),
        ("requested", Role::Requested),
        ("request (", Role::Requested),
        ("prompt (", Role::Requested),
        ("input (", Role::Requested),
        ("(length", Role::Requested),
        ("current length", Role::Requested),
        ("input length", Role::Length),
        ("prompt length", Role::Length),
        ("sequence length", Role::Length),
        ("number of tokens", Role::Length),
        ("maxlength", Role::Limit),
        ("actual:", Role::Requested),
        ("keep the first", Role::Requested),
        ("provided", Role::Requested),
        ("resulted in", Role::Requested),
        ("received", Role::Requested),
        ("contains", Role::Requested),
        ("prompt has", Role::Requested),
        ("given:", Role::Given),
        ("got", Role::Requested),
        ("max_tokens", Role::Requested),
        ("token count", Role::Requested),
        ("too large:", Role::Requested),
        ("too long:", Role::Requested),
        ("maximum context length is", Role::Limit),
        ("total of", Role::Total),
        ("total:", Role::Total),
        ("remaining", Role::Remaining),
        ("afford", Role::Remaining),
        ("by ", Role::None),
        ("per ", Role::None),
        ("id ", Role::None),
    ])
});

/// Role words behind a figure, past at most a few others.
static BEHIND: LazyLock<Phrases<Role>> = LazyLock::new(|| {
    Phrases::new([
        (">", Role::Requested),
        ("remaining", Role::Remaining),
        ("left", Role::Remaining),
        ("required", Role::Requested),
        ("requested", Role::Requested),
        ("maximum context", Role::Limit),
        ("maximum", Role::Limit),
        ("are needed", Role::Requested),
        ("already used", Role::Used),
        ("exceeds", Role::Requested),
        ("exceed ", Role::Requested),
    ])
});

const MAX_WORDS_BETWEEN: usize = 3;

/// What is longer is an id, commas and all.
const MAX_DIGITS: usize = 24;

/// How far before its value a parameter's question mark or ampersand stands.
const MAX_PARAMETER: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    type Wanted = [Option<f64>; 4];

    fn figures(text: &str) -> Wanted {
        let mut limit = LimitHit::default();
        read(&Words::new(text), &mut limit);
        [limit.limit, limit.used, limit.requested, limit.remaining]
    }

    /// The words behind each figure were once looked for up to the next stop, however far away.
    #[test]
    fn many_figures_in_one_clause_take_no_longer_than_in_many() {
        assert_eq!(figures(&"1 ".repeat(50_000)), [None; 4]);
    }

    /// A figure of 400 digits was once read as infinity.
    #[test]
    fn what_is_too_long_for_an_amount_is_none() {
        let text = format!("Limit {}, used 3", "9".repeat(400));
        assert_eq!(figures(&text), [None, Some(3.0), None, None]);
    }

    #[test]
    fn figures_get_the_role_of_the_words_around_them() {
        let cases: [(&str, Wanted); 26] = [
            (
                "on tokens per min (TPM): Limit 500, Used 480, Requested 25.",
                [Some(500.0), Some(480.0), Some(25.0), None],
            ),
            (
                "Limit: 7/1min. Current: 9/1min.",
                [Some(7.0), Some(9.0), None, None],
            ),
            (
                "the rate limit of 12,500 input tokens per minute",
                [Some(12_500.0), None, None, None],
            ),
            (
                "maximum context length is 900 tokens. However, you requested 950 tokens (700 in the messages)",
                [Some(900.0), None, Some(950.0), None],
            ),
            (
                "requested 60 output tokens and your prompt contains 50 input tokens, for a total of at least 110 tokens",
                [None, None, Some(110.0), None],
            ),
            (
                "exceed context limit: 150 + 60 > 200, decrease",
                [Some(200.0), None, Some(210.0), None],
            ),
            (
                "prompt is too long: 300 tokens > 200 maximum",
                [Some(200.0), None, Some(300.0), None],
            ),
            (
                "The input token count (1300) exceeds the maximum number of tokens allowed (1000).",
                [Some(1000.0), None, Some(1300.0), None],
            ),
            ("exceeded max context length by 11 tokens", [None; 4]),
            (
                "You have 5 credits remaining, while 28 credits are required",
                [None, None, Some(28.0), Some(5.0)],
            ),
            (
                "Rate limit of 9 per 86400s exceeded. Please wait 4 seconds",
                [Some(9.0), None, None, None],
            ),
            (
                "the rate limit of version 2024-02-01, gpt-4, 11111111-2222 in 5 seconds",
                [None; 4],
            ),
            // Groq's estimate of a request.
            (
                "Limit 70, Used 0, Requested ~129. Please try again",
                [Some(70.0), Some(0.0), Some(129.0), None],
            ),
            (
                "team's rate limit is — tokens per minute (actual/limit): 656/160. You can",
                [Some(160.0), Some(656.0), None, None],
            ),
            (
                "range of input length should be [1, 1290]",
                [Some(1290.0), None, None, None],
            ),
            (
                "the valid range of max_tokens is [1,81], got 90",
                [Some(81.0), None, Some(90.0), None],
            ),
            (
                "Input length (265) exceeds model's maximum context length (262).",
                [Some(262.0), None, Some(265.0), None],
            ),
            (
                "Input length 131 exceeds the maximum allowed input length of 130 tokens.",
                [Some(130.0), None, Some(131.0), None],
            ),
            (
                "trying to keep the first 90 tokens, context length of only 40",
                [Some(40.0), None, Some(90.0), None],
            ),
            (
                "maximum output tokens (90) exceeded this model context window limit (80)",
                [Some(80.0), None, Some(90.0), None],
            ),
            (
                "The number of tokens is 90, exceeds the maximum number of tokens: 80",
                [Some(80.0), None, Some(90.0), None],
            ),
            (
                "expected maxLength: 42, actual: 46, please reformat",
                [Some(42.0), None, Some(46.0), None],
            ),
            ("usage limit on 2026/03/01, 24/7 support, 7/1min", [None; 4]),
            (
                "5-hour limit, reset at 2026-03-05 22:17:21 +0800",
                [None; 4],
            ),
            (
                "invalid 'input[0]': maximum length is 90",
                [Some(90.0), None, None, None],
            ),
            (
                "limit=40, see https://a.b/c/?linkid=2197993",
                [Some(40.0), None, None, None],
            ),
        ];
        for (text, wanted) in cases {
            assert_eq!(figures(text), wanted, "{text}");
        }
    }
}
