//! `init`: a config out of flags or of answers, checked against a store, and good for a first run.

mod typed;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{CANARY, Outcome, Running, Shop, names};

/// An empty folder where the program is run, and the credentials of a shop.
struct Fresh {
    dir: TempDir,
    runs: TempDir,
    url: String,
    id: String,
    secret: String,
    token: String,
}

impl Fresh {
    fn at(shop: &Shop) -> Fresh {
        let access = shop.world().access();
        Fresh {
            dir: tempfile::tempdir().unwrap(),
            runs: tempfile::tempdir().unwrap(),
            url: shop.url(),
            id: access.client_id,
            secret: access.client_secret,
            token: access.access_token,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        self.path(name).metadata().unwrap().permissions().mode() & 0o777
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TMPDIR", self.runs.path())
            .current_dir(self.dir.path());
        command
    }

    /// Nobody is there to answer; nothing that was said holds a secret (see `Running::wait`).
    fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(env!("CARGO_BIN_EXE_selorax-sync"));
        command.args(args).envs(env.iter().copied());
        let outcome = Running::start(command, self.runs.path().join("run")).wait();
        assert_eq!(
            names(self.runs.path()),
            ["run.err", "run.out"],
            "something was left behind"
        );
        outcome
    }

    /// The flags that every run needs, and more.
    fn init(&self, more: &[&str], env: &[(&str, &str)]) -> Outcome {
        let mut args = vec![
            "-v",
            "init",
            "--url",
            &self.url,
            "--store-id",
            "22",
            "--location",
            "./out",
        ];
        args.extend(more);
        self.run(&args, env)
    }

    fn client(&self) -> [&str; 4] {
        ["--client-id", &self.id, "--client-secret", &self.secret]
    }

    /// One pass with the file that was written: every order is in the files.
    fn delivers(&self, orders: usize, env: &[(&str, &str)]) {
        self.run(&["--once"], env).ends(0);
        let mut rows = 0;
        for name in names(&self.path("out")) {
            let mut reader = csv::Reader::from_path(self.path("out").join(name)).unwrap();
            assert_eq!(reader.headers().unwrap().len(), 24);
            rows += reader.records().map(Result::unwrap).count();
        }
        assert_eq!(rows, orders);
    }

    fn secret_on_disk(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for name in names(&folder) {
                let path = folder.join(name);
                if path.is_dir() {
                    folders.push(path);
                } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(CANARY) {
                    let shown = path.strip_prefix(self.dir.path()).unwrap();
                    found.push(shown.display().to_string());
                }
            }
        }
        found.sort();
        found
    }
}

#[test]
fn from_flags_secrets_go_to_files_of_their_own_and_the_first_run_works() {
    // A store of today: one of another time would be told of.
    let shop = Shop::open(sandbox::Options {
        clock: sandbox::Clock::Real,
        ..crate::support::options(9)
    });
    let fresh = Fresh::at(&shop);
    let told = fresh.init(&fresh.client(), &[]).ends(0);
    assert!(told.out.contains("ok  store: reading orders"), "{}", told.out);
    assert!(
        told.out.contains("selorax-sync preview orders-to-files"),
        "{}",
        told.out
    );
    assert!(told.err.is_empty(), "{}", told.err);
    assert_eq!(fresh.secret_on_disk(), ["secrets/client_id", "secrets/client_secret"]);
    for name in ["secrets/client_id", "secrets/client_secret"] {
        assert_eq!(fresh.mode(name), 0o600);
    }
    assert_eq!(fresh.mode("secrets"), 0o700);
    assert!(
        fresh
            .text("sync.yaml")
            .contains("client_secret: ${file:./secrets/client_secret}")
    );
    fresh.run(&["check"], &[]).ends(0);
    fresh.delivers(9, &[]);
}

#[test]
fn with_secrets_in_the_environment_the_file_holds_names() {
    let shop = Shop::of(4);
    let fresh = Fresh::at(&shop);
    let env = [
        ("SELORAX_CLIENT_ID", &*fresh.id),
        ("SELORAX_CLIENT_SECRET", &*fresh.secret),
    ];
    // The values are given for the check, and are not set anywhere yet.
    let args = [&fresh.client()[..], &["--secrets", "env"]].concat();
    let told = fresh.init(&args, &[]).ends(0);
    assert!(
        told.out.contains("set SELORAX_CLIENT_ID and SELORAX_CLIENT_SECRET"),
        "{}",
        told.out
    );
    assert_eq!(fresh.secret_on_disk(), Vec::<String>::new());
    fresh.run(&["check"], &[]).ends(2);
    fresh.run(&["check", "--connect"], &env).ends(0);
    fresh.delivers(4, &env);

    // Nor need they be given: the names have defaults, and `env:` gives others.
    let fresh = Fresh::at(&shop);
    fresh.init(&["--secrets", "env", "--no-check"], &[]).ends(0);
    assert!(fresh.text("sync.yaml").contains("client_id: ${SELORAX_CLIENT_ID}\n"));
    let fresh = Fresh::at(&shop);
    let unset = fresh.init(&["--access-token", "env:MY_TOKEN"], &[]).ends(1);
    assert!(unset.out.contains("stays as it is"), "{}", unset.out);
    assert!(unset.err.contains("MY_TOKEN is not set"), "{}", unset.err);
    fresh
        .run(&["check", "--connect"], &[("MY_TOKEN", &fresh.token)])
        .ends(0);
    fresh.delivers(4, &[("MY_TOKEN", &fresh.token)]);
}

#[test]
fn with_secrets_in_the_config_nobody_else_can_read_it() {
    let shop = Shop::of(5);
    let fresh = Fresh::at(&shop);
    fresh
        .init(&["--access-token", &fresh.token, "--secrets", "inline"], &[])
        .ends(0);
    assert_eq!(fresh.secret_on_disk(), ["sync.yaml"]);
    assert_eq!(fresh.mode("sync.yaml"), 0o600);
    fresh.delivers(5, &[]);
    let odd = Fresh::at(&shop);
    let secret = "a\"b\\c'${d}#e: {f}";
    let args = [
        "--client-id",
        "id",
        "--client-secret",
        &secret.replace(' ', "_"),
        "--secrets",
        "inline",
        "--no-check",
    ];
    odd.init(&args, &[]).ends(0);
    odd.run(&["check"], &[]).ends(0);
    assert!(
        odd.text("sync.yaml")
            .contains(r#"client_secret: "a\"b\\c'$${d}#e:_{f}""#),
        "{}",
        odd.text("sync.yaml")
    );
}

#[test]
fn what_is_missing_or_wrong_is_named_by_its_flag_and_nothing_is_written() {
    let shop = Shop::of(3);
    let fresh = Fresh::at(&shop);
    fresh.run(&["init"], &[]).ends(2).says(&[
        "--url, --store-id, --location, --client-id and --client-secret, or --access-token",
        "in a terminal",
    ]);
    fresh
        .init(&["--client-id", "x"], &[])
        .ends(2)
        .says(&["missing: --client-secret"]);
    let both = [&fresh.client()[..], &["--access-token", "x"]].concat();
    fresh.init(&both, &[]).ends(2).says(&["--access-token"]);
    let refused: [(&[&str], &str); 15] = [
        (&["--url", "http://api.selorax.io"], "--url: expected https"),
        (
            &["--url", "http://127.0.0.1:9/\nfoo: bar"],
            "--url: it has a control character",
        ),
        (&["--url", ""], "--url: "),
        (&["--store-id", "zero"], "--store-id: expected a whole number"),
        (&["--store-id", "22 # 23"], "--store-id: expected a whole number"),
        (
            &["--store-id", "22\nflows: {}"],
            "--store-id: it has a control character",
        ),
        (&["--location", "ftp://files"], "--location: "),
        (&["--location", ""], "--location: "),
        (
            &["--resources", "ordres"],
            "--resources: there is no `ordres`; did you mean `orders`?",
        ),
        (&["--resources", " "], "--resources: choose from orders"),
        (&["--schedule", "every hour"], "--schedule: expected five fields"),
        (&["--schedule", "0 0 31 2 *"], "--schedule: expected a time that comes"),
        (&["--initial", "some"], "--initial: "),
        (&["--client-secret", "two words"], "--client-secret: it has a blank"),
        (
            &["--client-secret", "env:NOT-A-NAME"],
            "--client-secret: expected the name",
        ),
    ];
    for (flags, told) in refused {
        let mut args = vec!["init"];
        let usual = ["--url", &fresh.url, "--store-id", "22", "--location", "./out"];
        let usual = [&usual[..], &fresh.client()[..]].concat();
        for pair in usual.chunks(2).filter(|pair| pair[0] != flags[0]) {
            args.extend(pair);
        }
        args.extend(flags);
        fresh.run(&args, &[]).ends(2).says(&[told]);
    }
    assert_eq!(names(fresh.dir.path()), Vec::<String>::new());
    assert_eq!(shop.world().request_count(), 0);
}

#[test]
fn nothing_is_overwritten_unasked() {
    let shop = Shop::of(3);
    let fresh = Fresh::at(&shop);
    std::fs::write(fresh.path("sync.yaml"), "mine").unwrap();
    fresh
        .init(&fresh.client(), &[])
        .ends(2)
        .says(&["sync.yaml is there already", "--force"]);
    assert_eq!(fresh.text("sync.yaml"), "mine");
    assert_eq!(names(fresh.dir.path()), ["sync.yaml"]);
    std::fs::create_dir(fresh.path("secrets")).unwrap();
    std::fs::write(fresh.path("secrets/client_secret"), "mine too").unwrap();
    let other = [&fresh.client()[..], &["--output", "other.yaml"]].concat();
    fresh
        .init(&other, &[])
        .ends(2)
        .says(&["secrets/client_secret is there already"]);
    assert_eq!(fresh.text("secrets/client_secret"), "mine too");
    assert!(!fresh.path("other.yaml").exists() && !fresh.path("secrets/client_id").exists());
    fresh.init(&["--output", "secrets"], &[]).ends(2).says(&["is a folder"]);
    let anew = [&fresh.client()[..], &["--force"]].concat();
    fresh.init(&anew, &[]).ends(0);
    fresh.delivers(3, &[]);
}

#[test]
fn a_store_that_refuses_leaves_the_file_and_says_what_to_do() {
    let shop = Shop::of(3);
    let fresh = Fresh::at(&shop);
    shop.world()
        .set_access(|access| access.client_secret = "another".to_owned());
    let told = fresh.init(&fresh.client(), &[]).ends(1);
    assert!(
        told.out.contains("FAILED  store") && told.out.contains("selorax-sync check --connect"),
        "{}",
        told.out
    );
    assert!(fresh.path("sync.yaml").exists());
    fresh.run(&["check"], &[]).ends(0);
}

/// Takes the # from the lines of the flow with one row a line, and of its resource.
fn with_lines(text: &str) -> String {
    let mut inside = false;
    let mut told = String::new();
    for line in text.lines() {
        let bare = line.trim_start();
        inside = bare.starts_with('#') && (inside || bare.starts_with("# order-lines"));
        let free = if inside {
            line.replacen("# ", "", 1)
        } else {
            line.to_owned()
        };
        told.push_str(&free);
        told.push('\n');
    }
    told
}

#[test]
fn the_flow_with_a_row_for_each_line_is_a_good_one_once_it_is_uncommented() {
    let shop = Shop::of(7);
    let fresh = Fresh::at(&shop);
    fresh.init(&fresh.client(), &[]).ends(0);
    let text = with_lines(&fresh.text("sync.yaml"));
    assert!(text.contains("\n  order-lines-to-files:\n"), "{text}");
    std::fs::write(fresh.path("sync.yaml"), text).unwrap();
    let told = fresh.run(&["check"], &[]).ends(0);
    assert!(told.out.contains("2 flows"), "{}", told.out);
    fresh.run(&["--once"], &[]).ends(0);
    let lines = shop
        .world()
        .final_orders()
        .values()
        .map(|order| order.lines.len())
        .sum::<usize>();
    let files = names(&fresh.path("out"));
    let files = files.iter().filter(|name| name.starts_with("order-lines-"));
    let rows = files.map(|name| {
        csv::Reader::from_path(fresh.path("out").join(name))
            .unwrap()
            .records()
            .count()
    });
    assert_eq!(rows.sum::<usize>(), lines);
}

/// What the store does not offer in this version is refused by name; what it offers has a good mapping.
#[test]
fn every_resource_has_a_flow_that_passes_the_check() {
    let shop = Shop::of(3);
    for resource in ["orders", "customers", "products", "inventory"] {
        let fresh = Fresh::at(&shop);
        let args = [&fresh.client()[..], &["--no-check", "--resources", resource]].concat();
        let told = fresh.init(&args, &[]);
        if told.code == Some(2) {
            assert_ne!(resource, "orders");
            told.says(&["--resources: `store` has no resource"]);
            continue;
        }
        let told = told.ends(0);
        assert!(
            told.out.contains(&format!("preview {resource}-to-files")),
            "{}",
            told.out
        );
        fresh.run(&["check"], &[]).ends(0);
    }
}
