//! Server-sent events, read from chunks that are cut anywhere.
//!
//! [`EventReader`] follows the [standard](https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream):
//!
//! 1. Lines end in CR, LF or CRLF; a byte order mark at the start is passed over.
//! 2. `data:` lines of one event are joined by a line feed; the last `event:` line names it; comments, `id:`, `retry:` and
//!    unknown fields say nothing.
//! 3. A blank line ends the event. One without a `data:` line is none.
//!
//! Whatever comes, it keeps at most [`EventReader::MAX_DATA`] bytes: a longer event is handed on cut off and says so, and
//! the next one is read as usual. An event that lies whole in one chunk is lent from it, without a copy.
//!
//! ```
//! use tower_upstream::signal::sse::EventReader;
//!
//! let mut reader = EventReader::new();
//! let mut seen = Vec::new();
//! for chunk in ["event: gre", "eting\r\nda", "ta: hello\r\n\r", "\n"] {
//!     reader.push(chunk.as_bytes(), |event| seen.push((event.name.to_owned(), event.data.to_vec())));
//! }
//! assert_eq!(seen, [("greeting".to_owned(), b"hello".to_vec())]);
//! ```

/// One event of a stream, lent to the function that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event<'a> {
    /// What its `event:` line says, `message` where there is none, as the standard has it.
    pub name: &'a str,
    /// Its `data:` lines, joined by a line feed, at most [`EventReader::MAX_DATA`] bytes.
    ///
    /// Bytes, because nothing holds a server to UTF-8.
    pub data: &'a [u8],
    /// Whether the data went on beyond what is given here.
    pub truncated: bool,
}

/// Reads the events of a stream. See the [module docs](self).
#[derive(Debug, Default)]
pub struct EventReader {
    fields: FieldReader,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    truncated: bool,
}

impl EventReader {
    /// The most data of one event that is kept and handed on, in bytes: 64 KiB.
    ///
    /// As much as this crate looks at of an error body.
    pub const MAX_DATA: usize = 64 * 1024;

    /// The most of an event's name that is kept, in bytes. The longest in use are about 50.
    const MAX_NAME: usize = 256;

    /// A reader at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the stream's next bytes and calls `on_event` for each event that they complete.
    pub fn push(&mut self, chunk: &[u8], mut on_event: impl FnMut(Event<'_>)) {
        // The one data line of an event that lies in this chunk: lent, and copied only when more follows.
        let mut lent: Option<&[u8]> = None;
        let mut fields = std::mem::take(&mut self.fields);
        fields.read(chunk, |piece| match piece.field {
            Field::Name => {
                if piece.starts_line {
                    self.name.clear();
                }
                let room = Self::MAX_NAME - self.name.len();
                self.name
                    .extend_from_slice(&piece.bytes[..piece.bytes.len().min(room)]);
            }
            Field::Data if piece.is_whole_line() && !self.has_data => {
                self.has_data = true;
                lent = Some(piece.bytes);
            }
            Field::Data => {
                if let Some(line) = lent.take() {
                    self.keep(line);
                }
                if piece.starts_line && self.has_data {
                    self.keep(b"\n");
                }
                self.has_data = true;
                self.keep(piece.bytes);
            }
            Field::End => self.hand_on(lent.take(), &mut on_event),
        });
        self.fields = fields;
        if let Some(line) = lent {
            self.keep(line);
        }
    }

    /// Ends the stream and hands on an event whose blank line never came.
    ///
    /// The standard drops such an event. Servers that leave the last blank line out are common enough that a reader of errors
    /// wants it.
    pub fn finish(mut self, mut on_event: impl FnMut(Event<'_>)) {
        self.hand_on(None, &mut on_event);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = Self::MAX_DATA - self.data.len();
        self.truncated |= bytes.len() > room;
        self.data.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn hand_on(&mut self, lent: Option<&[u8]>, on_event: &mut impl FnMut(Event<'_>)) {
        if self.has_data {
            let data = lent.unwrap_or(&self.data);
            on_event(Event {
                name: match std::str::from_utf8(&self.name) {
                    Ok("") | Err(_) => "message",
                    Ok(name) => name,
                },
                data: &data[..data.len().min(Self::MAX_DATA)],
                truncated: self.truncated || data.len() > Self::MAX_DATA,
            });
        }
        self.name.clear();
        self.data.clear();
        self.has_data = false;
        self.truncated = false;
    }

    /// How many bytes the reader holds on the heap.
    #[cfg(test)]
    pub(crate) fn retained(&self) -> usize {
        self.name.capacity() + self.data.capacity()
    }
}

/// A piece of a line that matters, as far as it lies in one chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) field: Field,
    /// The field's value, or what this chunk has of it.
    pub(crate) bytes: &'a [u8],
    /// Whether the value begins here.
    pub(crate) starts_line: bool,
    /// Whether it ends here.
    pub(crate) ends_line: bool,
}

impl Piece<'_> {
    pub(crate) fn is_whole_line(&self) -> bool {
        self.starts_line && self.ends_line
    }
}

/// The fields that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// `event:`
    Name,
    /// `data:`
    Data,
    /// A blank line: the event has ended.
    End,
}

/// Cuts a stream into the values of its fields and keeps nothing but where it stands.
///
/// For readers that take values in pieces, of any length.
#[derive(Debug, Default)]
pub(crate) struct FieldReader {
    line: Line,
    /// Whether the last byte was a CR, so that an LF now belongs to the same line end.
    after_cr: bool,
    /// How many bytes of a byte order mark have come; past its length once the stream's start is over.
    mark: usize,
}

/// Where in a line the reader stands.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// In the field's name, of which these bytes have come.
    Head { bytes: [u8; HEAD], len: usize },
    /// In the value of a field that matters.
    Value { field: Field, begun: bool },
    /// In a comment, or in a field that does not matter.
    Other,
}

impl Default for Line {
    fn default() -> Self {
        Self::Head {
            bytes: [0; HEAD],
            len: 0,
        }
    }
}

impl FieldReader {
    /// Reads the stream's next bytes and calls `on_piece` for each piece of a value in them.
    pub(crate) fn read<'a>(&mut self, chunk: &'a [u8], mut on_piece: impl FnMut(Piece<'a>)) {
        let mut rest = self.after_mark(chunk);
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            match memchr::memchr2(b'\n', b'\r', rest) {
                Some(end) => {
                    self.after_cr = rest[end] == b'\r';
                    self.part_of_line(&rest[..end], true, &mut on_piece);
                    self.line = Line::default();
                    rest = &rest[end + 1..];
                }
                None => {
                    self.part_of_line(rest, false, &mut on_piece);
                    break;
                }
            }
        }
    }

    fn part_of_line<'a>(
        &mut self,
        mut part: &'a [u8],
        ends_line: bool,
        on_piece: &mut impl FnMut(Piece<'a>),
    ) {
        if let Line::Head { bytes, len } = &mut self.line {
            while let Some((&byte, rest)) = part.split_first() {
                bytes[*len] = byte;
                *len += 1;
                part = rest;
                if byte == b':' || *len == HEAD {
                    break;
                }
            }
            let head = &bytes[..*len];
            let field = match head {
                b"" if ends_line => Some(Field::End),
                b"data:" => Some(Field::Data),
                b"event:" => Some(Field::Name),
                // A name without a colon is a field with an empty value.
                b"data" if ends_line => Some(Field::Data),
                b"event" if ends_line => Some(Field::Name),
                _ if head.ends_with(b":") || head.len() == HEAD => None,
                _ => return,
            };
            self.line = match field {
                Some(field) => Line::Value {
                    field,
                    begun: false,
                },
                None => Line::Other,
            };
        }
        if let Line::Value { field, begun } = &mut self.line {
            if !*begun && part.is_empty() && !ends_line {
                return; // the value, or the space before it, comes with the next chunk
            }
            let bytes = match part {
                [b' ', value @ ..] if !*begun => value,
                value => value,
            };
            on_piece(Piece {
                field: *field,
                bytes,
                starts_line: !std::mem::replace(begun, true),
                ends_line,
            });
        }
    }

    /// Passes over a byte order mark, as far as it lies in this chunk.
    fn after_mark<'a>(&mut self, mut chunk: &'a [u8]) -> &'a [u8] {
        while self.mark < MARK.len()
            && let Some((&byte, rest)) = chunk.split_first()
        {
            if byte == MARK[self.mark] {
                self.mark += 1;
                chunk = rest;
            } else {
                if self.mark > 0 {
                    self.line = Line::Other; // a broken mark is part of an unknown field's name
                }
                self.mark = MARK.len();
            }
        }
        chunk
    }
}

/// As long as the longest field name that matters, with its colon: `event:`.
const HEAD: usize = 6;

/// A byte order mark in UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

#[cfg(test)]
pub(crate) mod tests;
