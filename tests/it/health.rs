//! Upstreams that are left alone, and are asked whether they are back.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_upstream::{
    CircuitBreakerPolicy, CircuitState, Error, Provider, RetryPolicy, Stack, Upstream,
};

/// What all upstreams answer now: a status, or nothing.
#[derive(Clone, Default)]
struct World {
    status: Arc<AtomicU16>,
    hint: Arc<AtomicU16>,
    seen: Arc<Mutex<Vec<String>>>,
}

const SILENT: u16 = 0;

impl World {
    fn becomes(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    fn client(
        &self,
    ) -> impl Service<Request<Full<Bytes>>, Response = Response<String>, Error = Infallible> + Clone
    {
        let world = self.clone();
        service_fn(move |request: Request<Full<Bytes>>| {
            let key = request.headers().get(AUTHORIZATION);
            let key = key.map_or("", |key| key.to_str().expect("it is there"));
            let line = format!("{} {} {key}", request.method(), request.uri());
            world
                .seen
                .lock()
                .expect("it is there")
                .push(line.trim_end().to_owned());
            let status = world.status.load(Ordering::Relaxed);
            let hint = world.hint.load(Ordering::Relaxed);
            async move {
                if status == SILENT {
                    pending::<()>().await;
                }
                let mut response = Response::builder().status(status);
                if hint > 0 {
                    response = response.header("retry-after", hint);
                }
                Ok(response.body("{}".to_owned()).expect("it is there"))
            }
        })
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().expect("it is there"))
    }

    async fn chat(&self, stack: &Stack) -> Result<u16, Error> {
        let request = Request::post("/v1/chat/completions").body(Full::<Bytes>::from("{}"));
        let answer = stack
            .layer()
            .layer(self.client())
            .oneshot(request.expect("it is there"));
        Ok(answer.await?.status().as_u16())
    }
}

/// Two models of one provider and one of another, of which a single failure opens the circuit.
fn stack() -> Stack {
    let groq = Provider::groq().key("sk-groq").expect("it is there");
    let stack = Stack::builder()
        .upstream(groq.model("a"))
        .upstream(groq.model("b"))
        .upstream(Provider::ollama().model("c"))
        .retry(RetryPolicy::llm().max_attempts(1))
        .circuit_breaker(CircuitBreakerPolicy::default().consecutive_failures(1));
    stack.build().expect("it is there")
}

fn ids(upstreams: &[Upstream]) -> Vec<&str> {
    upstreams.iter().map(Upstream::id).collect()
}

#[tokio::test(start_paused = true)]
async fn who_is_back_is_let_in_again_before_its_time() {
    let (stack, world) = (stack(), World::default());
    world.becomes(200);
    assert!(stack.check_health(&world.client()).await.is_empty());
    assert_eq!(world.seen(), [""; 0], "all is well, and nobody is asked");

    world.becomes(500);
    world.chat(&stack).await.expect_err("it fails");
    assert_eq!(stack.cooldowns().list().len(), 3);
    world.seen();
    assert!(
        stack.check_health(&world.client()).await.is_empty(),
        "they are down"
    );
    let asked = [
        "GET https://api.groq.com/openai/v1/models Bearer sk-groq",
        "GET http://localhost:11434/v1/models",
    ];
    assert_eq!(world.seen(), asked, "each provider once");
    world.becomes(SILENT);
    assert!(stack.check_health(&world.client()).await.is_empty());
    assert!(world.chat(&stack).await.is_err());

    // A key that may not list models is an answer.
    world.becomes(403);
    let back = stack.check_health(&world.client()).await;
    assert_eq!(ids(&back), ["groq/a", "groq/b", "ollama/c"]);
    assert_eq!(stack.breaker().state("groq/a"), CircuitState::HalfOpen);
    assert!(stack.cooldowns().list().is_empty());
    world.becomes(200);
    assert_eq!(world.chat(&stack).await.expect("it is there"), 200);
}

#[tokio::test(start_paused = true)]
async fn who_asked_to_be_left_alone_is_left_alone_and_so_is_what_a_person_forced() {
    let (stack, world) = (stack(), World::default());
    world.hint.store(120, Ordering::Relaxed);
    world.becomes(503);
    world.chat(&stack).await.expect_err("it fails");
    world.seen();
    world.becomes(200);
    assert!(stack.check_health(&world.client()).await.is_empty());
    assert_eq!(world.seen(), [""; 0]);
    stack.cooldowns().clear_all();
    stack.breaker().reset_all();

    stack.breaker().force_open("groq/a");
    assert!(stack.check_health(&world.client()).await.is_empty());
    assert_eq!(stack.breaker().state("groq/a"), CircuitState::ForcedOpen);

    // The account has no credit: that models are listed says nothing of it.
    let mut failure = tower_upstream::Failure::new(tower_upstream::FailureKind::QuotaExhausted);
    failure.account_wide = true;
    stack.cooldowns().cool(&stack.upstreams()[0], &failure);
    assert!(stack.check_health(&world.client()).await.is_empty());
    assert_eq!(stack.cooldowns().list().len(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
}
