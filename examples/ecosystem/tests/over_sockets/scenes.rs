//! What must hold over every client.

use http_body_util::BodyExt;
use provider_simulator::{Reply, Simulator};
use tower::ServiceExt;
use tower_upstream::{CircuitState, Error, FailureKind, Limit};

use super::rig::{
    Front, GROQ, LONG, OPENAI, Rig, ask, at_once, chat, leave_when, ms, post, send, send_and_tell,
    streamed, until,
};

pub(crate) type Client = fn(&Rig) -> Front;

pub(crate) async fn answers_come_back_whole(client: Client) {
    let rig = Rig::new().await;
    let answer = ask(&client(&rig), &chat()).await.unwrap();
    assert_eq!((answer.status, &*answer.served_by), (200, GROQ));
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["object"], "chat.completion");
    let received = &rig.groq.log()[0];
    let sent: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(
        (&sent["model"], &sent["max_tokens"]),
        (&"small".into(), &16.into())
    );
    assert_eq!(
        received.authorization.as_deref(),
        Some("Bearer a-key-for-tests")
    );
    assert_eq!(rig.occupied(GROQ), (0, 0));
}

/// The first event is read while the last is far from being sent.
pub(crate) async fn streams_come_as_they_are_sent(client: Client) {
    let slow = Simulator::groq().chunk_interval(ms(20));
    let rig = Rig::with(slow, at_once(4)).await;
    let mut response = send(&client(&rig), &streamed()).await.unwrap();
    let first = response.body_mut().frame().await.unwrap().unwrap();
    assert!(first.is_data());
    assert_eq!(rig.groq.counts().in_flight, 1, "it is still being sent");
    assert_eq!(
        rig.occupied(GROQ),
        (1, 0),
        "a request lasts as long as its body"
    );
    let rest = response.into_body().collect().await.unwrap().to_bytes();
    assert!(rest.ends_with(b"data: [DONE]\n\n"), "{rest:?}");
    assert_eq!(rig.occupied(GROQ), (0, 0));
    let counts = rig.groq.counts();
    let used = rig.limiter.status(GROQ).limits[0].used;
    assert_eq!(used, counts.input_tokens + counts.output_tokens, "settled");
}

pub(crate) async fn a_refusal_sends_nothing(client: Client) {
    let rig = Rig::with(Simulator::groq(), |quota| {
        quota.limit(Limit::requests(1).per_hour())
    })
    .await;
    let front = client(&rig);
    let mut served_by = Vec::new();
    for _ in 0..2 {
        served_by.push(ask(&front, &chat()).await.unwrap().served_by);
    }
    assert_eq!(
        served_by,
        [GROQ, OPENAI],
        "who is refused here turns to the next"
    );
    let error = ask(&front, &chat()).await.err().expect("both are used up");
    let Error::Exhausted(exhausted) = &error else {
        panic!("{error:?}");
    };
    assert!(exhausted.is_rate_limited());
    assert!(error.retry_after() > Some(ms(3_590_000)), "{error:?}");
    assert_eq!(
        (rig.groq.counts().received, rig.openai.counts().received),
        (1, 1)
    );
}

/// The error is one of ours, with its ledger, through whatever stands around the layers.
pub(crate) async fn what_the_layers_say_comes_out_as_it_is(client: Client) {
    let rig = Rig::with(Simulator::groq(), |quota| quota.max_tokens_per_request(20)).await;
    let mut chat = chat();
    chat["max_tokens"] = 500.into();
    let error = ask(&client(&rig), &chat)
        .await
        .err()
        .expect("too large for both");
    let ledger = match &error {
        Error::Exhausted(exhausted) => exhausted.attempts.clone(),
        other => panic!("{other:?}"),
    };
    assert!(!ledger.is_empty());
    for attempt in ledger {
        assert_eq!(attempt.failure.kind, FailureKind::RequestTooLarge);
    }
    assert_eq!(rig.groq.counts().received + rig.openai.counts().received, 0);
}

pub(crate) async fn failures_are_tried_again(client: Client) {
    let rig = Rig::new().await;
    rig.groq.script([Reply::Overloaded, Reply::Status(500)]);
    let (response, failed) = send_and_tell(&client(&rig), &chat()).await.unwrap();
    let kinds: Vec<_> = failed.iter().map(|attempt| attempt.failure.kind).collect();
    assert_eq!(kinds, [FailureKind::Overloaded, FailureKind::ServerError]);
    assert_eq!(response.status(), 200);
    assert_eq!(rig.groq.counts().received, 3);
}

pub(crate) async fn an_error_event_is_tried_again(client: Client) {
    let rig = Rig::new().await;
    rig.groq.script([Reply::ErrorEvent]);
    let answer = ask(&client(&rig), &streamed()).await.unwrap();
    assert_eq!((answer.status, &*answer.served_by), (200, GROQ));
    assert!(answer.body.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(rig.groq.counts().received, 2);
}

pub(crate) async fn the_next_provider_answers(client: Client) {
    let rig = Rig::new().await;
    rig.groq.script([Reply::Quota]);
    let front = client(&rig);
    for chat in [chat(), streamed()] {
        let answer = ask(&front, &chat).await.unwrap();
        assert_eq!((answer.status, &*answer.served_by), (200, OPENAI));
    }
    assert_eq!(rig.groq.counts().received, 1, "it is left alone");
    assert_eq!(rig.cooldowns.list().len(), 1);
}

/// Nothing was sent, so the quota is whole; and what the client said of it is in the ledger.
pub(crate) async fn a_connection_that_is_refused_costs_nothing(client: Client) {
    let rig = Rig::with(Simulator::groq(), at_once(4)).await;
    rig.groq.go_down().await;
    let (response, failed) = send_and_tell(&client(&rig), &chat()).await.unwrap();
    assert_eq!(response.status(), 200, "from the other one");
    assert_eq!(failed[0].failure.kind, FailureKind::Transport);
    let message = failed[0].failure.message.as_deref().unwrap();
    assert!(message.to_lowercase().contains("refused"), "{message}");
    let status = rig.limiter.status(GROQ);
    assert_eq!((status.in_flight, status.limits[0].used), (0, 0));
}

pub(crate) async fn a_body_that_breaks_is_an_error(client: Client) {
    let rig = Rig::new().await;
    rig.groq.script([Reply::CutBody]);
    let response = send(&client(&rig), &streamed()).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap_err();
    assert_eq!(rig.occupied(GROQ), (0, 0));
    let metrics = rig.breaker.metrics(GROQ).unwrap();
    assert_eq!((metrics.calls, metrics.failures), (1, 1));
}

pub(crate) async fn who_leaves_in_flight_closes_the_connection(client: Client) {
    let slow = Simulator::groq().latency(LONG);
    let rig = Rig::with(slow, at_once(1)).await;
    let front = client(&rig);
    let is_sent = || rig.groq.counts().in_flight == 1;
    leave_when(ask(&front, &chat()), is_sent).await;
    assert_eq!(rig.occupied(GROQ), (0, 0));
    assert_eq!(rig.breaker.state(GROQ), CircuitState::Closed);
    until(|| rig.groq.counts().abandoned == 1).await;
    assert_eq!(rig.groq.counts().received, 1);
}

pub(crate) async fn who_leaves_in_the_body_closes_the_connection(client: Client) {
    let slow = Simulator::groq()
        .chunk_interval(ms(20))
        .completion_tokens(1_000);
    let rig = Rig::with(slow, at_once(1)).await;
    let mut chat = streamed();
    chat["max_tokens"] = 1_000.into();
    let mut response = send(&client(&rig), &chat).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(rig.occupied(GROQ), (1, 0));
    drop(response);
    assert_eq!(rig.occupied(GROQ), (0, 0));
    until(|| rig.groq.counts().in_flight == 0).await;
}

pub(crate) async fn who_leaves_the_queue_was_never_there(client: Client) {
    let slow = Simulator::groq().latency(ms(200));
    let rig = Rig::with(slow, at_once(1)).await;
    let front = client(&rig);
    let second = async {
        until(|| rig.groq.counts().in_flight == 1).await;
        let waits = || rig.occupied(GROQ) == (1, 1);
        leave_when(front.clone().oneshot(post(&chat())), waits).await;
        assert_eq!(rig.occupied(GROQ), (1, 0));
    };
    let question = chat();
    let (first, ()) = tokio::join!(ask(&front, &question), second);
    assert_eq!(first.unwrap().status, 200);
    assert_eq!(rig.groq.counts().received, 1);
}

pub(crate) async fn a_hundred_at_once_are_all_answered(client: Client) {
    let rig = Rig::with(Simulator::groq(), at_once(8)).await;
    let front = client(&rig);
    let question = chat();
    let calls = (0..100).map(|_| ask(&front, &question));
    let answers = futures::future::join_all(calls).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap().status == 200)
    );
    let counts = [rig.groq.counts(), rig.openai.counts()];
    assert_eq!(
        counts.map(|counts| counts.received).iter().sum::<u64>(),
        100
    );
    assert!(counts[0].peak_in_flight <= 8);
}
