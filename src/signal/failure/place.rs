//! Where in a body a value stands.

/// Where in a document a value stands, and what it is good for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    /// In an answer, which may have an error somewhere.
    Answer,
    /// In an error.
    Error,
    /// In headers that are relayed.
    Headers,
    /// In something that only repeats, quotes or links.
    Elsewhere,
}

/// The places from the root to the value at hand.
#[derive(Debug)]
pub(super) struct Places<'a> {
    path: [(Place, &'a str); MAX_DEPTH],
    depth: usize,
}

impl<'a> Places<'a> {
    pub(super) fn new(root: Place) -> Self {
        Self {
            path: [(root, ""); MAX_DEPTH],
            depth: 0,
        }
    }

    pub(super) fn enter(&mut self, key: &'a str) {
        let (place, inherited) = self.of(key);
        self.depth += 1;
        let inner = inner_place(place, inherited);
        if let Some(entry) = self.path.get_mut(self.depth) {
            *entry = (inner, inherited);
        }
    }

    pub(super) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// The place of a value here, and its key: in an array, the array's.
    pub(super) fn of(&self, key: &'a str) -> (Place, &'a str) {
        match self.path.get(self.depth) {
            Some((place, array)) if key.is_empty() => (*place, array),
            Some((place, _)) => (*place, key),
            None => (Place::Elsewhere, key),
        }
    }

    /// Whether this is the outermost object.
    pub(super) fn is_root(&self) -> bool {
        self.depth == 1
    }

    pub(super) fn turn_into_error(&mut self) {
        if let Some((place, _)) = self.path.get_mut(self.depth) {
            *place = Place::Error;
        }
    }
}

fn inner_place(outer: Place, key: &str) -> Place {
    match (outer, key) {
        (Place::Answer, "error" | "errors" | "base_resp" | "Error") => Place::Error,
        (
            Place::Answer,
            "" | "response" | "Response" | "status_details" | "incomplete_details" | "choices"
            | "candidates" | "delta" | "promptFeedback" | "output",
        ) => Place::Answer,
        (Place::Error, "headers") => Place::Headers,
        (
            Place::Error,
            "previous_errors" | "links" | "failed_generation" | "input" | "ctx" | "loc" | "help"
            | "innererror" | "stack",
        ) => Place::Elsewhere,
        (Place::Error, _) => Place::Error,
        _ => Place::Elsewhere,
    }
}

/// Deeper than this no provider puts an error.
const MAX_DEPTH: usize = 24;
