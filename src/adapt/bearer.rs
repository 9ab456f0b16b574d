//! Who may ask a server: callers by the keys that they were given, and a token for its admin.
//!
//! A limit is worth what its key is worth (see [`peer`](super::peer)), and a [`Caller`] who has a key of his own is worth most:
//! nobody else can take part in his limits. The key comes as `Authorization: Bearer KEY`
//! ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750)), as OpenAI's clients send it.
//!
//! ```
//! use tower_upstream::adapt::bearer::{ApiKeys, is_bearer};
//!
//! # fn main() -> Result<(), tower_upstream::ConfigError> {
//! let keys: ApiKeys = "anna:k-a, ben:k-b".parse()?;
//! let mut headers = http::HeaderMap::new();
//! assert_eq!(keys.caller(&headers), None); // a 401
//!
//! headers.insert("authorization", "Bearer k-b".parse().unwrap());
//! let caller = keys.caller(&headers).unwrap(); // for the request's extensions
//! assert_eq!(&*caller.0, "ben");
//! assert!(!is_bearer(&headers, "the admin's token"));
//! # Ok(()) }
//! ```

use std::{fmt, str::FromStr, sync::Arc};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use subtle::ConstantTimeEq;

use crate::{config_error::ConfigError, request::Caller};

/// Callers and their keys, as `NAME:KEY` and commas between. See the [module docs](self).
///
/// By default there are none, and nobody has a key.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<(Caller, Box<str>)>);

impl ApiKeys {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose key these header fields have. If two callers have the same one, it is the last of them.
    ///
    /// The time that it takes tells nothing of a key but its length.
    pub fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        // All are looked at: how many there are before the one does not show.
        let theirs = self.0.iter().fold(None, |found, (caller, key)| {
            is_bearer(headers, key).then_some(caller).or(found)
        });
        theirs.cloned()
    }
}

impl FromStr for ApiKeys {
    type Err = ConfigError;

    /// # Errors
    ///
    /// Where a name or a key is missing; of an empty text, too. The error repeats nothing of it.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let pairs = text.split(',').map(caller_and_key);
        let wrong = || ConfigError::new("keys", "what was given", "NAME:KEY, and commas between");
        pairs.collect::<Option<_>>().map(Self).ok_or_else(wrong)
    }
}

fn caller_and_key(pair: &str) -> Option<(Caller, Box<str>)> {
    let (name, key) = pair.trim().split_once(':')?;
    (!name.is_empty() && !key.is_empty()).then(|| (Caller(name.into()), key.into()))
}

/// The names alone.
impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&Arc<str>> = self.0.iter().map(|(Caller(name), _)| name).collect();
        f.debug_tuple("ApiKeys").field(&names).finish()
    }
}

/// Whether these header fields have this secret as their bearer token. An empty secret nobody has.
///
/// The time that it takes tells nothing of the secret but its length.
pub fn is_bearer(headers: &HeaderMap, secret: &str) -> bool {
    let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let (scheme, given) = given
        .unwrap_or_default()
        .split_at_checked(SCHEME.len())
        .unwrap_or_default();
    let is_same = || given.ct_eq(secret.as_bytes()).into();
    scheme.eq_ignore_ascii_case(SCHEME) && !secret.is_empty() && is_same()
}

const SCHEME: &[u8] = b"Bearer ";

#[cfg(test)]
mod tests {
    use super::*;

    fn with(authorization: &'static str) -> HeaderMap {
        let value = HeaderValue::from_static(authorization);
        HeaderMap::from_iter([(AUTHORIZATION, value)])
    }

    #[test]
    fn a_caller_is_who_has_the_whole_key_and_nothing_but_the_key() {
        let keys: ApiKeys = "anna:k-a, ben:k:b,".trim_end_matches(',').parse().unwrap();
        for (authorization, name) in [
            ("Bearer k-a", Some("anna")),
            ("bearer k:b", Some("ben")),
            ("Bearer k-", None),
            ("Bearer k-aa", None),
            ("Bearer K-A", None),
            ("Bearer  k-a", None),
            ("Bearer ", None),
            ("Bearer", None),
            ("k-a", None),
            ("Basic k-a", None),
            ("", None),
        ] {
            let caller = keys.caller(&with(authorization));
            assert_eq!(
                caller,
                name.map(|name| Caller(name.into())),
                "{authorization}"
            );
        }
        assert_eq!(keys.caller(&HeaderMap::new()), None);
        assert_eq!(ApiKeys::default().caller(&with("Bearer ")), None);
    }

    #[test]
    fn an_empty_secret_nobody_has() {
        assert!(!is_bearer(&with("Bearer "), "") && !is_bearer(&HeaderMap::new(), ""));
    }

    #[test]
    fn what_is_no_list_of_keys_is_refused_and_no_key_is_repeated() {
        for text in [
            "",
            ",",
            "sk-secret",
            "anna:",
            ":sk-secret",
            "anna:sk-secret,",
        ] {
            let error = text.parse::<ApiKeys>().unwrap_err().to_string();
            assert_eq!(
                error,
                "`keys` cannot be what was given: expected NAME:KEY, and commas between"
            );
        }
        let keys: ApiKeys = "anna:sk-secret".parse().unwrap();
        assert_eq!(format!("{keys:?}"), r#"ApiKeys(["anna"])"#);
    }
}
