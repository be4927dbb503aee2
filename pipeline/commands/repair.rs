//! `weir repair`: what `weir doctor` found, mended with consent.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use weir::doctor::{Mend, Problem, discard_state, examine, repair};
use weir::{Error, Result};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The configuration (TOML) that weir runs with; the defaults if left out.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
    /// Discard the state of that plugin, which then begins anew; its held rows are lost. May be given more than once.
    #[arg(long, value_name = "PLUGIN")]
    discard_state: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let config = super::configuration(options.config.as_deref())?;
    let report = examine(&config, false)?;
    if let Some(process) = &report.running {
        return Err(Error::storage(format!(
            "weir runs here, as process {process}: stop it first; nothing was changed"
        )));
    }
    let wanted = options.discard_state.iter().map(|plugin| discard_state(&report, plugin));
    let wanted: Vec<Problem> = wanted.collect::<Result<_>>()?;
    // A plugin that is missing may come back: its state goes only when it is named.
    let proposed = report.problems.iter().filter(|problem| problem.kind != "state_of_no_plugin");
    let proposed: Vec<&Problem> = proposed.filter(|problem| problem.mend.is_some()).chain(&wanted).collect();
    if proposed.is_empty() {
        print!("{}", super::doctor::problems(&report.problems));
        return left(report.problems.len());
    }
    println!("weir repair would");
    for (number, problem) in proposed.iter().enumerate() {
        let mend = problem.mend.as_ref().map(Mend::describe).unwrap_or_default();
        println!("\n  {}. {mend}\n     because {}\n     {}", number + 1, problem.what, problem.means);
    }
    println!();
    if !options.yes && !consents()? {
        return Err(Error::config("nothing was changed: it was not agreed to; `--yes` agrees"));
    }
    let runtime = super::runtime()?;
    let _within = runtime.enter();
    let repaired = repair(&config, &report, &proposed)?;
    for done in &repaired.done {
        println!("{done}");
    }
    if let Some(summary) = &repaired.drained {
        print!("{}", super::run::account(summary));
    }
    println!();
    let after = examine(&config, false)?;
    print!("{}", super::doctor::problems(&after.problems));
    left(after.problems.len())
}

fn left(problems: usize) -> Result<()> {
    match problems {
        0 => Ok(()),
        1 => Err(Error::storage("1 problem is left")),
        left => Err(Error::storage(format!("{left} problems are left"))),
    }
}

/// Whether somebody at a terminal types yes. Without a terminal nobody does.
fn consents() -> Result<bool> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Ok(false);
    }
    print!("Do it? Type yes: ");
    let failed = |error| Error::storage(format!("the terminal: {error}"));
    std::io::stdout().flush().map_err(failed)?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer).map_err(failed)?;
    Ok(answer.trim() == "yes")
}
