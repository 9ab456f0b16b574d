//! Where the reader stands in a file, and what it has found wrong so far.

use std::collections::BTreeMap;

use super::{mistake::Mistake, show, tree::Node};
use crate::config_error::ConfigError;

/// Where the reader stands, and what it has found wrong.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    text: &'a str,
    /// What the format calls a table.
    table: &'static str,
    path: String,
    /// Where each key stands that was read.
    keys: BTreeMap<String, usize>,
    mistakes: Vec<Mistake>,
}

/// A place in the file, for what can be found wrong only later.
#[derive(Clone, Debug, Default)]
pub(super) struct Spot {
    at: usize,
    path: String,
    /// Whether it is the place for a key that may be there or not, and `at` is that of the table.
    is_of_key: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(text: &'a str, table: &'static str) -> Self {
        Self {
            text,
            table,
            path: String::new(),
            keys: BTreeMap::new(),
            mistakes: Vec::new(),
        }
    }

    /// The key that is being read stands here.
    pub(super) fn key_stands_at(&mut self, at: usize) {
        self.keys.insert(self.path.clone(), at);
    }

    /// Whether the file has a key there, be its value right or wrong.
    pub(super) fn has(&self, spot: &Spot) -> bool {
        self.keys.contains_key(&spot.path)
    }

    pub(super) fn spot(&self, at: usize) -> Spot {
        Spot {
            at,
            path: self.path.clone(),
            is_of_key: false,
        }
    }

    /// Something is wrong here.
    pub(super) fn wrong(&mut self, at: usize, problem: impl Into<String>) {
        let spot = self.spot(at);
        self.wrong_at(&spot, problem);
    }

    /// Something is wrong there.
    pub(super) fn wrong_at(&mut self, spot: &Spot, problem: impl Into<String>) {
        let key = self.keys.get(&spot.path).filter(|_| spot.is_of_key);
        let mistake = Mistake::at(self.text, *key.unwrap_or(&spot.at), problem);
        self.mistakes.push(mistake.under(spot.path.clone()));
    }

    /// A setting there cannot work.
    pub(super) fn unworkable(&mut self, spot: &Spot, error: &ConfigError) {
        let (expected, found) = (error.expected(), show::plain(error.value()));
        self.wrong_at(spot, format!("expected {expected}, found {found}"));
    }

    /// Looks at what stands under a key.
    pub(super) fn within_key<R>(&mut self, name: &str, look: impl FnOnce(&mut Self) -> R) -> R {
        let separator = if self.path.is_empty() { "" } else { "." };
        self.within(&format!("{separator}{}", show::name(name)), look)
    }

    /// Looks at an item of a list.
    pub(super) fn within_item<R>(&mut self, index: usize, look: impl FnOnce(&mut Self) -> R) -> R {
        self.within(&format!("[{index}]"), look)
    }

    fn within<R>(&mut self, step: &str, look: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        self.path.push_str(step);
        let result = look(self);
        self.path.truncate(length);
        result
    }

    pub(super) fn show(&self, node: &Node) -> String {
        show::node(node, self.table)
    }

    /// `a table`, or what the format calls it.
    pub(super) fn table(&self) -> &'static str {
        self.table
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }
}

impl Spot {
    /// The place for a key of the table that stands here.
    pub(super) fn key(&self, name: &str) -> Self {
        let separator = if self.path.is_empty() { "" } else { "." };
        Self {
            at: self.at,
            path: format!("{}{separator}{name}", self.path),
            is_of_key: true,
        }
    }
}
