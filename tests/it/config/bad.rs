//! Files with mistakes: each message as a person would want it, with line, key path, what was found and what was expected.

use tower_upstream::stack::StackBuilder;

use super::any_key;

const CASES: &str = include_str!("bad.txt");

struct Case<'a> {
    name: &'a str,
    is_json: bool,
    variables: fn(&str) -> Option<String>,
    file: &'a str,
    message: &'a str,
}

fn cases() -> impl Iterator<Item = Case<'static>> {
    CASES.split("\n== ").skip(1).map(|case| {
        let (name, rest) = case.split_once('\n').expect("a file");
        let (file, message) = rest.split_once("-> ").expect("a message");
        Case {
            name,
            is_json: name.ends_with("(json)"),
            variables: match name.ends_with("(no variables)") {
                true => |_| None,
                false => any_key,
            },
            file: file.strip_suffix('\n').unwrap_or(file),
            message: message.trim_end(),
        }
    })
}

#[test]
fn every_mistake_is_told_with_its_place_what_was_found_and_what_was_expected() {
    let mut told = 0;
    let mut wrong = Vec::new();
    for case in cases() {
        let result = match case.is_json {
            true => StackBuilder::from_json(case.file, case.variables),
            #[cfg(feature = "toml")]
            false => StackBuilder::from_toml(case.file, case.variables),
            #[cfg(not(feature = "toml"))]
            false => continue,
        };
        told += 1;
        let message = result.map_or_else(|mistakes| mistakes.to_string(), |_| "nothing".into());
        if message != case.message {
            wrong.push(format!("== {}\n{}\n-> {message}\n", case.name, case.file));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let least = if cfg!(feature = "toml") { 100 } else { 8 };
    assert!(told >= least, "{told}");
}

#[test]
fn every_mistake_has_a_line_and_all_but_those_of_the_grammar_have_a_path() {
    for case in cases().filter(|case| case.is_json) {
        let mistakes = StackBuilder::from_json(case.file, case.variables).unwrap_err();
        for mistake in mistakes.iter() {
            assert!(mistake.line().is_some_and(|line| line > 0), "{}", case.name);
            assert!(
                mistake.column().is_some_and(|column| column > 0),
                "{}",
                case.name
            );
            let told = mistake.to_string();
            assert!(told.ends_with(mistake.problem()) && told.contains(mistake.path()));
        }
    }
}

#[test]
fn no_message_repeats_a_key() {
    for case in cases() {
        for secret in ["sk-proj", "gsk_", "hunter2", "AKIA", "the-value-of"] {
            assert!(!case.message.contains(secret), "{}", case.name);
        }
    }
    let text = r#"{"providers": {"openai": {"key_env": "A_VARIABLE"}}, "upstreams": [{"provider": "openai", "models": ["m"]}]}"#;
    let builder = StackBuilder::from_json(text, |_| Some("sk-very-secret".into())).unwrap();
    let shown = format!("{builder:?}");
    let stack = builder.build().unwrap();
    let shown = format!("{shown}{stack:?}{:?}{}", stack.layer(), stack.explain());
    assert!(
        !shown.contains("secret") && shown.contains("key: from A_VARIABLE"),
        "{shown}"
    );
    let bad = StackBuilder::from_json(text, |_| Some("sk-very\nsecret".into())).unwrap_err();
    assert_eq!(
        bad.to_string(),
        "line 1, column 38: providers.openai.key_env: the variable A_VARIABLE holds no key: expected printable ASCII that is \
         not empty, without `Bearer`"
    );
}
