//! Whether a snapshot looks wrong as a whole although each of its rows is right. Pure. It must never decide what is
//! done with the file: that is a person's business.

/// Smaller files are looked at row by row by whoever makes them.
const ROWS_LEAST: u64 = 20;
/// Per hundred: more SKUs than this that become zero, and fewer rows than this of the last file, are unlikely.
const ZEROED_MOST: u64 = 10;
const ROWS_OF_LAST: u64 = 60;
/// A quantity does not grow or shrink so many times over between two files.
const TIMES_MOST: i64 = 100;
const SHOWN: usize = 3;

/// What is counted while a file is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    pub(super) zeroed: u64,
    /// SKUs that are not in the file and become zero.
    pub(super) absent: u64,
    jumps: u64,
    shown: Vec<String>,
}

impl Watch {
    pub(super) fn see(&mut self, key: &str, before: Option<i64>, now: Option<i64>) {
        let (Some(before), Some(now)) = (before, now) else {
            return;
        };
        if now == 0 && before > 0 {
            self.zeroed += 1;
        }
        let (less, more) = (before.min(now), before.max(now));
        if less > 0 && more > less.saturating_mul(TIMES_MOST) {
            self.jumps += 1;
            if self.shown.len() < SHOWN {
                self.shown.push(format!("{key} from {before} to {now}"));
            }
        }
    }

    /// What a person should look at before the file counts.
    pub(super) fn verdict(&self, rows: u64, last_rows: Option<u64>) -> Option<String> {
        if rows < ROWS_LEAST && last_rows.is_none_or(|last| last < ROWS_LEAST) {
            return None;
        }
        let mut told = Vec::new();
        let (zeroed, of) = (self.zeroed + self.absent, rows + self.absent);
        if zeroed * 100 > of * ZEROED_MOST {
            told.push(format!("{zeroed} of {of} SKUs become 0"));
        }
        if self.jumps > 0 {
            let more = if self.jumps > self.shown.len() as u64 {
                ", …"
            } else {
                ""
            };
            let shown = self.shown.join(", ");
            told.push(format!(
                "{} change more than {TIMES_MOST}-fold ({shown}{more})",
                self.jumps
            ));
        }
        if let Some(last) = last_rows.filter(|last| rows * 100 < last * ROWS_OF_LAST) {
            told.push(format!("it has {rows} rows, and the last file had {last}"));
        }
        (!told.is_empty()).then(|| told.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(changes: &[(i64, i64)], rows: u64, last: Option<u64>) -> Option<String> {
        let mut watch = Watch::default();
        for (before, now) in changes {
            watch.see("A", Some(*before), Some(*now));
        }
        watch.verdict(rows, last)
    }

    #[test]
    fn st_06_mass_zeroing_jumps_and_missing_rows_are_held() {
        assert_eq!(verdict(&[(5, 0), (7, 0)], 20, None), None);
        assert!(verdict(&[(5, 0), (7, 0), (1, 0)], 20, None).is_some_and(|told| told.contains("3 of 20")));
        assert_eq!(verdict(&[(0, 0), (0, 0), (0, 0)], 20, None), None);
        assert_eq!(verdict(&[(3, 300)], 20, None), None);
        assert!(verdict(&[(3, 301)], 20, None).is_some_and(|told| told.contains("from 3 to 301")));
        assert!(verdict(&[(301, 3)], 20, None).is_some());
        assert_eq!(verdict(&[(0, 5000)], 20, None), None);
        assert_eq!(verdict(&[], 60, Some(100)), None);
        assert!(verdict(&[], 59, Some(100)).is_some_and(|told| told.contains("59 rows")));
    }

    #[test]
    fn st_06_small_files_are_not_guarded_and_a_stump_of_a_large_one_is() {
        assert_eq!(verdict(&[(5, 0), (3, 3000)], 19, Some(19)), None);
        assert!(verdict(&[], 5, Some(1000)).is_some());
    }
}
