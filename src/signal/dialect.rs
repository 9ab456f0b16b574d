//! Who is speaking.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName};

use super::words::{Phrases, Words};

/// A family of APIs that word their errors and name their headers alike.
///
/// Most of what an answer says is understood without knowing the dialect; it decides where the same words mean
/// different things, as a per-day quota that comes with a retry delay of seconds does at Google.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// OpenAI's own API.
    OpenAi,
    /// Azure OpenAI and Azure AI Foundry.
    Azure,
    /// Anthropic.
    Anthropic,
    /// Groq.
    Groq,
    /// Google's Gemini API, Vertex AI and Code Assist: `google.rpc.Status`.
    Gemini,
    /// Mistral.
    Mistral,
    /// Cohere.
    Cohere,
    /// DeepSeek.
    DeepSeek,
    /// Together AI.
    Together,
    /// OpenRouter.
    OpenRouter,
    /// Amazon Bedrock, and AWS' JSON protocol in general.
    Bedrock,
    /// xAI.
    XAi,
    /// Fireworks AI.
    Fireworks,
    /// Perplexity.
    Perplexity,
    /// Hugging Face's inference providers and endpoints.
    HuggingFace,
    /// Cerebras.
    Cerebras,
    /// GitHub's REST API and GitHub Models.
    GitHub,
    /// NVIDIA NIM.
    Nvidia,
    /// Ollama, local or in its cloud.
    Ollama,
    /// vLLM, and llama.cpp's server.
    Vllm,
    /// Moonshot AI (Kimi).
    Moonshot,
    /// Zhipu AI (GLM).
    Zhipu,
    /// MiniMax.
    MiniMax,
    /// Alibaba Cloud's DashScope (Qwen).
    DashScope,
    /// Any other HTTP API.
    Generic,
}

impl Dialect {
    /// The name, in lower case.
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(_, dialect)| *dialect == self)
            .map_or("generic", |(name, _)| name)
    }

    /// The dialect of that name, whatever its case; common names of the same service (`vertexai`, `azure-openai`) are
    /// known too.
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, dialect)| *dialect)
    }

    /// Every name of every dialect.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The dialect that the headers give away, if any does.
    ///
    /// Only headers that nobody else sends count: `x-ratelimit-*` is spoken by all.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        // Comparing is cheaper than hashing: there are few headers, and most names differ in their length.
        let place = |name: &HeaderName| {
            TELLING_HEADERS
                .iter()
                .position(|(telling, _)| *telling == name.as_str())
        };
        let first = headers.keys().filter_map(place).min()?;
        Some(TELLING_HEADERS[first].1)
    }

    /// The dialect that an error body gives away by a word that only its speaker uses, if any does. `codes` are plain, each
    /// between line feeds.
    pub(crate) fn from_body(words: &Words, codes: &str) -> Option<Self> {
        let in_codes = memchr::memchr_iter(b'\n', codes.as_bytes())
            .flat_map(|at| FIND_TELLING_WORDS.at(codes, at + 1));
        FIND_TELLING_WORDS
            .find(words)
            .chain(in_codes)
            .map(|(_, dialect)| dialect)
            .next()
    }
}

/// Every name; the first one of a dialect is the one it is called by.
const NAMES: [(&str, Dialect); 51] = [
    ("openai", Dialect::OpenAi),
    ("azure", Dialect::Azure),
    ("azure-openai", Dialect::Azure),
    ("azure-ai-foundry", Dialect::Azure),
    ("anthropic", Dialect::Anthropic),
    ("claude", Dialect::Anthropic),
    ("groq", Dialect::Groq),
    ("gemini", Dialect::Gemini),
    ("google", Dialect::Gemini),
    ("vertex", Dialect::Gemini),
    ("vertexai", Dialect::Gemini),
    ("vertex-ai", Dialect::Gemini),
    ("gemini-code-assist", Dialect::Gemini),
    ("mistral", Dialect::Mistral),
    ("cohere", Dialect::Cohere),
    ("deepseek", Dialect::DeepSeek),
    ("together", Dialect::Together),
    ("togetherai", Dialect::Together),
    ("openrouter", Dialect::OpenRouter),
    ("bedrock", Dialect::Bedrock),
    ("aws", Dialect::Bedrock),
    ("aws-bedrock", Dialect::Bedrock),
    ("xai", Dialect::XAi),
    ("fireworks", Dialect::Fireworks),
    ("perplexity", Dialect::Perplexity),
    ("huggingface", Dialect::HuggingFace),
    ("hugging-face", Dialect::HuggingFace),
    ("cerebras", Dialect::Cerebras),
    ("github", Dialect::GitHub),
    ("github-api", Dialect::GitHub),
    ("github-models", Dialect::GitHub),
    ("nvidia", Dialect::Nvidia),
    ("nvidia-nim", Dialect::Nvidia),
    ("ollama", Dialect::Ollama),
    ("ollama-cloud", Dialect::Ollama),
    ("vllm", Dialect::Vllm),
    ("llama.cpp", Dialect::Vllm),
    ("llamacpp", Dialect::Vllm),
    ("llama-server", Dialect::Vllm),
    ("moonshot", Dialect::Moonshot),
    ("kimi", Dialect::Moonshot),
    ("zhipu", Dialect::Zhipu),
    ("zai", Dialect::Zhipu),
    ("z.ai", Dialect::Zhipu),
    ("glm", Dialect::Zhipu),
    ("minimax", Dialect::MiniMax),
    ("dashscope", Dialect::DashScope),
    ("alibaba", Dialect::DashScope),
    ("qwen", Dialect::DashScope),
    ("generic", Dialect::Generic),
    ("http", Dialect::Generic),
];

const TELLING_HEADERS: [(&str, Dialect); 16] = [
    ("anthropic-ratelimit-requests-limit", Dialect::Anthropic),
    ("anthropic-ratelimit-tokens-limit", Dialect::Anthropic),
    ("anthropic-organization-id", Dialect::Anthropic),
    ("x-groq-region", Dialect::Groq),
    ("x-amzn-errortype", Dialect::Bedrock),
    ("x-amzn-requestid", Dialect::Bedrock),
    ("apim-request-id", Dialect::Azure),
    ("x-ms-region", Dialect::Azure),
    ("x-ratelimit-renewalperiod-requests", Dialect::Azure),
    ("x-ratelimit-renewalperiod-tokens", Dialect::Azure),
    ("x-gemini-service-tier", Dialect::Gemini),
    ("mistral-correlation-id", Dialect::Mistral),
    ("x-github-request-id", Dialect::GitHub),
    ("x-fireworks-request-id", Dialect::Fireworks),
    ("nvcf-reqid", Dialect::Nvidia),
    ("openai-organization", Dialect::OpenAi),
];

/// In lower case, as the text is that they are looked for in, and plain, as codes are.
const TELLING_WORDS: [(&str, Dialect); 11] = [
    ("type.googleapis.com/", Dialect::Gemini),
    ("generativelanguage.googleapis.com", Dialect::Gemini),
    ("aiplatform.googleapis.com", Dialect::Gemini),
    ("resource_exhausted", Dialect::Gemini),
    ("console.groq.com", Dialect::Groq),
    ("resourceexhausted", Dialect::Gemini),
    ("openrouter", Dialect::OpenRouter),
    ("baseresp", Dialect::MiniMax),
    ("dashboard.cohere.com", Dialect::Cohere),
    ("service_tier_capacity_exceeded", Dialect::Mistral),
    ("servicetiercapacityexceeded", Dialect::Mistral),
];

static FIND_TELLING_WORDS: LazyLock<Phrases<Dialect>> =
    LazyLock::new(|| Phrases::new(TELLING_WORDS));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_dialect() {
        for (_, dialect) in NAMES {
            assert_eq!(Dialect::from_name(dialect.name()), Some(dialect));
        }
        assert_eq!(Dialect::from_name("VertexAI"), Some(Dialect::Gemini));
        assert_eq!(Dialect::from_name("nobody"), None);
    }
}
