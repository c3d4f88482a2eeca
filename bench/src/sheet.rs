//! The rows of one file: the columns of the benchmark's mapping, every cell quoted as the daemon does by
//! default. A file has its whole content on the disk before it has its name.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use csv::{QuoteStyle, Writer, WriterBuilder};
use serde_json::Value;

/// The daemon's name of a column, the store's name of its field, and whether it is one of the first line.
const COLUMNS: [(&str, &str, bool); 20] = [
    ("id", "order_id", false),
    ("number", "store_serial_order_no", false),
    ("status", "order_status", false),
    ("financial", "financial_status", false),
    ("fulfillment", "fulfillment_status", false),
    ("subtotal", "sub_total", false),
    ("tax", "tax", false),
    ("shipping", "shipping", false),
    ("discount", "discount", false),
    ("total", "grand_total", false),
    ("payment", "payment_method", false),
    ("note", "note", false),
    ("courier", "courier", false),
    ("tracking", "tracking_code", false),
    ("created_at", "created_at", false),
    ("updated_at", "updated_at", false),
    ("sku", "sku", true),
    ("name", "name", true),
    ("quantity", "quantity", true),
    ("price", "price", true),
];

pub(crate) struct Sheet {
    writer: Writer<Vec<u8>>,
    rows: usize,
}

impl Sheet {
    pub(crate) fn new() -> anyhow::Result<Sheet> {
        let mut writer = WriterBuilder::new()
            .quote_style(QuoteStyle::Always)
            .from_writer(Vec::with_capacity(256 << 10));
        writer.write_record(COLUMNS.map(|(name, ..)| name))?;
        Ok(Sheet { writer, rows: 0 })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn write(&mut self, order: &Value) -> anyhow::Result<()> {
        let line = order.get("items").and_then(|items| items.get(0));
        for (_, field, of_line) in COLUMNS {
            let from = if of_line { line } else { Some(order) };
            match from.and_then(|from| from.get(field)) {
                None | Some(Value::Null) => self.writer.write_field("")?,
                Some(Value::String(text)) => self.writer.write_field(text)?,
                Some(other) => self.writer.write_field(other.to_string())?,
            }
        }
        self.writer.write_record(None::<&[u8]>)?;
        self.rows += 1;
        Ok(())
    }

    pub(crate) fn finish(self, folder: &Path, number: usize) -> anyhow::Result<()> {
        let bytes = self.writer.into_inner()?;
        let (part, name) = (
            folder.join(format!(".orders-{number:08}.part")),
            folder.join(format!("orders-{number:08}.csv")),
        );
        let mut file = File::create_new(&part)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, &name)?;
        File::open(folder)?.sync_all()?;
        Ok(())
    }
}
