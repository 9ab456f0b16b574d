//! Between the types of reqwest and those of `http`.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;

use super::body::{RequestBody, outgoing};
use crate::error::BoxError;

/// A request of reqwest as the layers take it. A body in memory is not copied, and can be sent again.
///
/// # Errors
///
/// When the URL has no form that `http::Uri` knows.
pub fn to_http(request: reqwest::Request) -> Result<Request<RequestBody>, reqwest::Error> {
    Ok(Request::try_from(request)?.map(RequestBody::new))
}

/// An answer of the layers as reqwest reads it, extensions and all. Errors of the body become [`reqwest::Error`]s, with the
/// layers' own as their source.
pub fn from_http<B>(response: Response<B>) -> reqwest::Response
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    reqwest::Response::from(response.map(outgoing))
}

/// Without the query of its URL: some providers want their key there, and errors are logged.
pub(in crate::adapt) fn without_query(mut error: reqwest::Error) -> reqwest::Error {
    if let Some(url) = error.url_mut() {
        url.set_query(None);
    }
    error
}
