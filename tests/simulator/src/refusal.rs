//! How each provider words that a quota is spent.

use std::time::Duration;

use crate::{
    dialect::Dialect,
    fault::Fault,
    quota::{Cause, Period, Refusal, Unit},
    text::{go_duration, grouped, whole_milliseconds, whole_seconds},
};

impl Fault {
    pub(crate) fn refused(dialect: Dialect, model: &str, refusal: &Refusal) -> Self {
        let mut fault = match dialect {
            Dialect::Groq => groq(model, refusal),
            Dialect::OpenAi => openai(model, refusal),
            Dialect::Anthropic => anthropic(model, refusal),
            Dialect::Ollama => ollama(refusal),
        };
        if let Cause::Spent { wait } = refusal.cause {
            fault.wait = Some(wait);
        }
        fault
    }

    /// The shortest wait that a client can read from this error, rounded as it is told.
    pub(crate) fn told_wait(&self, dialect: Dialect) -> Option<Duration> {
        let wait = self.wait?;
        Some(match dialect {
            Dialect::Groq | Dialect::OpenAi => Duration::from_millis(whole_milliseconds(wait)),
            Dialect::Anthropic | Dialect::Ollama => Duration::from_secs(whole_seconds(wait)),
        })
    }
}

fn groq(model: &str, refusal: &Refusal) -> Fault {
    let message = message(
        refusal,
        &format!(
            "model `{model}` in organization `{GROQ_ORGANIZATION}` service tier `on_demand` on {}",
            scope(refusal, "minute"),
        ),
        ", please reduce your message size and try again.",
        "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing",
    );
    let status = if refusal.cause == Cause::TooLarge {
        413
    } else {
        429
    };
    Fault::new(status, refusal.unit.name(), message).with_code("rate_limit_exceeded")
}

fn openai(model: &str, refusal: &Refusal) -> Fault {
    let message = message(
        refusal,
        &format!(
            "{model} in organization {OPENAI_ORGANIZATION} on {}",
            scope(refusal, "min")
        ),
        ". The input or output tokens must be reduced in order to run successfully.",
        "Visit https://platform.openai.com/account/rate-limits to learn more.",
    );
    Fault::new(429, refusal.unit.name(), message).with_code("rate_limit_exceeded")
}

/// What Groq and OpenAI have in common. Neither documents a text for too many requests at once;
/// it follows their others, without a time.
fn message(refusal: &Refusal, subject: &str, remedy: &str, ending: &str) -> String {
    let Refusal {
        limit,
        used,
        requested,
        ..
    } = refusal;
    let figures = format!("{subject}: Limit {limit}, Used {used}, Requested {requested}");
    match refusal.cause {
        Cause::Spent { wait } => {
            let wait = go_duration(wait);
            format!("Rate limit reached for {figures}. Please try again in {wait}. {ending}")
        }
        Cause::TooLarge => format!(
            "Request too large for {subject}: Limit {limit}, Requested {requested}{remedy} {ending}"
        ),
        Cause::Busy => format!("Rate limit reached for {figures}. {ending}"),
    }
}

fn anthropic(model: &str, refusal: &Refusal) -> Fault {
    let Refusal {
        limit, requested, ..
    } = refusal;
    match refusal.cause {
        Cause::Spent { .. } => Fault::new(
            429,
            "rate_limit_error",
            format!(
                "This request would exceed your organization's rate limit of {} {} per {} (org: \
                 {ANTHROPIC_ORGANIZATION}, model: {model}). For details, refer to: \
                 https://docs.claude.com/en/api/rate-limits. You can see the response headers for \
                 current usage. Please reduce the prompt length or the maximum tokens requested, \
                 or try again later.",
                grouped(*limit),
                refusal.unit.name(),
                period(refusal, "minute"),
            ),
        ),
        Cause::TooLarge => Fault::malformed(format!(
            "prompt is too long: {requested} tokens > {limit} maximum"
        )),
        Cause::Busy => Fault::new(
            429,
            "rate_limit_error",
            "Number of concurrent connections has exceeded your rate limit. Please try again later.",
        ),
    }
}

/// Ollama has no quotas of its own; the first words are for who puts it behind some.
fn ollama(refusal: &Refusal) -> Fault {
    match refusal.cause {
        Cause::Spent { .. } => Fault::new(429, "api_error", "too many requests"),
        Cause::TooLarge => Fault::malformed(format!(
            "prompt too long; exceeded max context length by {} tokens",
            refusal.requested - refusal.limit,
        )),
        Cause::Busy => Fault::busy_queue(),
    }
}

/// For example `tokens per min (TPM)`.
fn scope(refusal: &Refusal, minute: &str) -> String {
    let initials = match (refusal.unit, refusal.period) {
        _ if refusal.cause == Cause::Busy => return "concurrent requests".into(),
        (Unit::Requests, Period::Minute) => "RPM",
        (Unit::Requests, Period::Day) => "RPD",
        (Unit::Tokens, Period::Minute) => "TPM",
        (Unit::Tokens, Period::Day) => "TPD",
    };
    format!(
        "{} per {} ({initials})",
        refusal.unit.name(),
        period(refusal, minute)
    )
}

fn period<'a>(refusal: &Refusal, minute: &'a str) -> &'a str {
    match refusal.period {
        Period::Minute => minute,
        Period::Day => "day",
    }
}

const GROQ_ORGANIZATION: &str = "org_01sjm0atedgr0q0000000000zz";
const OPENAI_ORGANIZATION: &str = "org-SimulatedProviderOrg0001";
const ANTHROPIC_ORGANIZATION: &str = "51a01a7e-d000-4000-8000-0000000a17a1";
