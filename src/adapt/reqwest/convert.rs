//! Between the types of reqwest and those of `http`.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use reqwest::ResponseBuilderExt;

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

/// An answer of reqwest as the layers take it. Its URL, which is that of the last redirect, is kept for [`from_http`].
pub(in crate::adapt) fn incoming(response: reqwest::Response) -> Response<reqwest::Body> {
    let url = response.url().clone();
    let (mut parts, body) = Response::from(response).into_parts();
    // Only a builder takes the URL. It is lent the extensions, so that there is one map of them.
    let mut told = Response::builder();
    if let Some(extensions) = told.extensions_mut() {
        *extensions = parts.extensions;
    }
    let told = told.url(url).body(()).unwrap_or_default();
    parts.extensions = told.into_parts().0.extensions;
    Response::from_parts(parts, body)
}

/// Without the query of its URL: some providers want their key there, and errors are logged.
pub(in crate::adapt) fn without_query(mut error: reqwest::Error) -> reqwest::Error {
    if let Some(url) = error.url_mut() {
        url.set_query(None);
    }
    error
}
