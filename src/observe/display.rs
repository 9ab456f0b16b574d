//! Events as lines for people.

use std::fmt;

use super::{events::Event, fields::Field, line::seconds};
use crate::plain_words::amount;

/// One line: the name, and each field of the table in the [module docs](super), as `tracing` writes them. The words of upstreams
/// and clients, which may carry what is secret, are not in it. As JSON, it is an [`EventRecord`](super::EventRecord).
///
/// ```
/// use std::time::Duration;
/// use tower_upstream::observe::Event;
///
/// let event = Event::Paused { key: "groq/openai/gpt-oss-20b", wait: Duration::from_millis(1_500) };
/// assert_eq!(event.to_string(), r#"paused key="groq/openai/gpt-oss-20b" wait_s=1.5"#);
/// ```
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = f.write_str(self.name());
        self.visit(&mut |name, field| {
            if written.is_ok() {
                written = write!(f, " {name}={field}");
            }
        });
        written
    }
}

/// The same line: what is printed in passing ends in logs as well.
impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Words in quotes, and always in one line.
impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Count(count) => count.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Time(time) => f.write_str(&seconds(*time)),
            Self::Money(money) => money.fmt(f),
            Self::Limits(limits) => {
                let limits = limits.iter().map(|limit| {
                    let used = amount(limit.used, limit.dimension);
                    format!("{used} of {limit}")
                });
                write!(f, "{:?}", limits.collect::<Vec<_>>())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::examples::with_events;

    #[test]
    fn every_event_is_one_line_without_the_words_of_upstreams() {
        let mut lines = Vec::new();
        with_events(|event| lines.extend([event.to_string(), format!("{event:?}")]));
        for line in &lines {
            assert!(!line.contains("secret") && !line.contains('\n'), "{line}");
        }
        for wanted in [
            r#"admitted key="groq/m" waited_s=3.25 limits=["9000 tokens of 12000 tokens per 60s"]"#,
            r#"queued key="groq/m" limit="12000 tokens per 60s" wait_s=3.25"#,
        ] {
            assert!(lines.iter().any(|line| line == wanted), "{lines:#?}");
        }
        let odd = Event::Disabled { key: "a\n\"b" };
        assert_eq!(odd.to_string(), r#"disabled key="a\n\"b""#);
    }
}
