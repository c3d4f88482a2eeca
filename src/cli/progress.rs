//! How a run shows itself: a bar with rate and time left on a terminal, plain lines otherwise.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use contract::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::engine::Voice;
use crate::work::grouped;

/// Plain lines come no more often than this.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Console {
    bar: ProgressBar,
    /// Whether progress is of interest: a backfill is long, a pass is not.
    shows: bool,
    plain: bool,
    last: Mutex<Option<Instant>>,
}

impl Console {
    pub(super) fn new(shows: bool) -> Console {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let plain = bar.is_hidden();
        if !shows {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Console {
            bar,
            shows,
            plain,
            last: Mutex::new(None),
        }
    }

    pub(super) fn close(&self) {
        self.bar.finish_and_clear();
    }

    fn line(&self, flow: &str, what: &str, progress: Progress) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < LINE_EVERY) {
            return;
        }
        *last = Some(Instant::now());
        let of = progress
            .total
            .map(|total| format!(" of {}", grouped(total)))
            .unwrap_or_default();
        eprintln!("{flow}: {what}, {}{of} records", grouped(progress.seen));
    }
}

impl Voice for Console {
    fn progress(&self, flow: &str, what: &str, progress: Progress) {
        if !self.shows {
            return;
        }
        if self.plain {
            return self.line(flow, what, progress);
        }
        if let Some(total) = progress.total {
            if self.bar.length() != Some(total.max(progress.seen)) {
                self.bar.set_length(total.max(progress.seen));
                let template = "{msg}  {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta} left";
                if let Ok(style) = ProgressStyle::with_template(template) {
                    self.bar.set_style(style);
                }
            }
            self.bar.set_message(format!("{flow}: {what}"));
            self.bar.set_position(progress.seen);
        }
    }

    fn say(&self, line: &str) {
        if self.plain || !self.shows {
            eprintln!("{line}")
        } else {
            self.bar.println(line)
        }
    }

    fn out(&self, line: &str) {
        self.bar.suspend(|| outln!("{line}"));
    }

    fn would_send(&self, flow: &str, file: &str, row: &str) {
        self.bar.suspend(|| outln!("{flow} {file} {row}"));
    }
}
