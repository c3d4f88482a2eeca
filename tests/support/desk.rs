//! A folder with a config, where the real binary is run.

use std::cell::Cell;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::check::complaints;
use super::{CANARY, Outcome, Running, Shop};

/// What a test may want otherwise in its `sync.yaml`.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) state: String,
    pub(crate) location: String,
    pub(crate) rate: String,
    pub(crate) burst: u32,
    pub(crate) max_records: usize,
    /// How long the store may take, and further lines of `store`.
    pub(crate) timeout: String,
    pub(crate) store: String,
    /// The `webhooks` section.
    pub(crate) webhooks: String,
    /// When a file is closed that is not full; as in the config.
    pub(crate) max_wait: String,
    /// Further lines of `connectors.drop`, such as its dialect.
    pub(crate) drop: String,
    /// Further resources of `drop`, connectors and flows, at their place.
    pub(crate) resources: String,
    pub(crate) connectors: String,
    pub(crate) flows: String,
    /// Further keys of the flow, such as `initial` and `where`.
    pub(crate) flow: String,
    /// The lines below `map:`.
    pub(crate) map: String,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            state: "./state.db".to_owned(),
            location: "./out".to_owned(),
            rate: "100000/s".to_owned(),
            burst: 1000,
            max_records: 1000,
            timeout: "5s".to_owned(),
            store: String::new(),
            webhooks: String::new(),
            max_wait: "1m".to_owned(),
            drop: String::new(),
            resources: String::new(),
            connectors: String::new(),
            flows: String::new(),
            flow: String::new(),
            map: [
                "id: .id",
                "number: .number",
                "status: .status",
                "total: .grand_total",
                "updated: .updated_at",
                "note: .note",
                "lines: '[.lines[] | {sku, quantity, total}]'",
            ]
            .map(|line| format!("      {line}\n"))
            .concat(),
        }
    }
}

impl Setup {
    fn yaml(&self, url: &str) -> String {
        let Setup {
            state,
            location,
            rate,
            burst,
            max_records,
            timeout,
            store,
            webhooks,
            max_wait,
            drop,
            resources,
            connectors,
            flows,
            flow,
            map,
        } = self;
        format!(
            r#"version: 1
state: {{path: {state}}}
store:
  url: {url}
  store_id: 22
  client_id: ${{SX_CLIENT_ID}}
  client_secret: ${{file:./client-secret}}
  rate_limit: {rate}
  burst: {burst}
  concurrency: 4
  timeout: {timeout}
{store}{webhooks}connectors:
  drop:
    type: csv
    location: {location}
{drop}    resources:
      orders:
        write: {{file: "orders-{{timestamp}}-{{batch}}.csv", max_records: {max_records}, max_wait: {max_wait}}}
{resources}{connectors}flows:
  orders-to-csv:
    from: store.orders
    to: drop.orders
{flow}    map:
{map}{flows}"#
        )
    }
}

pub(crate) struct Desk {
    dir: TempDir,
    url: String,
    client_id: String,
    pub(crate) setup: Setup,
    runs: Cell<u32>,
}

impl Desk {
    pub(crate) fn new(shop: &Shop) -> Desk {
        Desk::with(shop, Setup::default())
    }

    pub(crate) fn with(shop: &Shop, setup: Setup) -> Desk {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["runs", "tmp"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let access = shop.world().access();
        let desk = Desk {
            dir,
            url: shop.url(),
            client_id: access.client_id,
            setup,
            runs: Cell::new(0),
        };
        desk.write("client-secret", &access.client_secret);
        desk.configure();
        desk
    }

    /// Writes the config anew after `setup` was changed.
    pub(crate) fn configure(&self) {
        self.write("sync.yaml", &self.setup.yaml(&self.url));
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = file.open(self.path(name)).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    }

    /// A path below the desk; an absolute one stays what it is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.path(&self.setup.location)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path(&self.setup.state)
    }

    /// The program with its config and secrets, and nothing else of this process's environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selorax-sync"));
        command.arg("--config").arg(self.path("sync.yaml")).args(args);
        self.settle(&mut command);
        command
    }

    fn settle(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TMPDIR", self.path("tmp"))
            .env("SX_CLIENT_ID", &self.client_id)
            .current_dir(self.dir.path());
    }

    pub(crate) fn start(&self, args: &[&str]) -> Running {
        self.launch(self.command(args))
    }

    pub(crate) fn launch(&self, command: Command) -> Running {
        self.runs.set(self.runs.get() + 1);
        Running::start(command, self.path(&format!("runs/{:04}", self.runs.get())))
    }

    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        self.start(args).wait()
    }

    /// Under strace, which makes calls fail or kills at them: `fdatasync:signal=SIGKILL:when=3`.
    pub(crate) fn strace(&self, trace: &str, inject: Option<&str>, args: &[&str]) -> Outcome {
        self.launch(self.traced_command(&[], trace, inject, args)).wait()
    }

    /// The program under strace. With `-D` among the options the process that is started is the program itself.
    pub(crate) fn traced_command(&self, options: &[&str], trace: &str, inject: Option<&str>, args: &[&str]) -> Command {
        let mut command = Command::new("strace");
        command
            .args(options)
            .args(["-f", "-qq", "-o"])
            .arg(self.path("runs/strace"));
        // Only the calls in question stop the program then; but signals are not sent that way, and a program that
        // strace has let go of would have these calls refused for good.
        if !inject.is_some_and(|inject| inject.contains("signal=")) && !options.contains(&"-D") {
            command.arg("--seccomp-bpf");
        }
        command.arg(format!("--trace={trace}"));
        command.args(inject.map(|inject| format!("--inject={inject}")));
        command.arg(env!("CARGO_BIN_EXE_selorax-sync"));
        command.arg("--config").arg(self.path("sync.yaml")).args(args);
        self.settle(&mut command);
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .any(|folder| folder.join("strace").is_file());
        assert!(
            found,
            "these tests need strace: apt-get install --no-install-recommends strace"
        );
        command
    }

    /// What strace wrote down of the last run under it.
    pub(crate) fn traced(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path("runs/strace")).unwrap()).into_owned()
    }

    /// Fails unless the files hold what the shop's truth says, and no secret is on the disk.
    #[track_caller]
    pub(crate) fn check(&self, shop: &Shop) {
        let wrong = complaints(&self.out(), shop.world(), self.setup.max_records);
        let shown: Vec<&String> = wrong.iter().take(12).collect();
        assert!(wrong.is_empty(), "{} complaints, such as {shown:#?}", wrong.len());
        self.find_secrets();
    }

    /// How many rows all files have together.
    pub(crate) fn rows(&self) -> usize {
        super::rows(&self.out(), self.setup.max_records).0.len()
    }

    /// Fails where a secret is on the disk, but for the files that hold them for the config.
    #[track_caller]
    pub(crate) fn find_secrets(&self) {
        Desk::search(self.dir.path());
    }

    #[track_caller]
    fn search(folder: &Path) {
        let given = [
            "client-secret",
            "admin-token",
            "erp-token",
            "erp-secret",
            "erp-refresh",
            "erp-password",
        ];
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                Desk::search(&path);
            } else if path.is_file()
                && !path.to_string_lossy().contains("-secret")
                && !given.iter().any(|name| path.ends_with(name))
            {
                let bytes = std::fs::read(&path).unwrap();
                let found = bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes());
                assert!(!found, "a secret in {}", path.display());
            }
        }
    }
}
