//! SY-08, SY-09, SY-10: two at once, signals, and configs that must not run.

use std::time::Duration;

use sandbox::{Fault, Rule};

use crate::support::{Desk, Mount, Setup, Shop, names};

fn slow_shop(ms: u64) -> Shop {
    let shop = Shop::of(1_500);
    shop.world().fault(Rule::list(Fault::Delay { ms }));
    shop
}

/// A second config on the same state by another path.
fn by(desk: &Desk, state: &str) -> String {
    let text = std::fs::read_to_string(desk.path("sync.yaml")).unwrap();
    let other = text.replace("path: ./state.db", &format!("path: {state}"));
    assert_ne!(text, other);
    desk.write("other.yaml", &other);
    desk.path("other.yaml").to_string_lossy().into_owned()
}

#[test]
fn sy_08_a_second_process_on_one_state_is_refused_by_whatever_path_it_comes() {
    let shop = slow_shop(900);
    let desk = Desk::new(&shop);
    let mut run = desk.start(&["--backfill"]);
    run.until("the first request", || shop.world().request_count() > 0);
    let outcome = desk.run(&["--once"]);
    assert!(outcome.took < Duration::from_secs(4), "took {:?}", outcome.took);
    outcome.ends(1).says(&["in use by another selorax-sync", "state.db"]);

    let other = |config: &str| {
        let own = desk.command(&[]);
        let mut command = std::process::Command::new(own.get_program());
        command.args(["--config", config, "--once"]).env_clear();
        command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        desk.launch(command)
            .wait()
            .ends(1)
            .says(&["in use by another selorax-sync"]);
    };
    std::os::unix::fs::symlink(desk.state(), desk.path("link.db")).unwrap();
    other(&by(&desk, "./link.db"));

    let mount = Mount::bind(&desk.path("."), &desk.path("bound"));
    other(&by(&desk, "./bound/state.db"));
    drop(mount);
    std::fs::remove_dir(desk.path("bound")).unwrap();

    assert!(!run.has_ended(), "the first run was over, so nothing was shown");
    shop.world().clear_faults();
    run.wait().ends(0);
    desk.check(&shop);
}

#[test]
fn sy_09_a_signal_ends_a_run_quickly_and_the_same_command_goes_on() {
    let shop = slow_shop(150);
    let desk = Desk::with(
        &shop,
        Setup {
            max_records: 100,
            ..Setup::default()
        },
    );
    for (n, name) in ["TERM", "INT", "TERM"].into_iter().enumerate() {
        let before = shop.world().request_count();
        let mut run = desk.start(&["--backfill"]);
        run.until("some requests", || shop.world().request_count() > before + n);
        run.signal(name);
        let sent = std::time::Instant::now();
        let outcome = run.wait();
        assert!(
            sent.elapsed() < Duration::from_secs(10),
            "{name} took {:?}",
            sent.elapsed()
        );
        assert_eq!(outcome.signal, None, "{name}: {}", outcome.err);
        assert!(outcome.err.contains("the same command goes on"), "{}", outcome.err);
    }
    desk.run(&["--backfill"]).ends(0);
    desk.check(&shop);
}

#[test]
fn sy_09_two_signals_at_once_do_no_harm() {
    let shop = slow_shop(150);
    let desk = Desk::new(&shop);
    let mut run = desk.start(&["--once"]);
    run.until("the first request", || shop.world().request_count() > 0);
    run.signal("TERM");
    run.signal("TERM");
    run.wait();
    desk.run(&["--once"]).ends(0);
    desk.check(&shop);
}

#[test]
fn sy_10_a_config_with_many_mistakes_names_them_all_and_touches_nothing() {
    let shop = Shop::of(5);
    let desk = Desk::new(&shop);
    desk.run(&["--once"]).ends(0);
    let before = names(&desk.path("."));
    let state = std::fs::read(desk.state()).unwrap();
    let mistakes = include_str!("../config/ten-mistakes.yaml");
    desk.write("sync.yaml", mistakes);
    for command in [&["--once"][..], &["--backfill"], &["check"], &["status"]] {
        let outcome = desk.run(command).ends(2);
        for place in [
            ":1:10:", ":2:1:", ":6:13:", ":9:15:", ":12:11:", ":14:3:", ":19:1:", ":23:11:", ":25:5:", ":26:14:",
            ":30:15:", ":31:16:",
        ] {
            assert!(
                outcome.err.contains(place),
                "{command:?}: {place} is not in {}",
                outcome.err
            );
        }
    }
    assert_eq!(std::fs::read(desk.state()).unwrap(), state);
    assert_eq!(names(&desk.path(".")), before);
}

#[test]
fn sy_10_configs_that_are_no_configs_exit_with_2_and_make_no_state() {
    let shop = Shop::of(5);
    let desk = Desk::new(&shop);
    let good = std::fs::read_to_string(desk.path("sync.yaml")).unwrap();
    for (what, text) in [
        ("empty", String::new()),
        ("a typo", good.replace("rate_limit", "rate_limt")),
        ("a wrong type", good.replace("burst: 1000", "burst: many")),
        ("a key twice", format!("{good}version: 1\n")),
        ("a filter that is none", good.replace(".grand_total", ".grand_total |")),
        ("a secret that is not there", good.replace("SX_CLIENT_ID", "SX_NOT_SET")),
        ("a list", "- 1\n".to_owned()),
    ] {
        assert_ne!(text, good);
        desk.write("sync.yaml", &text);
        let outcome = desk.run(&["--once"]);
        assert_eq!(outcome.code, Some(2), "{what}: {}", outcome.err);
        assert!(outcome.err.contains("sync.yaml"), "{what}: {}", outcome.err);
    }
    std::fs::remove_file(desk.path("sync.yaml")).unwrap();
    desk.run(&["--once"]).ends(2);
    assert!(!desk.state().exists() && !desk.out().exists());
    assert_eq!(shop.world().request_count(), 0);
}
