//! Which keys of a file stand in it more than once, in bounded memory however long the file is: what is too much for
//! the memory is sorted by hash into parts of a temporary file each. It must never take one key for another that is
//! merely alike, but for a clash of 64-bit hashes, which then only makes a row fail.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};

/// Entries held in memory at once: 24 bytes each.
const HELD_MAX: usize = 100_000;
const PARTS: usize = 64;
const ENTRY_BYTES: usize = 24;

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    value: u64,
    line: u64,
}

#[derive(Default)]
pub(super) struct Tally {
    held: Vec<Entry>,
    parts: Vec<BufWriter<File>>,
    /// All keys, where it will be asked which are missing: 8 bytes each.
    keys: Option<Vec<u64>>,
}

/// A key that stands on several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repeated {
    /// In order.
    pub(super) lines: Vec<u64>,
    /// All of them say the same.
    pub(super) is_same: bool,
}

impl Tally {
    pub(super) fn new(remembers_keys: bool) -> Tally {
        Tally {
            keys: remembers_keys.then(Vec::new),
            ..Tally::default()
        }
    }

    pub(super) fn add(&mut self, key: u64, value: u64, line: u64) -> std::io::Result<()> {
        if let Some(keys) = &mut self.keys {
            keys.push(key);
        }
        self.held.push(Entry { key, value, line });
        if self.held.len() < HELD_MAX {
            return Ok(());
        }
        self.spill()
    }

    fn spill(&mut self) -> std::io::Result<()> {
        while self.parts.len() < PARTS {
            self.parts.push(BufWriter::new(tempfile::tempfile()?));
        }
        for entry in self.held.drain(..) {
            let part = &mut self.parts[(entry.key % PARTS as u64) as usize];
            for number in [entry.key, entry.value, entry.line] {
                part.write_all(&number.to_le_bytes())?;
            }
        }
        Ok(())
    }

    /// The keys that are there more than once.
    pub(super) fn repeated(&mut self) -> std::io::Result<Vec<Repeated>> {
        if self.parts.is_empty() {
            return Ok(repeated(std::mem::take(&mut self.held)));
        }
        self.spill()?;
        let mut all = Vec::new();
        for part in self.parts.drain(..) {
            let mut file = part.into_inner().map_err(std::io::IntoInnerError::into_error)?;
            file.rewind()?;
            let mut reader = BufReader::new(file);
            let mut entries = Vec::new();
            let mut bytes = [0; ENTRY_BYTES];
            while read_whole(&mut reader, &mut bytes)? {
                let number = |n: usize| {
                    let mut word = [0; 8];
                    word.copy_from_slice(&bytes[n * 8..n * 8 + 8]);
                    u64::from_le_bytes(word)
                };
                entries.push(Entry {
                    key: number(0),
                    value: number(1),
                    line: number(2),
                });
            }
            all.extend(repeated(entries));
        }
        Ok(all)
    }

    /// Makes it ready to be asked for keys.
    pub(super) fn sort_keys(&mut self) {
        if let Some(keys) = &mut self.keys {
            keys.sort_unstable();
        }
    }

    pub(super) fn has(&self, key: u64) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.binary_search(&key).is_ok())
    }
}

fn read_whole(reader: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<bool> {
    match reader.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn repeated(entries: Vec<Entry>) -> Vec<Repeated> {
    let mut first: HashMap<u64, Entry> = HashMap::with_capacity(entries.len());
    let mut again: HashMap<u64, Repeated> = HashMap::new();
    for entry in entries {
        let Some(known) = first.get(&entry.key) else {
            first.insert(entry.key, entry);
            continue;
        };
        let repeated = again.entry(entry.key).or_insert_with(|| Repeated {
            lines: vec![known.line],
            is_same: true,
        });
        repeated.lines.push(entry.line);
        repeated.is_same &= known.value == entry.value;
    }
    let mut again: Vec<Repeated> = again.into_values().collect();
    for repeated in &mut again {
        repeated.lines.sort_unstable();
    }
    again
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sf_12_repeated_keys_are_found_however_far_apart_they_are() {
        for most in [10, 250_000_u64] {
            let mut tally = Tally::new(true);
            for n in 0..most {
                tally.add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n, n + 2).unwrap();
            }
            tally.add(0, 0, most + 2).unwrap();
            tally.add(0x9e37_79b9_7f4a_7c15, 99, most + 3).unwrap();
            let mut repeated = tally.repeated().unwrap();
            repeated.sort_by_key(|repeated| repeated.lines[0]);
            let expected = |lines: [u64; 2], is_same| Repeated {
                lines: lines.to_vec(),
                is_same,
            };
            assert_eq!(
                repeated,
                [expected([2, most + 2], true), expected([3, most + 3], false)]
            );
            tally.sort_keys();
            assert!(tally.has(0) && !tally.has(1));
        }
    }
}
