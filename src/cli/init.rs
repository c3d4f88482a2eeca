//! `init`: writes a config file to start from, out of flags or of what a person answers, and checks it. It
//! must never show a secret, never write one into a file that others can read, and never overwrite a file
//! unasked. A value is judged by the config's own reader, so that what `init` takes is what runs.

mod answers;
mod ask;
mod flows;
mod keep;
mod render;

use std::path::PathBuf;

use secrecy::SecretString;

use super::{DONE, FAILED, Usage, check};
use crate::config::{self, Mode};
use answers::{Answers, Credentials, Keeping, Kept, SignIn};

#[derive(Debug, clap::Args)]
pub(super) struct Init {
    /// The store's API, such as https://api.selorax.io
    #[arg(long)]
    url: Option<String>,
    /// The store's number
    #[arg(long)]
    store_id: Option<String>,
    /// The client id of the app's credentials, or env:NAME
    #[arg(long, value_parser = secret, conflicts_with = "access_token")]
    client_id: Option<SecretString>,
    /// The client secret, or env:NAME; other users may see it on the command line, so rather env:NAME
    #[arg(long, value_parser = secret, conflicts_with = "access_token")]
    client_secret: Option<SecretString>,
    /// A Bearer token instead, or env:NAME
    #[arg(long, value_parser = secret)]
    access_token: Option<SecretString>,
    /// Where secrets are kept: files of their own beside the config, the environment, or the config itself
    #[arg(long, value_enum)]
    secrets: Option<Keeping>,
    /// The folder that the CSV files are written to; a relative one counts from the config file
    #[arg(long, value_name = "FOLDER")]
    location: Option<String>,
    /// What is carried: orders, customers, products, inventory
    #[arg(long, value_name = "LIST")]
    resources: Option<String>,
    /// When, as cron: minute hour day month weekday
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,
    /// What the first pass takes: all history, or only what is new from then on
    #[arg(long, value_name = "all|new")]
    initial: Option<String>,
    /// Where the config is written
    #[arg(long, value_name = "PATH", default_value = "./sync.yaml")]
    output: PathBuf,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
    /// Do not call the store and try the folder at the end
    #[arg(long)]
    no_check: bool,
}

fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text.to_owned()))
}

impl Init {
    pub(super) async fn run(mut self) -> anyhow::Result<u8> {
        // As people write paths.
        if let Ok(shorter) = self.output.strip_prefix("./") {
            self.output = shorter.to_owned();
        }
        keep::free(&self.output, self.force)?;
        let answers = match ask::Terminal::of_stdin() {
            Some(mut terminal) => self.asked(&mut terminal).await?,
            None => self.given()?,
        };
        keep::free_secrets(&answers, &self.output, self.force)?;
        let written = keep::write(&answers, &self.output, self.force)?;
        for path in &written {
            outln!("wrote {}", path.display());
        }
        let code = match self.no_check {
            true => DONE,
            false => self.check(&answers).await,
        };
        self.tell_next(&answers, code);
        Ok(code)
    }

    /// From the flags alone: every one that is missing is named, and every one that is wrong.
    fn given(&self) -> anyhow::Result<Answers> {
        let answers = Answers {
            url: self.url.clone().unwrap_or_default(),
            store_id: self.store_id.clone().unwrap_or_default(),
            credentials: self.credentials()?,
            keeping: self.secrets.unwrap_or(Keeping::File),
            location: self.location.clone().unwrap_or_default(),
            ..self.with_defaults()?
        };
        let mut missing = Vec::new();
        for (flag, there) in [
            ("--url", self.url.is_some()),
            ("--store-id", self.store_id.is_some()),
            ("--location", self.location.is_some()),
        ] {
            if !there {
                missing.push(flag);
            }
        }
        missing.extend(answers.credentials.missing());
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(Usage(format!(
                "missing: {missing}\nhint: give them, or run `selorax-sync init` in a terminal, where it asks"
            ))
            .into());
        }
        match answers.problems()?.as_slice() {
            [] => Ok(answers),
            problems => {
                let told: Vec<String> = problems
                    .iter()
                    .map(|(question, message)| format!("{}: {message}", question.flag()))
                    .collect();
                Err(Usage(told.join("\nerror: ")).into())
            }
        }
    }

    fn with_defaults(&self) -> anyhow::Result<Answers> {
        let mut answers = Answers::default();
        if let Some(resources) = &self.resources {
            answers.resources = flows::chosen(resources).map_err(|why| Usage(format!("--resources: {why}")))?;
        }
        if let Some(schedule) = &self.schedule {
            answers.schedule.clone_from(schedule);
        }
        if let Some(initial) = &self.initial {
            answers.initial.clone_from(initial);
        }
        Ok(answers)
    }

    /// With secrets in the environment the names are enough, and have defaults.
    fn credentials(&self) -> anyhow::Result<Credentials> {
        let of = |given: &Option<SecretString>, flag: &str, usual: &'static str| match given {
            Some(text) => Kept::read(text, usual)
                .map(Some)
                .map_err(|why| Usage(format!("{flag}: {why}"))),
            None if self.secrets == Some(Keeping::Env) => Ok(Some(Kept::Named(usual.to_owned()))),
            None => Ok(None),
        };
        if self.access_token.is_some() {
            let token = of(&self.access_token, "--access-token", answers::TOKEN)?;
            return Ok(Credentials::Token(token));
        }
        Ok(Credentials::Client {
            id: of(&self.client_id, "--client-id", answers::CLIENT_ID)?,
            secret: of(&self.client_secret, "--client-secret", answers::CLIENT_SECRET)?,
        })
    }

    /// Asks for what no flag gave.
    async fn asked(&self, terminal: &mut ask::Terminal) -> anyhow::Result<Answers> {
        let mut answers = self.with_defaults()?;
        answers.keeping = self.secrets.unwrap_or(Keeping::File);
        answers.credentials = self.credentials()?;
        terminal.tell("A config file for selorax-sync. Enter takes what stands in [brackets]; Ctrl-C leaves.");
        for question in answers::QUESTIONS {
            let given = self.flag_of(question);
            if question == answers::Question::Location {
                self.ask_credentials(terminal, &mut answers).await?;
            }
            terminal.answer(&mut answers, question, given).await?;
        }
        Ok(answers)
    }

    fn flag_of(&self, question: answers::Question) -> Option<String> {
        use answers::Question;
        match question {
            Question::Url => self.url.clone(),
            Question::StoreId => self.store_id.clone(),
            Question::Location => self.location.clone(),
            Question::Resources => self.resources.clone(),
            Question::Schedule => self.schedule.clone(),
            Question::Initial => self.initial.clone(),
        }
    }

    async fn ask_credentials(&self, terminal: &mut ask::Terminal, answers: &mut Answers) -> anyhow::Result<()> {
        let given = [&self.client_id, &self.client_secret, &self.access_token];
        if given.iter().all(|given| given.is_none()) && self.secrets != Some(Keeping::Env) {
            let sign_in = terminal
                .choose(
                    "Sign in with a client id and secret, or with a token?",
                    &["client", "token"],
                )
                .await?;
            answers.credentials = Credentials::empty(match sign_in {
                "token" => SignIn::Token,
                _ => SignIn::Client,
            });
        }
        for (name, usual, kept) in answers.credentials.parts_mut() {
            if kept.is_none() {
                *kept = Some(terminal.secret(name, usual).await?);
            }
        }
        if self.secrets.is_none() && answers.credentials.has_values() {
            let words: &'static [&'static str] = &["file", "env", "inline"];
            let said = terminal
                .choose(
                    "Keep secrets in files of their own, in the environment, or in the config?",
                    words,
                )
                .await?;
            answers.keeping = match said {
                "env" => Keeping::Env,
                "inline" => Keeping::Inline,
                _ => Keeping::File,
            };
        }
        Ok(())
    }

    /// `check --connect` of what was written. A variable that is not set yet counts as what was given for it.
    async fn check(&self, answers: &Answers) -> u8 {
        let env = |name: &str| answers.credentials.value_of(name).or_else(|| config::process_env(name));
        let config = match config::load(&self.output, Mode::Full, &env) {
            Ok(config) => config,
            Err(broken) => {
                eprintln!("{broken}");
                return FAILED;
            }
        };
        if !config.warnings.is_empty() {
            eprint!("{}", config.warnings);
        }
        check::told(&config, true).await
    }

    fn tell_next(&self, answers: &Answers, code: u8) {
        let config = match self.output == std::path::Path::new("sync.yaml") {
            true => String::new(),
            false => format!(" --config {}", self.output.display()),
        };
        if code != DONE {
            outln!(
                "\n{} stays as it is. Correct it, then: selorax-sync check --connect{config}",
                self.output.display()
            );
            return;
        }
        outln!("\nNext:");
        let names = answers.variables();
        if !names.is_empty() {
            outln!("  set {} wherever it runs", names.join(" and "));
        }
        if let Some(flow) = answers.resources.first() {
            outln!("  selorax-sync preview {}{config}", flow.flow());
        }
        outln!("  selorax-sync --once{config}");
    }
}
