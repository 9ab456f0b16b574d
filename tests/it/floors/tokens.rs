//! Rust source as words and signs: enough to find imports.

/// A word, `::` or one other sign. Comments, texts, characters and lifetimes are left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) line: usize,
}

impl Token<'_> {
    pub(super) fn is_name(&self) -> bool {
        self.text
            .starts_with(|first| is_word(first) && !first.is_ascii_digit())
    }
}

/// The tokens of a source, without the items that are marked `#[cfg(test)]`.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    without_tests(&all_tokens(source))
}

fn all_tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let raw = raw_text(rest);
        let (length, is_token) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            '/' if rest.starts_with("/*") => (comment(rest), false),
            'b' | 'r' if raw.is_some() => (raw.unwrap_or_default(), false),
            '"' => (quoted(rest, '"'), false),
            '\'' => (character_or_lifetime(rest), false),
            ':' if rest.starts_with("::") => (2, true),
            _ if is_word(first) => (word(rest), true),
            _ => (first.len_utf8(), !first.is_whitespace()),
        };
        let (text, after) = rest.split_at(length);
        if is_token {
            tokens.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(source: &str) -> usize {
    source.find(|c| !is_word(c)).unwrap_or(source.len())
}

/// The length of a comment, with those nested in it.
fn comment(source: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < source.len() {
        match source.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    source.len()
}

/// The length of a raw text, with or without `b`, where one begins here.
fn raw_text(source: &str) -> Option<usize> {
    let after = source
        .strip_prefix('b')
        .unwrap_or(source)
        .strip_prefix('r')?;
    let inside = after.trim_start_matches('#');
    let hashes = &after[..after.len() - inside.len()];
    let end = format!("\"{hashes}");
    let length = inside.strip_prefix('"')?.find(&end)?;
    Some(source.len() - inside.len() + 1 + length + end.len())
}

/// The length of a text or a character, with its quotes.
fn quoted(source: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in source.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    source.len()
}

fn character_or_lifetime(source: &str) -> usize {
    let mut inside = source[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) | (_, Some('\'')) => quoted(source, '\''),
        _ => 1 + word(&source[1..]),
    }
}

const FOR_TESTS: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let [token, after @ ..] = rest {
        let start = rest.iter().take(FOR_TESTS.len()).map(|token| token.text);
        if start.eq(FOR_TESTS) {
            rest = after_item(&rest[FOR_TESTS.len()..]);
        } else {
            kept.push(*token);
            rest = after;
        }
    }
    kept
}

/// What follows an item. It ends with a semicolon or, other than a `use`, with the brace that closes it.
fn after_item<'a, 'b>(item: &'b [Token<'a>]) -> &'b [Token<'a>] {
    let is_use = item.first().is_some_and(|token| token.text == "use");
    let mut depth = 0;
    for (at, token) in item.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 && (token.text == ";" || token.text == "}" && !is_use) {
            return &item[at + 1..];
        }
    }
    &[]
}
