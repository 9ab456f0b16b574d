//! What has passed of a body, kept to be read again. Pure.

use bytes::{Bytes, BytesMut};

/// The bytes from the start of a body on.
///
/// Large pieces are shared with whoever sent them. Small ones are put together: a body that comes byte by byte would else take
/// many times its length in handles.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pieces: Vec<Bytes>,
    /// The piece that is still put together, behind all others.
    tail: BytesMut,
    len: usize,
}

/// How far one reader has come: a piece, and an offset in it. The tail has the number that it will have as a piece.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    piece: usize,
    offset: usize,
    read: usize,
}

impl Kept {
    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, bytes: &Bytes) {
        self.len += bytes.len();
        if bytes.len() >= LARGE {
            self.close_tail();
            self.pieces.push(bytes.clone());
        } else {
            self.tail.extend_from_slice(bytes);
            if self.tail.len() >= PIECE {
                self.close_tail();
            }
        }
    }

    /// What is behind the cursor, which moves on.
    pub(super) fn read(&self, cursor: &mut Cursor) -> Option<Bytes> {
        let bytes = loop {
            let Some(piece) = self.pieces.get(cursor.piece) else {
                let rest = self.tail.get(cursor.offset..)?;
                if rest.is_empty() {
                    return None;
                }
                cursor.offset = self.tail.len();
                break Bytes::copy_from_slice(rest);
            };
            let rest = piece.slice(cursor.offset..);
            (cursor.piece, cursor.offset) = (cursor.piece + 1, 0);
            if !rest.is_empty() {
                break rest;
            }
        };
        cursor.read += bytes.len();
        Some(bytes)
    }

    /// Passes over all that there is.
    pub(super) fn skip(&self, cursor: &mut Cursor) {
        *cursor = Cursor {
            piece: self.pieces.len(),
            offset: self.tail.len(),
            read: self.len,
        };
    }

    /// How many bytes are behind the cursor.
    pub(super) fn remaining(&self, cursor: &Cursor) -> usize {
        self.len.saturating_sub(cursor.read)
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push(std::mem::take(&mut self.tail).freeze());
        }
    }
}

/// From here on to copy costs more than a handle takes.
const LARGE: usize = 1_024;
/// How long a piece is that was put together, at least.
const PIECE: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_comes_byte_by_byte_is_kept_in_few_pieces() {
        let mut kept = Kept::default();
        let mut early = Cursor::default();
        for byte in 0..20_000_u32 {
            kept.push(&Bytes::copy_from_slice(&[byte as u8]));
            if byte == 10_000 {
                while kept.read(&mut early).is_some() {}
            }
        }
        assert_eq!((kept.len(), kept.pieces.len()), (20_000, 4));
        assert_eq!(kept.remaining(&early), 9_999);
        let mut rest = Vec::new();
        while let Some(bytes) = kept.read(&mut early) {
            rest.extend_from_slice(&bytes);
        }
        let expected: Vec<_> = (10_001..20_000_u32).map(|byte| byte as u8).collect();
        assert_eq!(rest, expected);
    }

    #[test]
    fn a_large_piece_is_shared_and_comes_after_the_small_ones_before_it() {
        let mut kept = Kept::default();
        let large = Bytes::from(vec![7; LARGE]);
        kept.push(&Bytes::from_static(b"small"));
        kept.push(&large);
        let mut cursor = Cursor::default();
        assert_eq!(kept.read(&mut cursor).unwrap(), "small");
        assert_eq!(kept.read(&mut cursor).unwrap().as_ptr(), large.as_ptr());
        assert_eq!(kept.read(&mut cursor), None);
        kept.push(&Bytes::from_static(b"end"));
        assert_eq!(kept.read(&mut cursor).unwrap(), "end");
    }
}
