//! A stack from variables of the environment.

use std::{collections::BTreeMap, env, ffi::OsStr, time::Duration};

use super::{
    builder::StackBuilder,
    file::{Mistake, Mistakes, nearest::nearest, show, to_stack},
    handle::Stack,
};
use crate::{
    circuit_breaker::CircuitBreakerPolicy,
    period::in_words,
    rate_limit::{Limit, Quota, RateLimiter},
    request::Scope,
    retry::RetryPolicy,
};

impl Stack {
    /// The stack that the environment describes, without upstreams: requests go where they say. See
    /// [From the environment](super#from-the-environment).
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the variables, each with its name.
    pub fn from_env() -> Result<Self, Mistakes> {
        to_stack(StackBuilder::from_env("", env::vars_os())?)
    }
}

impl StackBuilder {
    /// What the environment describes, to be built with upstreams, a clock, an observer or handles of yours. Only variables
    /// that begin with `prefix` are looked at, such as `MYAPP_MAX_RETRIES`; where it is not empty, one that is nearly a known
    /// name is a mistake.
    ///
    /// ```
    /// use tower_upstream::{Provider, stack::StackBuilder};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = StackBuilder::from_env("MYAPP_", std::env::vars_os())?;
    /// let stack = builder.upstream(Provider::ollama().model("llama3.2")).build()?;
    /// # let variables = [("MYAPP_REQUESTS_PER_MINUTE", "60"), ("MYAPP_MAX_RETRIES", "many")];
    /// // MYAPP_REQUESTS_PER_MINUTE=60 MYAPP_MAX_RETRIES=many
    /// let mistakes = StackBuilder::from_env("MYAPP_", variables).unwrap_err();
    /// assert_eq!(
    ///     mistakes.to_string(),
    ///     "MYAPP_MAX_RETRIES: expected a whole number of at least 0, found \"many\""
    /// );
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the variables, each with its name.
    pub fn from_env(
        prefix: &str,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Result<Self, Mistakes> {
        let mut reader = Reader {
            prefix,
            mistakes: Vec::new(),
        };
        let values = reader.collect(variables);
        let builder = reader.builder(&values);
        match Mistakes::new(reader.mistakes) {
            Some(mistakes) => Err(mistakes),
            None => Ok(builder),
        }
    }
}

/// What was found wrong so far.
struct Reader<'a> {
    prefix: &'a str,
    mistakes: Vec<Mistake>,
}

/// By the name without the prefix.
type Values = BTreeMap<String, String>;

impl Reader<'_> {
    /// The variables that say something. A blank one says nothing.
    fn collect(
        &mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Values {
        let mut values = Values::new();
        for (name, value) in variables {
            let Some(name) = name
                .as_ref()
                .to_str()
                .and_then(|name| name.strip_prefix(self.prefix))
            else {
                continue;
            };
            if !NAMES.contains(&name) && agent(name).is_none() {
                // A word of another program may be near by chance, but hardly one with the own prefix.
                if let (false, Some(near)) = (self.prefix.is_empty(), nearest(name, NAMES)) {
                    let near = format!(
                        "no such name is known; did you mean `{}{near}`?",
                        self.prefix
                    );
                    self.wrong(name, near);
                }
                continue;
            }
            match value.as_ref().to_str() {
                Some(value) if value.trim().is_empty() => {}
                Some(value) => {
                    values.insert(name.to_owned(), value.trim().to_owned());
                }
                None => self.wrong(name, "expected text, found bytes that are none".into()),
            }
        }
        values
    }

    fn builder(&mut self, values: &Values) -> StackBuilder {
        let builder = Stack::builder()
            .retry(self.retry(values))
            .circuit_breaker(self.circuit_breaker(values));
        let limiters = [self.shared(values), self.by_agent(values)];
        let limiters = limiters.into_iter().flatten();
        limiters.fold(builder, |builder, (limiter, quotas)| {
            builder.add_limiter(limiter, false, quotas)
        })
    }

    /// One quota for all requests.
    fn shared(&mut self, values: &Values) -> Option<(RateLimiter, Vec<(String, Quota)>)> {
        let mut quota = Quota::new();
        if let Some(requests) = self.count(values, "MAX_CONCURRENT_REQUESTS", 1) {
            quota = quota.max_concurrent(requests);
        }
        if let Some(millis) = self.count(values, "MIN_REQUEST_INTERVAL_MS", 0) {
            quota = quota.min_interval(Duration::from_millis(millis.into()));
        }
        if let Some(requests) = self.count(values, "REQUESTS_PER_MINUTE", 1) {
            quota = quota.limit(Limit::requests(requests.into()).per_minute());
        }
        if let Some(tokens) = self.count(values, "TOKENS_PER_MINUTE", 1) {
            quota = quota.limit(Limit::tokens(tokens.into()).per_minute());
        }
        if quota == Quota::new() {
            return None;
        }
        let limiter = RateLimiter::new(quota).ok()?.scope(Scope::All);
        Some((limiter, Vec::new()))
    }

    /// The most tokens of each agent's requests.
    fn by_agent(&mut self, values: &Values) -> Option<(RateLimiter, Vec<(String, Quota)>)> {
        let agents = values.keys().filter_map(|name| Some((name, agent(name)?)));
        let quotas: Vec<_> = agents
            .filter_map(|(name, agent)| {
                let tokens = self.count(values, name, 1)?;
                Some((agent, Quota::new().max_tokens_per_request(tokens.into())))
            })
            .collect();
        let limiter = RateLimiter::default().scope(Scope::by_caller(""));
        (!quotas.is_empty()).then_some((limiter, quotas))
    }

    fn retry(&mut self, values: &Values) -> RetryPolicy {
        let mut policy = RetryPolicy::llm();
        if let Some(retries) = self.count(values, "MAX_RETRIES", 0) {
            policy = policy.max_attempts(retries.saturating_add(1));
        }
        // The defaults of the policy.
        let (usual_first, usual_longest) = (Duration::from_secs(1), Duration::from_secs(30));
        let first = self.seconds(values, "INITIAL_BACKOFF_SECONDS", Duration::ZERO);
        let longest = self.seconds(values, "MAX_BACKOFF_SECONDS", Duration::ZERO);
        let (wait, most) = (
            first.unwrap_or(usual_first),
            longest.unwrap_or(usual_longest),
        );
        match most < wait {
            true => {
                let name = if longest.is_some() {
                    "MAX_BACKOFF_SECONDS"
                } else {
                    "INITIAL_BACKOFF_SECONDS"
                };
                let (wait, most) = (in_words(wait), in_words(most));
                self.wrong(name, format!("the first wait is {wait}, but the longest is {most}: expected one that is no shorter"));
            }
            false => policy = policy.backoff(wait, most),
        }
        if let Some(factor) = self.factor(values, "BACKOFF_MULTIPLIER") {
            policy = policy.multiplier(factor);
        }
        policy
    }

    fn circuit_breaker(&mut self, values: &Values) -> CircuitBreakerPolicy {
        let mut policy = CircuitBreakerPolicy::default();
        if let Some(failures) = self.count(values, "CIRCUIT_BREAKER_FAILURE_THRESHOLD", 1) {
            policy = policy.consecutive_failures(failures);
        }
        let shortest = Duration::from_nanos(1);
        if let Some(time) = self.seconds(values, "CIRCUIT_BREAKER_RECOVERY_TIMEOUT", shortest) {
            policy = policy.open_for(time);
        }
        if let Some(successes) = self.count(values, "CIRCUIT_BREAKER_SUCCESS_THRESHOLD", 1) {
            policy = policy.successes(successes);
        }
        policy
    }

    fn count(&mut self, values: &Values, name: &str, least: u32) -> Option<u32> {
        let read = |text: &str| text.parse().ok().filter(|count| *count >= least);
        self.read(values, name, read, || {
            format!("a whole number of at least {least}")
        })
    }

    fn seconds(&mut self, values: &Values, name: &str, least: Duration) -> Option<Duration> {
        let read = |text: &str| {
            let seconds: f64 = text.parse().ok()?;
            Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|time| *time >= least)
        };
        let above = if least.is_zero() { "" } else { " above 0" };
        self.read(values, name, read, || {
            format!("seconds{above}, such as \"1\" or \"0.5\"")
        })
    }

    fn factor(&mut self, values: &Values, name: &str) -> Option<f64> {
        let read = |text: &str| {
            text.parse()
                .ok()
                .filter(|factor: &f64| *factor >= 1.0 && factor.is_finite())
        };
        self.read(values, name, read, || "a number of at least 1.0".into())
    }

    fn read<T>(
        &mut self,
        values: &Values,
        name: &str,
        read: impl Fn(&str) -> Option<T>,
        expected: impl Fn() -> String,
    ) -> Option<T> {
        let text = values.get(name)?;
        let value = read(text);
        if value.is_none() {
            self.wrong(
                name,
                format!("expected {}, found {}", expected(), show::text(text)),
            );
        }
        value
    }

    fn wrong(&mut self, name: &str, problem: String) {
        let name = format!("{}{name}", self.prefix);
        self.mistakes.push(Mistake::of(name, problem));
    }
}

/// The agent of which a variable says the most tokens, as a [`Caller`](super::Caller) names him.
fn agent(name: &str) -> Option<String> {
    let agent = name.strip_suffix("_MAX_TOKENS")?;
    (!agent.is_empty()).then(|| agent.to_ascii_lowercase())
}

const NAMES: [&str; 11] = [
    "MAX_CONCURRENT_REQUESTS",
    "MIN_REQUEST_INTERVAL_MS",
    "REQUESTS_PER_MINUTE",
    "TOKENS_PER_MINUTE",
    "MAX_RETRIES",
    "INITIAL_BACKOFF_SECONDS",
    "MAX_BACKOFF_SECONDS",
    "BACKOFF_MULTIPLIER",
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD",
    "CIRCUIT_BREAKER_RECOVERY_TIMEOUT",
    "CIRCUIT_BREAKER_SUCCESS_THRESHOLD",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Cost;

    fn explained(variables: &[(&str, &str)]) -> Stack {
        let builder = StackBuilder::from_env("", variables.iter().copied()).unwrap();
        builder.build().unwrap()
    }

    fn mistakes(prefix: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let mistakes = StackBuilder::from_env(prefix, variables.iter().copied()).unwrap_err();
        mistakes.iter().map(Mistake::to_string).collect()
    }

    #[test]
    fn each_name_sets_what_it_says() {
        let stack = explained(&[
            ("MAX_CONCURRENT_REQUESTS", "3"),
            ("MIN_REQUEST_INTERVAL_MS", "100"),
            ("REQUESTS_PER_MINUTE", "60"),
            ("TOKENS_PER_MINUTE", " 150000 "),
            ("MAX_RETRIES", "3"),
            ("INITIAL_BACKOFF_SECONDS", "0.5"),
            ("MAX_BACKOFF_SECONDS", "20"),
            ("BACKOFF_MULTIPLIER", "1.5"),
            ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "7"),
            ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "45"),
            ("CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "2"),
            ("PATH", "/bin"),
        ]);
        let told = stack.explain();
        for wanted in [
            "all requests together: 100ms between requests, 60 requests per minute, 150000 tokens per minute, at most 3 at a time;",
            "4 attempts, after waits of 500ms, each 1.5 times the last, up to 20s, with full jitter",
            "opens after 7 failures in a row",
            "for 45s,",
            "closes after 2 good probes",
        ] {
            assert!(told.contains(wanted), "{wanted} in {told}");
        }
    }

    #[test]
    fn an_agent_has_the_most_tokens_that_its_variable_says() {
        let stack = explained(&[
            ("PLANNER_MAX_TOKENS", "4000"),
            ("DATA_ANALYST_MAX_TOKENS", "9000"),
        ]);
        let of =
            |agent: &str, tokens| stack.limiters()[1].can_admit(agent, Cost::tokens(tokens, 0));
        assert!(of("planner", 4_000) && !of("planner", 4_001));
        assert!(of("data_analyst", 9_000) && !of("data_analyst", 9_001));
        assert!(of("somebody", 1_000_000));
    }

    #[test]
    fn what_is_not_set_or_blank_is_as_it_always_is() {
        let (empty, usual) = (
            explained(&[("MAX_RETRIES", " ")]),
            Stack::builder().build().unwrap(),
        );
        let policies = |stack: &Stack| {
            stack
                .explain()
                .split("rate limit")
                .next()
                .map(str::to_owned)
        };
        assert_eq!(policies(&empty), policies(&usual));
        assert_eq!(empty.limiters().len(), 1);
    }

    #[test]
    fn a_bad_value_names_its_variable_and_all_are_told_at_once() {
        assert_eq!(
            mistakes(
                "",
                &[
                    ("MAX_CONCURRENT_REQUESTS", "0"),
                    ("TOKENS_PER_MINUTE", "90k"),
                    ("MAX_RETRIES", "-1"),
                    ("INITIAL_BACKOFF_SECONDS", "1s"),
                    ("BACKOFF_MULTIPLIER", "0.5"),
                    ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "0"),
                    ("PLANNER_MAX_TOKENS", "lots"),
                    ("MIN_REQUEST_INTERVAL_MS", "sk-proj-0123456789"),
                ]
            ),
            [
                "MAX_RETRIES: expected a whole number of at least 0, found \"-1\"",
                "INITIAL_BACKOFF_SECONDS: expected seconds, such as \"1\" or \"0.5\", found \"1s\"",
                "BACKOFF_MULTIPLIER: expected a number of at least 1.0, found \"0.5\"",
                "CIRCUIT_BREAKER_RECOVERY_TIMEOUT: expected seconds above 0, such as \"1\" or \"0.5\", found \"0\"",
                "MAX_CONCURRENT_REQUESTS: expected a whole number of at least 1, found \"0\"",
                "MIN_REQUEST_INTERVAL_MS: expected a whole number of at least 0, found something that looks like a key and is not repeated here",
                "TOKENS_PER_MINUTE: expected a whole number of at least 1, found \"90k\"",
                "PLANNER_MAX_TOKENS: expected a whole number of at least 1, found \"lots\"",
            ]
        );
        for (first, longest, wanted) in [
            (
                "60",
                "",
                "INITIAL_BACKOFF_SECONDS: the first wait is 1 minute, but the longest is 30s: expected one that is no shorter",
            ),
            (
                "5",
                "2",
                "MAX_BACKOFF_SECONDS: the first wait is 5s, but the longest is 2s: expected one that is no shorter",
            ),
        ] {
            let variables = [
                ("INITIAL_BACKOFF_SECONDS", first),
                ("MAX_BACKOFF_SECONDS", longest),
            ];
            assert_eq!(mistakes("", &variables), [wanted]);
        }
    }

    #[test]
    fn with_a_prefix_a_slip_is_a_mistake_and_what_has_another_is_not_looked_at() {
        let variables = [
            ("MYAPP_MAX_RETRYS", "3"),
            ("MAX_RETRIES", "many"),
            ("MYAPP_PORT", "80"),
        ];
        assert_eq!(
            mistakes("MYAPP_", &variables),
            ["MYAPP_MAX_RETRYS: no such name is known; did you mean `MYAPP_MAX_RETRIES`?"]
        );
        assert!(StackBuilder::from_env("", [("MAX_RETRYS", "3")]).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_a_mistake() {
        use std::os::unix::ffi::OsStrExt;
        let variables = [(OsStr::new("MAX_RETRIES"), OsStr::from_bytes(b"\xff"))];
        let mistakes = StackBuilder::from_env("", variables).unwrap_err();
        assert_eq!(
            mistakes.to_string(),
            "MAX_RETRIES: expected text, found bytes that are none"
        );
    }
}
