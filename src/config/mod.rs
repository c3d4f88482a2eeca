//! The config file as program types. Reads `sync.yaml`, fills in what comes from outside, checks all
//! of it and answers with a config that can run or with every problem at once; never with half of one.
//! It touches no network and no state, and keeps no secret outside a type that hides it.

mod alerts;
mod flows;
mod interpolate;
mod listeners;
mod load;
mod report;
mod requires;
mod sections;
mod source;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::Factory;
use contract::settings::{Problem, Problems, Reader, Settings};
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};

pub use alerts::{Alerts, Channel, Notice};
pub use flows::{Feed, Flow, Initial, Schedule, is_sure, topics};
pub use listeners::{Admin, Network, Webhooks, callable};
pub use report::{Broken, Report};
pub use requires::Provider;

/// How a name of the environment is looked up: a parameter, so that tests need not touch the process.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the config is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To run or to be checked: everything it names must be there.
    Full,
    /// To look at the state (`status`, `failures`, `tail`): works in a shell without the secrets.
    /// A connector or flow that cannot be read for want of them is left out of the config.
    Offline,
}

/// A config file that was checked.
#[derive(Debug)]
pub struct Config {
    pub path: PathBuf,
    pub state_path: PathBuf,
    pub timezone: TimeZone,
    /// By name; the `store` section is the one named `store`.
    pub connectors: BTreeMap<String, Arc<dyn Settings>>,
    /// In the order of the file.
    pub flows: Vec<Flow>,
    pub webhooks: Option<Webhooks>,
    pub admin: Option<Admin>,
    pub alerts: Alerts,
    pub warnings: Report,
}

impl Config {
    /// The names of the flows that these require, by way of others too, and of these themselves; those that come
    /// before others come first. No name stands for all flows, and stays that.
    pub fn with_required(&self, names: &[String]) -> Vec<String> {
        let is_meant = |flow: &&Flow| {
            let asks = |name: &String| *name == flow.name || requires::required(&self.flows, name).contains(&flow.name);
            names.iter().any(asks)
        };
        let mut meant: Vec<&Flow> = self.flows.iter().filter(is_meant).collect();
        meant.sort_by_key(|flow| flow.depth);
        let known = meant.into_iter().map(|flow| flow.name.clone());
        // A name that the config does not have is somebody else's complaint.
        let unknown = names
            .iter()
            .filter(|name| self.flows.iter().all(|flow| flow.name != **name));
        known.chain(unknown.cloned()).collect()
    }
}

/// The name of the store among the connectors.
pub const STORE: &str = "store";

/// Where the config is: the path given, else `$SELORAX_SYNC_CONFIG`, else `./sync.yaml` if it is there,
/// else `/etc/selorax-sync/sync.yaml` if it is there, else `./sync.yaml`, for the message that it is not.
pub fn find(given: Option<PathBuf>, env: Env<'_>) -> PathBuf {
    let near = PathBuf::from("sync.yaml");
    let system = PathBuf::from("/etc/selorax-sync/sync.yaml");
    let named = || {
        env("SELORAX_SYNC_CONFIG")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    given
        .or_else(named)
        .unwrap_or_else(|| match !near.exists() && system.exists() {
            true => system,
            false => near,
        })
}

/// The process's own environment, for `load` and `find`. A value that is not UTF-8 counts as missing.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Where systemd wants to be told how the service goes (sd_notify(3)).
pub fn notify_socket() -> Option<std::ffi::OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())
}

/// Reads and checks a config file.
pub fn load(path: &Path, mode: Mode, env: Env<'_>) -> Result<Config, Broken> {
    load_with(path, mode, env, connectors::ALL)
}

/// The JSON Schema of the file, for editors.
pub fn schema() -> Json {
    sections::schema(connectors::ALL)
}

fn load_with(path: &Path, mode: Mode, env: Env<'_>, kinds: &[Factory]) -> Result<Config, Broken> {
    let shown = path.display().to_string();
    let bytes = source::read(path).map_err(|(why, hint)| Broken(Report::of(&shown, why, hint)))?;
    let lossy = String::from_utf8_lossy(&bytes).into_owned();
    let mut problems = Problems::default();
    let text = match source::text_of(bytes) {
        Ok(text) => text,
        Err(problem) => {
            problems.0.push(problem);
            return Err(Broken(Report::new(&shown, &lossy, &problems, false, &[])));
        }
    };
    let base: Arc<Path> = Arc::from(path.parent().unwrap_or(Path::new("")));
    let mut values = Vec::new();
    let checked = load::tree_of(&text, &mut problems).and_then(|mut tree| {
        let mut interpolation = interpolate::Interpolation::new(&base, &text, mode, env);
        interpolation.fill(&mut tree, "", &mut problems);
        values = interpolation.values;
        let mut reader = Reader::new(&tree, "", base.clone(), &mut problems);
        let whole = sections::read(&mut reader, mode, kinds);
        reader.finish();
        whole
    });
    exposed(path, &mut problems);
    match checked {
        Some(whole) if problems.0.is_empty() => Ok(Config {
            path: path.to_owned(),
            state_path: whole.state_path,
            timezone: whole.timezone,
            connectors: whole.connectors,
            flows: whole.flows,
            webhooks: whole.webhooks,
            admin: whole.admin,
            alerts: whole.alerts,
            warnings: Report::new(&shown, &text, &problems, true, &values),
        }),
        _ => Err(Broken(Report::new(&shown, &text, &problems, false, &values))),
    }
}

/// Warns of secrets that stand in a file which everyone on the machine can read.
fn exposed(path: &Path, problems: &mut Problems) {
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o004 != 0);
    for span in problems.secrets().to_vec().into_iter().filter(|_| open) {
        problems.warn(Problem {
            span,
            path: String::new(),
            message: "a secret stands here, and everyone on this machine can read the file".to_owned(),
            hint: Some(format!("run: chmod 600 {}, or write ${{NAME}} here", path.display())),
        });
    }
}

/// The schema of a text that a check of its own refines.
fn text_schema() -> Json {
    json!({"type": "string"})
}
