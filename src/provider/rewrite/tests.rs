//! What a provider gets of a request.

use http::header::CONTENT_TYPE;

use super::*;

fn addressed(mut request: Request<Full<Bytes>>, upstream: &Upstream) -> (Uri, HeaderMap, Bytes) {
    address(&mut request, upstream, false);
    let (parts, body) = request.into_parts();
    (parts.uri, parts.headers, bytes_of(body))
}

fn uri(upstream: &Upstream, requested: &str) -> String {
    let request = Request::post(requested).body(Full::default()).unwrap();
    addressed(request, upstream).0.to_string()
}

#[test]
fn the_path_goes_below_the_base_url_whatever_prefix_the_caller_used() {
    let upstream = Provider::groq().model("m");
    for path in [
        "/v1/chat/completions",
        "/chat/completions",
        "/openai/v1/chat/completions",
        "http://localhost/v1/chat/completions",
    ] {
        assert_eq!(
            uri(&upstream, path),
            "https://api.groq.com/openai/v1/chat/completions",
            "{path}"
        );
    }
    let odd = uri(&upstream, "/v10/x?a=1&key=secret&b=2");
    assert_eq!(odd, "https://api.groq.com/openai/v1/v10/x?a=1&b=2");
}

#[test]
fn azure_has_the_deployment_in_the_path_and_its_version_in_the_query() {
    let azure = Provider::azure("https://mine.openai.azure.com/", "2024-10-21")
        .unwrap()
        .key("mine")
        .unwrap();
    let upstream = azure.model("my gpt");
    assert_eq!(
        uri(&upstream, "/v1/chat/completions?api-version=old&x=1"),
        "https://mine.openai.azure.com/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21&x=1"
    );
    let request = Request::post("/v1/chat/completions")
        .body(Full::default())
        .unwrap();
    let (_, headers, _) = addressed(request, &upstream);
    assert_eq!(headers["api-key"], "mine");
    assert!(!headers.contains_key(AUTHORIZATION));
}

/// https://learn.microsoft.com/azure/ai-foundry/openai/reference: of all operations, those that a model answers at once are asked of
/// its deployment. A user's test: `/openai/deployments/NAME/responses` is none.
#[test]
fn azure_has_other_operations_beside_its_deployments() {
    let azure = Provider::azure("https://mine.openai.azure.com", "2025-04-01-preview").unwrap();
    let (upstream, bare) = (azure.model("dep"), Upstream::from(azure));
    for (requested, expected) in [
        ("/v1/completions", "deployments/dep/completions"),
        ("/v1/embeddings", "deployments/dep/embeddings"),
        ("/v1/images/edits", "deployments/dep/images/edits"),
        (
            "/v1/audio/transcriptions",
            "deployments/dep/audio/transcriptions",
        ),
        ("/v1/responses", "responses"),
        ("/v1/responses/resp_1/cancel", "responses/resp_1/cancel"),
        ("/v1/files", "files"),
        ("/files/file-1/content", "files/file-1/content"),
        ("/v1/batches", "batches"),
        ("/v1/models", "models"),
        ("/v1/threads/t/runs", "threads/t/runs"),
        ("/v1/vector_stores", "vector_stores"),
        // As who spoke to Azure before writes it.
        ("/openai/responses", "responses"),
        ("/openai/v1/responses", "responses"),
        (
            "/openai/chat/completions",
            "deployments/dep/chat/completions",
        ),
        (
            "/openai/deployments/other/chat/completions",
            "deployments/dep/chat/completions",
        ),
    ] {
        assert_eq!(
            uri(&upstream, requested),
            format!(
                "https://mine.openai.azure.com/openai/{expected}?api-version=2025-04-01-preview"
            ),
            "{requested}"
        );
    }
    assert_eq!(
        uri(&bare, "/openai/deployments/own/embeddings"),
        "https://mine.openai.azure.com/openai/deployments/own/embeddings?api-version=2025-04-01-preview"
    );
}

#[test]
fn anthropic_takes_the_key_in_its_own_field_below_messages_and_as_a_token_elsewhere() {
    let upstream = Provider::anthropic().key("mine").unwrap().model("m");
    let headers = |path: &str| {
        let request = Request::post(path).body(Full::default()).unwrap();
        addressed(request, &upstream).1
    };
    let native = headers("/v1/messages");
    assert_eq!(native["x-api-key"], "mine");
    assert_eq!(native["anthropic-version"], "2023-06-01");
    assert!(!native.contains_key(AUTHORIZATION));
    let compatible = headers("/v1/chat/completions");
    assert_eq!(compatible[AUTHORIZATION], "Bearer mine");
    assert!(!compatible.contains_key("x-api-key"));
}

#[test]
fn credentials_of_somebody_else_go_and_the_provider_s_own_come() {
    let mut secret = HeaderValue::from_static("other");
    secret.set_sensitive(true);
    let request = Request::post("/v1/chat/completions")
        .header(HOST, "localhost")
        .header(AUTHORIZATION, "Bearer other")
        .header("x-api-key", "other")
        .header("Openai-Organization", "other")
        .header("x-session", secret)
        .header("x-trace", "stays")
        .body(Full::default())
        .unwrap();
    let upstream = Provider::openai().key("mine").unwrap().model("m");
    let (_, headers, _) = addressed(request, &upstream);
    assert_eq!(headers.len(), 2);
    assert_eq!(headers["x-trace"], "stays");
    assert_eq!(headers[AUTHORIZATION], "Bearer mine");
    assert!(headers[AUTHORIZATION].is_sensitive());
}

#[test]
fn an_answer_is_not_asked_for_in_a_form_that_nobody_on_the_way_can_read() {
    let request = Request::post("/v1/chat/completions").header("accept-encoding", "gzip, br");
    let mut request = request.body(Full::default()).unwrap();
    address(&mut request, &Provider::openai().model("m"), false);
    assert!(!request.headers().contains_key("accept-encoding"));
}

#[test]
fn a_body_that_was_changed_since_it_was_read_is_read_anew() {
    let read = Bytes::from_static(br#"{"model":"x"}"#);
    let mut request = Request::post("/v1/x")
        .body(Full::from(r#"{"input":"of another length","model":"y"}"#))
        .unwrap();
    let outline = Outline::of(&read).unwrap();
    request.extensions_mut().insert(outline);
    let (_, _, body) = addressed(request, &Provider::ollama().model("m"));
    assert_eq!(body, r#"{"input":"of another length","model":"m"}"#);
}

#[test]
fn a_body_that_changes_its_length_loses_the_old_one() {
    let upstream = Provider::ollama().model("a-longer-name");
    let request = Request::post("/v1/x").header(CONTENT_LENGTH, "13");
    let (_, headers, body) = addressed(
        request.body(Full::from(r#"{"model":"x"}"#)).unwrap(),
        &upstream,
    );
    assert_eq!(body, r#"{"model":"a-longer-name"}"#);
    assert!(!headers.contains_key(CONTENT_LENGTH));
}

fn form_sent(content_type: &str, form: &str) -> (HeaderMap, String) {
    let upstream = Provider::groq().model("whisper-large-v3");
    let request = Request::post("/v1/audio/transcriptions")
        .header(CONTENT_TYPE, content_type)
        .header(CONTENT_LENGTH, form.len());
    let request = request.body(Full::from(form.to_owned())).unwrap();
    let (_, headers, body) = addressed(request, &upstream);
    (headers, String::from_utf8(body.to_vec()).unwrap())
}

/// A user's test: a transcription that was served elsewhere carried the model of the first upstream.
#[test]
fn the_model_in_a_form_is_that_of_the_upstream() {
    let form = |model: &str| {
        format!(
            "--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n\
             --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--B--\r\n"
        )
    };
    let (headers, body) = form_sent("multipart/form-data; boundary=B", &form("auto"));
    assert_eq!(body, form("whisper-large-v3"));
    assert!(!headers.contains_key(CONTENT_LENGTH));
    assert_eq!(headers[CONTENT_TYPE], "multipart/form-data; boundary=B");
    let (headers, _) = form_sent("multipart/form-data; boundary=B", &form("whisper-large-v3"));
    assert!(headers.contains_key(CONTENT_LENGTH), "nothing has changed");
}

/// https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
#[test]
fn what_is_for_the_next_hop_alone_goes_no_further() {
    let hops = [
        ("connection", "close, x-hop, authorization"),
        ("connection", "X-Other"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authorization", "Basic eDp5"),
        ("proxy-connection", "close"),
        ("te", "trailers"),
        ("trailer", "x-sum"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("expect", "100-continue"),
        ("x-hop", "1"),
        ("x-other", "1"),
    ];
    let mut request = Request::post("/v1/x").header("x-stays", "1");
    for (name, value) in hops {
        request = request.header(name, value);
    }
    let upstream = Provider::openai().key("mine").unwrap().model("m");
    let (_, headers, _) = addressed(request.body(Full::default()).unwrap(), &upstream);
    let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["authorization", "x-stays"]);
}
