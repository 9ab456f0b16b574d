//! Configuration files: the first byte chooses the format, the rest is the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_upstream::stack::StackBuilder;

/// What a message must not repeat.
const KEY: &str = "the-value-of-a-variable";

fuzz_target!(|data: &[u8]| {
    let Some((format, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let variables = |_: &str| Some(KEY.to_owned());
    let read = match format % 2 {
        0 => StackBuilder::from_toml(text, variables),
        _ => StackBuilder::from_json(text, variables),
    };
    match read {
        Ok(builder) => {
            if let Ok(stack) = builder.build() {
                assert!(!stack.explain().contains(KEY));
            }
        }
        Err(mistakes) => {
            assert!(mistakes.iter().count() > 0);
            let lines = text.lines().count() + 1;
            for mistake in mistakes.iter() {
                assert!(mistake.line().is_some_and(|line| (1..=lines).contains(&line)));
                assert!(mistake.column().is_some_and(|column| column > 0));
            }
            assert!(!mistakes.to_string().contains(KEY));
        }
    }
});
