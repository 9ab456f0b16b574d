//! The layer, on paused time.

use std::{convert::Infallible, io};

use bytes::Bytes;
use futures::{StreamExt, channel::mpsc, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};

use super::*;
use crate::{
    error::{BoxError, Error},
    outline::Outline,
    request::Cost,
    testing::settle,
};

type Echoed = Response<(Option<Cost>, Bytes)>;

/// Answers with what arrived.
async fn echo(request: Request<Full<Bytes>>) -> Result<Echoed, Infallible> {
    let cost = request.extensions().get().copied();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Ok(Response::new((cost, body)))
}

const CHAT: &str = r#"{"messages":[{"content":"four"}],"max_tokens":9}"#;

#[tokio::test(start_paused = true)]
async fn any_body_arrives_whole_and_with_its_cost() {
    let pieces = CHAT
        .as_bytes()
        .chunks(5)
        .map(|piece| Ok::<_, io::Error>(Frame::data(Bytes::from_static(piece))));
    let body = StreamBody::new(stream::iter(pieces.collect::<Vec<_>>()));
    let service = IntakeLayer::new().layer(service_fn(echo));
    let (cost, body) = service
        .oneshot(Request::new(body))
        .await
        .unwrap()
        .into_body();
    assert_eq!(body, CHAT);
    assert_eq!(cost, Some(Cost::tokens(1, 9)));
}

#[tokio::test(start_paused = true)]
async fn an_outline_of_another_body_is_not_gone_by() {
    let other = Bytes::from_static(br#"{"messages":[{"content":"a longer text"}]}"#);
    let mut request = Request::new(Full::<Bytes>::from(CHAT));
    request
        .extensions_mut()
        .insert(Outline::of(&other).unwrap());
    let service = IntakeLayer::new().layer(service_fn(echo));
    let (cost, _) = service.oneshot(request).await.unwrap().into_body();
    assert_eq!(cost, Some(Cost::tokens(1, 9)));
}

#[tokio::test(start_paused = true)]
async fn a_cost_that_the_caller_set_stays_and_what_is_no_json_has_none() {
    let service = IntakeLayer::new().layer(service_fn(echo));
    let mut request = Request::new(Full::<Bytes>::from(CHAT));
    request.extensions_mut().insert(Cost::tokens(1_000, 2_000));
    let (cost, _) = service.clone().oneshot(request).await.unwrap().into_body();
    assert_eq!(cost, Some(Cost::tokens(1_000, 2_000)));
    let (cost, body) = service
        .oneshot(Request::new("plain".to_owned()))
        .await
        .unwrap()
        .into_body();
    assert_eq!((cost, &body[..]), (None, &b"plain"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_or_breaks_sends_nothing() {
    let never = service_fn(|_: Request<Full<Bytes>>| async {
        if true {
            panic!("nothing may be sent");
        }
        Ok::<_, BoxError>(Response::new(()))
    });
    let service = IntakeLayer::new().max_body(4).layer(never);
    let error = service
        .clone()
        .oneshot(Request::new("12345".to_owned()))
        .await
        .unwrap_err();
    assert!(matches!(&error, Error::Body(_)), "{error:?}");
    assert!(error.is_unsent());
    let broken = StreamBody::new(stream::iter([Err::<Frame<Bytes>, _>(io::Error::from(
        io::ErrorKind::BrokenPipe,
    ))]));
    let error = service.oneshot(Request::new(broken)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Body(cause) if cause.is::<io::Error>()),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_readiness_is_held_while_a_body_arrives() {
    let (sender, receiver) = mpsc::unbounded::<Result<Frame<Bytes>, Infallible>>();
    let shared = ConcurrencyLimit::new(service_fn(echo), 1);
    let service = IntakeLayer::new().layer(shared.clone());
    let slow = tokio::spawn(service.oneshot(Request::new(StreamBody::new(receiver.boxed()))));
    settle().await;
    shared.oneshot(Request::new(Full::default())).await.unwrap();
    sender
        .unbounded_send(Ok(Frame::data(Bytes::from_static(b"late"))))
        .unwrap();
    drop(sender);
    assert_eq!(slow.await.unwrap().unwrap().into_body().1, "late");
}

#[tokio::test(start_paused = true)]
async fn the_service_that_was_made_ready_is_the_one_that_is_called() {
    let mut service = IntakeLayer::new().layer(ConcurrencyLimit::new(service_fn(echo), 1));
    let ready = ServiceExt::<Request<String>>::ready(&mut service)
        .await
        .unwrap();
    ready.call(Request::new("x".to_owned())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_estimate_of_ones_own_is_given_what_is_known_and_stands() {
    let intake = IntakeLayer::new().estimate(|head, body, by_rule| match head.uri.path() {
        "/chat" => by_rule.map(|cost| Cost::tokens(7, cost.output_tokens)),
        "/audio" => Some(Cost::tokens(body.len() as u64, 0)),
        _ => None,
    });
    let service = intake.layer(service_fn(echo));
    let cost_at = async |path: &str, cost: Option<Cost>, body: &str| {
        let mut request = Request::post(path).body(body.to_owned()).unwrap();
        if let Some(cost) = cost {
            request.extensions_mut().insert(cost);
        }
        let answer = service.clone().oneshot(request).await.unwrap();
        let (cost, arrived) = answer.into_body();
        assert_eq!(arrived, body);
        cost
    };
    assert_eq!(cost_at("/chat", None, CHAT).await, Some(Cost::tokens(7, 9)));
    assert_eq!(cost_at("/chat", None, "no JSON").await, None);
    let audio = Some(Cost::tokens(5, 0));
    assert_eq!(cost_at("/audio", None, "RIFF!").await, audio);
    assert_eq!(cost_at("/other", None, CHAT).await, None);
    let own = Some(Cost::tokens(1, 1));
    assert_eq!(cost_at("/chat", own, CHAT).await, own);
}

/// https://docs.claude.com/en/docs/build-with-claude/token-counting: it is free, and has a limit of its own that counts requests.
#[tokio::test(start_paused = true)]
async fn to_count_tokens_costs_a_request_and_none_of_them() {
    let by_rule = IntakeLayer::new();
    let own = IntakeLayer::new().estimate(|_, _, _| Some(Cost::tokens(60_000, 0)));
    for layer in [by_rule, own] {
        for (path, counts) in [
            ("/v1/messages/count_tokens", true),
            ("/v1/responses/input_tokens", true),
            ("/v1beta/models/gemini-x:countTokens", true),
            ("/tokenize", true),
            (
                "/v1/publishers/anthropic/models/count-tokens:rawPredict",
                true,
            ),
            ("/v1/messages", false),
        ] {
            let service = layer.clone().layer(service_fn(echo));
            let request = Request::post(path).body(CHAT.to_owned()).unwrap();
            let (cost, _) = service.oneshot(request).await.unwrap().into_body();
            let is_free = cost == Some(Cost::default());
            assert_eq!(is_free, counts, "{path} {cost:?}");
        }
    }
}
