//! Tells a command: a program with fixed arguments, no shell, the text on its stdin. It inherits none of the
//! daemon's environment, where secrets may stand, but a plain PATH.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So often it is looked whether it has ended: half a minute.
const LOOKS: u32 = 600;

pub(super) async fn run(argv: Vec<String>, text: String) -> Result<(), String> {
    let started = tokio::task::spawn_blocking(move || start(&argv, &text)).await;
    let mut child = started.map_err(|error| error.to_string())??;
    for _ in 0..LOOKS {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("the command ended with {status}")),
            Ok(None) => tokio::time::sleep(LOOK_EVERY).await,
            Err(error) => return Err(format!("waiting for the command: {error}")),
        }
    }
    let ended = child.kill().and_then(|()| child.wait());
    let how = ended.map_or_else(
        |error| format!(", and did not let itself be ended: {error}"),
        |_| String::new(),
    );
    Err(format!("the command did not end within 30 s{how}"))
}

fn start(argv: &[String], text: &str) -> Result<Child, String> {
    let (program, arguments) = argv.split_first().ok_or("there is no command")?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{program} cannot be started: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Far below what a pipe holds. A program that does not read is judged by how it ends.
        let written = stdin.write_all(text.as_bytes());
        drop(written);
    }
    Ok(child)
}
