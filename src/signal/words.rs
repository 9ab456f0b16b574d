//! Many phrases sought in one text at once.
//!
//! An error body is searched for some three hundred phrases. Each of them begins where a word begins, so the places
//! where words begin are found once, and only what begins with the same four letters is compared there.

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
    /// Its [`slot`].
    slot: u16,
}

impl Words {
    pub(crate) fn new(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let bytes = text.as_bytes();
        let mut starts = Vec::with_capacity(bytes.len() / 4);
        let mut passed = 0;
        for scheme_end in memchr::memmem::find_iter(bytes, "://") {
            if scheme_end < passed {
                continue;
            }
            add_starts(&mut starts, bytes, passed..scheme_end);
            let host = scheme_end + 3;
            passed = end_of_address(bytes, host);
            let begins = |at: &usize| *at == host || bytes[at - 1] == b'=';
            let address = host..passed;
            starts.extend(address.filter(begins).map(|at| Start::new(bytes, at)));
        }
        add_starts(&mut starts, bytes, passed..bytes.len());
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
        Self {
            // Texts are cut to a few KiB long before this.
            at: at as u32,
            slot: slot(head(&bytes[at..])),
        }
    }
}

/// Adds the words and signs of a part without addresses.
///
/// All bytes of a block are looked at alike, which the compiler turns into a few wide instructions.
fn add_starts(starts: &mut Vec<Start>, bytes: &[u8], part: Range<usize>) {
    let mut before = b' ';
    for (at, block) in part.clone().step_by(BLOCK).zip(bytes[part].chunks(BLOCK)) {
        // One byte to the right, behind the last of the block before.
        let mut shifted = [b' '; BLOCK + 1];
        shifted[0] = before;
        shifted[1..=block.len()].copy_from_slice(block);
        before = shifted[BLOCK];
        let mut begins = [0; BLOCK];
        for (begins, pair) in begins.iter_mut().zip(shifted.windows(2)) {
            *begins = u8::from(is_sign(pair[1]) | is_letter(pair[1]) & !is_letter(pair[0]));
        }
        for (at, begins) in (at..).step_by(8).zip(begins.as_chunks().0) {
            let mut begins = u64::from_le_bytes(*begins);
            while begins != 0 {
                let at = at + begins.trailing_zeros() as usize / 8;
                starts.push(Start::new(bytes, at));
                begins &= begins - 1;
            }
        }
    }
}

const BLOCK: usize = 64;

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
    slots: Box<[Slot; SLOTS]>,
}

/// The phrases that are looked up in one place.
#[derive(Clone, Debug)]
struct Slot {
    start: u16,
    end: u16,
    /// The bits of their fourth bytes.
    fourths: u32,
}

impl Slot {
    const EMPTY: Self = Self {
        start: 0,
        end: 0,
        fourths: 0,
    };

    /// Where those are that may begin like this.
    #[inline]
    fn range(&self, head: u64) -> Range<usize> {
        let may_begin = self.fourths & bit(head) != 0;
        let end = if may_begin { self.end } else { self.start };
        usize::from(self.start)..usize::from(end)
    }
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
    /// Each phrase has three bytes at least, or is looked up by its first one: see [`slot`].
    pub(crate) fn new<'a>(phrases: impl IntoIterator<Item = (&'a str, T)>) -> Self {
        let mut phrases: Vec<_> = phrases
            .into_iter()
            .filter(|(phrase, _)| !phrase.is_empty())
            .inspect(|(phrase, _)| {
                debug_assert!(phrase.len() > 2 || phrase.starts_with(['>', '/']));
            })
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
        let mut slots = Box::new([const { Slot::EMPTY }; SLOTS]);
        for (index, phrase) in (0..).zip(&phrases) {
            let slot = &mut slots[usize::from(slot(phrase.head))];
            if slot.end == 0 {
                slot.start = index;
            }
            slot.end = index + 1;
            slot.fourths |= match phrase.phrase.len() {
                ..4 => u32::MAX,
                _ => bit(phrase.head),
            };
        }
        Self { phrases, slots }
    }

    /// The phrases that begin at this place, the longest first, each with its length.
    pub(crate) fn at(&self, text: &str, at: usize) -> impl Iterator<Item = (usize, T)> {
        let rest = text.as_bytes().get(at..).unwrap_or_default();
        self.beginning(rest, slot(head(rest)))
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
        let starts = starts.filter(|start| self.slot(start.slot).end > 0);
        starts.flat_map(|start| {
            let at = start.at as usize;
            self.beginning(&words.text.as_bytes()[at..], start.slot)
                .map(move |(length, value)| (at..at + length, value))
        })
    }

    /// The last phrase that begins in a part of the text; of several that begin at the same place, the longest.
    pub(crate) fn last_in(&self, words: &Words, part: Range<usize>) -> Option<T> {
        let starts = words.starts(part).iter().rev();
        let mut starts = starts.filter(|start| self.slot(start.slot).end > 0);
        starts.find_map(|start| {
            let rest = &words.text.as_bytes()[start.at as usize..];
            let (_, value) = self.beginning(rest, start.slot).next()?;
            Some(value)
        })
    }

    fn beginning(&self, rest: &[u8], slot: u16) -> impl Iterator<Item = (usize, T)> {
        let head = head(rest);
        let phrases = self.slot(slot).range(head);
        let phrases = self.phrases[phrases].iter();
        let found = phrases.filter(move |phrase| {
            head & phrase.mask == phrase.head && rest.starts_with(phrase.phrase.as_bytes())
        });
        found.map(|phrase| (phrase.phrase.len(), phrase.value))
    }

    fn slot(&self, slot: u16) -> &Slot {
        &self.slots[usize::from(slot) % SLOTS]
    }
}

/// In lower case, as the text is.
const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_lowercase() | byte.is_ascii_digit()
}

/// The signs that phrases begin with, and all that is not ASCII.
const fn is_sign(byte: u8) -> bool {
    (byte == b'>') | (byte == b'/') | (byte == b'(') | !byte.is_ascii()
}

/// Where what begins with this head is looked up: by its first three bytes, or by its first one if that may be a phrase by
/// itself.
fn slot(head: u64) -> u16 {
    let bytes = match head as u8 {
        b'>' | b'/' => 0xFF,
        _ => 0xFF_FFFF,
    };
    // Knuth's multiplicative hash: the highest bits are the best mixed.
    let hash = ((head & bytes) as u32).wrapping_mul(0x9E37_79B1);
    (hash >> (32 - SLOTS.ilog2())) as u16
}

/// The bit of the fourth byte, of 32: letters differ in it.
const fn bit(head: u64) -> u32 {
    1 << ((head >> 24) % 32)
}

const SLOTS: usize = 1024;

/// The first eight bytes, zeros where there are fewer.
#[inline]
fn head(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(head) => u64::from_le_bytes(*head),
        None => head_of_short(bytes),
    }
}

#[cold]
fn head_of_short(bytes: &[u8]) -> u64 {
    let mut head = [0; 8];
    head[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(head)
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
