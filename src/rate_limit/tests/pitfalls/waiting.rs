//! What is easily got wrong of waiting.

use super::*;

// PITFALLS 8: a permit that was due exactly at the timeout was refused.
#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_with_patience_is_waited_and_one_nanosecond_more_is_not() {
    let limiter = one_a_minute().max_wait(ms(60_000));
    let service = service(&limiter, || answer(200));
    service.clone().oneshot(request()).await.unwrap();
    let start = TokioClock.now();
    let mut impatient = request();
    let a_little_less = ms(60_000) - std::time::Duration::from_nanos(1);
    impatient
        .extensions_mut()
        .insert(Deadline(start + a_little_less));
    let error = service.clone().oneshot(impatient).await.unwrap_err();
    assert_eq!(
        (error.retry_after(), TokioClock.now()),
        (Some(ms(60_000)), start)
    );
    service.oneshot(request()).await.unwrap();
    assert_eq!(TokioClock.now(), start + ms(60_000));
}

// PITFALLS 58: liter-llm's waiters did not see one another's debt, and 100 callers at one a second were done in one.
#[tokio::test(start_paused = true)]
async fn a_hundred_callers_at_one_a_second_take_99_seconds() {
    let limiter = limiter(Quota::new().limit(Limit::requests(1).per_second()));
    let service = service(&limiter, || answer(200));
    let start = TokioClock.now();
    let calls = (0..100).map(|_| service.clone().oneshot(request()));
    for (second, answer) in (0..)
        .zip(join_all(calls.map(|call| async { (call.await.is_ok(), TokioClock.now()) })).await)
    {
        let (is_served, at) = answer;
        assert!(is_served && at >= start + ms(second * 1_000), "{second}");
    }
    assert!(TokioClock.now() - start < ms(99_100));
}

// PITFALLS 7: governor's waiters were each woken 201 times for 400 of them; see also `each_waiter_is_woken_at_most_twice`.
#[tokio::test(start_paused = true)]
async fn only_the_first_of_the_queue_sleeps_for_a_time() {
    let clock = ManualClock::new();
    let limiter = limiter(Quota::new().limit(Limit::requests(1).per_second())).clock(clock.clone());
    let service = service(&limiter, || answer(200));
    let mut calls: futures::stream::FuturesUnordered<_> = (0..50)
        .map(|_| service.clone().oneshot(request()))
        .collect();
    calls.next().await.unwrap().unwrap();
    assert!(calls.next().now_or_never().is_none());
    assert_eq!((clock.sleepers(), limiter.status("").queued), (1, 49));
}
