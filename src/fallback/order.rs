//! The order in which the upstreams of a chain are asked.

use crate::upstream::Upstream;

/// The order in which the upstreams of a chain are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// As they are listed.
    #[default]
    Listed,
    /// Those on hardware of your own first (see [`Provider::local`](crate::Provider::local)), each group as listed.
    LocalFirst,
}

impl Order {
    pub(super) fn arrange(self, upstreams: &mut [Upstream]) {
        match self {
            Self::Listed => {}
            // The sort is stable, which keeps each group as listed.
            Self::LocalFirst => {
                upstreams.sort_by_key(|upstream| !upstream.provider().is_local());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Provider;

    #[test]
    fn local_upstreams_go_first_and_each_group_stays_as_listed() {
        let (openai, ollama) = (Provider::openai(), Provider::ollama());
        let listed = [
            openai.model("a"),
            ollama.model("b"),
            openai.model("c"),
            ollama.model("d"),
        ];
        let arranged = |order: Order| {
            let mut upstreams = listed.clone();
            order.arrange(&mut upstreams);
            upstreams.map(|upstream| upstream.model().map(str::to_owned).unwrap_or_default())
        };
        assert_eq!(arranged(Order::Listed), ["a", "b", "c", "d"]);
        assert_eq!(arranged(Order::LocalFirst), ["b", "d", "a", "c"]);
    }
}
