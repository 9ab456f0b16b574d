//! The values of a file, whatever its format, each with the byte at which it begins.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Flag(bool),
    /// In decimal digits, with a sign, a point or an exponent where the file has them: nothing is rounded yet.
    Number(String),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file.
    Table(Vec<Entry>),
    /// Something that no setting can be, such as a date.
    Other(&'static str),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) node: Node,
}
