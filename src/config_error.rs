//! The error of a setting that cannot work.

/// A setting that cannot work. Names the setting, the value, and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` cannot be {value}: expected {expected}")]
pub struct ConfigError {
    setting: &'static str,
    value: Box<str>,
    expected: &'static str,
}

impl ConfigError {
    pub(crate) fn new(setting: &'static str, value: impl ToString, expected: &'static str) -> Self {
        Self {
            setting,
            value: value.to_string().into(),
            expected,
        }
    }

    /// The setting's name, as the setter is called.
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// The value that was refused.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What would be accepted.
    pub fn expected(&self) -> &'static str {
        self.expected
    }
}
