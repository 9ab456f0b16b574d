//! Many phrases sought in one text at once.
//!
//! An error body is searched for some three hundred phrases. Each of them begins where a word begins, so the places
//! where words begin are found once, and only what begins with the same three letters is compared there.

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
    head: u64,
    /// Its [`slot`].
    slot: u16,
}

impl Words {
    pub(crate) fn new(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let bytes = text.as_bytes();
        let mut starts = Vec::with_capacity(bytes.len() / 4);
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match KINDS[usize::from(*byte)] {
                Kind::Letter => {
                    starts.push(Start::new(bytes, at));
                    at = end_of_word(bytes, at);
                }
                Kind::Sign => {
                    starts.push(Start::new(bytes, at));
                    at += 1;
                }
                Kind::Colon if bytes[at..].starts_with(b"://") => {
                    let host = at + 3;
                    at = end_of_address(bytes, host);
                    let begins = |at: &usize| *at == host || bytes[at - 1] == b'=';
                    starts.extend((host..at).filter(begins).map(|at| Start::new(bytes, at)));
                }
                _ => at += 1,
            }
        }
        Self { text, starts }
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

impl Start {
    fn new(bytes: &[u8], at: usize) -> Self {
        let head = head(&bytes[at..]);
        Self {
            // Texts are cut to a few KiB long before this.
            at: at as u32,
            head,
            slot: slot(head),
        }
    }
}

fn end_of_word(bytes: &[u8], start: usize) -> usize {
    let is_letter = |byte: &&u8| KINDS[usize::from(**byte)] == Kind::Letter;
    start + bytes[start..].iter().take_while(is_letter).count()
}

fn end_of_address(bytes: &[u8], host: usize) -> usize {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b')' | b'>');
    let end = bytes[host..].iter().position(ends);
    end.map_or(bytes.len(), |end| host + end)
}

/// Phrases in lower case, each with what it stands for.
#[derive(Debug)]
pub(crate) struct Phrases<T> {
    /// By their [`slot`], then the longest first.
    phrases: Vec<Phrase<T>>,
    /// Where those of a slot are: nowhere, for most words.
    slots: Box<[Range<u16>; SLOTS]>,
}

#[derive(Debug)]
struct Phrase<T> {
    /// The first eight bytes, and which of them count: compared at once, they spare most longer comparisons.
    head: u64,
    mask: u64,
    phrase: Box<str>,
    value: T,
}

impl<T: Copy> Phrases<T> {
    /// Each phrase has three bytes at least, or begins with a [sign](is_sign).
    pub(crate) fn new<'a>(phrases: impl IntoIterator<Item = (&'a str, T)>) -> Self {
        let mut phrases: Vec<_> = phrases
            .into_iter()
            .filter(|(phrase, _)| !phrase.is_empty())
            .inspect(|(phrase, _)| debug_assert!(phrase.len() > 2 || is_sign(phrase.as_bytes()[0])))
            .map(|(phrase, value)| Phrase {
                head: head(phrase.as_bytes()),
                mask: head(&[0xFF; 8][..phrase.len().min(8)]),
                phrase: phrase.into(),
                value,
            })
            .collect();
        phrases.sort_by_key(|Phrase { phrase, head, .. }| {
            (slot(*head), std::cmp::Reverse(phrase.len()))
        });
        let mut slots = Box::new([const { 0..0 }; SLOTS]);
        for (index, phrase) in (0..).zip(&phrases) {
            let range = &mut slots[usize::from(slot(phrase.head))];
            if range.end == 0 {
                range.start = index;
            }
            range.end = index + 1;
        }
        Self { phrases, slots }
    }

    /// The phrases that begin at this place, the longest first, each with its length.
    pub(crate) fn at(&self, text: &str, at: usize) -> impl Iterator<Item = (usize, T)> {
        let rest = text.as_bytes().get(at..).unwrap_or_default();
        let head = head(rest);
        self.beginning(rest, head, slot(head))
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
        let starts = starts.filter(|start| !self.range(start.slot).is_empty());
        starts.flat_map(|start| {
            let at = start.at as usize;
            self.beginning(&words.text.as_bytes()[at..], start.head, start.slot)
                .map(move |(length, value)| (at..at + length, value))
        })
    }

    /// The last phrase that begins in a part of the text; of several that begin at the same place, the longest.
    pub(crate) fn last_in(&self, words: &Words, part: Range<usize>) -> Option<T> {
        let mut starts = words.starts(part).iter().rev();
        starts.find_map(|start| {
            let rest = &words.text.as_bytes()[start.at as usize..];
            self.beginning(rest, start.head, start.slot)
                .next()
                .map(|(_, value)| value)
        })
    }

    fn beginning(
        &self,
        rest: &[u8],
        rest_head: u64,
        slot: u16,
    ) -> impl Iterator<Item = (usize, T)> {
        let range = self.range(slot);
        self.phrases[usize::from(range.start)..usize::from(range.end)]
            .iter()
            .filter(move |phrase| {
                rest_head & phrase.mask == phrase.head && rest.starts_with(phrase.phrase.as_bytes())
            })
            .map(|phrase| (phrase.phrase.len(), phrase.value))
    }

    fn range(&self, slot: u16) -> &Range<u16> {
        &self.slots[usize::from(slot) % SLOTS]
    }
}

/// What a byte is to the words of a text.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Letter,
    Sign,
    Colon,
    Other,
}

/// Looked up, because it is asked of every byte.
const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Other; 256];
    let mut byte = 0;
    while byte < kinds.len() {
        kinds[byte] = match byte as u8 {
            b':' => Kind::Colon,
            sign if is_sign(sign) => Kind::Sign,
            letter if letter.is_ascii_alphanumeric() => Kind::Letter,
            _ => Kind::Other,
        };
        byte += 1;
    }
    kinds
};

/// The signs that phrases begin with, and all that is not ASCII.
const fn is_sign(byte: u8) -> bool {
    matches!(byte, b'>' | b'/' | b'(' | 0x80..)
}

/// Where what begins with this head is looked up: by its first three bytes, or by its first one if that is a sign, which
/// may be a phrase by itself.
fn slot(head: u64) -> u16 {
    let bytes = if is_sign(head as u8) { 0xFF } else { 0xFF_FFFF };
    // Knuth's multiplicative hash: the highest bits are the best mixed.
    let hash = ((head & bytes) as u32).wrapping_mul(0x9E37_79B1);
    (hash >> (32 - SLOTS.ilog2())) as u16
}

const SLOTS: usize = 512;

/// The first eight bytes, zeros where there are fewer.
#[inline]
fn head(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(head) => u64::from_le_bytes(*head),
        None => (0..)
            .zip(bytes)
            .fold(0, |head, (at, byte)| head | u64::from(*byte) << (8 * at)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn of_an_address_the_host_and_what_stands_behind_equals_signs_count() {
        let phrases = Phrases::new([("host", 1), ("rate", 2), ("plan", 3), ("end", 4)]);
        let words = Words::new("see (https://host/rate?a=plan=&b=) end://");
        let found: Vec<_> = phrases.find(&words).collect();
        assert_eq!(found, [(17, 1), (29, 3), (38, 4)]);
    }

    const PHRASES: [&str; 9] = [
        "rate",
        "rate limit",
        "rated",
        "limit",
        ">",
        "/",
        "(length",
        "并发",
        "令牌",
    ];

    proptest! {
        #[test]
        fn what_a_plain_search_finds_where_words_begin_is_found(pieces in prop::collection::vec(prop::sample::select(vec![
            "rate", "Rate ", " limit", "d", "limi", "t", ">", "/", "(", "length", "并发", "令", "牌", "é", " ", "-", "_", "1", "\n", // no colon: addresses have a test of their own
        ]), 0..30)) {
            let text = pieces.concat();
            let phrases = Phrases::new(PHRASES.iter().map(|phrase| (*phrase, *phrase)));
            let mut found: Vec<_> = phrases.find(&Words::new(&text)).collect();
            found.sort_unstable();
            let lower = text.to_ascii_lowercase();
            let begins = |at: usize| {
                let letter = |at: usize| lower.as_bytes()[at].is_ascii_alphanumeric();
                !letter(at) || at == 0 || !letter(at - 1)
            };
            let mut wanted = Vec::new();
            for phrase in PHRASES {
                let places = (0..lower.len()).filter(|at| lower.as_bytes()[*at..].starts_with(phrase.as_bytes()));
                wanted.extend(places.filter(|at| begins(*at)).map(|at| (at + phrase.len(), phrase)));
            }
            wanted.sort_unstable();
            prop_assert_eq!(found, wanted);
        }
    }
}
