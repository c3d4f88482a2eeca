//! What a filter may spend. Every step of the interpreter goes through a value of ours, and every
//! such operation pays here. Who runs out is unwound at once, past any `try`, so that neither a
//! filter nor the interpreter can hold the thread longer than its budget.
//!
//! The unwinding is deliberate: most operations of the interpreter cannot fail, so there is no other
//! way out of `(0,1) as $a | (0,1) as $b | ...`. It starts with `resume_unwind`, which tells no
//! panic hook, and ends in [`within`], which tells the limit from a real panic.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

#[cfg(panic = "abort")]
compile_error!("the limits of a filter need unwinding");

/// Steps a run may take, besides those its input adds.
pub(crate) const STEPS: u64 = 1_000_000;
/// Bytes that one value may weigh, besides those of the input.
pub(crate) const WEIGHT_BYTES: usize = 1 << 20;
pub(crate) const OUTPUTS_MAX: usize = 10_000;
/// Levels of lists and objects in one value.
pub(crate) const DEPTH_MAX: u32 = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Steps,
    Weight,
    Depth,
    Outputs,
}

impl Limit {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Limit::Steps => "the filter takes too many steps; it was stopped",
            Limit::Weight => "the filter builds a value larger than 1 MiB; it was stopped",
            Limit::Depth => "the filter nests values more than 128 levels deep; it was stopped",
            Limit::Outputs => "the filter gives more than 10000 values; it was stopped",
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) steps: u64,
    pub(crate) weight: usize,
}

impl Budget {
    /// A larger input may be worked on longer and may come out whole.
    pub(crate) fn for_input(weight: usize) -> Budget {
        Budget {
            steps: STEPS + weight as u64 / 4,
            weight: WEIGHT_BYTES + 2 * weight,
        }
    }
}

thread_local! {
    /// Outside of a run nothing is counted.
    static LEFT: Cell<Budget> = const { Cell::new(Budget { steps: u64::MAX, weight: usize::MAX }) };
}

pub(crate) fn spend(steps: usize) {
    LEFT.with(|left| {
        let mut budget = left.get();
        match budget.steps.checked_sub(steps as u64) {
            Some(rest) => budget.steps = rest,
            None => stop(Limit::Steps),
        }
        left.set(budget);
    });
}

/// Pays for bytes that are copied or read through.
pub(crate) fn spend_bytes(bytes: usize) {
    spend(1 + bytes / 64);
}

/// To be called before a value of this weight is built.
pub(crate) fn weigh(bytes: usize) {
    if bytes > LEFT.with(Cell::get).weight {
        stop(Limit::Weight);
    }
}

pub(crate) fn stop(limit: Limit) -> ! {
    resume_unwind(Box::new(limit))
}

/// Runs within a budget. A panic that is none of ours is a fault of the interpreter, told as such.
pub(crate) fn within<T>(budget: Budget, run: impl FnOnce() -> T) -> Result<T, &'static str> {
    let before = LEFT.replace(budget);
    let outcome = catch_unwind(AssertUnwindSafe(run));
    LEFT.set(before);
    outcome.map_err(|cause| match cause.downcast_ref::<Limit>() {
        Some(limit) => limit.message(),
        None => "the filter failed inside the interpreter",
    })
}
