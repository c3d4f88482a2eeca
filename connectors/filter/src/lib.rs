//! jq filters that are safe to take from a config file. A filter is compiled once, sees its input,
//! the variables `$record` and, where it may, `$refs`, and the named tables, and nothing else of the
//! world: not the environment, not the clock, not other records.
//!
//! **What ends.** Functions are allowed by list ([`functions`]); `def`, `..`, `range`, `recurse` and
//! the like are refused when the filter is compiled, with the reason. What is left is metered: a run
//! takes at most a million steps, gives at most 10,000 values, and no value weighs more than 1 MiB
//! (each bound grows with the input). Filters are at most 8 KiB long; their nesting and that of their
//! values is bounded, so they run on a worker's ordinary stack.
//!
//! **Numbers.** A number keeps its digits until arithmetic touches it: `19.90` stays `19.90`, also
//! through `tostring`. `+ - * /` reckon in floats as in jq, save on integers; `dec_add`, `dec_sub`,
//! `dec_mul`, `dec_div`, `dec_sum` and `dec_round(n)` are exact. Comparisons are exact.
//!
//! **Where this differs from jq.** Dividing by zero and results that are no number are errors.
//! Objects keep the order of their fields. `lookup("name")` finds the input in a named table.

mod access;
mod decimal;
mod funs;
mod guard;
mod known;
mod lists;
mod meter;
mod mistakes;
mod money;
mod named;
mod ops;
mod pattern;
mod plain;
mod val;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use contract::Value;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars};

use crate::funs::{Data, Engine};
use crate::meter::{Budget, Limit, OUTPUTS_MAX};
use crate::plain::Plain;
use crate::val::{Val, excerpt};

/// What filters may look up, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env {
    pub tables: BTreeMap<String, Table>,
    /// The fields of `$refs`; with none a filter that names `$refs` is refused.
    pub refs: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub entries: BTreeMap<String, Value>,
    /// For values that are not in the table; without it they are an error.
    pub default: Option<Value>,
}

/// Why a filter cannot be used, and where in its text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CompileError {
    pub message: String,
    /// Bytes of the filter's text.
    pub at: Range<usize>,
    pub hint: Option<String>,
}

/// Why a filter failed on one record; at most 200 characters, with an excerpt of the data at most.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RunError {
    pub message: String,
}

impl RunError {
    pub(crate) fn new(message: &str) -> RunError {
        RunError {
            message: excerpt(message, 199),
        }
    }
}

/// What a person should know about a filter that may run all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub message: String,
    pub at: Range<usize>,
    pub hint: Option<String>,
}

/// A value that several filters are to work on: made ready for the interpreter once, when first
/// needed. It stays on its thread.
pub struct Subject<'v> {
    value: &'v Value,
    refs: Option<&'v Value>,
    ready: OnceCell<Val>,
}

impl<'v> Subject<'v> {
    pub fn new(value: &'v Value) -> Self {
        Self {
            value,
            refs: None,
            ready: OnceCell::new(),
        }
    }

    /// A whole record, with what `$refs` is beside it.
    pub fn with_refs(value: &'v Value, refs: &'v Value) -> Self {
        Self {
            refs: Some(refs),
            ..Self::new(value)
        }
    }

    pub fn value(&self) -> &'v Value {
        self.value
    }

    fn ready(&self) -> &Val {
        self.ready.get_or_init(|| Val::from(self.value))
    }
}

/// A compiled filter.
pub struct Filter {
    source: String,
    kind: Kind,
    warnings: Vec<Warning>,
}

enum Kind {
    Plain(Plain),
    Program {
        program: jaq_core::Filter<Engine>,
        /// Only what a filter that looks things up needs.
        env: Env,
        /// Whether the text mentions `$record`, and `$refs`.
        record: bool,
        refs: bool,
    },
}

/// The functions a filter may call, with the numbers of arguments they take.
pub fn functions() -> impl Iterator<Item = (&'static str, &'static [usize])> {
    known::FUNCTIONS.iter().copied()
}

impl Filter {
    pub fn compile(source: &str, env: &Env) -> Result<Filter, CompileError> {
        let tree = guard::read(source, env)?;
        let warnings = money::warnings(source, &tree);
        let kind = match Plain::of(&tree) {
            Some(plain) => Kind::Plain(plain),
            None => Kind::Program {
                program: program(source)?,
                env: if source.contains("lookup") {
                    env.clone()
                } else {
                    Env::default()
                },
                record: source.contains("$record"),
                refs: source.contains("$refs"),
            },
        };
        Ok(Filter {
            source: source.to_owned(),
            kind,
            warnings,
        })
    }

    /// All values the filter gives; `.` is the input, `$record` the whole record.
    pub fn run(&self, input: &Value, record: &Value) -> Result<Vec<Value>, RunError> {
        self.run_on(&Subject::new(input), &Subject::new(record))
    }

    /// The one value the filter gives. A filter that gives none (`empty`, `.a?`) gives null; one that
    /// gives several is an error: a list is written `[...]`.
    pub fn one(&self, input: &Value, record: &Value) -> Result<Value, RunError> {
        self.one_on(&Subject::new(input), &Subject::new(record))
    }

    /// As [`Filter::run`], on values that other filters work on as well.
    pub fn run_on(&self, input: &Subject<'_>, record: &Subject<'_>) -> Result<Vec<Value>, RunError> {
        self.outputs(input, record, OUTPUTS_MAX)
    }

    /// As [`Filter::one`], on values that other filters work on as well.
    pub fn one_on(&self, input: &Subject<'_>, record: &Subject<'_>) -> Result<Value, RunError> {
        let mut outputs = self.outputs(input, record, 2)?;
        match outputs.len() {
            0 | 1 => Ok(outputs.pop().unwrap_or(Value::Null)),
            _ => Err(RunError::new(
                "gives several values where one is wanted; `[...]` makes a list of them",
            )),
        }
    }

    /// As [`Filter::one_on`]. What a plain path leads to is not copied.
    pub fn view_on<'v>(&self, input: &Subject<'v>, record: &Subject<'_>) -> Result<Cow<'v, Value>, RunError> {
        match &self.kind {
            Kind::Plain(plain) => Ok(plain.run(input.value)?.unwrap_or(Cow::Owned(Value::Null))),
            Kind::Program { .. } => self.one_on(input, record).map(Cow::Owned),
        }
    }

    /// Up to `most` outputs; for the overall maximum, one more is an error.
    fn outputs(&self, input: &Subject<'_>, record: &Subject<'_>, most: usize) -> Result<Vec<Value>, RunError> {
        let (program, env, needs_record, needs_refs) = match &self.kind {
            Kind::Plain(plain) => {
                let found = plain.run(input.value)?.map(Cow::into_owned);
                return Ok(found.into_iter().collect());
            }
            Kind::Program {
                program,
                env,
                record,
                refs,
            } => (program, env, *record, *refs),
        };
        let dot = input.ready();
        let refs = record.refs.filter(|_| needs_refs).map_or(Val::Null, Val::from);
        let record = if needs_record {
            record.ready().clone()
        } else {
            Val::Null
        };
        let budget = Budget::for_input(dot.weight() + record.weight() + refs.weight());
        let outcome = meter::within(budget, || {
            let data = Data { lut: &program.lut, env };
            let context = Ctx::<Engine>::new(data, Vars::new([record, refs]));
            let mut outputs = Vec::new();
            for output in program.id.run((context, dot.clone())) {
                if outputs.len() == OUTPUTS_MAX {
                    meter::stop(Limit::Outputs);
                }
                match output {
                    Ok(value) => {
                        meter::spend_bytes(value.weight());
                        outputs.push(value.to_value());
                    }
                    Err(error) => {
                        return Err(match error.get_err().map(jaq_core::Error::into_val) {
                            Ok(Val::Text(message)) => message.to_string(),
                            Ok(thrown) => thrown.to_string(),
                            Err(_) => "the filter broke off".to_owned(),
                        });
                    }
                }
                if outputs.len() == most && most < OUTPUTS_MAX {
                    break;
                }
            }
            Ok(outputs)
        });
        match outcome {
            Ok(Ok(outputs)) => Ok(outputs),
            Ok(Err(message)) => Err(RunError::new(&message)),
            Err(limit) => Err(RunError::new(limit)),
        }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the filter is a plain path, read from the record without the interpreter.
    pub fn is_plain(&self) -> bool {
        matches!(self.kind, Kind::Plain(_))
    }

    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.source).finish()
    }
}

/// A compiled filter is shared between the workers.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Filter>();
};

/// Compiles what the guard has let through.
fn program(source: &str) -> Result<jaq_core::Filter<Engine>, CompileError> {
    let fault = |message: &str, at| CompileError {
        message: message.to_owned(),
        at,
        hint: None,
    };
    let whole = 0..source.len();
    let Some(prelude) = jaq_core::load::parse(known::PRELUDE, |parser| parser.defs()) else {
        return Err(fault("the functions of filters cannot be read", whole));
    };
    let arena = Arena::default();
    let modules = Loader::new(prelude).load(&arena, File { code: source, path: () });
    let modules = modules.map_err(|_| fault("the filter cannot be read", whole.clone()))?;
    let compiler = Compiler::default()
        .with_global_vars(["$record", "$refs"])
        .with_funs(funs::all());
    compiler.compile(modules).map_err(|errors| {
        let first = errors.first().and_then(|(_, undefined)| undefined.first());
        match first {
            Some((name, what)) => fault(
                &format!("unknown {} `{name}`", what.as_str()),
                guard::range(source, name),
            ),
            None => fault("the filter cannot be compiled", whole),
        }
    })
}
