//! Who sees which key.

use http::HeaderValue;
use provider_simulator::{Received, Reply, Simulator};
use tower_upstream::Provider;

use super::harness::{Setup, at, chat, post_to};

#[tokio::test]
async fn no_provider_ever_sees_the_key_of_another_or_of_the_caller() {
    let groq = Simulator::groq().key("key-of-groq").start().await.unwrap();
    let openai = Simulator::openai().key("key-of-openai");
    let openai = openai.start().await.unwrap();
    let anthropic = Simulator::anthropic().key("key-of-anthropic");
    let anthropic = anthropic.start().await.unwrap();
    groq.script([Reply::Quota]);
    openai.script([Reply::Status(500); 3]);
    let chain = [
        at(Provider::groq(), &groq).model("one"),
        at(Provider::openai(), &openai).model("two"),
        at(Provider::anthropic(), &anthropic).model("three"),
    ];
    let stack = Setup::of(chain).build();

    let mut request = post_to("/v1/chat/completions?api_key=key-of-caller", &chat(8));
    for name in [
        "authorization",
        "x-api-key",
        "api-key",
        "cookie",
        "x-goog-api-key",
    ] {
        let key = HeaderValue::from_static("Bearer key-of-caller");
        request.headers_mut().insert(name, key);
    }
    request
        .headers_mut()
        .insert("x-trace", HeaderValue::from_static("kept"));
    let answer = stack.ask(request).await.unwrap();
    assert_eq!(answer.served_by, "anthropic/three");

    let logs = [
        ("key-of-groq", groq.log(), 1),
        ("key-of-openai", openai.log(), 3),
        ("key-of-anthropic", anthropic.log(), 1),
    ];
    for (key, log, received) in logs {
        assert_eq!(log.len(), received, "{key}");
        for request in &log {
            assert_eq!(keys(request), [format!("Bearer {key}")]);
            assert_eq!(request.headers["x-trace"], "kept");
            assert!(request.path.ends_with("/v1/chat/completions"));
        }
    }
    assert!(!stack.told().concat().contains("key-of"));
}

/// Every value of a header that holds some key.
fn keys(request: &Received) -> Vec<String> {
    let values = request.headers.values();
    let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    values.filter(|value| value.contains("key-of")).collect()
}
