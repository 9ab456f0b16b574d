//! Many rules, asked in one pass over the text.

use super::rule::{Code, FailureRule, NO_PART, Verdict};
use crate::signal::words::{Phrases, Words};

/// Rules in the order they are asked.
///
/// Finds what asking one after the other finds, as long as every message begins where a word begins.
#[derive(Debug)]
pub(crate) struct Table {
    rules: Vec<FailureRule>,
    /// The rules by the longest part of their messages, and which one that is.
    by_message: Phrases<(usize, usize)>,
    /// Those without a message, by their code.
    by_code: Phrases<usize>,
    /// Those with neither.
    others: Vec<usize>,
}

impl Table {
    pub(crate) fn new(rules: Vec<FailureRule>) -> Self {
        let mut messages = Vec::new();
        let mut codes = Vec::new();
        let mut others = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            match (rule.longest_message(), &rule.code) {
                (Some((part, message)), _) => messages.push((message, (index, part))),
                (None, Some(Code::Whole(code))) => codes.push((&**code, index)),
                (None, _) => others.push(index),
            }
        }
        Self {
            by_message: Phrases::new(messages),
            by_code: Phrases::new(codes),
            others,
            rules,
        }
    }

    /// What the first rule that matches says. `codes` are plain, each between line feeds.
    pub(crate) fn verdict(&self, status: u16, codes: &str, words: &Words) -> Option<Verdict> {
        let by_message = self.by_message.find(words).map(|(_, rule)| rule);
        let by_code = memchr::memchr_iter(b'\n', codes.as_bytes())
            .flat_map(|at| self.by_code.at(codes, at))
            .map(|(_, index)| (index, NO_PART));
        let others = self.others.iter().map(|index| (*index, NO_PART));
        let mut first = self.rules.len();
        let mut ask = |(index, found): (usize, usize)| {
            if index < first
                && self.rules[index].matches_but_for(found, status, codes, words.text())
            {
                first = index;
            }
        };
        by_message.for_each(&mut ask);
        by_code.chain(others).for_each(ask);
        self.rules.get(first).map(FailureRule::verdict)
    }
}
