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
    // It looks for no key in the field that Azure reads; the log shows what came.
    let azure = Simulator::openai().start().await.unwrap();
    groq.script([Reply::Quota]);
    openai.script([Reply::Status(500); 3]);
    azure.script([Reply::Quota]);
    let resource = format!("http://{}", azure.address());
    let deployed = Provider::azure(&resource, "2024-10-21").unwrap();
    let deployed = deployed.key("key-of-azure").unwrap();
    let chain = [
        at(Provider::groq(), &groq).model("one"),
        at(Provider::openai(), &openai).model("two"),
        deployed.model("deployed"),
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
        (
            "Bearer key-of-groq",
            groq.log(),
            1,
            "/openai/v1/chat/completions",
            "",
        ),
        (
            "Bearer key-of-openai",
            openai.log(),
            3,
            "/v1/chat/completions",
            "",
        ),
        (
            "key-of-azure",
            azure.log(),
            1,
            "/openai/deployments/deployed/chat/completions",
            "api-version=2024-10-21",
        ),
        (
            "Bearer key-of-anthropic",
            anthropic.log(),
            1,
            "/v1/chat/completions",
            "",
        ),
    ];
    for (key, log, received, path, query) in logs {
        assert_eq!(log.len(), received, "{key}");
        for request in &log {
            assert_eq!(keys(request), [key]);
            assert_eq!(request.headers["x-trace"], "kept");
            assert_eq!((&*request.path, &*request.query), (path, query));
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
