use std::time::Duration;

use provider_simulator::{Limits, Reply, Simulator};
use tokio::{net::TcpStream, time::sleep};

use crate::client::{Client, MODEL, chat};

#[tokio::test]
async fn while_it_is_down_connecting_is_refused_and_quotas_survive() {
    let groq = Simulator::groq().model(MODEL, Limits::new().requests_per_day(2));
    let groq = groq.start().await.unwrap();
    let client = Client::new();
    let address = groq.address();
    assert_eq!(client.chat(&groq, chat(1)).await.status, 200);
    for _ in 0..3 {
        groq.go_down().await;
        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(client.try_chat(&groq).await.is_err());
        groq.come_back().await.unwrap();
        groq.come_back().await.unwrap();
    }
    assert_eq!(client.chat(&groq, chat(1)).await.status, 200);
    assert_eq!(client.chat(&groq, chat(1)).await.status, 429);
    assert_eq!((groq.address(), groq.counts().received), (address, 3));
}

#[tokio::test]
async fn going_down_cuts_what_is_being_answered() {
    let openai = Simulator::openai()
        .latency(Duration::from_secs(60))
        .start()
        .await
        .unwrap();
    for client in [Client::new(), Client::http2()] {
        openai.script([Reply::Answer, Reply::Stall]);
        let (answered, stalled, ()) =
            tokio::join!(client.try_chat(&openai), client.try_chat(&openai), async {
                sleep(Duration::from_millis(150)).await;
                assert_eq!(openai.counts().in_flight, 2);
                openai.go_down().await;
            });
        assert!(answered.is_err() && stalled.is_err());
        sleep(Duration::from_millis(10)).await;
        openai.come_back().await.unwrap();
    }
    let counts = openai.counts();
    assert_eq!(
        (counts.abandoned, counts.failed, counts.in_flight),
        (2, 2, 0)
    );
}

#[tokio::test]
async fn dropping_it_stops_it() {
    let ollama = Simulator::ollama().start().await.unwrap();
    let address = ollama.address();
    TcpStream::connect(address).await.unwrap();
    drop(ollama);
    sleep(Duration::from_millis(10)).await;
    TcpStream::connect(address).await.unwrap_err();
}
