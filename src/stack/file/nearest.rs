//! The name that may have been meant.

/// The known name that is nearest to a written one, where any is near.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Whatever is longer was not a slip, and need not be compared letter by letter.
    if written.chars().count() > LONGEST {
        return None;
    }
    let plain = |name: &str| name.to_lowercase().replace(['-', ' ', '.'], "_");
    let written = plain(written);
    let near = known
        .into_iter()
        .map(|name| (distance(&written, &plain(name)), name));
    let (steps, name) = near.min_by_key(|(steps, _)| *steps)?;
    let most = (name.chars().count() / 3).clamp(1, 4);
    (steps <= most).then_some(name)
}

/// How many letters must be changed, added, left out or swapped with their neighbour: the optimal string alignment distance.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let (last, is_same) = (&rows[i - 1], one[i - 1] == other[j - 1]);
            let changed = last[j - 1] + usize::from(!is_same);
            let mut steps = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                steps = steps.min(rows[i - 2][j - 2] + 1);
            }
            row.push(steps);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_leads_to_the_name_and_another_word_to_none() {
        let known = ["max_attempts", "jitter", "minute", "on"];
        for (written, wanted) in [
            ("max_atempts", Some("max_attempts")),
            ("max-attempts", Some("max_attempts")),
            ("MaxAttempts", Some("max_attempts")),
            ("jiter", Some("jitter")),
            ("minuet", Some("minute")),
            ("no", Some("on")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known), wanted, "{written}");
        }
        assert_eq!(nearest("x", []), None);
        assert_eq!(nearest(&"jitter".repeat(1_000), known), None);
    }
}
