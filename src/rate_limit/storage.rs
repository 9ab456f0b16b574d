//! What a limiter knows, kept over a restart.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    task::Waker,
};

use super::{
    epoch::{Anchor, wall_nanos},
    handle::RateLimiter,
    snapshot::{Problem, Snapshot, SnapshotError},
};
use crate::clock::Clock;

impl RateLimiter {
    /// What the limiter knows now, to be kept over a restart.
    ///
    /// Of each key that is not idle: what is taken of each limit and when, the pause that its upstream asked for, the quota
    /// that was [set](Self::set_quota) for it, what the upstream told of its limits, and how long its answers are, all by the
    /// wall clock. What is under way is not kept, but stays taken, for the upstream has counted it. What waits is not kept,
    /// nor is a rate that a 429 has [cut](crate::Quota::steady), which is back within seconds. Settings are not, but a key whose
    /// upstream has a quota of its own is granted that one until a request tells which it has now.
    ///
    /// Requests go on meanwhile, but for those of the 32nd part of the keys that is being copied.
    pub fn snapshot(&self) -> Snapshot {
        let settings = self.settings();
        let anchor = self.anchor();
        let mut keys = Vec::new();
        self.for_each(|key, state| keys.extend(state.save(key, &settings.quota, anchor)));
        keys.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        Snapshot {
            scope: self.scope_name().into(),
            saved_at: anchor.wall_of(self.now()),
            keys,
        }
    }

    /// Adds what a limiter knew to what this one knows, once. Meant for a limiter that has just been made.
    ///
    /// Time has passed since: what is over by the wall clock is gone.
    ///
    /// 1. Nothing is ever freed. What is taken already under a key stays taken, and what was taken before comes to it. A pause
    ///    and what an upstream told hold for the longer. A quota that was [set](Self::set_quota) since stays.
    /// 2. Where the limits have changed, what was taken of one that counts the same thing over the same period and in the same
    ///    way is taken of the new one. What was taken of others is gone.
    /// 3. Where the wall clock has gone back, no time has passed since the snapshot. A calendar period that has not begun by
    ///    this clock counts until the next has ended.
    /// 4. Keys beyond [`max_keys`](Self::max_keys) share one state, as they always do.
    ///
    /// # Errors
    ///
    /// When the keys of that limiter were of another [scope](Self::scope): they would mean something else here; and when this
    /// limiter has taken up that snapshot, by the time of its saving, already. Then nothing has changed.
    pub fn restore(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        self.check(snapshot)?;
        if !self.restored().insert(snapshot.saved_at) {
            return Err(Problem::TakenUp.into());
        }
        let settings = self.settings();
        let here = self.anchor();
        let anchor = Anchor {
            wall: here.wall.max(snapshot.saved_at),
            ..here
        };
        let (now, wall) = (anchor.now, self.epoch().wall());
        for saved in &snapshot.keys {
            let mut alone = self.fresh(now);
            if let Some(quota) = &saved.quota {
                alone.restore_quota(quota, &settings.quota, now, wall);
            }
            alone.restore(saved, anchor, wall);
            // Keys of which nothing is left take nobody's room.
            if alone.is_idle(now) && !saved.is_learned() {
                continue;
            }
            let mut state = self.enter(&saved.key, now);
            if let Some(quota) = &saved.quota
                && *state.key() == *saved.key
            {
                state.restore_quota(quota, &settings.quota, now, wall);
            }
            state.restore(saved, anchor, wall);
            let waker = state.first_waker();
            drop(state);
            waker.into_iter().for_each(Waker::wake);
        }
        Ok(())
    }

    /// Saves what the limiter knows in a file, whole or not at all: it is written beside the old file, under a name of its own
    /// that begins with a dot, and then takes its place and its permissions.
    ///
    /// This blocks on the disk; in async code, use `tokio::task::spawn_blocking`. No secret is in the file, but keys may name
    /// tenants. Save when the process ends, and now and then before: what was taken since the last time is not known after a
    /// crash.
    ///
    /// ```
    /// use tower_upstream::{Limit, Quota, RateLimiter};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("tower-upstream-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let file = folder.join("limits.json");
    /// let limiter = RateLimiter::new(Quota::new().limit(Limit::requests(1_500).per_day()))?;
    /// match limiter.load(&file) {
    ///     Err(error) if error.is_not_found() => {} // the first start
    ///     loaded => loaded?,
    /// }
    /// // Serve requests, and in the end:
    /// limiter.save(&file)?;
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the file cannot be written. Then the old one is as it was.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SnapshotError> {
        let (path, json) = (path.as_ref(), self.snapshot().to_json());
        write(path, &json).map_err(|problem| SnapshotError::from(problem).at(path))
    }

    /// [Restores](Self::restore) what another limiter has [saved](Self::save): once, before the first request. Each limiter of
    /// a layer has a file of its own; what another's holds of limits that this one does not have is passed over.
    ///
    /// This blocks on the disk; in async code, use `tokio::task::spawn_blocking`.
    ///
    /// # Errors
    ///
    /// When there is no such file, when it is larger than 4 GiB, damaged, no snapshot, or one of a newer version of this crate
    /// or of another scope, or when it was loaded already. The error names the file and what is wrong in it. Then nothing has
    /// changed.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<(), SnapshotError> {
        let path = path.as_ref();
        let read = || self.restore(&Snapshot::from_json(&read(path)?)?);
        read().map_err(|error| error.at(path))
    }

    /// Whether a snapshot's keys mean here what they meant there, and it is not among those that were taken up.
    pub(crate) fn check(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let own = self.scope_name();
        if *snapshot.scope == *own {
            return match self.restored().contains(&snapshot.saved_at) {
                true => Err(Problem::TakenUp.into()),
                false => Ok(()),
            };
        }
        let saved = snapshot.scope.clone();
        Err(Problem::OtherScope { saved, own }.into())
    }

    /// Now, by both clocks.
    fn anchor(&self) -> Anchor {
        Anchor {
            now: self.now(),
            wall: wall_nanos(self.settings().clock.wall()),
        }
    }
}

pub(crate) fn read(path: &Path) -> Result<String, SnapshotError> {
    let failed = |source| Problem::Io {
        done: "read",
        source,
    };
    let too_large = Problem::TooLarge { most: MOST_BYTES };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > MOST_BYTES {
        return Err(too_large.into());
    }
    let mut bytes = Vec::new();
    // A device has no length that could be known before.
    let mut file = file.take(MOST_BYTES + 1);
    file.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(too_large.into());
    }
    let text = String::from_utf8(bytes);
    Ok(text.map_err(|error| Problem::NotText(error.utf8_error()))?)
}

/// Replaces a file whole. Where that fails, the old one stays, and nothing lies beside it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Problem> {
    if text.len() as u64 > MOST_BYTES {
        return Err(Problem::TooLarge { most: MOST_BYTES });
    }
    let failed = |source| Problem::Io {
        done: "written",
        source,
    };
    // Through links, which stay.
    let target = fs::canonicalize(path);
    let path = target.as_deref().unwrap_or(path);
    if path.exists() && !path.is_file() {
        let kind = io::ErrorKind::InvalidInput;
        return Err(failed(io::Error::new(
            kind,
            "there is something else than a file",
        )));
    }
    let beside = beside(path).map_err(failed)?;
    let replaced = fill(&beside, path, text).and_then(|()| fs::rename(&beside, path));
    if let Err(error) = replaced {
        // Of the two errors, the first is the one to tell.
        let _ = fs::remove_file(&beside);
        return Err(failed(error));
    }
    // The file is whole either way; this only makes the new name last through a power failure, where folders can be synced.
    if let Some(folder) = path.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

fn fill(beside: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(beside)?;
    if let Ok(old) = fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A new name in the same folder: only within one file system is a file replaced at once.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        let kind = io::ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "the path names no file"));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{:016x}", fastrand::u64(..)));
    Ok(path.with_file_name(hidden))
}

/// A million keys with a few requests each have some hundred megabytes.
const MOST_BYTES: u64 = 4 << 30;

#[cfg(test)]
mod tests;
