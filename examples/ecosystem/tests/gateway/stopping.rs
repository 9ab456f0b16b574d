//! How it ends, and how it begins anew.

use std::io::Write;

use provider_simulator::{Limits, Simulator};
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::rig::{GROQ, LONG, OPENAI, Rig, chat, chat_of, ms, streamed, within};

#[tokio::test]
async fn a_stream_under_way_ends_whole_and_nobody_new_is_let_in() {
    let rig = Rig::with(&[], Simulator::groq().chunk_interval(ms(20)), |it| it).await;
    let idle = rig.connect().await;
    let mut response = rig.chat(&streamed()).await;
    let mut text = within(response.chunk()).await.unwrap().unwrap().to_vec();
    let events = rig.get("/events").await;
    let address = rig.address.clone();
    let (_, served, _simulators) = rig.stop();
    let mut chunks = 0;
    while let Some(chunk) = within(response.chunk()).await.unwrap() {
        text.extend(chunk);
        chunks += 1;
        assert!(
            chunks != 3 || !served.is_finished(),
            "it waits for the stream"
        );
    }
    assert!(text.ends_with(b"data: [DONE]\n\n"));
    within(events.text())
        .await
        .expect("a live page's events end, and do not break");
    drop(idle);
    assert!(within(served).await.unwrap(), "all have ended");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn whoever_has_connected_when_it_stops_is_answered() {
    let rig = Rig::new().await;
    // Without a pause: all are in the kernel's hands when it is told to stop.
    let call = |_| {
        let mut stream = std::net::TcpStream::connect(&rig.address).unwrap();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n")
            .unwrap();
        stream.set_nonblocking(true).unwrap();
        TcpStream::from_std(stream).unwrap()
    };
    let calls: Vec<_> = (0..120).map(call).collect();
    let (_, served, _simulators) = rig.stop();
    for mut call in calls {
        let mut answer = String::new();
        within(call.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.ends_with("ok"), "{answer:?}");
    }
    assert!(within(served).await.unwrap());
}

#[tokio::test]
async fn a_request_that_does_not_end_is_not_waited_for_for_ever() {
    let variables = [("GATEWAY_DRAIN_SECONDS", "1")];
    let rig = Rig::with(&variables, Simulator::groq().latency(LONG), |it| it).await;
    let request = rig
        .client
        .post(format!("{}/v1/chat/completions", rig.url))
        .json(&chat());
    let call = tokio::spawn(request.send());
    super::rig::until(|| rig.groq.counts().in_flight == 1).await;
    let (_, served, _simulators) = rig.stop();
    assert!(!within(served).await.unwrap(), "one is left");
    call.abort();
}

#[tokio::test]
async fn what_was_taken_of_a_quota_is_still_taken_after_a_restart() {
    let folder = std::env::temp_dir().join(format!("gateway-state-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("state.json");
    let variables = [("GATEWAY_STATE", file.to_str().unwrap())];
    // Of which no field tells beforehand.
    let groq = || Simulator::groq().model("small", Limits::new().tokens_per_day(20));
    let rig = Rig::with(&variables, groq(), |it| it).await;
    rig.chat(&chat_of("large")).await;
    assert_eq!(rig.chat(&chat()).await.headers()["x-served-by"], GROQ);
    assert_eq!(
        rig.chat(&chat()).await.headers()["x-served-by"],
        OPENAI,
        "the day is used up"
    );
    let (_, served, _) = rig.stop();
    assert!(within(served).await.unwrap());
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("\"cooldowns\":[{") && !text.contains("secret"),
        "{text}"
    );

    // Another process, with a simulator that remembers nothing.
    let rig = Rig::with(&variables, groq(), |it| it).await;
    assert_eq!(rig.chat(&chat()).await.headers()["x-served-by"], OPENAI);
    assert_eq!(rig.groq.counts().received, 0);
    std::fs::remove_dir_all(folder).unwrap();
}
