//! Carries out one invocation: arguments in, text or an error out.

use std::ffi::OsString;
use std::path::Path;

use casque_format::control::Request;
use clap::{CommandFactory, FromArgMatches};

use crate::cli::{Cli, MailTest, Service, SettingsAction, Word};
use crate::env::Environment;
use crate::error::Error;
use crate::preflight::Place;
use crate::prepare::{prepare, read_plan};
use crate::root::Root;
use crate::serve::{Clock, serve};
use crate::settings::Sources;
use crate::ui;
use crate::words::settings::{change, check};
use crate::words::{
    backup, events, exec_as, external, health, logs, mail_test, preflight, program, reload, restore, service,
    settings, status, support_bundle, verify,
};

/// What sysexits(3) calls a usage error.
const USAGE: u8 = 64;

/// Does what `arguments` ask for, tells the user, and returns the exit code.
pub fn run(arguments: &[OsString], environment: &Environment, clock: Clock) -> u8 {
    let command = Cli::command().bin_name(called(arguments));
    let cli = match command.try_get_matches_from(arguments).and_then(|found| Cli::from_arg_matches(&found)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help that was asked for is an answer; help after a mistake is not.
            let code = if error.use_stderr() { USAGE } else { 0 };
            let _ = error.print();
            return code;
        }
    };
    match carry_out(cli, environment, clock) {
        Ok(text) => {
            ui::print(&text);
            0
        }
        Err(error) => {
            error.to_string().lines().for_each(ui::error);
            error.code()
        }
    }
}

fn carry_out(cli: Cli, environment: &Environment, clock: Clock) -> Result<String, Error> {
    let root = Root::new(cli.root);
    match cli.word {
        Word::Status { json: false } => status::table(&root, &read_plan(&root)?),
        Word::Status { json: true } => status::json(&root, &read_plan(&root)?),
        Word::Health => health::run(&root),
        Word::Logs { service, lines, follow: true, json } => {
            logs::follow(&root, service, lines, json).map(|()| String::new())
        }
        Word::Logs { service, lines, follow: false, json } => logs::run(&root, service, lines, json),
        Word::Events { json } => events::run(&root, json).map(|()| String::new()),
        Word::ExecAs { plan, service, command } => {
            let plan = if plan { exec_as::read(ui::input()) } else { exec_as::running(&root) };
            Err(exec_as::run(plan, &service, &command, environment.get("TERM")))
        }
        Word::Restart(of) => command(&root, |service| Request::Restart { service }, of),
        Word::Stop(of) => command(&root, |service| Request::Stop { service }, of),
        Word::Start(of) => command(&root, |service| Request::Start { service }, of),
        Word::Settings { json, origin, action } => {
            let plan = read_plan(&root)?;
            let sources = Sources::of(&plan, environment, &root);
            match action {
                Some(SettingsAction::Get { name }) => settings::get(&sources, &name),
                Some(SettingsAction::Set { name, value }) => change::set(&sources, &plan, &name, value),
                Some(SettingsAction::Unset { name }) => change::unset(&sources, &plan, &name),
                Some(SettingsAction::Check) => check::run(&sources, &plan, clock()),
                None if json => settings::json(&sources),
                None if origin => settings::origins(&sources),
                None => settings::table(&sources),
            }
        }
        Word::Reload => reload::run(&root),
        Word::Verify { json } => {
            let now = u64::try_from(clock()).unwrap_or(0);
            verify::run(&read_plan(&root)?, ui::input(), now, json)
        }
        Word::Preflight { json } => {
            let plan = read_plan(&root)?;
            preflight::run(Place { root: &root, environment, plan: &plan, now: clock() }, json)
        }
        Word::MailTest(MailTest { address, from, setting }) => {
            let plan = read_plan(&root)?;
            let (from, setting) = (from.as_deref(), setting.as_deref());
            let order = mail_test::Order { address: &address, from, setting, now: clock() };
            mail_test::run(&Sources::of(&plan, environment, &root), &plan.product, &order)
        }
        Word::Backup(options) => backup::run(&root, &options, environment, clock).map(|()| String::new()),
        Word::Restore(options) => restore::run(&root, &options, environment),
        Word::SupportBundle(options) => support_bundle::run(&root, &options, environment, clock()),
        Word::RunLine => Ok(casque_handbook::run_line(&read_plan(&root)?)),
        Word::Docs { html: true } => Ok(casque_handbook::html(&read_plan(&root)?)),
        Word::Docs { html: false } => Ok(casque_handbook::markdown(&read_plan(&root)?)),
        Word::Prepare { running } => {
            prepare(&root, environment, clock(), running)?.iter().for_each(|warning| ui::warning(warning));
            Ok(String::new())
        }
        Word::External { setting, once } => external::run(&setting, environment, once),
        Word::Serve => serve(&root, environment, clock).map(|()| String::new()),
        Word::Program(words) => Err(program::run(&words, commands())),
    }
}

fn command(root: &Root, request: fn(String) -> Request, of: Service) -> Result<String, Error> {
    service::run(root, &request(of.service.clone()), &of.service, of.json)
}

/// Returns the words a customer may type.
fn commands() -> Vec<String> {
    let command = Cli::command();
    let visible = command.get_subcommands().filter(|word| !word.is_hide_set());
    visible.map(|word| word.get_name().to_owned()).chain(["help".to_owned()]).collect()
}

/// Returns the name the program goes by: the product's command in an image, else its own file name.
fn called(arguments: &[OsString]) -> String {
    if let Ok(plan) = read_plan(&Root::new("/".into())) {
        return plan.product.command;
    }
    let own = arguments.first().and_then(|path| Path::new(path).file_name());
    own.map_or_else(|| "casque-agent".to_owned(), |name| name.to_string_lossy().into_owned())
}
