//! What can be wrong with a snapshot, and where.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::Utf8Error,
};

/// Why a snapshot could not be saved, or not be loaded.
///
/// Tells the file, where there is one, and what is wrong in it and where: `limits.json: keys[3].limits[0].taken[2].at:
/// expected a time in nanoseconds since 1970, found "noon"`.
#[derive(Debug)]
pub struct SnapshotError {
    file: Option<PathBuf>,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("cannot be {done}: {source}")]
    Io {
        done: &'static str,
        source: io::Error,
    },
    #[error("larger than the {most} bytes that a snapshot may have")]
    TooLarge { most: u64 },
    #[error("not a tower-upstream snapshot: {0}")]
    NotText(#[source] Utf8Error),
    /// The error names line and column.
    #[error("damaged, or no JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    #[error("not a tower-upstream snapshot: {0}")]
    Foreign(Wrong),
    #[error("version {version} is newer than this crate reads ({newest})")]
    Newer { version: u64, newest: u64 },
    #[error(transparent)]
    Wrong(#[from] Wrong),
    #[error("taken up already: all of it would count twice")]
    TakenUp,
    #[error("scope: its keys are by {saved:?}, this limiter's by {own:?}")]
    OtherScope { saved: Box<str>, own: &'static str },
}

/// A value that cannot be right, and where it stands.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{problem}", .place, if .place.is_empty() { "" } else { ": " })]
pub(crate) struct Wrong {
    place: String,
    problem: String,
}

impl SnapshotError {
    pub(crate) fn at(self, file: &Path) -> Self {
        Self {
            file: Some(file.to_owned()),
            ..self
        }
    }

    /// The file, where it was one that could not be saved or loaded.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether there is no such file or folder, as before the first [`save`](crate::RateLimiter::save).
    pub fn is_not_found(&self) -> bool {
        matches!(&self.problem, Problem::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl Wrong {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self {
            place: String::new(),
            problem: problem.into(),
        }
    }

    /// The same, seen from further outside.
    pub(crate) fn within(self, outer: impl fmt::Display) -> Self {
        let place = match self.place.is_empty() {
            true => outer.to_string(),
            false => format!("{outer}.{}", self.place),
        };
        Self { place, ..self }
    }
}

impl From<Problem> for SnapshotError {
    fn from(problem: Problem) -> Self {
        let file = None;
        Self { file, problem }
    }
}

impl From<Wrong> for SnapshotError {
    fn from(wrong: Wrong) -> Self {
        Problem::from(wrong).into()
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.problem)
    }
}
