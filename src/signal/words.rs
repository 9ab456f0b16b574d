//! Many phrases sought in one text at once.
//!
//! An error body is searched for some three hundred phrases. Each of them begins where a word begins, so the places
//! where words begin are found once, and only what begins with the right letter is compared there.

use std::ops::Range;

/// A text in ASCII lower case, and where its words begin. Offsets are those of the original.
///
/// Addresses are passed over but for their hosts and what stands behind an equals sign: the words in
/// "…/docs/rate-limits" say nothing of this failure.
#[derive(Debug)]
pub(crate) struct Words {
    text: String,
    starts: Vec<Start>,
}

/// The beginning of a word.
#[derive(Clone, Copy, Debug)]
struct Start {
    at: u32,
    /// Its [`head`].
    head: u32,
}

impl Words {
    pub(crate) fn new(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let starts = Vec::with_capacity(text.len() / 5);
        let mut words = Self { text, starts };
        let mut at = 0;
        let mut in_word = false;
        while let Some(byte) = words.text.as_bytes().get(at) {
            let is_letter = byte.is_ascii_alphanumeric();
            let address = *byte == b':' && words.text.as_bytes()[at..].starts_with(b"://");
            if is_letter && !in_word || is_sign(*byte) {
                words.begin(at);
            }
            in_word = is_letter;
            at = match address {
                true => words.pass_address(at + 3),
                false => at + 1,
            };
        }
        words
    }

    fn begin(&mut self, at: usize) {
        let head = head(&self.text.as_bytes()[at..]);
        // Texts are cut to a few KiB long before this.
        self.starts.push(Start {
            at: at as u32,
            head,
        });
    }

    /// Takes the words of the address whose host begins here, and tells where it ends.
    fn pass_address(&mut self, host: usize) -> usize {
        let rest = &self.text.as_bytes()[host..];
        let ends =
            |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b')' | b'>');
        let end = host + rest.iter().position(ends).unwrap_or(rest.len());
        if host < end {
            self.begin(host);
        }
        for at in host..end {
            if self.text.as_bytes()[at] == b'=' && at + 1 < end {
                self.begin(at + 1);
            }
        }
        end
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where words, and the signs between them, begin in a part of the text.
    pub(crate) fn starts_in(&self, part: Range<usize>) -> impl Iterator<Item = usize> {
        self.starts(part).iter().map(|start| start.at as usize)
    }

    fn starts(&self, part: Range<usize>) -> &[Start] {
        let index_of = |at: usize| {
            self.starts
                .partition_point(|start| (start.at as usize) < at)
        };
        let starts = self.starts.get(index_of(part.start)..index_of(part.end));
        starts.unwrap_or_default()
    }
}

/// Phrases in lower case, each with what it stands for.
#[derive(Debug)]
pub(crate) struct Phrases<T> {
    /// Which pairs of bytes phrases begin with, by [`slot`]: most words end here.
    pairs: [bool; SLOTS],
    /// By their first bytes, then the longest first.
    phrases: Vec<Phrase<T>>,
    /// Where those that begin with a byte are.
    by_first_byte: Box<[Range<u16>; 256]>,
}

#[derive(Debug)]
struct Phrase<T> {
    /// The first four bytes, and which of them count: compared at once, they spare most longer comparisons.
    head: u32,
    mask: u32,
    phrase: Box<str>,
    value: T,
}

impl<T: Copy> Phrases<T> {
    pub(crate) fn new<'a>(phrases: impl IntoIterator<Item = (&'a str, T)>) -> Self {
        let mut phrases: Vec<_> = phrases
            .into_iter()
            .filter(|(phrase, _)| !phrase.is_empty())
            .map(|(phrase, value)| Phrase {
                head: head(phrase.as_bytes()),
                mask: head(&[0xFF; 4][..phrase.len().min(4)]),
                phrase: phrase.into(),
                value,
            })
            .collect();
        phrases.sort_by_key(|Phrase { phrase, .. }| {
            (phrase.as_bytes()[0], std::cmp::Reverse(phrase.len()))
        });
        let mut by_first_byte = Box::new([const { 0..0 }; 256]);
        for (index, Phrase { phrase, .. }) in (0..).zip(&phrases) {
            let range = &mut by_first_byte[usize::from(phrase.as_bytes()[0])];
            if range.end == 0 {
                range.start = index;
            }
            range.end = index + 1;
        }
        let mut pairs = [false; SLOTS];
        for Phrase { phrase, head, .. } in &phrases {
            match phrase.len() {
                1 => (0..=255).for_each(|second| pairs[slot(head | second << 8)] = true),
                _ => pairs[slot(*head)] = true,
            }
        }
        Self {
            pairs,
            phrases,
            by_first_byte,
        }
    }

    /// The phrases that begin at this place, the longest first, each with its length.
    pub(crate) fn at(&self, text: &str, at: usize) -> impl Iterator<Item = (usize, T)> {
        let rest = text.as_bytes().get(at..).unwrap_or_default();
        self.beginning(rest, head(rest))
    }

    /// Every phrase in the text, in the order of the text, with the place behind it.
    pub(crate) fn find(&self, words: &Words) -> impl Iterator<Item = (usize, T)> {
        self.find_in(words, 0..words.text.len())
            .map(|(place, value)| (place.end, value))
    }

    /// Every phrase that begins in a part of the text, with its place.
    pub(crate) fn find_in(
        &self,
        words: &Words,
        part: Range<usize>,
    ) -> impl Iterator<Item = (Range<usize>, T)> {
        let starts = words.starts(part).iter();
        let starts = starts.filter(|start| self.pairs[slot(start.head)]);
        starts.flat_map(|start| {
            let at = start.at as usize;
            self.beginning(&words.text.as_bytes()[at..], start.head)
                .map(move |(length, value)| (at..at + length, value))
        })
    }

    /// The last phrase that begins in a part of the text; of several that begin at the same place, the longest.
    pub(crate) fn last_in(&self, words: &Words, part: Range<usize>) -> Option<T> {
        let mut starts = words.starts(part).iter().rev();
        starts.find_map(|start| {
            let rest = &words.text.as_bytes()[start.at as usize..];
            self.beginning(rest, start.head)
                .next()
                .map(|(_, value)| value)
        })
    }

    fn beginning(&self, rest: &[u8], rest_head: u32) -> impl Iterator<Item = (usize, T)> {
        let range = match rest.first() {
            Some(first) if self.pairs[slot(rest_head)] => {
                let range = &self.by_first_byte[usize::from(*first)];
                usize::from(range.start)..usize::from(range.end)
            }
            _ => 0..0,
        };
        self.phrases[range]
            .iter()
            .filter(move |phrase| {
                rest_head & phrase.mask == phrase.head && rest.starts_with(phrase.phrase.as_bytes())
            })
            .map(|phrase| (phrase.phrase.len(), phrase.value))
    }
}

/// The signs that phrases begin with, and all that is not ASCII.
fn is_sign(byte: u8) -> bool {
    matches!(byte, b'>' | b'/' | b'(' | 0x80..)
}

/// Where the first two bytes of a head are looked up.
fn slot(head: u32) -> usize {
    ((head & 0xFF) * 37 + (head >> 8 & 0xFF)) as usize % SLOTS
}

const SLOTS: usize = 512;

/// The first four bytes, zeros where there are fewer.
#[inline]
fn head(bytes: &[u8]) -> u32 {
    match bytes.first_chunk() {
        Some(head) => u32::from_le_bytes(*head),
        None => (0..)
            .zip(bytes)
            .fold(0, |head, (at, byte)| head | u32::from(*byte) << (8 * at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_where_words_begin() {
        let phrases = Phrases::new([("rate", 1), ("rate limit", 2), ("limit", 3), (">", 4)]);
        let words = Words::new("The RATE limit > separate x-rate");
        let found: Vec<_> = phrases.find(&words).map(|(_, value)| value).collect();
        assert_eq!(found, [2, 1, 3, 4, 1]);
        assert_eq!(phrases.last_in(&words, 0..8), Some(2));
        assert_eq!(phrases.last_in(&words, 0..3), None);
    }
}
