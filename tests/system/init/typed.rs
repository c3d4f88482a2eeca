//! `init` at a terminal, by a program that types.

use super::Fresh;
use crate::support::{Outcome, Running, Shop, names};

/// Answers at a terminal: waits for each question, types its answer, and gives back all that was shown.
const TYPIST: &str = r#"
import os, pty, select, sys, termios, time
program, answers = sys.argv[1], [pair.split("=>", 1) for pair in sys.argv[2:]]
child, terminal = pty.fork()
if child == 0:
    os.execv(program, [program, "init"])
seen, end = b"", time.monotonic() + 60
def more():
    global seen
    if not select.select([terminal], [], [], end - time.monotonic())[0]:
        sys.exit("nothing more came after: " + seen.decode())
    try:
        part = os.read(terminal, 4096)
    except OSError:
        part = b""
    seen += part
    return part
mark = 0
for question, answer in answers:
    while question.encode() not in seen[mark:]:
        if not more():
            sys.exit("ended before %r: %s" % (question, seen.decode()))
    mark = len(seen)
    control = answer in ("\x03", "\x04")
    os.write(terminal, answer.encode() + (b"" if control else b"\n"))
while more():
    pass
if not termios.tcgetattr(terminal)[3] & termios.ECHO:
    sys.exit("the terminal was left silent")
sys.stdout.write(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

fn typed(fresh: &Fresh, answers: &[(&str, &str)]) -> Outcome {
    let mut command = fresh.command("python3");
    command.args(["-c", TYPIST, env!("CARGO_BIN_EXE_selorax-sync")]);
    command.args(answers.iter().map(|(question, answer)| format!("{question}=>{answer}")));
    Running::start(command, fresh.runs.path().join("typed")).wait()
}

#[test]
fn at_a_terminal_it_asks_again_until_the_answer_is_good_and_shows_no_secret() {
    let shop = Shop::of(6);
    let fresh = Fresh::at(&shop);
    let told = typed(
        &fresh,
        &[
            ("API [https://api.selorax.io]:", "http://api.selorax.io"),
            ("API [https://api.selorax.io]:", &fresh.url),
            ("number:", "twenty"),
            ("number:", "22"),
            ("[client]:", "password"),
            ("[client]:", ""),
            ("The client id (not shown)", ""),
            ("The client id (not shown)", &fresh.id),
            ("The client secret (not shown)", &fresh.secret),
            ("[file]:", ""),
            ("[./out]:", ""),
            ("[orders]:", "ordres"),
            ("[orders]:", "orders"),
            ("[*/10 * * * *]:", "@hourly"),
            ("[all]:", "all"),
        ],
    );
    let told = told.ends(0);
    assert!(
        told.out.contains("ok  store: reading orders") && told.out.contains("Next:"),
        "{}",
        told.out
    );
    for complaint in [
        "expected https",
        "a whole number",
        "one of these",
        "it is empty",
        "did you mean `orders`",
    ] {
        assert_eq!(told.out.matches(complaint).count(), 1, "{complaint}: {}", told.out);
    }
    assert_eq!(fresh.secret_on_disk(), ["secrets/client_id", "secrets/client_secret"]);
    assert!(fresh.text("sync.yaml").contains(r#"schedule: "@hourly""#));
    fresh.run_after_typing();
}

#[test]
fn whoever_leaves_in_the_middle_finds_the_terminal_and_the_folder_as_they_were() {
    let shop = Shop::of(3);
    let fresh = Fresh::at(&shop);
    let answers = [
        ("[https://api.selorax.io]:", ""),
        ("number:", "22"),
        ("[client]:", "token"),
        ("The access token", "\x03"),
    ];
    let told = typed(&fresh, &answers).ends(1);
    assert!(told.out.contains("interrupted"), "{}", told.out);
    assert_eq!(names(fresh.dir.path()), Vec::<String>::new());
    let told = typed(&fresh, &[("[https://api.selorax.io]:", "\x04")]).ends(2);
    assert!(told.out.contains("not answered to the end"), "{}", told.out);
}

impl Fresh {
    fn run_after_typing(&self) {
        for name in ["typed.err", "typed.out"] {
            std::fs::remove_file(self.runs.path().join(name)).unwrap();
        }
        self.run(&["check", "--connect"], &[]).ends(0);
        self.delivers(6, &[]);
        assert!(self.path("state.db").exists());
    }
}
