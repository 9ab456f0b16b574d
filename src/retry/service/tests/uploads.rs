//! Bodies that stream, and such as are sent once.

use super::*;
use crate::body::{Once, ReplayBody};

/// A client that reads so much of each body, and then answers.
fn reading<B>(
    pieces: usize,
    answers: &'static [u16],
) -> impl Service<Request<B>, Response = Answer, Error = Infallible> + Clone
where
    B: Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
{
    let (calls, _) = scripted(answers);
    service_fn(move |mut request: Request<B>| {
        let call = calls.fetch_add(1, Ordering::Relaxed) as usize;
        async move {
            let mut read = String::new();
            for _ in 0..pieces {
                let Some(frame) = request.body_mut().frame().await else {
                    break;
                };
                let bytes = frame.unwrap().into_data().unwrap();
                read += std::str::from_utf8(&bytes).unwrap();
            }
            let mut answer = answer(answers[call]);
            *answer.body_mut() = read;
            Ok(answer)
        }
    })
}

fn upload(
    pieces: &[&'static str],
    cap: usize,
) -> Request<ReplayBody<impl Body<Data = Bytes, Error = Infallible> + use<>>> {
    let frames: Vec<_> = pieces
        .iter()
        .map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece.as_bytes()))))
        .collect();
    let body = http_body_util::StreamBody::new(futures::stream::iter(frames));
    Request::put("http://example.com/a")
        .body(ReplayBody::new(body, cap))
        .unwrap()
}

/// PITFALLS 26. RT-47 does not repeat after an early response, for its source may still send; ours goes on with what comes.
#[tokio::test(start_paused = true)]
async fn an_early_answer_is_retried_and_the_rest_of_the_body_follows() {
    let pieces = ["one ", "two ", "three"];
    for (read, expected) in [(0, ""), (1, "one "), (9, "one two three")] {
        let service = layer(policy()).layer(reading(read, &[503, 200]));
        let response = service.oneshot(upload(&pieces, 100)).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &**response.body()),
            (200, expected)
        );
    }
}

/// PITFALLS 26: what cannot be sent again is sent once, whole, and the first answer stands.
#[tokio::test(start_paused = true)]
async fn a_body_past_the_cap_or_without_copies_is_sent_once() {
    let (past_the_cap, told) = observed(policy());
    let service = past_the_cap.layer(reading(9, &[503]));
    let response = service
        .oneshot(upload(&["12345678", "9"], 8))
        .await
        .unwrap();
    assert_eq!(
        (response.status().as_u16(), &**response.body()),
        (503, "123456789")
    );
    assert_eq!(
        *told.lock().unwrap(),
        [" 1 overloaded: the body cannot be sent again"]
    );

    let service = layer(policy()).layer(reading(9, &[503]));
    let once = Request::put("http://a/")
        .body(Once::new(Full::from("all of it")))
        .unwrap();
    let response = service.oneshot(once).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &**response.body()),
        (503, "all of it")
    );
}
