//! What is seen from outside of the stack: its calls to the client, its log lines, panics, the memory of the process.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tower::{Service, util::BoxCloneSyncService};
use tower_upstream::error::BoxError;
use tracing::{Event, Metadata, Subscriber, field::Visit, span};

pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;
type Inner = BoxCloneSyncService<Request<Full<Bytes>>, Response<Body>, BoxError>;

/// A client that counts what is under way, by where it goes: from the call to the end of the body, or until that is dropped.
#[derive(Clone)]
pub(crate) struct Counting {
    client: Inner,
    uses: Uses,
}

/// What is under way, and the most that ever was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uses(Arc<Mutex<HashMap<String, (u32, u32)>>>);

impl Uses {
    pub(crate) fn of(&self, authority: &str) -> (u32, u32) {
        let uses = self.0.lock().expect("nobody panics with it");
        uses.get(authority).copied().unwrap_or_default()
    }

    fn begin(&self, authority: &str) -> Use {
        let mut uses = self.0.lock().expect("nobody panics with it");
        let (now, most) = uses.entry(authority.to_owned()).or_default();
        *now += 1;
        *most = (*most).max(*now);
        Use {
            uses: self.clone(),
            authority: authority.to_owned(),
        }
    }
}

/// A request that is under way.
struct Use {
    uses: Uses,
    authority: String,
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut uses = self.uses.0.lock().expect("nobody panics with it");
        if let Some((now, _)) = uses.get_mut(&self.authority) {
            *now -= 1;
        }
    }
}

impl Counting {
    pub(crate) fn new<S, B>(client: S, uses: Uses) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let client = tower::ServiceExt::map_err(client, Into::into);
        let client = tower::ServiceExt::map_response(client, |answer: Response<B>| {
            answer.map(|body| body.map_err(Into::into).boxed_unsync())
        });
        Self {
            client: BoxCloneSyncService::new(client),
            uses,
        }
    }
}

impl Service<Request<Full<Bytes>>> for Counting {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.client.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let authority = request.uri().authority().map_or("", |it| it.as_str());
        let one = self.uses.begin(authority);
        let call = self.client.call(request);
        Box::pin(async move {
            let response = call.await?;
            let counted = |body| Counted {
                body,
                one: Some(one),
            };
            Ok(response.map(|body| counted(body).boxed_unsync()))
        })
    }
}

/// A body whose request is under way until it has ended or is dropped.
struct Counted {
    body: Body,
    one: Option<Use>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.one = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads every span and event of this process, and counts those with a secret in them.
pub(crate) struct Listener {
    spans: AtomicU64,
    told: Arc<Told>,
}

/// What was told, and what should not have been.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) lines: AtomicU64,
    pub(crate) secrets: AtomicU64,
    pub(crate) panics: AtomicU64,
}

/// What is in each key, and nowhere else.
pub(crate) const SECRET: &str = "hush";

/// Listens to all of the process from now on.
pub(crate) fn listen() -> Arc<Told> {
    let told = Arc::<Told>::default();
    let listener = Listener {
        spans: AtomicU64::new(1),
        told: told.clone(),
    };
    tracing::subscriber::set_global_default(listener).expect("there is one test in this binary");
    let (panics, usual) = (told.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        panics.panics.fetch_add(1, Relaxed);
        usual(panic);
    }));
    told
}

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut Reader(&self.told));
        span::Id::from_u64(self.spans.fetch_add(1, Relaxed))
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Reader(&self.told));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        self.told.lines.fetch_add(1, Relaxed);
        event.record(&mut Reader(&self.told));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Reader<'a>(&'a Told);

impl Visit for Reader<'_> {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn fmt::Debug) {
        let has_secret = format!("{value:?}").to_lowercase().contains(SECRET);
        self.0.secrets.fetch_add(u64::from(has_secret), Relaxed);
    }
}
