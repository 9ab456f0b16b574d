//! What an observer is told.

use std::sync::Mutex;

use super::*;
use crate::observe::EventRecord;

/// The lines of all that is told, without their time.
fn told(limiter: RateLimiter) -> (RateLimiter, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    let limiter = limiter.observe(move |event: &Event<'_>| {
        let line = EventRecord::new(event, std::time::UNIX_EPOCH).to_string();
        let fields = line.split_once(r#","event":"#).unwrap().1;
        log.lock().unwrap().push(fields.replace('"', ""));
    });
    (limiter, lines)
}

fn of_tokens(tokens: u64) -> Request<()> {
    let mut request = request();
    request.extensions_mut().insert(Cost::tokens(tokens, 0));
    request
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_the_limit_and_ends_as_admitted_or_as_one_who_left() {
    let quota = Quota::new()
        .limit(Limit::requests(9).per_minute())
        .limit(Limit::tokens(100).per_minute());
    let (limiter, lines) = told(limiter(quota));
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = RateLimitLayer::new(limiter).layer(inner);
    service.clone().oneshot(of_tokens(80)).await.unwrap();
    let mut leaves = Box::pin(service.clone().oneshot(of_tokens(30)));
    assert!((&mut leaves).now_or_never().is_none());
    let stays = tokio::spawn(service.clone().oneshot(of_tokens(40)));
    settle().await;
    tokio::time::advance(ms(1_000)).await;
    settle().await;
    drop(leaves);
    stays.await.unwrap().unwrap();
    let tokens = "limit:100 tokens per 60s";
    assert_eq!(
        *lines.lock().unwrap(),
        [
            format!(
                "admitted,key:,waited_s:0,limits:[{{capacity:9,limit:9 requests per 60s,used:1}},{{capacity:100,{tokens},used:80}}]}}"
            ),
            format!("queued,key:,{tokens},wait_s:60}}"),
            format!("queued,key:,{tokens},wait_s:60}}"),
            "left,key:,waited_s:1}".to_owned(),
            format!(
                "admitted,key:,waited_s:60,limits:[{{capacity:9,limit:9 requests per 60s,used:1}},{{capacity:100,{tokens},used:40}}]}}"
            ),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn who_comes_when_the_one_before_has_ended_does_not_wait_for_him() {
    let quota = Quota::new().max_concurrent(1);
    let (limiter, lines) = told(limiter(quota));
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = RateLimitLayer::new(limiter).layer(inner);
    for _ in 0..3 {
        let answer = service.clone().oneshot(request()).await.unwrap();
        answer.collect().await.unwrap();
    }
    let admitted = "admitted,key:,waited_s:0,limits:[]}";
    assert_eq!(*lines.lock().unwrap(), [admitted; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_limit_that_is_too_small() {
    let quota = Quota::new().limit(Limit::tokens(100).per_minute());
    let (limiter, lines) = told(limiter(quota));
    let inner = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(answer(200)) });
    let service = RateLimitLayer::new(limiter).layer(inner);
    service.oneshot(of_tokens(101)).await.unwrap_err();
    assert_eq!(
        *lines.lock().unwrap(),
        ["refused,key:,reason:too_large,limit:100 tokens per 60s}"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_an_answer_tells_is_told_when_it_is_new_and_when_less_is_left_of_it() {
    let (limiter, lines) = told(RateLimiter::default());
    let mut left = [40, 39, 20].into_iter();
    let left = Arc::new(Mutex::new(move || left.next().unwrap()));
    let inner = service_fn(move |_: Request<()>| {
        let mut answer = answer(200);
        let headers = answer.headers_mut();
        headers.insert("x-ratelimit-limit-requests-minute", 50.into());
        headers.insert(
            "x-ratelimit-remaining-requests-minute",
            left.lock().unwrap()().into(),
        );
        async { Ok::<_, BoxError>(answer) }
    });
    let service = RateLimitLayer::new(limiter).layer(inner);
    for _ in 0..3 {
        service.clone().oneshot(request()).await.unwrap();
    }
    let lines = lines.lock().unwrap();
    let learned: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("learned"))
        .collect();
    let of = "learned,key:,dimension:requests,per_s:60,amount:50";
    // The second answer counts its own request alone: that is known here.
    assert_eq!(
        learned,
        [
            &format!("{of},remaining:40,is_new:true}}"),
            &format!("{of},remaining:20,is_new:false}}"),
        ]
    );
}

/// It was not told whether the limiter's longest wait or the request's own deadline had cut the wait, nor how long that was.
#[tokio::test(start_paused = true)]
async fn a_refusal_for_the_wait_tells_whose_patience_it_was_and_how_long() {
    let (max_wait, deadline) = (ms(30_000), ms(20_000));
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let lines = told.clone();
    let observer = move |event: &Event<'_>| {
        if let Event::Refused { .. } = event {
            lines.lock().unwrap().push(event.to_string());
        }
    };
    // The end of the wait is known in a window, and behind a cap it is not.
    for quota in [
        Quota::new().limit(Limit::requests(1).per_minute()),
        Quota::new().max_concurrent(1),
    ] {
        let (client, mut server) = client();
        server.allow(9);
        let limiter = limiter(quota).max_wait(max_wait).observe(observer.clone());
        let service = limited(client, &limiter);
        let mut first = Box::pin(service.clone().oneshot(request()));
        assert!((&mut first).now_or_never().is_none());
        for is_hurried in [false, true] {
            let mut request = request();
            let ends = TokioClock.now() + deadline;
            if is_hurried {
                request.extensions_mut().insert(Deadline(ends));
            }
            service.clone().oneshot(request).await.unwrap_err();
        }
    }
    let of_window = r#"refused key="" reason="wait_too_long" limit="1 request per 60s" wait_s=60"#;
    let of_cap = r#"refused key="" reason="wait_too_long" limit="1 at a time""#;
    let wanted = [
        format!(r#"{of_window} patience="max_wait" patience_s=30"#),
        format!(r#"{of_window} patience="deadline" patience_s=20"#),
        format!(r#"{of_cap} patience="max_wait" patience_s=30"#),
        format!(r#"{of_cap} patience="deadline" patience_s=20"#),
    ];
    assert_eq!(*told.lock().unwrap(), wanted);
}
