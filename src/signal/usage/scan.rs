//! A JSON scanner that reads past everything but the few values that matter.
//!
//! It is fed with pieces cut anywhere, holds a few dozen bytes whatever comes, looks at each byte once and never recurses. It does not
//! check its input: of text that is not JSON it makes nothing, or little, and goes on.
//!
//! Keys with escapes in them are not recognised; no provider writes them.

use super::{
    finds::{Finds, Mark},
    shape::{self, Meaning, Place},
    token::{MAX_TOKEN, Token, is_structure, number},
};
use crate::signal::json::string_end;

/// Reads documents one after the other and gathers the [`Finds`] in them.
#[derive(Debug)]
pub(super) struct Scanner {
    pub(super) finds: Finds,
    state: State,
    /// What the next value means, once its key has been read.
    meaning: Meaning,
    /// Whether the next string is a key.
    expects_key: bool,
    frames: [Frame; MAX_FRAMES],
    depth: usize,
    /// How many brackets are open of a value that is passed over.
    skipped: usize,
    /// What that value shows, if there is anything in it; its first byte tells.
    shows: Option<Mark>,
    token: Token,
}

/// An open object or array that is looked into.
#[derive(Clone, Copy, Debug)]
struct Frame {
    place: Place,
    is_object: bool,
}

/// Where the scanner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Between,
    String,
    /// In a string, after a backslash.
    Escape,
    /// In a number or a literal.
    Bare,
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self {
            finds: Finds::default(),
            state: State::Between,
            meaning: Meaning::Look(Place::Root),
            expects_key: false,
            frames: [Frame {
                place: Place::Root,
                is_object: false,
            }; MAX_FRAMES],
            depth: 0,
            skipped: 0,
            shows: None,
            token: Token::default(),
        }
    }

    /// Ends the document, whole or not: what comes is a new one.
    pub(super) fn end_document(&mut self) {
        if self.state == State::Bare {
            let token = self.token;
            self.bare_ended(token.text());
        }
        self.state = State::Between;
        self.depth = 0;
        self.skipped = 0;
        self.shows = None;
        self.expects_key = false;
        self.meaning = Meaning::Look(Place::Root);
    }

    /// Reads the next bytes.
    pub(super) fn read(&mut self, mut rest: &[u8]) {
        while !rest.is_empty() {
            rest = match self.state {
                State::Between if self.skipped > 0 => self.skip(rest),
                State::Between => self.between(rest),
                State::String => self.string(rest),
                State::Escape => {
                    self.token.spoil();
                    self.state = State::String;
                    &rest[1..]
                }
                State::Bare => self.bare(rest),
            };
        }
    }

    /// Passes over a value that does not matter, up to its end or to a string in it.
    fn skip<'a>(&mut self, mut rest: &'a [u8]) -> &'a [u8] {
        if let Some(mark) = self.shows {
            let Some(start) = rest.iter().position(|byte| !byte.is_ascii_whitespace()) else {
                return &[];
            };
            if !matches!(rest[start], b'}' | b']') {
                self.finds.mark(mark);
            }
            self.shows = None;
        }
        // Vectors and tables are long runs of numbers: whole blocks of them go by unsplit.
        while let Some((block, after)) = rest.split_first_chunk::<32>()
            && !block
                .iter()
                .fold(false, |any, byte| any | is_structure(*byte))
        {
            rest = after;
        }
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'"' => {
                    self.begin_string();
                    return &rest[at + 1..];
                }
                b'{' | b'[' => self.skipped += 1,
                b'}' | b']' => {
                    self.skipped -= 1;
                    if self.skipped == 0 {
                        return &rest[at + 1..];
                    }
                }
                _ => {}
            }
        }
        &[]
    }

    fn between<'a>(&mut self, mut rest: &'a [u8]) -> &'a [u8] {
        while let Some((byte, after)) = rest.split_first() {
            let from = std::mem::replace(&mut rest, after);
            match byte {
                b'"' => match string_end(rest) {
                    Some(end) if rest[end] == b'"' => {
                        self.string_ended((end <= MAX_TOKEN).then_some(&rest[..end]));
                        rest = &rest[end + 1..];
                    }
                    _ => {
                        self.begin_string();
                        return rest;
                    }
                },
                b',' => self.next_element(),
                b'{' | b'[' => {
                    self.open(*byte == b'{');
                    if self.skipped > 0 {
                        return rest;
                    }
                }
                b'}' | b']' => self.close(),
                b' ' | b'\t' | b'\r' | b'\n' | b':' => {}
                _ if self.meaning.takes_bare() => match bare_end(from) {
                    Some(end) => {
                        self.bare_ended((end <= MAX_TOKEN).then_some(&from[..end]));
                        rest = &from[end..];
                    }
                    None => {
                        self.token.clear();
                        self.token.push(from);
                        self.state = State::Bare;
                        return &[];
                    }
                },
                _ => {}
            }
        }
        rest
    }

    fn begin_string(&mut self) {
        self.token.clear();
        self.state = State::String;
    }

    /// Goes on with a string that is cut, escaped, or part of a value that is passed over.
    fn string<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let Some(end) = string_end(rest) else {
            self.token.push(rest);
            return &[];
        };
        if rest[end] == b'\\' {
            self.token.spoil();
            self.state = State::Escape;
        } else {
            self.state = State::Between;
            if self.skipped == 0 {
                self.token.push(&rest[..end]);
                let token = self.token;
                self.string_ended(token.text());
            }
        }
        &rest[end + 1..]
    }

    /// Ends a string, of which the text is given if it is plain and not too long.
    #[inline(always)]
    fn string_ended(&mut self, text: Option<&[u8]>) {
        if self.expects_key {
            self.expects_key = false;
            let place = self.place();
            self.meaning = text.map_or(Meaning::Nothing, |key| place.key(key));
        } else if self.meaning != Meaning::Nothing {
            self.value_ended(text);
        }
    }

    fn value_ended(&mut self, text: Option<&[u8]>) {
        let is_empty = text.is_some_and(<[u8]>::is_empty);
        match self.meaning {
            Meaning::LookOrContent(_) if !is_empty => self.finds.mark(Mark::Content),
            Meaning::Mark(mark) if !is_empty => self.finds.mark(mark),
            Meaning::Reason(mark) => {
                self.finds.truncated |= text.is_some_and(shape::is_maximum);
                // A reason too long to keep is none that is known here, so it is no error.
                if let Some(mark) = text.map_or(Some(mark), |text| shape::reason(text, mark)) {
                    self.finds.mark(mark);
                }
            }
            Meaning::Kind => {
                if let Some(mark) = text.and_then(shape::kind) {
                    self.finds.mark(mark);
                }
            }
            Meaning::Why => self.finds.truncated |= text.is_some_and(shape::is_maximum),
            Meaning::Status if text == Some(b"failed") => self.finds.mark(Mark::Error),
            _ => {}
        }
    }

    fn bare<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let end = bare_end(rest);
        self.token.push(&rest[..end.unwrap_or(rest.len())]);
        match end {
            Some(end) => {
                self.state = State::Between;
                let token = self.token;
                self.bare_ended(token.text());
                &rest[end..]
            }
            None => &[],
        }
    }

    /// Ends a number or a literal, of which the text is given if it is not too long.
    fn bare_ended(&mut self, text: Option<&[u8]>) {
        let Some(text) = text else { return };
        match self.meaning {
            Meaning::Count(count) => {
                if let Some(number) = number(text) {
                    self.finds.count(count, number);
                }
            }
            Meaning::Mark(mark) if !matches!(text, b"null" | b"false" | b"0") => {
                self.finds.mark(mark);
            }
            // `[DONE]`, the last word of chat completions, is no JSON, but near enough.
            Meaning::Look(Place::Root) if self.depth == 1 && text == b"DONE" => {
                self.finds.mark(Mark::End);
            }
            _ => {}
        }
    }

    fn open(&mut self, is_object: bool) {
        let in_array = self.depth > 0 && !self.frames[self.depth - 1].is_object;
        match self.meaning {
            Meaning::Look(place) | Meaning::LookOrContent(place)
                if self.depth < MAX_FRAMES && (is_object || !in_array) =>
            {
                self.frames[self.depth] = Frame { place, is_object };
                self.depth += 1;
                self.next_element();
            }
            meaning => {
                self.skipped = 1;
                self.shows = match meaning {
                    Meaning::Mark(mark) => Some(mark),
                    _ => None,
                };
            }
        }
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.expects_key = false;
        self.meaning = match self.depth {
            0 => Meaning::Look(Place::Root),
            _ => Meaning::Nothing,
        };
    }

    /// What follows an opening bracket or a comma: a key in an object, in an array what the array itself is.
    fn next_element(&mut self) {
        let Some(frame) = self.depth.checked_sub(1).map(|top| self.frames[top]) else {
            return;
        };
        self.expects_key = frame.is_object;
        self.meaning = match frame.place {
            _ if frame.is_object => Meaning::Nothing,
            place => Meaning::Look(place),
        };
    }

    fn place(&self) -> Place {
        match self.depth.checked_sub(1) {
            Some(top) => self.frames[top].place,
            None => Place::Root,
        }
    }
}

/// Where a number or a literal ends that the text begins with.
fn bare_end(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| {
        matches!(
            byte,
            b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'{' | b'[' | b':'
        )
    })
}

/// As deep as what matters lies, and to spare.
const MAX_FRAMES: usize = 8;
