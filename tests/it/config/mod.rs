//! Stacks from files: what is understood, what is refused and in which words, and the examples at work.

mod bad;
mod mutated;
mod readme;
mod schema;
mod understood;

#[cfg(feature = "toml")]
mod examples;

use tower_upstream::stack::{Mistakes, StackBuilder};

/// Every variable is set, to something that a message must not repeat.
fn any_key(name: &str) -> Option<String> {
    Some(format!("the-value-of-{name}"))
}

/// Reads a file in the format that its text is in; `None` where that is not compiled in.
fn read(
    text: &str,
    variables: fn(&str) -> Option<String>,
) -> Option<Result<StackBuilder, Mistakes>> {
    if text.trim_start().starts_with('{') {
        return Some(StackBuilder::from_json(text, variables));
    }
    #[cfg(feature = "toml")]
    return Some(StackBuilder::from_toml(text, variables));
    #[cfg(not(feature = "toml"))]
    None
}
