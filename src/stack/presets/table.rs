//! The data: the only file to change when a provider changes its models or prices.
//!
//! A model stands where it is to be asked in its provider's fallback order, or below those that are asked. One that is
//! retired stays, so that a file that still names it can be told so, and so does a provider. `costs` takes millionths of a US
//! dollar for a million tokens, those out of a cache in the middle, and the date of the source.
//!
//! All of it was checked in November 2026 against published pages, in copies of them that are as old as the dates say: the
//! providers' own documentation where a copy was found, else the tables of litellm and models.dev, else two who wrote from
//! the provider's page. No service was asked. What one source alone says is not here.

use super::preset::{Listed, ModelPreset, ProviderPreset, Service};
use crate::{signal::Dialect, upstream::Provider};

/// Whom to turn to, by who is asked first.
pub(super) const FALLBACK_ORDERS: [[&str; 3]; 3] = [
    ["groq", "openai", "anthropic"],
    ["openai", "anthropic", "groq"],
    ["anthropic", "openai", "groq"],
];

/// Base URLs and names of variables: as the providers' documentation has them, or models.dev's table and those who document
/// how to reach the provider, in the newest copies that were found in November 2026.
#[rustfmt::skip] // a row is a line, here and below
pub(super) const PROVIDERS: &[ProviderPreset] = &[
    own("openai", Provider::openai, Some("OPENAI_API_KEY"), OPENAI),
    own("groq", Provider::groq, Some("GROQ_API_KEY"), GROQ),
    own("anthropic", Provider::anthropic, Some("ANTHROPIC_API_KEY"), ANTHROPIC),
    own("gemini", Provider::gemini, Some("GEMINI_API_KEY"), GEMINI),
    own("ollama", Provider::ollama, None, &[]),
    own("vllm", Provider::vllm, None, &[]),
    per_customer("azure", "AZURE_OPENAI_API_KEY"),
    at("cerebras", "https://api.cerebras.ai/v1", Dialect::Cerebras, "CEREBRAS_API_KEY"),
    at("cohere", "https://api.cohere.ai/compatibility/v1", Dialect::Cohere, "COHERE_API_KEY"),
    at("dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", Dialect::DashScope, "DASHSCOPE_API_KEY"),
    at("deepseek", "https://api.deepseek.com", Dialect::DeepSeek, "DEEPSEEK_API_KEY"),
    at("fireworks", "https://api.fireworks.ai/inference/v1", Dialect::Fireworks, "FIREWORKS_API_KEY"),
    at("github", "https://models.github.ai/inference", Dialect::GitHub, "GITHUB_TOKEN").retired("2026-07-30"),
    at("huggingface", "https://router.huggingface.co/v1", Dialect::HuggingFace, "HF_TOKEN"),
    at("minimax", "https://api.minimax.io/v1", Dialect::MiniMax, "MINIMAX_API_KEY"),
    at("mistral", "https://api.mistral.ai/v1", Dialect::Mistral, "MISTRAL_API_KEY"),
    at("moonshot", "https://api.moonshot.ai/v1", Dialect::Moonshot, "MOONSHOT_API_KEY"),
    at("nvidia", "https://integrate.api.nvidia.com/v1", Dialect::Nvidia, "NVIDIA_API_KEY"),
    at("openrouter", "https://openrouter.ai/api/v1", Dialect::OpenRouter, "OPENROUTER_API_KEY"),
    // Its chat completions, which had no `/v1`, ended on 2026-09-27: requests go to `/responses`.
    at("perplexity", "https://api.perplexity.ai/v1", Dialect::Perplexity, "PERPLEXITY_API_KEY"),
    at("together", "https://api.together.ai/v1", Dialect::Together, "TOGETHER_API_KEY"),
    at("xai", "https://api.x.ai/v1", Dialect::XAi, "XAI_API_KEY"),
    at("zhipu", "https://open.bigmodel.cn/api/paas/v4", Dialect::Zhipu, "ZHIPUAI_API_KEY"),
];

/// Asked models: <https://console.groq.com/docs/models>. Retired ones: <https://console.groq.com/docs/deprecations>, for accounts
/// without a contract of their own.
#[rustfmt::skip]
const GROQ: &[ModelPreset] = &[
    model("openai/gpt-oss-120b").context(131_072).costs([150_000, 75_000, 600_000], "2026-05-27"),
    model("openai/gpt-oss-20b").context(131_072).costs([75_000, 37_500, 300_000], "2026-05-27"),
    model("qwen/qwen3.8-27b").context(131_042).costs([800_000, 400_000, 4_000_000], "2026-08-29").by_name(),
    model("llama-3.3-70b-versatile").context(131_072).retired("2026-08-16"),
    model("llama-3.1-8b-instant").context(131_072).retired("2026-08-16"),
    model("qwen/qwen3-32b").retired("2026-07-17"),
    model("meta-llama/llama-4-scout-17b-16e-instruct").context(131_072).retired("2026-07-17"),
    model("meta-llama/llama-4-maverick-17b-128e-instruct").context(131_072).retired("2026-03-09"),
    model("gemma2-9b-it").context(8_192).retired("2025-10-08"),
    model("deepseek-r1-distill-llama-70b").retired("2025-10-02"),
    model("llama3-70b-8192").context(8_192).retired("2025-08-30"),
    model("llama3-8b-8192").context(8_192).retired("2025-08-30"),
    model("mixtral-8x7b-32768").context(32_768).retired("2025-03-20"),
    model("llama-3.1-70b-versatile").retired("2025-01-24"),
];

/// <https://developers.openai.com/api/docs/models>, <https://developers.openai.com/api/docs/pricing> and
/// <https://developers.openai.com/api/docs/deprecations>. Prompts above 272,000 tokens cost more from `gpt-5.4` on. To be shut
/// down are `gpt-4.1`, `gpt-4o` and their minis on 2027-01-14; `gpt-5`, `gpt-5-mini`, `gpt-5-nano` and `o3`, which are not here,
/// on 2026-12-11.
///
/// From `gpt-5.6` on, chat completions take function tools only with `reasoning_effort` at `none`, and `gpt-6.2-sol` takes no
/// `none`: its tools want `/responses`.
#[rustfmt::skip]
const OPENAI: &[ModelPreset] = &[
    model("gpt-6.2-sol").context(1_050_000).costs([2_000_000, 100_000, 10_000_000], "2026-11-17"),
    model("gpt-6.1-terra").context(1_050_000).costs([1_000_000, 50_000, 5_000_000], "2026-10-26"),
    model("gpt-6-luna").context(1_050_000).costs([100_000, 10_000, 500_000], "2026-10-26"),
    model("gpt-6-astra").context(1_050_000).costs([10_000_000, 1_000_000, 50_000_000], "2026-10-26").by_name(),
    model("gpt-6.1-sol").context(1_050_000).costs([2_000_000, 100_000, 10_000_000], "2026-10-26").by_name(),
    model("gpt-6-sol").context(1_050_000).costs([2_000_000, 200_000, 10_000_000], "2026-09-22").by_name(),
    model("gpt-5.6-terra").context(1_050_000).costs([2_000_000, 200_000, 12_000_000], "2026-08-01").by_name(),
    model("gpt-5.6-luna").context(1_050_000).costs([200_000, 20_000, 1_200_000], "2026-08-01").by_name(),
    model("gpt-5.5").context(1_050_000).costs([5_000_000, 500_000, 30_000_000], "2026-07-22").by_name(),
    model("gpt-5.4").context(1_050_000).costs([2_500_000, 250_000, 15_000_000], "2026-07-22").by_name(),
    model("gpt-5.4-mini").context(400_000).costs([750_000, 75_000, 4_500_000], "2026-06-02").by_name(),
    model("gpt-4.1").context(1_047_576).costs([2_000_000, 500_000, 8_000_000], "2026-05-26").by_name(),
    model("gpt-4.1-mini").context(1_047_576).costs([400_000, 100_000, 1_600_000], "2026-05-26").by_name(),
    model("gpt-4o").context(128_000).costs([2_500_000, 1_250_000, 10_000_000], "2026-05-26").by_name(),
    model("gpt-4o-mini").context(128_000).costs([150_000, 75_000, 600_000], "2026-05-26").by_name(),
    model("gpt-4.1-nano").context(1_047_576).retired("2026-10-23"),
    model("gpt-4-turbo").context(128_000).retired("2026-10-23"),
    model("gpt-4").context(8_192).retired("2026-10-23"),
    model("gpt-3.5-turbo").context(16_385).retired("2026-10-23"),
    model("o4-mini").retired("2026-10-23"),
    model("o3-mini").retired("2026-10-23"),
    model("o1").retired("2026-10-23"),
];

/// <https://platform.claude.com/docs/en/about-claude/pricing> and
/// <https://platform.claude.com/docs/en/about-claude/model-deprecations>. Prompts above 100,000 tokens cost five times as much
/// with `claude-haiku-5-5`.
#[rustfmt::skip]
const ANTHROPIC: &[ModelPreset] = &[
    model("claude-opus-5-5").context(1_000_000).costs([4_000_000, 200_000, 20_000_000], "2026-10-24"),
    model("claude-sonnet-5-5").context(1_000_000).costs([2_000_000, 100_000, 10_000_000], "2026-10-24"),
    model("claude-haiku-5-5").context(1_000_000).costs([100_000, 10_000, 500_000], "2026-10-24"),
    model("claude-fable-5-1").context(1_000_000).costs([10_000_000, 250_000, 50_000_000], "2026-10-24").by_name(),
    model("claude-opus-5").context(1_000_000).costs([5_000_000, 500_000, 25_000_000], "2026-10-24").by_name(),
    model("claude-opus-4-8").context(1_000_000).costs([5_000_000, 500_000, 25_000_000], "2026-10-24").by_name(),
    model("claude-sonnet-5").context(1_000_000).costs([2_000_000, 200_000, 10_000_000], "2026-10-24").by_name(),
    model("claude-sonnet-4-6").context(1_000_000).costs([3_000_000, 300_000, 15_000_000], "2026-10-24").by_name(),
    model("claude-haiku-4-5").context(200_000).costs([1_000_000, 100_000, 5_000_000], "2026-10-24").by_name(),
    model("claude-haiku-4-5-20251001").context(200_000).costs([1_000_000, 100_000, 5_000_000], "2026-10-24").by_name(),
    model("claude-opus-4-1-20250805").context(200_000).retired("2026-08-05"),
    model("claude-opus-4-20250514").context(200_000).retired("2026-06-15"),
    model("claude-sonnet-4-20250514").retired("2026-06-15"),
    model("claude-3-haiku-20240307").context(200_000).retired("2026-04-20"),
    model("claude-3-7-sonnet-20250219").context(200_000).retired("2026-02-19"),
    model("claude-3-5-haiku-20241022").context(200_000).retired("2026-02-19"),
    model("claude-3-opus-20240229").context(200_000).retired("2026-01-05"),
    model("claude-3-5-sonnet-20241022").context(200_000).retired("2025-10-28"),
];

/// <https://ai.google.dev/gemini-api/docs/pricing> and <https://ai.google.dev/gemini-api/docs/deprecations>. The price of
/// `gemini-4-argon` is that from 2026-12-01 on, twice that of before; that of `gemini-3.8-flash` is to double on 2027-01-01.
/// Prompts above 200,000 tokens cost more with `gemini-3.1-pro-preview`. `gemini-2.5-pro` and `gemini-2.5-flash`, which are not
/// here, are to be shut down on 2026-12-01.
#[rustfmt::skip]
const GEMINI: &[ModelPreset] = &[
    model("gemini-4-argon").context(1_048_576).costs([4_000_000, 200_000, 20_000_000], "2026-10-13"),
    model("gemini-3.8-flash").context(1_048_576).costs([750_000, 75_000, 3_750_000], "2026-09-02"),
    model("gemini-3.5-flash-lite").context(1_048_576).costs([300_000, 30_000, 2_500_000], "2026-07-21"),
    model("gemini-3.1-pro-preview").context(1_048_576).costs([2_000_000, 200_000, 12_000_000], "2026-02-19").by_name(),
    model("gemini-2.0-flash").retired("2026-06-01"),
    model("gemini-2.0-flash-lite").retired("2026-06-01"),
];

const fn own(
    name: &'static str,
    make: fn() -> Provider,
    key_variable: Option<&'static str>,
    models: &'static [ModelPreset],
) -> ProviderPreset {
    ProviderPreset {
        name,
        key_variable,
        retired: None,
        service: Service::Own(make),
        models,
    }
}

const fn per_customer(name: &'static str, key_variable: &'static str) -> ProviderPreset {
    ProviderPreset {
        name,
        key_variable: Some(key_variable),
        retired: None,
        service: Service::PerCustomer,
        models: &[],
    }
}

const fn at(
    name: &'static str,
    base_url: &'static str,
    dialect: Dialect,
    key_variable: &'static str,
) -> ProviderPreset {
    let service = Service::At(base_url, dialect);
    ProviderPreset {
        name,
        key_variable: Some(key_variable),
        retired: None,
        service,
        models: &[],
    }
}

const fn model(name: &'static str) -> ModelPreset {
    ModelPreset {
        name,
        context_tokens: None,
        retired: None,
        by_name: false,
        listed: None,
    }
}

impl ProviderPreset {
    const fn retired(self, on: &'static str) -> Self {
        Self {
            retired: Some(on),
            ..self
        }
    }
}

impl ModelPreset {
    const fn context(self, tokens: u64) -> Self {
        Self {
            context_tokens: Some(tokens),
            ..self
        }
    }

    const fn costs(self, [input, cached_input, output]: [u64; 3], on: &'static str) -> Self {
        Self {
            listed: Some(Listed {
                input,
                cached_input,
                output,
                on,
            }),
            ..self
        }
    }

    const fn retired(self, on: &'static str) -> Self {
        Self {
            retired: Some(on),
            ..self
        }
    }

    const fn by_name(self) -> Self {
        Self {
            by_name: true,
            ..self
        }
    }
}
