use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    Reply,
    answer::Answer,
    body::AnswerBody,
    desk::{Desk, State},
    dialect::Dialect,
    fault::Fault,
    ledger::Ending,
    question::{Completion, Question},
};

/// What becomes of a request.
pub(crate) enum Verdict {
    Answer,
    Models,
    Fault(Fault, HeaderMap),
    Stall,
    Cut,
    ErrorEvent(Fault),
}

/// A request from its arrival until the end of its answer, when it is dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    desk: Arc<Desk>,
    ticket: u64,
    /// In the log.
    place: usize,
    model: Option<String>,
    admitted: bool,
    decided: bool,
}

impl Visit {
    pub(crate) fn new(desk: Arc<Desk>, ticket: u64, place: usize, model: Option<&str>) -> Self {
        Self {
            desk,
            ticket,
            place,
            model: model.map(Into::into),
            admitted: false,
            decided: false,
        }
    }

    /// The fate of a request. An admitted one has spent its quotas on return.
    pub(crate) fn decide(&mut self, head: &Parts, question: &Question) -> Verdict {
        let dialect = self.desk.dialect();
        let fault = |fault| Verdict::Fault(fault, HeaderMap::new());
        if !self.desk.authorizes(&head.headers) {
            return fault(Fault::unauthorized(dialect));
        }
        let completion = match question {
            Question::Completion(completion) => completion,
            Question::Models => return Verdict::Models,
            Question::Malformed(detail) => return fault(Fault::malformed(detail)),
            Question::UnknownPath => {
                return fault(Fault::unknown_path(dialect, &head.method, head.uri.path()));
            }
        };
        let scripted = self.desk.state().script.pop_front();
        match scripted.unwrap_or(Reply::Answer) {
            Reply::Answer => self.admit(completion),
            Reply::Status(status) => fault(Fault::scripted(dialect, status)),
            Reply::Overloaded => fault(Fault::overloaded(dialect, &completion.model)),
            Reply::Quota => fault(Fault::insufficient_quota(dialect)),
            Reply::Stall => {
                self.end(Ending::Stalled);
                Verdict::Stall
            }
            Reply::CutBody => Verdict::Cut,
            Reply::ErrorEvent if completion.stream => {
                Verdict::ErrorEvent(Fault::overloaded(dialect, &completion.model))
            }
            Reply::ErrorEvent => fault(Fault::overloaded(dialect, &completion.model)),
        }
    }

    fn admit(&mut self, completion: &Completion) -> Verdict {
        let settings = &self.desk.settings;
        let mut state = self.desk.state();
        let State { quotas, ledger, .. } = &mut *state;
        let Some(quotas) = quotas.get_mut(&completion.model) else {
            if settings.models.is_empty() {
                return Verdict::Answer;
            }
            let fault = Fault::unknown_model(settings.dialect, &completion.model);
            return Verdict::Fault(fault, HeaderMap::new());
        };
        let now = Instant::now();
        match quotas.admit(now, self.ticket, completion.most_tokens()) {
            Ok(()) => {
                self.admitted = true;
                Verdict::Answer
            }
            Err(refusal) => {
                let fault = Fault::refused(settings.dialect, &completion.model, &refusal);
                if let Some(wait) = fault.told_wait(settings.dialect) {
                    ledger.tell(&completion.model, now, wait, settings.grace);
                }
                Verdict::Fault(fault, settings.dialect.quota_headers(quotas, now))
            }
        }
    }

    pub(crate) fn answer(mut self, completion: &Completion) -> Response<AnswerBody> {
        let headers = self.settle(completion);
        self.end(Ending::Status(200));
        self.success(completion, headers)
    }

    pub(crate) fn cut(mut self, completion: &Completion) -> Response<AnswerBody> {
        self.end(Ending::Cut);
        let response = self.success(completion, HeaderMap::new());
        response.map(AnswerBody::cut)
    }

    pub(crate) fn error_event(mut self, fault: &Fault) -> Response<AnswerBody> {
        self.end(Ending::Cut);
        let content = self.desk.dialect().error_body(fault, &self.request_id());
        let event = match self.desk.dialect() {
            Dialect::Anthropic => format!("event: error\ndata: {content}\n\n"),
            _ => format!("data: {content}\n\n"),
        };
        let head = self.head(200, HeaderMap::new(), EVENT_STREAM);
        head.map(|()| AnswerBody::stream(vec![event.into()], Duration::ZERO, self))
    }

    pub(crate) fn fault(self, fault: &Fault, mut headers: HeaderMap) -> Response<AnswerBody> {
        let dialect = self.desk.dialect();
        headers.extend(dialect.error_headers(fault));
        let content = dialect.error_body(fault, &self.request_id());
        self.respond(fault.status, headers, &content)
    }

    pub(crate) fn models(self) -> Response<AnswerBody> {
        let settings = &self.desk.settings;
        let names = settings.models.iter().map(|(name, _)| name);
        let content = if settings.dialect == Dialect::Anthropic {
            let data = names.map(|name| json!({"id": name, "type": "model", "display_name": name}));
            json!({"data": data.collect::<Value>(), "has_more": false})
        } else {
            let data = names.map(|name| json!({"id": name, "object": "model"}));
            json!({"data": data.collect::<Value>(), "object": "list"})
        };
        self.respond(200, HeaderMap::new(), &content)
    }

    /// Puts what was really used in the place of the estimate, and tells what is left.
    fn settle(&self, completion: &Completion) -> HeaderMap {
        let mut state = self.desk.state();
        let State { quotas, ledger, .. } = &mut *state;
        let input_tokens = completion.prompt_tokens;
        let output_tokens = self.completion_tokens(completion);
        ledger.count(self.model.as_deref(), |counts| {
            counts.input_tokens += input_tokens;
            counts.output_tokens += output_tokens;
        });
        let quotas = quotas.get_mut(&completion.model);
        quotas.map_or_else(HeaderMap::new, |quotas| {
            quotas.correct(self.ticket, input_tokens + output_tokens);
            self.desk.dialect().quota_headers(quotas, Instant::now())
        })
    }

    fn success(self, completion: &Completion, headers: HeaderMap) -> Response<AnswerBody> {
        let answer = Answer {
            dialect: self.desk.dialect(),
            completion,
            completion_tokens: self.completion_tokens(completion),
            request_id: &self.request_id(),
        };
        if completion.stream {
            let (events, interval) = (answer.events(), self.desk.settings.chunk_interval);
            let head = self.head(200, headers, EVENT_STREAM);
            head.map(|()| AnswerBody::stream(events, interval, self))
        } else {
            let content = answer.whole().to_string();
            let head = self.head(200, headers, JSON);
            head.map(|()| AnswerBody::whole(content, self))
        }
    }

    fn completion_tokens(&self, completion: &Completion) -> u64 {
        let tokens = self.desk.settings.completion_tokens;
        tokens.min(completion.max_tokens.unwrap_or(u64::MAX))
    }

    fn request_id(&self) -> String {
        self.desk.dialect().request_id(self.ticket)
    }

    fn respond(mut self, status: u16, headers: HeaderMap, content: &Value) -> Response<AnswerBody> {
        self.end(Ending::Status(status));
        let head = self.head(status, headers, JSON);
        head.map(|()| AnswerBody::whole(content.to_string(), self))
    }

    fn head(&self, status: u16, headers: HeaderMap, content_type: HeaderValue) -> Response<()> {
        let dialect = self.desk.dialect();
        let request_id = self.request_id().try_into().expect("ids are plain ASCII");
        let mut head = Response::new(());
        *head.status_mut() = StatusCode::from_u16(status).expect("statuses are 200 to 599");
        *head.headers_mut() = headers;
        head.headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        head.headers_mut()
            .insert(dialect.request_id_header(), request_id);
        head
    }

    fn end(&mut self, ending: Ending) {
        self.decided = true;
        let mut state = self.desk.state();
        state.ledger.end(self.place, self.model.as_deref(), ending);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        let State { quotas, ledger, .. } = &mut *state;
        ledger.count(self.model.as_deref(), |counts| {
            counts.in_flight -= 1;
            counts.abandoned += u64::from(!self.decided);
        });
        let model = self.model.as_deref().filter(|_| self.admitted);
        if let Some(quotas) = model.and_then(|model| quotas.get_mut(model)) {
            quotas.release();
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
