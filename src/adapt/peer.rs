//! Who is at the other end of a server's connection, as a key for a limit.
//!
//! A limit is worth what its key is worth. In the order of trust:
//!
//! 1. What your own authentication found out: the tenant or the user that a layer outside put into the request's extensions
//!    after it had checked the credentials. Nobody else can write there. [`bearer`](super::bearer) does that for API keys.
//! 2. The address of the connection, which axum's `ConnectInfo` tells. It cannot be forged over TCP, but a whole office can
//!    share one, and one person can have many: so an IPv6 address counts by its network, see [`peer_key`].
//! 3. `X-Forwarded-For`, but only the part that proxies of your own wrote, see [`forwarded_for`]. What stands before it, its
//!    sender chose.
//! 4. Any other header, an API key that nobody has checked among them, is no key: who is refused sends another one. Look the
//!    key up first, and refuse those that do not exist.
//!
//! ```
//! use std::net::SocketAddr;
//! use tower_upstream::{Scope, adapt::peer::peer_key};
//!
//! # #[derive(Clone)] struct ConnectInfo<T>(T); // axum's
//! // by tenant, as the authentication outside has put it there
//! #[derive(Clone)]
//! struct Tenant(std::sync::Arc<str>);
//! let by_tenant = Scope::by(|head| match head.extensions.get() {
//!     Some(Tenant(name)) => name.clone(),
//!     None => "".into(), // nobody gets here: the authentication has refused him
//! });
//!
//! // by the address of the connection: axum's `into_make_service_with_connect_info::<SocketAddr>()` puts it there
//! let by_peer = Scope::by(|head| match head.extensions.get() {
//!     Some(ConnectInfo::<SocketAddr>(address)) => peer_key(address.ip()),
//!     None => "".into(),
//! });
//! ```

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use http::HeaderMap;

/// The key of an address: an IPv4 address by itself, an IPv6 address by its network of 64 bits, for that is what one
/// subscriber has at least ([RFC 6177](https://www.rfc-editor.org/rfc/rfc6177)). An IPv4 address that is written as an IPv6
/// one is the IPv4 address.
///
/// ```
/// use tower_upstream::adapt::peer::peer_key;
///
/// assert_eq!(&*peer_key([192, 0, 2, 7].into()), "192.0.2.7");
/// assert_eq!(&*peer_key("2001:db8::1:2:3:4".parse().unwrap()), "2001:db8::/64");
/// assert_eq!(&*peer_key("::ffff:192.0.2.7".parse().unwrap()), "192.0.2.7");
/// ```
pub fn peer_key(address: IpAddr) -> Arc<str> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string().into(),
        IpAddr::V6(address) => {
            let network = Ipv6Addr::from_bits(address.to_bits() & NETWORK);
            format!("{network}/64").into()
        }
    }
}

/// The address that the outermost of so many proxies of your own saw, from `X-Forwarded-For`: each appends whom it was
/// called by. `None` without a proxy, and where the field is shorter or holds no address there; then the request has not come
/// through them, and the address of the connection is the one to go by.
///
/// ```
/// use tower_upstream::adapt::peer::forwarded_for;
///
/// let mut headers = http::HeaderMap::new();
/// headers.append("x-forwarded-for", "10.9.8.7, 192.0.2.7".parse().unwrap()); // the first one its sender made up
/// assert_eq!(forwarded_for(&headers, 1), Some([192, 0, 2, 7].into()));
/// ```
pub fn forwarded_for(headers: &HeaderMap, proxies: usize) -> Option<IpAddr> {
    let fields = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let mut written = fields.flat_map(|field| {
        let text = field.to_str().unwrap_or_default();
        text.rsplit(',')
    });
    address(written.nth(proxies.checked_sub(1)?)?.trim())
}

/// An address with or without a port: both are seen.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    bare.parse().ok().or_else(with_port)
}

const NETWORK: u128 = !0 << 64;
const X_FORWARDED_FOR: &str = "x-forwarded-for";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[&'static str]) -> HeaderMap {
        let field = |text: &&'static str| {
            (
                http::HeaderName::from_static(X_FORWARDED_FOR),
                http::HeaderValue::from_static(text),
            )
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn only_what_own_proxies_wrote_is_believed() {
        let made_up = headers(&["1.1.1.1, 2.2.2.2", "192.0.2.7", "10.0.0.5"]);
        assert_eq!(
            forwarded_for(&made_up, 2),
            Some([192, 0, 2, 7].into()),
            "fields are one list, counted from its end"
        );
        assert_eq!(forwarded_for(&made_up, 0), None, "no proxy, no belief");
        assert_eq!(forwarded_for(&made_up, 5), None, "not through the proxies");
        assert_eq!(forwarded_for(&headers(&["1.1.1.1, unknown"]), 1), None);
    }

    #[test]
    fn an_address_may_carry_its_port() {
        for (field, address) in [
            ("192.0.2.7:4711", "192.0.2.7"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(forwarded_for(&headers(&[field]), 1), Some(address));
        }
    }
}
