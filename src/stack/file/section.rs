//! Tables within tables.

use serde_json::{Map, Value as Json, json};

use super::{
    field::{Draft, Names, Section, Table},
    nearest::nearest,
    read::read_table,
    reading::Reading,
    schema::refer_to,
    show,
    tree::{Entry, Value},
};

/// A table that fills a part of its owner.
pub(super) struct Part<T: 'static, U: 'static>(
    pub(super) Table<U>,
    pub(super) fn(&mut T) -> &mut U,
);

/// A table that its owner may have several of.
pub(super) struct Item<T: 'static, U: 'static>(pub(super) Table<U>, pub(super) fn(&mut T, U));

/// A table of tables, under names that the file gives. The names may be known ones only.
pub(super) struct Named<T: 'static, U: 'static>(
    pub(super) Table<U>,
    pub(super) Option<(&'static str, Names)>,
    pub(super) fn(&mut T, &str, U),
);

impl<T, U: Draft> Section<T> for Part<T, U> {
    fn required(&self) -> Vec<&'static str> {
        required(&self.0)
    }

    fn knows(&self, name: &str) -> bool {
        knows(&self.0, name)
    }

    fn read(&self, target: &mut T, at: usize, entries: &[Entry], reading: &mut Reading<'_>) {
        let part = (self.1)(target);
        part.stands_at(reading.spot(at));
        read_table(part, &self.0, at, entries, reading);
    }

    fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        refer_to(&self.0, definitions)
    }
}

impl<T, U: Draft> Section<T> for Item<T, U> {
    fn required(&self) -> Vec<&'static str> {
        required(&self.0)
    }

    fn knows(&self, name: &str) -> bool {
        knows(&self.0, name)
    }

    fn read(&self, target: &mut T, at: usize, entries: &[Entry], reading: &mut Reading<'_>) {
        let mut item = U::default();
        item.stands_at(reading.spot(at));
        read_table(&mut item, &self.0, at, entries, reading);
        (self.1)(target, item);
    }

    fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        refer_to(&self.0, definitions)
    }
}

impl<T, U: Draft> Section<T> for Named<T, U> {
    fn required(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn knows(&self, _name: &str) -> bool {
        false
    }

    fn read(&self, target: &mut T, _at: usize, entries: &[Entry], reading: &mut Reading<'_>) {
        let table = reading.table();
        for Entry { at, name, node } in entries {
            reading.within_key(name, |reading| {
                if let Some((what, names)) = &self.1
                    && !names().contains(&name.as_str())
                {
                    let near = nearest(name, names());
                    let hint =
                        near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                    let found = show::text(name);
                    reading.wrong(*at, format!("expected {what}, found {found}{hint}"));
                    return;
                }
                let Value::Table(entries) = &node.value else {
                    let found = reading.show(node);
                    reading.wrong(node.at, format!("expected {table}, found {found}"));
                    return;
                };
                let mut item = U::default();
                item.stands_at(reading.spot(node.at));
                read_table(&mut item, &self.0, node.at, entries, reading);
                (self.2)(target, name, item);
            });
        }
    }

    fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        let items = refer_to(&self.0, definitions);
        let mut schema = json!({ "type": "object", "additionalProperties": items });
        if let Some((_, names)) = self.1 {
            schema["propertyNames"] = json!({ "enum": names() });
        }
        schema
    }
}

fn required<U>(table: &Table<U>) -> Vec<&'static str> {
    let fields = table.fields();
    fields
        .filter(|field| field.is_required)
        .map(|field| field.name)
        .collect()
}

fn knows<U>(table: &Table<U>, name: &str) -> bool {
    table.fields().any(|field| field.name == name)
}
