//! What the programs of this folder share: two simulated providers to ask, and a way to show their answers.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use provider_simulator::{Limits, Reply, Simulator};
use serde_json::{Value, json};
use tower::BoxError;
use tower_upstream::{Chain, Provider, ServedBy};

/// Groq, which has no capacity for the first request and is out of its tokens of the day soon after; and OpenAI.
pub struct Fleet {
    pub groq: Simulator,
    pub openai: Simulator,
}

impl Fleet {
    /// Listens on two ports of the loopback interface.
    pub async fn start() -> Result<Self, BoxError> {
        let limits = Limits::new().tokens_per_day(50);
        let groq = Simulator::groq().model("openai/gpt-oss-120b", limits);
        let openai = Simulator::openai().chunk_interval(Duration::from_millis(20));
        let fleet = Self {
            groq: groq.start().await?,
            openai: openai.start().await?,
        };
        fleet.groq.script([Reply::Overloaded]);
        Ok(fleet)
    }

    /// Groq's model, and OpenAI's when that cannot answer.
    pub fn chain(&self) -> Result<Chain, BoxError> {
        let groq = Provider::groq()
            .base_url(&self.groq.url())?
            .key("gsk-none")?;
        let openai = Provider::openai()
            .base_url(&self.openai.url())?
            .key("sk-none")?;
        let upstreams = [
            groq.model("openai/gpt-oss-120b"),
            openai.model("gpt-4o-mini"),
        ];
        Ok(Chain::new(upstreams))
    }

    /// What the providers saw.
    pub fn tell(&self) {
        for (name, simulator) in [("groq", &self.groq), ("openai", &self.openai)] {
            let counts = simulator.counts();
            println!(
                "{name} received {} requests and answered {}",
                counts.received, counts.answered
            );
        }
    }
}

/// A chat in OpenAI's format.
pub fn chat(question: &str, stream: bool) -> Value {
    json!({
        "model": "any",
        "messages": [{ "role": "user", "content": question }],
        "max_tokens": 16,
        "stream": stream,
    })
}

/// The chat as a request. The stack puts host, key and model into it.
pub fn request(chat: &Value) -> Result<Request<Full<Bytes>>, http::Error> {
    Request::post("/v1/chat/completions")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(chat.to_string()))
}

/// Prints who answered, and how much came in how many pieces.
pub async fn show<B>(response: Response<B>) -> Result<(), BoxError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let served_by = response.extensions().get::<ServedBy>();
    let served_by = served_by.map_or_else(String::new, |ServedBy(upstream)| upstream.to_string());
    let (status, mut body) = (response.status(), response.into_body());
    let (mut pieces, mut bytes) = (0, 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Into::into)?;
        bytes += frame.data_ref().map_or(0, Bytes::len);
        pieces += 1;
    }
    println!("{status} from {served_by}: {bytes} bytes in {pieces} pieces");
    Ok(())
}
