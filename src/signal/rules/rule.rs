//! One rule, and lists of many that are alike.

use std::ops::RangeInclusive;

use crate::outcome::FailureKind;

/// Words by which a failure is known, and what it is.
///
/// Everything that is set has to be met: the status, the code and every part of the message. The crate's own tables are
/// made of the same rules; yours are asked before them, in order, and the first that matches decides the kind.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use std::time::SystemTime;
/// use tower_upstream::outcome::FailureKind;
/// use tower_upstream::signal::{self, Answer, FailureRule};
///
/// // a gateway of one's own that answers 409 while a model is being moved
/// let rules = [FailureRule::new(FailureKind::Overloaded).statuses(409..=409).message("being migrated")];
/// let headers = HeaderMap::new();
/// let body = br#"{"error": "model is being migrated"}"#;
/// let answer = Answer::new(StatusCode::CONFLICT, &headers, body, SystemTime::UNIX_EPOCH);
/// let outcome = signal::outcome_by_rules(&answer, None, &rules);
/// assert_eq!(outcome.failure().unwrap().kind, FailureKind::Overloaded);
/// ```
#[derive(Clone, Debug)]
pub struct FailureRule {
    kind: FailureKind,
    statuses: RangeInclusive<u16>,
    pub(super) code: Option<Code>,
    messages: Vec<Box<str>>,
    retry_same: Option<bool>,
    fall_back: Option<bool>,
}

impl FailureRule {
    /// A rule that matches every failure, and says that it is of this kind.
    pub fn new(kind: FailureKind) -> Self {
        Self {
            kind,
            statuses: 0..=u16::MAX,
            code: None,
            messages: Vec::new(),
            retry_same: None,
            fall_back: None,
        }
    }

    /// Only with one of these statuses. An error event inside a successful stream has status 200.
    #[must_use]
    pub fn statuses(mut self, statuses: RangeInclusive<u16>) -> Self {
        self.statuses = statuses;
        self
    }

    /// Only where a code, type, status or reason field of the body is this, whatever its case and whatever joins its
    /// words: `server_overloaded`, `Server-Overloaded` and `ServerOverloaded` are one.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        let mut plain = String::from('\n');
        push_plain(&mut plain, code);
        plain.push('\n');
        self.code = Some(Code::Whole(plain.into()));
        self
    }

    /// Only where a code, type, status or reason field of the body holds this, compared as by [`code`](Self::code).
    #[must_use]
    pub fn code_part(mut self, part: &str) -> Self {
        let mut plain = String::new();
        push_plain(&mut plain, part);
        self.code = Some(Code::Part(plain.into()));
        self
    }

    /// Only where the message holds this, whatever its case. Asked for several times, all of them have to be there.
    #[must_use]
    pub fn message(mut self, part: &str) -> Self {
        self.messages.push(part.to_ascii_lowercase().into());
        self
    }

    /// Overrules whether the same request can succeed later; default: as the kind usually is.
    #[must_use]
    pub fn retry_same(mut self, retry_same: bool) -> Self {
        self.retry_same = Some(retry_same);
        self
    }

    /// Overrules whether another upstream could serve the request; default: as the kind usually is.
    #[must_use]
    pub fn fall_back(mut self, fall_back: bool) -> Self {
        self.fall_back = Some(fall_back);
        self
    }

    pub(crate) fn matches(&self, status: u16, codes: &str, text: &str) -> bool {
        self.matches_but_for(NO_PART, status, codes, text)
    }

    /// Whether all matches, where one of the messages is known to be there.
    pub(super) fn matches_but_for(
        &self,
        found: usize,
        status: u16,
        codes: &str,
        text: &str,
    ) -> bool {
        let mut messages = self.messages.iter().enumerate();
        self.statuses.contains(&status)
            && self.code.as_ref().is_none_or(|code| match code {
                Code::Whole(code) | Code::Part(code) => codes.contains(&**code),
            })
            && messages.all(|(index, part)| index == found || text.contains(&**part))
    }

    /// The longest of the messages, and its index.
    pub(super) fn longest_message(&self) -> Option<(usize, &str)> {
        let messages = self.messages.iter().enumerate();
        let longest = messages.max_by_key(|(_, message)| message.len());
        longest.map(|(index, message)| (index, &**message))
    }

    pub(crate) fn verdict(&self) -> Verdict {
        Verdict {
            kind: self.kind,
            retry_same: self.retry_same.unwrap_or(self.kind.retry_same()),
            fall_back: self.fall_back.unwrap_or(self.kind.fall_back()),
        }
    }
}

/// The index of no message.
pub(super) const NO_PART: usize = usize::MAX;

/// Adds a code as it is compared: in lower case, without blanks, hyphens and underscores.
pub(crate) fn push_plain(codes: &mut String, code: &str) {
    let start = codes.len();
    let mut from = 0;
    for (at, byte) in code.bytes().enumerate() {
        if matches!(byte, b'_' | b'-' | b' ' | b'\t' | b'\n' | b'\r') {
            codes.push_str(&code[from..at]);
            from = at + 1;
        }
    }
    codes.push_str(&code[from..]);
    codes[start..].make_ascii_lowercase();
}

/// How a code is known; plain.
#[derive(Clone, Debug)]
pub(super) enum Code {
    /// By all of it; between line feeds, as the codes that were found are.
    Whole(Box<str>),
    Part(Box<str>),
}

/// What a rule says of a failure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    pub(crate) kind: FailureKind,
    pub(crate) retry_same: bool,
    pub(crate) fall_back: bool,
}

/// One rule for each of these codes, which stand between blanks.
pub(super) fn codes(kind: FailureKind, codes: &str) -> Vec<FailureRule> {
    let rule = |code| FailureRule::new(kind).code(code);
    codes.split_whitespace().map(rule).collect()
}

/// One rule for each of these messages, a line each, at these statuses. "a + b" asks for both.
pub(super) fn messages(
    kind: FailureKind,
    statuses: RangeInclusive<u16>,
    messages: &str,
) -> Vec<FailureRule> {
    let rule = |line: &str| {
        let rule = FailureRule::new(kind).statuses(statuses.clone());
        line.split(" + ")
            .fold(rule, |rule, part| rule.message(part.trim()))
    };
    messages.lines().map(rule).collect()
}
