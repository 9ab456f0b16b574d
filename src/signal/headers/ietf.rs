//! The IETF's `RateLimit` and `RateLimit-Policy`, of all drafts
//! (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>).
//!
//! Drafts 08 to 10: `RateLimit: "default";r=50;t=30` and `RateLimit-Policy: "default";q=100;w=60`. Drafts 03 to 07:
//! `RateLimit: limit=100, remaining=50, reset=5` and `RateLimit-Policy: 100;w=60`. Before: three headers, with the
//! policies behind the limit.

use super::{
    name::dimension_of,
    reading::{QuotaReading, set, window_of_seconds},
};
use crate::{outcome::Dimension, signal::hint};

/// What these fields say, before it is put together.
#[derive(Default)]
pub(super) struct Policies<'a> {
    policies: Vec<Item<'a>>,
    items: Vec<Item<'a>>,
}

/// A member of one of the lists.
#[derive(Default)]
struct Item<'a> {
    /// Its names. Hugging Face writes two: `"fixed window";"api";q=1000`.
    names: Vec<&'a str>,
    unit: Option<&'a str>,
    limit: Option<f64>,
    /// In seconds.
    window: Option<f64>,
    remaining: Option<f64>,
    /// In seconds.
    reset: Option<f64>,
}

impl<'a> Policies<'a> {
    /// Takes a `RateLimit` field in.
    pub(super) fn add_items(&mut self, value: &'a str) {
        let room = MAX_MEMBERS.saturating_sub(self.items.len());
        let items = split(value, ',').map(Item::parse).take(room);
        // "limit=100, remaining=50, reset=5" is one item in three members.
        let mut combined = Item::default();
        for item in items {
            if item.names.is_empty() {
                set(&mut combined.limit, item.limit);
                set(&mut combined.remaining, item.remaining);
                set(&mut combined.reset, item.reset);
            } else {
                self.items.push(item);
            }
        }
        if combined
            .limit
            .or(combined.remaining)
            .or(combined.reset)
            .is_some()
        {
            self.items.push(combined);
        }
    }

    /// Takes a `RateLimit-Policy` field in.
    pub(super) fn add_policies(&mut self, value: &'a str) {
        let room = MAX_MEMBERS.saturating_sub(self.policies.len());
        let policies = split(value, ',').map(Item::parse);
        self.policies.extend(policies.take(room));
    }

    /// Takes the policies behind the first member of a `RateLimit-Limit` field in.
    pub(super) fn add_policies_behind(&mut self, value: &'a str) {
        if value.contains(';') {
            self.add_policies(value);
        }
    }

    /// Adds the items, each completed from its policy, to the readings, and completes the readings of the older
    /// headers.
    pub(super) fn join(self, readings: &mut Vec<QuotaReading<'a>>) {
        for reading in readings
            .iter_mut()
            .filter(|reading| reading.window.is_none())
        {
            let policy = self.policies.iter().find(|policy| {
                policy.window.is_some() && policy.limit.is_some() && policy.limit == reading.limit
            });
            reading.window = policy.and_then(|policy| window_of_seconds(policy.window?));
        }
        if self.items.is_empty() && !readings.is_empty() {
            return;
        }
        for item in &self.items {
            let policy = self.policies.iter().find(|policy| policy.fits(item));
            let only = self.policies.first().filter(|_| self.policies.len() == 1);
            readings.push(item.reading(policy.or(only)));
        }
        if self.items.is_empty() {
            readings.extend(self.policies.iter().map(|policy| policy.reading(None)));
        }
    }
}

impl<'a> Item<'a> {
    /// Reads one member: names in quotes, a bare quota, and parameters.
    fn parse(member: &'a str) -> Self {
        let mut item = Self::default();
        for part in split(member, ';') {
            let part = part.trim();
            match part.split_once('=') {
                _ if part.starts_with('"') => item.names.push(part.trim_matches('"')),
                Some((key, value)) => item.set(key.trim(), value.trim().trim_matches('"')),
                None => match number(part) {
                    Some(quota) => set(&mut item.limit, Some(quota)),
                    None if !part.is_empty() => item.names.push(part),
                    None => {}
                },
            }
        }
        item
    }

    fn set(&mut self, key: &str, value: &'a str) {
        match key {
            "q" | "limit" => self.limit = number(value),
            "w" | "window" => self.window = number(value),
            "r" | "remaining" => self.remaining = number(value),
            "t" | "reset" => self.reset = number(value),
            "qu" => self.unit = Some(value),
            _ => {}
        }
    }

    /// Whether this policy is the item's.
    fn fits(&self, item: &Self) -> bool {
        if item.names.is_empty() {
            return item.limit.is_some() && item.limit == self.limit;
        }
        self.names.iter().any(|name| item.names.contains(name))
    }

    fn reading(&self, policy: Option<&Self>) -> QuotaReading<'a> {
        let unit = self.unit.or(policy.and_then(|policy| policy.unit));
        let dimension = unit.map_or(Dimension::Requests, dimension_of);
        let window = self.window.or(policy.and_then(|policy| policy.window));
        let mut reading = QuotaReading::new(
            dimension,
            unit.unwrap_or_default(),
            window.and_then(window_of_seconds),
        );
        reading.limit = self.limit.or(policy.and_then(|policy| policy.limit));
        reading.remaining = self.remaining;
        reading.reset_after = self.reset.and_then(hint::from_secs);
        reading
    }
}

/// Each item looks for its policy, so that very many of both would take long. Nobody has more than a few.
const MAX_MEMBERS: usize = 64;

fn number(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// Splits at a separator that stands outside of quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character| {
        quoted ^= character == '"';
        character == separator && !quoted
    })
}
