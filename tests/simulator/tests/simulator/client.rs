//! A client that sees everything: status, headers and body.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as Connections, connect::HttpConnector},
    rt::TokioExecutor,
};
use provider_simulator::Simulator;
use serde_json::{Value, json};

pub type Error = Box<dyn std::error::Error + Send + Sync>;

pub const MODEL: &str = "small-model";

#[derive(Clone)]
pub struct Client {
    pub connections: Connections<HttpConnector, Full<Bytes>>,
    headers: HeaderMap,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Client {
    pub fn new() -> Self {
        Self::with(Connections::builder(TokioExecutor::new()).build_http())
    }

    pub fn http2() -> Self {
        Self::with(
            Connections::builder(TokioExecutor::new())
                .http2_only(true)
                .build_http(),
        )
    }

    fn with(connections: Connections<HttpConnector, Full<Bytes>>) -> Self {
        Self {
            connections,
            headers: HeaderMap::new(),
        }
    }

    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub async fn send(
        &self,
        method: Method,
        url: String,
        body: impl Into<Bytes>,
    ) -> Result<Answer, Error> {
        let mut request = Request::new(Full::new(body.into()));
        *request.method_mut() = method;
        *request.uri_mut() = url.parse()?;
        *request.headers_mut() = self.headers.clone();
        let (head, body) = self.connections.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            text: String::from_utf8(body.to_vec())?,
        })
    }

    pub async fn post(&self, simulator: &Simulator, path: &str, body: Value) -> Answer {
        let url = simulator.url() + path;
        self.send(Method::POST, url, body.to_string())
            .await
            .unwrap()
    }

    pub async fn try_chat(&self, simulator: &Simulator) -> Result<Answer, Error> {
        let url = simulator.url() + "/chat/completions";
        self.send(Method::POST, url, chat(8).to_string()).await
    }

    pub async fn chat(&self, simulator: &Simulator, body: Value) -> Answer {
        self.post(simulator, "/chat/completions", body).await
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
            .to_str()
            .unwrap()
    }

    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().into()
    }
}

/// A request for `MODEL` with a prompt of so many tokens.
pub fn chat(prompt_tokens: usize) -> Value {
    let content = "word".repeat(prompt_tokens);
    json!({"model": MODEL, "messages": [{"role": "user", "content": content}]})
}

pub fn with(mut body: Value, name: &str, value: impl Into<Value>) -> Value {
    body[name] = value.into();
    body
}

/// A wait as Groq and OpenAI write it at the end of a message.
pub fn stated_wait(message: &str) -> Duration {
    let text = message.split("Please try again in ").nth(1).unwrap();
    let text = text.split(". ").next().unwrap();
    if let Some(milliseconds) = text.strip_suffix("ms") {
        return Duration::from_millis(milliseconds.parse().unwrap());
    }
    let mut seconds = 0.0;
    let mut rest = text;
    for (unit, weight) in [('h', 3600.0), ('m', 60.0), ('s', 1.0)] {
        if let Some((figure, after)) = rest.split_once(unit) {
            seconds += figure.parse::<f64>().unwrap() * weight;
            rest = after;
        }
    }
    Duration::from_secs_f64(seconds)
}
