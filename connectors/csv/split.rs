//! Text to rows of cells, a part at a time, strictly by RFC 4180 with either line ending. What a lenient reader
//! would put right by guessing must never pass: a stray quote may have swallowed half of the file.

/// A cell or a row of more than this is no cell of a table but a sign of a lost quote.
const CELL_BYTES_MAX: usize = 1 << 20;
const CELLS_MAX: usize = 2_000;

/// One row, and where it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cells {
    pub(super) line: u64,
    text: String,
    ends: Vec<usize>,
}

impl Cells {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, n: usize) -> Option<&str> {
        let end = *self.ends.get(n)?;
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|n| self.get(n))
    }
}

/// What is wrong, and on which line.
pub(super) type Stray = (u64, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Nothing of the cell was read yet.
    CellStart,
    Plain,
    Quoted,
    /// Behind a quote in a quoted cell: it ends the cell, or stands for itself when another follows.
    Quote,
    /// Behind a carriage return.
    Return,
}

#[derive(Debug)]
pub(super) struct Splitter {
    delimiter: char,
    at: At,
    line: u64,
    row: Cells,
    /// The row has anything at all, so that an empty line is none.
    begun: bool,
}

impl Splitter {
    pub(super) fn new(delimiter: u8) -> Splitter {
        Splitter {
            delimiter: char::from(delimiter),
            at: At::CellStart,
            line: 1,
            row: Cells::default(),
            begun: false,
        }
    }

    pub(super) fn take(&mut self, text: &str, rows: &mut Vec<Cells>) -> Result<(), Stray> {
        let mut rest = text;
        loop {
            // Whole stretches that mean nothing are taken at once.
            if matches!(self.at, At::Plain | At::Quoted) {
                let delimiter = self.delimiter;
                let stop = match self.at {
                    At::Quoted => rest.find(['"', '\n']),
                    _ => rest.find([delimiter, '"', '\n', '\r']),
                };
                let (stretch, tail) = rest.split_at(stop.unwrap_or(rest.len()));
                self.row.text.push_str(stretch);
                rest = tail;
                self.check()?;
            }
            let Some(c) = rest.chars().next() else { return Ok(()) };
            rest = &rest[c.len_utf8()..];
            self.step(c, rows)?;
        }
    }

    fn step(&mut self, c: char, rows: &mut Vec<Cells>) -> Result<(), Stray> {
        match (self.at, c) {
            (At::Return, '\n') => self.end_row(rows),
            (At::Return, _) => return Err(self.stray("a carriage return stands alone; rows end with LF or CR LF")),
            (At::Quoted, '"') => self.at = At::Quote,
            (At::Quoted, _) => {
                self.line += u64::from(c == '\n');
                self.row.text.push(c);
            }
            (At::Quote, '"') => {
                self.row.text.push('"');
                self.at = At::Quoted;
            }
            (_, '\n') => self.end_row(rows),
            (_, '\r') => self.at = At::Return,
            (_, c) if c == self.delimiter => {
                self.begin();
                self.end_cell()?;
            }
            (At::Quote, _) => return Err(self.stray("text follows a closing quote")),
            (At::CellStart, '"') => {
                self.begin();
                self.at = At::Quoted;
            }
            (At::Plain, '"') => return Err(self.stray("a quote stands inside a cell that is not quoted")),
            (At::CellStart | At::Plain, c) => {
                self.begin();
                self.row.text.push(c);
                self.at = At::Plain;
            }
        }
        Ok(())
    }

    fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.row.line = self.line;
        }
    }

    fn end_cell(&mut self) -> Result<(), Stray> {
        self.row.ends.push(self.row.text.len());
        self.at = At::CellStart;
        self.check()
    }

    fn end_row(&mut self, rows: &mut Vec<Cells>) {
        self.at = At::CellStart;
        self.line += 1;
        if self.begun {
            self.begun = false;
            self.row.ends.push(self.row.text.len());
            rows.push(std::mem::take(&mut self.row));
        }
    }

    fn check(&self) -> Result<(), Stray> {
        let start = self.row.ends.last().copied().unwrap_or(0);
        match self.row.text.len() - start > CELL_BYTES_MAX || self.row.ends.len() > CELLS_MAX {
            true => Err((
                self.row.line,
                "a cell of more than 1 MiB, or more than 2,000 cells: a quote is lost".to_owned(),
            )),
            false => Ok(()),
        }
    }

    fn stray(&self, what: &str) -> Stray {
        (self.line, what.to_owned())
    }

    /// The text is at its end. A last row without a line's end is handed out on its own: it may be cut short.
    pub(super) fn end(&mut self) -> Result<Option<Cells>, Stray> {
        match (self.at, self.begun) {
            (At::Quoted, _) => Err((
                self.row.line,
                "the file ends inside a quoted cell: it is cut short".to_owned(),
            )),
            (At::Return, _) => Err(self.stray("the file ends with half a line's end: it is cut short")),
            (_, false) => Ok(None),
            (_, true) => {
                self.begun = false;
                self.row.ends.push(self.row.text.len());
                Ok(Some(std::mem::take(&mut self.row)))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn split(text: &str, part: usize) -> Result<Vec<Vec<String>>, Stray> {
        let (mut splitter, mut rows) = (Splitter::new(b','), Vec::new());
        let chars: Vec<char> = text.chars().collect();
        for part in chars.chunks(part) {
            splitter.take(&part.iter().collect::<String>(), &mut rows)?;
        }
        rows.extend(splitter.end()?);
        Ok(rows.iter().map(|row| row.iter().map(str::to_owned).collect()).collect())
    }

    #[test]
    fn rows_are_the_same_in_whatever_parts_they_come() {
        let text = "a,b\r\n\"x,\"\"y\"\"\n\",2\n\n,\nlast,row";
        let rows: [&[&str]; 4] = [&["a", "b"], &["x,\"y\"\n", "2"], &["", ""], &["last", "row"]];
        for part in 1..text.len() {
            assert_eq!(split(text, part).unwrap(), rows, "{part}");
        }
    }

    #[test]
    fn sf_16_a_stray_quote_is_told_with_its_line() {
        for (text, line, part) in [
            ("a,b\n1,2\"\n", 2, "not quoted"),
            ("a,b\n\"1\"x,2\n", 2, "closing quote"),
            ("a,b\n1,2\n\"3,4\n5,6\n", 3, "inside a quoted cell"),
            ("a,b\n\"1\n2\",3\n4,5\"\n", 4, "not quoted"),
            ("a\rb\n", 1, "carriage return"),
        ] {
            let (at, why) = split(text, 3).unwrap_err();
            assert!(at == line && why.contains(part), "{text:?}: {at} {why}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_ends_in_rows_or_a_reason(text in "[a\",\r\né]{0,40}", part in 1..7_usize) {
            let whole = split(&text, 1000);
            proptest::prop_assert_eq!(split(&text, part), whole);
        }

        #[test]
        fn what_the_csv_crate_writes_is_read_cell_for_cell(
            rows in proptest::collection::vec(proptest::collection::vec("[a\",\r\né ]{0,6}", 2..4), 0..6),
            part in 1..9_usize,
        ) {
            let mut writer = ::csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            proptest::prop_assert_eq!(split(&text, part).unwrap(), rows);
        }
    }
}
