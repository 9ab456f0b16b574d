use std::time::Duration;

use http::Method;

use crate::dialect::Dialect;

/// An error as a provider words it. Refusals by a quota are in `refusal`.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    /// The `type` in the body.
    pub(crate) kind: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) message: String,
    /// When to come back, if the answer is to say so.
    pub(crate) wait: Option<Duration>,
}

impl Fault {
    pub(crate) fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            code: None,
            message: message.into(),
            wait: None,
        }
    }

    pub(crate) fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn unauthorized(dialect: Dialect) -> Self {
        let openai = "Incorrect API key provided. You can find your API key at \
                      https://platform.openai.com/account/api-keys.";
        match dialect {
            Dialect::Groq => Self::invalid(401, "Invalid API Key").with_code("invalid_api_key"),
            Dialect::OpenAi => Self::invalid(401, openai).with_code("invalid_api_key"),
            Dialect::Anthropic => Self::new(401, "authentication_error", "invalid x-api-key"),
            Dialect::Ollama => Self::new(401, "api_error", "Unauthorized"),
        }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::invalid(400, detail)
    }

    pub(crate) fn unknown_model(dialect: Dialect, model: &str) -> Self {
        let message = match dialect {
            Dialect::Groq | Dialect::OpenAi => {
                format!("The model `{model}` does not exist or you do not have access to it.")
            }
            Dialect::Anthropic => format!("model: {model}"),
            Dialect::Ollama => format!("model '{model}' not found"),
        };
        Self::not_found(dialect, "model_not_found", message)
    }

    pub(crate) fn unknown_path(dialect: Dialect, method: &Method, path: &str) -> Self {
        let message = format!("Unknown request URL: {method} {path}");
        Self::not_found(dialect, "unknown_url", message)
    }

    pub(crate) fn overloaded(dialect: Dialect, model: &str) -> Self {
        let groq = format!(
            "{model} is currently over capacity. Please try again and back off exponentially. \
             Visit https://groqstatus.com to see if there is an active incident."
        );
        let openai = "The engine is currently overloaded, please try again later";
        match dialect {
            Dialect::Groq => Self::new(503, "internal_server_error", groq),
            Dialect::OpenAi => Self::new(503, "server_error", openai),
            Dialect::Anthropic => Self::new(529, "overloaded_error", "Overloaded"),
            Dialect::Ollama => Self::busy_queue(),
        }
    }

    /// The two spaces are Ollama's.
    pub(crate) fn busy_queue() -> Self {
        let message = "server busy, please try again.  maximum pending requests exceeded";
        Self::new(503, "api_error", message)
    }

    pub(crate) fn insufficient_quota(dialect: Dialect) -> Self {
        let openai = "You exceeded your current quota, please check your plan and billing details.";
        let anthropic = "Your credit balance is too low to access the Anthropic API. Please go to \
                         Plans & Billing to upgrade or purchase credits.";
        let ollama = "you have reached your usage limit, please upgrade to continue";
        let kind = "insufficient_quota";
        match dialect {
            Dialect::Groq | Dialect::OpenAi => Self::new(429, kind, openai).with_code(kind),
            Dialect::Anthropic => Self::invalid(400, anthropic),
            Dialect::Ollama => Self::new(429, "api_error", ollama),
        }
    }

    pub(crate) fn scripted(dialect: Dialect, status: u16) -> Self {
        let status = Some(status)
            .filter(|status| (400..600).contains(status))
            .unwrap_or(500);
        let kind = match dialect {
            Dialect::Anthropic => anthropic_kind(status),
            Dialect::Ollama if status == 404 => "not_found_error",
            Dialect::Groq if status >= 500 => "internal_server_error",
            Dialect::OpenAi if status >= 500 => "server_error",
            Dialect::Groq | Dialect::OpenAi if status == 429 => "requests",
            Dialect::Ollama if status != 400 => "api_error",
            _ => "invalid_request_error",
        };
        let message = format!("Simulated failure with status {status}.");
        let fault = Self::new(status, kind, message);
        if kind == "requests" {
            return fault.with_code("rate_limit_exceeded");
        }
        fault
    }

    fn invalid(status: u16, message: impl Into<String>) -> Self {
        Self::new(status, "invalid_request_error", message)
    }

    fn not_found(dialect: Dialect, code: &'static str, message: String) -> Self {
        match dialect {
            Dialect::Groq | Dialect::OpenAi => Self::invalid(404, message).with_code(code),
            Dialect::Anthropic | Dialect::Ollama => Self::new(404, "not_found_error", message),
        }
    }
}

/// <https://docs.claude.com/en/api/errors>
fn anthropic_kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}
