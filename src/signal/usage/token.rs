//! The small words of JSON: where they end, what of them is kept, and which are numbers.

/// The start of a key, a short string, a number or a literal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
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
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.spoiled = false;
    }

    pub(super) fn spoil(&mut self) {
        self.spoiled = true;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        match self.bytes[self.len..].get_mut(..bytes.len()) {
            Some(room) if !self.spoiled => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            _ => self.spoil(),
        }
    }

    /// What came, if it was short and plain.
    pub(super) fn text(&self) -> Option<&[u8]> {
        (!self.spoiled).then_some(&self.bytes[..self.len])
    }
}

/// Whether the byte begins a string, or opens or closes something.
pub(super) fn is_structure(byte: u8) -> bool {
    // Setting the bit that tells brackets from braces makes two comparisons out of four.
    byte == b'"' || byte | 0x20 == b'{' || byte | 0x20 == b'}'
}

/// A count of tokens, which some providers write as `12.0`.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    whole(text).or_else(|| {
        let float: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        (0.0..=MAX_FLOAT)
            .contains(&float)
            .then(|| float.round() as u64)
    })
}

fn whole(text: &[u8]) -> Option<u64> {
    let add = |sum: u64, byte: &u8| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        sum.checked_mul(10)?.checked_add(digit.into())
    };
    let whole = text.iter().try_fold(0, add);
    whole.filter(|_| !text.is_empty())
}

/// The largest count that is believed when written as a fraction: up to here, every whole number has a float.
const MAX_FLOAT: f64 = 9_007_199_254_740_992.0;

/// Longer than any word that matters; `response.code_interpreter_call_code.delta` is one of the longest.
pub(super) const MAX_TOKEN: usize = 64;
