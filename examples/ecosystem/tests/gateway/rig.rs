//! A gateway that runs, its two providers, and ways to talk to it.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use provider_simulator::{Simulator, SimulatorBuilder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tower_upstream::{
    Provider, RetryPolicy, Stack,
    clock::{Clock, TokioClock},
};

use super::gateway::{app::Gateway, server, settings::Settings};

pub(crate) struct Rig {
    pub(crate) url: String,
    pub(crate) address: String,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) groq: Simulator,
    pub(crate) openai: Simulator,
    pub(crate) client: reqwest::Client,
    served: JoinHandle<bool>,
}

pub(crate) const GROQ: &str = "groq/small";
pub(crate) const OPENAI: &str = "openai/large";
pub(crate) const ADMIN: &str = "of-the-admin";
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// Two providers' keys, which nobody outside may see.
const SECRET: &str = "sk-very-secret";

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(&[], Simulator::groq(), |stack| stack).await
    }

    /// With these variables, this first provider, and the stack as it is changed.
    pub(crate) async fn with(
        variables: &[(&str, &str)],
        groq: SimulatorBuilder,
        change: impl FnOnce(tower_upstream::stack::StackBuilder) -> tower_upstream::stack::StackBuilder,
    ) -> Self {
        let groq = groq.start().await.expect("a port");
        let openai = Simulator::openai().start().await.expect("a port");
        let provider = |provider: Provider, simulator: &Simulator| {
            let provider = provider.base_url(&simulator.url()).expect("its URL");
            provider.key(SECRET).expect("a key")
        };
        let second = provider(Provider::openai(), &openai);
        let retry = RetryPolicy::llm().backoff(ms(5), ms(20));
        let builder = Stack::builder()
            .upstream(provider(Provider::groq(), &groq).model("small"))
            .upstream(second.model("large"))
            .upstream(second.model("text-embedding-3-small"))
            .retry(retry);
        Self::of(variables, change(builder), groq, openai).await
    }

    async fn of(
        variables: &[(&str, &str)],
        builder: tower_upstream::stack::StackBuilder,
        groq: Simulator,
        openai: Simulator,
    ) -> Self {
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        let settings = Settings::read(|name| match (name, variables.get(name)) {
            ("GATEWAY_ADMIN_TOKEN", None) => Some(ADMIN.to_owned()),
            (_, value) => value.map(|value| (*value).to_owned()),
        });
        let gateway = Gateway::new(settings.expect("settings"), builder).expect("a gateway");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let serving = gateway.clone();
        let served = tokio::spawn(async move {
            let served = server::serve(listener, &serving).await;
            served.expect("routes, and a place for its state")
        });
        Self {
            url: format!("http://{address}"),
            address,
            gateway,
            groq,
            openai,
            client: reqwest::Client::new(),
            served,
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        let request = self.client.post(format!("{}{path}", self.url)).json(body);
        within(request.send()).await.expect("an answer")
    }

    pub(crate) async fn chat(&self, body: &Value) -> reqwest::Response {
        self.post("/v1/chat/completions", body).await
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        let request = self.client.get(format!("{}{path}", self.url));
        within(request.send()).await.expect("an answer")
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address)
            .await
            .expect("a connection")
    }

    /// What is answered to these bytes until the connection ends.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The answer may come, and the connection end, before all is sent.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Tells it to stop; gives the gateway and whether all requests ended in time, once it has.
    pub(crate) fn stop(self) -> (Arc<Gateway>, JoinHandle<bool>, (Simulator, Simulator)) {
        self.gateway.stop.cancel();
        (self.gateway, self.served, (self.groq, self.openai))
    }
}

pub(crate) fn chat() -> Value {
    chat_of("auto")
}

pub(crate) fn chat_of(model: &str) -> Value {
    let messages = json!([{ "role": "user", "content": "Why?" }]);
    json!({ "model": model, "messages": messages, "max_tokens": 16 })
}

pub(crate) fn streamed() -> Value {
    let mut chat = chat();
    chat["stream"] = true.into();
    chat
}

/// Status, code, and whether the error has OpenAI's form, an id, and nothing of the providers' keys.
pub(crate) async fn error(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert!(response.headers().contains_key("x-request-id"));
    assert_eq!(response.headers()["content-type"], "application/json");
    let text = within(response.text()).await.expect("a body");
    assert!(!text.contains("secret"), "{text}");
    let body: Value = serde_json::from_str(&text).expect("JSON");
    let error = &body["error"];
    assert!(
        error["message"].is_string() && error["type"].is_string(),
        "{text}"
    );
    assert!(
        error.get("param").is_some() && error.get("code").is_some(),
        "{text}"
    );
    (
        status,
        error["code"].as_str().unwrap_or_default().to_owned(),
    )
}

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Waits until it is so: what the other side of a socket has seen comes a little later.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    within(async {
        while !is_so() {
            TokioClock.sleep_until(TokioClock.now() + ms(1)).await;
        }
    })
    .await;
}

/// A test that hangs fails.
pub(crate) async fn within<T>(call: impl Future<Output = T>) -> T {
    let over = TokioClock.sleep_until(TokioClock.now() + Duration::from_secs(30));
    tokio::select! {
        result = call => result,
        () = over => panic!("nothing has happened for 30 s"),
    }
}
