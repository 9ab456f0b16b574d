//! Requests through the provider layer: the first line is the model, the rest is the JSON body.

#![no_main]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::executor::block_on;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower::{Service, layer::Layer, service_fn};
use tower_upstream::{Provider, ProviderLayer};

fuzz_target!(|data: &[u8]| {
    let (model, body) = fuzz::split_line(data);
    let Ok(model) = str::from_utf8(model) else {
        return;
    };
    let sent = through_the_layer(model, body);
    let Ok(mut before) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    if !before.is_object() {
        assert_eq!(sent, body);
        return;
    }
    let mut after: Value = serde_json::from_slice(&sent).expect("JSON stays JSON");
    assert_eq!(after["model"], model);
    let asks = before["stream"] == true && before.get("stream_options").is_none();
    if asks {
        assert_eq!(after["stream_options"]["include_usage"], true);
        after.as_object_mut().unwrap().remove("stream_options");
    }
    before["model"] = model.into();
    assert_eq!(after, before);
});

fn through_the_layer(model: &str, body: &[u8]) -> Bytes {
    let sent = Arc::new(Mutex::new(Bytes::new()));
    let server = service_fn(|request: Request<Full<Bytes>>| {
        let sent = sent.clone();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            *sent.lock().unwrap() = body;
            Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::new())))
        }
    });
    let mut service = ProviderLayer::new().include_usage(true).layer(server);
    let mut request = Request::post("/v1/chat/completions")
        .body(Full::new(Bytes::copy_from_slice(body)))
        .unwrap();
    request
        .extensions_mut()
        .insert(Provider::ollama().model(model));
    block_on(service.call(request)).expect("the server answers");
    let sent = sent.lock().unwrap();
    sent.clone()
}
