//! Keys for requests that have none.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use http::{HeaderName, HeaderValue};

/// What makes a POST one that may be repeated: the upstream does only once what comes with the same key. As in
/// [draft-ietf-httpapi-idempotency-key-header](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/),
/// and in the interfaces of Stripe and OpenAI.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Makes keys of 128 random bits.
///
/// Each half is a keyed hash of a count, under a key of 128 bits that the standard library has from the system. The generator
/// that draws the jitter would not do: it has 64 bits in all, and a seed can be set.
#[derive(Debug, Default)]
pub(super) struct Keys {
    halves: [RandomState; 2],
    made: AtomicU64,
}

impl Keys {
    /// A key that no other request has: a string of 32 hexadecimal digits, in the quotes that the draft asks for.
    pub(super) fn make(&self) -> HeaderValue {
        let count = self.made.fetch_add(1, Relaxed);
        let [high, low] = [0, 1].map(|half: usize| self.halves[half].hash_one(count));
        let key = format!("\"{high:016x}{low:016x}\"");
        HeaderValue::try_from(key).expect("hexadecimal digits in quotes")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_strings_of_128_bits_and_no_two_are_alike() {
        let makers = [Keys::default(), Keys::default()];
        let keys = makers
            .iter()
            .flat_map(|keys| (0..1_000).map(|_| keys.make()));
        let keys: BTreeSet<_> = keys.map(|key| key.to_str().unwrap().to_owned()).collect();
        assert_eq!(keys.len(), 2_000);
        for key in keys {
            let digits = key.strip_prefix('"').and_then(|key| key.strip_suffix('"'));
            assert!(u128::from_str_radix(digits.unwrap(), 16).is_ok() && key.len() == 34);
        }
    }
}
