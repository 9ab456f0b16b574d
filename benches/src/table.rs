//! Tables, as a terminal shows them or as Markdown.

/// How tables are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    #[default]
    Plain,
    Markdown,
}

/// A table whose rows are printed as they come.
pub struct Table<'a> {
    form: Form,
    /// Of the names.
    width: usize,
    columns: &'a [(&'a str, usize)],
}

impl<'a> Table<'a> {
    /// Prints the head. Columns have widths, which do not matter in Markdown.
    pub fn begin(
        form: Form,
        (title, width): (&str, usize),
        columns: &'a [(&'a str, usize)],
    ) -> Self {
        let table = Self::go_on(form, width, columns);
        println!();
        let names = columns.iter().map(|(name, _)| (*name).to_owned());
        table.row(title, &names.collect::<Vec<_>>(), "");
        if form == Form::Markdown {
            println!("|:--|{}:--|", "--:|".repeat(columns.len()));
        }
        table
    }

    /// A table whose head is there.
    pub fn go_on(form: Form, width: usize, columns: &'a [(&'a str, usize)]) -> Self {
        Self {
            form,
            width,
            columns,
        }
    }

    /// Prints a row: a cell for each column, and what else is to be said.
    pub fn row(&self, name: &str, cells: &[String], remark: &str) {
        match self.form {
            Form::Plain => {
                let cells = self.columns.iter().zip(cells);
                let cells: String = cells
                    .map(|((_, width), cell)| format!("{cell:>width$}"))
                    .collect();
                let line = format!("{name:<width$}{cells}  {remark}", width = self.width);
                println!("{}", line.trim_end());
            }
            Form::Markdown => println!("| {name} | {} | {remark} |", cells.join(" | ")),
        }
    }
}

/// What a row that misses its goal is marked with.
pub fn verdict(is_met: bool) -> &'static str {
    if is_met { "" } else { "MISSED" }
}
