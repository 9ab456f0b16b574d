use proptest::prelude::*;

use super::*;
use crate::{
    clock::{Clock, TokioClock},
    retry::{Jitter, Schedule},
};
use FailureKind::{
    Auth, InvalidRequest, NotFound, Overloaded, QuotaExhausted, RateLimited, Refused, ServerError,
    Timeout, Transport,
};

/// A GET on its way, and a time that counts milliseconds from its beginning.
struct Bench {
    policy: RetryPolicy,
    state: State,
    idempotent: bool,
    start: Instant,
    random: fastrand::Rng,
}

impl Bench {
    fn new(policy: RetryPolicy) -> Self {
        Self::with(policy, true, Priority::Normal, None)
    }

    fn post(policy: RetryPolicy) -> Self {
        Self::with(policy, false, Priority::Normal, None)
    }

    fn with(
        policy: RetryPolicy,
        idempotent: bool,
        priority: Priority,
        deadline: Option<Duration>,
    ) -> Self {
        policy.check().unwrap();
        let start = TokioClock.now();
        let mut request = http::Request::new(());
        request.extensions_mut().insert(priority);
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(Deadline(start + deadline));
        }
        let state = State::new(&policy, Some(&RequestHead::of(&request)), start);
        let random = fastrand::Rng::with_seed(7);
        Self {
            policy,
            state,
            idempotent,
            start,
            random,
        }
    }

    fn decide(&mut self, mut failed: Failed<'_>, at: u64) -> Decision {
        let now = self.start + ms(at);
        failed.idempotent = self.idempotent;
        self.state
            .decide(&self.policy, &failed, &mut self.random, now)
    }

    /// The wait in milliseconds before the request is sent again, which it then is.
    fn wait(&mut self, failure: &Failure) -> u128 {
        match self.decide(failed(failure), 0) {
            Decision::RetryAt { wait, .. } => {
                self.state.resend();
                wait.as_millis()
            }
            other => panic!("{failure}: {other:?}"),
        }
    }

    fn verdict(mut self, failed: Failed<'_>) -> Decision {
        self.decide(failed, 0)
    }
}

fn policy() -> RetryPolicy {
    RetryPolicy::default().jitter(Jitter::None)
}

fn failed(failure: &Failure) -> Failed<'_> {
    Failed {
        failure,
        unprocessed: false,
        silent: false,
        idempotent: true,
        verdict: Verdict::AsUsual,
        replayable: true,
        ledger_allows: true,
        has_alternatives: false,
        refused_for: None,
    }
}

fn asking(kind: FailureKind, wait: Duration) -> Failure {
    Failure::new(kind).with_retry_after(wait)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn retries(decision: Decision) -> bool {
    matches!(decision, Decision::RetryAt { .. })
}

#[test]
fn what_another_attempt_can_cure_is_retried_and_nothing_else() {
    for kind in [RateLimited, Overloaded, ServerError, Timeout, Transport] {
        let failure = Failure::new(kind);
        assert!(
            retries(Bench::new(policy()).verdict(failed(&failure))),
            "{kind}"
        );
    }
    for kind in [Auth, InvalidRequest, NotFound, Refused] {
        let failure = Failure::new(kind);
        let decision = Bench::new(policy()).verdict(failed(&failure));
        assert_eq!(decision, Decision::Return, "{kind}");
    }
}

/// PITFALLS 22, 23. openai-python#1671: an empty account was retried to exhaustion. python-genai#2044: a quota per day came with a
/// `retryDelay` of 47 s, and the delay was believed.
#[test]
fn a_quota_that_waiting_cannot_bring_back_is_not_retried_whatever_its_hint() {
    for failure in [
        Failure::new(QuotaExhausted),
        asking(QuotaExhausted, ms(47_000)),
    ] {
        let decision = Bench::new(policy()).verdict(failed(&failure));
        assert_eq!(decision, Decision::Return);
    }
}

/// PITFALLS 29. tensorzero#3554.
#[test]
fn our_own_refusal_is_not_retried_even_if_it_says_when_to_come_back() {
    let mut refusal = asking(Refused, ms(10));
    refusal.retry_same = true;
    let decision = Bench::new(policy()).verdict(failed(&refusal));
    assert_eq!(decision, Decision::Return);
}

#[test]
fn the_upstreams_word_on_retrying_wins_over_the_kind() {
    let mut no = Failure::new(ServerError);
    no.retry_same = false;
    assert_eq!(Bench::new(policy()).verdict(failed(&no)), Decision::Return);
    let mut yes = Failure::new(InvalidRequest);
    yes.retry_same = true;
    assert!(retries(Bench::new(policy()).verdict(failed(&yes))));
}

/// PITFALLS 20. litellm#20722: the hint of the first failure, 9 s, was slept again where 107 s were asked.
#[test]
fn the_hint_of_the_latest_failure_counts() {
    let mut bench = Bench::new(policy().max_hint_wait(ms(200_000)));
    assert_eq!(bench.wait(&asking(RateLimited, ms(9_000))), 9_000);
    assert_eq!(bench.wait(&asking(RateLimited, ms(107_000))), 107_000);
    let mut bench = Bench::new(policy());
    assert_eq!(bench.wait(&asking(RateLimited, ms(9_000))), 9_000);
    assert_eq!(bench.wait(&Failure::new(RateLimited)), 2_000);
}

#[test]
fn a_hint_shorter_than_the_backoff_is_believed_and_one_of_zero_is_not() {
    let slow = || policy().backoff(ms(5_000), ms(30_000));
    assert_eq!(Bench::new(slow()).wait(&asking(RateLimited, ms(2))), 2);
    let zero = asking(RateLimited, Duration::ZERO);
    assert_eq!(Bench::new(slow()).wait(&zero), 5_000);
}

/// async-openai slept through any hint.
/// PITFALLS 62: a hint was cut to a cap, and the request sent again before the time that was asked.
#[test]
fn a_hint_above_the_bound_is_passed_on_and_one_at_the_bound_is_waited_for() {
    let hint = |wait| asking(RateLimited, wait);
    assert_eq!(Bench::new(policy()).wait(&hint(ms(60_000))), 60_000);
    for wait in [ms(60_001), Duration::from_secs(1_367), Duration::MAX] {
        let decision = Bench::new(policy()).verdict(failed(&hint(wait)));
        assert_eq!(decision, Decision::GiveUp(Reason::HintTooLong));
    }
}

/// PITFALLS 21, 30. superagent#1145 slept through a hint of minutes while another provider stood idle; timbal#117 gave an upstream up for a
/// hint of one second. litellm#34399: a hint was ignored because the siblings looked healthy.
#[test]
fn with_alternatives_a_short_hint_is_waited_for_and_a_longer_one_is_passed_on() {
    let decide = |policy, wait| {
        let failure = asking(RateLimited, ms(wait));
        let failed = Failed {
            has_alternatives: true,
            ..failed(&failure)
        };
        Bench::new(policy).verdict(failed)
    };
    assert!(matches!(decide(policy(), 2_000), Decision::RetryAt { wait, .. } if wait == ms(2_000)));
    let sooner = Decision::GiveUp(Reason::OthersAreSooner);
    assert_eq!(decide(policy(), 2_001), sooner);
    assert_eq!(decide(policy(), 60_000), sooner);
    let too_long = Decision::GiveUp(Reason::HintTooLong);
    assert_eq!(decide(policy(), 60_001), too_long);
    assert_eq!(decide(policy().max_hint_wait(ms(500)), 501), too_long);
}

/// A new user's test: the others then failed, and the wait was not made up for.
#[test]
fn what_is_left_to_others_is_told_with_the_time_until_which_it_would_have_been_waited_for() {
    let why = |policy: RetryPolicy, wait| {
        let failure = asking(RateLimited, ms(wait));
        let failed = Failed {
            has_alternatives: true,
            ..failed(&failure)
        };
        let mut bench = Bench::new(policy.clone());
        let decision = bench.decide(failed, 500);
        let why = bench.state.left_to_others(&policy, decision);
        why.map(|why| match why {
            LeftToOthers::Hint { latest } => (latest - bench.start).as_millis(),
            LeftToOthers::Silence => 0,
        })
    };
    assert_eq!(why(policy(), 2_000), None);
    assert_eq!(why(policy(), 2_001), Some(60_500));
    assert_eq!(why(policy(), 60_001), None, "nobody waits for that long");
    let hurried = || policy().total_deadline(ms(9_000));
    assert_eq!(why(hurried(), 8_500), Some(9_000));
    assert_eq!(why(hurried(), 8_501), None);
}

/// A new user's test: three attempts of ten minutes each went to a silent upstream while another stood idle.
#[test]
fn with_alternatives_silence_is_passed_on_unless_the_user_has_said_how_often_it_is_tried() {
    let decide = |policy, kind, has_alternatives, verdict| {
        let failure = Failure::new(kind);
        let failed = Failed {
            silent: kind == Timeout,
            has_alternatives,
            verdict,
            ..failed(&failure)
        };
        Bench::new(policy).verdict(failed)
    };
    let passed_on = Decision::GiveUp(Reason::OthersCanBeAsked);
    let usual = Verdict::AsUsual;
    assert_eq!(decide(policy(), Timeout, true, usual), passed_on);
    assert!(retries(decide(policy(), Timeout, false, usual)));
    assert!(retries(decide(policy(), Timeout, true, Verdict::Retry)));
    let scheduled = policy().schedule(Timeout, Schedule::new());
    assert!(retries(decide(scheduled, Timeout, true, usual)));
    // What fails fast costs a second, and may be a hiccup for which the upstream would be left alone for minutes.
    for kind in [Transport, ServerError, Overloaded] {
        assert!(retries(decide(policy(), kind, true, usual)), "{kind}");
    }
    // A gateway's 504 is an answer.
    let failure = Failure::new(Timeout);
    let answered = Failed {
        has_alternatives: true,
        ..failed(&failure)
    };
    assert!(retries(Bench::new(policy()).verdict(answered)));
}

#[test]
fn a_wait_at_whose_end_the_request_would_be_refused_is_not_begun() {
    let decide = |millis, verdict| {
        let failure = Failure::new(ServerError);
        let failed = Failed {
            refused_for: Some(ms(millis)),
            verdict,
            ..failed(&failure)
        };
        Bench::new(policy()).verdict(failed)
    };
    let refused = Decision::GiveUp(Reason::WouldBeRefused);
    assert!(retries(decide(1_000, Verdict::AsUsual)));
    assert_eq!(decide(1_001, Verdict::AsUsual), refused);
    assert!(retries(decide(1_001, Verdict::Retry)), "the user's word");
}

#[test]
fn attempts_are_counted_with_the_first_one() {
    let mut bench = Bench::new(policy().max_attempts(3));
    let failure = Failure::new(ServerError);
    assert_eq!(bench.wait(&failure), 1_000);
    assert_eq!(bench.wait(&failure), 2_000);
    assert_eq!(bench.state.attempts(), 3);
    let decision = bench.decide(failed(&failure), 0);
    assert_eq!(decision, Decision::GiveUp(Reason::AttemptsUsedUp));
}

#[test]
fn a_kind_can_have_a_schedule_of_its_own() {
    let overloaded = Schedule::overloaded().jitter(Jitter::None);
    let policy = policy().schedule(Overloaded, overloaded);
    let mut bench = Bench::new(policy.clone());
    let failure = Failure::new(Overloaded);
    for wait in [10_000, 20_000, 40_000, 60_000] {
        assert_eq!(bench.wait(&failure), wait);
    }
    let decision = bench.decide(failed(&failure), 0);
    assert_eq!(decision, Decision::GiveUp(Reason::AttemptsUsedUp));

    let mut mixed = Bench::new(policy);
    for _ in 0..3 {
        mixed.wait(&failure);
    }
    let decision = mixed.decide(failed(&Failure::new(ServerError)), 0);
    assert_eq!(decision, Decision::GiveUp(Reason::AttemptsUsedUp));
}

/// PITFALLS 28. caura PR #859: 2 providers × 2 attempts × 3 tries of the client came to 12 requests.
#[test]
fn the_ledgers_cap_holds_beside_the_policys() {
    let failure = Failure::new(ServerError);
    let failed = Failed {
        ledger_allows: false,
        ..failed(&failure)
    };
    let decision = Bench::new(policy()).verdict(failed);
    assert_eq!(decision, Decision::GiveUp(Reason::LedgerFull));
}

#[test]
fn what_cannot_be_sent_again_is_given_up() {
    let failure = Failure::new(ServerError);
    let failed = Failed {
        replayable: false,
        ..failed(&failure)
    };
    let decision = Bench::new(policy()).verdict(failed);
    assert_eq!(decision, Decision::GiveUp(Reason::NotReplayable));
}

/// RFC 9110, section 9.2.2.
#[test]
fn a_post_is_repeated_only_when_it_cannot_have_been_processed() {
    let second = ms(1_000);
    for failure in [
        Failure::new(RateLimited),
        asking(RateLimited, second),
        asking(Overloaded, second),
        asking(Overloaded, Duration::ZERO),
    ] {
        let bench = Bench::post(policy());
        assert!(retries(bench.verdict(failed(&failure))), "{failure}");
    }
    for failure in [
        Failure::new(Overloaded),
        asking(ServerError, second),
        Failure::new(Timeout),
        Failure::new(Transport),
    ] {
        let decision = Bench::post(policy()).verdict(failed(&failure));
        assert_eq!(
            decision,
            Decision::GiveUp(Reason::NotIdempotent),
            "{failure}"
        );
        let bench = Bench::post(RetryPolicy::llm());
        assert!(retries(bench.verdict(failed(&failure))), "{failure}");
    }
    let connect = Failure::new(Transport);
    let unsent = Failed {
        unprocessed: true,
        ..failed(&connect)
    };
    assert!(retries(Bench::post(policy()).verdict(unsent)));
}

#[test]
fn a_wait_that_would_pass_a_deadline_is_not_begun_and_one_that_meets_it_is() {
    let failure = Failure::new(ServerError);
    let total = |time| Bench::new(policy().total_deadline(ms(time)));
    let own = |time| Bench::with(policy(), true, Priority::Normal, Some(ms(time)));
    for bench in [total(1_500), own(1_500)] {
        let mut bench = bench;
        assert!(retries(bench.decide(failed(&failure), 500)));
        let decision = bench.decide(failed(&failure), 501);
        assert_eq!(decision, Decision::GiveUp(Reason::DeadlineTooNear));
    }
    let sooner = Bench::with(
        policy().total_deadline(ms(5_000)),
        true,
        Priority::Normal,
        Some(ms(100)),
    );
    assert!(!retries(sooner.verdict(failed(&failure))));
}

#[test]
fn a_clock_that_steps_back_grants_no_more() {
    let failure = Failure::new(ServerError);
    let mut bench = Bench::new(policy().total_deadline(ms(1_500)));
    assert!(!retries(bench.decide(failed(&failure), 900)));
    assert!(!retries(bench.decide(failed(&failure), 0)));
}

#[test]
fn the_priority_scales_our_own_waits_and_no_hint() {
    let wait =
        |priority, failure: &Failure| Bench::with(policy(), true, priority, None).wait(failure);
    let own = Failure::new(ServerError);
    assert_eq!(wait(Priority::High, &own), 500);
    assert_eq!(wait(Priority::Normal, &own), 1_000);
    assert_eq!(wait(Priority::Low, &own), 1_500);
    let hint = asking(RateLimited, ms(4_000));
    assert_eq!(wait(Priority::High, &hint), 4_000);
    assert_eq!(wait(Priority::Low, &hint), 4_000);
}

#[test]
fn decorrelated_jitter_builds_on_the_wait_before() {
    let mut bench = Bench::new(policy().jitter(Jitter::Decorrelated).max_attempts(1_000));
    let mut previous = 1_000;
    for _ in 1..1_000 {
        let wait = bench.wait(&Failure::new(ServerError));
        assert!((1_000..=(3 * previous + 1).min(30_000)).contains(&wait));
        previous = wait;
    }
}

fn any_kind() -> impl Strategy<Value = FailureKind> {
    prop::sample::select(vec![
        RateLimited,
        Overloaded,
        ServerError,
        Timeout,
        Transport,
        QuotaExhausted,
        InvalidRequest,
        Refused,
    ])
}

proptest! {
    #[test]
    fn no_course_of_failures_passes_the_attempts_the_deadline_or_the_bounds(
        most in 1_u32..8,
        most_overloaded in 1_u32..8,
        deadline in 1_u64..200_000,
        seed in any::<u64>(),
        idempotent in any::<bool>(),
        course in prop::collection::vec(
            (any_kind(), prop::option::of(0_u64..120_000), 0_u64..5_000, any::<bool>()),
            1..20,
        ),
    ) {
        let policy = RetryPolicy::default()
            .max_attempts(most)
            .schedule(Overloaded, Schedule::overloaded().max_attempts(most_overloaded))
            .total_deadline(ms(deadline));
        let mut bench = Bench::with(policy, idempotent, Priority::Low, None);
        bench.random = fastrand::Rng::with_seed(seed);
        let mut now = 0;
        for (kind, hint, takes, has_alternatives) in course {
            now += takes;
            let failure = Failure::new(kind).with_retry_after(hint.map(ms));
            let failed = Failed { has_alternatives, ..failed(&failure) };
            let Decision::RetryAt { at, wait } = bench.decide(failed, now) else { break };
            prop_assert_eq!(at, bench.start + ms(now) + wait);
            prop_assert!(at <= bench.start + ms(deadline));
            let longest_hint = if has_alternatives { 2_000 } else { 60_000 };
            let longest_own = if kind == Overloaded { 60_000 } else { 30_000 };
            match hint {
                Some(hint @ 1..) => {
                    prop_assert_eq!(wait, ms(hint));
                    prop_assert!(hint <= longest_hint);
                }
                _ => prop_assert!(wait <= ms(longest_own)),
            }
            prop_assert!(idempotent || kind == RateLimited || kind == Overloaded);
            bench.state.resend();
            now = u64::try_from((at - bench.start).as_millis()).unwrap() + 1;
            prop_assert!(bench.state.attempts() <= most.max(most_overloaded));
            if kind != Overloaded {
                prop_assert!(bench.state.attempts() <= most);
            }
        }
    }
}
