//! Who may come in, as whom, and the id of each request.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION},
    middleware::Next,
    response::Response,
};
use subtle::ConstantTimeEq;
use tower_upstream::{adapt::peer::peer_key, stack::Caller};

use super::app::{Shared, told};

/// Tenants are those to whom a key was given: nobody else can take part in their limits. Without keys everybody may ask, and
/// an address is a tenant.
pub(crate) async fn tenant(
    gateway: Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let (keys, headers) = (&gateway.settings.keys, request.headers());
    // All are looked at: how many there are before the one does not show.
    let tenant = keys.iter().rfold(None, |tenant, (name, key)| {
        is_bearer(headers, key).then_some(name).or(tenant)
    });
    let site = headers.get("sec-fetch-site");
    let name = match tenant {
        Some(name) => name.clone(),
        None if !keys.is_empty() => {
            return told(StatusCode::UNAUTHORIZED, "The API key is missing or wrong.");
        }
        // A browser says who sent it: no page of somebody else is to spend from here.
        None if site.is_some_and(|site| site == "cross-site") => {
            return told(StatusCode::FORBIDDEN, "Other sites may not ask here.");
        }
        None => peer_key(peer.ip()),
    };
    request.extensions_mut().insert(Caller(name));
    next.run(request).await
}

pub(crate) async fn admin(gateway: Shared, request: Request, next: Next) -> Response {
    match is_bearer(request.headers(), &gateway.settings.admin_token) {
        true => next.run(request).await,
        false => told(StatusCode::UNAUTHORIZED, "The admin token is wrong."),
    }
}

/// In a time that tells nothing of the secret but its length.
fn is_bearer(headers: &HeaderMap, secret: &str) -> bool {
    let given = headers
        .get(AUTHORIZATION)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let (scheme, given) = given.split_at(given.len().min("Bearer ".len()));
    scheme.eq_ignore_ascii_case(b"Bearer ") && given.ct_eq(secret.as_bytes()).into()
}

/// Gives each request an id where it has none, and each answer that of its request.
pub(crate) async fn identified(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).cloned();
    let is_sane = |id: &HeaderValue| id.as_bytes().iter().all(u8::is_ascii_graphic);
    let id = given.filter(|id| (1..=128).contains(&id.len()) && is_sane(id));
    let id = id.unwrap_or_else(|| {
        let made = format!("req_{:032x}", fastrand::u128(..));
        HeaderValue::try_from(made).expect("letters and digits")
    });
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

pub(crate) const REQUEST_ID: &str = "x-request-id";
