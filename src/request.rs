//! What travels in a request's extensions, and how the layers look at a request.

mod attempt_deadline;
mod attempts;
mod elsewhere;
mod head;
mod scope;
mod wishes;

pub use self::{
    attempts::{Attempt, Attempts, Next},
    head::RequestHead,
    scope::{KeyFn, Scope},
    wishes::{Caller, Deadline, Priority},
};
pub use crate::cost::{Cost, Price};

pub(crate) use self::{
    attempt_deadline::AttemptDeadline,
    attempts::LeftToOthers,
    scope::{Key, is_same},
};
