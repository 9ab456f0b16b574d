//! What comes over a socket that is no honest request.

use provider_simulator::Simulator;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig::{Rig, chat, error, within};

fn status(answer: &str) -> &str {
    answer
        .strip_prefix("HTTP/1.1 ")
        .map_or(answer, |rest| &rest[..3])
}

/// The error in an answer that was read as it came.
fn code(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    body["error"]["code"].clone()
}

#[tokio::test]
async fn a_body_of_a_hundred_megabytes_is_refused_and_its_sender_gets_to_know() {
    let rig = Rig::new().await;
    let body = vec![b' '; 100 << 20];
    let request = rig.client.post(format!("{}/v1/chat/completions", rig.url));
    let told = error(within(request.body(body.clone()).send()).await.unwrap()).await;
    assert_eq!(told, (413, "request_too_large".to_owned()));
    let parts = body
        .chunks(1 << 16)
        .map(|part| Ok::<_, std::io::Error>(part.to_vec()));
    let stream = futures::stream::iter(parts.collect::<Vec<_>>());
    let request = rig.client.post(format!("{}/v1/chat/completions", rig.url));
    let request = request.body(reqwest::Body::wrap_stream(stream));
    let told = error(within(request.send()).await.unwrap()).await;
    assert_eq!(
        told,
        (413, "request_too_large".to_owned()),
        "without a length, too"
    );
}

/// A connection that is closed while bytes are still on their way is reset, and with it goes the answer: RFC 9112, 9.6.
#[tokio::test]
async fn who_sends_all_before_he_reads_gets_his_answer_too() {
    let rig = Rig::new().await;
    let head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: 104857600\r\n\r\n";
    let mut bytes = head.to_vec();
    bytes.resize(head.len() + (100 << 20), b' ');
    let answer = rig.raw(&bytes).await;
    assert_eq!(
        (status(&answer), code(&answer)),
        ("413", "request_too_large".into())
    );
}

#[tokio::test]
async fn who_asks_before_he_sends_is_told_at_once() {
    let rig = Rig::new().await;
    let answer = rig.raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: 104857600\r\n\r\n").await;
    assert_eq!(
        (status(&answer), code(&answer)),
        ("413", "request_too_large".into())
    );
}

#[tokio::test]
async fn a_body_as_large_as_allowed_is_taken_and_one_byte_more_is_not() {
    let variables = [("GATEWAY_MAX_BODY_BYTES", "1000")];
    let rig = Rig::with(&variables, Simulator::groq(), |it| it).await;
    for (length, status) in [(1_000, 200), (1_001, 413)] {
        let mut body = chat().to_string();
        body.push_str(&" ".repeat(length - body.len()));
        let request = rig.client.post(format!("{}/v1/chat/completions", rig.url));
        assert_eq!(
            within(request.body(body).send()).await.unwrap().status(),
            status
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let variables = [("GATEWAY_BODY_SECONDS", "1")];
    let rig = Rig::with(&variables, Simulator::groq(), |it| it).await;
    let answer = rig
        .raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 50\r\n\r\n{")
        .await;
    assert_eq!((status(&answer), code(&answer)), ("408", "timeout".into()));
}

/// Slowloris: a head that never ends.
#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let variables = [("GATEWAY_BODY_SECONDS", "1")];
    let rig = Rig::with(&variables, Simulator::groq(), |it| it).await;
    for head in [&b"POST /v1/chat"[..], b""] {
        let answer = rig.raw(head).await;
        assert!(["408", ""].contains(&status(&answer)), "{answer}");
    }
}

#[tokio::test]
async fn who_goes_away_in_the_middle_leaves_nothing_behind() {
    let rig = Rig::new().await;
    for sent in [
        &b"POST"[..],
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 50\r\n\r\n{\"mo",
    ] {
        let mut stream = rig.connect().await;
        stream.write_all(sent).await.unwrap();
        drop(stream);
    }
    assert_eq!(rig.chat(&chat()).await.status(), 200);
    assert_eq!(rig.groq.counts().received, 1);
}

#[tokio::test]
async fn a_bomb_of_header_fields_is_refused() {
    let rig = Rig::new().await;
    let many: String = (0..1_000)
        .map(|number| format!("x-{number}: y\r\n"))
        .collect();
    let long = format!("x-long: {}\r\n", "y".repeat(1 << 20));
    for fields in [many, long] {
        let head = format!("GET /healthz HTTP/1.1\r\nhost: g\r\n{fields}\r\n");
        let answer = rig.raw(head.as_bytes()).await;
        assert!(
            ["431", ""].contains(&status(&answer)),
            "{}",
            status(&answer)
        );
    }
    assert_eq!(rig.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let rig = Rig::new().await;
    for bytes in [&b"\0\0\0\0"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/9.9\r\n\r\n", b"GET /\xff HTTP/1.1\r\nhost: g\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n{}  "] {
        let answer = rig.raw(bytes).await;
        assert!(["400", ""].contains(&status(&answer)), "{answer}");
    }
}

#[tokio::test]
async fn a_path_is_a_path_and_nothing_else() {
    let rig = Rig::new().await;
    for path in [
        "/v1/../admin/state",
        "/v1/%2e%2e/admin/state",
        "//admin/state",
        "/admin/state/",
        "/admin%2fstate",
        "/ADMIN/state",
        "/v1/chat/completions/",
        "/v1/chat/completions%00",
        "/page.html",
        "/../../../../etc/passwd",
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n");
        let answer = rig.raw(head.as_bytes()).await;
        assert_eq!(
            (status(&answer), code(&answer)),
            ("404", "not_found".into()),
            "{path}"
        );
    }
    let answer = rig
        .raw(b"GET http://elsewhere/admin/state HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(
        status(&answer),
        "401",
        "the route is asked for its token however it is written"
    );
}

/// Two requests in one: where a proxy in front and the gateway disagree on where the first ends, the second gets past it.
#[tokio::test]
async fn a_request_with_two_lengths_is_taken_as_one_or_not_at_all() {
    let rig = Rig::new().await;
    let answer = rig.raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /admin/state HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n").await;
    assert!(!answer.contains("upstreams"), "{answer}");
}

#[tokio::test]
async fn a_deep_body_is_no_deep_stack() {
    let rig = Rig::new().await;
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    let body =
        format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"x"}}],"x":{deep}}}"#);
    let request = rig.client.post(format!("{}/v1/chat/completions", rig.url));
    let status = within(request.body(body).send())
        .await
        .unwrap()
        .status()
        .as_u16();
    assert!([200, 400].contains(&status), "{status}");
    let mut stream = rig.connect().await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("ok"));
}
