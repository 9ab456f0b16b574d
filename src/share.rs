//! Shares of a whole, in words.

/// `25 %` of 0.25; to a millionth of a percent, for 0.29 × 100 is 28.999999999999996.
pub(crate) fn in_words(share: f64) -> String {
    let percent = (share * 1e8).round() / 1e6;
    format!("{percent} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_told_as_it_was_written() {
        for (share, words) in [
            (0.0, "0 %"),
            (0.07, "7 %"),
            (0.29, "29 %"),
            (0.55, "55 %"),
            (0.001, "0.1 %"),
            (0.123_456_78, "12.345678 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(in_words(share), words);
        }
        for percent in 0..=100_u32 {
            let share = f64::from(percent) / 100.0;
            assert_eq!(in_words(share), format!("{percent} %"));
        }
    }
}
