//! [`EventRecord`]: an event that outlives its moment.

use std::{fmt, time::SystemTime};

use super::{
    events::Event,
    fields::{Field, Visit},
    line::Line,
};

/// An event that outlives its moment: its time, its name and its fields. Written out, it is a line of an
/// [`AuditLog`](super::AuditLog), without the end of the line.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_upstream::observe::{Event, EventRecord, Field};
///
/// let event = Event::Paused { key: "groq/openai/gpt-oss-20b", wait: Duration::from_millis(1_500) };
/// let record = EventRecord::new(&event, UNIX_EPOCH);
/// assert_eq!(record.field("wait_s"), Some(&Field::Time(Duration::from_millis(1_500))));
/// assert_eq!(
///     record.to_string(),
///     r#"{"v":1,"at":"1970-01-01T00:00:00.000000Z","event":"paused","key":"groq/openai/gpt-oss-20b","wait_s":1.5}"#
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EventRecord {
    at: SystemTime,
    name: &'static str,
    fields: Vec<(&'static str, Field<'static>)>,
    user_message: Option<String>,
}

impl EventRecord {
    /// This event, told at this time of day.
    pub fn new(event: &Event<'_>, at: SystemTime) -> Self {
        let mut fields = Vec::new();
        let visit: &mut Visit<'_> = &mut |name, field| fields.push((name, field.into_owned()));
        event.visit(visit);
        Self {
            at,
            name: event.name(),
            fields,
            user_message: event.user_message(),
        }
    }

    /// When it was told.
    pub fn at(&self) -> SystemTime {
        self.at
    }

    /// The event's [name](Event::name).
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The fields, in order. What is not known has none.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &Field<'static>)> {
        self.fields.iter().map(|(name, field)| (*name, field))
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field<'static>> {
        let mut fields = self.fields();
        fields.find_map(|(other, field)| (other == name).then_some(field))
    }

    /// What a person is told of it; see [`Event::user_message`].
    pub fn user_message(&self) -> Option<&str> {
        self.user_message.as_deref()
    }
}

impl fmt::Display for EventRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line::begin(self.at, self.name);
        for (name, field) in self.fields() {
            line.add(name, field);
        }
        f.write_str(line.end().trim_end())
    }
}
