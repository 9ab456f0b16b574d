/// What one request gets instead of a normal answer, see [`Simulator::script`](crate::Simulator::script).
///
/// Scripted failures spend no quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This status, with an error in the provider's shape and no time to come back. Anything that
    /// is not 400 to 599 becomes 500.
    Status(u16),
    /// The provider's way to say that it has no capacity: 503, at Anthropic 529.
    Overloaded,
    /// The account is out of money: 429 with `insufficient_quota`, at Anthropic a 400 about the
    /// credit balance.
    Quota,
    /// No answer ever; the connection stays open.
    Stall,
    /// The head of a 200 and the first half of its body or stream, then the connection is cut (in
    /// HTTP/2: the stream is reset).
    CutBody,
    /// The head of a 200 whose stream begins and ends with the event of an overload. To who asked for no stream: as
    /// [`Overloaded`](Self::Overloaded).
    ErrorEvent,
    /// The normal answer, quotas and all.
    Answer,
}
