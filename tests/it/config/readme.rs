//! What the README says of files.

use tower_upstream::stack::presets;

use super::read;

const README: &str = include_str!("../../../README.md");

/// The block of code in this language that begins with this.
fn block(language: &str, begins: &str) -> &'static str {
    let fence = format!("```{language}\n{begins}");
    let at = README.find(&fence).expect("the block") + fence.len() - begins.len();
    README[at..].split("```").next().expect("its end")
}

#[test]
fn the_file_in_the_readme_is_understood() {
    if let Some(builder) = read(block("toml", "strategy"), super::any_key) {
        let stack = builder.unwrap().build().unwrap();
        let ids: Vec<_> = stack
            .upstreams()
            .iter()
            .map(|upstream| upstream.id())
            .collect();
        assert_eq!(
            ids,
            [
                "groq/openai/gpt-oss-120b",
                "groq/openai/gpt-oss-20b",
                "ollama/llama3.2"
            ]
        );
        assert!(stack.explain().contains("key: from GROQ_API_KEY"));
        assert!(stack.explain().contains("quota: 8000 tokens per minute"));
    }
}

#[test]
fn the_mistakes_in_the_readme_are_those_of_that_file_with_two_slips() {
    let slipped = block("toml", "strategy").replace("8000/minute", "8000/minuet");
    let slipped = slipped.replace("max_attempts", "max_atempts");
    if let Some(builder) = read(&slipped, super::any_key) {
        assert_eq!(
            builder.unwrap_err().to_string(),
            block("text", "2 mistakes").trim_end()
        );
    }
}

#[test]
fn the_readme_counts_the_presets_rightly() {
    let claim = format!("presets of {} providers", presets::providers().count());
    assert!(README.contains(&claim), "{claim}");
}
