use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    fault::Fault,
    quota::{Period, Quotas, Standing, Unit},
    text::{go_duration, timestamp, whole_milliseconds, whole_seconds},
};

/// Whose shapes a simulator speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Groq,
    OpenAi,
    Anthropic,
    Ollama,
}

impl Dialect {
    pub(crate) fn base_path(self) -> &'static str {
        match self {
            Self::Groq => "/openai/v1",
            Self::OpenAi | Self::Anthropic | Self::Ollama => "/v1",
        }
    }

    /// The name of a request in headers and bodies.
    pub(crate) fn request_id(self, ticket: u64) -> String {
        match self {
            Self::Groq => format!("req_01{ticket:024}"),
            Self::OpenAi | Self::Ollama => format!("req_{ticket:032x}"),
            Self::Anthropic => format!("req_011C{ticket:020}"),
        }
    }

    pub(crate) fn request_id_header(self) -> HeaderName {
        HeaderName::from_static(match self {
            Self::Anthropic => "request-id",
            Self::Groq | Self::OpenAi | Self::Ollama => "x-request-id",
        })
    }

    pub(crate) fn error_body(self, fault: &Fault, request_id: &str) -> Value {
        let Fault { kind, message, .. } = fault;
        match self {
            Self::Anthropic => json!({
                "type": "error",
                "error": {"type": kind, "message": message},
                "request_id": request_id,
            }),
            Self::Groq if fault.code.is_none() => {
                json!({"error": {"message": message, "type": kind}})
            }
            Self::Groq => json!({"error": {"message": message, "type": kind, "code": fault.code}}),
            Self::OpenAi | Self::Ollama => json!({
                "error": {"message": message, "type": kind, "param": null, "code": fault.code},
            }),
        }
    }

    /// What an error says beside its body: when to come back, and whether at all.
    pub(crate) fn error_headers(self, fault: &Fault) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(wait) = fault.wait {
            headers.insert("retry-after", whole_seconds(wait).into());
            if self == Self::OpenAi {
                headers.insert("retry-after-ms", whole_milliseconds(wait).into());
            }
        }
        if self == Self::Anthropic {
            let again = fault.status == 429 || fault.status >= 500;
            let again = if again { "true" } else { "false" };
            headers.insert("x-should-retry", HeaderValue::from_static(again));
        }
        headers
    }

    /// The quotas of a model in this provider's headers: those that are limited, and of these the
    /// periods that the provider tells.
    pub(crate) fn quota_headers(self, quotas: &mut Quotas, now: Instant) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for unit in [Unit::Requests, Unit::Tokens] {
            let mut periods = self.told_periods(unit).iter();
            let standing = periods.find_map(|period| quotas.standing(now, unit, *period));
            if let Some(standing) = standing {
                self.insert_standing(&mut headers, unit, standing);
            }
        }
        headers
    }

    /// Groq: requests per day and tokens per minute, whatever else is limited
    /// (<https://console.groq.com/docs/rate-limits>). OpenAI tells the day where there is no
    /// minute.
    fn told_periods(self, unit: Unit) -> &'static [Period] {
        match (self, unit) {
            (Self::Groq, Unit::Requests) => &[Period::Day],
            (Self::Groq, Unit::Tokens) | (Self::Anthropic, _) => &[Period::Minute],
            (Self::OpenAi, _) => &[Period::Minute, Period::Day],
            (Self::Ollama, _) => &[],
        }
    }

    fn insert_standing(self, headers: &mut HeaderMap, unit: Unit, standing: Standing) {
        let unit = unit.name();
        let reset = match self {
            Self::Anthropic => timestamp(SystemTime::now() + standing.reset),
            _ => go_duration(standing.reset),
        };
        let figures = [
            ("limit", standing.limit.to_string()),
            ("remaining", standing.remaining.to_string()),
            ("reset", reset),
        ];
        for (figure, value) in figures {
            let name = match self {
                Self::Anthropic => format!("anthropic-ratelimit-{unit}-{figure}"),
                _ => format!("x-ratelimit-{figure}-{unit}"),
            };
            let name = HeaderName::try_from(name).expect("names are plain ASCII");
            headers.insert(name, value.try_into().expect("figures are plain ASCII"));
        }
    }
}
