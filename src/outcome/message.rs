//! The words of a failure.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

/// The words of a failure: a `str`.
///
/// A refusal of our own is put into words when somebody reads them: most are never read, and they would take longer than all
/// else that a refused call has to do.
#[derive(Clone)]
pub struct Message(Words);

#[derive(Clone)]
enum Words {
    Said(Arc<str>),
    Meant(Arc<Meant<dyn fmt::Display + Send + Sync>>),
}

struct Meant<T: ?Sized> {
    words: OnceLock<Box<str>>,
    what: T,
}

impl Message {
    /// As this is written.
    pub(crate) fn of(what: impl fmt::Display + Send + Sync + 'static) -> Self {
        let words = OnceLock::new();
        Self(Words::Meant(Arc::new(Meant { words, what })))
    }
}

impl<T: Into<Arc<str>>> From<T> for Message {
    fn from(said: T) -> Self {
        Self(Words::Said(said.into()))
    }
}

impl Deref for Message {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Words::Said(words) => words,
            Words::Meant(meant) => meant.words.get_or_init(|| meant.what.to_string().into()),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
