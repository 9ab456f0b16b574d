//! Names as others have them, and names that may be told apart.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

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

/// Names that may be told apart: the first that come, up to a bound. All others are [`OTHERS`].
#[derive(Debug)]
pub(super) struct Names {
    most: usize,
    known: RwLock<HashSet<Arc<str>>>,
}

/// What names beyond the bound are called.
pub(super) const OTHERS: &str = "(others)";

impl Names {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            known: RwLock::default(),
        }
    }

    /// The name itself, or that of all others.
    pub(super) fn admit(&self, name: &str) -> Arc<str> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.get(name) {
            return name.clone();
        }
        let is_full = known.len() >= self.most;
        drop(known);
        if is_full {
            return OTHERS.into();
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have been faster.
        if let Some(name) = known.get(name) {
            return name.clone();
        }
        if known.len() >= self.most {
            return OTHERS.into();
        }
        let name: Arc<str> = name.into();
        known.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_are_one() {
        let names = Names::new(2);
        let told = ["a", "b", "c", "a", "d"].map(|name| names.admit(name).to_string());
        assert_eq!(told, ["a", "b", OTHERS, "a", OTHERS]);
    }
}
