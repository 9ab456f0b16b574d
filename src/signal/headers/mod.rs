//! Quota headers: what is left, of what, and until when.

mod ietf;
mod name;
mod reading;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};

pub use self::reading::QuotaReading;
use self::{
    ietf::Policies,
    name::{QuotaName, Role, is_quota_name},
    reading::{set, window_of_seconds},
};
use super::hint;
use crate::outcome::Dimension;

/// What the headers say of the caller's quotas.
///
/// Understood are `x-ratelimit-*` with the units and periods in the name (OpenAI, Groq, Azure, Mistral, Cerebras,
/// Fireworks and most others), without them (GitHub, Together, OpenRouter, Kong), `anthropic-ratelimit-*`,
/// `ratelimitbysize-*` (Mistral), Cohere's call limits, copies that LiteLLM passes on with `llm_provider-` in front,
/// and the IETF's `RateLimit` and `RateLimit-Policy` of all drafts (draft-ietf-httpapi-ratelimit-headers-00 to -10).
/// Resets are read as durations, seconds, Unix seconds or milliseconds, and dates, against the answer's own `Date`
/// header; `now` stands in where there is none.
///
/// Without such headers nothing is allocated. A value that cannot be read is passed over.
pub fn quotas(headers: &HeaderMap, now: SystemTime) -> Vec<QuotaReading<'_>> {
    if !tells_quotas(headers) {
        return Vec::new();
    }
    quotas_at(headers, hint::server_time(headers, now))
}

/// [`quotas`], where the time by the upstream's clock is known.
pub(super) fn quotas_at(headers: &HeaderMap, server_time: SystemTime) -> Vec<QuotaReading<'_>> {
    let mut drafts = Drafts::default();
    for (name, value) in headers {
        if is_quota_name(name.as_str()) {
            drafts.add(name.as_str(), value, server_time);
        }
    }
    drafts.finish()
}

/// Whether [`quotas`] would find anything to read; for callers to whom the time is dear.
pub(crate) fn tells_quotas(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| is_quota_name(name.as_str()))
}

/// The readings, as far as the headers were seen.
#[derive(Default)]
struct Drafts<'a> {
    drafts: Vec<Draft<'a>>,
    policies: Policies<'a>,
}

/// One reading in the making.
struct Draft<'a> {
    /// The period as written, which tells quotas of the same unit apart: `minute`, `10-second`.
    period: &'a str,
    reading: QuotaReading<'a>,
    /// Whether it is that of Anthropic's priority tier, which only counts where the standard one is not told.
    is_priority: bool,
    /// A reset without a unit: seconds, but at Azure.
    bare_reset: Option<f64>,
    /// Azure's `x-ratelimit-renewalperiod-*`, in seconds.
    renewal: Option<f64>,
}

impl<'a> Drafts<'a> {
    fn add(&mut self, name: &'a str, value: &'a HeaderValue, server_time: SystemTime) {
        let Ok(value) = value.to_str() else { return };
        match QuotaName::parse(name) {
            Some(QuotaName {
                role: Role::Items, ..
            }) => self.policies.add_items(value),
            Some(QuotaName {
                role: Role::Policies,
                ..
            }) => self.policies.add_policies(value),
            Some(name) => self.add_figure(&name, value, server_time),
            None => {}
        }
    }

    fn add_figure(&mut self, name: &QuotaName<'a>, value: &'a str, server_time: SystemTime) {
        if name.role == Role::Limit {
            // Draft 00 to 02: "10, 10;w=1, 50;w=60" names the policies behind the limit.
            self.policies.add_policies_behind(value);
        }
        let (number, reset) = match name.role {
            Role::Reset | Role::ResetAfter => (None, Reset::parse(value, server_time)),
            _ => (leading_number(value), None),
        };
        if number.is_none() && reset.is_none() {
            return;
        }
        let draft = self.draft(name);
        // The first of several values counts, so that a copy changes nothing.
        match (name.role, reset) {
            (Role::Limit, _) => set(&mut draft.reading.limit, number),
            (Role::Remaining, _) => set(&mut draft.reading.remaining, number),
            (Role::Used, _) => set(&mut draft.reading.used, number),
            (Role::Renewal, _) => set(&mut draft.renewal, number),
            (Role::ResetAfter, Some(reset)) => draft.reading.reset_after = Some(reset.seconds()),
            (_, Some(Reset::Bare(number))) => set(&mut draft.bare_reset, Some(number)),
            (_, Some(Reset::Wait(wait))) => set(&mut draft.reading.reset_after, Some(wait)),
            _ => {}
        }
    }

    fn draft(&mut self, name: &QuotaName<'a>) -> &mut Draft<'a> {
        let known = self.drafts.iter().position(|draft| {
            draft.reading.dimension == name.dimension
                && draft.period == name.period
                && draft.is_priority == name.is_priority
                && (name.dimension != Dimension::Other || draft.reading.unit == name.unit)
        });
        let index = known.unwrap_or_else(|| {
            let mut reading = QuotaReading::new(name.dimension, name.unit, name.window);
            // So OpenAI, Groq and Anthropic have it, who name units and no periods.
            reading.is_refilling = !name.unit.is_empty() && name.period.is_empty();
            self.drafts.push(Draft {
                period: name.period,
                reading,
                is_priority: name.is_priority,
                bare_reset: None,
                renewal: None,
            });
            self.drafts.len() - 1
        });
        &mut self.drafts[index]
    }

    fn finish(mut self) -> Vec<QuotaReading<'a>> {
        if self.drafts.iter().any(|draft| draft.is_priority) {
            self.prefer_standard();
        }
        let mut readings: Vec<_> = self.drafts.into_iter().map(Draft::finish).collect();
        self.policies.join(&mut readings);
        merge_unnamed(&mut readings);
        readings
    }
}

impl Drafts<'_> {
    #[cold]
    fn prefer_standard(&mut self) {
        let standard = self.drafts.iter().filter(|draft| !draft.is_priority);
        let standard: Vec<_> = standard.map(|draft| draft.reading.dimension).collect();
        self.drafts
            .retain(|draft| !draft.is_priority || !standard.contains(&draft.reading.dimension));
    }
}

impl<'a> Draft<'a> {
    fn finish(mut self) -> QuotaReading<'a> {
        let reading = &mut self.reading;
        if reading.window.is_none() {
            reading.window = self.renewal.and_then(window_of_seconds);
        }
        if reading.reset_after.is_none() {
            let seconds = self.bare_reset.map(|reset| match self.renewal {
                Some(renewal) => azure_seconds(reset, renewal, reading),
                None => reset,
            });
            reading.reset_after = seconds.and_then(hint::from_secs);
        }
        self.reading
    }
}

/// Azure's bare resets are milliseconds in answers of early 2026 and seconds in later ones, under the same name. What
/// has to grow back at the renewal's pace tells which is meant; more than a whole period can only be milliseconds.
fn azure_seconds(reset: f64, renewal: f64, reading: &QuotaReading<'_>) -> f64 {
    let millis = reset / 1e3;
    let (Some(limit), Some(remaining)) = (reading.limit, reading.remaining) else {
        return if reset > renewal { millis } else { reset };
    };
    let due = (limit - remaining) / limit.max(1.0) * renewal;
    if reset > renewal || (millis - due).abs() < (reset - due).abs() {
        millis
    } else {
        reset
    }
}

/// Mistral sends the quota of the minute twice, once without its period but with its reset.
fn merge_unnamed(readings: &mut Vec<QuotaReading<'_>>) {
    let twin_of = |readings: &[QuotaReading<'_>], unnamed: &QuotaReading<'_>| {
        readings.iter().position(|reading| {
            unnamed.window.is_none()
                && unnamed.limit.is_some()
                && reading.window.is_some()
                && reading.dimension == unnamed.dimension
                && reading.limit == unnamed.limit
                && reading.remaining == unnamed.remaining
        })
    };
    for index in (0..readings.len()).rev() {
        if let Some(twin) = twin_of(readings, &readings[index]) {
            let reset_after = readings[index].reset_after;
            set(&mut readings[twin].reset_after, reset_after);
            readings.remove(index);
        }
    }
}

/// A reset's value.
enum Reset {
    /// A number without a unit, too small for a Unix time.
    Bare(f64),
    Wait(Duration),
}

impl Reset {
    fn parse(value: &str, server_time: SystemTime) -> Option<Self> {
        let value = value.trim_ascii();
        match value.parse::<f64>() {
            Ok(epoch) if epoch >= hint::EPOCH_SECONDS => {
                Some(Self::Wait(hint::until_epoch(epoch, server_time)))
            }
            Ok(number) => (number >= 0.0).then_some(Self::Bare(number)),
            Err(_) => hint::parse_wait(value, server_time).map(Self::Wait),
        }
    }

    fn seconds(self) -> Duration {
        match self {
            Self::Bare(seconds) => hint::from_secs(seconds).unwrap_or_default(),
            Self::Wait(wait) => wait,
        }
    }
}

/// The number that a value begins with; policies or a comment may follow.
fn leading_number(value: &str) -> Option<f64> {
    let end = value.bytes().position(|byte| matches!(byte, b',' | b';'));
    if let Some(number) = end.and_then(|end| with_thousands(value, end)) {
        return Some(number);
    }
    let number = &value[..end.unwrap_or(value.len())];
    let number: f64 = number.trim_ascii().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// "30,000", and no list of numbers: nothing but groups of three digits.
#[cold]
fn with_thousands(value: &str, comma: usize) -> Option<f64> {
    let (first, groups) = value.split_at(comma);
    let groups = groups.trim_ascii_end().strip_prefix(',')?;
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_first = matches!(first.len(), 1..=3) && is_digits(first) && !first.starts_with('0');
    let mut groups = groups.split(',');
    if !is_first
        || !groups
            .clone()
            .all(|group| group.len() == 3 && is_digits(group))
    {
        return None;
    }
    let first = first.parse().ok()?;
    groups.try_fold(first, |number, group| {
        Some(number * 1e3 + group.parse::<f64>().ok()?)
    })
}
