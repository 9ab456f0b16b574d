//! What a stack knows, kept over a restart.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use serde_json::{Value, error::Category, json, value::RawValue};

use super::handle::Stack;
use crate::{
    clock::Clock,
    fallback::{Chain, Cooldown, Cooldowns, Router},
    instant::nanos,
    outcome::{Failure, FailureKind},
    rate_limit::{
        RateLimiter, Snapshot, SnapshotError,
        snapshot::{
            self, Problem, Wrong,
            fields::{Fields, count, expected, text},
            part, value,
        },
        storage::{read, write},
    },
    upstream::Upstream,
};

impl Stack {
    /// Saves what should survive a restart in one file, whole or not at all: what is taken of every limit, as
    /// [`RateLimiter::save`](crate::RateLimiter::save) does, and who is cooling down until when. Circuits and the retry budget
    /// are not kept: they find out anew within seconds.
    ///
    /// This blocks on the disk; in async code, use `tokio::task::spawn_blocking`. No secret is in the file, but keys of limiters
    /// may name tenants. Save when the process ends, and now and then before.
    ///
    /// ```
    /// use tower_upstream::{Provider, Stack};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("tower-upstream-stack-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let file = folder.join("state.json");
    /// let stack = Stack::builder().upstream(Provider::openai().model("gpt-4o-mini")).build()?;
    /// match stack.load(&file) {
    ///     Err(error) if error.is_not_found() => {} // the first start
    ///     loaded => loaded?,
    /// }
    /// // Serve requests, and in the end:
    /// stack.save(&file)?;
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the file cannot be written. Then the old one is as it was.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SnapshotError> {
        let path = path.as_ref();
        write(path, &self.to_json()).map_err(|problem| SnapshotError::from(problem).at(path))
    }

    /// Takes up what another stack has [saved](Self::save): once, before the first request. What is over by the wall clock is gone,
    /// and so are the cooldowns of upstreams, and the counts of limiters with a [scope](crate::Scope), that this stack does not have.
    /// Limiters with a scope that the other did not have begin anew.
    ///
    /// This blocks on the disk; in async code, use `tokio::task::spawn_blocking`.
    ///
    /// # Errors
    ///
    /// When there is no such file, when it is damaged, of a newer version, or of a stack with more or fewer limiters of one scope, or when
    /// it was loaded already.
    /// The error names the file and what is wrong in it. Then nothing has changed.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<(), SnapshotError> {
        let path = path.as_ref();
        let load = || self.take_up(&read(path)?);
        load().map_err(|error| error.at(path))
    }

    fn to_json(&self) -> String {
        let now = wall_nanos(&*self.clock);
        let limiters = self.limiters.iter();
        let limiters: Vec<String> = limiters
            .map(|limiter| limiter.snapshot().to_json())
            .collect();
        let cooldowns = self.cooldowns.list();
        let cooldowns: Vec<Value> = cooldowns
            .iter()
            .map(|entry| of_cooldown(entry, now))
            .collect();
        format!(
            "{{\"format\":\"{FORMAT}\",\"version\":{VERSION},\"saved_at\":{now},\"cooldowns\":{},\"limiters\":[\n{}]}}\n",
            Value::from(cooldowns),
            limiters.join(",\n"),
        )
    }

    fn take_up(&self, json: &str) -> Result<(), SnapshotError> {
        let saved = to_saved(json)?;
        let pairs = self.pairs(&saved.limiters)?;
        // All are looked at before one is changed.
        let mut all = pairs.iter();
        all.try_for_each(|(limiter, snapshot)| limiter.check(snapshot))?;
        let mut all = pairs.iter();
        all.try_for_each(|(limiter, snapshot)| limiter.restore(snapshot))?;
        // Where the wall clock has gone back, no time has passed.
        let now = wall_nanos(&*self.clock).max(saved.saved_at);
        // Those that were added while the stack is in use are among them.
        let chain = self.router.as_ref().map(Router::chain);
        let upstreams = chain.as_ref().map_or(&[][..], Chain::listed);
        for entry in &saved.cooldowns {
            entry.take_up(upstreams, &self.cooldowns, now);
        }
        Ok(())
    }

    /// Which limiter takes up what: of several of one scope the first takes the first. A scope that only one side has is passed by,
    /// for limiters come and go; where both have several, and not as many, nobody knows which is which.
    fn pairs<'a>(
        &'a self,
        saved: &'a [Snapshot],
    ) -> Result<Vec<(&'a RateLimiter, &'a Snapshot)>, Wrong> {
        let mut pairs = Vec::new();
        let scopes: BTreeSet<&str> = self.limiters.iter().map(RateLimiter::scope_name).collect();
        for scope in scopes {
            let here = self.limiters.iter().filter(|it| it.scope_name() == scope);
            let there = saved.iter().filter(|it| it.scope() == scope);
            match (here.clone().count(), there.clone().count()) {
                (_, 0) => {}
                (here, there) if here != there => {
                    let problem = format!(
                        "expected those of {here} limiters of the scope \"{scope}\", found {there}"
                    );
                    return Err(Wrong::new(problem).within("limiters"));
                }
                _ => pairs.extend(here.zip(there)),
            }
        }
        Ok(pairs)
    }
}

struct Saved {
    saved_at: u64,
    limiters: Vec<Snapshot>,
    cooldowns: Vec<SavedCooldown>,
}

struct SavedCooldown {
    key: String,
    is_account_wide: bool,
    kind: FailureKind,
    until: u64,
    /// What goes beyond that is a guess.
    asked_until: u64,
}

impl SavedCooldown {
    fn take_up(&self, upstreams: &[Upstream], cooldowns: &Cooldowns, now: u64) {
        let is_meant = |upstream: &&Upstream| match self.is_account_wide {
            true => upstream.provider().name() == self.key,
            false => upstream.id() == self.key,
        };
        let left = |until: u64| Duration::from_nanos(until.saturating_sub(now));
        if let Some(upstream) = upstreams.iter().find(is_meant) {
            let mut failure = Failure::new(self.kind);
            failure.account_wide = self.is_account_wide;
            cooldowns.cool_again(upstream, &failure, left(self.until), left(self.asked_until));
        }
    }
}

fn of_cooldown(entry: &Cooldown, now: u64) -> Value {
    let until = |left| now.saturating_add(nanos(left));
    json!({
        "key": &*entry.key,
        "account_wide": entry.account_wide,
        "kind": entry.kind.as_str(),
        "until": until(entry.remaining),
        "asked_until": until(entry.asked),
    })
}

/// The parts are taken apart one by one: all of them at once would be many times the size of the text.
fn to_saved(json: &str) -> Result<Saved, SnapshotError> {
    let mut parts: BTreeMap<String, &RawValue> =
        serde_json::from_str(json).map_err(|error| match error.classify() {
            Category::Data => Problem::Foreign(Wrong::new("expected an object")),
            _ => Problem::NotJson(error),
        })?;
    match part(&mut parts, "format", text) {
        Ok(format) if format == FORMAT => {}
        Ok(format) if format == snapshot::FORMAT => {
            let wanted = "this is a limiter's snapshot, not a stack's";
            return Err(Problem::Foreign(Wrong::new(wanted)).into());
        }
        _ => {
            let wanted = format!("expected the format {FORMAT:?}");
            return Err(Problem::Foreign(Wrong::new(wanted)).into());
        }
    }
    match part(&mut parts, "version", count)? {
        VERSION => {}
        0 => return Err(Wrong::new("expected 1, found 0").within("version").into()),
        version => {
            let newest = VERSION;
            return Err(Problem::Newer { version, newest }.into());
        }
    }
    let saved = Saved {
        saved_at: part(&mut parts, "saved_at", count)?,
        cooldowns: list(&mut parts, "cooldowns", |raw| to_cooldown(value(raw)?))?,
        limiters: list(&mut parts, "limiters", |raw| {
            Snapshot::from_json(raw.get()).map_err(|error| Wrong::new(error.to_string()))
        })?,
    };
    match parts.keys().next() {
        Some(name) => Err(Wrong::new("no such field is known").within(name).into()),
        None => Ok(saved),
    }
}

fn list<T>(
    parts: &mut BTreeMap<String, &RawValue>,
    name: &str,
    read: impl Fn(&RawValue) -> Result<T, Wrong>,
) -> Result<Vec<T>, Wrong> {
    let raw = parts.remove(name);
    let raw = raw.ok_or_else(|| Wrong::new("is missing").within(name))?;
    let items: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| Wrong::new("expected a list").within(name))?;
    let read = items.into_iter().enumerate().map(|(index, raw)| {
        read(raw).map_err(|wrong| wrong.within(format_args!("{name}[{index}]")))
    });
    read.collect()
}

fn to_cooldown(json: Value) -> Result<SavedCooldown, Wrong> {
    Fields::read(json, |fields| {
        let until = fields.required("until", count)?;
        Ok(SavedCooldown {
            key: fields.required("key", text)?,
            is_account_wide: fields.flag("account_wide")?,
            kind: fields.required("kind", to_kind)?,
            until,
            asked_until: fields.optional("asked_until", count)?.unwrap_or(until),
        })
    })
}

fn to_kind(json: Value) -> Result<FailureKind, Wrong> {
    let kind = json.as_str().and_then(FailureKind::from_name);
    kind.ok_or_else(|| expected("a kind of failure, such as \"rate_limited\"", &json))
}

/// Nanoseconds since 1970, by the clock on the wall.
fn wall_nanos(clock: &dyn Clock) -> u64 {
    let since = clock.wall().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos());
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

const FORMAT: &str = "tower-upstream stack";

const VERSION: u64 = 1;
