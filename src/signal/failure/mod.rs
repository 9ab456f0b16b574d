//! Which failure an answer is.

mod head;

pub use self::head::outcome_of_head;

use super::{Answer, Dialect};
use crate::outcome::Outcome;

/// What an answer meant, by its status, headers and body. See the [module docs](super) for the order of the evidence.
///
/// `dialect` is who answered, where that is known; otherwise it is recognised from the answer itself. The body may be the
/// first part only.
pub fn outcome_of(answer: &Answer<'_>, dialect: Option<Dialect>) -> Outcome {
    let _ = dialect;
    outcome_of_head(answer.status, answer.headers, answer.now)
}
