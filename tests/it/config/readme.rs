//! What the README says of files.

use std::{fs, path::Path};

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
        let told = block("text", "stack.toml: 2 mistakes");
        assert_eq!(
            Some(&*builder.unwrap_err().to_string()),
            told.trim_end().strip_prefix("stack.toml: ")
        );
    }
}

#[test]
fn the_readme_counts_the_presets_rightly() {
    let claim = format!("presets of {} providers", presets::providers().count());
    assert!(README.contains(&claim), "{claim}");
}

/// A new user's test: what he had copied out of the docs was answered by no provider any more.
#[test]
fn no_example_in_the_docs_asks_for_a_model_that_is_retired() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut pages = vec![(root.join("README.md"), README.to_owned())];
    while let Some(folder) = folders.pop() {
        // These are about such models.
        if folder.ends_with("presets") {
            continue;
        }
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs" || it == "md") {
                let text = fs::read_to_string(&path).expect("a text");
                pages.push((path, text));
            }
        }
    }
    for (path, text) in pages {
        let is_page = path.extension().is_some_and(|it| it == "md");
        let lines = text.lines().map(str::trim_start);
        let docs = lines.filter(|line| is_page || line.starts_with("//"));
        for line in docs {
            let quoted = line.split('"').skip(1).step_by(2);
            let retired = quoted.filter(|quoted| is_retired(quoted));
            let retired: Vec<_> = retired.collect();
            assert!(retired.is_empty(), "{}: {retired:?}", path.display());
        }
    }
}

/// Whether a text begins with a model, or an upstream's id, that a preset knows as retired.
fn is_retired(text: &str) -> bool {
    let name = text.split([' ', ':']).next().unwrap_or_default();
    let is_retired = |preset: &presets::ProviderPreset| {
        let of_provider = name.strip_prefix(preset.name);
        let model = of_provider.and_then(|rest| rest.strip_prefix('/'));
        let model = preset.model(model.unwrap_or(name));
        model.is_some_and(|model| model.retired.is_some())
    };
    presets::providers().any(is_retired)
}
