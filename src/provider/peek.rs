//! Reading ahead: enough of an answer to know what it means.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header, response::Parts};
use http_body::{Body, Frame};

use super::{
    asked::Asked,
    body::{ProviderBody, into_bytes},
    meter::Meter,
    settings::Settings,
    witness::Witness,
};
use crate::{
    clock::Sleep,
    error::BoxError,
    outcome::{Failure, FailureKind, Outcome},
    signal::{self, Answer, Dialect, usage::Ending},
};

/// What has to be read of an answer before it may be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ahead {
    /// Nothing: the head says that all is well.
    Nothing,
    /// The beginning of an error body.
    Error,
    /// A stream, up to its first content.
    Stream,
    /// A whole answer, up to its first bytes.
    Answer,
}

/// Judges an answer by its head, or says that it must be read ahead.
pub(super) fn judge<B: Body>(
    response: Response<B>,
    asked: &Asked,
    witness: Option<Box<Witness>>,
    settings: &Arc<Settings>,
) -> Result<Response<ProviderBody<B>>, Box<Peek<B>>> {
    let (mut parts, body) = response.into_parts();
    let form = Form::of(&parts.headers);
    let is_page = parts.status.is_success() && form.is_page();
    // What is fetched may lie elsewhere; what was sent to a provider has gone astray.
    let is_astray = parts.status.is_redirection() && asked.is_post;
    if asked.dialect.is_some() && (is_page || is_astray) {
        let outcome = Outcome::from(no_answer(if is_page { PAGE } else { REDIRECT }));
        let witness = witness.and_then(|witness| witness.judged(&outcome));
        parts.extensions.insert(outcome);
        let body = ProviderBody::passing(body, None, witness);
        return Ok(Response::from_parts(parts, body));
    }
    let is_long = body.size_hint().lower() > settings.peek_bytes as u64;
    let may_be_error = asked.is_of_model() && !is_long && !body.is_end_stream();
    let ahead = ahead(parts.status, &form, asked, may_be_error);
    let meter = meter(parts.status, &form, asked);
    if let Some(meter) = &meter {
        parts.extensions.insert(meter.cell().clone());
    }
    if ahead == Ahead::Nothing {
        // The time is only read for a failure: most answers are none.
        let outcome = match parts.status.is_success() {
            true => Outcome::Success,
            false => signal::outcome_of_head(parts.status, &parts.headers, settings.clock.wall()),
        };
        let witness = witness.and_then(|witness| witness.judged(&outcome));
        parts.extensions.insert(outcome);
        return Ok(Response::from_parts(
            parts,
            ProviderBody::passing(body, meter, witness),
        ));
    }
    let deadline = asked.hold_until(settings.clock.now(), settings.peek_time);
    let mut witness = witness;
    if let Some(witness) = witness.as_mut().filter(|_| ahead == Ahead::Stream) {
        witness.saw_stream();
    }
    Err(Box::new(Peek {
        meter,
        parts: Some(parts),
        body: Some(Box::pin(body)),
        frames: VecDeque::new(),
        length: 0,
        ahead,
        dialect: asked.dialect,
        witness,
        sleep: settings.clock.sleep_until(deadline),
        settings: settings.clone(),
    }))
}

const HTML: &str = "text/html";

/// How a body is written.
struct Form<'a> {
    is_encoded: bool,
    content_type: Option<&'a str>,
}

impl<'a> Form<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let encoding = headers.get(header::CONTENT_ENCODING);
        let content_type = headers.get(header::CONTENT_TYPE);
        Self {
            is_encoded: encoding.is_some_and(|encoding| encoding != "identity"),
            content_type: content_type.and_then(|kind| kind.to_str().ok()),
        }
    }

    fn is_page(&self) -> bool {
        let begins = self.content_type.and_then(|kind| kind.get(..HTML.len()));
        begins.is_some_and(|begins| begins.eq_ignore_ascii_case(HTML))
    }
}

/// No provider answers with a page, or sends a question elsewhere: a proxy on the way does, or a network that wants a login
/// first. To ask the same again would meet it again, and somebody else may stand on another way.
fn no_answer(what: &'static str) -> Failure {
    Failure {
        retry_same: false,
        ..Failure::new(FailureKind::ServerError).with_message(what)
    }
}

const PAGE: &str = "a page of HTML in place of an answer, as a proxy or a login page sends it";
const REDIRECT: &str =
    "a redirect in place of an answer, as to a login page, that the client did not follow";

/// `may_be_error` tells whether an error may lie in a whole answer that claims to be none. It is short.
fn ahead(status: StatusCode, form: &Form<'_>, asked: &Asked, may_be_error: bool) -> Ahead {
    let is = |kind: &str| form.content_type.is_some_and(|it| it.starts_with(kind));
    if form.is_encoded {
        Ahead::Nothing
    } else if !status.is_success() {
        Ahead::Error
    } else if asked.is_question && is("text/event-stream") {
        Ahead::Stream
    } else if may_be_error && is("application/json") {
        Ahead::Answer
    } else {
        Ahead::Nothing
    }
}

/// Counts the usage of a good answer. What is compressed cannot be read, and what answers no question is no answer.
fn meter(status: StatusCode, form: &Form<'_>, asked: &Asked) -> Option<Box<Meter>> {
    let is_readable = asked.is_question && status.is_success() && !form.is_encoded;
    is_readable.then(|| Box::new(Meter::new(form.content_type, asked)))
}

/// An answer that is being read ahead.
pub(super) struct Peek<B> {
    parts: Option<Parts>,
    body: Option<Pin<Box<B>>>,
    frames: VecDeque<Frame<Bytes>>,
    length: usize,
    ahead: Ahead,
    meter: Option<Box<Meter>>,
    dialect: Option<Dialect>,
    witness: Option<Box<Witness>>,
    sleep: Sleep,
    settings: Arc<Settings>,
}

/// Why reading ahead ended.
enum End {
    /// Enough is known, or the bounds are reached.
    Enough,
    /// The body is at its end.
    Whole,
    Broken(BoxError),
}

impl<B> Peek<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    /// Ready with the answer, its outcome in its extensions and its body as it was.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<ProviderBody<B>>> {
        let end = loop {
            if self.is_enough() {
                break End::Enough;
            }
            let body = self.body.as_mut().expect("polled after it was ready");
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => self.keep(frame.map_data(into_bytes)),
                Poll::Ready(Some(Err(error))) => break End::Broken(error.into()),
                Poll::Ready(None) => break End::Whole,
                Poll::Pending if self.sleep.as_mut().poll(cx).is_ready() => break End::Enough,
                Poll::Pending => return Poll::Pending,
            }
        };
        Poll::Ready(self.release(end))
    }

    fn keep(&mut self, frame: Frame<Bytes>) {
        // A frame without a byte counts as well: there is no end to how many can come.
        let length = frame.data_ref().map_or(0, Bytes::len);
        self.length = self.length.saturating_add(length.max(1));
        if let (Some(meter), Some(data)) = (&mut self.meter, frame.data_ref()) {
            let reading = meter.push(data);
            if let Some(witness) = &mut self.witness
                && reading.content
            {
                witness.saw_content();
            }
        }
        self.frames.push_back(frame);
    }

    fn is_enough(&self) -> bool {
        let knows = |meter: &Meter| {
            let reading = meter.reading();
            match self.ahead {
                Ahead::Nothing | Ahead::Error => false,
                Ahead::Stream => {
                    reading.content
                        || reading.error.is_some()
                        || matches!(reading.ending, Ending::Terminated | Ending::Finished)
                }
                // Of an error, all is read that it says.
                Ahead::Answer => meter.has_begun() && reading.error.is_none(),
            }
        };
        self.length >= self.settings.peek_bytes || self.meter.as_deref().is_some_and(knows)
    }

    fn release(&mut self, end: End) -> Response<ProviderBody<B>> {
        let mut parts = self.parts.take().expect("released once");
        let body = self.body.take().expect("released once");
        let outcome = self.outcome(&parts, &end);
        if let Some(meter) = &mut self.meter {
            meter.heed_outcome(&outcome);
        }
        let witness = self.witness.take();
        let witness = witness.and_then(|witness| witness.judged(&outcome));
        parts.extensions.insert(outcome);
        let end = match end {
            End::Enough => None,
            End::Whole => Some(Ok(())),
            End::Broken(error) => Some(Err(error)),
        };
        let frames = std::mem::take(&mut self.frames);
        Response::from_parts(
            parts,
            ProviderBody::peeked(frames, body, end, self.meter.take(), witness),
        )
    }

    fn outcome(&self, parts: &Parts, end: &End) -> Outcome {
        let reading = self.meter.as_ref().map(|meter| meter.reading());
        match (self.ahead, end, reading) {
            // What broke before its first content is as good as no answer.
            (Ahead::Stream | Ahead::Answer, End::Broken(error), _) => {
                Failure::new(FailureKind::Transport)
                    .with_message(error.to_string())
                    .into()
            }
            (Ahead::Stream, End::Whole, Some(reading))
                if reading.ending == Ending::Unterminated && !reading.content =>
            {
                Failure::new(FailureKind::Transport)
                    .with_message("the stream ended before it began")
                    .into()
            }
            (Ahead::Stream | Ahead::Answer, _, Some(reading)) if reading.error.is_none() => {
                Outcome::Success
            }
            _ => {
                let answer = self.beginning();
                let answer = Answer::new(
                    parts.status,
                    &parts.headers,
                    &answer,
                    self.settings.clock.wall(),
                );
                signal::outcome_by_rules(&answer, self.dialect, &self.settings.rules)
            }
        }
    }

    fn beginning(&self) -> Vec<u8> {
        let mut beginning = Vec::with_capacity(self.length);
        for data in self.frames.iter().filter_map(Frame::data_ref) {
            beginning.extend_from_slice(data);
        }
        beginning.truncate(self.settings.peek_bytes);
        beginning
    }
}
