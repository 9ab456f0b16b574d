use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header, request::Parts};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep};

use crate::{
    Counts, Received, Reply, SimulatorBuilder,
    body::AnswerBody,
    dialect::Dialect,
    ledger::Ledger,
    question::Question,
    quota::Quotas,
    visit::{Verdict, Visit},
};

/// Where requests are received, decided and answered.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) settings: SimulatorBuilder,
    state: Mutex<State>,
}

/// What changes from request to request.
#[derive(Debug)]
pub(crate) struct State {
    /// The tickets given so far; the next one is larger.
    pub(crate) tickets: u64,
    pub(crate) quotas: HashMap<String, Quotas>,
    pub(crate) script: VecDeque<Reply>,
    pub(crate) ledger: Ledger,
}

impl Desk {
    pub(crate) fn new(settings: SimulatorBuilder) -> Self {
        let models = settings.models.iter();
        let state = State {
            tickets: 0,
            quotas: models
                .map(|(name, limits)| (name.clone(), limits.quotas()))
                .collect(),
            script: VecDeque::new(),
            ledger: Ledger::default(),
        };
        Self {
            settings,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.settings.dialect
    }

    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state().script.extend(replies);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().ledger.total()
    }

    pub(crate) fn counts_of(&self, model: &str) -> Counts {
        self.state().ledger.of(model)
    }

    pub(crate) fn log(&self) -> Vec<Received> {
        self.state().ledger.log().to_vec()
    }

    /// # Errors
    ///
    /// When the client goes away before its request is complete, which then counts for nothing.
    pub(crate) async fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> hyper::Result<Response<AnswerBody>> {
        let at = Instant::now();
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let question = Question::read(self.dialect(), &head, &body);
        let mut visit = self.arrive(at, &head, body, question.model());
        Ok(match (visit.decide(&head, &question), &question) {
            (Verdict::Answer, Question::Completion(completion)) => {
                // Even a sleep of zero takes until the timer's next tick.
                if !self.settings.latency.is_zero() {
                    sleep(self.settings.latency).await;
                }
                visit.answer(completion)
            }
            (Verdict::Cut, Question::Completion(completion)) => visit.cut(completion),
            (Verdict::ErrorEvent(fault), _) => visit.error_event(&fault),
            (Verdict::Fault(fault, headers), _) => visit.fault(&fault, headers),
            (Verdict::Stall, _) => std::future::pending().await,
            (Verdict::Models | Verdict::Answer | Verdict::Cut, _) => visit.models(),
        })
    }

    fn arrive(
        self: &Arc<Self>,
        at: Instant,
        head: &Parts,
        body: Bytes,
        model: Option<&str>,
    ) -> Visit {
        let mut state = self.state();
        state.tickets += 1;
        let place = state.ledger.arrive(at, head, body, model);
        Visit::new(Arc::clone(self), state.tickets, place, model)
    }

    pub(crate) fn authorizes(&self, headers: &HeaderMap) -> bool {
        let Some(key) = &self.settings.key else {
            return true;
        };
        let bearer = headers
            .get(header::AUTHORIZATION)
            .map(HeaderValue::as_bytes);
        let bearer = bearer.and_then(|value| value.strip_prefix(b"Bearer "));
        let plain = headers.get("x-api-key").map(HeaderValue::as_bytes);
        [bearer, plain].contains(&Some(key.as_bytes()))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // The books of a simulator are worth reading even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
