//! The program: arguments → configuration → run → exit code.

#![deny(unsafe_code)]

mod commands;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Weir: OTLP in, sandboxed WebAssembly plugins, Parquet tables out.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Receive OTLP, run the plugins, write Parquet tables; until Ctrl-C.
    ///
    /// Without a configuration: gRPC on 127.0.0.1:4317, HTTP on 127.0.0.1:4318, tables under ./data.
    Run {
        /// The configuration (TOML). docs/configuration.md lists every key.
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Show the whole way: a simulated day of a small shop, sent through the real receiver into Parquet tables.
    Demo(commands::demo::Options),
    /// Check a configuration: load every plugin and print what each reads, writes, emits and may use.
    ///
    /// Exits with 1 and the cure if something is wrong.
    Check {
        /// The configuration (TOML); the defaults if left out.
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Look at the log, the records and the tables, and say what is wrong; changes nothing.
    ///
    /// Exits with 0 if everything is sound, with 1 if something is to be mended, with 2 if it cannot look.
    Doctor(commands::doctor::Options),
    /// Mend what `weir doctor` found, after asking; nothing that holds rows is deleted.
    ///
    /// Exits with 0 if everything is sound then, with 1 if something is left.
    Repair(commands::repair::Options),
    /// Run stored rows through the plugins again, into tables of their own: a new plugin on old data.
    ///
    /// The tables that weir writes now, its log and its state are not touched; it may run meanwhile.
    Replay(commands::replay::Options),
    /// Make, build, test and look into plugins.
    Plugin {
        #[command(subcommand)]
        command: commands::plugin::Command,
    },
}

fn main() -> ExitCode {
    commands::allocator::share_arenas();
    let done = match Arguments::parse().command {
        Command::Run { config } => commands::run::run(config.as_deref()),
        Command::Demo(options) => commands::demo::run(&options),
        Command::Check { config, json } => commands::check::run(config.as_deref(), json),
        Command::Doctor(options) => return commands::doctor::run(&options),
        Command::Repair(options) => commands::repair::run(&options),
        Command::Replay(options) => commands::replay::run(&options),
        Command::Plugin { command } => commands::plugin::run(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.kind() == weir::Kind::Config { 2 } else { 1 })
        }
    }
}
