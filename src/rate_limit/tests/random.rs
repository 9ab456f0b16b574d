//! Any limits, any callers: whatever they do, a judge who counts everything anew has nothing to object.

mod strategies;

use std::{
    pin::Pin,
    sync::Mutex,
    task::Context,
    time::{Duration, UNIX_EPOCH},
};

use futures::channel::oneshot;
use proptest::prelude::*;

use strategies::{End, MS, Step, Woken, fewer, rule, rules, steps};

use super::{
    judge::{Counting, Judge, Rule, Rules, Time},
    *,
};
use crate::{clock::ManualClock, outcome::Dimension, request::Priority};

type Answered = oneshot::Sender<Result<Answer, io::Error>>;

/// What was sent, in order: the caller's number, and how to answer him.
type Sent = Arc<Mutex<Vec<(usize, Answered)>>>;

/// A caller, and the future that he polls when he is woken.
struct Caller {
    cost: Cost,
    priority: Priority,
    came: Time,
    call: Pin<Box<dyn Future<Output = Result<Option<UsageCell>, Error>>>>,
    woken: Arc<Woken>,
    /// The judge's number for him, once he is sent.
    sent: Option<usize>,
    answer: Option<Answered>,
}

struct Play {
    clock: ManualClock,
    start: std::time::Instant,
    limiter: RateLimiter,
    rules: Rules,
    judge: Judge,
    callers: std::collections::BTreeMap<usize, Caller>,
    next: usize,
    sent: Sent,
}

impl Play {
    fn new(rules: Rules) -> Self {
        let clock = ManualClock::starting_at(UNIX_EPOCH + Duration::from_nanos(rules.wall));
        Self {
            start: clock.now(),
            limiter: limiter(rules.quota()).clock(clock.clone()),
            clock,
            judge: Judge::new(rules.clone()),
            rules,
            callers: Default::default(),
            next: 0,
            sent: Sent::default(),
        }
    }

    fn now(&self) -> Time {
        (self.clock.now() - self.start).as_nanos() as Time
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask { cost, priority } => self.ask(cost, priority),
            Step::End { which, how } => {
                if let Some(number) = nth(self.numbers(|caller| caller.sent.is_some()), which) {
                    self.end(number, how);
                }
            }
            Step::Cancel { which } => {
                if let Some(number) = nth(self.numbers(|caller| caller.sent.is_none()), which) {
                    self.callers.remove(&number);
                }
            }
            Step::Pass { time } => self.pass(time),
        }
        self.run();
        self.check();
    }

    fn ask(&mut self, cost: Cost, priority: Priority) {
        let (number, sent) = (self.next, self.sent.clone());
        self.next += 1;
        let client = service_fn(move |_: Request<()>| {
            let (answer, answered) = oneshot::channel();
            sent.lock().unwrap().push((number, answer));
            async { answered.await.expect("who is not answered is dropped") }
        });
        let mut request = request();
        request.extensions_mut().insert(cost);
        request.extensions_mut().insert(priority);
        let layer = RateLimitLayer::new(self.limiter.clone());
        let call = layer.layer(client).oneshot(request);
        let call = call.map(|answer| answer.map(|answer| answer.extensions().get().cloned()));
        let caller = Caller {
            cost,
            priority,
            came: self.now(),
            call: Box::pin(call),
            woken: Arc::new(Woken(true.into())),
            sent: None,
            answer: None,
        };
        self.callers.insert(number, caller);
    }

    fn end(&mut self, number: usize, how: End) {
        let caller = self.callers.get_mut(&number).unwrap();
        let (entry, cost, answered) = (caller.sent.unwrap(), caller.cost, caller.answer.take());
        let answered = answered.expect("not answered yet");
        let used = match how {
            End::Used { tenths } => {
                let part = |tokens: u64| tokens * tenths / 10;
                let used = Cost::tokens(part(cost.input_tokens), part(cost.output_tokens));
                let cell = UsageCell::default();
                cell.set(Usage {
                    input_tokens: Some(used.input_tokens),
                    output_tokens: Some(used.output_tokens),
                    ..Usage::default()
                });
                let mut response = answer(200);
                response.extensions_mut().insert(cell);
                answered.send(Ok(response)).unwrap();
                Some(used)
            }
            End::Untold => {
                answered.send(Ok(answer(200))).unwrap();
                Some(cost)
            }
            End::Unsent => {
                let refused = io::ErrorKind::ConnectionRefused.into();
                answered.send(Err(refused)).unwrap();
                None
            }
            End::Dropped => {
                self.callers.remove(&number);
                Some(cost)
            }
        };
        let now = self.now();
        self.judge.end(entry, used, now);
    }

    /// From one sleeper to the next, and everybody who is woken goes on.
    fn pass(&mut self, time: Time) {
        let until = self.clock.now() + Duration::from_nanos(time);
        while let Some(next) = self.clock.next_deadline().filter(|next| *next <= until) {
            let step = next.saturating_duration_since(self.clock.now());
            self.clock.advance(step);
            self.run();
            self.check();
        }
        let step = until.saturating_duration_since(self.clock.now());
        self.clock.advance(step);
    }

    /// Polls whoever is woken, and nobody else, until nobody is.
    fn run(&mut self) {
        loop {
            let woken = |caller: &Caller| caller.woken.0.swap(false, Ordering::Relaxed);
            let Some(number) = self.callers.iter().find(|(_, caller)| woken(caller)) else {
                return;
            };
            let number = *number.0;
            let caller = self.callers.get_mut(&number).unwrap();
            let waker = Waker::from(caller.woken.clone());
            let result = caller.call.as_mut().poll(&mut Context::from_waker(&waker));
            let was_refused = matches!(&result, Poll::Ready(Err(Error::RateLimited(_))));
            assert_eq!(
                was_refused,
                self.rules.is_too_large(caller.cost),
                "{result:?}"
            );
            if result.is_ready() {
                self.callers.remove(&number);
            }
            let sent = std::mem::take(&mut *self.sent.lock().unwrap());
            for (number, answer) in sent {
                self.admitted(number, answer);
            }
        }
    }

    fn admitted(&mut self, number: usize, answer: Answered) {
        let now = self.now();
        let caller = &self.callers[&number];
        let objection = self.judge.forbids(caller.cost, now, 0);
        assert_eq!(objection, None, "{number} was admitted at {now}");
        let overtaken = self
            .callers
            .range(..number)
            .find(|(_, other)| other.sent.is_none() && other.priority == caller.priority);
        assert_eq!(
            overtaken.map(|(other, _)| other),
            None,
            "overtaken by {number}"
        );
        let entry = self.judge.admit(caller.cost, now);
        let caller = self.callers.get_mut(&number).unwrap();
        (caller.sent, caller.answer) = (Some(entry), Some(answer));
    }

    /// Nobody waits for nothing, and the handle tells of neither more nor less than there is.
    fn check(&self) {
        let now = self.now();
        let waiting = self
            .callers
            .iter()
            .filter(|(_, caller)| caller.sent.is_none());
        let order = |caller: &Caller| caller.came + (2 - caller.priority as u64) * 30_000 * MS;
        let first = waiting
            .clone()
            .min_by_key(|(number, caller)| (order(caller), **number));
        if let Some((number, first)) = first {
            let binding = self.judge.forbids(first.cost, now, 10);
            assert!(binding.is_some(), "{number} waits for nothing at {now}");
        }
        let status = self.limiter.status("");
        assert_eq!(status.queued, waiting.count());
        assert_eq!(status.in_flight, self.judge.under_way());
        for (index, limit) in status.limits.iter().enumerate() {
            let late = self.rules.all[index].per / 100;
            let least = self.judge.used(index, now, 0);
            let most = self.judge.used(index, now, late);
            assert!(
                (least..=most).contains(&limit.used),
                "{limit:?}, not {least} to {most}"
            );
        }
    }

    /// Everybody gets through in the end, and leaves nothing behind.
    fn finish(mut self) {
        for _ in 0..10_000 {
            for number in self.numbers(|caller| caller.sent.is_some()) {
                self.end(number, End::Untold);
                self.run();
            }
            if self.callers.is_empty() {
                break;
            }
            if self.callers.values().any(|caller| caller.sent.is_some()) {
                continue;
            }
            let next = self
                .clock
                .next_deadline()
                .expect("somebody is told when to wake");
            let step = next.saturating_duration_since(self.clock.now());
            self.pass(step.as_nanos() as Time);
            self.run();
        }
        assert!(
            self.callers.is_empty(),
            "{} never got through",
            self.callers.len()
        );
        self.check();
        self.clock.advance(Duration::from_secs(1_000_000));
        assert!(self.limiter.keys().is_empty());
        assert_eq!(self.clock.sleepers(), 0);
    }

    fn numbers(&self, which: impl Fn(&Caller) -> bool) -> Vec<usize> {
        let callers = self.callers.iter().filter(|(_, caller)| which(caller));
        callers.map(|(number, _)| *number).collect()
    }
}

fn nth(numbers: Vec<usize>, which: usize) -> Option<usize> {
    numbers.get(which % numbers.len().max(1)).copied()
}

proptest! {
    #![proptest_config(fewer())]

    /// No window is overrun but by debts, nobody is overtaken by a later one of his priority, nobody waits for nothing or for
    /// ever, what is told is what is there, and no permit is lost or there twice.
    #[test]
    fn whatever_callers_do_a_judge_of_the_whole_log_objects_to_nothing(rules in rules(), steps in steps()) {
        let mut play = Play::new(rules);
        steps.into_iter().for_each(|step| play.step(step));
        play.finish();
    }

    /// Callers who always wait use what there is to use.
    #[test]
    fn under_steady_demand_99_percent_of_a_quota_are_used(rule in rule(), cost in 1_u64..4) {
        const PERIODS: u64 = 10;
        let per = rule.per;
        let rules = Rules {
            all: vec![Rule { is_shadow: false, ..rule.clone() }],
            max_concurrent: None,
            min_interval: 0,
            margin: 0,
            keeps_estimates: false,
            wall: 0,
        };
        let mut play = Play::new(rules.clone());
        let cost = Cost::tokens(cost, cost);
        prop_assume!(!rules.is_too_large(cost));
        let part = match rule.dimension {
            Dimension::Requests => 1,
            Dimension::Tokens => cost.total_tokens(),
            _ => cost.input_tokens,
        };
        while play.now() < PERIODS * per {
            while play.callers.values().filter(|caller| caller.sent.is_none()).count() < 3 {
                play.ask(cost, Priority::Normal);
                play.run();
                for number in play.numbers(|caller| caller.sent.is_some()) {
                    play.end(number, End::Untold);
                    play.run();
                }
            }
            let next = play.clock.next_deadline().expect("somebody waits");
            play.clock.advance(next - play.clock.now());
            play.run();
        }
        // The last to be admitted came at the end; what a limit cannot be divided into is nobody's.
        let used = play.judge.admissions() * part;
        let usable = match rule.counting {
            Counting::Bucket { burst } => burst + rule.amount * PERIODS - part,
            _ => rule.amount / part * part * PERIODS,
        };
        prop_assert!(used * 100 >= usable * 99, "{used} of {usable}");
    }
}
