//! The five example configurations, each at work against the simulators: its main promise.
//!
//! Sockets are real, and all waits go by a clock that the tests move.

use std::{future::Future, pin::pin, time::Duration};

use futures::{
    StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use http::{Request, StatusCode};
use http_body_util::Full;
use provider_simulator::{Limits, Simulator};
use tower::Layer;
use tower_upstream::{
    Cost, Error, Stack,
    clock::{Clock, ManualClock},
    error::RefusalReason,
    stack::{Caller, StackBuilder},
};

use super::any_key;
use crate::stack::harness::{Answer, chat, client, ms, post, send, sleep};

const A: &str = include_str!("../../../examples/configs/a-multi-provider.toml");
const B: &str = include_str!("../../../examples/configs/b-local-fallback.toml");
const C: &str = include_str!("../../../examples/configs/c-fallback.toml");
const D: &str = include_str!("../../../examples/configs/d-openai.toml");
const E: &str = include_str!("../../../examples/configs/e-azure-agents.toml");

struct Played {
    stack: Stack,
    clock: ManualClock,
}

impl Played {
    /// The file, with providers at the simulators in place of the real ones.
    fn new(file: &str, simulators: &[(&str, &Simulator)]) -> Self {
        let providers = simulators.iter().map(|(name, simulator)| {
            let url = simulator.url();
            format!("\n[providers.{name}]\nbase_url = \"{url}\"\nkey_env = \"A_KEY\"\n")
        });
        Self::of(&(file.to_owned() + &providers.collect::<String>()))
    }

    fn of(file: &str) -> Self {
        let clock = ManualClock::new();
        let builder = StackBuilder::from_toml(file, any_key);
        let builder = builder.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let stack = builder.clock(clock.clone()).build().expect("a stack");
        Self { stack, clock }
    }

    async fn ask(&self, request: Request<Full<bytes::Bytes>>) -> Result<Answer, Error> {
        let service = self.stack.layer().layer(client());
        self.drive(send(&service, request)).await
    }

    /// Moves the clock to the end of each short wait, while the call lasts. Timeouts and long waits are not short.
    async fn drive<T>(&self, call: impl Future<Output = T>) -> T {
        let waits = async {
            loop {
                sleep(ms(1)).await;
                let next = self.clock.next_deadline();
                let left = next.map(|at| at.saturating_duration_since(self.clock.now()));
                if let Some(wait) = left.filter(|wait| *wait <= Duration::from_secs(3)) {
                    self.clock.advance(wait);
                }
            }
        };
        match select(pin!(call), pin!(waits)).await {
            Either::Left((result, _)) => result,
            Either::Right(((), _)) => unreachable!("the clock is moved for ever"),
        }
    }
}

/// Everybody's windows are used up to the last request, and nobody sees a 429.
#[tokio::test]
async fn a_the_one_with_the_most_room_is_asked_and_no_window_is_passed() {
    let per_minute = |requests| Limits::new().requests_per_minute(requests);
    let openai = Simulator::openai().model("gpt-4o-mini", per_minute(60));
    let openai = openai.start().await.unwrap();
    let anthropic = Simulator::anthropic().model("claude-haiku-4-5", per_minute(50));
    let anthropic = anthropic.start().await.unwrap();
    let groq = Simulator::groq().model("openai/gpt-oss-120b", per_minute(30));
    let groq = groq.start().await.unwrap();
    let simulators = [
        ("openai", &openai),
        ("anthropic", &anthropic),
        ("groq", &groq),
    ];
    let played = Played::new(A, &simulators);

    for request in 0..140 {
        played.clock.advance(ms(100));
        let answer = played.ask(post(&chat(8))).await;
        let answer = answer.unwrap_or_else(|error| panic!("request {request}: {error}"));
        assert_eq!(answer.status, StatusCode::OK);
    }
    let counts = simulators.map(|(_, simulator)| simulator.counts());
    assert_eq!(counts.map(|counts| counts.answered), [60, 50, 30]);
    assert_eq!(counts.map(|counts| counts.rate_limited), [0, 0, 0]);

    // Of all windows nothing is left: refused at once, with the time of the first to move.
    let (before, error) = (
        played.clock.now(),
        played.ask(post(&chat(8))).await.unwrap_err(),
    );
    assert_eq!(played.clock.now(), before);
    let wait = error.retry_after().unwrap();
    assert!(
        (Duration::from_secs(30)..Duration::from_secs(60)).contains(&wait),
        "{wait:?}"
    );
}

#[tokio::test]
async fn b_the_local_model_answers_and_the_api_where_it_is_down_under_its_bucket() {
    let ollama = Simulator::ollama().start().await.unwrap();
    let anthropic = Simulator::anthropic().start().await.unwrap();
    let played = Played::new(B, &[("ollama", &ollama), ("anthropic", &anthropic)]);

    let answer = played.ask(post(&chat(8))).await.unwrap();
    assert_eq!(answer.served_by, "ollama/llama3.2");
    ollama.go_down().await;
    for _ in 0..2 {
        let answer = played.ask(post(&chat(4_000))).await.unwrap();
        assert_eq!(answer.served_by, "anthropic/claude-haiku-4-5");
    }
    assert_eq!(
        (ollama.counts().answered, anthropic.counts().answered),
        (1, 2)
    );
    // Of a bucket of 10,000 some 8,000 are gone, and 80,000 a minute refill it.
    let wait = played
        .stack
        .limiter()
        .wait_time("anthropic/claude-haiku-4-5", Cost::tokens(9_000, 0));
    let wait = wait.unwrap();
    assert!(
        (Duration::from_secs(4)..Duration::from_secs(6)).contains(&wait),
        "{wait:?}"
    );
}

/// FEATURES: the next model in under 50 ms of added time; passed by without a call; back at the right instant.
#[tokio::test]
async fn c_a_daily_limit_on_the_first_model_is_answered_by_the_next() {
    let first = "openai/gpt-oss-120b";
    let groq = Simulator::groq()
        .model(first, Limits::new().tokens_per_day(60))
        .model("openai/gpt-oss-20b", Limits::new());
    let groq = groq.start().await.unwrap();
    let openai = Simulator::openai().start().await.unwrap();
    let anthropic = Simulator::anthropic().start().await.unwrap();
    let simulators = [
        ("groq", &groq),
        ("openai", &openai),
        ("anthropic", &anthropic),
    ];
    let played = Played::new(C, &simulators);

    for _ in 0..2 {
        let answer = played.ask(post(&chat(8))).await.unwrap();
        assert_eq!(answer.served_by, format!("groq/{first}"));
    }
    let before = played.clock.now();
    let answer = played.ask(post(&chat(8))).await.unwrap();
    let added = played.clock.now() - before;
    assert_eq!(answer.served_by, "groq/openai/gpt-oss-20b");
    assert_eq!(groq.counts_of(first).rate_limited, 1);
    assert!(added < ms(50), "{added:?}");

    let received = groq.counts_of(first).received;
    let answer = played.ask(post(&chat(8))).await.unwrap();
    assert_eq!(answer.served_by, "groq/openai/gpt-oss-20b");
    assert_eq!(groq.counts_of(first).received, received);

    let upstream = &played.stack.upstreams()[0];
    let left = played.stack.cooldowns().remaining(upstream).unwrap();
    assert!(left > Duration::from_secs(80_000), "{left:?}");
    played.clock.advance(left - Duration::from_nanos(1));
    played.ask(post(&chat(8))).await.unwrap();
    assert_eq!(groq.counts_of(first).received, received);
    played.clock.advance(Duration::from_nanos(1));
    played.ask(post(&chat(8))).await.unwrap();
    assert_eq!(groq.counts_of(first).received, received + 1);
    assert_eq!(
        (openai.counts().received, anthropic.counts().received),
        (0, 0)
    );
}

#[tokio::test]
async fn d_an_organization_at_its_limit_waits_and_others_do_not() {
    let openai = Simulator::openai().start().await.unwrap();
    let played = Played::new(D, &[("openai", &openai)]);
    let by = |organization: &'static str| {
        let mut request = post(&chat(8));
        let value = http::HeaderValue::from_static(organization);
        request.headers_mut().insert("x-organization", value);
        request
    };
    for _ in 0..20 {
        played.ask(by("trial")).await.unwrap();
    }
    let trial = &played.stack.limiters()[1];
    let wait = trial.wait_time("trial", Cost::tokens(8, 16)).unwrap();
    assert!(
        (Duration::from_secs(50)..=Duration::from_secs(60)).contains(&wait),
        "{wait:?}"
    );
    assert!(trial.can_admit("acme", Cost::tokens(8, 16)));
    let before = played.clock.now();
    for organization in ["acme", "another"] {
        let answer = played.ask(by(organization)).await.unwrap();
        assert_eq!(answer.served_by, "openai/gpt-4o");
    }
    // No longer than the bucket of the account takes to refill by one: 60 s / 3,500.
    assert!(played.clock.now() - before <= ms(36));
    played.clock.advance(wait);
    played.ask(by("trial")).await.unwrap();
    assert_eq!(
        (openai.counts().answered, openai.counts().rate_limited),
        (23, 0)
    );
}

#[tokio::test]
async fn e_agents_share_three_places_and_each_has_its_own_most_tokens() {
    let azure = Simulator::openai().latency(ms(20)).start().await.unwrap();
    let resource = format!("http://{}", azure.address());
    let played = Played::of(&E.replace("https://my-resource.openai.azure.com", &resource));
    let by = |agent: &str, tokens: usize| {
        let mut request = post(&chat(tokens));
        request.extensions_mut().insert(Caller(agent.into()));
        request
    };

    let service = played.stack.layer().layer(client());
    let calls: FuturesUnordered<_> = (0..9).map(|_| send(&service, by("planner", 8))).collect();
    let began = played.clock.now();
    let answers: Vec<_> = played.drive(calls.collect()).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let counts = azure.counts();
    assert_eq!((counts.answered, counts.rate_limited), (9, 0));
    assert!(counts.peak_in_flight <= 3, "{counts:?}");
    // Nine requests, 100 ms apart.
    assert!(played.clock.now() - began >= ms(800));

    let error = played.ask(by("planner", 4_000)).await.unwrap_err();
    assert!(
        matches!(&error, Error::RateLimited(refusal) if refusal.reason == RefusalReason::TooLarge),
        "{error:?}"
    );
    assert_eq!(azure.counts().received, 9);
    let answer = played.ask(by("writer", 4_000)).await.unwrap();
    assert_eq!(answer.served_by, "azure/gpt-4o");
}
