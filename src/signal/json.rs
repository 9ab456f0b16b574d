//! A lenient scanner of JSON: what can be read is read, however the rest looks.
//!
//! Error bodies are cut by peeks and proxies, hold raw line feeds inside their strings, or come several to a line. A
//! strict parser gives up on all of those. This one never fails and never recurses: it names what it passes, once.

use std::borrow::Cow;

/// What the scanner passes. The key is empty at the root and in arrays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token<'a> {
    /// An object or array begins.
    Enter(&'a str),
    /// The innermost object or array ends.
    Leave,
    /// A string.
    Text(&'a str, Escaped<'a>),
    /// A number, `true`, `false` or `null`, as written.
    Word(&'a str, &'a str),
}

/// The inside of a JSON string, escapes and all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl<'a> Escaped<'a> {
    /// What the string says; borrowed where nothing was escaped. A broken escape stands for itself.
    pub(crate) fn unescape(self) -> Cow<'a, str> {
        if memchr::memchr(b'\\', self.0.as_bytes()).is_none() {
            return Cow::Borrowed(self.0);
        }
        let mut text = String::with_capacity(self.0.len());
        let mut rest = self.0;
        let mut from = 0;
        while let Some(at) = memchr::memchr(b'\\', &rest.as_bytes()[from..]) {
            let (before, after) = rest.split_at(from + at);
            text.push_str(before);
            rest = &after[1..];
            from = 0;
            let (character, length) = match rest.as_bytes().first() {
                Some(b'n') => ('\n', 1),
                Some(b't') => ('\t', 1),
                Some(b'r') => ('\r', 1),
                Some(b'b' | b'f') => (' ', 1),
                Some(b'u') => unicode(rest),
                None => ('\\', 0),
                // It stands for itself, and begins no escape.
                Some(_) => {
                    from = 1;
                    continue;
                }
            };
            text.push(character);
            rest = &rest[length..];
        }
        text.push_str(rest);
        Cow::Owned(text)
    }
}

/// The character of the escape that the text begins with, a `u` and four hexadecimal digits, or of two that make a surrogate
/// pair, and their length.
fn unicode(text: &str) -> (char, usize) {
    let unit = |from: usize| u32::from_str_radix(text.get(from..from + 4)?, 16).ok();
    let Some(first) = unit(1) else {
        return ('u', 1);
    };
    if let Some(character) = char::from_u32(first) {
        return (character, 5);
    }
    let second = (text.get(5..7) == Some("\\u")).then(|| unit(7)).flatten();
    match second {
        Some(second @ 0xDC00..=0xDFFF) if first < 0xDC00 => {
            let character = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            (
                char::from_u32(character).unwrap_or(char::REPLACEMENT_CHARACTER),
                11,
            )
        }
        _ => (char::REPLACEMENT_CHARACTER, 5),
    }
}

/// Scans a text, from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    key: &'a str,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            key: "",
        }
    }

    /// Where the scanner stands: behind what it passed last.
    pub(crate) fn position(&self) -> usize {
        self.at.min(self.text.len())
    }

    /// The string that begins here, behind its quote. One that is cut ends with the text.
    fn string(&mut self) -> &'a str {
        let start = self.at;
        let bytes = self.text.as_bytes();
        while let Some(length) = bytes.get(self.at..).and_then(string_end) {
            let end = self.at + length;
            if bytes[end] == b'"' {
                self.at = end + 1;
                return &self.text[start..end];
            }
            self.at = end + 2;
        }
        self.at = self.text.len();
        &self.text[start..]
    }

    /// Whether the string just read was a key: then the colon is passed.
    fn pass_colon(&mut self) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        // Most documents have no space here.
        let spaces = match rest.first() {
            Some(b':') => 0,
            Some(b',' | b'}' | b']') => return false,
            _ => rest.len() - rest.trim_ascii_start().len(),
        };
        let follows = rest.get(spaces) == Some(&b':');
        if follows {
            self.at += spaces + 1;
        }
        follows
    }

    fn word(&mut self) -> &'a str {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'))
            .count();
        self.at += length;
        &self.text[start..self.at]
    }
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Token<'a>;

    // What it gives back is looked at where it is called: in registers, where it is inlined.
    #[inline]
    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            match byte {
                b'{' | b'[' => {
                    self.at += 1;
                    return Some(Token::Enter(std::mem::take(&mut self.key)));
                }
                b'}' | b']' => {
                    self.at += 1;
                    self.key = "";
                    return Some(Token::Leave);
                }
                b'"' => {
                    self.at += 1;
                    let string = self.string();
                    if !self.pass_colon() {
                        return Some(Token::Text(std::mem::take(&mut self.key), Escaped(string)));
                    }
                    self.key = string;
                }
                b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                    let word = self.word();
                    return Some(Token::Word(std::mem::take(&mut self.key), word));
                }
                _ => self.at += 1,
            }
        }
    }
}

/// Where the first quote or backslash is.
///
/// Most keys and values are short: the first words are searched in place, which costs less than a call to a faster search.
#[inline(always)]
pub(crate) fn string_end(text: &[u8]) -> Option<usize> {
    let Some((word, rest)) = text.split_first_chunk() else {
        return text.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    };
    match end_in(word) {
        Some(end) => Some(end),
        None => string_end_beyond(rest).map(|end| word.len() + end),
    }
}

#[inline(never)]
fn string_end_beyond(text: &[u8]) -> Option<usize> {
    let mut rest = text;
    for _ in 0..3 {
        let Some((word, after)) = rest.split_first_chunk() else {
            break;
        };
        if let Some(end) = end_in(word) {
            return Some(text.len() - rest.len() + end);
        }
        rest = after;
    }
    memchr::memchr2(b'"', b'\\', rest).map(|end| text.len() - rest.len() + end)
}

#[inline(always)]
fn end_in(word: &[u8; 8]) -> Option<usize> {
    const LOW: u64 = u64::MAX / 255; // the lowest bit of each byte
    // The lowest bit that is set stands in the first byte that is zero; those above it may be wrong.
    let zeroes = |word: u64| word.wrapping_sub(LOW) & !word & (LOW << 7);
    let word = u64::from_le_bytes(*word);
    let hits = zeroes(word ^ (LOW * u64::from(b'"'))) | zeroes(word ^ (LOW * u64::from(b'\\')));
    (hits != 0).then(|| hits.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> Vec<Token<'_>> {
        Scanner::new(text).collect()
    }

    #[test]
    fn names_what_it_passes() {
        use Token::{Enter, Leave, Text, Word};
        assert_eq!(
            tokens(r#"{"a": "b", "c": [1, null, {"d" : -2.5e3}]}"#),
            [
                Enter(""),
                Text("a", Escaped("b")),
                Enter("c"),
                Word("", "1"),
                Word("", "null"),
                Enter(""),
                Word("d", "-2.5e3"),
                Leave,
                Leave,
                Leave,
            ],
        );
    }

    #[test]
    fn a_cut_string_is_read_as_far_as_it_goes() {
        assert_eq!(
            tokens(r#"{"message": "please try ag"#),
            [
                Token::Enter(""),
                Token::Text("message", Escaped("please try ag"))
            ],
        );
        assert_eq!(
            tokens(r#"{"a": "b\"#).last(),
            Some(&Token::Text("a", Escaped("b\\")))
        );
    }

    #[test]
    fn escapes_are_read_and_broken_ones_stand_for_themselves() {
        let read = |text| Escaped(text).unescape().into_owned();
        assert_eq!(
            read(r#"a\nb \"c\" \\ \/ \u00e9 \ud83d\ude00"#),
            "a\nb \"c\" \\ / é 😀"
        );
        assert_eq!(read(r"\u12"), "u12");
        assert_eq!(read(r"\ud83d!"), "\u{FFFD}!");
        assert_eq!(read("\\"), "\\");
        assert_eq!(read("\\é"), "é");
    }

    proptest! {
        #[test]
        fn a_string_ends_at_its_first_quote_or_backslash(text in "[a-z\\\\\"!#\\[\\]é]{0,80}") {
            let expected = text.bytes().position(|byte| matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(string_end(text.as_bytes()), expected);
        }

        #[test]
        fn any_text_is_passed_without_panic(text in ".{0,200}") {
            for token in Scanner::new(&text) {
                if let Token::Text(_, escaped) = token {
                    escaped.unescape();
                }
            }
        }

        #[test]
        fn what_serde_writes_is_read_back(value in ".{0,60}") {
            let written = serde_json::to_string(&[&value]).unwrap();
            let Some(Token::Text(_, escaped)) = Scanner::new(&written).nth(1) else {
                panic!("no string in {written}");
            };
            // The scanner reads the two rarest escapes as blanks.
            let blank = |text: &str| text.replace(['\u{8}', '\u{c}'], " ");
            prop_assert_eq!(blank(&escaped.unescape()), blank(&value));
        }
    }
}
