//! Names as others have them, and the one of those beyond a bound.

/// The name that OpenTelemetry's conventions have for a provider (`gen_ai.provider.name`), where they have one; its own name
/// otherwise. <https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/>
pub(crate) fn gen_ai_provider(name: &str) -> &str {
    match name {
        "azure" => "azure.ai.openai",
        "bedrock" => "aws.bedrock",
        "gemini" => "gcp.gemini",
        "mistral" => "mistral_ai",
        "vertex" => "gcp.vertex_ai",
        "xai" => "x_ai",
        name => name,
    }
}

/// What names beyond the bound are called.
pub(super) const OTHERS: &str = "(others)";
