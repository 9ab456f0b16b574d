//! What is wrong with a configuration, and where.

use std::fmt;

/// Everything that is wrong with a configuration, in the order of the file: at least one [`Mistake`].
///
/// ```
/// use tower_upstream::Stack;
///
/// let text = r#"{"retry": {"max_atempts": 5, "first_wait": "10"}}"#;
/// assert_eq!(
///     Stack::from_json(text).unwrap_err().to_string(),
///     "2 mistakes:
///   line 1, column 12: retry.max_atempts: no such key is known; did you mean `max_attempts`?
///   line 1, column 44: retry.first_wait: expected a time with its unit, such as \"30s\", found \"10\""
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The name of the file, where it was read from one.
    file: Option<String>,
    list: Vec<Mistake>,
}

/// One thing that is wrong with a configuration. What may be a secret is never part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Line and column, from 1.
    place: Option<(usize, usize)>,
    path: String,
    problem: String,
}

impl Mistakes {
    /// They stand in the order of the file. None is not a value of this type; `None` is.
    pub(crate) fn new(mut mistakes: Vec<Mistake>) -> Option<Self> {
        mistakes.sort_by_key(|mistake| mistake.place);
        // What is wrong with a provider is found wherever it is used.
        mistakes.dedup();
        (!mistakes.is_empty()).then_some(Self {
            file: None,
            list: mistakes,
        })
    }

    pub(crate) fn one(mistake: Mistake) -> Self {
        Self {
            file: None,
            list: vec![mistake],
        }
    }

    /// Of the file of this name.
    pub(super) fn of_file(self, name: String) -> Self {
        let file = Some(name);
        Self { file, ..self }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.list.iter()
    }
}

impl Mistake {
    /// At this byte of a text.
    pub(super) fn at(text: &str, at: usize, problem: impl Into<String>) -> Self {
        Self::of_text(line_and_column(text, at), problem)
    }

    pub(super) fn of_text(place: (usize, usize), problem: impl Into<String>) -> Self {
        Self {
            // serde_json counts the columns of an empty file from 0.
            place: Some((place.0.max(1), place.1.max(1))),
            path: String::new(),
            problem: problem.into(),
        }
    }

    /// Of something that stands in no text: a setting as a whole, or a variable of the environment.
    pub(crate) fn of(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            place: None,
            path: path.into(),
            problem: problem.into(),
        }
    }

    pub(super) fn under(self, path: String) -> Self {
        Self { path, ..self }
    }

    /// The line, from 1; `None` for a variable of the environment.
    pub fn line(&self) -> Option<usize> {
        self.place.map(|(line, _)| line)
    }

    /// The column in characters, from 1; `None` for a variable of the environment.
    pub fn column(&self) -> Option<usize> {
        self.place.map(|(_, column)| column)
    }

    /// The path of the key, such as `upstreams[0].quota.requests`, or the name of the variable; empty where a file cannot be
    /// read at all.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong: what was expected, what was found, and which name may be meant.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        if let [one] = &*self.list {
            return one.fmt(f);
        }
        write!(f, "{} mistakes:", self.list.len())?;
        self.list
            .iter()
            .try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}
