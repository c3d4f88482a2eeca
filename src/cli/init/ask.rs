//! Questions at a terminal, one line each. What is typed for a secret is not shown, and the terminal is
//! left as it was found, however the asking ends.

use std::io::Write;
use std::time::Duration;

use contract::{Clock, RealClock};
use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use secrecy::{ExposeSecret, SecretString};

use super::answers::{Answers, Kept, Question};
use super::flows;
use crate::cli::Usage;

/// How often it is looked whether a line was typed. Nothing blocks, so that Ctrl-C is heard at once.
const LOOK: Duration = Duration::from_millis(20);
/// A line longer than a terminal's own limit is none.
const LINE_MAX: usize = 4096;

#[derive(Debug)]
pub(super) struct Terminal {
    clock: RealClock,
    /// Lines that came with an earlier one.
    ahead: SecretString,
}

/// Shows again what is typed.
struct Silence(Termios);

impl Silence {
    fn begin() -> anyhow::Result<Silence> {
        let before = termios::tcgetattr(rustix::stdio::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &silent)?;
        Ok(Silence(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0).ok();
    }
}

impl Terminal {
    /// `None` where nobody is there to answer.
    pub(super) fn of_stdin() -> Option<Terminal> {
        termios::isatty(rustix::stdio::stdin()).then(|| Terminal {
            clock: RealClock::default(),
            ahead: SecretString::default(),
        })
    }

    pub(super) fn tell(&self, line: &str) {
        eprintln!("{line}");
    }

    /// Fills in one answer: the one that a flag gave, or what is typed, asked for until it is a good one.
    pub(super) async fn answer(
        &mut self,
        answers: &mut Answers,
        question: Question,
        given: Option<String>,
    ) -> anyhow::Result<()> {
        let mut given = given;
        loop {
            let from_flag = given.is_some();
            let text = match given.take() {
                Some(text) => text,
                None => self.line(&prompt(answers, question)).await?,
            };
            let problem = match set(answers, question, text.trim()) {
                Ok(()) => first_problem(answers, question)?,
                Err(why) => Some(why),
            };
            match problem {
                None => return Ok(()),
                Some(why) if from_flag => return Err(Usage(format!("{}: {why}", question.flag())).into()),
                Some(why) => self.tell(&format!("  {why}")),
            }
        }
    }

    /// One of a few words; the first is taken where nothing is typed.
    pub(super) async fn choose(
        &mut self,
        question: &str,
        words: &'static [&'static str],
    ) -> anyhow::Result<&'static str> {
        let usual = words.first().copied().unwrap_or_default();
        let prompt = format!("{question} {} [{usual}]: ", words.join(", "));
        loop {
            let text = self.line(&prompt).await?;
            let text = if text.trim().is_empty() { usual } else { text.trim() };
            match words.iter().find(|word| **word == text) {
                Some(word) => return Ok(word),
                None => self.tell(&format!("  one of these, please: {}", words.join(", "))),
            }
        }
    }

    pub(super) async fn secret(&mut self, what: &str, usual: &'static str) -> anyhow::Result<Kept> {
        let prompt = format!("{what} (not shown), or env:NAME: ");
        loop {
            let silence = Silence::begin()?;
            let typed = SecretString::from(self.line(&prompt).await?);
            drop(silence);
            match Kept::read(&typed, usual) {
                Ok(kept) => return Ok(kept),
                Err(why) => self.tell(&format!("  {why}")),
            }
        }
    }

    async fn line(&mut self, prompt: &str) -> anyhow::Result<String> {
        eprint!("{prompt}");
        std::io::stderr().flush()?;
        loop {
            if let Some((line, rest)) = self.ahead.expose_secret().split_once('\n') {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.ahead = SecretString::from(rest);
                return Ok(line);
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> anyhow::Result<()> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let stdin = rustix::stdio::stdin();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        while poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&at_once))? == 0 {
            self.clock.sleep(LOOK).await;
        }
        let mut bytes = [0; LINE_MAX];
        let length = rustix::io::read(stdin, &mut bytes)?;
        if length == 0 {
            return Err(Usage("the questions were not answered to the end; nothing was written".to_owned()).into());
        }
        let more = String::from_utf8_lossy(&bytes[..length]).into_owned();
        self.ahead = SecretString::from(format!("{}{more}", self.ahead.expose_secret()));
        Ok(())
    }
}

fn prompt(answers: &Answers, question: Question) -> String {
    let defaults = Answers::default();
    match question {
        Question::Url => format!("The store's API [{}]: ", defaults.url),
        Question::StoreId => "The store's number: ".to_owned(),
        Question::Location => format!("The folder for the CSV files [{}]: ", defaults.location),
        Question::Resources => {
            let names: Vec<&str> = answers.resources.iter().map(|resource| resource.name()).collect();
            format!(
                "What to carry: orders, customers, products, inventory [{}]: ",
                names.join(",")
            )
        }
        Question::Schedule => format!(
            "When, as cron (minute hour day month weekday) [{}]: ",
            defaults.schedule
        ),
        Question::Initial => format!(
            "The first pass takes all history, or only what is new: all, new [{}]: ",
            defaults.initial
        ),
    }
}

/// Nothing typed takes the default.
fn set(answers: &mut Answers, question: Question, text: &str) -> Result<(), String> {
    let defaults = Answers::default();
    let or = |usual: String| if text.is_empty() { usual } else { text.to_owned() };
    match question {
        Question::Url => answers.url = or(defaults.url),
        Question::StoreId => answers.store_id = text.to_owned(),
        Question::Location => answers.location = or(defaults.location),
        Question::Resources => {
            answers.resources = match text {
                "" => defaults.resources,
                text => flows::chosen(text)?,
            }
        }
        Question::Schedule => answers.schedule = or(defaults.schedule),
        Question::Initial => answers.initial = or(defaults.initial),
    }
    Ok(())
}

/// What the config's reader has against this answer; what is not answered yet has problems of its own.
fn first_problem(answers: &Answers, question: Question) -> anyhow::Result<Option<String>> {
    let mut whole = answers.clone();
    if whole.store_id.is_empty() && question != Question::StoreId {
        whole.store_id = "1".to_owned();
    }
    whole.credentials.assume();
    let problems = whole.problems()?;
    let own = problems.into_iter().find(|(of, _)| *of == question);
    Ok(own.map(|(_, why)| why.replace("\nhint: ", "; ")))
}
