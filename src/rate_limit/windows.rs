//! The windows of a quota's limits.

use std::slice;

use super::window::Window;

/// One for each limit of the quota, in its order. Most quotas have one: it needs no memory of its own.
#[derive(Clone, Debug)]
pub(super) enum Windows {
    One(Window),
    Many(Box<[Window]>),
}

impl Windows {
    pub(super) fn as_slice(&self) -> &[Window] {
        match self {
            Self::One(window) => slice::from_ref(window),
            Self::Many(windows) => windows,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Window] {
        match self {
            Self::One(window) => slice::from_mut(window),
            Self::Many(windows) => windows,
        }
    }
}

impl FromIterator<Window> for Windows {
    fn from_iter<I: IntoIterator<Item = Window>>(windows: I) -> Self {
        let mut windows = windows.into_iter();
        match (windows.next(), windows.next()) {
            (Some(only), None) => Self::One(only),
            (first, second) => Self::Many(first.into_iter().chain(second).chain(windows).collect()),
        }
    }
}
