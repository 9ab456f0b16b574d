//! A JSON scanner that reads past everything but the few values that matter.
//!
//! It is fed with pieces cut anywhere, holds a few dozen bytes whatever comes, looks at each byte once and never recurses. It does not
//! check its input: of text that is not JSON it makes nothing, or little, and goes on.
//!
//! Keys with escapes in them are not recognised; no provider writes them.

use super::{
    finds::{Finds, Mark},
    shape::{self, Meaning, Place},
};

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
            self.bare_ended();
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

    fn between<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'"' => {
                    self.begin_string();
                    return &rest[at + 1..];
                }
                b',' => self.next_element(),
                b'{' | b'[' => {
                    self.open(*byte == b'{');
                    if self.skipped > 0 {
                        return &rest[at + 1..];
                    }
                }
                b'}' | b']' => self.close(),
                b' ' | b'\t' | b'\r' | b'\n' | b':' => {}
                _ if self.meaning.takes_bare() => {
                    self.token.clear();
                    self.state = State::Bare;
                    return &rest[at..];
                }
                _ => {}
            }
        }
        &[]
    }

    fn begin_string(&mut self) {
        self.token.clear();
        self.state = State::String;
    }

    fn string<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let Some(end) = memchr::memchr2(b'"', b'\\', rest) else {
            self.token.push(rest);
            return &[];
        };
        if rest[end] == b'\\' {
            self.token.spoil();
            self.state = State::Escape;
        } else {
            self.state = State::Between;
            if self.skipped == 0 {
                self.string_ended(&rest[..end]);
            }
        }
        &rest[end + 1..]
    }

    /// Ends a string; `last` is what of it has not been kept yet.
    fn string_ended(&mut self, last: &[u8]) {
        let place = self.place();
        let kept;
        let text = if self.token.is_empty() {
            Some(last)
        } else {
            self.token.push(last);
            kept = self.token;
            kept.text()
        };
        if self.expects_key {
            self.expects_key = false;
            self.meaning = text.map_or(Meaning::Nothing, |key| place.key(key));
            return;
        }
        let is_empty = text.is_some_and(<[u8]>::is_empty);
        match self.meaning {
            Meaning::LookOrContent(_) if !is_empty => self.finds.mark(Mark::Content),
            Meaning::Mark(mark) if !is_empty => self.finds.mark(mark),
            Meaning::Reason(mark) => {
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
            Meaning::Status if text == Some(b"failed") => self.finds.mark(Mark::Error),
            _ => {}
        }
    }

    fn bare<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let end = rest.iter().position(|byte| {
            matches!(
                byte,
                b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'{' | b'[' | b':'
            )
        });
        self.token.push(&rest[..end.unwrap_or(rest.len())]);
        match end {
            Some(end) => {
                self.state = State::Between;
                self.bare_ended();
                &rest[end..]
            }
            None => &[],
        }
    }

    fn bare_ended(&mut self) {
        let token = self.token;
        let Some(text) = token.text() else { return };
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

/// The start of a key, a short string, a number or a literal.
#[derive(Clone, Copy, Debug)]
struct Token {
    bytes: [u8; MAX_TOKEN],
    len: usize,
    /// Whether more came than is kept, or an escape.
    spoiled: bool,
}

impl Default for Token {
    fn default() -> Self {
        Self {
            bytes: [0; MAX_TOKEN],
            len: 0,
            spoiled: false,
        }
    }
}

impl Token {
    fn clear(&mut self) {
        self.len = 0;
        self.spoiled = false;
    }

    fn is_empty(&self) -> bool {
        self.len == 0 && !self.spoiled
    }

    fn spoil(&mut self) {
        self.spoiled = true;
    }

    fn push(&mut self, bytes: &[u8]) {
        match self.bytes[self.len..].get_mut(..bytes.len()) {
            Some(room) if !self.spoiled => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            _ => self.spoil(),
        }
    }

    /// What came, if it was short and plain.
    fn text(&self) -> Option<&[u8]> {
        (!self.spoiled).then_some(&self.bytes[..self.len])
    }
}

/// Whether the byte begins a string, or opens or closes something.
fn is_structure(byte: u8) -> bool {
    // Setting the bit that tells brackets from braces makes two comparisons out of four.
    byte == b'"' || byte | 0x20 == b'{' || byte | 0x20 == b'}'
}

/// A count of tokens, which some providers write as `12.0`.
fn number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().or_else(|| {
        let float: f64 = text.parse().ok()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range, as just checked"
        )]
        (0.0..=MAX_FLOAT)
            .contains(&float)
            .then(|| float.round() as u64)
    })
}

/// The largest count that is believed when written as a fraction: up to here, every whole number has a float.
const MAX_FLOAT: f64 = 9_007_199_254_740_992.0;

/// As deep as what matters lies, and to spare.
const MAX_FRAMES: usize = 8;

/// The longest key that matters is `amazon-bedrock-invocationMetrics`.
const MAX_TOKEN: usize = 40;
