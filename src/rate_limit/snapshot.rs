//! What a limiter knows, to be kept over a restart: as a value, and as JSON.

pub(crate) mod fields;
mod form;
mod problem;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, error::Category, value::RawValue};

use fields::{count, expected, time};

use super::{epoch::WallNanos, saved::SavedKey};

pub use problem::SnapshotError;
pub(crate) use problem::{Problem, Wrong};

/// What a [`RateLimiter`](crate::RateLimiter) knew at one time, by the wall clock: see
/// [`snapshot`](crate::RateLimiter::snapshot).
///
/// For a store other than a file, there is its JSON.
///
/// ```
/// use tower_upstream::{Limit, Quota, RateLimiter, rate_limit::Snapshot};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let new = || RateLimiter::new(Quota::new().limit(Limit::requests(1_500).per_day()));
/// let limiter = new()?;
/// let json = limiter.snapshot().to_json();
///
/// let after_a_restart = new()?;
/// after_a_restart.restore(&Snapshot::from_json(&json)?)?;
/// # Ok(()) }
/// ```
///
/// # Format
///
/// ```json
/// {"format":"tower-upstream rate limiter","version":1,"scope":"upstream","saved_at":1768460400000000000,"keys":[
/// {"key":"gemini/flash","limits":[
///   {"dimension":"requests","amount":1500,"per":86400000000000,"calendar":{"zone":-480},
///    "taken":[{"at":1768460400000000000,"amount":312}]}]}
/// ]}
/// ```
///
/// Times are nanoseconds since 1970, periods nanoseconds. A field that is unknown, missing or of another kind is an error.
///
/// - `scope`: what the keys stand for: `all`, `upstream`, `host`, `provider`, or `by` a closure.
/// - `keys[]`: `key`; `paused_until`, where an upstream asked for that; `limits`; `quota`, where it is not the limiter's own;
///   `answers`, the `mean` of the tokens that they use and its `deviation`, where requests set no maximum.
/// - `quota`: `set`, if by [`set_quota`](crate::RateLimiter::set_quota), else it is the upstream's own; `max_concurrent`;
///   `max_tokens_per_request`; `keep_estimates`; `steady`. Its limits are the `limits` of the key that were not learned.
/// - `limits[]`: `dimension`, `amount` and `per`; `burst` of a bucket; `calendar`, with a `zone` by its name or minutes from
///   UTC, and `month` for months; `margin`; `shadow`; `spacing` of a minimum interval; `learned`, if the upstream told of it;
///   `taken`; and what is taken `elsewhere`, an `amount` `until` the upstream renews it.
/// - `taken[]`, where the limit slides: an `amount` and when it was taken, `at`, or `from` then until then. Of a bucket, one:
///   the `amount` that was missing `at` a time, and the `part` of one more in nanoseconds of its period. Of a calendar, one:
///   the `amount` of the period in which `at` lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub(super) scope: Box<str>,
    pub(super) saved_at: WallNanos,
    pub(super) keys: Vec<SavedKey>,
}

impl Snapshot {
    /// What the keys stand for.
    pub(crate) fn scope(&self) -> &str {
        &self.scope
    }

    /// When it was taken.
    pub fn saved_at(&self) -> SystemTime {
        let offset = Duration::from_nanos(self.saved_at.unsigned_abs());
        let at = match self.saved_at.is_negative() {
            true => UNIX_EPOCH.checked_sub(offset),
            false => UNIX_EPOCH.checked_add(offset),
        };
        at.unwrap_or(UNIX_EPOCH)
    }

    /// As JSON, one key a line.
    pub fn to_json(&self) -> String {
        let (scope, saved_at) = (Value::from(&*self.scope), self.saved_at);
        let mut json = format!(
            r#"{{"format":"{FORMAT}","version":{VERSION},"scope":{scope},"saved_at":{saved_at},"keys":["#
        );
        for (index, key) in self.keys.iter().enumerate() {
            let separator = if index == 0 { "\n" } else { ",\n" };
            // A string takes whatever is written into it.
            let _ = write!(json, "{separator}{}", form::of_key(key));
        }
        json.push_str("\n]}\n");
        json
    }

    /// Reads what [`to_json`](Self::to_json) has written.
    ///
    /// # Errors
    ///
    /// When it is no JSON, no snapshot, or one of a newer version of this crate, or when anything in it cannot be right. The
    /// error names it: `keys[3].limits[0].taken[2].at: expected a time in nanoseconds since 1970, found "noon"`.
    pub fn from_json(json: &str) -> Result<Self, SnapshotError> {
        // The keys are taken apart one by one: all of them at once would be many times the size of the text.
        let mut parts: BTreeMap<String, &RawValue> =
            serde_json::from_str(json).map_err(|error| match error.classify() {
                Category::Data => Problem::Foreign(Wrong::new("expected an object")),
                _ => Problem::NotJson(error),
            })?;
        check_head(&mut parts)?;
        let snapshot = Self {
            scope: part(&mut parts, "scope", scope)?,
            saved_at: part(&mut parts, "saved_at", time)?,
            keys: keys(&mut parts)?,
        };
        match parts.keys().next() {
            Some(name) => Err(Wrong::new("no such field is known").within(name).into()),
            None => Ok(snapshot),
        }
    }
}

/// Whether it is a snapshot, and of a version that is known; before anything else is read, which another may have changed.
fn check_head(parts: &mut BTreeMap<String, &RawValue>) -> Result<(), Problem> {
    let is_ours = |json: Value| match json.as_str() {
        Some(FORMAT) => Ok(()),
        _ => Err(expected(&format!("{FORMAT:?}"), &json)),
    };
    part(parts, "format", is_ours).map_err(Problem::Foreign)?;
    match part(parts, "version", count)? {
        VERSION => Ok(()),
        0 => Err(Wrong::new("expected 1, found 0").within("version").into()),
        version => Err(Problem::Newer {
            version,
            newest: VERSION,
        }),
    }
}

fn scope(json: Value) -> Result<Box<str>, Wrong> {
    match json.as_str() {
        Some(scope @ ("all" | "upstream" | "host" | "provider" | "by")) => Ok(scope.into()),
        _ => Err(expected(
            "\"all\", \"upstream\", \"host\", \"provider\" or \"by\"",
            &json,
        )),
    }
}

fn keys(parts: &mut BTreeMap<String, &RawValue>) -> Result<Vec<SavedKey>, Wrong> {
    let raw = parts.remove("keys");
    let raw = raw.ok_or_else(|| Wrong::new("is missing").within("keys"))?;
    let raw: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|_| Wrong::new("expected a list").within("keys"))?;
    let read = raw.into_iter().enumerate().map(|(index, raw)| {
        let key = value(raw).and_then(form::to_key);
        key.map_err(|wrong| wrong.within(format_args!("keys[{index}]")))
    });
    let keys = read.collect::<Result<Vec<_>, _>>()?;
    let mut seen = HashSet::with_capacity(keys.len());
    match keys.iter().position(|saved| !seen.insert(&*saved.key)) {
        Some(index) => {
            let problem = format!("{:?} is there twice", keys[index].key);
            Err(Wrong::new(problem).within(format_args!("keys[{index}].key")))
        }
        None => Ok(keys),
    }
}

pub(crate) fn part<T>(
    parts: &mut BTreeMap<String, &RawValue>,
    name: &str,
    read: impl FnOnce(Value) -> Result<T, Wrong>,
) -> Result<T, Wrong> {
    let raw = parts.remove(name).ok_or_else(|| Wrong::new("is missing"));
    let read = raw.and_then(value).and_then(read);
    read.map_err(|wrong| wrong.within(name))
}

/// What stands here: its grammar is checked, but not what it means, such as a number too large for any type.
pub(crate) fn value(raw: &RawValue) -> Result<Value, Wrong> {
    serde_json::from_str(raw.get()).map_err(|error| Wrong::new(error.to_string()))
}

pub(crate) const FORMAT: &str = "tower-upstream rate limiter";

const VERSION: u64 = 1;
