//! What an answer used, read as its body passes.
//!
//! [`UsageReader`] is shown each chunk of a body and keeps none of it. It reads JSON documents, server-sent events and lines of JSON
//! (Ollama's own API), in whatever pieces they come, and tells what a wrapper around the body needs:
//!
//! 1. the tokens used, as the provider reports them: the last figures of a stream count, field by field;
//! 2. whether some of the answer has come, so that a stream can be held back until then;
//! 3. whether the provider reported an error in the midst of a 200, before or after content;
//! 4. whether a stream came to its dialect's own end;
//! 5. whether the answer was cut short by its maximum of tokens.
//!
//! The dialects are not told apart. What matters lies in a few places of the documents, whoever sends them: chat completions,
//! responses, embeddings, Anthropic messages, Gemini, Cohere, Bedrock converse, Ollama and their kin. Nothing else is read, so that an answer that
//! *speaks* of errors and usage is no error and uses nothing.
//!
//! - The input is the whole prompt. Anthropic and Bedrock report beside it what came out of a cache or went into one; the others
//!   include it.
//! - The output is all that the model wrote, thoughts too: Gemini reports them beside its candidates, and its endpoint in OpenAI's
//!   format in the total alone.
//! - The usage of a stream is told once the answer has come to its end: the first figures, as in Anthropic's `message_start`, are
//!   not what it came to.
//! - Cohere's is `tokens`; `billed_units` only where there are none.
//! - AWS's binary event stream is not read, and a compressed body must be decompressed first.
//!
//! ```
//! use tower_upstream::signal::usage::{Ending, UsageReader};
//!
//! let mut reader = UsageReader::new(Some("text/event-stream"));
//! reader.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\nda");
//! assert!(reader.reading().content);
//! reader.push(b"ta: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n");
//! let reading = reader.finish();
//! assert_eq!(reading.usage.and_then(|usage| usage.total()), Some(10));
//! assert_eq!(reading.ending, Ending::Terminated);
//! ```

use self::scan::Scanner;
use super::sse::{Field, FieldReader};
use crate::outcome::Usage;

mod finds;
mod scan;
mod shape;
mod token;

/// What a body has shown so far, or in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// The tokens used; none where the body does not say, and none of a stream that has not come to its end.
    pub usage: Option<Usage>,
    /// How a stream ended.
    pub ending: Ending,
    /// Whether some of the answer itself has come: text, reasoning, a tool call, a vector.
    pub content: bool,
    /// Whether the provider reported an error inside the body.
    pub error: Option<ErrorSeen>,
    /// Whether the answer, or one of several, stopped because it had reached its maximum of tokens.
    pub truncated: bool,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The body is no stream, or none that is known: its end says nothing.
    NotAStream,
    /// The dialect's own last word has come: `[DONE]`, `message_stop`, `response.completed`, a `finishReason`, `"done": true`.
    Terminated,
    /// The answer gave its reason to stop, but the last word has not come.
    ///
    /// The answer is whole, its usage may be missing. Some servers that speak the chat completions dialect leave `[DONE]` out.
    Finished,
    /// None of these has come: a stream that ends here was cut off.
    Unterminated,
}

/// When an error inside a body was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorSeen {
    /// Before any content: nothing is lost if the request is made again.
    BeforeContent,
    /// After some content.
    AfterContent,
}

/// Reads what an answer used as its body passes. See the [module docs](self).
#[derive(Debug)]
pub struct UsageReader {
    format: Format,
    scanner: Scanner,
}

impl UsageReader {
    /// A reader at the start of a body with this `content-type`.
    ///
    /// JSON is known by its first byte: it is sent as `application/octet-stream`, and errors as JSON in an event stream. Any other
    /// text is a stream of events only where its type says so: a transcript may begin with `data:`, and a table with `error,1`.
    /// Types that are neither text nor JSON (pictures, sound) are not read at all.
    pub fn new(content_type: Option<&str>) -> Self {
        Self {
            format: Format::declared(content_type),
            scanner: Scanner::new(),
        }
    }

    /// Says that the request asked for a stream: then text that begins like an event is one, whatever its type.
    #[must_use]
    pub fn asked_for_stream(mut self) -> Self {
        if let Format::Undecided(expected @ Expected::Document) = &mut self.format {
            *expected = Expected::DocumentOrEvents;
        }
        self
    }

    /// Reads the body's next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        let chunk = self.format.recognise(chunk);
        match &mut self.format {
            Format::Undecided(_) | Format::Unknown => {}
            Format::Json => self.scanner.read(chunk),
            Format::Lines => read_lines(&mut self.scanner, chunk),
            Format::Events(events) => events.read(&mut self.scanner, chunk),
        }
    }

    /// What the body has shown so far. Cheap enough to ask after each chunk.
    pub fn reading(&self) -> Reading {
        let finds = &self.scanner.finds;
        let ending = match self.format {
            Format::Undecided(Expected::Document | Expected::DocumentOrEvents)
            | Format::Unknown
            | Format::Json => Ending::NotAStream,
            _ if finds.ended => Ending::Terminated,
            _ if finds.finished => Ending::Finished,
            _ => Ending::Unterminated,
        };
        Reading {
            usage: match ending {
                Ending::Unterminated => None,
                _ => finds.usage(),
            },
            ending,
            content: finds.content,
            error: finds
                .error_after_content
                .map(|after_content| match after_content {
                    false => ErrorSeen::BeforeContent,
                    true => ErrorSeen::AfterContent,
                }),
            truncated: finds.truncated,
        }
    }

    /// Whether anything but space has come.
    pub(crate) fn has_begun(&self) -> bool {
        !matches!(self.format, Format::Undecided(_))
    }

    /// What the body has shown in all.
    pub fn finish(mut self) -> Reading {
        self.end()
    }

    /// The same, where the reader cannot be given away.
    pub(crate) fn end(&mut self) -> Reading {
        if let Format::Events(events) = &mut self.format {
            events.end(&mut self.scanner);
        }
        self.scanner.end_document();
        self.reading()
    }

    /// How many bytes the reader holds on the heap.
    #[cfg(test)]
    pub(crate) fn retained(&self) -> usize {
        match &self.format {
            Format::Events(events) => events.name.capacity(),
            _ => 0,
        }
    }
}

impl Default for UsageReader {
    fn default() -> Self {
        Self::new(None)
    }
}

/// How a body is written.
#[derive(Debug)]
enum Format {
    /// Nothing but space has come yet.
    Undecided(Expected),
    /// One document, or several.
    Json,
    /// A document a line.
    Lines,
    Events(Events),
    Unknown,
}

/// What a body is before it begins, by its content type and what was asked for.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Document,
    /// The type says nothing of a stream, but one was asked for.
    DocumentOrEvents,
    Lines,
    Events,
}

impl Format {
    fn declared(content_type: Option<&str>) -> Self {
        // Nearly all that is sent is one of these, and the search below takes longer than to read the answer.
        let content_type = content_type.unwrap_or_default();
        let kind = content_type.split(';').next();
        match kind {
            Some("" | "application/json") => return Self::Undecided(Expected::Document),
            Some("text/event-stream") => return Self::Undecided(Expected::Events),
            _ => {}
        }
        let content_type = content_type.to_ascii_lowercase();
        let names = |parts: &[&str]| parts.iter().any(|part| content_type.contains(part));
        if names(&["text/event-stream"]) {
            Self::Undecided(Expected::Events)
        } else if names(&["ndjson", "jsonl", "json-l", "stream+json", "json-seq"]) {
            Self::Undecided(Expected::Lines)
        } else if names(&["json", "text", "octet-stream"]) {
            Self::Undecided(Expected::Document)
        } else {
            Self::Unknown
        }
    }

    /// Decides by the body's first byte, unless that is done, and gives back what is to be read.
    fn recognise<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let Self::Undecided(expected) = *self else {
            return chunk;
        };
        let is_space = |byte: &u8| b" \t\r\n\x1E\xEF\xBB\xBF".contains(byte);
        let Some(start) = chunk.iter().position(|byte| !is_space(byte)) else {
            return &[];
        };
        *self = match chunk[start] {
            b'{' | b'[' if matches!(expected, Expected::Lines) => Self::Lines,
            b'{' | b'[' => Self::Json,
            // data, event, id, retry, or a comment
            first => match (expected, first) {
                (Expected::Events, _)
                | (Expected::DocumentOrEvents, b'd' | b'e' | b'i' | b'r' | b':') => {
                    Self::Events(Events::default())
                }
                _ => Self::Unknown,
            },
        };
        &chunk[start..]
    }
}

fn read_lines(scanner: &mut Scanner, chunk: &[u8]) {
    let mut rest = chunk;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        scanner.read(&rest[..end]);
        scanner.end_document();
        rest = &rest[end + 1..];
    }
    scanner.read(rest);
}

/// Reads the documents in an event stream.
#[derive(Debug, Default)]
struct Events {
    fields: FieldReader,
    name: Vec<u8>,
    has_data: bool,
}

impl Events {
    /// The longest event name that means something is about half as long.
    const MAX_NAME: usize = 64;

    fn read(&mut self, scanner: &mut Scanner, chunk: &[u8]) {
        let Self {
            fields,
            name,
            has_data,
        } = self;
        fields.read(chunk, |piece| match piece.field {
            Field::Name => {
                if piece.starts_line {
                    name.clear();
                }
                let room = Self::MAX_NAME - name.len();
                name.extend_from_slice(&piece.bytes[..piece.bytes.len().min(room)]);
            }
            Field::Data => {
                if piece.starts_line && std::mem::replace(has_data, true) {
                    scanner.read(b"\n");
                }
                scanner.read(piece.bytes);
            }
            Field::End => end_event(scanner, name, has_data),
        });
    }

    fn end(&mut self, scanner: &mut Scanner) {
        end_event(scanner, &mut self.name, &mut self.has_data);
    }
}

fn end_event(scanner: &mut Scanner, name: &mut Vec<u8>, has_data: &mut bool) {
    scanner.end_document();
    if *has_data && let Some(mark) = shape::kind(name) {
        scanner.finds.mark(mark);
    }
    name.clear();
    *has_data = false;
}

#[cfg(test)]
mod tests;
