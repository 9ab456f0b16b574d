//! JSON as a tree with places.
//!
//! serde_json checks the grammar, and tells where it breaks; what it has let pass is then walked once for the places.

use serde_json::value::RawValue;

use super::{
    mistake::Mistake,
    tree::{Entry, Node, Value},
};

/// The root of a file.
pub(super) fn parse(text: &str) -> Result<Node, Vec<Mistake>> {
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        // Its message ends with the place, which a mistake has already.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        let place = (error.line(), error.column());
        return Err(vec![Mistake::of_text(place, message)]);
    }
    let mut walk = Walk { text, at: 0 };
    walk.value(0)
        .map_err(|(at, problem)| vec![Mistake::at(text, at, problem)])
}

/// A walk over text that is known to be JSON.
struct Walk<'a> {
    text: &'a str,
    at: usize,
}

type Problem = (usize, &'static str);

impl Walk<'_> {
    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        let at = self.skip_blanks();
        if depth > MAX_DEPTH {
            return Err((at, "nested too deeply"));
        }
        let value = match self.peek() {
            b'{' => self.table(depth)?,
            b'[' => self.list(depth)?,
            b'"' => Value::Text(self.string()?),
            b't' => self.word(4, Value::Flag(true)),
            b'f' => self.word(5, Value::Flag(false)),
            b'n' => self.word(4, Value::Other("null")),
            _ => {
                let is_of_number =
                    |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let length = self.rest().bytes().take_while(is_of_number).count();
                let number = self.rest()[..length].to_owned();
                // At least one byte, so that the walk always ends.
                self.word(length.max(1), Value::Number(number))
            }
        };
        Ok(Node { at, value })
    }

    fn table(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        self.at += 1;
        loop {
            let at = self.skip_blanks();
            match self.peek() {
                b'"' => {}
                b',' => {
                    self.at += 1;
                    continue;
                }
                _ => break,
            }
            let name = self.string()?;
            if entries.iter().any(|entry| entry.name == name) {
                return Err((at, "this key is there twice"));
            }
            self.skip_blanks();
            self.at += 1;
            let node = self.value(depth + 1)?;
            entries.push(Entry { at, name, node });
        }
        self.at += 1;
        Ok(Value::Table(entries))
    }

    fn list(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut nodes = Vec::new();
        self.at += 1;
        loop {
            self.skip_blanks();
            match self.peek() {
                b']' | 0 => break,
                b',' => self.at += 1,
                _ => nodes.push(self.value(depth + 1)?),
            }
        }
        self.at += 1;
        Ok(Value::List(nodes))
    }

    fn string(&mut self) -> Result<String, Problem> {
        let (at, bytes) = (self.at, self.text.as_bytes());
        self.at += 1;
        while !matches!(self.peek(), b'"' | 0) {
            self.at += if bytes[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        let quoted = self.text.get(at..self.at).unwrap_or_default();
        // The grammar admits halves of surrogate pairs, which are no text.
        serde_json::from_str(quoted).map_err(|_| (at, "not a text that could be read"))
    }

    fn word(&mut self, length: usize, value: Value) -> Value {
        self.at += length;
        value
    }

    fn skip_blanks(&mut self) -> usize {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.rest().bytes().take_while(is_blank).count();
        self.at
    }

    /// The next byte; 0 at the end.
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

/// Far more than the format has.
const MAX_DEPTH: usize = 32;
