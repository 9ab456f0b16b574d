//! A limiter over a restart, on a clock that is moved by hand, and a layer on paused time.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::FutureExt;
use proptest::prelude::*;
use tower::{Layer, ServiceExt};

use crate::{
    clock::{Clock, ManualClock, TokioClock},
    money::Money,
    outcome::Dimension,
    rate_limit::{
        Limit, Quota, RateLimitLayer, RateLimiter, Snapshot, Zone,
        mark::{Admissions, Mark},
        told::Told,
    },
    request::{Cost, Scope},
    testing::{answer, client, ms, request},
    upstream::Provider,
};

/// A limiter and its clock.
struct Process {
    limiter: RateLimiter,
    clock: ManualClock,
}

/// 15 January 2026, 07:00 UTC: an hour before midnight at UTC-8.
fn evening() -> SystemTime {
    UNIX_EPOCH + secs(1_768_460_400)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn pacific_day(amount: u64) -> Limit {
    Limit::requests(amount)
        .per_day()
        .calendar(Zone::utc_offset(-480))
}

impl Process {
    fn new(quota: Quota, wall: SystemTime) -> Self {
        let clock = ManualClock::starting_at(wall);
        let limiter = RateLimiter::new(quota).unwrap().clock(clock.clone());
        Self { limiter, clock }
    }

    /// Another process, after so long, which has restored what this one knows.
    fn restarted(&self, quota: Quota, after: Duration) -> Self {
        let next = Self::new(quota, self.clock.wall() + after);
        let json = self.limiter.snapshot().to_json();
        let snapshot = Snapshot::from_json(&json).unwrap();
        next.limiter.restore(&snapshot).unwrap();
        next
    }

    fn take(&self, key: &str, cost: Cost) -> (u64, Admissions) {
        let now = self.limiter.now();
        let mut state = self.limiter.enter(key, now);
        let admitted = state.admit(&cost, now);
        state.finish();
        (admitted.at, admitted.admitted)
    }

    fn take_times(&self, times: usize, cost: Cost) {
        for _ in 0..times {
            self.take("", cost);
        }
    }

    fn wait(&self, key: &str) -> Duration {
        let wait = self.limiter.wait_time(key, Cost::default());
        wait.unwrap_or(Duration::MAX)
    }

    fn used(&self, key: &str) -> Vec<u64> {
        let limits = self.limiter.status(key).limits;
        limits.iter().map(|limit| limit.used).collect()
    }
}

#[test]
fn a_daily_quota_survives_a_restart_and_begins_anew_at_midnight() {
    let quota = || Quota::new().limit(pacific_day(3));
    let first = Process::new(quota(), evening());
    first.take_times(3, Cost::default());
    let second = first.restarted(quota(), secs(60));
    assert_eq!(second.wait(""), secs(3_600 - 60));
    second.clock.advance(secs(3_600 - 60));
    assert_eq!(second.wait(""), Duration::ZERO);
    let next_day = first.restarted(quota(), secs(3_600));
    assert_eq!(next_day.used(""), [0]);
    assert!(next_day.limiter.keys().is_empty());
}

#[test]
fn a_day_that_slides_survives_any_number_of_restarts() {
    let quota = || Quota::new().limit(Limit::requests(1).per_day());
    let mut process = Process::new(quota(), evening());
    process.take("", Cost::default());
    for hour in 1..24 {
        process = process.restarted(quota(), secs(3_600));
        assert_eq!(process.wait(""), secs((24 - hour) * 3_600));
    }
    assert_eq!(process.restarted(quota(), secs(3_600)).used(""), [0]);
}

#[test]
fn a_clock_that_went_back_frees_nothing() {
    let quota = |limit| Quota::new().limit(limit);
    for (limit, wait) in [
        (Limit::requests(1).per_minute(), 60),
        (Limit::requests(1).per_minute().burst(1), 60),
        // The day that had begun is not there yet; it may be for the upstream.
        (
            Limit::requests(1)
                .per_day()
                .calendar(Zone::utc_offset(-420)),
            86_400 + 7_200,
        ),
    ] {
        let first = Process::new(quota(limit.clone()), evening());
        first.take("", Cost::default());
        let hours_ago = evening() - secs(7_200);
        let second = Process::new(quota(limit), hours_ago);
        second.limiter.restore(&first.limiter.snapshot()).unwrap();
        assert_eq!(second.wait(""), secs(wait));
    }
    let first = Process::new(Quota::new(), evening());
    first.limiter.pause("", secs(100));
    let long_ago = Process::new(Quota::new(), UNIX_EPOCH);
    long_ago.limiter.restore(&first.limiter.snapshot()).unwrap();
    assert_eq!(long_ago.wait(""), secs(100));
}

#[test]
fn what_is_restored_comes_to_what_is_taken_already() {
    let limits = [
        Limit::requests(5).per_minute(),
        Limit::requests(5).per_minute().burst(5),
        pacific_day(5),
    ];
    for limit in limits {
        let quota = || Quota::new().limit(limit.clone());
        let first = Process::new(quota(), evening());
        first.take_times(3, Cost::default());
        let second = Process::new(quota(), evening());
        second.take("", Cost::default());
        second.limiter.restore(&first.limiter.snapshot()).unwrap();
        assert_eq!(second.used(""), [4], "{limit:?}");
    }
}

/// A new user's test: a file that was loaded twice counted twice.
#[test]
fn a_snapshot_is_taken_up_once_and_refused_the_second_time() {
    let quota = || Quota::new().limit(Limit::requests(9).per_day());
    let first = Process::new(quota(), evening());
    first.take_times(3, Cost::default());
    let snapshot = first.limiter.snapshot();
    let second = Process::new(quota(), evening() + secs(1));
    second.limiter.restore(&snapshot).unwrap();
    let error = second.limiter.restore(&snapshot).unwrap_err();
    assert_eq!(
        error.to_string(),
        "taken up already: all of it would count twice"
    );
    assert_eq!(second.used(""), [3]);
    // What another process saved is not the same, nor is what this one saves later.
    first.clock.advance(ms(1));
    second.limiter.restore(&first.limiter.snapshot()).unwrap();
    assert_eq!(second.used(""), [6]);
}

#[test]
fn a_limit_that_changes_its_amount_keeps_what_is_taken_and_another_begins_anew() {
    let before = Quota::new()
        .limit(Limit::requests(5).per_minute())
        .limit(Limit::tokens(100).per_hour().burst(100))
        .limit(Limit::requests(9).per_day());
    let first = Process::new(before, evening());
    first.take_times(4, Cost::tokens(10, 10));
    let after = Quota::new()
        .limit(Limit::tokens(200).per_hour().burst(300))
        .limit(pacific_day(9))
        .limit(Limit::requests(50).per_minute());
    let second = first.restarted(after, ms(1));
    assert_eq!(second.used(""), [80, 0, 4]);
}

#[test]
fn a_quota_that_was_set_stays_set_and_one_that_was_set_since_is_not_overruled() {
    let of = |amount| Quota::new().limit(Limit::requests(amount).per_minute());
    let first = Process::new(of(1), evening());
    first.limiter.set_quota("a", of(10)).unwrap();
    first.take("a", Cost::default());
    let second = first.restarted(of(2), ms(1));
    assert_eq!(second.limiter.status("a").limits[0].amount, 10);
    assert_eq!(second.limiter.status("b").limits[0].amount, 2);
    second.limiter.set_quota("a", of(20)).unwrap();
    first.clock.advance(ms(1));
    second.limiter.restore(&first.limiter.snapshot()).unwrap();
    assert_eq!(second.limiter.status("a").limits[0].amount, 20);
    assert_eq!(second.used("a"), [2]);
}

/// The limiter's own quota has no limits: those of the upstream are known again when its first request comes.
#[tokio::test(start_paused = true)]
async fn what_is_taken_of_an_upstreams_own_quota_is_seen_before_its_first_request() {
    let of = |amount| Quota::new().limit(Limit::requests(amount).per_day());
    let upstream = |quota: Option<Quota>| {
        let upstream = Provider::groq().model("llama");
        match quota {
            Some(quota) => upstream.quota(quota).unwrap(),
            None => upstream,
        }
    };
    let ask = |limiter: &RateLimiter, quota| {
        let (client, mut server) = client();
        server.allow(1);
        let mut request = request();
        request.extensions_mut().insert(upstream(quota));
        let service = RateLimitLayer::new(limiter.clone()).layer(client);
        drop(service.oneshot(request).now_or_never());
    };
    let key = upstream(None).id().to_owned();
    let first = RateLimiter::default();
    ask(&first, Some(of(2)));
    let snapshot = first.snapshot();
    let amount_and_used = |limiter: &RateLimiter| {
        let limits = limiter.status(&key).limits;
        let pairs = limits.iter().map(|limit| (limit.amount, limit.used));
        pairs.collect::<Vec<_>>()
    };
    for (now_granted, expected) in [
        (Some(of(2)), vec![(2, 2)]),
        (Some(of(9)), vec![(9, 2)]),
        (None, vec![]),
    ] {
        let second = RateLimiter::default();
        second.restore(&snapshot).unwrap();
        assert_eq!(amount_and_used(&second), [(2, 1)]);
        ask(&second, now_granted);
        assert_eq!(amount_and_used(&second), expected);
    }
}

#[test]
fn what_an_upstream_told_is_kept() {
    let process = Process::new(
        Quota::new().limit(Limit::requests(100).per_minute()),
        evening(),
    );
    let told = |dimension, period, limit| Told {
        dimension,
        period: Some(period),
        limit: Some(limit),
        remaining: 10,
        reset_after: Some(secs(40)),
        is_refilling: false,
    };
    heed(&process, told(Dimension::Requests, secs(60), 100));
    heed(&process, told(Dimension::Tokens, secs(86_400), 5_000));
    let next = process.restarted(
        Quota::new().limit(Limit::requests(100).per_minute()),
        secs(39),
    );
    assert_eq!(next.used(""), [90, 4_990]);
    next.clock.advance(secs(1));
    assert_eq!(next.used(""), [0, 0]);
    let much_later = process.restarted(
        Quota::new().limit(Limit::requests(100).per_minute()),
        secs(86_400),
    );
    assert_eq!(
        much_later.limiter.status("").limits[1].amount,
        5_000,
        "a limit that was learned is still known when nothing is taken of it"
    );
}

#[test]
fn what_is_expected_of_answers_is_kept() {
    let quota = || Quota::new().limit(Limit::tokens(900).per_minute());
    let first = Process::new(quota(), evening());
    first
        .limiter
        .enter("", first.limiter.now())
        .learn(Cost::tokens(0, 100));
    let second = first.restarted(quota(), secs(86_400));
    let state = second.limiter.enter("", second.limiter.now());
    assert_eq!(state.expect(Cost::tokens(5, 700)), Cost::tokens(5, 300));
}

fn heed(process: &Process, told: Told) {
    let (now, wall) = (process.limiter.now(), process.limiter.epoch().wall());
    let mut state = process.limiter.enter("", now);
    state.heed(Mark::default(), told, now, wall);
}

#[test]
fn keys_beyond_the_bound_are_restored_into_the_state_that_they_share() {
    let quota = || Quota::new().limit(Limit::requests(9).per_minute());
    let first = Process::new(quota(), evening());
    for key in 0..20 {
        first.take(&key.to_string(), Cost::default());
    }
    let clock = ManualClock::starting_at(evening());
    let small = RateLimiter::new(quota()).unwrap().clock(clock).max_keys(8);
    small.restore(&first.limiter.snapshot()).unwrap();
    let used: u64 = small
        .keys()
        .iter()
        .map(|key| small.status(key).limits[0].used)
        .sum();
    assert_eq!((small.keys().len(), used), (9, 20));
}

#[test]
fn another_scope_is_refused_and_changes_nothing() {
    let process = Process::new(Quota::new(), evening());
    process.limiter.pause("a", secs(9));
    let by_host = RateLimiter::default().scope(Scope::Host);
    let error = by_host.restore(&process.limiter.snapshot()).unwrap_err();
    let wanted = r#"scope: its keys are by "upstream", this limiter's by "host""#;
    assert_eq!(error.to_string(), wanted);
    assert!(by_host.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_request_that_would_have_been_one_too_many_waits() {
    let folder = Folder::new("layer");
    let limiter = || {
        let quota = Quota::new().limit(Limit::requests(1).per_minute());
        RateLimiter::new(quota).unwrap()
    };
    let (first, second) = (limiter(), limiter());
    let (client, mut server) = client();
    server.allow(2);
    let call = RateLimitLayer::new(first.clone()).layer(client.clone());
    drop(call.oneshot(request()).now_or_never());
    server.next_request().await.unwrap();
    first.save(folder.file()).unwrap();

    second.load(folder.file()).unwrap();
    let start = TokioClock.now();
    let call = tokio::spawn(RateLimitLayer::new(second).layer(client).oneshot(request()));
    let (_, respond) = server.next_request().await.unwrap();
    let waited = TokioClock.now() - start;
    assert!((ms(59_900)..=ms(60_000)).contains(&waited), "{waited:?}");
    respond.send_response(answer(200));
    call.await.unwrap().unwrap();
}

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("tower-upstream-{test}-{:016x}", fastrand::u64(..));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("limits.json")
    }

    fn files(&self) -> usize {
        fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_that_cannot_be_loaded_is_named_with_what_is_wrong_and_changes_nothing() {
    let folder = Folder::new("damaged");
    let file = folder.file();
    let process = Process::new(
        Quota::new().limit(Limit::requests(9).per_minute()),
        evening(),
    );
    let error = process.limiter.load(&file).unwrap_err();
    assert!(error.is_not_found() && error.source().is_some());
    assert!(error.to_string().contains("limits.json: cannot be read: "));

    process.take("a", Cost::default());
    process.limiter.save(&file).unwrap();
    let whole = fs::read(&file).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let not_text = [&b"\xff\xfe"[..], &whole].concat();
    for (content, wanted) in [
        (&whole[..whole.len() / 2], "damaged, or no JSON: EOF"),
        (b"", "damaged, or no JSON: EOF"),
        (&not_text, "not a tower-upstream snapshot: invalid utf-8"),
        (b"[1]", "not a tower-upstream snapshot: expected an object"),
        (
            text.replace("\"version\":1", "\"version\":7").as_bytes(),
            "version 7 is newer than this crate reads (1)",
        ),
        (
            text.replace("\"at\":", "\"at\":-0.5,\"was\":").as_bytes(),
            "keys[0].limits[0].taken[0].at: expected a time in nanoseconds since 1970, found -0.5",
        ),
    ] {
        fs::write(&file, content).unwrap();
        let fresh = RateLimiter::default();
        let error = fresh.load(&file).unwrap_err();
        assert_eq!(error.file(), Some(&*file));
        assert!(error.to_string().contains(wanted), "{error}");
        assert!(fresh.keys().is_empty());
    }
}

#[test]
fn a_file_larger_than_any_snapshot_is_not_even_read() {
    let folder = Folder::new("huge");
    let sparse = fs::File::create(folder.file()).unwrap();
    // Where the disk knows no files with holes, there is nothing to be seen.
    if sparse.set_len(super::MOST_BYTES + 1).is_ok() {
        let error = RateLimiter::default().load(folder.file()).unwrap_err();
        let wanted = "larger than the 4294967296 bytes";
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[test]
fn a_save_that_fails_leaves_what_was_there_and_nothing_beside_it() {
    let folder = Folder::new("failed");
    let limiter = RateLimiter::default();
    // A folder that is not empty cannot be replaced.
    fs::create_dir_all(folder.file().join("inside")).unwrap();
    let error = limiter.save(folder.file()).unwrap_err();
    assert!(error.to_string().contains("cannot be written"), "{error}");
    assert_eq!(error.file(), Some(&*folder.file()));
    assert!(folder.file().join("inside").is_dir());
    assert_eq!(folder.files(), 1);
    assert!(limiter.save(folder.0.join("none/limits.json")).is_err());
    assert!(limiter.save("..").is_err());
}

#[test]
fn whoever_loads_while_others_save_finds_a_whole_file() {
    let folder = Folder::new("both");
    let process = Process::new(Quota::new().limit(Limit::requests(9).per_day()), evening());
    for key in 0..500 {
        process.take(&key.to_string(), Cost::default());
    }
    process.limiter.save(folder.file()).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..15).for_each(|_| process.limiter.save(folder.file()).unwrap()));
        }
        for _ in 0..20 {
            let clock = process.clock.clone();
            let fresh = RateLimiter::default().clock(clock);
            fresh.load(folder.file()).unwrap();
        }
    });
    assert_eq!(folder.files(), 1);
}

#[cfg(unix)]
#[test]
fn the_permissions_of_the_file_stay() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new("permissions");
    let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
    let limiter = RateLimiter::default();
    limiter.save(folder.file()).unwrap();
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o600)).unwrap();
    limiter.save(folder.file()).unwrap();
    assert_eq!(mode(&folder.file()), 0o600);
}

// A new user's: the link was replaced by a file, and so was a device.
#[cfg(unix)]
#[test]
fn a_link_stays_one_and_what_is_no_file_is_left_alone() {
    let folder = Folder::new("link");
    let (limiter, link) = (RateLimiter::default(), folder.file().with_file_name("link"));
    limiter.save(folder.file()).unwrap();
    std::os::unix::fs::symlink(folder.file(), &link).unwrap();
    fs::write(folder.file(), "old").unwrap();
    limiter.save(&link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_ne!(fs::read_to_string(folder.file()).unwrap(), "old");
    let error = limiter.save(folder.file().parent().unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("something else than a file"),
        "{error}"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Take { input: u64, output: u64 },
    Settle { which: usize, used: u64 },
    Refund { which: usize },
    Tell { told: Told },
    Pause { millis: u64 },
    SetQuota { quota: usize },
    Reset,
    Learn { tokens: u64 },
    Wait { millis: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let dimension = prop_oneof![Just(Dimension::Requests), Just(Dimension::Tokens)];
    let period = prop_oneof![Just(1), Just(60), Just(86_400)];
    let told = (dimension, period, 1_u64..200, 0_u64..100, 0_u64..100);
    let told = told.prop_map(|(dimension, period, limit, remaining, reset)| Told {
        dimension,
        period: Some(secs(period)),
        limit: Some(limit),
        remaining,
        reset_after: Some(secs(reset)),
        is_refilling: false,
    });
    let step = prop_oneof![
        20 => (0_u64..20, 0_u64..20).prop_map(|(input, output)| Step::Take { input, output }),
        8 => (0_usize..200, 0_u64..90).prop_map(|(which, used)| Step::Settle { which, used }),
        2 => (0_usize..200).prop_map(|which| Step::Refund { which }),
        2 => told.prop_map(|told| Step::Tell { told }),
        1 => (0_u64..90_000).prop_map(|millis| Step::Pause { millis }),
        1 => (0_usize..3).prop_map(|quota| Step::SetQuota { quota }),
        1 => Just(Step::Reset),
        1 => (0_u64..90).prop_map(|tokens| Step::Learn { tokens }),
        12 => (0_u64..900).prop_map(|millis| Step::Wait { millis }),
    ];
    proptest::collection::vec(step, 0..300)
}

fn quotas() -> [Quota; 3] {
    let pacific = Zone::utc_offset(-480);
    [
        Quota::new()
            .limit(Limit::requests(30).per_minute())
            .limit(Limit::tokens(900).per_minute().burst(70))
            .limit(
                Limit::input_tokens(400)
                    .per(secs(3_600))
                    .calendar(pacific.clone()),
            )
            .limit(Limit::output_tokens(700).per_day().shadow()),
        Quota::new()
            .limit(Limit::tokens(7_000).per_minute().burst(500))
            .limit(Limit::requests(300).per(secs(7)))
            .limit(Limit::money(Money::from_cents(1)).per_month())
            .min_interval(ms(90))
            .keep_estimates()
            .max_tokens_per_request(45)
            .margin(ms(150)),
        Quota::new(),
    ]
}

/// Does the same to a key as requests and upstreams would.
fn play(process: &Process, steps: &[Step]) {
    let limiter = &process.limiter;
    let mut taken = Vec::new();
    for step in steps {
        let now = limiter.now();
        match step {
            Step::Wait { millis } => process.clock.advance(ms(*millis)),
            Step::Take { input, output } => {
                let cost = Cost::tokens(*input, *output).with_money(Money::from_nanos(*input));
                taken.push((process.take("", cost), cost));
            }
            Step::Settle { which, used } if !taken.is_empty() => {
                let (when, cost) = taken.swap_remove(which % taken.len());
                let used = Cost::tokens(*used, *used);
                limiter.enter("", now).settle(when, cost, used, now);
            }
            Step::Refund { which } if !taken.is_empty() => {
                let (when, cost) = taken.swap_remove(which % taken.len());
                limiter.enter("", now).refund(when, cost, now);
            }
            Step::Tell { told } => heed(process, *told),
            Step::Pause { millis } => limiter.pause("", ms(*millis)),
            Step::SetQuota { quota } => {
                limiter.set_quota("", quotas()[*quota].clone()).unwrap();
            }
            Step::Reset => limiter.reset(""),
            Step::Learn { tokens } => limiter.enter("", now).learn(Cost::tokens(0, *tokens)),
            Step::Settle { .. } | Step::Refund { .. } => {}
        }
    }
}

proptest! {
    /// Whatever was taken, settled, told and set: after a restart the limiter stands as it would without one.
    #[test]
    fn a_restart_changes_nothing(
        quota in 0_usize..3,
        steps in steps(),
        after in prop_oneof![1_u64..100_000, 1_u64..100_000_000],
    ) {
        let first = Process::new(quotas()[quota].clone(), evening());
        play(&first, &steps);
        let second = first.restarted(quotas()[quota].clone(), ms(after));
        first.clock.advance(ms(after));
        prop_assert_eq!(first.limiter.status(""), second.limiter.status(""));
        for tokens in 0..50 {
            let cost = Cost::tokens(tokens, tokens / 2);
            let waits = [&first, &second].map(|process| process.limiter.wait_time("", cost));
            prop_assert_eq!(waits[0], waits[1], "{} tokens", tokens);
        }
        let again = second.limiter.snapshot();
        prop_assert_eq!(&Snapshot::from_json(&again.to_json()).unwrap(), &again);
    }

    /// Neither what was taken before a restart nor what was taken since is forgotten when both come together.
    #[test]
    fn a_limiter_that_is_not_new_grants_no_more_for_what_it_restores(
        before in steps(),
        since in steps(),
        back in any::<bool>(),
        apart in 0_u64..100_000,
    ) {
        let [quota, ..] = quotas();
        // A quota that is set, or learned, later holds, and may grant more.
        let is_plain = |step: &Step| match step {
            Step::Tell { told } => told.period == Some(secs(60)),
            Step::SetQuota { .. } | Step::Reset => false,
            _ => true,
        };
        let plain = |steps: Vec<Step>| steps.into_iter().filter(is_plain).collect::<Vec<_>>();
        let first = Process::new(quota.clone(), evening());
        play(&first, &plain(before));
        let apart = ms(apart);
        let wall = if back { first.clock.wall() - apart } else { first.clock.wall() + apart };
        let [alone, both] = [(); 2].map(|()| {
            let process = Process::new(quota.clone(), wall);
            play(&process, &plain(since.clone()));
            process
        });
        let restored = Process::new(quota, both.clock.wall());
        let snapshot = first.limiter.snapshot();
        for process in [&restored, &both] {
            process.limiter.restore(&snapshot).unwrap();
        }
        for tokens in 0..50 {
            let cost = Cost::tokens(tokens, tokens / 2);
            let [alone, restored, both] = [&alone, &restored, &both].map(|process| process.limiter.wait_time("", cost));
            prop_assert!(both >= alone && both >= restored, "{:?} {:?} {:?}", both, alone, restored);
        }
        let used = [&alone, &restored, &both].map(|process| process.used(""));
        for (limit, used_by_both) in used[2].iter().enumerate() {
            let most = |used: &[u64]| used.get(limit).copied().unwrap_or(0);
            prop_assert!(*used_by_both >= most(&used[0]).max(most(&used[1])) || limit >= 4);
        }
    }

    /// However a snapshot is damaged: it is refused, or it is one that can be restored, and saved again.
    #[test]
    fn no_damage_makes_a_limiter_panic(
        steps in steps(),
        damage in proptest::collection::vec(damage(), 1..6),
        wall in any::<u32>(),
    ) {
        let [quota, ..] = quotas();
        let process = Process::new(quota.clone(), evening());
        play(&process, &steps);
        let mut json = process.limiter.snapshot().to_json();
        for damage in damage {
            json = damage.done_to(&json);
        }
        if let Ok(snapshot) = Snapshot::from_json(&json) {
            let process = Process::new(quota, UNIX_EPOCH + secs(wall.into()));
            if process.limiter.restore(&snapshot).is_err() {
                prop_assert!(process.limiter.keys().is_empty());
                return Ok(());
            }
            let step = Step::Take { input: 7, output: 7 };
            play(&process, &[step.clone(), Step::Wait { millis: 70_000 }, step]);
            process.limiter.status("");
            process.wait("");
            let again = process.limiter.snapshot();
            Snapshot::from_json(&again.to_json()).unwrap();
        }
    }
}

#[derive(Clone, Debug)]
enum Damage {
    /// The number after so many others is another.
    Number {
        which: usize,
        other: &'static str,
    },
    Byte {
        at: usize,
        other: char,
    },
    Cut {
        at: usize,
    },
    /// A word stands where another did.
    Word {
        which: usize,
        other: &'static str,
    },
}

fn damage() -> impl Strategy<Value = Damage> {
    let numbers = [
        "0",
        "1",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1e308",
        "1e999",
        "0.5",
        "null",
        "[]",
        "86400000000000",
    ];
    let words = [
        "taken", "at", "from", "part", "burst", "calendar", "month", "learned", "requests",
        "tokens",
    ];
    prop_oneof![
        8 => (any::<usize>(), proptest::sample::select(numbers.to_vec()))
            .prop_map(|(which, other)| Damage::Number { which, other }),
        1 => (any::<usize>(), any::<char>()).prop_map(|(at, other)| Damage::Byte { at, other }),
        1 => any::<usize>().prop_map(|at| Damage::Cut { at }),
        2 => (any::<usize>(), proptest::sample::select(words.to_vec()))
            .prop_map(|(which, other)| Damage::Word { which, other }),
    ]
}

impl Damage {
    fn done_to(&self, json: &str) -> String {
        let is_of_number = |c: char| c.is_ascii_digit() || c == '-';
        match self {
            Self::Number { which, other } => replaced(json, *which, other, is_of_number),
            Self::Word { which, other } => replaced(json, *which, other, char::is_alphabetic),
            Self::Byte { at, other } => {
                let mut chars: Vec<_> = json.chars().collect();
                if !chars.is_empty() {
                    let at = at % chars.len();
                    chars[at] = *other;
                }
                chars.into_iter().collect()
            }
            Self::Cut { at } => json.chars().take(at % (json.len() + 1)).collect(),
        }
    }
}

/// One of the runs of such characters, replaced.
fn replaced(json: &str, which: usize, other: &str, is_of: impl Fn(char) -> bool) -> String {
    let mut runs = Vec::new();
    let mut begin = None;
    for (at, c) in json.char_indices() {
        match (begin, is_of(c)) {
            (None, true) => begin = Some(at),
            (Some(from), false) => {
                runs.push(from..at);
                begin = None;
            }
            _ => {}
        }
    }
    let Some(run) = runs.get(which % runs.len().max(1)) else {
        return json.to_owned();
    };
    format!("{}{other}{}", &json[..run.start], &json[run.end..])
}
