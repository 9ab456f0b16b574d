//! A body on its way into memory.

use std::{
    future::Future,
    mem,
    pin::{Pin, pin},
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::future::{Either, select};
use http::{HeaderMap, StatusCode, header::EXPECT};
use http_body::Body;
use http_body_util::BodyExt;

use super::settings::Settings;
use crate::{adapt::rejection::OpenAiError, clock::Clock, instant::after};

/// A body as a whole, if it is no larger and no slower than allowed.
pub(super) async fn whole<B: Body>(
    settings: &Settings,
    headers: &HeaderMap,
    body: B,
) -> Result<Bytes, OpenAiError> {
    let mut arrival = Arrival {
        most: settings.max_body,
        size: usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX),
        first: Bytes::new(),
        all: BytesMut::new(),
    };
    let too_large = || {
        let message = format!("The body is larger than {} bytes.", settings.max_body);
        OpenAiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    // Reading would tell him to send.
    if arrival.is_too_large() && headers.contains_key(EXPECT) {
        return Err(too_large());
    }
    arrival.size = 0;
    let taken = within(
        &*settings.clock,
        settings.body_time,
        arrival.take(pin!(body)),
    )
    .await;
    match taken {
        _ if arrival.is_too_large() => Err(too_large()),
        Some(true) => Ok(arrival.bytes()),
        // Nobody hears it.
        Some(false) => Err(OpenAiError::new(
            StatusCode::BAD_REQUEST,
            "The body broke off.",
        )),
        None => {
            let message = "The body did not arrive in time.";
            Err(OpenAiError::new(StatusCode::REQUEST_TIMEOUT, message))
        }
    }
}

struct Arrival {
    most: usize,
    size: usize,
    /// What came in one piece, as most does, is passed on as it is.
    first: Bytes,
    /// All of it, once there are several: a list of pieces would grow with their number.
    all: BytesMut,
}

impl Arrival {
    /// Whether it came to its end. What comes beyond the most is read, and not kept.
    async fn take<B: Body>(&mut self, mut body: Pin<&mut B>) -> bool {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            // Trailers have no place in memory.
            let Ok(mut data) = frame.into_data() else {
                continue;
            };
            let size = data.remaining();
            self.size = self.size.saturating_add(size);
            if self.is_too_large() {
                (self.first, self.all) = Default::default();
            } else if self.first.is_empty() && self.all.is_empty() {
                self.first = data.copy_to_bytes(size);
            } else {
                self.all.extend_from_slice(&mem::take(&mut self.first));
                self.all.put(data);
            }
        }
        true
    }

    fn is_too_large(&self) -> bool {
        self.size > self.most
    }

    fn bytes(self) -> Bytes {
        match self.all.is_empty() {
            true => self.first,
            false => self.all.freeze(),
        }
    }
}

/// What the call gives; `None` where it takes longer.
pub(super) async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    call: impl Future<Output = T>,
) -> Option<T> {
    let over = clock.sleep_until(after(clock.now(), limit));
    match select(pin!(call), over).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}
